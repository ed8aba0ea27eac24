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
from typing import Any, Final, Generic, TypeVar

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


class Crew(Generic[T]):
    """Work in numbered tasks that copies begin with at once, while the caller still does something else.

    Whoever is free takes the next task, the caller too once it asks for the results. To be used as a context manager:
    copies end with it.
    """

    def __init__(self, tasks: int, work: Callable[[int], T], pack: Callable[[list[T]], bytes]) -> None:
        """`pack` makes bytes of what a copy made, for `unpack` of `results`; at most MOST_TASKS tasks."""
        self._tasks = tasks
        self._work = work
        self._helpers: list[_Helper] = []
        # Who reads a number from the pipe has the task. All of them are in it from the start, so reading never waits.
        self._queue, writing = os.pipe()
        try:
            os.write(writing, b"".join(number.to_bytes(_NUMBER, "big") for number in range(tasks)))
        finally:
            os.close(writing)

        def help_out() -> bytes:
            taken = {number: work(number) for number in self._taken()}
            numbers = b"".join(number.to_bytes(_NUMBER, "big") for number in taken)
            return len(taken).to_bytes(_NUMBER, "big") + numbers + pack(list(taken.values()))

        self._helpers.extend(_Helper(help_out) for _ in range(min(_processors(), tasks) - 1))

    def results(self, unpack: Callable[[bytes], list[T]]) -> Iterator[T]:
        """What came of each task, in their order; what a copy did not hand back is done here."""
        done = {number: self._work(number) for number in self._taken()}
        for helper in self._helpers:
            if packed := helper.result():
                end = _NUMBER * (1 + int.from_bytes(packed[:_NUMBER], "big"))
                numbers = [int.from_bytes(packed[at : at + _NUMBER], "big") for at in range(_NUMBER, end, _NUMBER)]
                done.update(zip(numbers, unpack(packed[end:]), strict=True))
        for number in range(self._tasks):
            yield done.pop(number) if number in done else self._work(number)

    def _taken(self) -> Iterator[int]:
        while token := os.read(self._queue, _NUMBER):
            yield int.from_bytes(token, "big")

    def __enter__(self) -> Crew[T]:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._helpers:
            helper.stop()
        os.close(self._queue)


_NUMBER: Final = 2  # bytes of a task's number
MOST_TASKS: Final = 2_000
"""Their numbers fit into a pipe (4 KiB at the least), so that writing them never waits."""


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
