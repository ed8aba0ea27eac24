"""What the reader of plain YAML reads, and what it leaves to a whole parser."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.policies import data, wholeyaml
from stateward.policies.plainyaml import MAX_DEPTH, Reader, Unusual


def scalar(text: str):
    if text == "null":
        raise Unusual
    return int(text) if text.isdecimal() else text


def read(text: str, anchors: bool = False):
    return Reader(scalar, anchors).read(text)


READ = [
    ("a: b\nc: 1\n", {"a": "b", "c": 1}),
    ("a: b", {"a": "b"}),
    ("a:\n  b:\n    c: d\ne: f\n", {"a": {"b": {"c": "d"}}, "e": "f"}),
    ("a:\nb:\n", {"a": None, "b": None}),
    ("a:\n- b\n- c\nd: e\n", {"a": ["b", "c"], "d": "e"}),
    ("a:\n  - b: c\n    d: e\n  - f\n", {"a": [{"b": "c", "d": "e"}, "f"]}),
    ("- - a\n  - b\n- c: d\n  e:\n    - f\n", [["a", "b"], {"c": "d", "e": ["f"]}]),
    ("-   a: b\n    c: d\n", [{"a": "b", "c": "d"}]),
    ("  a: b\n  c: d\n", {"a": "b", "c": "d"}),
    ("# first\n\na: b # why\n  # in between\n\nc: '#d' #\n", {"a": "b", "c": "#d"}),
    ("a: b#c\nd: e:f\ng: http://x:80/y\n", {"a": "b#c", "d": "e:f", "g": "http://x:80/y"}),
    ("a: \"b 'c'\"\nd: 'it''s'\n\"e f\": ''\n", {"a": "b 'c'", "d": "it's", "e f": ""}),
    (r'a: "b\n\"c\"\\"' + "\n", {"a": 'b\n"c"\\'}),
    ("a: {}\nb: []\nc: [d, 'e', \"f\", 1]\n", {"a": {}, "b": [], "c": ["d", "e", "f", 1]}),
    ("a: {b: c, d: [e, {f: g}], \"h\": 1}  # i\n", {"a": {"b": "c", "d": ["e", {"f": "g"}], "h": 1}}),
    ("a: [b,\n    c,\n  d]\ne: f\n", {"a": ["b", "c", "d"], "e": "f"}),
    ("a: |\n  b\n   c\n\n  d: e # f\n\n\ng: h\n", {"a": "b\n c\n\nd: e # f\n", "g": "h"}),
    ("a: |-\n    b\n\n", {"a": "b"}),
    ("- a: |\n    b\n  c: d\n", [{"a": "b\n", "c": "d"}]),
    ("a: >\n  b\n  c\nd: >-\n  e\n  f\n", {"a": "b c\n", "d": "e f"}),
    ("a: x ü\u00a0😀\n", {"a": "x ü\u00a0😀"}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), READ, ids=lambda one: repr(one)[:40])
def test_plain_yaml_is_read(text, value):
    assert read(text) == value
    assert wholeyaml.load(text.encode(), None) == value


STARTS = ("a: ", "a:", "  a: ", "- a: ", "- ", "- - b: ", "'a: b': ", '"a: ', "# a: ", "a:  ", "a :", "null: ", "a: b: ")
RESTS = ("b\n", "\n", "b: c\n", "b # c\n", "'b'\n", "[b, {c: d}]\n", "[b,\n", "|\n    b\n", "&b\n", "null\n", "b:\n", '"\n')
WELL_READ = Reader(scalar)


@pytest.mark.parametrize(
    "text",
    [
        "", "# nothing\n", "text\n", "a\n", "a: b\n  c\n", "a: b\n c: d\n", "a: b\n\tc: d\n", "a:\n  b: c\n d: e\n",
        "- a\nb: c\n", "a: b\n- c\n", "a: b\na: c\n", "a: b: c\n", "a: b:\n", "a b: c\n", "? a\n: b\n", ": a\n",
        "a: - b\n", "-\n  a\n", "-a\n", "a: &b c\n", "a: *b\n", "a: !!str b\n", "<<: {a: b}\n", "a: {<<: b}\n",
        "null: a\n", "a: {null: b}\n", "1: a\n", 'a: "b\n', 'a: "b\n  c"\n', "a: 'b' c\n", 'a: "b"c\n',
        r'a: "\x41"' "\n", r'"a\n": b' "\n", 'a: "b\tc"\n', "a: b\tc\n", "a: |+\n  b\n", "a: |2\n   b\n",
        "a: |\n\n  b\n", "a: |\n  b", "a: |\nb: c\n", "a: |\n    b\n  c\n", "a: |\n \tb\n", "a: >\n  b\n\n  c\n",
        "a: >\n  b\n   c\n", "a: | b\n", "a: |# b\n", "a: [b\n", "a: [b,\nc]\n", "a: [b,\n\n  c]\n", "a: [b] c\n",
        "a: [b]]\n", "a: [,]\n", "a: [b, ]\n", "a: {b}\n", "a: {b: }\n", "a: {b: c, b: d}\n", "a: {b: c}}\n",
        "a: [b: c]\n", "a: [b}\n", "a: [b c: d]\n", 'a: ["b" "c"]\n', 'a: {"b":c}\n', "a: @b\n", "a: `b\n", "a: %b\n",
        "a: ,b\n", "a: ]\n", "%YAML 1.1\n", "a: b\r\nc: d\n", "a: b\x00\n", "a: \x7f\n", "a: \x85b\n", "a: b\u2028c\n",
        "a: \ufeffb\n", "a: \ud800\n", "a: b\n...\n", "...\n", f"{'a' * 501}: b\n",
    ],
    ids=repr,
)  # fmt: skip
def test_all_else_is_unusual(text):
    with pytest.raises(Unusual):
        read(text)


@given(st.lists(st.tuples(st.sampled_from(STARTS), st.sampled_from(RESTS)), min_size=2, max_size=8))
def test_a_line_is_what_it_is_whatever_was_met_before(lines):
    for text in ("".join(map("".join, lines)), *map("".join, lines)):
        try:
            expected = repr(read(text))
        except Unusual:
            with pytest.raises(Unusual):
                WELL_READ.read(text)
        else:
            assert repr(WELL_READ.read(text)) == expected


def test_deep_nesting_is_unusual():
    deep = "".join(f"{' ' * level}a:\n" for level in range(MAX_DEPTH + 2))
    for text in (deep, "- " * (MAX_DEPTH + 2) + "a\n", "a: " + "[" * 40 + "]" * 40 + "\n"):
        with pytest.raises(Unusual):
            read(text)


def test_a_line_read_again_gives_a_value_of_its_own():
    reader = Reader(scalar)
    first, second = (reader.read("a: [{b: c}]\n") for _ in range(2))
    first["a"][0]["b"] = "changed"
    assert second == reader.read("a: [{b: c}]\n") == {"a": [{"b": "c"}]}


def test_a_reader_forgets_when_it_knows_too_much(monkeypatch):
    monkeypatch.setattr("stateward.policies.plainyaml._MOST_KEPT", 10)
    reader = Reader(scalar)
    text = "".join(f"a{number}: {number}\n" for number in range(50))
    assert reader.read(text) == reader.read(text) == {f"a{number}": number for number in range(50)}


def test_anchors_of_scalars_are_read_where_they_are_wanted():
    text = "a: &b c d\ne: *b\nf:\n  - *b\n  - &g 'h'\ni: *g\n"
    assert read(text, anchors=True) == {"a": "c d", "e": "c d", "f": ["c d", "h"], "i": "h"}
    with pytest.raises(Unusual):
        read(text)
    for broken in ("a: *b\n", "a: &b\n  c: d\n", "a: &b [c]\n", "a: &b *c\n", "a: &b |\n  c\n"):
        with pytest.raises(Unusual):
            read(broken, anchors=True)
    reader = Reader(scalar, anchors=True)
    reader.read("a: &b c\n")
    with pytest.raises(Unusual):  # the anchors of one text are not those of the next
        reader.read("a: *b\n")


# --- the data files -----------------------------------------------------------------------------------------------------

FILES = sorted(
    file
    for folder in ("adapters/data", "engines/data", "operators/data", "rules")
    for file in Path(data._HERE, folder).rglob("*.yaml")
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_data_file_is_read_as_pyyaml_reads_it(file):
    assert repr(data.read(file)) == repr(wholeyaml.load(file.read_bytes(), None))


START = [
    ("adapters/data", ("match",)),
    ("adapters/data", ("backups",)),
    ("engines/data", ("engine", "title", "images", "commands")),
    ("operators/data", ("images", "runs")),
]


@pytest.mark.parametrize(("folder", "keys"), START)
def test_the_parts_of_a_data_file_are_those_of_the_whole(folder, keys):
    whole = dict(data.folder(folder))
    assert data.parts(folder, keys) == [
        (name, {key: content[key] for key in content if key in keys}) for name, content in whole.items()
    ]


@pytest.mark.parametrize(("folder", "keys"), START)
def test_what_is_read_at_every_start_is_plain(folder, keys, monkeypatch):
    # Otherwise PyYAML is imported. Put the text in quotes that the reader stops at.
    monkeypatch.setattr(wholeyaml, "load", None)
    assert data.parts(folder, keys)


AMBIGUOUS = (
    "y", "Yes", "on", "OFF", "~", "null", "Null", "1.5", "1e3", "0644", "0x1F", "1_000", "1:30", ".inf", "-.INF",
    ".nan", "2026-11-21", "2026-11-21T10:00:00Z", "2026-11-21 10:00:00", "=", "+1", "0o7", "0b1", "00",
)  # fmt: skip


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_a_scalar_that_versions_of_yaml_take_differently_is_left_to_pyyaml(text):
    with pytest.raises(Unusual):
        data._unquoted(text)


@pytest.mark.parametrize(
    "text", ["true", "false", "0", "12", "-3", "10Gi", "3.4 and later", "yes it is", "-sd", "1.2.3-alpine", "nope"]
)
def test_a_certain_scalar_is_what_pyyaml_makes_of_it(text):
    assert data._unquoted(text) == wholeyaml.load(text.encode(), None)
