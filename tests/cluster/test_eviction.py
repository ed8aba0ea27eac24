"""Drains and evictions, with pods that really run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cluster_kit import READY, Cluster, Done, Kubectl, eventually, stateful_set

MEMBERS = ("members-0", "members-1", "members-2")


@pytest.fixture
def members(kubectl: Kubectl, cluster: Cluster) -> Iterator[Kubectl]:
    """Three members of an etcd, all ready."""
    cluster.needs_pods()
    item = stateful_set("members", cluster.image("etcd:3.5.17"), replicas=3, runs=True)
    item["spec"]["template"]["metadata"]["labels"]["test"] = kubectl.namespace
    kubectl.must("apply", "-f", "-", stdin=item)
    all_ready(kubectl)
    yield kubectl
    for node in cluster.nodes:
        kubectl.past("uncordon", node)


def all_ready(kubectl: Kubectl, count: int = 3) -> None:
    eventually(
        lambda: kubectl.get("statefulset", "members").get("status", {}).get("readyReplicas") == count,
        f"{count} members are ready",
        90,
    )


def evict(kubectl: Kubectl, pod: str, dry: bool = False) -> Done:
    """What a drain sends."""
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod, "namespace": kubectl.namespace},
    }
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction{'?dryRun=All' if dry else ''}"
    return kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))


def break_member(kubectl: Kubectl, pod: str) -> None:
    kubectl.must("exec", pod, "--", "/bin/rm", READY)
    kubectl.must("wait", "--for=condition=Ready=false", f"pod/{pod}", "--timeout=30s")


def heal_member(kubectl: Kubectl, pod: str) -> None:
    kubectl.must("exec", pod, "--", "/bin/touch", READY)
    kubectl.must("wait", "--for=condition=Ready", f"pod/{pod}", "--timeout=30s")


def test_a_member_is_evicted_only_while_the_others_keep_the_quorum(members: Kubectl) -> None:
    kubectl = members
    uid = kubectl.get("pod", "members-1")["metadata"]["uid"]
    break_member(kubectl, "members-0")

    tried = eventually(lambda: (found := evict(kubectl, "members-1", dry=True)).refused and found, "an eviction is refused")
    done = evict(kubectl, "members-1")

    for one in (tried, done):
        assert one.refused, str(one)
        assert one.rules == ["SW206"]
        # 429: whoever drains tries again by itself.
        assert one.err.startswith("Error from server (TooManyRequests)"), str(one)
    assert kubectl.get("pod", "members-1")["metadata"]["uid"] == uid

    heal_member(kubectl, "members-0")
    eventually(lambda: evict(kubectl, "members-1", dry=True).passed, "the eviction passes once the member is back")
    assert kubectl.get("pod", "members-1")["metadata"]["uid"] == uid
    assert evict(kubectl, "members-1").passed


def test_the_member_that_is_down_may_be_evicted(members: Kubectl) -> None:
    kubectl = members
    break_member(kubectl, "members-0")
    eventually(lambda: evict(kubectl, "members-1", dry=True).refused, "the door has seen it")

    done = evict(kubectl, "members-0")

    assert done.passed, str(done)


def test_a_drain_waits_for_the_member_that_is_down(members: Kubectl, cluster: Cluster) -> None:
    kubectl = members
    node = cluster.nodes[0]
    selected = (f"--pod-selector=test={kubectl.namespace}", "--timeout=2s")
    break_member(kubectl, "members-2")
    eventually(lambda: evict(kubectl, "members-1", dry=True).refused, "the door has seen it")
    uids = {name: kubectl.get("pod", name)["metadata"]["uid"] for name in MEMBERS[:2]}

    for dry in (("--dry-run=server",), ()):
        done = kubectl("drain", node, *dry, *selected)
        assert not done.passed, str(done)
        assert "SW206" in done.err, str(done)
    for name, uid in uids.items():
        assert kubectl.get("pod", name)["metadata"]["uid"] == uid


def test_members_that_are_all_ready_leave_one_by_one(members: Kubectl) -> None:
    kubectl = members
    assert evict(kubectl, "members-0").passed
    eventually(lambda: evict(kubectl, "members-1", dry=True).refused, "the door has seen the first one go")

    assert evict(kubectl, "members-1").refused

    all_ready(kubectl)
    eventually(lambda: evict(kubectl, "members-1", dry=True).passed, "the next may go when the first is back")


def test_a_set_that_can_lose_no_member_can_still_be_drained_and_its_owner_is_told(
    kubectl: Kubectl, cluster: Cluster
) -> None:
    cluster.needs_pods()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("members", cluster.image("etcd:3.5.17"), replicas=2, runs=True))
    all_ready(kubectl, 2)

    done = eventually(lambda: (found := evict(kubectl, "members-0", dry=True)).warnings and found, "a warning comes")

    assert done.passed, str(done)
    assert done.warnings[0].startswith("SW206 eviction-breaks-quorum: ")


def test_a_drain_of_healthy_members_takes_no_more_than_the_quorum_can_lose(members: Kubectl, cluster: Cluster) -> None:
    kubectl = members
    eventually(lambda: evict(kubectl, "members-0", dry=True).passed, "the door has seen that all are ready")
    uids = {name: kubectl.get("pod", name)["metadata"]["uid"] for name in MEMBERS}

    done = kubectl("drain", cluster.nodes[0], f"--pod-selector=test={kubectl.namespace}", "--timeout=2s")

    left = [name for name, uid in uids.items() if kubectl.get("pod", name).get("metadata", {}).get("uid") == uid]
    assert len(left) == 2, str(done)
    assert "SW206" in done.err, str(done)


def test_a_pod_of_nobody_is_evicted(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_pods()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "lonely"},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "main", "image": cluster.image("web:1"), "imagePullPolicy": "Never"}],
        },
    }
    kubectl.must("create", "-f", "-", stdin=pod)

    assert evict(kubectl, "lonely", dry=True).passed
    assert evict(kubectl, "lonely").passed
