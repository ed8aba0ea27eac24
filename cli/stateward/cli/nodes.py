"""The tree of a manifest's text: where every key and every value starts and ends, in characters from the start."""

from __future__ import annotations

import re
from typing import Final

import orjson
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from stateward.cli.scalars import Event, at, is_merge, key_of
from stateward.cli.yamlevents import events


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


class _Builder:
    """Puts nodes together in the order in which a parser meets them."""

    __slots__ = ("_keys", "_stack", "root")

    def __init__(self) -> None:
        self.root: Node | None = None
        self._stack: list[Node] = []
        self._keys: list[tuple[str | None, Node] | None] = []

    @property
    def wants_key(self) -> bool:
        return bool(self._stack) and self._stack[-1].pairs is not None and self._keys[-1] is None

    def key(self, name: str | None, node: Node) -> None:
        self._keys[-1] = (name, node)

    def add(self, node: Node) -> None:
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
        self.add(node)
        if mapping:
            node.pairs = []
        else:
            node.items = []
        self._stack.append(node)
        self._keys.append(None)

    def close(self, end: int) -> None:
        self._stack.pop().end = end
        self._keys.pop()


def yaml_tree(text: str, nth: int) -> Node | None:
    """The nodes of the nth document (from 0) of a YAML text that `yamlread` has read without a Fault up to there."""
    build = _Builder()
    anchors: dict[str, tuple[Node, Event]] = {}
    rest = events(text)
    for _ in range(nth + 1):
        for event in rest:
            if type(event) is DocumentStartEvent:
                break
    for event in rest:
        kind = type(event)
        if kind is ScalarEvent:  # first, for most events are
            start = event.start_mark.index
            if text[start : start + 1] in _PROPERTY:
                start = _past_properties(text, start)
            node = Node(start, event.end_mark.index)
            if event.anchor is not None:
                anchors[event.anchor] = (node, event)
            if build.wants_key:
                build.key(None if is_merge(event) else key_of(event), node)
            else:
                build.add(node)
        elif kind is MappingEndEvent or kind is SequenceEndEvent:
            build.close(event.end_mark.index)
        elif kind is MappingStartEvent or kind is SequenceStartEvent:
            node = Node(at(event), event.end_mark.index)
            if event.anchor is not None:
                anchors[event.anchor] = (node, event)
            build.open(node, mapping=kind is MappingStartEvent)
        elif kind is AliasEvent:
            node = Node(at(event), event.end_mark.index)
            node.target, named = anchors[event.anchor]
            if build.wants_key:
                build.key(key_of(named), node)
            else:
                build.add(node)
        elif kind is DocumentEndEvent:  # what comes after it need not be YAML
            break
    return build.root


_PROPERTY: Final = ("&", "!")
_PROPERTIES: Final = re.compile(r"(?:[&!]\S*[ \t]+)+")


def _past_properties(text: str, start: int) -> int:
    """Where a scalar itself starts, behind its anchor and its tag."""
    match = _PROPERTIES.match(text, start)
    return match.end() if match else start


_PIECE: Final = re.compile(r'[ \t\r\n,:]*("[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]|[^\s,:\[\]{}"]+)')


def json_tree(text: str) -> Node | None:
    """The nodes of a text that is known to be one JSON value."""
    build = _Builder()
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
