"""The operator before a real API server; kubelet and etcd are stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

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
    wanted,
)
from standin_etcd import StandIn

from stateward.operator.observe import SWITCHED, SWITCHING


def switched(kubectl: Kubectl, value: str) -> bool:
    """Whether a request to switch over is done, and nothing else is being done."""
    notes = kubectl.get("statefulset", NAME)["metadata"]["annotations"]
    return notes.get(SWITCHED) == value and SWITCHING not in notes and settled(kubectl, 3)


def test_a_service_is_made_scaled_and_deleted_and_says_how_it_stands(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl, deletionPolicy={"claims": "Delete"})
    settle(kubectl, 3)
    now = status(kubectl)
    assert now["observedGeneration"] == 1
    assert [one["role"] for one in now["members"]] == ["leader", "follower", "follower"]
    assert now["primary"] == "db-0"
    assert now["runningVersion"] == "3.5.16"
    assert any("is founded" in one["message"] for one in now["decisions"])
    for members in (5, 3, 5):
        scale(kubectl, members)
        settle(kubectl, members)
        assert standin.engine.voters() == [f"db-{number}" for number in range(members)]
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)
    kinds = "statefulsets,pods,persistentvolumeclaims"
    assert kubectl.names(kinds, "-l", "stateward.dev/service=db") == []


def test_the_operator_passes_the_door_as_anybody_would(
    door: Door, kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl, deletionPolicy={"claims": "Delete"})
    for members in (3, 5, 3):
        scale(kubectl, members)
        settle(kubectl, members)
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)
    assert kubectl.names("statefulsets,pods,persistentvolumeclaims", "-l", "stateward.dev/service=db") == []


def test_claims_stay_with_a_deleted_service_and_a_new_one_takes_them_on(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    claims = {one["metadata"]["uid"] for one in kubectl.get("persistentvolumeclaims")["items"]}
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)
    assert {one["metadata"]["uid"] for one in kubectl.get("persistentvolumeclaims")["items"]} == claims
    identities = dict(standin.engine.data)
    standin.engine.deleting = False
    create(kubectl)
    settle(kubectl, 3)
    assert standin.engine.data == identities


def test_what_somebody_writes_over_is_set_back_and_an_event_names_who(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    kubectl.must("patch", "poddisruptionbudget", NAME, "--type=merge", "-p", '{"spec":{"maxUnavailable":3}}')
    eventually(lambda: kubectl.get("poddisruptionbudget", NAME)["spec"]["maxUnavailable"] == 1, "it is set back")
    kubectl.must("delete", "service", NAME)
    eventually(lambda: kubectl.get("service", NAME), "it is made again")
    kubectl.must("scale", "statefulset", NAME, "--replicas=2")
    eventually(lambda: kubectl.get("statefulset", NAME)["spec"]["replicas"] == 3, "replicas are set back")
    said = eventually(lambda: [one for one in events(kubectl, "Reverted") if "PodDisruptionBudget" in one], "an event")
    assert "kubectl-patch" in said[0]
    assert "stateward.dev/paused=true" in said[0]


def test_a_paused_service_is_let_be_until_it_is_not(kubectl: Kubectl, operator: object, standin: StandIn) -> None:
    create(kubectl)
    settle(kubectl, 3)
    annotate(kubectl, "stateward.dev/paused=true")
    eventually(lambda: condition(kubectl, "Progressing").get("reason") == "Paused", "it says so")
    kubectl.must("delete", "poddisruptionbudget", NAME)
    scale(kubectl, 5)
    eventually(lambda: condition(kubectl, "Ready").get("observedGeneration") == 2, "it has seen that")
    assert kubectl.get("poddisruptionbudget", NAME) == {}
    assert kubectl.get("statefulset", NAME)["spec"]["replicas"] == 3
    annotate(kubectl, "stateward.dev/paused-")
    settle(kubectl, 5)
    assert kubectl.get("poddisruptionbudget", NAME)


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(kubectl: Kubectl, operator: object) -> None:
    item = wanted()
    item["metadata"]["annotations"] = {"stateward.dev/dry-run": "true"}
    kubectl.must("apply", "-f", "-", stdin=item)
    (said,) = eventually(lambda: [one["message"] for one in status(kubectl).get("decisions", ())], "it decides")
    assert said.startswith("would be created: ServiceAccount db, ConfigMap db-config")
    assert kubectl.names("statefulsets,configmaps", "-l", "stateward.dev/service=db") == []
    assert "finalizers" not in kubectl.get(KIND, NAME)["metadata"]


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"engine": "oracle"}, "UnknownEngine", "known are etcd"),
        ({"version": "3.3.1"}, "UnsupportedSpec", "3.4 is the oldest"),
        ({"parameters": {"force-new-cluster": "true"}}, "UnsupportedSpec", "parameters.force-new-cluster"),
    ],
)
def test_what_cannot_be_carried_out_is_said_and_nothing_is_made(
    kubectl: Kubectl, operator: object, spec: dict[str, Any], reason: str, said: str
) -> None:
    create(kubectl, **spec)
    blocked = eventually(lambda: one if (one := condition(kubectl, "Blocked")).get("status") == "True" else None, "it is")
    assert blocked["reason"] == reason
    assert said in blocked["message"]
    assert kubectl.names("statefulsets,configmaps", "-l", "stateward.dev/service=db") == []
    eventually(lambda: [one for one in events(kubectl, reason) if said in one], "an event")


def test_an_object_of_somebody_else_is_not_touched(kubectl: Kubectl, operator: object) -> None:
    kubectl.must("create", "serviceaccount", NAME)
    before = kubectl.get("serviceaccount", NAME)["metadata"]["resourceVersion"]
    create(kubectl)
    blocked = eventually(lambda: one if (one := condition(kubectl, "Blocked")).get("status") == "True" else None, "it is")
    assert blocked["reason"] == "NotOurs"
    assert kubectl.get("serviceaccount", NAME)["metadata"]["resourceVersion"] == before
    assert kubectl.get("statefulset", NAME) == {}


def test_the_member_that_leads_hands_over_where_that_is_asked_for_and_once(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    item = wanted()
    item["metadata"]["annotations"] = {"stateward.dev/switchover": "before there was anybody"}
    kubectl.must("apply", "-f", "-", stdin=item)
    settle(kubectl, 3)
    assert commands(standin) == []
    first = status(kubectl)["primary"]
    annotate(kubectl, "stateward.dev/switchover=2026-11-22")
    eventually(lambda: switched(kubectl, "2026-11-22"), "it is done")
    assert status(kubectl)["primary"] != first
    (said, *_) = (one["message"] for one in status(kubectl)["decisions"] if "Switchover: finish" in one["message"])
    assert said.endswith(f"leads instead of {first}: what 2026-11-22 asked for is done")
    assert commands(standin) == ["move"]


# --- crashes -------------------------------------------------------------------------------------------------------


def test_a_process_that_dies_after_each_single_write_and_command_comes_to_the_same_end(
    served: Cluster, kubectl: Kubectl, standin: StandIn
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, deletionPolicy={"claims": "Delete"})
    deaths = [lives(served.kubeconfig, key, lambda: settled(kubectl, 3))]
    for members in (5, 3):
        scale(kubectl, members)
        deaths.append(lives(served.kubeconfig, key, lambda members=members: settled(kubectl, members)))  # type: ignore[misc]
        assert standin.engine.voters() == [f"db-{number}" for number in range(members)]
        assert standin.engine.wrongs == []
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--wait=false")
    deaths.append(lives(served.kubeconfig, key, lambda: kubectl.get(KIND, NAME) == {}))
    assert kubectl.names("statefulsets,pods,persistentvolumeclaims", "-l", "stateward.dev/service=db") == []
    # Otherwise nothing was tried: each of these takes more than a write or two.
    assert all(one >= least for one, least in zip(deaths, (9, 9, 8, 3), strict=True)), deaths
    assert commands(standin) == ["add", "promote"] * 2 + ["remove"] * 2, standin.engine.told


def test_a_process_that_dies_after_each_single_write_and_command_has_nobody_hand_over_twice(
    served: Cluster, kubectl: Kubectl, standin: StandIn
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl)
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    led = [standin.engine.leader()]
    for value in ("first", "second"):
        annotate(kubectl, f"stateward.dev/switchover={value}")
        deaths = lives(served.kubeconfig, key, lambda value=value: switched(kubectl, value))  # type: ignore[misc]
        assert deaths >= 3  # taken up, handed over, noted
        led.append(standin.engine.leader())
    assert led[0] != led[1] != led[2]
    assert commands(standin) == ["move", "move"], standin.engine.told
