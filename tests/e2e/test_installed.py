"""An installed Stateward under 50 creations a second: what people do to it loses no call; what befalls it is measured."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator

import control_plane as control
import pytest
from cluster_kit import Kubectl, eventually, stateful_set, with_image
from installation import Installed, installation
from load import Load

RATE = 50.0
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation() as one:
        yield one


@pytest.fixture
def namespace(installed: Installed) -> Iterator[str]:
    name = f"sw-{uuid.uuid4().hex[:8]}"
    past = installed.kubectl.past
    past.must("create", "namespace", name)
    yield name
    past("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubectl(installed: Installed, namespace: str) -> Kubectl:
    installed.settle()
    return installed.kubectl.at(namespace)


def test_kubectl_works_against_it(kubectl: Kubectl) -> None:
    orders = stateful_set("orders", "postgres:16.4")
    kubectl.must("apply", "-f", "-", stdin=orders)

    refused = kubectl.refused("apply", "-f", "-", "--dry-run=server", stdin=with_image(orders, "postgres:15.3"))
    newer = kubectl("apply", "-f", "-", stdin=with_image(orders, "postgres:16.6"))
    scaled = kubectl("scale", "statefulset/orders", "--replicas=2")

    assert refused.rules == ["SW301"]
    assert newer.passed, str(newer)
    assert scaled.passed, str(scaled)


def test_a_rollout_loses_no_call(installed: Installed, kubectl: Kubectl, namespace: str, say: Say) -> None:
    with Load(installed.cluster, namespace, RATE) as load:
        installed.kubectl.must("rollout", "restart", "deployment/stateward")
        installed.kubectl.must("rollout", "status", "deployment/stateward", "--timeout=180s", seconds=200)
        time.sleep(15)  # the last of the old ones drains
    say(f"rollout: {load.outcome}")
    assert not load.outcome.failures, str(load.outcome)


def test_a_drain_loses_no_call(installed: Installed, kubectl: Kubectl, namespace: str, say: Say) -> None:
    node = installed.replicas()[0]["spec"]["nodeName"]
    try:
        with Load(installed.cluster, namespace, RATE) as load:
            drained = installed.kubectl(
                "drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s", seconds=150
            )
            installed.settle()
            time.sleep(5)
    finally:
        installed.kubectl.must("uncordon", node)
    say(f"drain: {load.outcome}")
    assert drained.passed, str(drained)
    assert not load.outcome.failures, str(load.outcome)


def test_certificates_are_rotated_without_losing_a_call(
    installed: Installed, kubectl: Kubectl, namespace: str, say: Say
) -> None:
    before = kubectl.get("validatingwebhookconfigurations", "stateward")["webhooks"][0]["clientConfig"]["caBundle"]
    with Load(installed.cluster, namespace, RATE) as load:
        asked = installed.stateward("certs", "rotate", "--namespace", "stateward")
        assert asked.returncode == 0, asked.stdout + asked.stderr

        def another() -> bool:
            found = kubectl.get("validatingwebhookconfigurations", "stateward")
            return bool(found["webhooks"][0]["clientConfig"]["caBundle"] != before)

        eventually(another, "another authority is published", 90)
        time.sleep(20)
    say(f"certificate rotation: {load.outcome}")
    assert not load.outcome.failures, str(load.outcome)


def test_a_pod_that_is_deleted_takes_no_call_with_it(
    installed: Installed, kubectl: Kubectl, namespace: str, say: Say
) -> None:
    pod = installed.replicas()[0]["metadata"]["name"]
    with Load(installed.cluster, namespace, RATE) as load:
        installed.kubectl.must("delete", "pod", pod, "--wait=false")
        time.sleep(3)
        installed.settle()
        time.sleep(15)
    say(f"a pod deleted: {load.outcome}")
    assert not load.outcome.failures, str(load.outcome)


def test_with_half_of_the_replicas_gone_it_judges_on(installed: Installed, kubectl: Kubectl) -> None:
    try:
        installed.kubectl.must("scale", "deployment/stateward", "--replicas=1")
        eventually(lambda: len(installed.replicas()) == 1, "one replica is left", 90)
        orders = stateful_set("orders", "postgres:16.4")
        kubectl.must("apply", "-f", "-", stdin=orders)
        refused = kubectl.refused("apply", "-f", "-", "--dry-run=server", stdin=with_image(orders, "postgres:15.3"))
        assert refused.rules == ["SW301"]
    finally:
        installed.kubectl.must("scale", "deployment/stateward", "--replicas=2")
        installed.settle()


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_killed_node_is_measured(
    installed: Installed, kubectl: Kubectl, namespace: str, say: Say, killed: list[str], turn: str
) -> None:
    """The API server goes on asking a dead replica until its endpoint is taken away: how long and how often is told.

    It keeps connections, most of them to one replica: so the nodes of both are killed, one after the other.
    """
    node = next(one["spec"]["nodeName"] for one in installed.replicas() if one["spec"]["nodeName"] not in killed)
    killed.append(node)
    number = node.rpartition("-")[2]
    try:
        with Load(installed.cluster, namespace, RATE) as load:
            time.sleep(5)
            control.shared("stop-node", number)
            time.sleep(75)
        say(f"the {turn} node killed: {load.outcome}")
        times = [when for when, _ in load.outcome.failures]
        if times:
            say(f"  failures from {min(times) - 5:.1f} s to {max(times) - 5:.1f} s after it")
        assert not [when for when in times if when > 70], f"calls fail still, a minute after it: {load.outcome}"
    finally:
        control.shared("start-node", number)
        eventually(lambda: "Ready" in _conditions(installed.kubectl, node), f"{node} is back", 120)
        installed.settle(180)


@pytest.fixture(scope="module")
def killed() -> list[str]:
    """The nodes that were killed."""
    return []


def _conditions(kubectl: Kubectl, node: str) -> set[str]:
    found = kubectl.get("node", node).get("status", {}).get("conditions", ())
    return {one["type"] for one in found if one["status"] == "True"}


def test_uninstall_leaves_nothing_that_blocks(installed: Installed, kubectl: Kubectl) -> None:
    installed.kubectl.must("scale", "deployment/stateward", "--replicas=0")
    eventually(lambda: not installed.replicas(), "no replica is left", 120)

    done = installed.stateward("uninstall", "--namespace", "stateward")

    assert done.returncode == 0, done.stdout + done.stderr
    assert kubectl.get("validatingwebhookconfigurations", "stateward") == {}
    assert kubectl.get("mutatingwebhookconfigurations", "stateward") == {}
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4"))
