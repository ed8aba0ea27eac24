"""Members are asked together, and one that is dead holds nobody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from stateward.operator.asking import Asking
from stateward.operator.drivers.protocol import Seen, Target


@dataclass
class Engine:
    """Members that answer once they are let go."""

    held: Mapping[str, threading.Event] = field(default_factory=dict)
    says: dict[str, Seen] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def see(self, target: Target) -> Seen:
        self.asked.append(target.name)
        if target.name in self.held:
            self.held[target.name].wait(20)
        return self.says.get(target.name, Seen(target.name, True))


def targets(*names: str) -> list[Target]:
    return [Target(name, "127.0.0.1", {}, known=f"{name}.db.svc") for name in names]


@pytest.fixture
def held() -> Iterator[threading.Event]:
    one = threading.Event()
    yield one
    one.set()


def until(there: Any) -> None:
    end = time.monotonic() + 20
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_all_members_are_asked_at_once() -> None:
    together = threading.Barrier(3, timeout=20)

    class Together(Engine):
        def see(self, target: Target) -> Seen:
            together.wait()
            return Seen(target.name, True)

    found = Asking(patience=20).all(Together(), targets("a", "b", "c"))  # type: ignore[arg-type]

    assert [one.healthy for one in found.values()] == [True, True, True]


def test_who_does_not_answer_in_time_is_unknown_and_the_others_are_not(held: threading.Event) -> None:
    engine = Engine({"b": held})

    found = Asking(patience=0.2).all(engine, targets("a", "b"))  # type: ignore[arg-type]

    assert found["a"].healthy is True
    assert found["b"].healthy is None
    assert "b: no answer in 0.2 s" in found["b"].reason


def test_looks_at_the_same_time_share_a_question(held: threading.Event) -> None:
    engine, asking = Engine({"a": held}), Asking(patience=20)
    found: list[Seen] = []
    looks = [
        threading.Thread(target=lambda: found.extend(asking.all(engine, targets("a")).values()))  # type: ignore[arg-type]
        for _ in range(3)
    ]
    for look in looks:
        look.start()
    until(lambda: engine.asked)
    time.sleep(0.1)
    held.set()
    for look in looks:
        look.join()

    assert [one.healthy for one in found] == [True, True, True]
    assert engine.asked == ["a"]


def test_an_answer_that_comes_after_a_look_is_the_next_ones(held: threading.Event) -> None:
    engine, asking = Engine({"a": held}), Asking(patience=0.05)
    assert asking.all(engine, targets("a"))["a"].healthy is None  # type: ignore[arg-type]
    held.set()
    until(lambda: asking._late)

    assert asking.all(engine, targets("a"))["a"].healthy is True  # type: ignore[arg-type]
    assert engine.asked == ["a"]


def test_who_gave_no_answer_before_is_hardly_waited_for(held: threading.Event) -> None:
    engine, asking = Engine({"a": held}), Asking(patience=0.2)
    asking.all(engine, targets("a", "b"))  # type: ignore[arg-type]
    asking._patience = 20

    began = time.monotonic()
    found = asking.all(engine, targets("a", "b"))  # type: ignore[arg-type]

    assert time.monotonic() - began < 10
    assert [found[name].healthy for name in "ab"] == [None, True]
    held.set()
    until(lambda: asking.all(engine, targets("a"))["a"].healthy)  # type: ignore[arg-type]


def test_a_member_that_comes_back_is_asked_though_it_owes_an_answer_of_before(held: threading.Event) -> None:
    engine, asking = Engine({"a": held}), Asking(patience=0.3)
    assert asking.all(engine, targets("a"))["a"].healthy is None  # type: ignore[arg-type]
    engine.held = {}

    assert asking.all(engine, targets("a"))["a"].healthy is True  # type: ignore[arg-type]


def test_an_answer_that_came_long_ago_is_asked_for_anew(held: threading.Event) -> None:
    now = [0.0]
    engine, asking = Engine({"a": held}), Asking(patience=0.05, clock=lambda: now[0])
    assert asking.all(engine, targets("a"))["a"].healthy is None  # type: ignore[arg-type]
    now[0] = 1.0
    held.set()
    until(lambda: asking._late)
    now[0] = 100.0

    assert asking.all(engine, targets("a"))["a"].healthy is True  # type: ignore[arg-type]
    assert engine.asked == ["a", "a"]


def test_those_that_are_dead_take_no_more_than_half_of_the_threads(held: threading.Event) -> None:
    dead = [f"dead-{number}" for number in range(8)]
    engine = Engine(says={name: Seen(name, None, reason="no answer") for name in dead})
    asking = Asking(threads=4, patience=20)
    asking.all(engine, targets(*dead))  # type: ignore[arg-type]
    engine.held = dict.fromkeys(dead, held)
    engine.asked.clear()

    impatient = asking
    impatient._patience = 0.1
    found = impatient.all(engine, targets(*dead))  # type: ignore[arg-type]

    assert {one.healthy for one in found.values()} == {None}
    assert len(engine.asked) == 2
    impatient._patience = 20
    assert impatient.all(engine, targets("a", "b", "c"))["c"].healthy is True  # type: ignore[arg-type]


def test_what_an_engines_own_code_raises_is_raised() -> None:
    class Broken(Engine):
        def see(self, target: Target) -> Seen:
            raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        Asking().all(Broken(), targets("a"))  # type: ignore[arg-type]
