"""Clients that write all along: how fast that is acknowledged, and for how long none was."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self, TypeVar

from cluster_kit import eventually

Answer = TypeVar("Answer")


def answered(call: Callable[[], Answer], *unanswered: type[Exception]) -> Answer:
    """What it returns once there is an answer: a Service may lead for a moment still to a pod that has just gone."""
    until = time.monotonic() + 30
    while True:
        try:
            return call()
        except unanswered:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@dataclass
class Pace:
    """Counts acknowledged writes by the second. Thread-safe."""

    longest: float = 0.0
    """Seconds between two of them."""
    failures: int = 0
    """Refused or unanswered: whether they were written is unknown."""
    _counts: Counter[int] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        """Begins anew, from now."""
        with self._lock:
            self.longest, self.failures = 0.0, 0
            self._counts.clear()
            self._began = self._last = time.monotonic()

    def acknowledged(self) -> None:
        with self._lock:
            now = time.monotonic()
            self.longest, self._last = max(self.longest, now - self._last), now
            self._counts[int(now)] += 1

    def failed(self) -> None:
        with self._lock:
            self.failures += 1

    @property
    def count(self) -> int:
        """Acknowledged writes."""
        with self._lock:
            return sum(self._counts.values())

    def __str__(self) -> str:
        with self._lock:
            seconds = max(time.monotonic() - self._began, 1e-3)
            # The second that is still counted, and those in which nothing was written at all, are told by the pause.
            whole = sorted(count for second, count in self._counts.items() if second != int(self._last)) or [0]
            slow = whole[len(whole) // 20]
            mean = sum(self._counts.values()) / seconds
            return (
                f"{mean:.0f} acknowledged writes/s ({slow}/s in the slowest of twenty seconds), "
                f"{self.failures} refused or unanswered, {self.longest:.1f} s the longest time without one"
            )


@dataclass(kw_only=True)
class Clients(ABC):
    """Clients that write all along, each in a thread of its own, from the beginning of a `with` to its end."""

    several: int = 4
    pace: Pace = field(default_factory=Pace)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.pace.again()
        self._threads = [threading.Thread(target=self.write, args=(number,)) for number in range(self.several)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    @property
    def stopping(self) -> bool:
        """Whether they are to end."""
        return self._stopping.is_set()

    def more(self, writes: int = 300) -> None:
        """Waits until that many more are acknowledged."""
        before = self.pace.count
        eventually(lambda: self.pace.count > before + writes, "writes go on", 90)

    @abstractmethod
    def write(self, number: int) -> None:
        """What one of them does until it is to end."""
