"""Services of which nothing is to be done are looked at whole only where something may be another."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stateward.operator.asking import Asking
from stateward.operator.drivers.protocol import Seen, Target
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand
from stateward.operator.quiet import LONGEST, Quiet
from stateward.operator.status import BackedUp, Report

KEY = ("prod", "db")
RUNNING = Running(1, "3.5.16", "etcd", "", "1Gi", {}, False)


@dataclass
class Engine:
    """One that says what it is told to say."""

    says: Seen
    leaders: frozenset[str] = frozenset({"leader"})
    asked: int = 0

    def see(self, target: Target) -> Seen:
        self.asked += 1
        return self.says


@dataclass
class Looked:
    """A service that was found whole."""

    engine: Engine = field(default_factory=lambda: Engine(Seen("db-0", True, role="leader", version="3.5.16")))
    now: float = 1000.0

    def __post_init__(self) -> None:
        self.quiet = Quiet(lambda: self.now, share=lambda: 0.0, asking=Asking())

    def report(self, **more: Any) -> Report:
        target = Target("db-0", "127.0.0.1", {}, known="db-0.db")
        stand = Stand(RUNNING, True, True, (target,), {"db-0": self.engine.says}, {})
        return Report(**{"stand": stand, "driver": self.engine, "again": 60.0, **more})


def test_as_long_as_all_is_as_it_was_only_members_are_asked_and_less_often() -> None:
    one = Looked()
    assert one.quiet.keep(KEY, (1, 2), one.report()) == 60.0
    for _ in range(3):
        one.now += 60
        assert one.quiet.again(KEY, (1, 2)) == 120.0
    assert one.engine.asked == 3


def test_where_clients_are_routed_by_what_members_say_they_are_asked_as_often_as_ever() -> None:
    one = Looked()
    assert one.quiet.keep(KEY, (1,), one.report(again=10.0)) == 10.0
    for _ in range(3):
        one.now += 10
        assert one.quiet.again(KEY, (1,)) == 10.0


@pytest.mark.parametrize(
    "change", [{"healthy": False}, {"healthy": None}, {"role": "follower"}, {"version": "3.5.21"}, {"lag": 5000}]
)
def test_a_member_that_says_something_else_is_looked_at_whole(change: dict[str, Any]) -> None:
    one = Looked()
    one.quiet.keep(KEY, (1,), one.report())
    one.engine.says = replace(one.engine.says, **change)
    assert one.quiet.again(KEY, (1,)) is None
    # And as long as no whole look has come to the same end.
    assert one.quiet.again(KEY, (1,)) is None


def test_a_lag_that_moves_a_little_is_the_same() -> None:
    one = Looked()
    one.engine.says = replace(one.engine.says, role="replica", lag=5000)
    one.quiet.keep(KEY, (1,), one.report())
    one.engine.says = replace(one.engine.says, lag=5800, position=None)
    assert one.quiet.again(KEY, (1,)) == 120.0


def test_what_was_heard_of_meanwhile_is_looked_at_whole() -> None:
    one = Looked()
    one.quiet.keep(KEY, (1, 2), one.report())
    assert one.quiet.again(KEY, (1, 3)) is None
    assert one.engine.asked == 0


def test_after_a_time_it_is_looked_at_whole_whatever_was_heard() -> None:
    one = Looked()
    one.quiet.keep(KEY, (1,), one.report())
    one.now += LONGEST - 10
    assert one.quiet.again(KEY, (1,)) == 10.0
    one.now += 10
    assert one.quiet.again(KEY, (1,)) is None


def test_a_backup_that_is_due_is_not_slept_through() -> None:
    one = Looked()
    assert one.quiet.keep(KEY, (1,), one.report(backed_up=BackedUp(again=90.0))) == 60.0
    one.now += 60
    assert one.quiet.again(KEY, (1,)) == 30.0
    one.now += 30
    assert one.quiet.again(KEY, (1,)) is None


@pytest.mark.parametrize(
    "busy",
    [
        {"driver": None},
        {"stand": None},
        {"operation": ("Upgrade", "wait", "", "")},
        {"blocked": ("Denied", "")},
        {"idle": ("Paused", "")},
        {"decisions": ["changed: ConfigMap db-config"]},
        {"away": {"db-0": "its node is gone"}},
    ],
)
def test_one_that_has_something_to_be_done_is_always_looked_at_whole(busy: dict[str, Any]) -> None:
    one = Looked()
    assert one.quiet.keep(KEY, (1,), one.report(**busy)) == 60.0
    assert one.quiet.again(KEY, (1,)) is None


def test_looks_are_spread() -> None:
    one = Looked()
    one.quiet.share = lambda: 1.0
    assert one.quiet.keep(KEY, (1,), one.report()) == 48.0
