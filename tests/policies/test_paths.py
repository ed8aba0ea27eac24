"""Field paths: keys and indexes, and their text."""

from __future__ import annotations

import pytest

from stateward.policies.paths import dig, parse, render

RENDERED = [
    ((), ""),
    (("spec",), "spec"),
    (("spec", "storage", "size"), "spec.storage.size"),
    (("spec", "volumes", 0, "class"), "spec.volumes[0].class"),
    (("spec", "config", "min.insync.replicas"), 'spec.config."min.insync.replicas"'),
    (("metadata", "labels", "a.b/c"), 'metadata.labels."a.b/c"'),
    (("spec", ""), 'spec.""'),
    ((0, 1), "[0][1]"),
    (("a.b",), '"a.b"'),
]


@pytest.mark.parametrize(("path", "text"), RENDERED)
def test_a_path_is_written_as_a_person_reads_it(path: tuple[str | int, ...], text: str) -> None:
    assert render(path) == text


PARSED = [
    ("spec", ("spec",)),
    ("spec.plugins.parameters", ("spec", "plugins", "parameters")),
    ("metadata.labels[a.b/c]", ("metadata", "labels", "a.b/c")),
    ("spec.config[min.insync.replicas].value", ("spec", "config", "min.insync.replicas", "value")),
    ("[a.b].c", ("a.b", "c")),
    ("a[b][c]", ("a", "b", "c")),
    ("a[]", ("a", "")),
    ("", ()),
]


@pytest.mark.parametrize(("text", "path"), PARSED)
def test_a_written_path_is_its_keys(text: str, path: tuple[str, ...]) -> None:
    assert parse(text) == path


BROKEN = [
    (".spec", 'path ".spec": an empty key'),
    ("spec..size", 'path "spec..size": an empty key'),
    ("metadata.labels[a.b", 'path "metadata.labels[a.b": a bracket is not closed'),
]


@pytest.mark.parametrize(("text", "message"), BROKEN)
def test_a_broken_path_is_refused_with_its_reason(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="path") as caught:
        parse(text)
    assert str(caught.value) == message


OBJECT = {"spec": {"volumes": [{"class": "fast"}, None], "size": None, "text": "abc"}}
DUG = [
    (("spec", "volumes", 0, "class"), "fast"),
    ((), OBJECT),
    (("spec", "volumes", 1), None),
    (("spec", "volumes", 1, "class"), None),
    (("spec", "volumes", 2), None),
    (("spec", "volumes", "class"), None),
    (("spec", "size", "unit"), None),
    (("spec", "text", "length"), None),
    (("status",), None),
]


@pytest.mark.parametrize(("path", "value"), DUG)
def test_digging_gives_the_value_or_none(path: tuple[str | int, ...], value: object) -> None:
    assert dig(OBJECT, path) == value


@pytest.mark.parametrize("item", [None, 5, "text", [], True])
def test_nothing_is_found_in_what_holds_nothing(item: object) -> None:
    assert dig(item, ("spec", "size")) is None
