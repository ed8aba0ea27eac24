"""The tree of a manifest's text: where every key and every value starts and ends, in characters from the start."""

from __future__ import annotations

import re
from typing import Final

import orjson


class Node:
    """A value in the text. A mapping has pairs (key or None for `<<`, key node, value node), a list has items."""

    __slots__ = ("end", "items", "pairs", "start", "target")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.pairs: list[tuple[str | None, Node, Node]] | None = None
        self.items: list[Node] | None = None
        self.target: Node | None = None
        """What an alias stands for."""

    @property
    def real(self) -> Node:
        """The value itself where this is an alias."""
        return self.target or self


class Builder:
    """Puts nodes together in the order in which a parser meets them."""

    __slots__ = ("_keys", "_stack", "root")

    def __init__(self) -> None:
        self.root: Node | None = None
        self._stack: list[Node] = []
        self._keys: list[tuple[str | None, Node] | None] = []

    @property
    def wants_key(self) -> bool:
        """Whether what comes next is a key."""
        return bool(self._stack) and self._stack[-1].pairs is not None and self._keys[-1] is None

    def key(self, name: str | None, node: Node) -> None:
        """A key of the mapping that is open; None for the merge key."""
        self._keys[-1] = (name, node)

    def add(self, node: Node) -> None:
        """A value: the root, an item, or what belongs to the last key."""
        if not self._stack:
            self.root = node
            return
        parent = self._stack[-1]
        if parent.items is not None:
            parent.items.append(node)
        elif parent.pairs is not None and (key := self._keys[-1]) is not None:
            parent.pairs.append((*key, node))
            self._keys[-1] = None

    def open(self, node: Node, *, mapping: bool) -> None:
        """A mapping or list begins."""
        self.add(node)
        if mapping:
            node.pairs = []
        else:
            node.items = []
        self._stack.append(node)
        self._keys.append(None)

    def close(self, end: int) -> None:
        """What was opened last ends."""
        self._stack.pop().end = end
        self._keys.pop()


_PIECE: Final = re.compile(r'[ \t\r\n,:]*("[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\s,:\[\]{}"]+)')


def json_tree(text: str) -> Node | None:
    """The nodes of a text that is known to be one JSON value."""
    build = Builder()
    for match in _PIECE.finditer(text):
        piece, start, end = match[1], match.start(1), match.end(1)
        if piece in "]}":
            build.close(end)
        elif piece in "[{":
            build.open(Node(start, end), mapping=piece == "{")
        elif build.wants_key:
            build.key(orjson.loads(piece), Node(start, end))
        else:
            build.add(Node(start, end))
    return build.root
