"""`kubectl scale`: the door gets a Scale without labels and finds out whom it is about."""

from __future__ import annotations

import pytest
from cluster_kit import Cluster, Kubectl, eventually, kafka, node_pool, postgres_cluster, stateful_set

DRY = "--dry-run=server"


def replicas(kubectl: Kubectl, kind: str, name: str, field: str = "replicas") -> int:
    found: int = kubectl.get(kind, name)["spec"][field]
    return found


@pytest.fixture
def etcd(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("members", "etcd:3.5.17", replicas=3))


def test_a_set_is_not_scaled_below_its_quorum(kubectl: Kubectl, etcd: None) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", DRY)

    done = kubectl("scale", "statefulset/members", "--replicas=1")

    assert done.refused, str(done)
    assert done.rules == ["SW201"]
    assert "3 → 1" in done.err
    assert f"kubectl annotate -n {kubectl.namespace} statefulset/members" in done.err
    assert replicas(kubectl, "statefulset", "members") == 3


def test_a_set_is_scaled_up(kubectl: Kubectl, etcd: None) -> None:
    kubectl.refused("scale", "statefulset/members", "--replicas=1", DRY)  # the door knows the set

    assert kubectl("scale", "statefulset/members", "--replicas=4", DRY).passed
    assert replicas(kubectl, "statefulset", "members") == 3
    done = kubectl("scale", "statefulset/members", "--replicas=4")

    assert done.passed, str(done)
    assert replicas(kubectl, "statefulset", "members") == 4


def test_sets_scaled_by_one_command_are_judged_one_by_one(kubectl: Kubectl, etcd: None) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("accounts", "postgres:16.4", replicas=3))
    kubectl.refused("scale", "statefulset/members", "--replicas=1", DRY)

    done = kubectl("scale", "statefulset", "--all", "--replicas=1")

    assert done.refused, str(done)
    assert replicas(kubectl, "statefulset", "accounts") == 1
    assert replicas(kubectl, "statefulset", "members") == 3


def test_a_custom_resource_is_judged_through_its_scale(kubectl: Kubectl) -> None:
    resource = "clusters.postgresql.cnpg.io/pg"
    kubectl.must("apply", "-f", "-", stdin=postgres_cluster("pg", instances=3))
    kubectl.refused("scale", resource, "--replicas=1", DRY)

    last = kubectl("scale", resource, "--replicas=1")
    one_less = kubectl("scale", resource, "--replicas=2")

    assert last.refused, str(last)
    assert last.rules == ["SW202"]
    assert one_less.passed, str(one_less)
    assert replicas(kubectl, "clusters.postgresql.cnpg.io", "pg", "instances") == 2


def test_a_node_pool_is_judged_as_the_kafka_that_it_belongs_to(kubectl: Kubectl) -> None:
    pools = [node_pool("voters", "events", "controller"), node_pool("brokers", "events", "broker")]
    kubectl.must("apply", "-f", "-", stdin=[kafka("events"), *pools])
    kubectl.refused("scale", "kafkanodepools/voters", "--replicas=1", DRY)

    controllers = kubectl("scale", "kafkanodepools/voters", "--replicas=5")
    brokers = kubectl("scale", "kafkanodepools/brokers", "--replicas=4")

    assert controllers.refused, str(controllers)
    assert "SW203" in controllers.rules
    assert brokers.passed, str(brokers)
    assert replicas(kubectl, "kafkanodepool", "voters") == 3
    assert replicas(kubectl, "kafkanodepool", "brokers") == 4


def test_a_scale_through_the_newer_version_of_a_kind_is_judged_too(kubectl: Kubectl) -> None:
    pools = [node_pool("voters", "events", "controller"), node_pool("brokers", "events", "broker")]
    kubectl.must("apply", "-f", "-", stdin=[kafka("events"), *pools])
    resource = "kafkanodepools.v1.kafka.strimzi.io/voters"

    done = kubectl.refused("scale", resource, "--replicas=1", DRY)

    assert "SW203" in done.rules or "SW201" in done.rules


def test_a_stateless_deployment_is_scaled_as_anybody_likes(kubectl: Kubectl) -> None:
    kubectl.must("create", "deployment", "web", "--image=nginx:1.27", "--replicas=0")

    done = kubectl("scale", "deployment/web", "--replicas=0", "--current-replicas=0")

    assert done.passed, str(done)
    assert done.warnings == []


def test_an_autoscaler_that_grows_a_set_is_let_through(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "orders"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "orders"},
            "minReplicas": 3,
            "maxReplicas": 4,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}},
                }
            ],
        },
    }
    kubectl.must("apply", "-f", "-", stdin=autoscaler)

    # The controller looks each 15 s; below the minimum it needs no metrics.
    eventually(lambda: replicas(kubectl, "statefulset", "orders") == 3, "the autoscaler scales the set to its minimum", 45)
