"""EtcdCluster of the etcd project's operator and of CoreOS's read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30

CLUSTER: Object = {
    "apiVersion": "operator.etcd.io/v1alpha1",
    "kind": "EtcdCluster",
    "metadata": {"name": "keys", "namespace": "shop"},
    "spec": {
        "version": "v3.6.4",
        "size": 3,
        "storageSpec": {"storageClassName": "fast", "volumeSizeRequest": "8Gi"},
        "podTemplate": {"spec": {"nodeSelector": {"disk": "ssd"}}},
    },
    "status": {"readyReplicas": 2, "currentVersion": "3.5.33"},
}

COREOS: Object = {
    "apiVersion": "etcd.database.coreos.com/v1beta2",
    "kind": "EtcdCluster",
    "metadata": {"name": "keys", "namespace": "shop"},
    "spec": {
        "size": 3,
        "version": "3.4.20",
        "pod": {
            "persistentVolumeClaimSpec": {"storageClassName": "fast", "resources": {"requests": {"storage": "8Gi"}}},
        },
        "TLS": {"static": {"member": {"peerSecret": "peers", "serverSecret": "servers"}, "operatorSecret": "clients"}},
    },
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), EMPTY_VIEW)


def test_a_cluster_is_one_group_of_voters() -> None:
    found = service(CLUSTER)
    (group,) = found.groups
    assert (group.members.value, group.ready.value, group.voters) == (3, 2, True)
    (disk,) = group.volumes
    assert (disk.storage_class.value, disk.bytes, disk.modes.value, disk.ephemeral.value) == ("fast", 8 * GI, None, False)
    assert found.running is not None
    assert (found.version.text, found.running.text, found.deletes_claims) == ("v3.6.4", "3.5.33", False)
    assert found.placement.node_selector == {"disk": "ssd"}
    assert found.adapter.ordinal(found, "members", "etcd-data", {"metadata": {"name": "etcd-data-keys-1"}}) == 1


def test_a_cluster_without_storage_keeps_nothing() -> None:
    assert service(CLUSTER, {"spec": {"storageSpec": None}}).groups[0].volumes[0].ephemeral.value is True


def test_members_may_share_one_claim() -> None:
    assert service(CLUSTER).field("oneClaim").value is not True
    found = service(CLUSTER, {"spec": {"storageSpec": {"accessModes": "ReadWriteMany", "pvcName": "all"}}})
    assert found.field("oneClaim").value is True
    assert found.groups[0].volumes[0].modes.value == ["ReadWriteMany"]
    assert [one.value for one in found.fixed.values()] == [True, "ReadWriteMany", "all"]


def test_the_older_operator_owns_its_claims() -> None:
    found = service(COREOS)
    (group,) = found.groups
    assert (group.members.value, group.voters, found.deletes_claims) == (3, True, True)
    assert (group.volumes[0].storage_class.value, group.volumes[0].bytes) == ("fast", 8 * GI)
    assert [one.name for one in found.secrets] == ["peers", "servers", "clients"]
    item: Object = {"metadata": {"name": "keys-4xk2d", "labels": {"etcd_cluster": "keys"}}}
    assert found.adapter.claim_is_of(found, group, group.volumes[0], item)
    item["metadata"]["labels"]["etcd_cluster"] = "other"
    assert not found.adapter.owns_claim(found, item)


HARD = {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "zone"}]}


@pytest.mark.parametrize(
    ("pod", "required"),
    [
        ({}, ()),
        ({"antiAffinity": True}, ("kubernetes.io/hostname",)),
        ({"affinity": {"podAntiAffinity": HARD}}, ("zone",)),
        ({"affinity": {"podAntiAffinity": HARD}, "antiAffinity": True}, ("zone", "kubernetes.io/hostname")),
    ],
)
def test_a_switch_of_the_older_operator_keeps_members_apart(pod: dict[str, Any], required: tuple[str, ...]) -> None:
    assert service(COREOS, {"spec": {"pod": pod}}).placement.required == required


def test_a_paused_cluster_of_the_older_operator() -> None:
    assert service(COREOS, {"spec": {"paused": True}}).field("paused").value is True
    assert service(COREOS).field("paused").value is False


@pytest.mark.parametrize(
    ("cluster", "succeeded", "taken"), [("keys", True, True), ("keys", False, False), ("other", True, False)]
)
def test_a_backup_of_the_older_operator_names_its_cluster_by_the_endpoints(
    cluster: str, succeeded: bool, taken: bool
) -> None:
    moment = "2026-11-21T02:00:00Z"
    record = {
        "metadata": {"creationTimestamp": moment},
        "spec": {"etcdEndpoints": [f"http://{cluster}-client.shop.svc:2379"]},
        "status": {"succeeded": succeeded},
    }
    (row,) = ADAPTERS["EtcdCluster.etcd.database.coreos.com"].backups
    assert row.taken(record, service(COREOS)) == (moment if taken else None)
