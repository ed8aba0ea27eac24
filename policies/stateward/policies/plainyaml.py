"""The plain part of YAML, read fast: blocks of mappings and lists, text on one line, flow, literal and folded blocks.

Nearly every manifest is written in this part. A text is read here only where all of it is; `Reader.read` refuses with
`Unusual` whatever one parser may read otherwise than another (anchors, tags, merges, text over several lines, most
escapes, repeated keys, tabs, carriage returns, words such as `on` as keys) and every error, and the caller then takes
a whole parser. So nothing here decides what is an error, and what is returned is what every parser of YAML returns.

It is fast because manifests repeat themselves: a line that was met before is not looked at again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

Scalar = Callable[[str], Any]
"""The value of unquoted text (one line, not empty); raises Unusual where only a whole parser can tell."""


class Unusual(Exception):  # noqa: N818 - the text is no error, only not for this reader
    """The text is not plain YAML, or not YAML at all."""


class _Unclosed(Unusual):
    """A bracket that is not closed on its line."""


MAX_DEPTH: Final = 50
"""Mappings and lists inside each other; more are unusual."""
_LONGEST_KEY: Final = 500
_LONGEST_KEPT: Final = 120  # characters of a line that is remembered
_MOST_KEPT: Final = 50_000  # lines
_MOST_FLOW_LINES: Final = 100

_PRINTABLE: Final = bytes(range(0x20, 0x7F)) + b"\n\t"
# Neither what YAML forbids nor what it takes for the end of a line (U+0085, U+2028, U+2029) or a byte order mark.
# Compiling it takes 4 ms, so that is left until a text is not ASCII.
_STRANGE: Final = "[^\t\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
_COMMENT: Final = r"[ ]*(?:[ ]\#.*)?"
LINE: Final = re.compile(  # indentation, dashes of list items, key, the rest
    r"""([ ]*) ((?:-[ ]+)*) (?:([A-Za-z0-9_./][A-Za-z0-9_./-]*|"[^"\\]*"|'[^']*'):(?:[ ]+|\Z))? (.*)""",
    re.VERBOSE,
)
_SIMPLE: Final = re.compile(
    r"[A-Za-z0-9_./][A-Za-z0-9_./@-]*(?::[A-Za-z0-9_./@-]+)*"
)  # the rest of most lines, at one glance
_FIRST: Final = r"[A-Za-z0-9_./$()~+<=^;\\]|-[A-Za-z0-9_./$-]"  # what most unquoted text starts with
_PLAIN: Final = re.compile(rf"(?:{_FIRST})[^\t]*")
QUOTED: Final = re.compile(rf"""(?:"([^"\\\t]*)"|'((?:[^'\t]|'')*)'){_COMMENT}""", re.VERBOSE)
ESCAPED: Final = re.compile(rf"""("(?:[^"\\\t]|\\["\\nrt])*"){_COMMENT}""", re.VERBOSE)
_ESCAPE: Final = re.compile(r"""\\(["\\nrt])""")
_ESCAPES: Final = {'"': '"', "\\": "\\", "n": "\n", "r": "\r", "t": "\t"}
FLOW: Final = re.compile(  # a bracket or comma, or text in quotes or without; and whether a value follows the text
    rf"""[ \n]*(?: ([\[\]{{}},]) | "([^"\\\n\t]*)" | '([^'\n\t]*)'
    | ((?:{_FIRST})[^\[\]{{}},:#?\n\t]*) ) (:[ ]+)?""",
    re.VERBOSE,
)
_AFTER_FLOW: Final = re.compile(_COMMENT, re.VERBOSE)
HEADER: Final = re.compile(rf"([|>])(-?){_COMMENT}", re.VERBOSE)
_ANCHOR: Final = re.compile(r"&([a-z0-9-]+)[ ]+([^&*!].*)")
_ALIAS: Final = re.compile(r"\*([a-z0-9-]+)[ ]*")

_NONE: Final[Any] = object()
_SCALAR: Final = 0  # the value is there
_BELOW: Final = 1  # there is none: it may be on the lines below
_COPIED: Final = 2  # the value is a list or mapping: each reading has its own
_FURTHER: Final = 3  # the value goes on below, or is a scalar with an anchor: here is how it begins

_Open = tuple[int, Any]  # a mapping or list that is not closed yet, and its place

# A place says where something stands and what it belongs to: a key of a mapping in column 4 has the place 4, an item of
# a list there the place ~4. So a line belongs to what is open where the two places are the same.
_Line = tuple[int, str, str | None, Any, int]  # place, dashes, key, value, form of the value
_NOWHERE: Final = 1 << 62
_EMPTY: Final[_Line] = (0, "", None, None, _SCALAR)


class Reader:
    """Reads plain YAML with one way to take unquoted text; remembers what it has read: lines, their keys, their values."""

    def __init__(self, scalar: Scalar, anchors: bool = False) -> None:
        """A reader whose unquoted text is what `scalar` says; with `anchors` it knows those of scalars."""
        self._scalar = scalar
        self._known: dict[str, _Line] = {}
        self._starts: dict[str, tuple[int, str, str]] = {}  # what stands before ": " → place, dashes, key
        self._values: dict[str, tuple[Any, int]] = {}  # what stands behind it → value, form
        self._keys: dict[str, str] = {}
        self._with_anchors = anchors
        self._anchors: dict[str, Any] = {}

    def read(self, text: str) -> Any:
        """The value of one document, without its `---`; a mapping or a list. Raises Unusual."""
        _check_characters(text)
        self._anchors.clear()
        known = self._known
        lines = text.split("\n")
        above: list[_Open] = []
        current: Any = None
        open_place = _NOWHERE
        pending: Any = _NONE  # the key whose value may be below
        number, end = 0, len(lines)
        while number < end:
            raw = lines[number]
            number += 1
            line = known.get(raw) or self._line(raw)
            place, dashes, key, value, form = line
            if place != open_place or pending is not _NONE:
                if line is _EMPTY:
                    continue
                if current is None:
                    current = {} if place >= 0 else []
                    open_place = place
                elif pending is not _NONE and (~place >= open_place if place < 0 else place > open_place):
                    above.append((open_place, current))
                    if len(above) > MAX_DEPTH:
                        raise Unusual
                    new: Any = {} if place >= 0 else []
                    current[pending] = new
                    current, open_place = new, place
                else:
                    while open_place != place:
                        if not above:
                            raise Unusual
                        open_place, current = above.pop()
                pending = _NONE
            elif line is _EMPTY:  # it has the place of a key in column 0
                continue
            if dashes:
                current, open_place = _item(above, current, open_place, dashes, key)
            if form:
                if form == _BELOW:
                    pending = key
                elif form == _COPIED:
                    value = _copy(value)
                else:
                    value, number = self._further(value, lines, number, open_place if open_place >= 0 else ~open_place)
            if key is None:
                current.append(value)
            elif key in current:
                raise Unusual
            else:
                current[key] = value
        if current is None:
            raise Unusual
        return above[0][1] if above else current

    def _line(self, raw: str) -> _Line:
        """One line that was not met before; most have a key that was."""
        before, colon, behind = raw.partition(": ")
        if colon and (start := self._starts.get(before)):
            value, form = self._value(behind.lstrip(" "))
            line: _Line = (*start, value, form)
        else:
            line = self._strange_line(raw)
        if len(raw) <= _LONGEST_KEPT:
            if len(self._known) >= _MOST_KEPT:
                for kept in (self._known, self._starts, self._values, self._keys):
                    kept.clear()
            self._known[raw] = line
        return line

    def _strange_line(self, raw: str) -> _Line:
        """One line of which nothing was met before."""
        if raw.lstrip(" ")[:1] in ("", "#"):
            return _EMPTY
        match = LINE.fullmatch(raw)
        if match is None:
            raise Unusual
        indent, dashes, key, rest = match.groups()
        if key is None and not (dashes and rest):
            raise Unusual
        place = ~len(indent) if dashes else len(indent)
        value, form = self._value(rest)
        if key is not None:
            key = self._keys.get(key) or self._key(key)
            # Only where the first ": " is the one behind the key, and not one inside its quotes, is it found again.
            if raw.find(": ") in (-1, match.end(3)) and match.end(3) <= _LONGEST_KEPT and len(self._starts) < _MOST_KEPT:
                self._starts[raw[: match.end(3)]] = (place, dashes, key)
        elif form == _BELOW:
            raise Unusual
        return (place, dashes, key, value, form)

    def _key(self, raw: str) -> str:
        name = raw[1:-1] if raw[0] in "\"'" else self._scalar(raw)
        if type(name) is not str or len(raw) > _LONGEST_KEY or "\t" in raw or raw == "<<" or raw[-1] == " ":
            raise Unusual
        self._keys[raw] = name
        return name

    def _value(self, rest: str) -> tuple[Any, int]:
        """What follows a key or a dash on its line."""
        found = self._values.get(rest)
        if found is None:
            found = (self._scalar(rest), _SCALAR) if _SIMPLE.fullmatch(rest) else self._other_value(rest)
            if len(rest) <= _LONGEST_KEPT and len(self._values) < _MOST_KEPT:
                self._values[rest] = found
        return found

    def _other_value(self, rest: str) -> tuple[Any, int]:
        """The same of all that is not a word or name."""
        first = rest[:1]
        if not first or first == "#":
            return None, _BELOW
        if first in "[{":
            try:
                return self._flow(rest), _COPIED
            except _Unclosed:
                return rest, _FURTHER
        if first in "|>" or (first in "&*" and self._with_anchors):
            return rest, _FURTHER
        return self._text(rest), _SCALAR

    def _text(self, rest: str) -> Any:
        if rest[0] in "\"'":
            return _quoted(rest)
        text = rest.partition(" #")[0].rstrip(" ")
        if not _PLAIN.fullmatch(text) or ": " in text or text[-1] == ":":
            raise Unusual
        return self._scalar(text)

    def _further(self, rest: str, lines: list[str], number: int, column: int) -> tuple[Any, int]:
        """A value of more than one line, or with an anchor: what it is, and the number of the line behind it."""
        if rest[0] in "|>":
            return _block(rest, lines, number, column)
        if rest[0] in "[{":
            return self._long_flow(rest, lines, number, column)
        if match := _ALIAS.fullmatch(rest):
            if match[1] not in self._anchors:
                raise Unusual
            return self._anchors[match[1]], number
        match = _ANCHOR.fullmatch(rest)
        if match is None or match[2][0] in "[{|>#":
            raise Unusual
        value = self._anchors[match[1]] = self._text(match[2])
        return value, number

    def _long_flow(self, text: str, lines: list[str], number: int, column: int) -> tuple[Any, int]:
        for line in lines[number : number + _MOST_FLOW_LINES]:
            number += 1
            if not line.strip(" ") or line[: column + 1].strip(" "):  # indented, as other parsers want it
                raise Unusual
            text = f"{text}\n{line}"
            try:
                return self._flow(text), number
            except _Unclosed:
                continue
        raise Unusual

    def _flow(self, text: str) -> Any:
        """Lists and mappings in brackets."""
        above: list[Any] = []
        current: Any = None
        key: Any = _NONE
        fresh = True  # an item may come: behind a bracket or a comma
        position = 0
        while match := FLOW.match(text, position):
            mark, double, single, plain, colon = match.groups()
            position = match.end()
            if mark == ",":
                if fresh or colon or key is not _NONE:
                    raise Unusual
                fresh = True
            elif mark is not None and mark in "]}":
                if colon or key is not _NONE or (type(current) is list) is not (mark == "]") or (fresh and current):
                    raise Unusual
                if not above:
                    if not _AFTER_FLOW.fullmatch(text, position):
                        raise Unusual
                    return current
                current, fresh = above.pop(), False
            elif colon:
                if mark is not None or not fresh or type(current) is not dict or key is not _NONE:
                    raise Unusual
                key = self._key(plain) if plain is not None else double if double is not None else single
                if key in current or len(key) > _LONGEST_KEY:
                    raise Unusual
            else:
                value: Any = double if double is not None else single
                if mark is not None:
                    value = [] if mark == "[" else {}
                elif plain is not None:
                    value = self._text(plain)
                if not fresh or (type(current) is dict) is not (key is not _NONE) or len(above) > MAX_DEPTH // 2:
                    raise Unusual
                if type(current) is dict:
                    current[key], key = value, _NONE
                elif current is not None:
                    current.append(value)
                fresh = mark is not None
                if fresh:
                    if current is not None:
                        above.append(current)
                    current = value
        raise Unusual if text[position:].strip(" \n") else _Unclosed


def _item(above: list[_Open], current: Any, place: int, dashes: str, key: str | None) -> tuple[Any, int]:
    """What the rest of an item's line belongs to, and its place: every further dash opens a list, a key opens a mapping."""
    indent = ~place
    if "-" in dashes[1:]:
        for further in range(1, len(dashes)):
            if dashes[further] == "-":
                above.append((place, current))
                current.append([])
                current, place = current[-1], ~(indent + further)
    if key is not None:
        above.append((place, current))
        new: dict[str, Any] = {}
        current.append(new)
        current, place = new, indent + len(dashes)
    if len(above) > MAX_DEPTH:
        raise Unusual
    return current, place


def _check_characters(text: str) -> None:
    if text.encode("ascii").translate(None, _PRINTABLE) if text.isascii() else re.search(_STRANGE, text):
        raise Unusual


def _copy(value: Any) -> Any:
    if type(value) is dict:
        return {key: _copy(each) for key, each in value.items()}
    if type(value) is list:
        return [_copy(each) for each in value]
    return value


def _quoted(rest: str) -> str:
    if match := QUOTED.fullmatch(rest):
        double, single = match.groups()
        return str(double) if double is not None else str(single).replace("''", "'")
    if match := ESCAPED.fullmatch(rest):
        return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], match[1][1:-1])
    raise Unusual


def _block(rest: str, lines: list[str], number: int, column: int) -> tuple[str, int]:
    """The text of a literal or folded block inside a container at a column, and the number of the line behind it."""
    header = HEADER.fullmatch(rest)
    if header is None or number >= len(lines):
        raise Unusual
    first = lines[number]
    indent = len(first) - len(first.lstrip(" "))
    if indent <= column or not first[indent:] or first[indent] == "\t":
        raise Unusual
    start = number
    while number < len(lines) and not lines[number][:indent].strip(" "):
        number += 1
    if number == len(lines) and lines[-1]:  # no line end: what then is cut off differs
        raise Unusual
    taken = [line[indent:] for line in lines[start:number]]
    while not taken[-1]:
        taken.pop()
    if header[1] == ">" and not all(line and line[0] not in " \t" for line in taken):
        raise Unusual
    value = (" " if header[1] == ">" else "\n").join(taken)
    return value if header[2] else value + "\n", number
