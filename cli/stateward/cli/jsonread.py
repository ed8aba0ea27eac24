"""JSON text to values: one value, or several after each other, each with its place in the text."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import orjson

from stateward.cli.limits import MAX_DEPTH
from stateward.cli.scalars import Json


class Value(NamedTuple):
    """A JSON value, its place in the text, and whether a key may appear twice in one object (False is certain)."""

    start: int
    end: int
    value: Json
    repeats: bool


def json_values(text: str, start: int) -> list[Value] | None:
    """The JSON values of a text from `start` on; None where it is not JSON throughout, or deeper than MAX_DEPTH.

    Numbers stay as written (3.0 is a float), as they do in the API server, which reads JSON without a detour.
    """
    pieces = [(start, len(text))]
    while True:
        found = []
        try:
            for begin, end in pieces:
                piece = text[begin:end]
                value = orjson.loads(piece)
                keys = _keys(value)
                if keys is None:
                    return None
                found.append(Value(begin, end, value, len(_COLON.findall(piece)) > keys))
            return found
        except orjson.JSONDecodeError:
            if len(pieces) != 1 or not (pieces := _split(text, start)):
                return None


# Every quote in a JSON string is escaped, so each key gives one match; a string may give more, never fewer.
_COLON: Final = re.compile(r'"\s*:')
_SPACE: Final = re.compile(r"[ \t\r\n]*")


def _split(text: str, start: int) -> list[tuple[int, int]]:
    """Where each of several values after each other begins and ends; empty unless there are several."""
    import json  # for this rare case alone

    decoder = json.JSONDecoder()
    pieces = []
    try:
        while start < len(text):
            end = decoder.raw_decode(text, start)[1]
            pieces.append((start, end))
            start = _end_of_space(text, end)
    except (ValueError, RecursionError):
        return []
    return pieces if len(pieces) > 1 else []


def _end_of_space(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return match.end() if match else start


def _keys(value: Json) -> int | None:
    """How many keys the objects of a value have together; None where it is deeper than MAX_DEPTH."""
    keys = 0
    level = [value]
    for _ in range(MAX_DEPTH):
        deeper: list[Json] = []
        for each in level:
            if type(each) is dict:
                keys += len(each)
                deeper.extend(v for v in each.values() if type(v) in (dict, list))
            elif type(each) is list:
                deeper.extend(v for v in each if type(v) in (dict, list))
        if not deeper:
            return keys
        level = deeper
    return None
