"""Line and column of every field, in every notation of a manifest."""

import io
import itertools

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stateward.cli import yamlevents
from stateward.cli.manifests import Document, load
from stateward.cli.positions import Span, Text


def only(text: str) -> Document:
    documents = load(["-"], io.BytesIO(text.encode())).documents
    assert len(documents) == 1
    return documents[0]


def shown(document: Document, *path: str | int) -> tuple[int, int, str]:
    """Line, column and the text that a span covers."""
    span = document.locate(path)
    return span.line, span.column, span.text[span.column - 1 : span.end_column - 1]


BLOCK = """# a database
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: "db"   # the name
  labels: {app: db, é: ü, tier: data}
spec:
  replicas: 3
  serviceName: !!str 'x y'
  paused:
  script: |-
    one
    two
  long: one
    two
  template:
    spec:
      containers:
      - name: a
        args: [x, "y z", {k: v}]
      -   name: b
          image: pg:16
  0644: octal
  ? complex
  : value
"""
PLACES = [
    ((), (2, 1, "apiVersion: apps/v1")),
    (("kind",), (3, 7, "StatefulSet")),
    (("metadata",), (5, 3, 'name: "db"   # the name')),
    (("metadata", "name"), (5, 9, '"db"')),
    (("metadata", "labels"), (6, 11, "{app: db, é: ü, tier: data}")),
    (("metadata", "labels", "app"), (6, 17, "db")),
    (("metadata", "labels", "é"), (6, 24, "ü")),
    (("metadata", "labels", "tier"), (6, 33, "data")),
    (("spec", "replicas"), (8, 13, "3")),
    (("spec", "serviceName"), (9, 22, "'x y'")),
    (("spec", "paused"), (10, 3, "paused")),
    (("spec", "script"), (11, 11, "|-")),
    (("spec", "long"), (14, 9, "one")),
    (("spec", "template", "spec", "containers"), (19, 7, "- name: a")),
    (("spec", "template", "spec", "containers", 0), (19, 9, "name: a")),
    (("spec", "template", "spec", "containers", 0, "args"), (20, 15, '[x, "y z", {k: v}]')),
    (("spec", "template", "spec", "containers", 0, "args", 1), (20, 19, '"y z"')),
    (("spec", "template", "spec", "containers", 0, "args", 2, "k"), (20, 30, "v")),
    (("spec", "template", "spec", "containers", 1, "image"), (22, 18, "pg:16")),
    (("spec", "420"), (23, 9, "octal")),
    (("spec", "complex"), (25, 5, "value")),
    # What is not there: the key of what is there last, in a list the item.
    (("status", "x"), (2, 1, "apiVersion: apps/v1")),
    (("spec", "missing"), (7, 1, "spec")),
    (("spec", "replicas", "x"), (8, 3, "replicas")),
    (("spec", "template", "spec", "volumes", 0, "name"), (17, 5, "spec")),
    (("spec", "template", "spec", "containers", 2), (18, 7, "containers")),
    (("spec", "template", "spec", "containers", -1), (18, 7, "containers")),
    (("spec", "template", "spec", "containers", "x"), (18, 7, "containers")),
    (("spec", "template", "spec", "containers", 1, "ports"), (21, 11, "name: b")),
    (("spec", "template", "spec", "containers", 0, "args", 2, "z"), (20, 26, "{k: v}")),
    (("metadata", "labels", 0), (6, 3, "labels")),
]


@pytest.fixture(params=["C parser", "Python parser"])
def _each_parser(request, monkeypatch):
    if request.param == "Python parser":
        monkeypatch.setattr(yamlevents, "_Loader", yamlevents.PythonLoader)


@pytest.mark.parametrize(("path", "place"), PLACES, ids=[".".join(map(str, path)) for path, _ in PLACES])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.usefixtures("_each_parser")
def test_a_field_of_a_block_is_found_with_every_line_end(path, place, line_end):
    text = BLOCK.replace("\n", line_end)
    assert shown(only(text), *path) == place
    assert only(text).locate(path).text == BLOCK.splitlines()[place[0] - 1]


def test_a_field_is_found_after_a_byte_order_mark_and_in_utf_16():
    for encoding in ("utf-8-sig", "utf-16"):
        document = load(["-"], io.BytesIO(BLOCK.encode(encoding))).documents[0]
        assert shown(document, "spec", "replicas") == (8, 13, "3")
        assert document.locate(["kind"]) == Span(3, 7, 18, "kind: StatefulSet")


JSON = (
    '{\t"apiVersion": "v1", "kind": "A",\r\n'
    '\t"x": {"ü\\"\\u00e9": [1, -2.5e3,\n'
    ' null, {"k": "a:,[]{}"}, [], {}]},\n'
    '"y" : true}\n'
)
JSON_PLACES = [
    ((), (1, 1, '{\t"apiVersion": "v1", "kind": "A",')),
    (("kind",), (1, 31, '"A"')),
    (("x",), (2, 7, '{"ü\\"\\u00e9": [1, -2.5e3,')),
    (("x", 'ü"é'), (2, 21, "[1, -2.5e3,")),
    (("x", 'ü"é', 1), (2, 25, "-2.5e3")),
    (("x", 'ü"é', 2), (3, 2, "null")),
    (("x", 'ü"é', 3, "k"), (3, 14, '"a:,[]{}"')),
    (("x", 'ü"é', 4), (3, 26, "[]")),
    (("x", 'ü"é', 5), (3, 30, "{}")),
    (("x", 'ü"é', 6), (2, 8, '"ü\\"\\u00e9"')),
    (("x", "z"), (2, 2, '"x"')),
    (("y",), (4, 7, "true")),
]


@pytest.mark.parametrize(("path", "place"), JSON_PLACES, ids=[".".join(map(str, path)) for path, _ in JSON_PLACES])
@pytest.mark.parametrize("before", ["", "---\n", "apiVersion: v1\nkind: B\n---\n", '{"apiVersion": "v1", "kind": "B"}\n'])
def test_a_field_of_json_is_found(path, place, before):
    document = load(["-"], io.BytesIO((before + JSON).encode())).documents[-1]
    line, column, text = place
    assert shown(document, *path) == (line + before.count("\n"), column, text)


def test_lines_count_through_the_documents_of_a_file():
    parts = [
        "# one\n",
        "apiVersion: v1\nkind: A\n",
        "a: [\n",
        "# three\n\napiVersion: v1\nkind: B\n...\n",
        "{kind: C, apiVersion: v1}",
    ]
    text = "---\n".join(parts)
    documents = load(["-"], io.BytesIO(text.encode())).documents
    assert [shown(document, "kind") for document in documents] == [(4, 7, "A"), (11, 7, "B"), (14, 8, "C")]


def test_documents_after_each_other_in_one_part_are_told_apart():
    text = "\r".join(["apiVersion: v1", "kind: A", "---", "apiVersion: v1", "kind: B", "--- {apiVersion: v1, kind: C}"])
    documents = load(["-"], io.BytesIO(text.encode())).documents
    assert [shown(document, "kind") for document in documents] == [(2, 7, "A"), (5, 7, "B"), (6, 28, "C")]


def test_the_items_of_a_list_are_found_in_the_list():
    text = """apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: A
- apiVersion: v1
  kind: PodList
  items:
  - spec: {x: 1}
"""
    first, second = load(["-"], io.BytesIO(text.encode())).documents
    assert shown(first, "kind") == (5, 9, "A")
    assert shown(first, "spec", "x") == (4, 3, "apiVersion: v1")
    assert shown(second, "spec", "x") == (9, 15, "1")
    assert second.locate(["kind"]).line == 9


ANCHORS = """apiVersion: v1
kind: A
base: &base
  size: &size 10Gi
  class: fast
x:
  <<: *base
  class: slow
w: {class: slow, <<: *base}
z: *base
s: *size
l: {<<: [{a: 1}, {a: 2, b: 3}]}
"""


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("base", "size"), (4, 15, "10Gi")),
        (("x", "size"), (4, 15, "10Gi")),
        (("x", "class"), (8, 10, "slow")),
        (("w", "class"), (5, 10, "fast")),
        (("z",), (10, 4, "*base")),
        (("z", "class"), (5, 10, "fast")),
        (("z", "none"), (10, 1, "z")),
        (("s",), (11, 4, "*size")),
        (("l", "a"), (12, 14, "1")),
        (("l", "b"), (12, 28, "3")),
        (("x", "none"), (6, 1, "x")),
    ],
)
@pytest.mark.usefixtures("_each_parser")
def test_what_comes_by_an_alias_is_found_where_it_is_written(path, place):
    assert shown(only(ANCHORS), *path) == place


def test_of_a_repeated_key_the_value_that_counts_is_found():
    assert shown(only("apiVersion: v1\nkind: A\nx: 1\nx: 2\n"), "x") == (4, 4, "2")
    assert shown(only('{"apiVersion": "v1", "kind": "A",\n"x": 1,\n"x": 2}'), "x") == (3, 6, "2")


def test_nothing_is_worked_out_before_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(Text, "where", lambda *_: pytest.fail("asked for a position"))
    load(["-"], io.BytesIO(BLOCK.encode()))


def test_a_chain_of_merges_is_followed_without_end_of_stack():
    links = "".join(f"k{n}: &k{n} {{<<: *k{n - 1}}}\n" for n in range(1, 400))
    text = f"apiVersion: v1\nkind: A\nk0: &k0 {{x: 1}}\n{links}"
    assert shown(only(text), "k399", "x") == (3, 13, "1")


NAMES = st.text(st.sampled_from("abcxz.-/é"), min_size=1, max_size=6)
OBJECTS = st.dictionaries(
    NAMES,
    st.recursive(
        st.integers(-(2**63), 2**63) | st.text("ab é\"'\\:#", max_size=8) | st.booleans(),
        lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=12,
    ),
)


def leaves(value: object, path: tuple[str | int, ...] = ()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path, value


@given(OBJECTS, st.sampled_from(["block", "flow", "json", "indented json"]))
def test_the_text_at_the_place_of_a_leaf_is_its_value(data, style):
    value = {**data, "apiVersion": "v1", "kind": "A"}
    text = {
        "block": lambda: yaml.safe_dump(value, allow_unicode=True, width=10**6),
        "flow": lambda: yaml.safe_dump(value, default_flow_style=True, width=10**6),
        "json": lambda: orjson.dumps(value).decode(),
        "indented json": lambda: orjson.dumps(value, option=orjson.OPT_INDENT_2).decode(),
    }[style]()
    document = only(text)
    for path, leaf in itertools.islice(leaves(value), 50):
        covered = shown(document, *path)[2]
        assert yaml.safe_load(covered) == leaf or covered == leaf
