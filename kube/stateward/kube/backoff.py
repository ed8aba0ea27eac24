"""How long to wait before asking again, and how long to listen."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """The times of a reflector, in seconds. The defaults are for clusters, smaller ones for tests."""

    page: int = 500
    """The most objects of a page of a list."""
    page_bytes: int = 256 * 1024
    """What a page should weigh: while it is parsed, for a millisecond, nothing else runs."""
    watch: tuple[float, float] = (240.0, 420.0)
    """How long a watch lasts (timeoutSeconds), drawn at random so that they do not all end at once."""
    read: tuple[float, float] = (75.0, 90.0)
    """How long a connection may be silent. The API server sends a bookmark about each 60 s."""
    total: float = 300.0
    """How long one page of a list may take."""
    backoff: tuple[float, float] = (0.5, 30.0)
    """The shortest and the longest wait before asking again."""
    lived: float = 10.0
    """A watch that lasted so long was a good one, even if it brought nothing."""


def between(bounds: tuple[float, float]) -> float:
    """A time drawn at random from these bounds."""
    return random.uniform(*bounds)  # noqa: S311 - spreads load, hides nothing


class Backoff:
    """Waits that double from the shortest to the longest, each drawn from its upper half."""

    def __init__(self, shortest: float, longest: float) -> None:
        self._shortest = shortest
        self._longest = longest
        self._ceiling = shortest

    def next(self) -> float:
        """The next wait, in seconds."""
        self._ceiling = min(self._longest, self._ceiling * 2)
        return between((max(self._shortest, self._ceiling / 2), self._ceiling))

    def reset(self) -> None:
        """Something good came: the next wait is a short one."""
        self._ceiling = self._shortest
