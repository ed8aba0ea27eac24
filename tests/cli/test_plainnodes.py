"""The tree of plain YAML is the one that PyYAML's events give, to the character."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stateward.cli.manifests import _plain_start, _plain_value
from stateward.cli.nodes import Node
from stateward.cli.plainnodes import plain_tree
from stateward.cli.yamlnodes import yaml_tree

ROOT = Path(__file__).parents[2]
FILES = sorted(path for folder in ("demo", "policies/stateward", "tests") for path in (ROOT / folder).rglob("*.yaml"))


def flat(node: Node | None) -> Any:
    assert node is not None
    pairs = node.pairs and [(name, flat(key), flat(value)) for name, key, value in node.pairs]
    return node.start, node.end, pairs, node.items and list(map(flat, node.items))


def check(text: str) -> bool:
    """Whether a text is plain, and then that its two trees are one."""
    if "\n---" in text or "\n..." in text or _plain_value(text) is None:
        return False
    assert flat(plain_tree(text, _plain_start(text) or 0)) == flat(yaml_tree(text, 0))
    return True


TEXTS = [
    "a: b",
    "# c\n\na: b   # d\n\n# e\n",
    "---  # a\nb: c\n",
    "a:\nb: # c\n",
    "a:\n- b\n- c: d\n  e:\n  - f\ng: h\n",
    "- - a\n  - b\n- c: d\n\n\n# e\n- - - f\n",
    "-   a: b\n    c: d\n",
    "  a: b\n  c: d\n\n",
    "\"a b\": 'it''s'  # c\n'd': \"e\\\"f\"\n",
    "a: { b: [c , 'd', \"e\" ],\n     f: {},\n  g: h }  # i\nj: k\n",
    "a: |\n  b\n\n    c\n\n\n# d\ne: >-\n  f\n  g\n",
    "- |\n  a\n- b: |-\n    c\n\n",
    "a: |\n  b\n   ",
    "a: x é \N{GRINNING FACE}\nb: c  # ü\n",
]


@pytest.mark.parametrize("text", TEXTS)
def test_keys_and_values_are_where_the_whole_parser_sees_them(text):
    check(text)


def test_the_texts_above_are_plain_but_one():
    assert [text for text in TEXTS if not check(text)] == ["a: |\n  b\n   "]


def test_every_document_of_our_own_files_has_one_tree():
    plain = [check(part) for file in FILES for part in file.read_text().split("\n---\n") if len(part) < 20_000]
    assert sum(plain) > 50  # the others have anchors


PIECES = st.sampled_from(
    ["a: b", "c:", "  d: 1", "  - e", "  - f: g", "- h", "- - i", "    j: [k, {l: m}]", "n: {o: p,", "  q: r}", "s: |", "",
     "   t", "u: >-", "# v", "  # w", "x: 'y'  # z", '"1": "2"', "  3: 4", "    "]
)  # fmt: skip


@given(st.lists(PIECES, min_size=1, max_size=12), st.sampled_from(["", "\n", "\n\n", "  "]))
@example(["c:", "- h", "# v", "a: b"], "")
def test_no_order_of_lines_has_two_trees(lines, end):
    check("\n".join(lines) + end)
