"""Plans: what the loop itself would do, step by step, and what each of them risks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.kube.errors import ClusterError
from stateward.operator.drivers import catalogue
from stateward.operator.plan import Plan, Start, plan
from stateward.operator.rehearsal.memory import Clock, MemoryCluster, merged
from stateward.operator.step import Step
from stateward.operator.undoing import undoing

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday


def service(status: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "stateward.dev/v1beta1",
        "kind": "StatefulService",
        "metadata": {"name": "db", "namespace": "prod"},
        "spec": {
            "engine": "etcd",
            "version": "3.5.21",
            "members": 3,
            "storage": {"size": "8Gi", "class": "standard"},
            "tls": {"enabled": False},
            **spec,
        },
        **({"status": status} if status is not None else {}),
    }


def planned(new: dict[str, Any], old: dict[str, Any] | None = None, around: Any = None) -> Plan:
    return plan(new, Start(old, around or {}) if old is not None else None, NOW)


def steps(found: Plan) -> list[str]:
    return [f"{one.name} {one.member}".strip() for one in found.steps]


def added(*members: int) -> list[str]:
    return [f"{name} db-{member}" for member in members for name in ("join", "start", "promote")]


def gone(*members: int) -> list[str]:
    return [f"{name} db-{member}" for member in members for name in ("leave", "note", "stop")]


ROLLED = ["restart db-2", "restart db-1", "switchover db-0", "restart db-0"]


def test_a_request_to_rotate_restarts_each_member_once_before_anything_is_issued() -> None:
    old = service(tls={"enabled": True})
    new = {**old, "metadata": {**old["metadata"], "annotations": {"stateward.dev/rotate": "now"}}}
    found = planned(new, old)
    assert steps(found) == ["prepare", *ROLLED, "issue", "finish"]
    assert found.steps[-2].waited >= timedelta(minutes=2)
    assert (found.blocked, steps(planned(old, old))) == (None, [])


def test_a_request_to_switch_over_changes_who_leads_and_nothing_else() -> None:
    old = service()
    new = {**old, "metadata": {**old["metadata"], "annotations": {"stateward.dev/switchover": "now"}}}
    found = planned(new, old)
    assert found.changes == "stateward.dev/switchover: none → now"
    assert steps(found) == ["note db-0", "switchover db-0", "finish"]
    assert {one.undo for one in found.steps} == {"yes: any member may lead"}
    assert "instead of db-0" in found.steps[-1].message
    assert found.done


@pytest.mark.parametrize("annotation", ["stateward.dev/switchover", "stateward.dev/rotate"])
def test_a_request_may_be_as_long_as_somebody_wants(annotation: str) -> None:
    old = service()
    found = planned({**old, "metadata": {**old["metadata"], "annotations": {annotation: "because " * 2000}}}, old)
    assert found.done
    assert found.steps[-1].name == "finish"


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        (None, {}, ["form"]),
        ({}, {}, []),
        ({}, {"members": 5}, added(3, 4)),
        ({"members": 5}, {}, gone(4, 3)),
        ({}, {"version": "3.5.33"}, ["begin", *ROLLED, "begun", "done"]),
        ({"version": "3.4.30"}, {"version": "3.5.33"}, ["begin", *ROLLED, "begun", "done"]),
        ({}, {"parameters": {"snapshot-count": 5000}}, ROLLED),
        ({}, {"resources": {"requests": {"cpu": "1"}}}, ROLLED),
        (
            {},
            {"storage": {"size": "16Gi", "class": "standard"}},
            ["claim db-0", "claim db-1", "claim db-2", "note", "recreate"],
        ),
        (
            {"storage": {"size": "8Gi", "wal": {"size": "2Gi"}}},
            {"storage": {"size": "8Gi", "wal": {"size": "4Gi"}}},
            ["claim db-0", "claim db-1", "claim db-2", "note", "recreate"],
        ),
        ({}, {"deletionPolicy": {"claims": "Delete"}}, []),
    ],
)
def test_the_steps_are_those_of_the_operations(
    old: dict[str, Any] | None, new: dict[str, Any], wanted: Sequence[str]
) -> None:
    found = planned(service(**new), None if old is None else service(**old))
    assert steps(found) == wanted
    assert found.done
    assert found.creation is (old is None)


def test_each_step_says_who_is_away_and_what_is_spared() -> None:
    found = planned(service(version="3.5.33"), service())
    assert [(one.away, one.serve, one.voters, one.spare) for one in found.steps] == [
        ((), 3, 3, 1),
        (("db-2",), 2, 3, 0),
        (("db-1",), 2, 3, 0),
        ((), 3, 3, 1),
        (("db-0",), 2, 3, 0),
        ((), 3, 3, 1),
        ((), 3, 3, 1),
    ]
    assert found.lowest is found.steps[1]


def test_who_leads_goes_last() -> None:
    status = {
        "currentMembers": 3,
        "primary": "db-2",
        "members": [{"name": f"db-{number}", "ready": True} for number in range(3)],
    }
    found = planned(service(version="3.5.33"), service(status))
    assert steps(found)[1:5] == ["restart db-1", "restart db-0", "switchover db-2", "restart db-2"]


def test_a_member_alone_is_away_with_all() -> None:
    found = planned(service(members=1, version="3.5.33"), service(members=1))
    assert [(one.name, one.spare) for one in found.steps] == [
        ("begin", 0),
        ("restart", -1),
        ("begun", 0),
        ("done", 0),
    ]


def test_a_member_that_is_away_is_waited_for_and_nothing_further_is_touched() -> None:
    status = {"members": [{"name": f"db-{number}", "ready": number != 1} for number in range(3)], "currentMembers": 3}
    found = planned(service(members=5), service(status))
    assert found.steps == []
    assert not found.done
    assert "db-1" in found.waits or "db-1" in str(found.blocked)


def test_it_begins_where_the_members_are() -> None:
    status = {
        "currentMembers": 4,
        "runningVersion": "3.5.21",
        "volumes": [{"name": "data", "class": "standard", "size": "8Gi"}],
        "members": [{"name": f"db-{number}", "ready": True} for number in range(4)],
    }
    assert steps(planned(service(members=5), service(status, members=5))) == added(4)


def test_a_window_is_waited_for_and_not_passed_over() -> None:
    windows = [{"schedule": "0 2 * * 1", "duration": "1h", "timeZone": "Europe/Berlin"}]
    upgrade = {"windows": windows}
    found = planned(service(version="3.5.33", upgrade=upgrade), service(upgrade=upgrade))
    first = found.steps[0]
    assert first.at == datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
    assert first.waited == first.at - NOW
    assert "window opens at 2026-11-23T01:00Z" in first.reason
    assert all(one.waited == timedelta() for one in found.steps[1:])


def test_a_pause_is_the_end() -> None:
    upgrade = {"paused": True}
    found = planned(service(version="3.5.33", upgrade=upgrade), service(upgrade=upgrade))
    assert found.steps == []
    assert "paused" in found.waits


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ({"version": "2.3.8"}, "2.3.8"),
        ({"parameters": {"force-new-cluster": "true"}}, "parameters.force-new-cluster"),
    ],
)
def test_what_cannot_be_done_says_why(new: dict[str, Any], said: str) -> None:
    found = planned(service(**new), service())
    assert found.blocked is not None
    assert said in found.blocked[1]


def test_a_class_that_lets_no_volume_grow_is_seen_beforehand() -> None:
    name = "StorageClass.storage.k8s.io"
    around = {(name, "", "standard"): {"metadata": {"name": "standard"}, "allowVolumeExpansion": False}}
    found = planned(service(storage={"size": "16Gi", "class": "standard"}), service(), around)
    assert found.blocked is not None
    assert found.blocked[0] == "VolumesCannotGrow"
    assert found.steps == []


def test_what_is_written_first_is_told() -> None:
    assert (
        planned(service(parameters={"snapshot-count": 5000}), service())
        .objects[0]
        .startswith("changed: ConfigMap db-config")
    )


def test_there_is_a_way_back_until_the_data_is_taken_over() -> None:
    found = planned(service(version="3.5.33"), service(version="3.4.30"))
    assert found.steps[1].undo.startswith("yes: set version back to 3.4.30")
    assert found.steps[-1].undo.startswith("no: ")
    within = planned(service(version="3.5.33"), service())
    assert all(one.undo.startswith("yes") for one in within.steps)


@pytest.mark.parametrize(
    ("kind", "name", "change", "begins"),
    [
        ("Grow", "claim", ("8Gi", "16Gi"), "no"),
        ("Finalise", "finalise", ("3.4", "3.5"), "no"),
        ("ScaleUp", "join", ("4 members", "5 members"), "yes: ask for 3 again"),
        ("ScaleUp", "clear", ("3 members", "5 members"), "no"),
        ("ScaleDown", "leave", ("5 members", "3 members"), "yes, with a new member"),
        ("ScaleDown", "note", ("5 members", "3 members"), ""),
        ("Upgrade", "switchover", ("3.4.30", "3.5.33"), "yes"),
        ("Upgrade", "restart", ("", ""), ""),
        ("Upgrade", "restart", ("16.4", "17.2"), "no"),
    ],
)
def test_how_a_step_is_undone(kind: Any, name: str, change: tuple[str, str], begins: str) -> None:
    engine = "postgresql" if change[0] == "16.4" else "etcd"
    found = undoing(Step(kind, name, "db-1", "", change=change), engine, 3, finalises=True)
    assert found.startswith(begins)
    assert bool(found) == bool(begins)


@pytest.mark.parametrize("engine", catalogue.names())
def test_every_engine_can_be_planned(engine: str) -> None:
    versions = {"etcd": "3.5.21", "postgresql": "17.2", "redis": "7.2.5", "valkey": "8.1.4"}
    spec = {"engine": engine, "version": versions.get(engine, "1.0.0"), "image": "example.test/engine:1"}
    found = planned(service(**spec, members=1))
    assert found.steps[:1] != [] or found.blocked is not None
    assert found.done or found.blocked is not None


@given(
    before=st.sampled_from([1, 3, 5]),
    after=st.sampled_from([1, 3, 5]),
    version=st.sampled_from(["3.5.21", "3.5.33"]),
    size=st.sampled_from(["8Gi", "16Gi"]),
)
@settings(max_examples=8, deadline=None)
def test_no_plan_goes_below_quorum_where_more_than_one_serves(before: int, after: int, version: str, size: str) -> None:
    found = planned(
        service(members=after, version=version, storage={"size": size, "class": "standard"}), service(members=before)
    )
    assert found.done, (found.blocked, found.waits)
    assert all(one.spare >= 0 for one in found.steps if one.voters > 1)
    assert all(len(one.away) <= 1 for one in found.steps)


def test_the_api_server_in_memory_keeps_what_the_real_one_keeps() -> None:
    cluster = MemoryCluster(Clock(NOW))
    path = "/api/v1/namespaces/prod/configmaps/one"
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "one", "labels": {"a": "b"}}, "data": {"x": "1"}}
    first = cluster.apply(path, item)
    again = cluster.apply(path, item)
    assert again["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    after = cluster.patch(path, {"metadata": {"annotations": {"c": "d"}}, "data": {"x": None, "y": "2"}})
    assert after["metadata"]["uid"] == first["metadata"]["uid"]
    assert after["data"] == {"y": "2"}
    assert after["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    assert cluster.get("/api/v1/namespaces/prod/configmaps", {"labelSelector": "a=b"})["items"] == [after]
    assert cluster.get("/api/v1/namespaces/prod/configmaps", {"labelSelector": "a=c"})["items"] == []
    with pytest.raises(ClusterError):
        cluster.create("/api/v1/namespaces/prod/configmaps", item)
    cluster.delete(path)
    assert cluster.find(path) is None
    assert cluster.find("/api/v1/nodes/one") is None


def test_a_merge_patch_is_that_of_the_rfc() -> None:
    assert merged({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": None, "c": [2]}, "e": {"f": None}}) == {
        "a": {"c": [2]},
        "d": 2,
        "e": {},
    }
