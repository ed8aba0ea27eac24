"""The manager: workers that take keys from the queue, while this process leads."""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

from stateward.kube.errors import ClusterError
from stateward.operator.metrics import Metrics
from stateward.operator.queue import Queue
from stateward.operator.service import Key

WORKERS: Final = 16
RESYNC: Final = 600.0
"""Seconds in which every service is looked at once, whatever was heard of it."""
STUCK: Final = 600.0
"""Seconds after which a look that has not ended makes the process not live: no call takes nearly as long."""
_IDLE: Final = 0.5

_log = logging.getLogger("stateward.operator")


class Reconciler(Protocol):
    """What is done with a key."""

    def __call__(self, key: Key) -> float | None:
        """Looks at a service and takes at most one step; seconds until it wants to look again, None: when it changes."""


@dataclass(slots=True)
class _Work:
    key: Key
    since: float


@dataclass(slots=True)
class Manager:
    """Runs `reconcile` for keys, each by one worker at a time. A key that fails or hangs costs the others nothing.

    `may_write` is asked before each look: whoever does not lead keeps the keys and does nothing with them. `ready` says
    why nothing can be looked at yet ("" where it can): before everything is known, everything would look missing.
    """

    reconcile: Reconciler
    services: Callable[[], Iterable[Key]]
    metrics: Metrics
    may_write: Callable[[], bool] = lambda: True
    ready: Callable[[], str] = lambda: ""
    workers: int = WORKERS
    resync: float = RESYNC
    clock: Callable[[], float] = time.monotonic
    queue: Queue[Key] = field(default_factory=Queue)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _busy: dict[int, _Work] = field(default_factory=dict)

    def changed(self, keys: Iterable[Key]) -> None:
        """Something of these services is another now."""
        for key in keys:
            self.queue.add(key)

    def start(self) -> Manager:
        """Works from now on."""
        self.metrics.ask("stateward_queue_depth", "Services that wait to be looked at.", lambda: float(self.queue.depth))
        self.metrics.ask("stateward_leader", "1 where this process leads.", lambda: float(self.may_write()))
        self._threads = [
            threading.Thread(target=self._work, args=(number,), name=f"reconcile {number}", daemon=True)
            for number in range(self.workers)
        ]
        self._threads.append(threading.Thread(target=self._resync, name="resync", daemon=True))
        for thread in self._threads:
            thread.start()
        return self

    def stop(self, timeout: float = 10.0) -> bool:
        """Takes no further key; waits for those at work, at most `timeout` seconds. Whether all have ended."""
        until = self.clock() + timeout
        self._stopping.set()
        self.queue.close()
        for thread in self._threads:
            thread.join(max(0.0, until - self.clock()))
        return not any(thread.is_alive() for thread in self._threads)

    def stuck(self) -> str:
        """Why this process should be started again; "" if it need not be."""
        now = self.clock()
        for work in list(self._busy.values()):
            if now - work.since > STUCK:
                return f"a look at {work.key[0]}/{work.key[1]} has taken {now - work.since:.0f} s"
        dead = [thread.name for thread in self._threads if not thread.is_alive()]
        return f"{dead[0]} has ended" if dead and not self._stopping.is_set() else ""

    # --- the threads ---------------------------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        while not self._stopping.is_set():
            if self.ready() or not self.may_write():
                self._stopping.wait(_IDLE)
                continue
            key = self.queue.get(timeout=_IDLE)
            if key is None:
                continue
            self._busy[number] = _Work(key, self.clock())
            try:
                self._look(key)
            finally:
                del self._busy[number]
                self.queue.done(key)

    def _look(self, key: Key) -> None:
        began = self.clock()
        try:
            if not self.may_write():  # it was so a moment ago, but the key may have waited
                self.queue.add_after(key, _IDLE)
                return
            again = self.reconcile(key)
        except ClusterError as error:
            wait = self.queue.add_failed(key, error.retry_after)
            self.metrics.errors.labels(error.reason or str(error.status)).inc()
            _log.warning("%s/%s: %s; again in %.1f s", *key, error, wait)
        except Exception as error:  # noqa: BLE001,RUF100 - a fault in one service must not end the others
            wait = self.queue.add_failed(key)
            self.metrics.errors.labels("Fault").inc()
            # Where, not what: the message may repeat what an object holds.
            where = "".join(traceback.format_tb(error.__traceback__, -8)).rstrip()
            _log.error("%s/%s: a fault, %s; again in %.1f s, at\n%s", *key, type(error).__name__, wait, where)
        else:
            self.queue.forget(key)
            if again is not None:
                self.queue.add_after(key, again)
        finally:
            self.metrics.reconciles.observe(self.clock() - began)

    def _resync(self) -> None:
        while not self._stopping.wait(self.resync):
            keys = list(self.services())
            for place, key in enumerate(keys):
                # Spread out: all at once would be a storm.
                self.queue.add_after(key, self.resync * place / (2 * len(keys)))
