"""Kubernetes quantities, exact: `10Gi`, `1.5G`, `100m`, `12e6`, `5` (apimachinery `pkg/api/resource/quantity.go`)."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Final

_QUANTITY: Final = re.compile(r"([+-]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40}))(?:([eE])([+-]?\d{1,3})|([numkKMGTPE]i?)?)")
_SUFFIX: Final = {
    "": Fraction(1),
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 1000),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


_LONGEST: Final = 256
"""Characters of a quantity; the API server writes none that comes near."""


@lru_cache(maxsize=4096)
def _parse(text: str) -> Fraction | None:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        return None
    number, exponent_sign, exponent, suffix = match.groups()
    value = Fraction(number if not number.endswith(".") else number + "0")
    if exponent_sign:
        return value * Fraction(10) ** int(exponent)
    factor = _SUFFIX.get(suffix or "")
    return None if factor is None else value * factor


def parse(value: object) -> Fraction | None:
    """The number that a quantity stands for (bytes, cores, ...); None if it is not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(str(value)) if value == value and abs(value) != float("inf") else None
    if isinstance(value, str):
        return _parse(value) if len(value) <= _LONGEST else None
    return None


def bytes_text(amount: Fraction) -> str:
    """A number of bytes as people write it: `75Gi`, `600Mi`, `2G` never rounded away."""
    whole = int(amount)
    for suffix in ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki"):
        unit = int(_SUFFIX[suffix])
        if whole >= unit and whole % unit == 0:
            return f"{whole // unit}{suffix}"
    for suffix in ("Gi", "Mi", "Ki"):
        unit = int(_SUFFIX[suffix])
        if whole >= unit:
            return f"{whole / unit:.1f}{suffix}"
    return str(whole)
