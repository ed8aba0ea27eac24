"""What load makes of files, folders and standard input, and how it reads YAML."""

import io
import itertools
import os
import random
import time
from pathlib import Path

import orjson
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.cli import files, yamlevents
from stateward.cli.manifests import Document, Loaded, Problem, load

HEAD = "apiVersion: v1\nkind: ConfigMap\n"
SAMPLES = Path(__file__).resolve().parents[3] / "shared" / "samples"


def read(text: str | bytes) -> Loaded:
    return load(["-"], io.BytesIO(text.encode() if isinstance(text, str) else text))


def value(text: str):
    """What the text after `x: ` is read as."""
    loaded = read(f"{HEAD}x: {text}\n")
    assert loaded.problems == []
    return loaded.documents[0].object["x"]


def problem(text: str | bytes) -> Problem:
    """The only problem of an input."""
    loaded = read(text)
    assert len(loaded.problems) == 1, loaded.problems
    return loaded.problems[0]


def manifest(name: str) -> str:
    return f"{HEAD}metadata:\n  name: {name}\n"


def names(loaded: Loaded) -> list[str]:
    return [document.object["metadata"]["name"] for document in loaded.documents]


@pytest.fixture(params=["C parser", "Python parser"])
def _each_parser(request, monkeypatch):
    if request.param == "Python parser":
        monkeypatch.setattr(yamlevents, "_Loader", yamlevents.PythonLoader)


# Every pair was compared with sigs.k8s.io/yaml v1.6.0 (go.yaml.in/yaml/v2 v2.4.2), YAMLToJSON.
SCALARS = [
    ("0644", 420),
    ("0o644", 420),
    ("-0644", -420),
    ("08", 8),
    ("0x1F", 31),
    ("0b101", 5),
    ("0b-1", -1),
    ("+5", 5),
    ("1_000", 1000),
    ("1__0", 10),
    ("_1", "_1"),
    ("1e3", 1000),
    ("1E-2", 0.01),
    ("3.0", 3),
    ("1.", 1),
    (".5", 0.5),
    (".5_0", 0.5),
    ("._5", "._5"),
    ("-.5", -0.5),
    ("1e400", "1e400"),
    ("1e-400", 0),
    ("-0.0", 0),
    ("9223372036854775807", 2**63 - 1),
    ("18446744073709551615", 2**64 - 1),
    ("18446744073709551616", 2.0**64),
    ("+9223372036854775808", 2.0**63),
    ("0xfffffffffffffffff", "0xfffffffffffffffff"),
    ("1:30", "1:30"),
    ("190:20:30.15", "190:20:30.15"),
    ("2026-11-21", "2026-11-21"),
    ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
    ("1.2.3", "1.2.3"),
    ("10.0.0.0/8", "10.0.0.0/8"),
    ("1e3Gi", "1e3Gi"),
    ("yes", True),
    ("on", True),
    ("y", True),
    ("TRUE", True),
    ("no", False),
    ("Off", False),
    ("N", False),
    ("yES", "yES"),
    ("trUe", "trUe"),
    ("~", None),
    ("", None),
    ("Null", None),
    ("nULL", "nULL"),
    ("inf", "inf"),
    ("nan", "nan"),
    ("=", "="),
    ('"0644"', "0644"),
    ("'yes'", "yes"),
    ("''", ""),
    ("!!str 1", "1"),
    ('!!int "3"', 3),
    ("!!float 3", 3),
    ('!!bool "yes"', True),
    ("!!null ''", None),
    ("!!timestamp 2026-01-01", "2026-01-01"),
    ('! "12"', "12"),
    ("!!map {a: !!seq [1]}", {"a": [1]}),
    ("|\n  a\n   b\n\n", "a\n b\n"),
    (">-\n  a\n  b", "a b"),
    ('"\\u00e9\\x41"', "éA"),
    ("é", "é"),
]


@pytest.mark.parametrize(("text", "expected"), SCALARS, ids=[text for text, _ in SCALARS])
@pytest.mark.usefixtures("_each_parser")
def test_a_scalar_is_read_as_kubernetes_reads_it(text, expected):
    got = value(text)
    assert (type(got), got) == (type(expected), expected)


KEYS = [
    ("1: x", "1"),
    ("0x10: x", "16"),
    ("yes: x", "true"),
    ("n: x", "false"),
    ("1.20: x", "1.2"),
    ("1e5: x", "100000"),
    ("0.1: x", "0.1"),
    ("123456.789: x", "123456.79"),
    ("2026-11-21: x", "2026-11-21"),
    ('"<<": x', "<<"),
    ("? a\n: x", "a"),
    ("&k a: x", "a"),
]


@pytest.mark.parametrize(("text", "key"), KEYS, ids=[text for text, _ in KEYS])
def test_a_key_becomes_text_as_kubernetes_makes_it(text, key):
    loaded = read(f"{HEAD}{text}\n")
    assert (loaded.problems, list(loaded.documents[0].object)) == ([], ["apiVersion", "kind", key])


MERGES = [
    ("merged keys lie under later keys", "a: &a {x: 1, z: 2}\nb: {<<: *a, z: 3}", {"x": 1, "z": 3}),
    ("merged keys lie over earlier keys", "a: &a {x: 1, z: 2}\nb: {z: 3, <<: *a}", {"x": 1, "z": 2}),
    ("of several the first wins", "a: &a {x: 1}\nb: {<<: [{x: 2}, *a, {z: 4}]}", {"x": 2, "z": 4}),
    ("two merges add up", "a: &a {x: 1}\nb: {<<: *a, <<: {z: 2}}", {"x": 1, "z": 2}),
    ("an alias copies", "a: &a {x: [1]}\nb: *a", {"x": [1]}),
    ("an anchor may be set again", "a: &a {x: 1}\nc: &a {x: 2}\nb: *a", {"x": 2}),
    ("an alias may be a key", "a: &a 5\nb: {*a : 1}", {"5": 1}),
]


@pytest.mark.parametrize(("text", "expected"), [case[1:] for case in MERGES], ids=[case[0] for case in MERGES])
@pytest.mark.usefixtures("_each_parser")
def test_aliases_and_merge_keys_work_as_in_kubernetes(text, expected):
    loaded = read(f"{HEAD}{text}\n")
    assert loaded.problems == []
    assert loaded.documents[0].object["b"] == expected


def test_an_alias_shares_nothing_with_its_anchor():
    got = read(f"{HEAD}a: &a {{x: [1]}}\nb: *a\n").documents[0].object
    got["b"]["x"].append(2)
    assert got["a"] == {"x": [1]}


# Each line: what is wrong, the input, line, column, and a part of the message.
FAULTS = [
    ("a python tag", f"{HEAD}x: !!python/object:os.system a", 3, 4, "a tag is not read"),
    ("an unknown tag", f"{HEAD}x: !Ref a", 3, 4, "a tag is not read"),
    ("a binary value", f"{HEAD}x: !!binary aGk=", 3, 4, 'tag "!!binary" is not read'),
    ("a set", f"{HEAD}x: !!set {{a}}", 3, 4, 'tag "!!set" is not read'),
    ("a tag that lies", f"{HEAD}x: !!int abc", 3, 4, "a value is not of its tag !!int"),
    ("infinity", f"{HEAD}x: -.inf", 3, 4, 'value "-.inf" is no number that JSON can carry'),
    ("not a number", f"{HEAD}x: .NaN", 3, 4, 'value ".NaN" is no number that JSON can carry'),
    ("a null key", f"{HEAD}~: x", 3, 1, 'key "~" is null'),
    ("a key without a text", f"{HEAD}? \n: x", 3, 2, 'key "" is null'),
    ("a mapping as a key", f"{HEAD}? {{a: b}}\n: x", 3, 3, "a mapping is used as a key"),
    ("a list as a key", f"{HEAD}[a]: x", 3, 1, "a list is used as a key"),
    ("an unquoted template", f"{HEAD}x: {{{{ .Values.x }}}}", 3, 5, "render it first (helm template)"),
    ("an alias without anchor", f"{HEAD}x: *a", 3, 4, "an alias has no anchor before it"),
    ("an anchor of another document", f"a: &a 1\n---\n{HEAD}x: *a", 5, 4, "an alias has no anchor before it"),
    ("an anchor inside itself", f"{HEAD}x: &a [*a]", 3, 8, "anchor &a contains itself"),
    ("a collection as an alias key", f"{HEAD}x: &a [1]\n*a : 2", 4, 1, "alias *a is a key but no text"),
    ("a merge of a text", f"{HEAD}<<: a", 3, 5, "the merge key << has a value that is no mapping"),
    ("a tab as indentation", f"{HEAD}x:\n\ty: 1", 4, 1, "a tab indents this line"),
    ("a colon too much", f"{HEAD}x: y: z", 3, 5, "mapping values are not allowed"),
    ("a reserved character", f"{HEAD}x: @y", 3, 4, "Put the text in quotes"),
    ("an open quote", f'{HEAD}x: "y', 3, 6, "unexpected end of stream"),
    ("a NUL", f"{HEAD}x: a\0b", 3, 5, "character U+0000 is not allowed"),
    ("a control character", f"{HEAD}x: é\x1b", 3, 5, "character U+001B is not allowed"),
    ("a bad byte", HEAD.encode() + b"x: \xc3\xa9\xff", 3, 5, "byte 0xff is not UTF-8"),
    ("UTF-32", HEAD.encode("utf-32"), 1, 1, "the text is UTF-32"),
    ("half a character of UTF-16", HEAD.encode("utf-16") + b"x", 3, 1, "is not UTF-16"),
    ("UTF-16 without a mark", HEAD.encode("utf-16-le"), 1, 2, "character U+0000 is not allowed"),
    (
        "a lone surrogate in JSON",
        '{"apiVersion": "v1", "kind": "A", "x": "\\ud800"}',
        1,
        43,
        "invalid Unicode character",
    ),
    ("no text at all", b"", None, None, "no Kubernetes object is in this input"),
    ("comments only", "# nothing\n---\n# here\n", None, None, "no Kubernetes object is in this input"),
    ("a text", "hello", None, None, "no Kubernetes object is in this input"),
    ("values", "replicas: 3\nimage: a", None, None, "no Kubernetes object is in this input"),
    ("an array of objects", '[{"apiVersion": "v1", "kind": "A"}]', None, None, "no Kubernetes object is in this input"),
]


@pytest.mark.parametrize(("text", "line", "column", "part"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_what_cannot_be_read_is_a_problem_with_its_place(text, line, column, part):
    found = problem(text)
    assert (found.source, found.line, found.column) == ("<stdin>", line, column)
    assert part in found.message


@pytest.mark.parametrize("case", FAULTS[:20], ids=[case[0] for case in FAULTS[:20]])
def test_the_python_parser_finds_the_same_faults(case, monkeypatch):
    monkeypatch.setattr(yamlevents, "_Loader", yamlevents.PythonLoader)
    assert problem(case[1]).line == case[2]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("kind: ConfigMap\napiVersion: v1\nreplicas: 1\nx: 2\nreplicas: 3\n", 3),
        ('\n\n{"kind": "A", "apiVersion": "v1",\n"replicas": 1,\n"replicas": 3}', 3),
        ('{"kind": "A", "apiVersion": "v1", "a": "x\\" :",\n\n"replicas": 1,\n"replicas": 3}', 3),
    ],
    ids=["block", "JSON", "JSON with a text that looks like a key"],
)
def test_a_key_that_appears_twice_is_a_problem_and_the_last_value_counts(text, kept):
    loaded = read(text)
    assert loaded.documents[0].object["replicas"] == kept
    places = [(found.line, found.message) for found in loaded.problems]
    line = next(n for n, row in enumerate(text.splitlines(), 1) if "3" in row)
    first = next(n for n, row in enumerate(text.splitlines(), 1) if "1" in row and "replicas" in row)
    assert places == [
        (
            line,
            f'key "replicas" appears twice in one mapping (first at line {first});'
            " Kubernetes keeps the last one silently. Remove one of them.",
        )
    ]


@pytest.mark.parametrize(
    "text", [f"{HEAD}1: a\n'1': b\n", f"{HEAD}x: [{{a: {{b: 1, b: 2}}}}]\n", f"{HEAD}&k a: 1\n*k : 2\n"]
)
def test_keys_that_become_the_same_text_are_found_at_any_depth(text):
    assert "appears twice" in problem(text).message


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}b: &b {{x: 1}}\na: {{<<: *b, x: 2}}\n",
        '{"apiVersion": "v1", "kind": "A", "a": "\\"x\\": 1, \\"x\\": 2"}',
        f"{HEAD}a: [{{x: 1}}, {{x: 1}}]\n",
    ],
    ids=["a merged key", "a text in JSON", "two mappings"],
)
def test_no_key_is_called_a_repetition_that_is_none(text):
    assert read(text).problems == []


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n" for old, new in itertools.pairwise("abcdefghij")
)
HOSTILE = [
    ("billion laughs", BOMB, "expand"),
    (
        "a bomb of merges",
        BOMB.replace("[x,x,x,x,x,x,x,x,x]", "{x: 1}").replace("[", "{<<: [").replace("]", "]}"),
        "expand",
    ),
    ("a quadratic bomb", f"a: &a [{'x,' * 3000}]\nb: [{'*a,' * 3000}]", "expand"),
    (
        "a chain of aliases",
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500)),
        "100 mappings",
    ),
    ("open brackets", "[" * 300_000, "100 mappings"),
    ("open braces", "{a: " * 300_000, "100 mappings"),
    ("dashes", "- " * 300_000 + "x", "100 mappings"),
    ("question marks", "? " * 300_000 + "x", "used as a key"),
    ("indentation", "\n".join(" " * n + "a:" for n in range(2000)), "100 mappings"),
    ("deep JSON", "[" * 300_000 + "]" * 300_000, "100 mappings"),
    ("JSON deeper than allowed", '{"a":' * 101 + "1" + "}" * 101, "100 mappings"),
]


@pytest.mark.parametrize(("text", "part"), [case[1:] for case in HOSTILE], ids=[case[0] for case in HOSTILE])
@pytest.mark.usefixtures("_each_parser")
def test_a_hostile_text_is_refused_fast(text, part):
    start = time.monotonic()
    assert part in problem(text).message
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("text", ["{a: " * 99 + "1" + "}" * 99, '{"a":' * 99 + "1" + "}" * 99])
def test_a_hundred_levels_are_allowed(text):
    loaded = read(f'{{"apiVersion": "v1", "kind": "A", "x": {text}}}')
    assert (len(loaded.documents), loaded.problems) == (1, [])


def test_the_aliases_of_all_documents_of_a_file_count_together():
    loaded = read((BOMB[: BOMB.index("f: ")] + "---\n") * 50)
    assert any("expand" in found.message for found in loaded.problems)


def test_anchors_in_normal_use_are_no_bomb():
    block = "".join(f"  k{n}: v\n" for n in range(50))
    text = f"{HEAD}base: &base\n{block}" + "".join(f"a{n}: {{<<: *base}}\n" for n in range(1000))
    assert read(text).problems == []


def test_a_large_file_is_read_and_a_too_large_one_refused(tmp_path, monkeypatch):
    file = tmp_path / "big.yaml"
    file.write_text("".join(f"---\n{manifest(f'a{n}')}" for n in range(20_000)))
    assert len(load([file]).documents) == 20_000
    monkeypatch.setattr(files, "MAX_BYTES", 2**20 - 1)
    assert load([file]).problems[0].message == ("the input is larger than 0 MiB; no manifest is. Split it, or leave it out.")


SEPARATORS = [
    ("plain", "---\n", 2),
    ("with a comment", "--- # next\n", 2),
    ("with spaces", "---  \n", 2),
    ("with Windows line ends", "---\r\n", 2),
    ("with an end mark", "...\n---\n", 2),
    ("with a directive after an end mark", "...\n%YAML 1.1\n---\n", 2),
    ("with empty documents", "---\n---\n# nothing\n---\nnull\n---\n", 2),
]


@pytest.mark.parametrize(("between", "count"), [case[1:] for case in SEPARATORS], ids=[case[0] for case in SEPARATORS])
def test_documents_are_separated(between, count):
    loaded = read(manifest("a") + between + manifest("b"))
    assert (names(loaded), loaded.problems) == (["a", "b"], [])
    assert [document.index for document in loaded.documents] == list(range(count))


@pytest.mark.parametrize("head", ["%YAML 1.2\n---\n", "# licence\n\n%TAG ! tag:x,2000:\n---\n", "# licence\n---\n", "\n\n"])
def test_what_stands_before_the_first_document_is_no_document(head):
    loaded = read(head + manifest("a"))
    assert (names(loaded), loaded.problems, loaded.documents[0].index) == (["a"], [], 0)


def test_a_line_of_dashes_inside_a_text_is_no_separator():
    loaded = read(f"{HEAD}x: |\n  a\n  ---\n  b\ny: ----\n")
    assert loaded.documents[0].object["x"] == "a\n---\nb\n"


@pytest.mark.parametrize("broken", ["a: [", "a: b: c", 'a: "', "\ta", "a: \0", "*x", "{", "]", "a: !x y"])
def test_a_broken_document_loses_no_other(broken):
    text = f"{manifest('a')}---\n{broken}\n---\n{manifest('b')}"
    loaded = read(text)
    assert names(loaded) == ["a", "b"]
    assert [document.index for document in loaded.documents] == [0, 2]
    assert len(loaded.problems) == 1
    assert loaded.problems[0].line in (6, 7)


def test_a_document_after_an_end_mark_needs_its_own_start():
    loaded = read(f"{manifest('a')}...\n{manifest('b')}")
    assert names(loaded) == ["a"]
    assert "did not find expected <document start>" in loaded.problems[0].message


def test_a_document_that_is_no_object_is_a_problem_beside_objects():
    found = problem(f"{manifest('a')}---\n\nreplicas: 3\nkind: A\n")
    assert (found.line, found.column) == (7, 1)
    assert found.message == ("this document is no Kubernetes object: it has no apiVersion. Complete it, or leave it out.")


@pytest.mark.parametrize(
    "text",
    [
        '{"apiVersion": "v1", "kind": "A", "x": 3.0}',
        '\ufeff \n{"apiVersion": "v1", "kind": "A", "x": 3.0}\n',
        '---\n{"apiVersion": "v1", "kind": "A", "x": 3.0}',
    ],
)
def test_json_is_read_as_json(text):
    got = read(text).documents[0].object["x"]
    assert (type(got), got) == (float, 3)


def test_json_values_after_each_other_are_documents():
    one, two = (orjson.dumps({"apiVersion": "v1", "kind": "A", "metadata": {"name": n}}).decode() for n in "ab")
    for text in (one + two, f"{one}\n{two}\n", f"{one}\n---\n{two}", f" {one}\n\n---\n# two\n{two}"):
        loaded = read(text)
        assert (names(loaded), loaded.problems) == (["a", "b"], []), text


@pytest.mark.parametrize("text", ["{apiVersion: v1, kind: A}", '{"apiVersion": "v1", "kind": "A",} # x', "{\n# x\n}"])
def test_what_begins_like_json_may_be_yaml(text):
    loaded = read(text)
    assert len(loaded.documents) == ("kind" in text)


def test_utf_16_with_a_mark_and_utf_8_with_a_mark_are_read():
    for encoding in ("utf-16", "utf-8-sig"):
        assert read(manifest("é").encode(encoding)).documents[0].object["metadata"]["name"] == "é"
    assert names(read(b"\xfe\xff" + manifest("a").encode("utf-16-be"))) == ["a"]


LIST = f"""apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: A
  metadata: {{name: a}}
- apiVersion: v1
  kind: List
  items: [{{apiVersion: v1, kind: B, metadata: {{name: b}}}}]
---
{manifest("c")}"""


def test_a_list_gives_its_items():
    loaded = read(LIST)
    assert (names(loaded), loaded.problems) == (["a", "b", "c"], [])
    assert [(d.index, d.prefix) for d in loaded.documents] == [
        (0, ("items", 0)),
        (0, ("items", 1, "items", 0)),
        (1, ()),
    ]


def test_the_items_of_a_typed_list_get_its_kind():
    loaded = read("apiVersion: apps/v1\nkind: StatefulSetList\nmetadata: {resourceVersion: '1'}\nitems: [{a: 1}]\n")
    assert loaded.documents[0].object == {"apiVersion": "apps/v1", "kind": "StatefulSet", "a": 1}


def test_an_empty_list_is_no_problem_and_a_stranger_in_a_list_is_one():
    assert read("apiVersion: v1\nkind: List\nitems: []") == Loaded([], [], [])
    found = problem("apiVersion: v1\nkind: List\nitems:\n- a\n")
    assert (found.line, found.column) == (4, 3)
    assert found.message == "this list item is no Kubernetes object: it is no mapping. Complete it, or leave it out."


def test_a_resource_whose_kind_ends_in_list_is_no_list():
    loaded = read("apiVersion: x/v1\nkind: AllowList\nmetadata: {name: a}\nitems: [1]\n")
    assert names(loaded) == ["a"]


def test_folders_are_read_deep_in_order_without_what_is_hidden(tmp_path):
    for path in ("b.yaml", "a/z.yml", "a/b/c.json", "c.YAML", ".git/x.yaml", ".hidden/y.yaml", "d.txt"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(orjson.dumps({"apiVersion": "v1", "kind": "A", "metadata": {"name": path}}).decode())
    loaded = load([tmp_path])
    assert names(loaded) == ["a/b/c.json", "a/z.yml", "b.yaml", "c.YAML"]
    assert loaded.documents[0].source == os.path.join(tmp_path, "a/b/c.json")
    assert (loaded.problems, loaded.skipped) == ([], [])


def test_what_is_no_manifest_in_a_folder_is_named_as_skipped(tmp_path):
    texts = {
        "values.yaml": "replicas: 3\n",
        "broken.yaml": "a: [\n",
        "Chart.yaml": "apiVersion: v2\nname: kind\n",
        "empty.yaml": "",
        "package.json": '{"name": "x", "a": 1, "a": 2}',
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    loaded = load([tmp_path])
    assert loaded == Loaded([], [], [str(tmp_path / name) for name in sorted(texts)])
    named = load([tmp_path, tmp_path / "values.yaml"])
    assert [found.source for found in named.problems] == [str(tmp_path / "values.yaml")]


def test_a_broken_manifest_in_a_folder_is_a_problem_and_loses_no_other_file(tmp_path):
    (tmp_path / "a.yaml").write_text(f"{HEAD}x: {{{{ .Values.x }}}}\n")
    (tmp_path / "b.yaml").write_text(manifest("b"))
    (tmp_path / "c.yaml").write_bytes(b"\xff")
    (tmp_path / "d.yaml").write_bytes(HEAD.encode("utf-16-le"))
    loaded = load([tmp_path])
    assert names(loaded) == ["b"]
    assert [Path(found.source).name for found in loaded.problems] == ["a.yaml", "c.yaml", "d.yaml"]


def test_links_are_followed_to_files_but_not_to_folders(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text(manifest("a"))
    (tmp_path / "real" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again.yaml").symlink_to(tmp_path / "real" / "a.yaml")
    (tmp_path / "self.yaml").symlink_to(tmp_path / "self.yaml")
    loaded = load([tmp_path])
    assert [document.source for document in loaded.documents] == [str(tmp_path / "again.yaml")]
    assert [found.source for found in loaded.problems] == [str(tmp_path / "self.yaml")]
    assert loaded.skipped == [str(tmp_path / "real" / "loop")]


def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.yaml")
    assert load([tmp_path]).skipped == [str(tmp_path / "pipe.yaml")]


@pytest.mark.parametrize("path", ["no/such/file.yaml", "", "a\0b", "x" * 5000])
def test_a_path_that_leads_nowhere_is_a_problem(path):
    loaded = load([path])
    assert [(found.source, found.line) for found in loaded.problems] == [(path, None)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_a_problem(tmp_path):
    (tmp_path / "a.yaml").write_text(manifest("a"))
    (tmp_path / "a.yaml").chmod(0)
    assert "cannot be read: Permission denied" in load([tmp_path]).problems[0].message


def test_standard_input_is_read_once_and_may_be_missing():
    stdin = io.BytesIO(manifest("a").encode())
    assert names(load(["-", "-"], stdin)) == ["a"]
    assert "no Kubernetes object" in load(["-"], None).problems[0].message


def test_the_same_file_is_read_once(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text(manifest("a"))
    assert names(load([file, tmp_path, str(file)])) == ["a"]


def test_a_document_shows_what_it_is():
    document = read(manifest("a")).documents[0]
    assert repr(document) == "Document('<stdin>', 0, 'ConfigMap')"
    assert document.text == manifest("a")


def sound(loaded: Loaded) -> None:
    """What holds for any input."""
    for found in loaded.problems:
        assert found.message
        assert (found.line is None) == (found.column is None)
        assert found.line is None or (found.line >= 1 and found.column >= 1)
    for document in loaded.documents:
        assert isinstance(document, Document)
        orjson.dumps(document.object)
        for path in ((), ("kind",), ("spec", "replicas"), ("metadata", "name", "x", 0)):
            span = document.locate(path)
            assert span.text in document.text
            assert 1 <= span.column <= span.end_column <= len(span.text) + 1


PIECES = [
    *"\n\n  :-[]{},&*!|>'\"#?%@`~.\\\t\r\0é\ufeff\x85x",
    *("apiVersion: v1\n", "kind: List\n", "items:\n", "- ", "a: ", "<<: ", "*x", "&x ", "!!int ", "! ", "? ", "  "),
    *("---\n", "...\n", "%YAML 1.1\n", "0x", "1e", "\\ud800", "\\UFFFFFFFF", '{"a":1}', '"', "|\n", ">-\n"),
]
YAMLISH = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(st.binary(max_size=200))
def test_random_bytes_never_raise(data):
    sound(read(data))


@given(YAMLISH)
@settings(max_examples=400)
def test_random_yaml_never_raises(text):
    sound(read(text))
    sound(read(HEAD + text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(yamlevents, "_Loader", yamlevents.PythonLoader)
        sound(read(HEAD + text))


@given(st.text(max_size=60))
def test_random_text_after_a_manifest_never_raises(text):
    sound(read((manifest("a") + text).encode("utf-8", "surrogatepass")))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(JSON)
def test_json_comes_back_as_it_was(data):
    value = {"apiVersion": "v1", "kind": "A", "x": data}
    assert [document.object for document in read(orjson.dumps(value)).documents] == [value]


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(), lambda inner: st.lists(inner)))
def test_what_yaml_quotes_comes_back_as_it_was(data):
    text = yaml.safe_dump({"apiVersion": "v1", "kind": "A", "x": data}, default_style='"')
    assert orjson.dumps(read(text).documents[0].object["x"]) == orjson.dumps(data)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not on this machine")
def test_real_manifests_are_read_and_mutated_ones_never_raise():
    loaded = load([SAMPLES])
    assert len(loaded.documents) > 500
    assert loaded.problems == []
    sound(loaded)
    dice = random.Random(7)  # noqa: S311
    texts = sorted(SAMPLES.rglob("*.yaml"))
    for _ in range(500):
        data = bytearray(dice.choice(texts).read_bytes())
        for _ in range(dice.randrange(1, 5)):
            place = dice.randrange(len(data) + 1)
            data[place : place + dice.randrange(3)] = dice.choice(
                [b"", b"\t", b"[", b"\xff", b"- ", b": ", b"&a ", b"*a", b"\n---\n"]
            )
        sound(read(bytes(data)))


def test_five_hundred_manifests_are_read_in_well_under_two_seconds(tmp_path):
    body = "".join(f"  key{n}: {{name: value, list: [a, b, 3], text: 'x'}}\n" for n in range(20))
    for n in range(500):
        (tmp_path / f"{n}.yaml").write_text(f"{manifest(f'a{n}')}spec:\n{body}")
    start = time.monotonic()
    assert len(load([tmp_path]).documents) == 500
    assert time.monotonic() - start < 2
