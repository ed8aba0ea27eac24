"""Services of which nothing is to be done: their members are asked, and nothing else, as long as all stays as it was.

Most looks find what the look before found. What a service is made of is heard of by itself, so a look that came to the
end that all is well has to be taken again only where something of it was heard of, where a member says something else than
it did, or where time has passed: certificates run out, backups become due.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from stateward.operator.asking import SHARED, Asking
from stateward.operator.drivers.protocol import Driver, Seen
from stateward.operator.observe import Stand, lags
from stateward.operator.service import Key
from stateward.operator.status import Report

LONGEST: Final = 600.0
"""Seconds after which a service is looked at whole, whatever was heard of it."""
CALM: Final = 120.0
"""Seconds between two questions to members that said the same twice: their kubelets tell of what stops serving. Where
clients are routed by what members say, and they are asked more often for it, that stays so."""
_SPREAD: Final = 0.2

Stamp = tuple[int, ...]
"""What was heard of a service so far: another one means that something was."""


@dataclass(frozen=True, slots=True)
class _Found:
    stamp: Stamp
    until: float
    again: float
    driver: Driver
    stand: Stand


@dataclass(slots=True)
class Quiet:
    """What whole looks came to. Thread-safe, as a key is worked on by one worker at a time."""

    clock: Callable[[], float]
    """Seconds."""
    share: Callable[[], float] = random.random
    asking: Asking = SHARED
    _known: dict[Key, _Found] = field(default_factory=dict)

    def again(self, key: Key, stamp: Stamp) -> float | None:
        """Seconds until the next look, where all is as it was; None where a whole look has to be taken."""
        found = self._known.pop(key, None)
        if found is None:
            return None
        left = found.until - self.clock()
        if left <= 0 or found.stamp != stamp or not self._same(found):
            return None
        calm = found if found.again < CALM / 2 else replace(found, again=CALM)
        self._known[key] = calm
        return min(self._spread(calm.again), left)

    def keep(self, key: Key, stamp: Stamp, report: Report) -> float | None:
        """Keeps what a whole look came to, where there is nothing to be done; seconds until the next one.

        `stamp`: as it was before the look.
        """
        again, driver, stand = report.again, report.driver, report.stand
        busy = report.operation or report.blocked or report.idle or report.decisions or report.away
        if again is None or driver is None or stand is None or busy:
            return again
        due = report.backed_up.again if report.backed_up is not None else LONGEST
        self._known[key] = _Found(stamp, self.clock() + min(LONGEST, due), again, driver, stand)
        return min(self._spread(again), due)

    def forget(self, key: Key) -> None:
        """The service is no more."""
        self._known.pop(key, None)

    def clear(self) -> None:
        """Nothing that is known counts any more."""
        self._known.clear()

    def _same(self, found: _Found) -> bool:
        said = lags(self.asking.all(found.driver, found.stand.targets), found.driver)
        return _outline(said) == _outline(found.stand.seen)

    def _spread(self, seconds: float) -> float:
        # Those that were looked at together are not looked at together for ever.
        return seconds * (1 - _SPREAD * self.share())


def _outline(seen: Mapping[str, Seen]) -> dict[str, Seen]:
    """What members said, their lags by size alone: each write moves them."""
    return {
        name: replace(one, position=None, lag=one.lag.bit_length() // 4 if one.lag is not None else None)
        for name, one in seen.items()
    }
