"""Progress on long runs: one line on the terminal, rewritten, from the second second on."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Final

AFTER: Final = 1.0
"""Seconds without a line: most runs are over by then."""
EVERY: Final = 0.2
_CLEAR: Final = "\r\x1b[2K"


class Progress:
    """Says on standard error what is done. Silent where that is no terminal, in CI, and on dumb terminals."""

    def __init__(self) -> None:
        self.shown = sys.stderr.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._words = ""
        self._done = 0
        self._total = 0
        self._visible = False
        self._started = time.monotonic()

    def __enter__(self) -> Progress:
        if self.shown:
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self.clear()

    def phase(self, words: str, total: int = 0) -> None:
        """What is being done now; `total` where it is known how often `step` will be called."""
        self._words, self._done, self._total = words, 0, total

    def step(self) -> None:
        """One more is done."""
        self._done += 1

    def clear(self) -> None:
        """Takes the line away, so that something else can be written; it comes back by itself."""
        if self.shown:
            with self._lock:
                if self._visible:
                    sys.stderr.write(_CLEAR)
                    sys.stderr.flush()
                    self._visible = False

    def _run(self) -> None:
        if self._ended.wait(AFTER):
            return
        while not self._ended.wait(EVERY):
            with self._lock:
                if not self._ended.is_set():
                    sys.stderr.write(_CLEAR + self._line())
                    sys.stderr.flush()
                    self._visible = True

    def _line(self) -> str:
        seconds = int(time.monotonic() - self._started)
        share = f" {self._done:,} of {self._total:,}" if self._total else ""
        return f"{self._words}{share} ({seconds} s)"[: _columns() - 1]


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
