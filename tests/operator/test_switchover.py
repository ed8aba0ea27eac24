"""Handing over because somebody asks for it: once for each request, and to somebody who can take over."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from turns import FINE, NOW, Driver, Member, done, turn

from stateward.operator.operations.switchover import PATIENCE, switchover
from stateward.operator.step import Step
from stateward.operator.turn import Turn

AWAY = Member(healthy=None, ready=False)
LATE = Member(lag=1 << 30)
TAKEN_UP = {"switching": "db-0 now"}
NO_LIST_OF_WHO_LEADS = Driver([], leaders=frozenset(), hands_over=False)


def asked(members: list[Member], value: str = "now", **more: Any) -> Turn:
    found = turn(members, **more)
    return replace(found, service=replace(found.service, switchover=value))


def took(found: Turn) -> Step:
    step = switchover(found)
    assert step is not None
    assert step.act is not None
    assert step.act().outcome == "done"
    return step


@pytest.mark.parametrize(
    ("value", "more"),
    [
        ("", {}),
        ("now", {"notes": {"switched": "now"}}),
        ("now", {"formed": False}),
    ],
    ids=["nothing is asked for", "it was done", "nobody has led yet"],
)
def test_nothing_is_done(value: str, more: dict[str, Any]) -> None:
    assert switchover(asked([FINE] * 3, value, **more)) is None


def test_who_leads_is_noted_first_then_told_and_then_it_is_done() -> None:
    driver = Driver([])
    first = asked([FINE] * 3, driver=driver)
    step = took(first)
    assert (step.kind, step.name, step.member) == ("Switchover", "note", "db-0")
    assert done(first) == [{"switching": "db-0 now"}]
    assert driver.told == []

    second = asked([FINE] * 3, driver=driver, notes=TAKEN_UP)
    assert took(second).name == "switchover"
    assert driver.told == ["switchover db-0"]
    assert done(second) == []

    third = asked([FINE] * 3, driver=driver, notes=TAKEN_UP, leader="db-2")
    step = took(third)
    assert step.message == "db-2 leads instead of db-0: what now asked for is done"
    assert done(third) == [{"switched": "now", "switching": None}]
    assert driver.told == ["switchover db-0"]


def test_another_request_is_another_one_whoever_led_at_the_last() -> None:
    found = asked([FINE] * 3, "again", leader="db-2", notes={"switched": "now", "switching": "db-0 now"})
    assert took(found).name == "note"
    assert done(found) == [{"switching": "db-2 again"}]


@pytest.mark.parametrize(
    ("members", "leader", "said"),
    [
        ([FINE, AWAY, AWAY], "db-0", "nobody can take over yet: db-1 (it does not answer), db-2 (it does not answer)"),
        ([FINE, LATE, AWAY], "db-0", "db-1 (it is 1073741824 bytes behind)"),
        ([FINE] * 3, "", "no member says that it leads"),
        ([AWAY, FINE, FINE], "db-0", "no member says that it leads"),
    ],
    ids=["the others are away", "one is too far behind", "nobody leads", "the one that led does not answer"],
)
def test_it_is_waited_for_and_nothing_else_waits_with_it(members: list[Member], leader: str, said: str) -> None:
    step = switchover(asked(members, leader=leader))
    assert step is not None
    assert (step.name, step.act, step.yields) == ("wait", None, True)
    assert said in step.message


def test_one_that_serves_is_enough() -> None:
    assert took(asked([FINE, AWAY, FINE])).name == "note"


@pytest.mark.parametrize(
    ("members", "more", "said"),
    [
        ([FINE], {}, "there is no other member"),
        ([FINE] * 2, {"driver": NO_LIST_OF_WHO_LEADS}, "no member of etcd leads the others"),
    ],
    ids=["a member alone", "an engine without one that leads"],
)
def test_what_can_never_be_is_said_and_not_tried_again(members: list[Member], more: dict[str, Any], said: str) -> None:
    found = asked(members, **more)
    step = took(found)
    assert said in step.message
    assert done(found) == [{"switched": "now", "switching": None}]


def test_one_that_does_not_hand_over_is_said_to_be_in_the_way_and_told_again() -> None:
    since = NOW - PATIENCE - timedelta(minutes=1)
    operation = {
        "id": "switchover-1",
        "kind": "Switchover",
        "step": "switchover",
        "member": "db-0",
        "to": "now",
        "started": since,
        "stepStarted": since,
    }
    driver = Driver([])
    step = took(asked([FINE] * 3, driver=driver, notes=TAKEN_UP, status={"operation": operation}))
    assert step.blocked == "SwitchoverFailed"
    assert "has not handed over for 5 minutes" in step.message
    assert driver.told == ["switchover db-0"]
