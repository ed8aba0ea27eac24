"""Real controllers do their work through the door: whatever was let through once is carried out to its end."""

from __future__ import annotations

import pytest
from cluster_kit import Cluster, Item, Kubectl, eventually, postgres_cluster, stateful_set


def confirmed(kubectl: Kubectl, what: str, name: str) -> None:
    kubectl.must("annotate", what, name, f"stateward.dev/confirm-delete={name}")


def owned(kubectl: Kubectl, kind: str) -> list[str]:
    return [one["metadata"]["name"] for one in kubectl.get(kind)["items"] if one["metadata"].get("ownerReferences")]


def gone(kubectl: Kubectl, *kinds: str, seconds: float = 45) -> None:
    for kind in kinds:
        eventually(lambda kind=kind: kubectl.names(kind) == [], f"no {kind} is left", seconds)


def running(kubectl: Kubectl, cluster: Cluster, *, replicas: int = 1, **spec: object) -> Item:
    """A PostgreSQL that runs, with volumes that are bound."""
    cluster.needs_pods()
    item = stateful_set("orders", cluster.image("postgres:16.4"), replicas=replicas, runs=True)
    item["spec"] |= spec
    kubectl.must("apply", "-f", "-", stdin=item)
    kubectl.must("rollout", "status", "statefulset/orders", "--timeout=90s", seconds=100)
    assert all(one["status"]["phase"] == "Bound" for one in kubectl.get("pvc")["items"])
    return item


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_what_a_deleted_set_owned_is_collected(kubectl: Kubectl, cluster: Cluster, cascade: str) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    eventually(lambda: len(kubectl.names("pods")) == 2, "the controller has made pods")
    confirmed(kubectl, "statefulset", "orders")

    done = kubectl("delete", "statefulset", "orders", f"--cascade={cascade}", "--timeout=45s")

    assert done.passed, str(done)
    gone(kubectl, "statefulsets", "pods", "controllerrevisions")
    assert len(kubectl.names("pvc")) == 2


def test_what_an_orphaning_deletion_leaves_is_released(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    eventually(lambda: len(owned(kubectl, "pods")) == 2, "the controller has made pods")

    kubectl.must("delete", "statefulset", "orders", "--cascade=orphan", "--timeout=45s")

    eventually(lambda: owned(kubectl, "pods") == [], "the pods belong to nobody")
    eventually(lambda: owned(kubectl, "controllerrevisions") == [], "the revisions belong to nobody")
    assert len(kubectl.names("pods")) == 2


def test_a_set_is_scaled_up_and_down_by_its_controller(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    eventually(lambda: len(kubectl.names("pods")) == 2, "two pods")

    kubectl.must("scale", "statefulset/orders", "--replicas=3")
    eventually(lambda: len(kubectl.names("pods")) == 3, "three pods")
    kubectl.must("scale", "statefulset/orders", "--replicas=2")
    eventually(lambda: len(kubectl.names("pods")) == 2, "two pods again")


def test_a_rollout_is_carried_out(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, replicas=2)
    image = cluster.image("postgres:16.6")

    kubectl.must("set", "image", "statefulset/orders", f"main={image}")

    kubectl.must("rollout", "status", "statefulset/orders", "--timeout=60s")
    images = {one["spec"]["containers"][0]["image"] for one in kubectl.get("pods")["items"]}
    assert images == {image}


def test_claims_that_go_with_their_set_are_collected_though_claims_are_guarded(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"})
    assert kubectl("delete", "pvc", "data-orders-0", "--dry-run=server").refused
    confirmed(kubectl, "statefulset", "orders")

    kubectl.must("delete", "statefulset", "orders", "--timeout=45s")

    gone(kubectl, "pods", "pvc")


def test_a_confirmed_namespace_goes_with_everything_in_it(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, replicas=2)
    kubectl.refused("delete", "namespace", kubectl.namespace, "--dry-run=server")
    confirmed(kubectl, "namespace", kubectl.namespace)

    done = kubectl("delete", "namespace", kubectl.namespace, "--timeout=60s", seconds=70)

    assert done.passed, str(done)
    assert kubectl.get("namespace", kubectl.namespace) == {}


def test_what_a_deleted_custom_resource_owned_is_collected_down_to_its_claims(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_pods()
    kubectl.must("apply", "-f", "-", stdin=postgres_cluster("pg", instances=1))
    owner = kubectl.get("clusters.postgresql.cnpg.io", "pg")
    item = stateful_set("pg", cluster.image("postgres:16.4"), runs=True)
    item["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": "pg",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    item["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    kubectl.must("apply", "-f", "-", stdin=item)
    kubectl.must("rollout", "status", "statefulset/pg", "--timeout=60s")
    assert kubectl("delete", "statefulset", "pg", "--dry-run=server").refused
    confirmed(kubectl, "clusters.postgresql.cnpg.io", "pg")

    kubectl.must("delete", "clusters.postgresql.cnpg.io", "pg", "--timeout=45s")

    gone(kubectl, "statefulsets", "pods", "controllerrevisions", "pvc")


def test_a_confirmed_claim_goes_when_its_pod_has_gone(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster)
    confirmed(kubectl, "pvc", "data-orders-0")
    kubectl.must("delete", "pvc", "data-orders-0", "--wait=false")
    assert kubectl.get("pvc", "data-orders-0")["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]

    kubectl.must("scale", "statefulset/orders", "--replicas=0")

    gone(kubectl, "pods", "pvc")


def test_a_pod_that_is_deleted_comes_back(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster)
    uid = kubectl.get("pod", "orders-0")["metadata"]["uid"]

    kubectl.must("delete", "pod", "orders-0", "--timeout=30s")

    eventually(
        lambda: kubectl.get("pod", "orders-0").get("metadata", {}).get("uid", uid) != uid, "the controller made it anew"
    )
