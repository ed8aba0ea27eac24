"""The work queue: keys to look at, each once at a time, those that failed later and later.

The rules are client-go's (util/workqueue): a key that is added again before it is taken is taken once; one that is added
while it is worked on is taken again afterwards, never by two workers at the same time.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

SHORTEST: Final = 0.2
LONGEST: Final = 300.0
"""Seconds between two tries of a key that fails again and again."""


class Queue(Generic[Key]):
    """Thread-safe. Times are seconds of `clock` (monotonic); `depth` counts the keys that are due and not yet taken."""

    def __init__(
        self,
        *,
        shortest: float = SHORTEST,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._shortest = shortest
        self._longest = longest
        self._clock = clock
        self._jitter = jitter
        self._order: deque[Key] = deque()
        self._dirty: set[Key] = set()
        self._processing: set[Key] = set()
        self._later: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        """When a delayed key is due: the soonest that was asked for. Older entries of `_later` mean nothing."""
        self._failures: dict[Key, int] = {}
        self._sequence = itertools.count()
        self._closed = False
        self._changed = threading.Condition()

    def add(self, key: Key) -> None:
        """The key is to be looked at. What was asked for later is done with this."""
        with self._changed:
            self._due.pop(key, None)
            self._add(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """The key is to be looked at in so many seconds; sooner if somebody asked for that."""
        if seconds <= 0:
            self.add(key)
            return
        with self._changed:
            due = self._clock() + seconds
            if self._closed or self._due.get(key, float("inf")) <= due:
                return
            self._due[key] = due
            heapq.heappush(self._later, (due, next(self._sequence), key))
            self._changed.notify()

    def add_failed(self, key: Key, at_least: float = 0.0) -> float:
        """The key failed: it comes again after a wait that doubles with each failure. Returns the wait in seconds."""
        with self._changed:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
        ceiling = min(self._longest, self._shortest * 2.0 ** min(failures - 1, 40))
        # From the upper half: keys that failed together (the API server was away) do not come back together.
        wait = max(at_least, ceiling * (0.5 + self._jitter() / 2))
        self.add_after(key, wait)
        return wait

    def forget(self, key: Key) -> None:
        """The key did well: its next failure is the first."""
        with self._changed:
            self._failures.pop(key, None)

    def failures(self, key: Key) -> int:
        """How often in a row the key has failed."""
        return self._failures.get(key, 0)

    def get(self, timeout: float | None = None) -> Key | None:
        """The next key, once there is one; give it back by `done`. None: closed, or nothing came in `timeout` seconds."""
        until = None if timeout is None else self._clock() + timeout
        with self._changed:
            while not self._closed:
                self._ripen()
                if self._order:
                    key = self._order.popleft()
                    self._dirty.discard(key)
                    self._processing.add(key)
                    return key
                now = self._clock()
                if until is not None and now >= until:
                    return None
                ends = [end for end in (until, self._later[0][0] if self._later else None) if end is not None]
                self._changed.wait(max(0.0, min(ends) - now) if ends else None)
            return None

    def done(self, key: Key) -> None:
        """The key was worked on; added meanwhile, it is due again."""
        with self._changed:
            self._processing.discard(key)
            if key in self._dirty:
                self._order.append(key)
                self._changed.notify()

    def close(self) -> None:
        """Nothing is taken any more; whoever waits returns at once."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def depth(self) -> int:
        """Keys that are due and wait for a worker."""
        return len(self._order)

    def _add(self, key: Key) -> None:
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._order.append(key)
            self._changed.notify()

    def _ripen(self) -> None:
        """Moves what is due into the order."""
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            if self._due.get(key) == due:
                del self._due[key]
                self._add(key)
