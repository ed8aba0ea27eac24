"""Which backups may go: never the newest good ones, never before their time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Kept:
    """A backup, as far as retention asks."""

    name: str
    time: datetime
    """When it was complete, or when it was made where it has failed."""
    good: bool
    """Whether it is complete and was read back."""
    needed: bool = False
    """Whether a restore reads it now."""


def expired(backups: Iterable[Kept], days: int, copies: int, now: datetime) -> list[str]:
    """Names of those that may be deleted, the oldest first.

    A good one goes once it is older than so many days and so many good ones are newer. One that has failed goes once it is
    that old and a newer one is good: until then it says why there is none.
    """
    several = sorted(backups, key=lambda one: (one.time, one.name), reverse=True)
    until = now - timedelta(days=days)
    found: list[str] = []
    newer = 0
    for one in several:
        enough = newer >= (max(1, copies) if one.good else 1)
        if enough and one.time < until and not one.needed:
            found.append(one.name)
        newer += one.good
    return found[::-1]
