"""The scalars of YAML, read the way Kubernetes reads them.

Source of every rule here: sigs.k8s.io/yaml v1.6 (kubectl, the API server, Helm), which is go.yaml.in/yaml v2 and then a
conversion to JSON; read in its source (resolve.go, yaml.go) and compared with it value by value.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any, Final

from stateward.policies.plainyaml import Unusual

Scalar = str | int | float | bool | None
Json = Any
"""dict, list or Scalar, without end."""
Event = Any
"""An event of PyYAML, whose published types leave out most attributes."""


class Fault(Exception):  # noqa: N818 — the input is at fault, not the program
    """A text that cannot be read; `index` is the place, in characters from the start of the text."""

    def __init__(self, message: str, index: int) -> None:
        super().__init__(message)
        self.message = message
        self.index = index


# Plain (unquoted) words that are not strings. y, Y, n and N are here because go-yaml v2 resolves them (PyYAML does
# not): `data: {x: y}` reaches the API server as true and is refused there, so reading "y" would judge another object.
_WORDS: Final[dict[str, Scalar]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_NUMERIC: Final = frozenset("+-0123456789.")
SPECIAL: Final = _NUMERIC | frozenset("yYnNtTfFoO~")
"""The first characters of the unquoted scalars that may be something else than text."""
_INT: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]{0,19}))")
_SIGN_INSIDE: Final = re.compile(r"0b([-+][01]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_BETWEEN: Final = re.compile(r"(?<=[0-9])_(?=[0-9])")
TAG: Final = "tag:yaml.org,2002:"
"""What the short form !! stands for."""
_OTHER_TAGS: Final = frozenset(("binary", "merge", "omap", "pairs", "set", "value", "yaml"))
"""YAML's own tags that are not of plain data."""


def plain(text: str) -> Scalar:
    """The value of an unquoted scalar.

    Octal with and without the o, `1_000` and `1e3` are numbers; `1:30` (base 60) and dates are strings.
    An integer beyond 64 bits is a float, a float beyond its range a string. Infinity and NaN are returned as floats,
    though JSON has neither.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMERIC:
        return text
    bare = _BETWEEN.sub("", text) if text[0] == "." else text.replace("_", "")
    number = _integer(bare)
    if number is not None:
        return number
    if _FLOAT.fullmatch(bare) and math.isfinite(real := float(bare)):
        return real
    return text


def _integer(text: str) -> int | None:
    """The value of an integer in Go's notation if it fits 64 bits (unsigned where it carries no sign)."""
    limit = 2**63
    if match := _INT.fullmatch(text):
        sign, hexadecimal, binary, octal, decimal = match.groups()
        base = 10 if decimal else 16 if hexadecimal else 2 if binary else 8
        number = int(decimal or hexadecimal or binary or octal, base)
        number = -number if sign == "-" else number
        limit = 2**63 if sign else 2**64
    elif match := _SIGN_INSIDE.fullmatch(text):
        number = int(match[1], 2)
    else:
        return None
    return number if -(2**63) <= number < limit else None


def resolve(event: Event) -> Scalar:
    """The value of a scalar by its tag, its quotes and its text; a tag that is not of plain data raises Fault."""
    tag, text = event.tag, str(event.value)
    if tag is None or tag == "!":
        # The tag ! alone means text. The C parser takes it for no tag, which shows in quoted text that is "plain".
        return plain(text) if event.implicit[0] and not event.style else text
    name = tag.removeprefix(TAG)
    if name in ("str", "timestamp"):
        return text
    value = plain(text)
    kinds = {"int": (int,), "float": (int, float), "bool": (bool,), "null": (type(None),)}.get(name)
    if kinds is None:
        raise tagged(event)
    if type(value) not in kinds:
        raise Fault(f"a value is not of its tag !!{name}. Correct the value or remove the tag.", at(event))
    return value


def tagged(event: Event) -> Fault:
    """The fault of a tag that is not of plain data; Kubernetes would ignore it, and so lose what it says.

    A tag that YAML does not know is not named: it may be a password that begins with an exclamation mark.
    """
    name = (event.tag or "").removeprefix(TAG)
    own = f' "!!{name}"' if name in _OTHER_TAGS else ""
    advice = "Remove the tag and write the value out" if own else "Remove it, or put a text that begins with ! in quotes"
    return Fault(f"a tag{own} is not read; a Kubernetes object is plain data. {advice}.", at(event))


def value_of(event: Event) -> Scalar:
    """The JSON value of a scalar; infinity and NaN raise Fault.

    A whole float is an int: Go writes 1e3 and 3.0 to JSON as 1000 and 3, and that is what the API server gets.
    """
    value = resolve(event)
    if type(value) is not float:
        return value
    if not math.isfinite(value):
        raise Fault(
            f'value "{event.value[:40]}" is no number that JSON can carry. Put it in quotes if text is meant.',
            at(event),
        )
    return _whole(value)


def unquoted(text: str) -> Scalar:
    """The JSON value of an unquoted scalar; infinity and NaN raise Unusual, for `value_of` to tell."""
    if text[0] not in SPECIAL:
        return text
    value = plain(text)
    if type(value) is not float:
        return value
    if not math.isfinite(value):
        raise Unusual
    return _whole(value)


def _whole(value: float) -> int | float:
    return int(value) if value.is_integer() and abs(value) < 2**63 else value


def key_of(event: Event) -> str:
    """The JSON key of a scalar key: numbers and booleans become text (1 → "1", yes → "true"); null raises Fault."""
    text: str = event.value
    if text and text[0] not in SPECIAL and event.tag is None and not event.style and event.implicit[0]:
        return text  # as nearly all keys are written
    value = resolve(event)
    if type(value) is str:
        return value
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int and value < 2**63:
        return str(value)
    # A float key is written with the fewest digits of a 32-bit float; the exponents of that notation are left out.
    if type(value) is float and (value == 0 or 1e-4 <= abs(value) < 999999):
        single = struct.pack("f", value)
        short = next(r for p in range(1, 18) if struct.pack("f", r := float(f"{value:.{p}g}")) == single)
        return repr(short).removesuffix(".0")
    what = "null" if value is None else "a number that has no exact text"
    raise Fault(f'key "{event.value[:40]}" is {what}; the keys of a JSON object are text. Put it in quotes.', at(event))


def is_merge(event: Event) -> bool:
    """Whether a key is the merge key `<<`, unquoted."""
    return bool(event.value == "<<" and (event.implicit[0] or event.tag == TAG + "merge"))


def at(event: Event) -> int:
    """Where an event starts, in characters from the start of the text."""
    return int(event.start_mark.index)
