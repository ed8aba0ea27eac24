"""Rolling restarts and upgrades before a real API server; kubelet and etcd are stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cluster_kit import Cluster, Door, Kubectl, eventually
from operate_kit import (
    KIND,
    NAME,
    annotate,
    client,
    commands,
    condition,
    create,
    door,
    events,
    kubectl,
    lives,
    operator,
    scale,
    served,
    settle,
    settled,
    standin,
    status,
)
from standin_etcd import StandIn

OLD = "3.4.30"
NEW = "3.5.33"
IMAGE = "quay.io/coreos/etcd:v"


def change(kubectl: Kubectl, **spec: Any) -> None:
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", json.dumps({"spec": spec}))


def runs(kubectl: Kubectl, version: str, members: int = 3) -> bool:
    """Whether all members run a version, and nothing is left to do about it."""
    now = status(kubectl)
    versions = {one.get("version") for one in now.get("members", ())}
    return (
        settled(kubectl, members) and versions == {version} and notes(kubectl).get("stateward.dev/previous-version") is None
    )


def notes(kubectl: Kubectl) -> dict[str, str]:
    found: dict[str, str] = kubectl.get("statefulset", NAME)["metadata"]["annotations"]
    return found


def uids(kubectl: Kubectl) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in kubectl.get("pods").get("items", ())}


def blocked(kubectl: Kubectl, reason: str) -> str:
    """What is said of it, once it is said."""
    found = eventually(
        lambda: one if (one := condition(kubectl, "Blocked")).get("reason") == reason else None, f"it says {reason}", 60
    )
    return str(found["message"])


def test_members_go_to_another_version_one_at_a_time_and_the_leader_is_the_last(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl, version=OLD)
    settle(kubectl, 3)
    assert status(kubectl)["finalisedVersion"] == "3.4"
    change(kubectl, version=NEW)
    eventually(lambda: runs(kubectl, NEW), "all members run it", 120)
    assert standin.engine.ended == ["db-2", "db-1", "db-0"]  # none of them led when its pod went
    assert commands(standin) == ["move"]
    assert status(kubectl)["finalisedVersion"] == "3.5"
    said = " ".join(one["message"] for one in status(kubectl)["decisions"])
    assert "Upgrade: done: all members run 3.5.33" in said
    # The API server keeps what the data cannot do any more.
    refused = kubectl("patch", KIND, NAME, "--type=merge", "-p", json.dumps({"spec": {"version": OLD}}))
    assert "finalised at 3.5" in refused.err


def test_another_image_alone_is_a_restart_and_another_member_is_none(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    before = uids(kubectl)
    scale(kubectl, 5)
    settle(kubectl, 5)
    assert {name: uid for name, uid in uids(kubectl).items() if name in before} == before
    scale(kubectl, 3)
    settle(kubectl, 3)
    assert uids(kubectl) == before
    change(kubectl, image="registry.test/etcd:3.5.16")
    eventually(lambda: not set(uids(kubectl).values()) & set(before.values()) and settled(kubectl, 3), "all are new", 120)
    assert {one["spec"]["containers"][0]["image"] for one in kubectl.get("pods")["items"]} == {"registry.test/etcd:3.5.16"}
    assert "operation" not in status(kubectl)


def test_an_image_that_cannot_be_pulled_costs_one_member_and_is_mended_by_setting_it_back(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    before = uids(kubectl)
    standin.engine.broken.add("3.5.16-gone")
    change(kubectl, image="registry.test/etcd:3.5.16-gone")
    eventually(lambda: "ImagePullBackOff" in condition(kubectl, "Progressing").get("message", ""), "it says why", 60)
    assert len(set(uids(kubectl).values()) & set(before.values())) == 2
    change(kubectl, image=None)
    eventually(lambda: settled(kubectl, 3), "all serve again", 60)
    assert len(set(uids(kubectl).values()) & set(before.values())) == 2


def test_a_first_image_that_cannot_be_pulled_is_mended_too(kubectl: Kubectl, operator: object, standin: StandIn) -> None:
    standin.engine.broken.add("v3.5.99")
    create(kubectl, version="3.5.99")
    eventually(lambda: len(uids(kubectl)) == 3, "there are pods")
    change(kubectl, version=NEW)
    eventually(lambda: runs(kubectl, NEW), "the members found their cluster", 60)


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"version": "3.6.14", "image": "registry.test/etcd:3.6.14"}, "NoWay", "3.4.30 → 3.5.33 → 3.6.14"),
        ({"version": "3.5.33", "image": "registry.test/etcd:3.6.14"}, "ImageOfAnotherVersion", "its tag says 3.6.14"),
        ({"version": "3.4.29"}, "", ""),
    ],
)
def test_what_is_no_hop_is_not_made_even_where_the_rules_are_waived(
    served: Cluster, kubectl: Kubectl, standin: StandIn, spec: dict[str, Any], reason: str, said: str
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, version=OLD)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    annotate(kubectl, f'stateward.dev/waive=SW302 until={tomorrow} reason="to see what the operator does"')
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    change(kubectl, **spec)
    if reason:
        lives(served.kubeconfig, key, lambda: condition(kubectl, "Blocked").get("reason") == reason)
        assert said in condition(kubectl, "Blocked")["message"]
        assert notes(kubectl)["stateward.dev/version"] == OLD
    else:
        lives(served.kubeconfig, key, lambda: notes(kubectl)["stateward.dev/version"] == spec["version"])


# --- crashes -------------------------------------------------------------------------------------------------------


def test_a_process_that_dies_after_each_write_and_command_of_an_upgrade_comes_to_the_same_end(
    served: Cluster, kubectl: Kubectl, standin: StandIn
) -> None:
    key = (kubectl.namespace, NAME)

    def until(over: Callable[[], bool], later: timedelta = timedelta()) -> int:
        return lives(served.kubeconfig, key, over, later)

    create(kubectl, version=OLD, upgrade={"onFailure": "Rollback"})
    until(lambda: settled(kubectl, 3))
    change(kubectl, version=NEW)
    deaths = [until(lambda: runs(kubectl, NEW))]
    assert standin.engine.ended == ["db-2", "db-1", "db-0"]
    assert commands(standin) == ["move"]
    assert status(kubectl)["finalisedVersion"] == "3.5"

    # One whose first member does not come up goes back by itself, and is not begun again.
    standin.engine.broken.add("v3.5.34")
    change(kubectl, version="3.5.34")
    deaths.append(
        until(
            lambda: runs(kubectl, NEW) and condition(kubectl, "Blocked").get("reason") == "UpgradeRolledBack",
            timedelta(minutes=5),
        )
    )
    assert len(standin.engine.ended) == 4
    assert notes(kubectl)["stateward.dev/version"] == NEW

    # Set back, it is forgotten; mended, it is tried again.
    change(kubectl, version=NEW)
    until(lambda: "stateward.dev/failed" not in notes(kubectl))
    standin.engine.broken.clear()
    change(kubectl, version="3.5.34")
    deaths.append(until(lambda: runs(kubectl, "3.5.34")))
    assert not standin.engine.wrongs
    assert not [one for one in standin.engine.ended if one.endswith("*")]
    assert all(one >= least for one, least in zip(deaths, (8, 8, 8), strict=True)), deaths


def test_with_recreate_members_of_two_versions_never_run_at_once_past_the_door_too(
    served: Cluster, door: Door, kubectl: Kubectl, standin: StandIn
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, version=OLD, upgrade={"strategy": "Recreate"})
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    standin.engine.deleting = True  # all stop: the quorum goes with them, as was asked for
    change(kubectl, version=NEW)
    assert lives(served.kubeconfig, key, lambda: runs(kubectl, NEW)) >= 6
    assert not standin.engine.mixed
    assert kubectl.get("statefulset", NAME)["spec"]["replicas"] == 3
