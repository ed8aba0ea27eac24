"""Long runs on several processors: forked copies of this process work on a share each and hand back bytes.

A copy has everything that was read so far, so nothing is sent to it. What it cannot do (it is killed, memory runs out, the
system forbids it) this process does itself: a result is never lost, only late.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import pairwise
from typing import Any, Final, TypeVar

T = TypeVar("T")
MOST: Final = 8
"""Processes. More gain little: what they hand back is put together by one."""


def shares(items: Sequence[T], least: int) -> list[Sequence[T]]:
    """The items in as many parts, in their order, as there are processors for; each has at least `least` items."""
    count = max(1, min(_processors(), len(items) // least))
    bounds = [len(items) * number // count for number in range(count + 1)]
    return [items[start:end] for start, end in pairwise(bounds)]


@contextmanager
def helping(parts: Sequence[Sequence[T]], work: Callable[[Sequence[T]], bytes]) -> Iterator[Iterator[bytes | None]]:
    """Begins to work on all parts but the first, which is the caller's own.

    Gives what `work` made of each, in their order; None of a part that the caller has to do, too.
    """
    helpers: list[_Helper] = []
    try:
        helpers.extend(_Helper(partial(work, part)) for part in parts[1:])
        yield (helper.result() for helper in helpers)
    finally:
        for helper in helpers:
            helper.stop()


def _processors() -> int:
    if sys.platform != "linux":
        return 1  # elsewhere a forked copy may not use every library
    return min(MOST, len(os.sched_getaffinity(0)))


class _Helper:
    """A forked copy that does one thing."""

    def __init__(self, work: Callable[[], bytes]) -> None:
        self._pid = 0
        self._reading, writing = os.pipe()
        try:
            with warnings.catch_warnings():
                # The line of progress has a thread; the copy has none, and touches nothing that it locks.
                warnings.simplefilter("ignore", DeprecationWarning)
                self._pid = os.fork()
        except OSError:
            os.close(writing)
            return
        if self._pid == 0:
            _serve(work, self._reading, writing)
        os.close(writing)

    def result(self) -> bytes | None:
        """What it made, whole; None where it did not get to the end."""
        if not self._pid:
            return None
        with open(self._reading, "rb", closefd=False) as stream:
            found = stream.read()
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        return found if status == 0 else None

    def stop(self) -> None:
        """Ends it, whatever it does."""
        if self._pid:
            with suppress(OSError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
            self._pid = 0
        with suppress(OSError):
            os.close(self._reading)


def _serve(work: Callable[[], bytes], reading: int, writing: int) -> Any:
    """The whole life of a copy. It leaves without a word: its parent says what there is to say."""
    try:
        os.close(reading)
        with open(writing, "wb") as stream:
            stream.write(work())
        os._exit(0)
    except BaseException:
        os._exit(1)
