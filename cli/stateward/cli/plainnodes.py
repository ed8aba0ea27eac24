"""The tree of a text that `plainyaml.Reader` has read: the same as PyYAML's events give, in a third of the time.

Nothing is checked here, for the reader has done so; a text that is plain after all raises Unusual.
"""

from __future__ import annotations

from typing import Any, Final

from stateward.cli.nodes import Node
from stateward.cli.scalars import unquoted
from stateward.policies.plainyaml import ESCAPED, FLOW, LINE, QUOTED, Unusual

# Place (as in `plainyaml`), dashes, key, where the key and the value are in the line (columns from 0), form of the value.
_Line = tuple[int, str, str | None, tuple[int, int], tuple[int, int], int]
_EMPTY, _SCALAR, _BELOW, _FLOW, _BLOCK = range(5)
_NOTHING: Final[_Line] = (0, "", None, (0, 0), (0, 0), _EMPTY)
_NOWHERE: Final = 1 << 62
_LONGEST_KEPT: Final = 120
_MOST_KEPT: Final = 10_000
_known: Final[dict[str, _Line]] = {}
"""Lines that were met before: those of one repository are much alike."""


def plain_tree(text: str, start: int) -> Node:
    """The nodes of the plain document that begins at a character of a text. Raises Unusual where it is not plain."""
    if "\r" in text:
        raise Unusual
    lines = text[start:].split("\n")  # from here on `start` is where a line begins
    above: list[tuple[int, Node]] = []
    current: Any = None
    open_place = _NOWHERE
    pending = False  # the value of the last key may be below
    number, end = 0, len(lines)
    while number < end:
        raw = lines[number]
        number += 1
        place, dashes, name, key, value, form = _known.get(raw) or _line(raw)
        if form == _EMPTY:
            start += len(raw) + 1
            continue
        if place != open_place or pending:
            first = start + (place if place >= 0 else ~place)
            if current is None:
                current, open_place = _opened(first, place), place
            elif pending and (~place >= open_place if place < 0 else place > open_place):
                above.append((open_place, current))
                new = _opened(first, place)
                current.pairs[-1] = (*current.pairs[-1][:2], new)
                current, open_place = new, place
            else:
                while open_place != place:
                    if not above:
                        raise Unusual
                    current.end = first
                    open_place, current = above.pop()
            pending = False
        if dashes:
            for further in range(1, len(dashes) if "-" in dashes[1:] else 0):
                if dashes[further] == "-":
                    above.append((open_place, current))
                    inner = ~(~place + further)
                    current.items.append(new := _opened(start + ~inner, inner))
                    current, open_place = new, inner
            if name is not None:
                above.append((open_place, current))
                current.items.append(new := _opened(start + key[0], key[0]))
                current, open_place = new, key[0]
        behind = start + len(raw) + 1
        if form == _SCALAR:
            node = Node(start + value[0], start + value[1])
        elif form == _BELOW:
            node = Node(start + value[0], start + value[0])
            pending = True
        elif form == _FLOW:
            node = _flow(text, start + value[0])
            while behind <= node.end:
                behind += len(lines[number]) + 1
                number += 1
        else:
            column = len(lines[number]) - len(lines[number].lstrip(" "))
            while number < end and not lines[number][:column].strip(" "):
                behind += len(lines[number]) + 1
                number += 1
            node = Node(start + value[0], min(behind, len(text)))
        if name is None:
            current.items.append(node)
        else:
            current.pairs.append((name, Node(start + key[0], start + key[1]), node))
        start = behind
    if current is None:
        raise Unusual
    for _, node in (*above, (open_place, current)):
        node.end = len(text)
    return above[0][1] if above else current


def _opened(start: int, place: int) -> Node:
    """A mapping or list that begins."""
    node = Node(start, start)
    if place >= 0:
        node.pairs = []
    else:
        node.items = []
    return node


def _line(raw: str) -> _Line:
    """One line that was not met before."""
    if raw.lstrip(" ")[:1] in ("", "#"):
        return _NOTHING
    match = LINE.fullmatch(raw)
    if match is None:
        raise Unusual
    indent, dashes, key, rest = match.groups()
    start = match.start(4)
    end, form = start, _SCALAR
    if not rest or rest[0] == "#":
        start, form = match.end(3) + 1, _BELOW  # behind the colon
    elif rest[0] in "[{":
        form = _FLOW
    elif rest[0] in "|>":
        form = _BLOCK
    else:
        end = start + _length(rest)
    name = None if key is None else key[1:-1] if key[0] in "\"'" else unquoted(key)
    if not (name is None or isinstance(name, str)) or (form == _BELOW and name is None):
        raise Unusual
    place = ~len(indent) if dashes else len(indent)
    line = (place, dashes, name, match.span(3), (start, end), form)
    if len(raw) <= _LONGEST_KEPT:
        if len(_known) >= _MOST_KEPT:
            _known.clear()
        _known[raw] = line
    return line


def _length(rest: str) -> int:
    """How long the text is that a line ends with, without what is behind it."""
    if rest[0] not in "\"'":
        return len(rest.partition(" #")[0].rstrip(" "))
    if match := QUOTED.fullmatch(rest):
        return match.end(match.lastindex or 0) + 1
    if match := ESCAPED.fullmatch(rest):
        return match.end(1)
    raise Unusual


def _flow(text: str, position: int) -> Node:
    """The list or mapping in brackets that begins at a character."""
    above: list[Node] = []
    current: Any = None
    key: tuple[str, Node] | None = None
    while match := FLOW.match(text, position):
        mark, double, single, plain, colon = match.groups()
        position = match.end()
        if mark == ",":
            continue
        if mark is not None and mark in "]}":
            current.end = match.end(1)
            if not above:
                return current  # type: ignore[no-any-return]
            current = above.pop()
            continue
        if plain is not None:
            node = Node(match.start(4), match.start(4) + len(plain.rstrip(" ")))
        elif mark is not None:
            node = _opened(match.start(1), 0 if mark == "{" else ~0)
        else:
            group = 2 if double is not None else 3
            node = Node(match.start(group) - 1, match.end(group) + 1)
        if colon:
            name = unquoted(plain) if plain is not None else double if double is not None else single
            if not isinstance(name, str):
                break
            key = (name, node)
            continue
        if current is not None:
            if current.items is not None:
                current.items.append(node)
            elif key is None:
                break
            else:
                current.pairs.append((*key, node))
        key = None
        if mark is not None:
            if current is not None:
                above.append(current)
            current = node
    raise Unusual
