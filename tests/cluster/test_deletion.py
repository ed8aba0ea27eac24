"""Deletions: of one, of many, of all that a namespace or a CRD holds; and how they are confirmed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

import pytest
from cluster_kit import Cluster, Item, Kubectl, eventually, kafka, postgres_cluster, stateful_set

DRY = "--dry-run=server"


@pytest.fixture
def orders(kubectl: Kubectl) -> Item:
    item = stateful_set("orders", "postgres:16.4")
    kubectl.must("apply", "-f", "-", stdin=item)
    return item


def bound_claim(name: str, labels: Mapping[str, str] = MappingProxyType({"app": "orders"})) -> Item:
    """A claim that is bound: who made its volume does not matter."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": dict(labels)},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none",
            "volumeName": f"volume-of-{name}",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def test_a_service_is_not_deleted_unconfirmed(kubectl: Kubectl, orders: Item) -> None:
    for dry in ((DRY,), ()):
        done = kubectl("delete", "statefulset", "orders", *dry)
        assert done.refused, str(done)
        assert done.rules == ["SW401"]
    assert kubectl.names("statefulsets") == ["orders"]


def test_a_deletion_passes_after_the_command_that_the_message_names(kubectl: Kubectl, orders: Item) -> None:
    refused = kubectl("delete", "statefulset", "orders")
    [confirm] = refused.commands("stateward.dev/confirm-delete")

    assert kubectl.run(confirm).passed
    tried = kubectl("delete", "statefulset", "orders", DRY)
    assert tried.passed, str(tried)
    assert kubectl.names("statefulsets") == ["orders"]
    done = kubectl("delete", "statefulset", "orders")

    assert done.passed, str(done)
    assert kubectl.names("statefulsets") == []


def test_a_deletion_confirmed_for_another_name_is_not_confirmed(kubectl: Kubectl, orders: Item) -> None:
    kubectl.must("annotate", "statefulset", "orders", "stateward.dev/confirm-delete=other")

    assert kubectl("delete", "statefulset", "orders").refused


def test_a_set_is_deleted_without_its_pods_by_whoever_likes(kubectl: Kubectl, orders: Item) -> None:
    done = kubectl("delete", "statefulset", "orders", "--cascade=orphan")

    assert done.passed, str(done)


@pytest.mark.parametrize("selection", [("--all",), ("-l", "app=orders")], ids=["all", "by label"])
def test_a_collection_is_judged_object_by_object(kubectl: Kubectl, orders: Item, selection: tuple[str, ...]) -> None:
    for dry in ((DRY,), ()):
        done = kubectl("delete", "statefulsets", *selection, *dry)
        assert done.refused, str(done)
        assert f"{kubectl.namespace}/orders" in done.err
    assert kubectl.names("statefulsets") == ["orders"]


@pytest.mark.parametrize("selection", [("--all",), ("-l", "app=orders")], ids=["all", "by label"])
def test_a_collection_of_confirmed_objects_is_deleted(kubectl: Kubectl, orders: Item, selection: tuple[str, ...]) -> None:
    kubectl.must("annotate", "statefulset", "orders", "stateward.dev/confirm-delete=orders")

    assert kubectl("delete", "statefulsets", *selection, DRY).passed
    assert kubectl.names("statefulsets") == ["orders"]
    done = kubectl("delete", "statefulsets", *selection)

    assert done.passed, str(done)
    assert kubectl.names("statefulsets") == []


def test_a_raw_delete_of_a_collection_names_the_object_that_refuses(kubectl: Kubectl, orders: Item) -> None:
    done = kubectl("delete", "--raw", f"/apis/apps/v1/namespaces/{kubectl.namespace}/statefulsets")

    assert done.refused, str(done)
    assert f"{kubectl.namespace}/orders" in done.err
    assert kubectl.names("statefulsets") == ["orders"]


def test_a_bound_claim_is_not_deleted_unconfirmed(kubectl: Kubectl) -> None:
    kubectl.must("create", "-f", "-", stdin=bound_claim("data-orders-0"))
    for dry in ((DRY,), ()):
        done = kubectl("delete", "pvc", "data-orders-0", *dry)
        assert done.refused, str(done)
        assert done.rules == ["SW402"]

    [confirm] = done.commands("stateward.dev/confirm-delete")
    assert kubectl.run(confirm).passed

    assert kubectl("delete", "pvc", "data-orders-0", "--wait=false").passed


def test_a_claim_that_holds_nothing_is_deleted(kubectl: Kubectl) -> None:
    claim = bound_claim("empty")
    del claim["spec"]["volumeName"]
    kubectl.must("create", "-f", "-", stdin=claim)

    done = kubectl("delete", "pvc", "empty", "--wait=false")

    assert done.passed, str(done)


def test_the_deletion_of_all_claims_stops_at_the_first_that_is_bound(kubectl: Kubectl) -> None:
    kubectl.must("create", "-f", "-", stdin=[bound_claim("data-orders-0"), bound_claim("data-orders-1")])

    done = kubectl("delete", "pvc", "--all", "--wait=false")

    assert done.refused, str(done)
    assert len(kubectl.names("pvc")) == 2
    assert all("deletionTimestamp" not in one["metadata"] for one in kubectl.get("pvc")["items"])


def test_a_namespace_that_holds_a_service_is_not_deleted(kubectl: Kubectl, orders: Item) -> None:
    kubectl.refused("delete", "namespace", kubectl.namespace, DRY)

    done = kubectl("delete", "namespace", kubectl.namespace)

    assert done.refused, str(done)
    assert done.rules == ["SW403"]
    assert "1 StatefulSet" in done.err
    assert "deletionTimestamp" not in kubectl.get("namespace", kubectl.namespace)["metadata"]


def test_a_namespace_is_deleted_after_the_command_that_the_message_names(kubectl: Kubectl, orders: Item) -> None:
    refused = kubectl.refused("delete", "namespace", kubectl.namespace, DRY)
    [confirm] = refused.commands("stateward.dev/confirm-delete")

    assert kubectl.run(confirm).passed

    assert kubectl("delete", "namespace", kubectl.namespace, DRY).passed
    assert kubectl("delete", "namespace", kubectl.namespace, "--wait=false").passed


def test_a_namespace_that_holds_nothing_worth_keeping_is_deleted(kubectl: Kubectl) -> None:
    kubectl.must("create", "configmap", "settings", "--from-literal=a=b")

    assert kubectl("delete", "namespace", kubectl.namespace, DRY).passed
    assert kubectl("delete", "namespace", kubectl.namespace, "--wait=false").passed


def test_in_a_disposable_namespace_everything_passes(kubectl: Kubectl, orders: Item) -> None:
    assert kubectl("delete", "statefulset", "orders", DRY).refused
    kubectl.must("label", "namespace", kubectl.namespace, "stateward.dev/disposable=true")

    kubectl.passes("delete", "statefulset", "orders", DRY)
    done = kubectl("delete", "namespace", kubectl.namespace, "--wait=false")

    assert done.passed, str(done)


def test_a_crd_is_not_deleted_while_objects_of_its_kind_exist(kubectl: Kubectl) -> None:
    name = "kafkas.kafka.strimzi.io"
    kubectl.must("apply", "-f", "-", stdin=kafka("events"))
    kubectl.refused("delete", "crd", name, DRY)

    done = kubectl("delete", "crd", name)

    assert done.refused, str(done)
    assert done.rules == ["SW404"]
    assert kubectl.names("kafkas") == ["events"]


def test_a_crd_of_a_kind_that_nobody_has_heard_of_is_guarded_too(kubectl: Kubectl) -> None:
    group = f"{kubectl.namespace}.stateward.test"
    name = f"ledgers.{group}"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "names": {"kind": "Ledger", "plural": "ledgers"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    kubectl.must("create", "-f", "-", stdin=crd)
    try:
        kubectl.must("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
        assert kubectl("delete", "crd", name, DRY).passed
        ledger = {"apiVersion": f"{group}/v1", "kind": "Ledger", "metadata": {"name": "main"}}
        eventually(lambda: kubectl("create", "-f", "-", stdin=ledger).passed, "the kind is served")
        warned = eventually(lambda: kubectl("delete", "crd", name, DRY).warnings, "it is told that an object goes, too")
        assert warned[0].startswith("SW404")
        storing = {"spec": {"storage": {"size": "1Gi"}}}
        kubectl.must("patch", name, "main", "--type=merge", "-p", json.dumps(storing))

        done = kubectl.refused("delete", "crd", name, DRY)
        assert done.rules == ["SW404"]
        [confirm] = done.commands("stateward.dev/confirm-delete")
        kubectl.past.must("delete", name, "--all")

        assert kubectl.passes("delete", "crd", name, DRY)
        assert confirm[:3] == ["kubectl", "annotate", f"crd/{name}"]
    finally:
        kubectl.past("delete", "crd", name, "--wait=false", "--ignore-not-found")


def test_a_custom_resource_is_deleted_only_after_it_was_confirmed(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=[postgres_cluster("pg"), bound_claim("pg-1", {"cnpg.io/cluster": "pg"})])
    refused = kubectl.refused("delete", "clusters.postgresql.cnpg.io", "pg", "--dry-run=server")
    [confirm] = refused.commands("stateward.dev/confirm-delete")

    assert kubectl.run(confirm).passed
    done = kubectl("delete", "clusters.postgresql.cnpg.io", "pg")

    assert done.passed, str(done)


def test_a_custom_resource_that_never_had_a_claim_is_deleted_with_a_warning(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=postgres_cluster("pg"))

    done = kubectl("delete", "clusters.postgresql.cnpg.io", "pg")

    assert done.passed, str(done)
    assert [line.split()[0] for line in done.warnings] == ["SW401"]


def test_a_gitops_account_is_judged_like_anyone(kubectl: Kubectl, orders: Item, cluster: Cluster) -> None:
    kubectl.must("create", "serviceaccount", "gitops")
    binding = f"{kubectl.namespace}-gitops"
    account = f"{kubectl.namespace}:gitops"
    kubectl.must("create", "clusterrolebinding", binding, "--clusterrole=cluster-admin", f"--serviceaccount={account}")
    try:
        robot = kubectl.as_user(f"system:serviceaccount:{account}")
        assert eventually(lambda: robot("get", "statefulset", "orders").passed, "the account may read")

        pruned = robot("delete", "statefulset", "orders")
        labelled = robot("label", "statefulset", "orders", "argocd.argoproj.io/instance=shop")

        assert pruned.refused, str(pruned)
        assert labelled.passed, str(labelled)
    finally:
        kubectl.must("delete", "clusterrolebinding", binding)
