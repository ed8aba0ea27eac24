"""Volumes that grow and members whose node is gone, before a real API server; nodes, storage and etcd are stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from cluster_kit import Cluster, Door, Kubectl, eventually
from operate_kit import (
    KIND,
    NAME,
    client,
    commands,
    condition,
    create,
    door,
    events,
    kubectl,
    lives,
    operator,
    served,
    settle,
    settled,
    status,
)
from standin_nodes import FIXED, GROWS, OnNodes

from stateward.kube.client import Cluster as Client

GIBI = {"size": "1Gi", "class": GROWS}
TWO = {**GIBI, "wal": {"size": "1Gi", "class": GROWS}}
"""A second volume for the log."""
ANYWHERE: dict[str, Any] = {"nodeSelector": {}}


@pytest.fixture
def standin(client: Client, kubectl: Kubectl) -> Iterator[OnNodes]:
    with OnNodes(client, kubectl.namespace, NAME) as one:
        yield one
    assert one.engine.wrongs == []


def patch(kubectl: Kubectl, spec: str) -> None:
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", f'{{"spec":{spec}}}')


def uids(kubectl: Kubectl, kind: str) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in kubectl.get(kind)["items"]}


def capacities(kubectl: Kubectl) -> list[str]:
    return [one["status"].get("capacity", {}).get("storage", "") for one in kubectl.get("persistentvolumeclaims")["items"]]


def asked_by_the_set(kubectl: Kubectl) -> str:
    """The size of its volumes, where all have the same."""
    found = kubectl.get("statefulset", NAME)
    templates = found["spec"]["volumeClaimTemplates"] if found else []
    sizes = {str(one["spec"]["resources"]["requests"]["storage"]) for one in templates}
    return sizes.pop() if len(sizes) == 1 else ""


def grown(kubectl: Kubectl, size: str) -> bool:
    return settled(kubectl, 3) and asked_by_the_set(kubectl) == size and set(capacities(kubectl)) == {size}


def made_anew(kubectl: Kubectl, member: str, before: dict[str, str]) -> bool:
    """Whether a member has another volume than before, and all serve."""
    now = uids(kubectl, "persistentvolumeclaims")
    return now.get(f"data-{member}", before[f"data-{member}"]) != before[f"data-{member}"] and settled(kubectl, 3)


def of_member(standin: OnNodes, member: str) -> list[str]:
    """What the engine was told of a member."""
    return [text.partition(" ")[0] for text in standin.engine.told if member in text]


def test_volumes_grow_and_a_member_is_made_anew_once_its_node_is_said_to_be_gone_past_the_door(
    door: Door, kubectl: Kubectl, operator: object, standin: OnNodes
) -> None:
    create(kubectl, storage=GIBI, placement=ANYWHERE)
    settle(kubectl, 3, 120)
    pods, claims = uids(kubectl, "pods"), uids(kubectl, "persistentvolumeclaims")

    patch(kubectl, '{"storage":{"size":"2Gi"}}')
    eventually(lambda: grown(kubectl, "2Gi"), "all volumes have grown", 120)
    assert uids(kubectl, "pods") == pods
    assert uids(kubectl, "persistentvolumeclaims") == claims

    node = standin.node_of("db-2")
    standin.dies(node)
    eventually(lambda: condition(kubectl, "Blocked").get("reason") == "NodeAway", "it says what it waits for", 90)
    said = condition(kubectl, "Blocked")["message"]
    assert f"kubectl taint nodes {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute" in said
    assert f"its node {node} is not ready" in condition(kubectl, "Degraded")["message"]
    assert any(node in one for one in eventually(lambda: events(kubectl, "NodeAway"), "an event"))
    time.sleep(3)
    assert uids(kubectl, "persistentvolumeclaims") == claims
    assert uids(kubectl, "pods") == pods
    assert of_member(standin, "db-2") == []

    standin.says_gone(node)
    eventually(lambda: made_anew(kubectl, "db-2", claims), "db-2 is made anew", 180)
    assert of_member(standin, "db-2")[:2] == ["remove", "add"]
    assert set(of_member(standin, "db-2")[2:]) == {"promote"}
    assert standin.engine.voters() == ["db-0", "db-1", "db-2"]
    assert standin.node_of("db-2") != node
    assert condition(kubectl, "Blocked")["status"] == "False"
    after = uids(kubectl, "persistentvolumeclaims")
    assert {name: uid for name, uid in after.items() if name != "data-db-2"} == {
        name: uid for name, uid in claims.items() if name != "data-db-2"
    }


def test_a_node_that_comes_back_brings_its_member_back_as_it_was(
    kubectl: Kubectl, operator: object, standin: OnNodes
) -> None:
    create(kubectl, storage=GIBI, placement=ANYWHERE)
    settle(kubectl, 3, 120)
    claims, node = uids(kubectl, "persistentvolumeclaims"), standin.node_of("db-0")
    standin.dies(node)
    eventually(lambda: condition(kubectl, "Blocked").get("reason") == "NodeAway", "it says what it waits for", 90)
    standin.dead.clear()
    settle(kubectl, 3, 90)
    eventually(lambda: condition(kubectl, "Blocked").get("status") == "False", "nothing is waited for")
    assert uids(kubectl, "persistentvolumeclaims") == claims
    assert standin.engine.told == []


def test_where_its_volume_can_go_elsewhere_a_member_of_a_deleted_node_keeps_it(
    kubectl: Kubectl, operator: object, standin: OnNodes
) -> None:
    standin.moves = True
    create(kubectl, storage=GIBI, placement=ANYWHERE)
    settle(kubectl, 3, 120)
    claims, pods, node = uids(kubectl, "persistentvolumeclaims"), uids(kubectl, "pods"), standin.node_of("db-1")
    standin.dies(node)
    kubectl.must("delete", "node", node)
    eventually(lambda: uids(kubectl, "pods").get("db-1", pods["db-1"]) != pods["db-1"], "its pod is let go of", 60)
    settle(kubectl, 3, 90)
    assert uids(kubectl, "persistentvolumeclaims") == claims
    assert standin.node_of("db-1") != node
    assert standin.engine.told == []


def test_a_volume_that_is_gone_is_made_anew_though_its_node_lives(
    kubectl: Kubectl, operator: object, standin: OnNodes
) -> None:
    create(kubectl, storage=GIBI, placement=ANYWHERE)
    settle(kubectl, 3, 120)
    claims = uids(kubectl, "persistentvolumeclaims")
    volume = f"pv-{claims['data-db-1']}"
    kubectl.must("delete", "persistentvolume", volume, "--wait=false")
    kubectl.must("patch", "persistentvolume", volume, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')

    def lost() -> bool:
        return bool(kubectl.get("persistentvolumeclaim", "data-db-1")["status"]["phase"] == "Lost")

    eventually(lost, "the claim is Lost", 60)
    time.sleep(3)
    # It serves on: nothing is taken from it.
    assert uids(kubectl, "persistentvolumeclaims") == claims
    standin.engine.silent.add("db-1")
    eventually(lambda: uids(kubectl, "persistentvolumeclaims").get("data-db-1") != claims["data-db-1"], "it goes", 90)
    standin.engine.silent.clear()
    eventually(lambda: made_anew(kubectl, "db-1", claims), "db-1 is made anew", 90)
    assert of_member(standin, "db-1")[:2] == ["remove", "add"]


def test_a_class_that_does_not_expand_is_named_and_nothing_grows(
    kubectl: Kubectl, operator: object, standin: OnNodes
) -> None:
    create(kubectl, storage={"size": "1Gi", "class": FIXED}, placement=ANYWHERE)
    settle(kubectl, 3, 120)
    patch(kubectl, '{"storage":{"size":"2Gi"}}')
    blocked = eventually(lambda: one if (one := condition(kubectl, "Blocked")).get("status") == "True" else None, "it is")
    assert f'class "{FIXED}" does not expand' in blocked["message"] or f"class {FIXED}" in blocked["message"]
    time.sleep(2)
    assert asked_by_the_set(kubectl) == "1Gi"
    assert set(capacities(kubectl)) == {"1Gi"}


@pytest.mark.parametrize(("storage", "least"), [(GIBI, 9), (TWO, 12)])
def test_a_process_that_dies_after_each_single_write_grows_to_the_same_end(
    served: Cluster, kubectl: Kubectl, standin: OnNodes, storage: dict[str, Any], least: int
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, storage=storage, placement=ANYWHERE)
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    pods, claims = uids(kubectl, "pods"), uids(kubectl, "persistentvolumeclaims")
    revision = kubectl.get("statefulset", NAME)["metadata"]["uid"]

    # Another version is wanted meanwhile, and not yet to be carried out: what the set is made again with is what runs.
    second = ',"wal":{"size":"2Gi"}' if storage is TWO else ""
    patch(kubectl, f'{{"storage":{{"size":"2Gi"{second}}},"version":"3.5.17","upgrade":{{"paused":true}}}}')
    died = lives(served.kubeconfig, key, lambda: asked_by_the_set(kubectl) == "2Gi" and set(capacities(kubectl)) == {"2Gi"})
    assert died >= least, died
    found = kubectl.get("statefulset", NAME)
    notes: dict[str, Any] = found["metadata"]["annotations"]
    assert found["metadata"]["uid"] != revision
    assert (notes["stateward.dev/formed"], notes["stateward.dev/members"]) == ("true", "3")
    assert notes["stateward.dev/version"] == "3.5.16"
    assert found["spec"]["template"]["spec"]["containers"][0]["image"].endswith("3.5.16")
    assert uids(kubectl, "pods") == pods
    assert uids(kubectl, "persistentvolumeclaims") == claims
    owners = {one["metadata"]["ownerReferences"][0]["uid"] for one in kubectl.get("pods")["items"]}
    assert owners == {found["metadata"]["uid"]}
    patch(kubectl, '{"version":"3.5.16","upgrade":{"paused":false}}')
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))


@pytest.mark.parametrize("storage", [GIBI, TWO])
def test_a_process_that_dies_after_each_single_write_and_command_makes_a_member_anew(
    served: Cluster, kubectl: Kubectl, standin: OnNodes, storage: dict[str, Any]
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, storage=storage, placement=ANYWHERE)
    lives(served.kubeconfig, key, lambda: settled(kubectl, 3))
    claims, node = uids(kubectl, "persistentvolumeclaims"), standin.node_of("db-1")
    standin.dies(node)
    standin.says_gone(node)
    standin.engine.told.clear()
    names = ["db-0", "db-1", "db-2"]
    # The status alone is of before: each life ends before it has written a word.
    died = lives(served.kubeconfig, key, lambda: standin.engine.serving() == names and made_anew(kubectl, "db-1", claims))
    # Noted as lost, left, noted, joined, its claim confirmed and deleted, promoted: a death after each.
    assert died >= 7, died
    assert commands(standin)[:2] == ["remove", "add"]
    assert set(commands(standin)[2:]) == {"promote"}
    assert standin.engine.voters() == ["db-0", "db-1", "db-2"]
    assert standin.engine.wrongs == []
    now = uids(kubectl, "persistentvolumeclaims")
    assert {name for name, uid in claims.items() if now[name] != uid} == {one for one in claims if one.endswith("-1")}
    for name in now:
        marks = kubectl.get("persistentvolumeclaim", name)["metadata"].get("annotations", {})
        assert not {"stateward.dev/lost", "stateward.dev/left"} & set(marks)
