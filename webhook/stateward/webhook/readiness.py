"""When a door that watches a cluster says that it is ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, Protocol

from stateward.policies.view import Kind

PATIENCE: Final = 20.0
"""Seconds. A first list of some thousand objects takes a few; what is unknown after these may stay so (a right that is
missing, a kind whose conversion webhook is down), and a door that never opens protects less than one that warns."""


class Watch(Protocol):
    """What is needed of `stateward.kube.watcher.ClusterWatch`."""

    def awaited(self) -> list[Kind]:
        """The needed kinds that are unknown now and worth waiting for."""
        ...


class Readiness:
    """Ready once everything needed is known, or when `patience` seconds have passed; from then on always.

    A kind that only some clusters have is not waited for once the API server has said that it cannot be listed.
    What becomes unknown later is said in each answer that it concerns. To leave the door for it would trade a warning
    for no judgement at all.
    """

    def __init__(self, watch: Watch, *, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        self._watch = watch
        self._clock = clock
        self._until = clock() + patience
        self._open = False

    def __call__(self) -> tuple[bool, str]:
        """(ready, why not)."""
        if self._open:
            return True, ""
        awaited = self._watch.awaited()
        if not awaited or self._clock() >= self._until:
            self._open = True
            return True, ""
        return False, f"not known yet: {', '.join(sorted(awaited))}"
