"""How fast a client's writes are acknowledged, and for how long none was."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field


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
