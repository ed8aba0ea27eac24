"""Engine versions: read from text, ordered by number, cut into series, matched by ranges."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from stateward.policies.structs import dataclass, field

_NUMBERS: Final = re.compile(r"v?(\d{1,9}(?:\.\d{1,9}){0,5})(?![\d])")
_PRE: Final = re.compile(
    r"[-.]?(alpha|beta|rc|m|preview|pre|snapshot)(?![a-z])(?:[-.]?(\d{1,6})(?![a-z\d]))?", re.IGNORECASE
)
_STAMP: Final = re.compile(r"RELEASE\.(\d{4})-(\d{2})-(\d{2})T(\d{2})-(\d{2})-(\d{2})Z")
_PRE_ORDER: Final = {"snapshot": 0, "preview": 1, "pre": 1, "alpha": 1, "m": 1, "beta": 2, "rc": 3}
_RELEASED: Final = (9, 0)


@dataclass(frozen=True, slots=True, order=False)
class Version:
    """A version that can be ordered. Equal means the same release: build suffixes of an image do not count."""

    text: str
    parts: tuple[int, ...]
    pre: tuple[int, int] = _RELEASED
    """(9, 0) for a release; smaller for alpha, beta and candidates, which sort before it."""

    _order: tuple[tuple[int, ...], tuple[int, int]] = field(init=False, repr=False, compare=False)

    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Versions are made once (`parse` remembers them) and compared often.
        object.__setattr__(self, "_order", (self.parts + (0,) * (6 - len(self.parts)), self.pre))
        object.__setattr__(self, "_hash", hash((self.text, self.parts, self.pre)))

    def __hash__(self) -> int:
        return self._hash

    def key(self) -> tuple[tuple[int, ...], tuple[int, int]]:
        """What versions are ordered by; missing parts count as 0."""
        return self._order

    def __lt__(self, other: Version) -> bool:
        return self._order < other._order

    def same_release(self, other: Version) -> bool:
        """Whether both name the same release, as far as both are precise: 17 and 17.11 do, 17.2 and 17.11 do not."""
        shared = min(len(self.parts), len(other.parts))
        return self.parts[:shared] == other.parts[:shared] and self.pre == other.pre


def parse(text: str) -> Version | None:
    """`17.6-system-trixie`, `v3.5.17`, `8.0.36-28.1`, `RELEASE.2022-07-30T05-21-40Z`, `4.1-IV2`; None if unreadable."""
    return _parse(text) if len(text) <= _LONGEST else None


_LONGEST: Final = 256
"""Characters of a version: twice those of the longest tag. What is longer is none, and never kept."""


@lru_cache(maxsize=4096)
def _parse(text: str) -> Version | None:
    stamp = _STAMP.match(text)
    if stamp is not None:
        return Version(stamp.group(), tuple(int(part) for part in stamp.groups()))
    match = _NUMBERS.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    if rest and rest[0].isalpha():
        pre_only = _PRE.match(rest)
        if pre_only is None or pre_only.start() != 0:
            return None
    pre = _PRE.match(rest)
    rank = _RELEASED if pre is None else (_PRE_ORDER[pre.group(1).lower()], int(pre.group(2) or 0))
    parts = tuple(int(part) for part in match.group(1).split("."))
    # The suffix of an image build (-debian-12-r4) is no part of the engine's version, that of a candidate is.
    shown = match.group(1) + (pre.group() if pre is not None else "")
    return Version(shown, parts, rank)


@dataclass(frozen=True, slots=True)
class Range:
    """`>=3.3 <4.0`: all bounds hold. A bound compares as many parts as it names, so `<=3.9` holds for 3.9.2."""

    text: str
    bounds: tuple[tuple[str, tuple[int, ...]], ...]

    def holds(self, version: Version) -> bool:
        """Whether a version lies inside."""
        for operator, bound in self.bounds:
            parts = (version.parts + (0,) * len(bound))[: len(bound)]
            if operator == ">=":
                held = parts >= bound
            elif operator == "<":
                held = parts < bound
            elif operator == "<=":
                held = parts <= bound
            elif operator == ">":
                held = parts > bound
            else:
                held = parts == bound
            if not held:
                return False
        return True

    def certain(self, version: Version) -> bool:
        """Whether the version names enough parts to tell: whether 3.11 is `>=3.11.18` nobody knows."""
        for operator, bound in self.bounds:
            given = len(version.parts)
            if given >= len(bound) or bound[:given] != version.parts:
                continue
            if any(bound[given:]) or operator in ("==", "<=", ">"):
                return False
        return True


_BOUND: Final = re.compile(r"(>=|<=|<|>|==)?\s*(\d+(?:\.\d+)*)")


def parse_range(text: str) -> Range:
    """Raises ValueError with what is wrong."""
    bounds: list[tuple[str, tuple[int, ...]]] = []
    for word in text.split():
        match = _BOUND.fullmatch(word)
        if match is None:
            raise ValueError(f'version range "{text}": "{word}" is no bound such as >=3.3 or <4.0')
        operator, number = match.groups()
        bounds.append((operator or "==", tuple(int(part) for part in number.split("."))))
    return Range(text, tuple(bounds))
