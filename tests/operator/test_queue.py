"""The work queue, by properties: no key is lost, none is worked on twice at a time."""

from __future__ import annotations

import threading
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from stateward.operator.queue import Queue

KEYS = st.sampled_from("abcd")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def queue(clock: Clock | None = None) -> Queue[str]:
    return Queue(shortest=1.0, longest=60.0, clock=clock if clock is not None else time.monotonic)


def test_a_key_that_is_added_twice_is_taken_once() -> None:
    one = queue()
    one.add("a")
    one.add("a")
    assert (one.get(0), one.get(0)) == ("a", None)


def test_a_key_that_is_added_while_it_is_worked_on_comes_again_and_not_at_the_same_time() -> None:
    one = queue()
    one.add("a")
    assert one.get(0) == "a"
    one.add("a")
    assert one.get(0) is None
    one.done("a")
    assert one.get(0) == "a"


def test_the_sooner_of_two_delays_counts_and_brings_the_key_once() -> None:
    clock = Clock()
    one = queue(clock)
    one.add_after("a", 10)
    one.add_after("a", 5)
    one.add_after("a", 20)
    clock.now += 4.9
    assert one.get(0) is None
    clock.now += 0.2
    assert one.get(0) == "a"
    one.done("a")
    clock.now += 100
    assert one.get(0) is None


def test_a_key_that_is_added_now_is_not_asked_for_again_later() -> None:
    clock = Clock()
    one = queue(clock)
    one.add_after("a", 10)
    one.add("a")
    assert one.get(0) == "a"
    one.done("a")
    clock.now += 11
    assert one.get(0) is None


def test_waits_double_up_to_the_longest_and_start_over_once_it_did_well() -> None:
    one: Queue[str] = Queue(shortest=1.0, longest=8.0, clock=Clock(), jitter=lambda: 1.0)
    assert [one.add_failed("a") for _ in range(6)] == [1, 2, 4, 8, 8, 8]
    one.forget("a")
    assert one.add_failed("a") == 1


@given(st.floats(0, 1), st.integers(1, 3000))
@settings(max_examples=50)
def test_a_wait_lies_between_half_of_its_ceiling_and_the_ceiling(jitter: float, failures: int) -> None:
    one: Queue[str] = Queue(shortest=1.0, longest=8.0, clock=Clock(), jitter=lambda: jitter)
    wait = [one.add_failed("a") for _ in range(failures)][-1]
    ceiling = min(8.0, 2.0 ** min(failures - 1, 10))
    assert ceiling / 2 <= wait <= ceiling


def test_what_the_server_asks_to_wait_is_waited() -> None:
    one: Queue[str] = Queue(shortest=1.0, clock=Clock())
    assert one.add_failed("a", at_least=30) == 30


def test_close_wakes_whoever_waits() -> None:
    one = queue()
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(one.get()))
    waiting.start()
    one.close()
    waiting.join(10)
    assert found == [None]


def test_a_key_that_is_due_sooner_wakes_a_worker_that_waits_for_a_later_one() -> None:
    one: Queue[str] = Queue()
    one.add_after("late", 3600)
    found: list[str | None] = []
    waiting = threading.Thread(target=lambda: found.append(one.get()))
    waiting.start()
    one.add_after("soon", 0.01)
    waiting.join(10)
    assert found == ["soon"]


def test_many_workers_never_have_the_same_key_and_lose_none() -> None:
    one: Queue[int] = Queue()
    busy: set[int] = set()
    wanted, seen = dict.fromkeys(range(5), 0), dict.fromkeys(range(5), -1)
    faults: list[int] = []
    lock = threading.Lock()

    def work() -> None:
        while (key := one.get()) is not None:
            with lock:
                if key in busy:
                    faults.append(key)
                busy.add(key)
                seen[key] = wanted[key]
            time.sleep(0.0005)
            with lock:
                busy.discard(key)
            one.done(key)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for count in range(200):
        key = count % 5
        with lock:
            wanted[key] = count
        one.add(key)
    deadline = time.monotonic() + 20
    while seen != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    one.close()
    for worker in workers:
        worker.join(10)
    assert not faults
    assert seen == wanted


class Machine(RuleBasedStateMachine):
    """Against a model: which keys are owed a look, and when at the latest."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = queue(self.clock)
        self.owed: set[str] = set()
        self.later: dict[str, float] = {}
        self.working: set[str] = set()

    @rule(key=KEYS)
    def add(self, key: str) -> None:
        self.queue.add(key)
        self.owed.add(key)
        self.later.pop(key, None)

    @rule(key=KEYS, seconds=st.integers(1, 9))
    def add_after(self, key: str, seconds: int) -> None:
        self.queue.add_after(key, seconds)
        self.later[key] = min(self.later.get(key, float("inf")), self.clock.now + seconds)

    @rule(seconds=st.integers(1, 9))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def get(self) -> None:
        due = {key for key, at in self.later.items() if at <= self.clock.now}
        self.owed |= due
        self.later = {key: at for key, at in self.later.items() if key not in due}
        key = self.queue.get(0)
        free = self.owed - self.working
        if key is None:
            assert not free
            return
        assert key in free
        self.owed.discard(key)
        self.working.add(key)

    @rule(key=KEYS)
    def done(self, key: str) -> None:
        if key in self.working:
            self.working.discard(key)
            self.queue.done(key)

    @invariant()
    def nothing_that_is_not_owed_waits(self) -> None:
        assert self.queue.depth <= len(self.owed)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
