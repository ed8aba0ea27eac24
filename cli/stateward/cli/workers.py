"""Long runs on several processors: forked copies of this process take tasks and hand back bytes.

A copy has everything that was read so far, so nothing is sent to it. What it cannot do (it is killed, memory runs out, the
system forbids it) this process does itself: a result is never lost, only late.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")
MOST: Final = 8
"""Processes. More gain little: what they hand back is put together by one."""


def _processors() -> int:
    if sys.platform != "linux":
        return 1  # elsewhere a forked copy may not use every library
    return min(MOST, len(os.sched_getaffinity(0)))


class Crew(Generic[T]):
    """Work in numbered tasks that copies begin with at once, while the caller still does something else.

    Whoever is free takes the next task, the caller too once it asks for the results. To be used as a context manager:
    copies end with it.
    """

    def __init__(
        self, tasks: int, work: Callable[[int], T], pack: Callable[[T], bytes], unpack: Callable[[bytes], T]
    ) -> None:
        """`pack` makes bytes of what a copy made of a task, `unpack` the same of them again; at most MOST_TASKS tasks."""
        self._tasks = tasks
        self._work = work
        self._unpack = unpack
        self._helpers: list[_Helper] = []
        # Who reads a number from the pipe has the task. All of them are in it from the start, so reading never waits.
        self._queue, writing = os.pipe()
        try:
            os.write(writing, b"".join(number.to_bytes(_NUMBER, "big") for number in range(tasks)))
        finally:
            os.close(writing)

        def packed() -> Iterator[tuple[int, bytes]]:
            while (number := self._take()) is not None:
                yield number, pack(work(number))

        with suppress(OSError):  # without them this process does what there is to do
            for _ in range(min(_processors(), tasks) - 1):
                self._helpers.append(_Helper(packed))

    def results(self) -> Iterator[T]:
        """What came of each task, in their order, each as early as it is there; what no copy handed back is done here."""
        done: dict[int, T] = {}
        for number in range(self._tasks):
            while number not in done:
                mine = self._take()
                if mine is not None:
                    done[mine] = self._work(mine)
                elif not any(helper.works for helper in self._helpers):
                    done[number] = self._work(number)
                self._receive(done, wait=mine is None)
            yield done.pop(number)

    def _take(self) -> int | None:
        """The next task; None where all are taken."""
        token = os.read(self._queue, _NUMBER)
        return int.from_bytes(token, "big") if token else None

    def _receive(self, done: dict[int, T], *, wait: bool) -> None:
        """Adds what copies have handed back; with `wait` at least something, or they have ended."""
        working = [helper for helper in self._helpers if helper.works]
        ready, _, _ = select.select(working, (), (), None if wait else 0) if working else ((), (), ())
        for helper in ready:
            for number, packed in helper.made():
                done[number] = self._unpack(packed)

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
    """A forked copy: what it makes it puts into a file in memory, which never waits, and tells that by a pipe."""

    def __init__(self, work: Callable[[], Iterator[tuple[int, bytes]]]) -> None:
        """Raises OSError where the system forbids it."""
        self._end = 0
        with ExitStack() as undo:
            self._made = os.memfd_create("made")
            undo.callback(os.close, self._made)
            self._reading, writing = os.pipe()
            undo.callback(os.close, self._reading)
            try:
                with warnings.catch_warnings():
                    # The line of progress has a thread; the copy has none, and touches nothing that it locks.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    self._pid = os.fork()
                if self._pid == 0:
                    _serve(work, self._made, writing)
            finally:
                os.close(writing)
            undo.pop_all()
        self.works = True
        """Whether it may hand back something still."""

    def fileno(self) -> int:
        """What can be read as soon as it has made something or has ended."""
        return self._reading

    def made(self) -> Iterator[tuple[int, bytes]]:
        """The tasks that it has done since it was asked last, and what it made of them; waits for the first."""
        notes = os.read(self._reading, _NOTE.size * MOST_TASKS)  # each is written at once, so none is cut
        self.works = bool(notes)
        for number, size in _NOTE.iter_unpack(notes):
            yield number, os.pread(self._made, size, self._end)
            self._end += size

    def stop(self) -> None:
        """Ends it, whatever it does."""
        with suppress(OSError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        for handle in (self._reading, self._made):
            with suppress(OSError):
                os.close(handle)


_NOTE: Final = struct.Struct("=HQ")
"""A task's number, and how many bytes were made of it."""


def _serve(work: Callable[[], Iterator[tuple[int, bytes]]], made: int, writing: int) -> Any:
    """The whole life of a copy. It leaves without a word: its parent says what there is to say."""
    try:
        with open(made, "wb") as file:
            for number, packed in work():
                file.write(packed)
                file.flush()
                os.write(writing, _NOTE.pack(number, len(packed)))
        os._exit(0)
    except BaseException:
        os._exit(1)
