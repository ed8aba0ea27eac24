"""The next step towards another version, by the engine's path, how the members are, and what was noted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from turns import FINE, NOW, UP, Driver, Member, done, turn

from stateward.operator.drivers.protocol import Peer
from stateward.operator.operations.finish import finish
from stateward.operator.operations.steer import steer
from stateward.operator.operations.upgrade import upgrade as begin
from stateward.operator.step import Step
from stateward.operator.turn import Turn

THREE = [FINE, FINE, FINE]
PREVIOUS = {"previous-version": "3.4.30", "previous-image": "etcd:3.4.30"}
LOST = Member(healthy=None, ready=False, started=False, waiting="ImagePullBackOff", minutes=5)
MIXED = [Member(made="3.4.30"), Member(made="3.4.30"), LOST]
DIGEST = "registry.test/etcd@sha256:" + "0" * 64


def peers() -> list[Peer]:
    return [Peer(str(number), f"db-{number}") for number in range(3)]


def upgrade(one: Turn) -> Step | None:
    return finish(one) or begin(one)


def short(step: Step | None) -> str:
    return "" if step is None else step.blocked or step.name


def backup(hours: float, version: str = "8.1.1", verified: bool = True) -> dict[str, Any]:
    time = NOW - timedelta(hours=hours)
    last = {"name": "nightly", "time": time, "version": version, **({"verified": time} if verified else {})}
    return {"backup": {"last": last}}


@pytest.mark.parametrize(
    ("members", "running", "wanted", "more", "expected"),
    [
        (THREE, "3.5.16", "3.5.16", {}, ""),
        (THREE, "3.5.16", "3.5", {}, ""),
        (THREE, "3.5.16", "3.5.17", {}, "begin"),
        (THREE, "3.4.30", "3.5.33", {}, "begin"),
        ([FINE, FINE, UP], "3.5.16", "3.5.17", {}, "wait"),
        ([FINE, FINE, Member(healthy=None)], "3.5.16", "3.5.17", {}, "wait"),
        (THREE, "3.5.16", "3.5.17", {"upgrade": {"paused": True}}, "paused"),
        (THREE, "3.5.16", "3.5.17", {"upgrade": {"windows": [{"schedule": "0 3 * * *", "duration": "1h"}]}}, "window"),
        # Back: inside a series, and no further.
        (THREE, "3.5.17", "3.5.16", {}, "begin"),
        (THREE, "3.5.16", "3.4.45", {"notes": {"finalised": "3.5"}}, "DowngradeRefused"),
        (THREE, "3.5.16", "3.4.45", {}, "DowngradeRefused"),
        (THREE, "3.4.30", "3.3.27", {}, "DowngradeRefused"),
        # Stepping stones: the operator knows their images only where none was given.
        (THREE, "3.4.30", "3.6.14", {}, "begin"),
        (THREE, "3.4.30", "3.6.14", {"image": DIGEST}, "NoWay"),
        (THREE, "3.5.16", "3.5.17", {"image": DIGEST}, "begin"),
        (THREE, "3.5.33", "3.6.14", {"notes": {"finalised": "3.5", "upgraded": "2026-01-01T11:55:00Z"}}, "soak"),
        (THREE, "3.5.33", "3.6.14", {"notes": {"finalised": "3.5", "upgraded": "2026-01-01T11:45:00Z"}}, "begin"),
        (THREE, "3.5.33", "3.5.34", {"notes": {"finalised": "3.5", "upgraded": "2026-01-01T11:55:00Z"}}, "begin"),
        (THREE, "3.7.1", "4.0.0", {}, "NoWay"),
        # What failed is not tried again by itself.
        (THREE, "3.5.16", "3.5.17", {"notes": {"failed": "3.5.17"}}, "UpgradeRolledBack"),
        (THREE, "3.5.16", "3.5.17", {"notes": {"failed": "3.5.17"}, "image": DIGEST}, "begin"),
        (THREE, "3.5.16", "3.5.18", {"notes": {"failed": "3.5.17"}}, "begin"),
        (THREE, "3.5.16", "3.5.16", {"notes": {"failed": "3.5.17"}}, "forget"),
        # The end of a hop.
        (THREE, "3.5.16", "3.5.16", {"notes": PREVIOUS}, "done"),
        ([FINE, FINE, UP], "3.5.16", "3.5.16", {"notes": PREVIOUS}, "wait"),
    ],
)
def test_the_next_step_follows_from_the_facts(
    members: Sequence[Member], running: str, wanted: str, more: dict[str, Any], expected: str
) -> None:
    assert short(upgrade(turn(members, running=running, **{"version": wanted, **more}))) == expected


@pytest.mark.parametrize(
    ("majors", "told", "expected"),
    [
        ("Refuse", backup(1), "MajorRefused"),
        ("DumpAndRestore", backup(1), "NotCarriedOut"),
        ("InPlace", {}, "NoFreshBackup"),
        ("InPlace", backup(25), "NoFreshBackup"),
        ("InPlace", backup(1, "7.2.14"), "NoFreshBackup"),
        ("InPlace", backup(1, verified=False), "NoFreshBackup"),
        ("InPlace", backup(1), "begin"),
    ],
)
def test_a_major_wants_to_be_asked_for_and_a_fresh_backup_that_was_read_back(
    majors: str, told: dict[str, Any], expected: str
) -> None:
    one = turn(THREE, running="8.1.1", engine="valkey", version="9.0.5", status=told, upgrade={"majors": majors})
    assert short(upgrade(one)) == expected


def act(step: Step | None, one: Turn) -> Any:
    assert step is not None
    assert step.act is not None
    step.act()
    return done(one)[-1]


def test_a_hop_is_a_note_of_where_it_leads_and_where_it_comes_from() -> None:
    one = turn(THREE, running="3.4.30", version="3.6.14")
    assert act(upgrade(one), one) == {
        "version": "3.5.33",
        "image": "quay.io/coreos/etcd:v3.5.33",
        "previous-version": "3.4.30",
        "previous-image": "etcd:3.4.30",
        "upgraded": None,
        "failed": None,
        "begun": None,
    }
    strict = turn(THREE, running="3.5.16", version="3.5.17", upgrade={"strategy": "Recreate"})
    assert act(upgrade(strict), strict)["parked"] == "true"


def test_an_engine_that_takes_the_data_over_by_itself_is_final_once_all_members_are_new() -> None:
    one = turn(THREE, running="3.5.16", notes=PREVIOUS | {"finalised": "3.4"})
    found = act(upgrade(one), one)
    assert found["finalised"] == "3.5"
    assert found["previous-version"] is None
    back = turn(THREE, running="3.4.30", notes={"previous-version": "3.5.16", "finalised": "3.4"})
    assert act(upgrade(back), back)["finalised"] == "3.4"


def test_one_that_is_told_to_soaks_first_and_waits_for_a_word_if_asked_to() -> None:
    notes = PREVIOUS | {"finalised": "3.4"}

    def after(minutes: float, **policy: Any) -> Turn:
        since = f"{NOW - timedelta(minutes=minutes):%Y-%m-%dT%H:%M:%SZ}"
        driver = Driver(peers(), finalises=True)
        return turn(THREE, running="3.5.16", notes=notes | {"upgraded": since}, driver=driver, upgrade=policy)

    fresh = turn(THREE, running="3.5.16", notes=notes, driver=Driver(peers(), finalises=True))
    assert act(upgrade(fresh), fresh) == {"upgraded": "2026-01-01T12:00:00Z"}
    assert short(upgrade(after(5))) == "soak"
    assert short(upgrade(after(15, finalise="Manual"))) == "confirm"
    final = after(15)
    assert act(upgrade(final), final) == {
        "finalised": "3.5",
        "previous-version": None,
        "previous-image": None,
        "begun": None,
    }
    assert final.driver.told == ["finalise 3.5.16"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("members", "wanted", "more", "expected"),
    [
        (MIXED, "3.5.16", {}, ""),
        # Back to what others run is always possible.
        (MIXED, "3.4.30", {}, "back"),
        (MIXED, "3.4.30", {"upgrade": {"strategy": "Recreate"}}, "back"),
        (THREE, "3.4.30", {"notes": PREVIOUS | {"finalised": "3.5"}}, "begun"),
        (THREE, "3.4.30", {"notes": PREVIOUS | {"begun": "true"}}, "DowngradeRefused"),
        # None of the members has ever run the new one (`Recreate`).
        ([LOST] * 3, "3.4.30", {}, "back"),
        ([LOST, LOST, UP], "3.4.30", {}, "begun"),
        ([LOST] * 3, "3.4.30", {"notes": PREVIOUS | {"begun": "true"}}, "DowngradeRefused"),
        # Another patch of where it goes.
        (MIXED, "3.5.17", {}, "version"),
        (MIXED, "3.5.15", {}, "version"),
        (MIXED, "3.6.14", {}, ""),
        # By itself, where that is asked for and safe.
        (MIXED, "3.5.16", {"upgrade": {"onFailure": "Rollback"}}, "back"),
        ([Member(made="3.4.30"), Member(made="3.4.30"), UP], "3.5.16", {"upgrade": {"onFailure": "Rollback"}}, ""),
        ([FINE, FINE, LOST], "3.5.16", {"upgrade": {"onFailure": "Rollback"}, "notes": PREVIOUS | {"begun": "true"}}, ""),
        ([LOST] * 3, "3.5.16", {"upgrade": {"onFailure": "Rollback"}}, "back"),
    ],
)
def test_the_course_is_changed_where_that_is_safe(
    members: Sequence[Member], wanted: str, more: dict[str, Any], expected: str
) -> None:
    assert short(steer(turn(members, **{"version": wanted, "notes": PREVIOUS, **more}))) == expected


def test_the_way_back_by_itself_is_noted_so_that_it_is_not_tried_again() -> None:
    one = turn(MIXED, notes=PREVIOUS, upgrade={"onFailure": "Rollback"})
    assert act(steer(one), one) == {
        "version": "3.4.30",
        "image": "etcd:3.4.30",
        "previous-version": "3.5.16",
        "previous-image": "etcd:3.5.16",
        "upgraded": None,
        "begun": None,
        "waive": 'SW301 until=2026-01-01T12:15:00Z reason="back from 3.5.16"',
        "failed": "3.5.16",
    }


@pytest.mark.parametrize(
    ("member", "wanted", "expected"),
    [
        (LOST, "3.5.16", ""),
        (LOST, "3.4.30", "version"),
        (LOST, "3.9.0", "version"),
        (UP, "3.5.17", "version"),
        (UP, "3.5.15", "version"),
        (UP, "3.4.30", "NoWay"),
        (UP, "3.8.0", "NoWay"),
    ],
)
def test_before_there_is_a_cluster_the_version_can_be_another(member: Member, wanted: str, expected: str) -> None:
    one = turn([member] * 3, version=wanted, formed=False)
    assert short(steer(one)) == expected
    assert upgrade(one) is None


def test_times_are_kept_in_utc() -> None:
    one = turn(THREE, running="3.5.16", notes=PREVIOUS, now=datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert act(upgrade(one), one)["upgraded"] == "2026-07-01T12:00:00Z"
