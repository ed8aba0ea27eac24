"""The next step of a rolling restart, by how the members are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from turns import FINE, NOW, OLD, UP, Driver, Member, done, turn

from stateward.operator.drivers.protocol import Peer
from stateward.operator.operations.rolling import mend, rolling
from stateward.operator.step import Step
from stateward.operator.turn import Turn

AWAY = Member(healthy=False, ready=False, minutes=3)
LOST = Member(healthy=False, ready=False, minutes=30)
UNPULLED = Member(healthy=None, ready=False, started=False, waiting="ImagePullBackOff", minutes=1)
SHUT = [{"schedule": "0 3 * * *", "duration": "1h"}]
OPEN = [{"schedule": "0 11 * * *", "duration": "2h"}]
CRASHES = Member(healthy=None, ready=False, started=False, waiting="CrashLoopBackOff", minutes=3)
PEERS = [Peer(str(number), f"db-{number}") for number in range(4)]
BACK = {"previous-version": "3.5.17"}
HOP = {"previous-version": "3.5.15", "previous-image": "etcd:3.5.15"}


def waited(member: str, minutes: float, step: str = "wait") -> dict[str, Any]:
    """A status that says so."""
    since = NOW - timedelta(minutes=minutes)
    return {
        "operation": {
            "id": "x",
            "kind": "Configure",
            "step": step,
            "member": member or None,
            "started": since,
            "stepStarted": since,
        }
    }


def short(step: Step | None) -> tuple[str, str] | None:
    return None if step is None else (step.blocked or step.name, step.member)


@pytest.mark.parametrize(
    ("members", "more", "wanted"),
    [
        ([FINE, FINE, FINE], {}, None),
        ([FINE, FINE, AWAY], {}, None),  # nothing is being restarted: no business of this
        # Those that do not lead first, the one that leads hands over before its turn.
        ([OLD, OLD, OLD], {}, ("restart", "db-2")),
        ([OLD, OLD, FINE], {}, ("restart", "db-1")),
        ([OLD, FINE, FINE], {}, ("switchover", "db-0")),
        ([OLD, FINE, FINE], {"leader": "db-1"}, ("restart", "db-0")),
        ([OLD, OLD, OLD], {"leader": "db-2"}, ("restart", "db-1")),
        ([OLD], {}, ("restart", "db-0")),
        # Whose turn is the last has to be known, but is not waited for for ever.
        ([OLD, OLD, OLD], {"leader": ""}, ("leader", "")),
        ([OLD, OLD, OLD], {"leader": "", "status": waited("", 2, "leader")}, ("leader", "")),
        ([OLD, OLD, OLD], {"leader": "", "status": waited("", 6, "leader")}, ("restart", "db-2")),
        ([OLD], {"leader": ""}, ("restart", "db-0")),
        ([OLD, FINE, FINE], {"driver": Driver(PEERS[:3], hands_over=False)}, ("restart", "db-0")),
        # Not before all serve, by the engine's word and the kubelet's.
        ([OLD, OLD, UP], {}, ("wait", "db-2")),
        ([OLD, OLD, Member(ready=False, minutes=0.1)], {}, ("wait", "db-2")),
        ([OLD, OLD, Member(healthy=None)], {}, ("wait", "db-2")),
        ([OLD, OLD, Member(gone=True)], {}, ("wait", "db-2")),
        ([OLD, OLD, Member(ending=True, minutes=0.1)], {}, ("wait", "db-2")),
        ([OLD, OLD, Member(lag=10)], {}, ("restart", "db-1")),
        ([OLD, OLD, Member(lag=1 << 30)], {}, ("wait", "db-2")),
        # One that does not come back stops it.
        ([OLD, OLD, AWAY], {}, ("wait", "db-2")),
        ([OLD, OLD, LOST], {}, ("MemberNotBack", "db-2")),
        ([OLD, OLD, UNPULLED], {}, ("wait", "db-2")),
        ([OLD, OLD, CRASHES], {}, ("MemberNotBack", "db-2")),
        ([OLD, OLD, Member(healthy=None)], {"status": waited("db-2", 5)}, ("wait", "db-2")),
        ([OLD, OLD, Member(healthy=None)], {"status": waited("db-2", 15)}, ("MemberNotBack", "db-2")),
        ([OLD, OLD, Member(gone=True)], {"status": waited("db-2", 15)}, ("MemberNotBack", "db-2")),
        ([OLD, OLD, Member(gone=True)], {"status": waited("db-1", 15)}, ("wait", "db-2")),
        ([OLD, OLD, Member(ending=True, minutes=30)], {}, ("MemberNotBack", "db-2")),
        # A member on its way in or out comes to its end first.
        ([OLD, OLD, OLD], {"driver": Driver([*PEERS[:2], Peer("2", "db-2", learner=True)])}, None),
        ([OLD, OLD, OLD], {"driver": Driver(PEERS)}, None),
        ([OLD, OLD, OLD], {"driver": Driver(None)}, ("restart", "db-2")),
        # Windows and the brake.
        ([OLD, OLD, OLD], {"upgrade": {"windows": SHUT}}, ("window", "")),
        ([OLD, OLD, OLD], {"upgrade": {"windows": OPEN}}, ("restart", "db-2")),
        ([OLD, OLD, OLD], {"upgrade": {"windows": [{"schedule": "61 * * * *", "duration": "1h"}]}}, ("BadWindow", "")),
        ([OLD, OLD, OLD], {"upgrade": {"paused": True}}, ("paused", "")),
        # Another version.
        ([OLD, Member(says="3.5.15"), FINE], {"notes": HOP}, ("AnotherVersionRuns", "db-1")),
        ([FINE, FINE, UP], {"notes": HOP}, ("wait", "db-2")),
        ([Member(made="3.5.15"), FINE, FINE], {"notes": HOP, "upgrade": {"windows": SHUT}}, ("window", "")),
        ([Member(made="3.5.17"), FINE, FINE], {"notes": BACK, "upgrade": {"windows": SHUT}}, ("switchover", "db-0")),
        # All stop before the first starts.
        ([OLD, Member(ending=True), Member(gone=True)], {"notes": HOP | {"parked": "true"}}, ("stop", "")),
        ([Member(gone=True)] * 3, {"notes": HOP | {"parked": "true"}}, ("start", "")),
    ],
)  # fmt: skip
def test_the_next_step_follows_from_the_facts(
    members: Sequence[Member], more: dict[str, Any], wanted: tuple[str, str] | None
) -> None:
    assert short(rolling(turn(members, **more))) == wanted


@pytest.mark.parametrize(
    ("members", "more", "wanted"),
    [
        ([OLD, OLD, OLD], {}, None),
        ([OLD, OLD, UNPULLED], {}, None),  # it is of the template that there is
        ([OLD, OLD, Member(made="old", healthy=None, ready=False, started=False)], {}, "db-2"),
        ([Member(made="old", healthy=None, ready=False, started=False)] * 3, {"formed": False}, "db-0"),
        # Unknown is not away: the kubelet says that it is ready.
        ([OLD, OLD, Member(made="old", healthy=None)], {}, None),
        ([OLD, OLD, Member(made="old", ready=False)], {}, None),
        # One that once started is given a minute.
        ([OLD, OLD, Member(made="old", healthy=False, ready=False, minutes=0.5)], {}, None),
        ([OLD, OLD, Member(made="old", healthy=False, ready=False, minutes=2)], {}, "db-2"),
        ([Member(made="old", healthy=False, ready=False, minutes=0.1)] * 3, {"formed": False}, "db-0"),
        ([OLD, OLD, Member(made="old", healthy=None, ready=False, started=False)], {"upgrade": {"paused": True}}, None),
        ([OLD, OLD, Member(made="old", healthy=None, ready=False, started=False)], {"upgrade": {"windows": SHUT}}, "db-2"),
    ],
)
def test_what_serves_nothing_is_made_anew_at_once(
    members: Sequence[Member], more: dict[str, Any], wanted: str | None
) -> None:
    step = mend(turn(members, **more))
    assert (step.member if step else None) == wanted
    if step is not None and step.act is not None:
        step.act()


def act(one: Turn) -> list[Any]:
    step = rolling(one)
    assert step is not None
    assert step.act is not None
    step.act()
    return done(one)


def test_a_member_is_evicted_where_the_budget_can_allow_it_and_deleted_where_it_never_could() -> None:
    assert act(turn([OLD, OLD, OLD])) == ["db-2 evicted"]
    assert act(turn([OLD])) == ["db-0 deleted"]
    kept = {"availability": {"disruption": {"maxUnavailable": 0}}}
    assert act(turn([OLD, OLD, OLD], **kept)) == ["db-2 deleted"]


def test_it_is_an_upgrade_a_way_back_or_neither_by_the_version_that_it_comes_from() -> None:
    for notes, kind in ((HOP, "Upgrade"), ({"previous-version": "3.6.0"}, "Rollback"), ({}, "Configure")):
        step = rolling(turn([OLD, OLD, OLD], notes=notes))
        assert step is not None
        assert step.kind == kind


def test_one_that_waits_for_its_window_holds_up_nobody_but_between_two_versions() -> None:
    waits = rolling(turn([OLD, OLD, OLD], upgrade={"windows": SHUT}))
    mixed = rolling(turn([OLD, FINE, FINE], notes=HOP, upgrade={"windows": SHUT}))
    assert waits is not None
    assert mixed is not None
    assert (waits.yields, mixed.yields) == (True, False)
    assert "2026-01-02T03:00Z" in waits.message


def test_a_member_that_does_not_hand_over_is_a_case_for_people_and_is_told_again() -> None:
    began = datetime(2026, 1, 1, 11, 50, tzinfo=UTC)
    operation = {
        "id": "x",
        "kind": "Configure",
        "step": "switchover",
        "member": "db-0",
        "started": began,
        "stepStarted": began,
    }
    step = rolling(turn([OLD, FINE, FINE], status={"operation": operation}))
    assert step is not None
    assert step.blocked == "SwitchoverFailed"
    assert step.act is not None


def test_a_message_names_the_member_what_it_says_and_the_way_back() -> None:
    unpulled = Member(healthy=None, ready=False, started=False, waiting="ImagePullBackOff", minutes=3)
    step = rolling(turn([OLD, OLD, unpulled], notes=HOP))
    assert step is not None
    assert step.message == (
        "db-2: its pod waits: ImagePullBackOff; it was made anew with etcd:3.5.16 and has not served for 3 minutes; "
        "no other member is touched; set version back to 3.5.15, or mend what keeps it"
    )
