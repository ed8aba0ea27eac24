"""Line and column of any field of a manifest, worked out only when asked: most runs have no finding to point at."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from stateward.cli.nodes import Node


class Span(NamedTuple):
    """A place in a file. Line and columns count from 1, columns in characters; end_column is the first one behind it.

    `text` is the whole line without its line end. What reaches over several lines ends with the text of its first.
    """

    line: int
    column: int
    end_column: int
    text: str


class Text:
    """The text of a file and where its lines start. A line ends with LF, CRLF or CR, as editors count."""

    __slots__ = ("_starts", "raw")

    def __init__(self, raw: str) -> None:
        self.raw = raw
        self._starts: list[int] | None = None

    def where(self, index: int) -> tuple[int, int]:
        """Line and column, from 1, of a character by its index from 0."""
        if self._starts is None:
            self._starts = [0, *(match.end() for match in _LINE_END.finditer(self.raw))]
        line = bisect_right(self._starts, max(0, min(index, len(self.raw))))
        return line, index - self._starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        """The place from the character at `start` to the one before `end`."""
        line, column = self.where(start)
        first = start - column + 1
        match = _LINE_END.search(self.raw, first)
        text = self.raw[first : match.start() if match else len(self.raw)]
        last = min(end - first, len(text.rstrip())) + 1
        return Span(line, column, max(last, column), text)


_LINE_END: Final = re.compile(r"\r\n?|\n")


def find(root: Node, path: Sequence[str | int]) -> tuple[int, int]:
    """Start and end of the value at path. Where the path goes on but the text does not, of the last key that is there.

    An item of a list has no key, so there it is the item; an empty value (`replicas:`) is shown by its key.
    """
    node, shown = root, root
    for step in path:
        found = _child(node, step)
        if found is None:
            break
        key, node = found
        shown = key or node
    else:
        if node.end > node.start:
            return node.start, node.end
    return shown.start, shown.end


def _child(node: Node, step: str | int) -> tuple[Node | None, Node] | None:
    """The key and the value under a step, of several the one that wins: the last, and in a merged list the first."""
    node = node.real
    if node.items is not None:
        return (None, node.items[step]) if isinstance(step, int) and 0 <= step < len(node.items) else None
    seen = set()
    waiting: list[Node | tuple[Node, Node]] = [node]
    while waiting:
        last = waiting.pop()
        if isinstance(last, tuple):
            return last
        if id(last) in seen:
            continue
        seen.add(id(last))
        for name, key, value in last.pairs or ():
            if name is None:
                merged = value.real
                waiting.extend(item.real for item in reversed(merged.items or [merged]))
            elif name == step:
                waiting.append((key, value))
    return None


def repeated(root: Node) -> Iterator[tuple[str, Node, Node]]:
    """Every key that a mapping has already: its text, where it is first, where it is again; in order."""
    found = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        waiting.extend(node.items or ())
        first: dict[str, Node] = {}
        for name, key, value in node.pairs or ():
            waiting.append(value)
            if name is not None and first.setdefault(name, key) is not key:
                found.append((name, first[name], key))
    yield from sorted(found, key=lambda each: each[2].start)
