"""Kinds without an adapter: read by the way they ask for volumes."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies.adapters import shape
from stateward.policies.engine import evaluate
from stateward.policies.model import Service
from stateward.policies.request import Request
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View

KIND = "StoreCluster.example.org"


def store(**spec: Any) -> Object:
    return {
        "apiVersion": "example.org/v1",
        "kind": "StoreCluster",
        "metadata": {"name": "store", "namespace": "shop"},
        "spec": spec,
    }


def read(item: Object, view: View = EMPTY_VIEW) -> Service:
    adapter = shape.adapter_of(KIND)
    assert adapter is not None
    return Service(adapter, item, view)


CLAIM = {"accessModes": ["ReadWriteOnce"], "storageClassName": "fast", "resources": {"requests": {"storage": "10Gi"}}}


@pytest.mark.parametrize(
    ("spec", "volumes"),
    [
        ({"storage": {"size": "5Gi"}}, [("storage", None, "5Gi")]),
        ({"storage": {"size": "5Gi", "storageClass": "slow"}}, [("storage", "slow", "5Gi")]),
        ({"volumeClaimTemplate": {"spec": CLAIM}}, [("volumeClaimTemplate.spec", "fast", "10Gi")]),
        ({"nodes": [{"name": "a", "pvc": CLAIM}, {"name": "b", "pvc": CLAIM}]},
         [("nodes.a.pvc", "fast", "10Gi"), ("nodes.b.pvc", "fast", "10Gi")]),
        ({"pools": {"hot": {"diskSize": "1Ti", "storageClassName": "fast"}}}, [("pools.hot", "fast", "1Ti")]),
        ({"disks": [{"storage": "1Gi", "storageClassName": "x"}]}, [("disks.0", "x", "1Gi")]),
        ({"resources": {"requests": {"memory": "1Gi"}}}, []),
        ({"size": "large"}, []),
        ({"cache": {"size": "10Gi"}}, []),
        ({"coreTemplate": {"spec": {"volumeClaimTemplates": CLAIM}}},
         [("coreTemplate.spec.volumeClaimTemplates", "fast", "10Gi")]),
        ({"diskTemplates": [{"name": "root", "spec": {"storage": CLAIM}}]}, []),
        ({"values": {"persistence": {"size": "10Gi", "storageClass": "fast"}}}, []),
        ({"replicas": 3, "image": "x"}, []),
        ({"storage": 5, "persistence": [1, None, {"size": {"a": 1}}]}, []),
    ],
    ids=repr,
)  # fmt: skip
def test_volumes_are_found_wherever_a_resource_asks_for_them(spec: dict[str, Any], volumes: list[Any]) -> None:
    found = read(store(**spec)).groups[0].volumes
    assert sorted((one.name, one.storage_class.value, one.size.value) for one in found) == sorted(volumes)
    assert read(store(**spec)).adapter.applies(store(**spec)) is bool(volumes)


def test_a_volume_knows_the_field_that_it_comes_from() -> None:
    (volume,) = read(store(nodes=[{"name": "a", "pvc": CLAIM}])).groups[0].volumes
    assert volume.storage_class.path == ("spec", "nodes", 0, "pvc", "storageClassName")
    assert volume.size.path == ("spec", "nodes", 0, "pvc", "resources", "requests", "storage")


@pytest.mark.parametrize(
    ("spec", "members"),
    [({"replicas": 3}, 3), ({"instances": 2}, 2), ({"replicas": "3"}, None), ({}, None), ({"replicas": True}, None)],
    ids=repr,
)
def test_members_are_what_a_resource_counts(spec: dict[str, Any], members: int | None) -> None:
    assert read(store(storage={"size": "1Gi"}, **spec)).members == members


@pytest.mark.parametrize(
    ("metadata", "owned"),
    [
        ({"name": "x", "ownerReferences": [{"kind": "StoreCluster", "name": "store"}]}, True),
        ({"name": "x", "ownerReferences": [{"kind": "StoreCluster", "name": "other"}]}, False),
        ({"name": "data-store-0", "labels": {"example.org/cluster": "store"}}, True),
        ({"name": "data-0", "labels": {"example.org/cluster": "store"}}, False),
        ({"name": "data-store-0", "labels": {"example.org/cluster": "restored"}}, False),
    ],
    ids=repr,
)
def test_claims_belong_by_owner_or_by_name_and_label(metadata: dict[str, Any], owned: bool) -> None:
    service = read(store(storage={"size": "1Gi"}))
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"namespace": "shop", **metadata}}
    assert service.adapter.owns_claim(service, claim) is owned


@pytest.mark.parametrize(
    "kind",
    [
        "Deployment.apps",
        "Ingress.networking.k8s.io",
        "Gateway.gateway.networking.k8s.io",
        "Pod",
        "HelmRelease.helm.toolkit.fluxcd.io",
        "HelmRelease.helm.fluxcd.io",
        "HelmRelease.flux.weave.works",
        "TriggerTemplate.triggers.tekton.dev",
        "ReplicationDestination.volsync.backube",
        "VirtualMachine.kubevirt.io",
        "DataVolume.cdi.kubevirt.io",
        "ClusterRepository.kopiur.home-operations.com",
        "Restore.backups.example.org",
        "StoreTemplate.example.org",
        "StoreBackupSchedule.example.org",
    ],
)
def test_kinds_of_kubernetes_and_of_tools_are_no_services(kind: str) -> None:
    assert shape.adapter_of(kind) is None


def judged(old: Object | None, new: Object | None, operation: str = "UPDATE", view: View = EMPTY_VIEW) -> list[str]:
    request = Request(KIND, operation, "store", "shop", new, old)
    return [one.rule for one in evaluate(request, view, now=0.0).judged]


def test_its_class_does_not_change_and_its_size_does_not_shrink() -> None:
    old = store(storage={"size": "10Gi", "storageClass": "slow"})
    assert judged(old, store(storage={"size": "10Gi", "storageClass": "fast"})) == ["SW101"]
    assert judged(old, store(storage={"size": "5Gi", "storageClass": "slow"})) == ["SW102"]
    assert judged(old, store(storage={"size": "20Gi", "storageClass": "slow"})) == []


def test_its_deletion_is_confirmed_first() -> None:
    old = store(storage={"size": "10Gi"})
    assert judged(old, None, "DELETE") == ["SW401"]
    old["metadata"]["annotations"] = {"stateward.dev/confirm-delete": "store"}
    assert judged(old, None, "DELETE") == []


def test_a_custom_resource_that_asks_for_no_volume_is_left_alone() -> None:
    assert judged(store(replicas=3), store(replicas=1)) == []
    assert judged(store(replicas=3), None, "DELETE") == []


def test_what_an_operator_makes_of_another_resource_follows_that_one() -> None:
    old = store(storage={"size": "10Gi"})
    old["metadata"]["ownerReferences"] = [{"apiVersion": "example.org/v1", "kind": "Group", "name": "g", "controller": True}]
    assert judged(old, None, "DELETE") == []
    old["metadata"]["ownerReferences"][0]["controller"] = False
    assert judged(old, None, "DELETE") == ["SW401"]


def test_what_never_came_up_may_go_with_a_warning() -> None:
    other = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "x", "namespace": "shop"}}
    request = Request(KIND, "DELETE", "store", "shop", None, store(storage={"size": "10Gi"}))
    verdict = evaluate(request, MemoryView([other]), now=0.0)
    assert [(one.rule, one.action) for one in verdict.judged] == [("SW401", "warn")]


def schema(**properties: Object) -> Object:
    """A CRD's schema with these fields below `spec`."""
    return {"type": "object", "properties": {"spec": {"type": "object", "properties": properties}}}


TEXT: Object = {"type": "string"}


@pytest.mark.parametrize(
    ("given", "asks"),
    [
        (schema(storage={"properties": {"size": TEXT}}), True),
        (schema(disk={"properties": {"capacity": TEXT, "storageClass": TEXT}}), True),
        (schema(nodes={"items": {"properties": {"pvc": {"properties": {"accessModes": {}, "resources": {}}}}}}), True),
        (schema(groups={"additionalProperties": {"properties": {"size": TEXT, "storageClassName": TEXT}}}), True),
        ({"type": "object", "x-kubernetes-preserve-unknown-fields": True}, True),
        (schema(template={"type": "object", "x-kubernetes-preserve-unknown-fields": True}), True),
        (schema(host=TEXT, replicas={"type": "integer"}), False),
        (schema(window={"properties": {"size": TEXT}}), False),
        (schema(resources={"properties": {"requests": {"additionalProperties": TEXT}}}), False),
        ({"properties": {"status": {"properties": {"storage": {"properties": {"size": TEXT}}}}, "spec": {}}}, False),
        (None, False),
    ],
)
def test_a_schema_tells_whether_an_object_can_ask_for_a_volume(given: Any, asks: bool) -> None:
    assert shape.may_ask(given) is asks
