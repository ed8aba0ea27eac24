"""A field changed in the text of a manifest: the rest stays as it is, byte for byte."""

from __future__ import annotations

import contextlib
import copy
import io
import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stateward.cli import manifests
from stateward.cli.patch import PatchError, applied, patched, same
from stateward.policies.finding import REMOVE, SetField

HEAD = "apiVersion: v1\nkind: Thing\n"


def change(text: str, path: tuple, value: object, which: tuple = (0, ())) -> str:
    return patched(text, which, [SetField(path, value)])


def body(text: str, path: tuple, value: object) -> str:
    """The same without the head."""
    result = change(HEAD + text, path, value)
    assert result.startswith(HEAD)
    return result.removeprefix(HEAD)


@pytest.mark.parametrize(
    ("text", "path", "value", "result"),
    {
        "a plain value": ("spec:\n  size: 5Gi  # small\n", ("spec", "size"), "10Gi", "spec:\n  size: 10Gi  # small\n"),
        "in double quotes": ('spec: {size: "5Gi"}\n', ("spec", "size"), "10Gi", 'spec: {size: "10Gi"}\n'),
        "in single quotes": ("spec:\n    size: '5Gi'\n", ("spec", "size"), "it's", "spec:\n    size: 'it''s'\n"),
        "a text that reads as a number is quoted": ("spec:\n  size: 5Gi\n", ("spec", "size"), "10", 'spec:\n  size: "10"\n'),
        "a text that reads as a boolean is quoted": ("spec: {a: b}\n", ("spec", "a"), "on", 'spec: {a: "on"}\n'),
        "a number": ("spec:\n  replicas: 1\n", ("spec", "replicas"), 3, "spec:\n  replicas: 3\n"),
        "a number in place of a quoted text": (
            "spec:\n  replicas: '1'\n",
            ("spec", "replicas"),
            3,
            "spec:\n  replicas: 3\n",
        ),
        "true": ("spec: {keep: no}\n", ("spec", "keep"), True, "spec: {keep: true}\n"),
        "an empty value": (
            "spec:\n  size:   # none yet\n  x: 1\n",
            ("spec", "size"),
            "1Gi",
            "spec:\n  size: 1Gi   # none yet\n  x: 1\n",
        ),
        "behind a tag": ("spec:\n  size: !!str 5\n", ("spec", "size"), "10Gi", "spec:\n  size: !!str 10Gi\n"),
        "a folded text": (
            "spec:\n  size: >-\n    5Gi\n    x\n  b: 1\n",
            ("spec", "size"),
            "1Gi",
            "spec:\n  size: 1Gi\n  b: 1\n",
        ),
        "an item of a list": ("spec:\n- a: 1\n- a: 2 # two\n", ("spec", 1, "a"), 3, "spec:\n- a: 1\n- a: 3 # two\n"),
        "a key with dots": ("spec:\n  a.b/c: 1\n", ("spec", "a.b/c"), 2, "spec:\n  a.b/c: 2\n"),
        "a missing key": (
            "spec:\n  a: 1  # one\n\n  # two\n  b:\n    - x\nstatus: {}\n",
            ("spec", "size"),
            "1Gi",
            "spec:\n  a: 1  # one\n\n  # two\n  b:\n    - x\n  size: 1Gi\nstatus: {}\n",
        ),
        "a missing key in an item": (
            "spec:\n- a: 1\n- a: 2\n",
            ("spec", 0, "b"),
            True,
            "spec:\n- a: 1\n  b: true\n- a: 2\n",
        ),
        "a missing key, no line end": ("spec:\n    a: 1", ("spec", "b"), 2, "spec:\n    a: 1\n    b: 2"),
        "a missing key behind a block of text": (
            "spec:\n  a: |\n    x\n    y\nz: 1\n",
            ("spec", "b"),
            2,
            "spec:\n  a: |\n    x\n    y\n  b: 2\nz: 1\n",
        ),
        "a missing mapping": (
            "spec:\n  a: 1\n",
            ("spec", "retention", "whenDeleted"),
            "Retain",
            "spec:\n  a: 1\n  retention:\n    whenDeleted: Retain\n",
        ),
        "an empty mapping": ("spec: {}\n", ("spec", "size"), "1Gi", "spec: {size: 1Gi}\n"),
        "a null instead of a mapping": ("spec:\nx: 1\n", ("spec", "size"), "1Gi", 'spec: {"size": "1Gi"}\nx: 1\n'),
        "a missing key in braces": ("spec: {a: 1, b: 2}\n", ("spec", "size"), "1Gi", "spec: {a: 1, b: 2, size: 1Gi}\n"),
        "a missing key in braces over lines": (
            "spec: {\n  a: 1,\n  b: 2\n}\n",
            ("spec", "size"),
            "1Gi",
            "spec: {\n  a: 1,\n  b: 2,\n  size: 1Gi\n}\n",
        ),
        "taken out": (
            "spec:\n  a: 1 # one\n  size: 5Gi # x\n  b: 2\n",
            ("spec", "size"),
            REMOVE,
            "spec:\n  a: 1 # one\n  b: 2\n",
        ),
        "taken out, with all below": (
            "spec:\n  a:\n    b: [1,\n      2]\n  # c\n  c: 2\n",
            ("spec", "a"),
            REMOVE,
            "spec:\n  # c\n  c: 2\n",
        ),
        "the last one taken out": ("spec:\n  a: 1\n  b: 2", ("spec", "b"), REMOVE, "spec:\n  a: 1\n"),
        "the only one taken out": ("spec:\n  size: 5Gi  # x\nz: 1\n", ("spec", "size"), REMOVE, "spec:\n  {}  # x\nz: 1\n"),
        "the first of an item taken out": ("spec:\n- a: 1\n  b: 2\n", ("spec", 0, "a"), REMOVE, "spec:\n- b: 2\n"),
        "taken out of braces": ("spec: {a: 1, b: 2, c: 3}\n", ("spec", "b"), REMOVE, "spec: {a: 1, c: 3}\n"),
        "the last one taken out of braces": ("spec: {a: 1, b: 2}\n", ("spec", "b"), REMOVE, "spec: {a: 1}\n"),
        "the only one taken out of braces": ("spec: { b: 2 }\n", ("spec", "b"), REMOVE, "spec: {  }\n"),
        "what is not there taken out": ("spec: {a: 1}\n", ("spec", "x", "y"), REMOVE, "spec: {a: 1}\n"),
        "a value that another spells as an anchor": ("a: &x 1\nspec: {b: 2}\n", ("spec", "b"), 3, "a: &x 1\nspec: {b: 3}\n"),
        "an anchor that nobody uses": ("spec: {b: &x 2}\n", ("spec", "b"), 3, "spec: {b: &x 3}\n"),
        "a mapping in place of another": (
            "spec:\n  a:\n    b: 1\n  c: 2\n",
            ("spec", "a"),
            {"x": [1]},
            'spec:\n  a: {"x": [1]}\n  c: 2\n',
        ),
    }.values(),
)
def test_one_field_is_changed_and_nothing_else(text, path, value, result):
    assert body(text, path, value) == result


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_ends_stay_what_they_are(newline):
    text = newline.join(["apiVersion: v1", "kind: Thing", "spec:", "  a: 1", "  b: {c: 2}", ""])
    assert change(text, ("spec", "size"), "1Gi") == text + f"  size: 1Gi{newline}"
    assert change(text, ("spec", "a"), REMOVE) == text.replace(f"  a: 1{newline}", "")


@pytest.mark.parametrize(
    ("text", "path", "value", "result"),
    [
        ('{"a":1,"b":"x"}', ("b",), "y", '{"a":1,"b":"y"}'),
        ('{"a":1,"b":"x"}', ("c",), "y", '{"a":1,"b":"x","c":"y"}'),
        ('{"a": {"b": 1}}', ("a", "c", "d"), 2, '{"a": {"b": 1, "c": {"d": 2}}}'),
        (
            '{\n  "a": 1,\n  "b": {\n    "c": 2\n  }\n}\n',
            ("b", "d"),
            True,
            '{\n  "a": 1,\n  "b": {\n    "c": 2,\n    "d": true\n  }\n}\n',
        ),
        ('{"a": {}}', ("a", "b"), "x", '{"a": {"b": "x"}}'),
        ('{"a": 1, "b": 2}', ("a",), REMOVE, '{"b": 2}'),
        ('{"a": 1}', ("b",), 'ü\u2028"', '{"a": 1, "b": "ü\\u2028\\""}'),
    ],
)
def test_json_stays_json(text, path, value, result):
    head = '{"apiVersion": "v1", "kind": "Thing", "spec": '
    changed = change(f"{head}{text}}}\n", ("spec", *path), value)
    assert changed == f"{head}{result}}}\n"
    json.loads(changed)


@pytest.mark.parametrize(
    ("text", "path", "says"),
    {
        "an alias": ("a: &x {size: 1}\nspec: *x\n", ("spec", "size"), "its text is an alias"),
        "a value that is an alias": ("a: &x 1\nspec: {size: *x}\n", ("spec", "size"), "its text is an alias"),
        "an anchor that others use": ("spec: {size: &x 1}\nb: *x\n", ("spec", "size"), "other places share its text"),
        "inside of an anchor that others use": (
            "spec: &x\n  size: 1\nb: *x\n",
            ("spec", "size"),
            "other places share its text",
        ),
        "a merge key": ("a: &x {size: 1}\nspec: {<<: *x, b: 2}\n", ("spec", "size"), "a merge key"),
        "twice the same key": ("spec:\n  size: 1\n  size: 2\n", ("spec", "size"), 'the key "size" appears twice'),
        "a list where a mapping is meant": ("spec: [1]\n", ("spec", "size"), "the manifest has no place for it"),
        "a text where a mapping is meant": ("spec: text\n", ("spec", "size"), "the manifest has no place for it"),
        "an item that is not there": ("spec: [{size: 1}]\n", ("spec", 1, "size"), "the manifest has no place for it"),
    }.values(),
)
def test_what_is_shared_or_has_no_place_is_refused(text, path, says):
    with pytest.raises(PatchError) as error:
        body(text, path, 5)
    assert says in str(error.value)
    assert "spec" in str(error.value)


def test_an_item_of_a_list_of_objects_and_a_later_document_are_found():
    items = "- {apiVersion: v1, kind: A, spec: {a: 1}}\n- apiVersion: v1\n  kind: B\n"
    text = f"{HEAD}---\n# two\napiVersion: v1\nkind: List\nitems:\n{items}"
    assert change(text, ("spec", "a"), 2, (1, ("items", 0))) == text.replace("a: 1", "a: 2")
    assert change(text, ("spec", "a"), 2, (1, ("items", 1))) == text + "  spec:\n    a: 2\n"


def test_steps_build_on_each_other():
    steps = [
        SetField(("spec", "a"), 1),
        SetField(("spec", "a"), REMOVE),
        SetField(("spec", "b"), "x"),
        SetField(("spec", "b"), "z"),
    ]
    assert patched(f"{HEAD}spec: {{c: 1}}\n", (0, ()), steps) == f"{HEAD}spec: {{c: 1, b: z}}\n"


# --- properties ----------------------------------------------------------------------------------------------------

KEYS = st.sampled_from(["a", "b", "size", "no", "1", "a.b/c", "ü", "- x", "#"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.sampled_from(
        [
            "",
            "x",
            "10Gi",
            "1e3",
            "0.5",
            "yes",
            "null",
            "a: b",
            "a #b",
            "ü",
            "'",
            '"',
            "a\nb\n",
            "\ttab",
            "*x",
            "- a",
            "---",
            "\u2028",
            "😀",
        ]
    )
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(st.sampled_from(["spec", "data", "a", "b"]), VALUES, max_size=3).map(
    lambda one: {"apiVersion": "v1", "kind": "T", **one}
)


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Objects as people and machines write them: block and flow, several in a file, comments, any line end."""
    parts = []
    for item in draw(st.lists(OBJECTS, min_size=1, max_size=3)):
        style = draw(st.sampled_from(["block", "flow", "mixed", "json", "pretty"]))
        if style in ("json", "pretty"):
            parts.append(json.dumps(item, indent=2 if style == "pretty" else None, ensure_ascii=draw(st.booleans())) + "\n")
            continue
        flow = {"block": False, "flow": True, "mixed": None}[style]
        indent = draw(st.integers(2, 5))
        text = yaml.safe_dump(
            item, default_flow_style=flow, indent=indent, sort_keys=False, allow_unicode=draw(st.booleans()), width=1000
        )
        if draw(st.booleans()) and style == "block":
            text = "".join(f"{line}\n" for line in ["# a comment", *text.splitlines(), "# the end"] if "\u2028" not in text)
        parts.append(text or "a: 1\n")
    text = "---\n".join(parts)
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text.rstrip("\r\n") if draw(st.booleans()) else text


def paths_of(value: object, path: tuple = ()) -> list[tuple]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(one for key, item in below for one in paths_of(item, (*path, key)))]


def read(text: str) -> list[manifests.Document]:
    return manifests.load(["-"], io.BytesIO(text.encode("utf-8", "surrogatepass"))).documents


@given(texts(), st.data())
def test_what_is_read_again_is_the_object_with_the_patch_and_nothing_else_has_changed(text, data):
    documents = read(text)
    if not documents:
        return
    target = data.draw(st.sampled_from(documents))
    places = [path for path in paths_of(target.object) if path and path[0] not in ("apiVersion", "kind")]
    path = data.draw(st.sampled_from([*places, ("spec", "new"), ("new", "deep", "er")]))
    step = SetField(path, data.draw(st.just(REMOVE) | VALUES))
    try:
        wanted = applied(target.object, step)
        changed = patched(text, (target.index, target.prefix), [step])
    except PatchError:
        return  # refused: nothing is written
    after = read(changed)
    assert same([one.object for one in after], [wanted if one is target else one.object for one in documents])
    head = _common(text, changed)
    tail = _common(text[head:][::-1], changed[head:][::-1])
    untouched = text[:head].count("\n") + text[len(text) - tail :].count("\n")
    span = text[head : len(text) - tail]
    assert untouched + span.count("\n") == text.count("\n"), "one place was changed"


def _common(one: str, another: str) -> int:
    return next(
        (at for at, (left, right) in enumerate(zip(one, another, strict=False)) if left != right),
        min(len(one), len(another)),
    )


SIMPLE = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.integers(0, 9) | st.sampled_from(["x", "10Gi", "fast"]), min_size=1, max_size=3
)


@given(
    st.dictionaries(
        st.sampled_from(["spec", "data"]), SIMPLE | st.lists(SIMPLE, min_size=1, max_size=2), min_size=1, max_size=2
    ),
    st.sampled_from([False, None]),
    st.sampled_from(["1Gi", 5, True, "x y", "on"]),
    st.data(),
)
def test_ordinary_manifests_are_never_refused_and_other_lines_never_touched(item, flow, value, data):
    text = HEAD + "".join(
        f"{line}  # kept\n" for line in yaml.safe_dump(item, default_flow_style=flow, width=1000).splitlines()
    )
    places = [path for path in paths_of(item) if len(path) > 1 and not isinstance(path[-1], int)]
    path = data.draw(st.sampled_from([*places, *((*path[:-1], "new") for path in places)]))
    changed = patched(text, (0, ()), [SetField(path, value)])
    before, after = text.splitlines(), changed.splitlines()
    if path in places or flow is None:
        assert len(before) == len(after)
        assert sum(one != another for one, another in zip(before, after, strict=True)) <= 1
    else:
        added = [line for line in after if "new" in line]
        assert len(added) == 1
    assert changed.count("# kept") == text.count("# kept")
    assert same(read(changed)[0].object, applied(read(text)[0].object, SetField(path, value)))


@given(OBJECTS, st.lists(KEYS, min_size=1, max_size=3).map(tuple), VALUES)
def test_a_patch_never_changes_the_object_it_is_given(item, path, value):
    before = copy.deepcopy(item)
    for wanted in (value, REMOVE):
        with contextlib.suppress(PatchError):
            applied(item, SetField(path, wanted))
    assert item == before
