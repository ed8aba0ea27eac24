"""Asking members how they are: all of them at once, and for as long as a look can wait, which is not for ever.

A member that is dead may take seconds to give no answer. Whoever looks at a service waits `PATIENCE` for all of its members
together; who has not answered by then is unknown in this look. Its answer is waited for by a thread of its own, and is what
the next look sees. Members that gave no answer last time are hardly waited for, and may keep half of the threads at most:
however many are dead, those that live are asked, and whoever looks has time for others.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from stateward.operator.drivers.protocol import Driver, Seen, Target

PATIENCE: Final = 0.6
"""Seconds that a look waits for all the members of a service together."""
IN_PASSING: Final = 0.1
"""Seconds that it waits where all who have not answered yet gave no answer last time."""
FRESH: Final = 6.0
"""Seconds for which an answer that came after a look is good for the next one: a little more than lies between the two."""
THREADS: Final = 128

_REMEMBERED: Final = 600.0
"""Seconds after which it is forgotten how a member was that nobody asks any more."""

_Whom = tuple[str, str]
"""A member's name and address: a pod that is made anew is another."""


class Asking:
    """Thread-safe. Looks at the same time share a question; one that is owed for long is not waited for a second time."""

    def __init__(
        self, threads: int = THREADS, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="ask")
        self._half = threads // 2
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._asked: dict[_Whom, tuple[float, Future[Seen]]] = {}
        """The last question to each member that is not answered yet, and since when."""
        self._late: dict[_Whom, tuple[float, Seen]] = {}
        """Answers that came after the look that asked for them, and when."""
        self._silent: dict[_Whom, float] = {}
        """Members that gave no answer, since when."""

    def all(self, driver: Driver, targets: Iterable[Target]) -> dict[str, Seen]:
        """What each member says of itself; who does not say it in time is unknown. Raises what the driver raises."""
        targets = list(targets)
        with self._lock:
            silent = {target.name for target in targets if (target.known, target.host) in self._silent}
        asked = {target.name: self._ask(driver, target) for target in targets}
        began = self._clock()
        wait([one for name, one in asked.items() if isinstance(one, Future) and name not in silent], self._patience)
        left = min(IN_PASSING, self._patience) - (self._clock() - began)
        wait([one for one in asked.values() if isinstance(one, Future)], max(0.0, left))
        self._given_up(targets, asked)
        return {name: self._said(name, one) for name, one in asked.items()}

    def _given_up(self, targets: Iterable[Target], asked: Mapping[str, Future[Seen] | Seen]) -> None:
        with self._lock:
            for target in targets:
                one = asked[target.name]
                if isinstance(one, Future) and not one.done():
                    self._silent.setdefault((target.known, target.host), self._clock())

    def _said(self, name: str, one: Future[Seen] | Seen) -> Seen:
        if isinstance(one, Seen):
            return one
        return one.result() if one.done() else Seen(name, reason=f"{name}: no answer in {self._patience:g} s")

    def _ask(self, driver: Driver, target: Target) -> Future[Seen] | Seen:
        whom, now = (target.known, target.host), self._clock()
        with self._lock:
            at, seen = self._late.pop(whom, (0.0, None))
            if seen is not None and now - at < FRESH:
                return seen
            since, before = self._asked.get(whom, (0.0, None))
            if before is not None and now - since < self._patience:
                return before
            if whom in self._silent and sum(one in self._silent for one in self._asked) >= self._half:
                return Seen(target.name, reason=f"{target.name}: gave no answer, as many others; it is asked later")
            asked = self._pool.submit(driver.see, target)
            self._asked[whom] = (now, asked)
        asked.add_done_callback(lambda done: self._answered(whom, done, now))
        return asked

    def _answered(self, whom: _Whom, done: Future[Seen], began: float) -> None:
        now = self._clock()
        with self._lock:
            if self._asked.get(whom, (0.0, None))[1] is done:
                del self._asked[whom]
            elif whom in self._asked:
                return  # it was asked again meanwhile
            seen = done.result() if done.exception() is None else None
            if seen is not None and seen.healthy is None:
                self._silent.setdefault(whom, now)
                self._silent = {one: at for one, at in self._silent.items() if now - at < _REMEMBERED}
                return
            waited = self._patience if self._silent.pop(whom, None) is None else min(IN_PASSING, self._patience)
            if seen is not None and now - began > waited:
                self._late[whom] = (now, seen)
                self._late = {one: kept for one, kept in self._late.items() if now - kept[0] < FRESH}


SHARED: Final = Asking()
"""Of this process: its threads are made as they are needed."""
