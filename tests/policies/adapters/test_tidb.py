"""TidbCluster (operator 1.x), Cluster and its groups (2.x) read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object

GI = 2**30

CLUSTER: Object = {
    "apiVersion": "pingcap.com/v1alpha1",
    "kind": "TidbCluster",
    "metadata": {"name": "ledger", "namespace": "shop"},
    "spec": {
        "version": "v7.5.6",
        "pd": {"replicas": 3, "storageClassName": "fast", "requests": {"storage": "10Gi"}},
        "tikv": {
            "replicas": 4,
            "storageClassName": "fast",
            "requests": {"storage": "500Gi"},
            "storageVolumes": [{"name": "wal", "storageSize": "20Gi", "storageClassName": "faster"}],
        },
        "tiflash": {
            "replicas": 2,
            "storageClaims": [
                {"resources": {"requests": {"storage": "100Gi"}}},
                {"resources": {"requests": {"storage": "200Gi"}}, "storageClassName": "slow"},
            ],
        },
        "tidb": {"replicas": 2},
    },
}


def group(kind: str, name: str, replicas: int, cluster: str = "ledger") -> Object:
    return {
        "apiVersion": "core.pingcap.com/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "cluster": {"name": cluster},
            "replicas": replicas,
            "template": {
                "spec": {"version": "v8.5.2", "volumes": [{"name": "data", "storage": "20Gi", "storageClassName": "fast"}]}
            },
        },
        "status": {"version": "v8.5.1", "readyReplicas": 1},
    }


HUB: Object = {
    "apiVersion": "core.pingcap.com/v1alpha1",
    "kind": "Cluster",
    "metadata": {"name": "ledger", "namespace": "shop"},
    "spec": {"upgradePolicy": "Default"},
}


def service(item: Object, patch: dict[str, Any] | None = None, *others: Object) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), MemoryView(others) if others else EMPTY_VIEW)


def test_components_are_the_groups_and_placement_drivers_vote() -> None:
    found = service(CLUSTER)
    assert [(one.name, one.members.value, one.voters) for one in found.groups] == [
        ("pd", 3, True),
        ("tikv", 4, False),
        ("tiflash", 2, False),
        ("tidb", 2, False),
    ]
    assert [(one.name, one.storage_class.value, one.bytes) for group in found.groups for one in group.volumes] == [
        ("pd", "fast", 10 * GI),
        ("tikv", "fast", 500 * GI),
        ("tikv-wal", "faster", 20 * GI),
        ("data0", None, 100 * GI),
        ("data1", "slow", 200 * GI),
    ]
    assert found.engine is not None
    assert (found.engine.name, found.version.text, found.deletes_claims) == ("tidb", "v7.5.6", False)


@pytest.mark.parametrize(
    ("name", "group", "volume"),
    [
        ("pd-ledger-pd-0", "pd", "pd"),
        ("tikv-wal-ledger-tikv-2", "tikv", "tikv-wal"),
        ("data1-ledger-tiflash-0", "tiflash", "data1"),
    ],
)
def test_a_claim_is_of_one_volume_of_one_component(name: str, group: str, volume: str) -> None:
    found = service(CLUSTER)
    item: Object = {"metadata": {"name": name}}
    owned = [
        (one.name, disk.name)
        for one in found.groups
        for disk in one.volumes
        if found.adapter.claim_is_of(found, one, disk, item)
    ]
    assert owned == [(group, volume)]


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"pvReclaimPolicy": "Delete"}},
        {"spec": {"enablePVReclaim": True}},
        {"metadata": {"annotations": {"tidb.pingcap.com/force-upgrade": "true"}}},
    ],
)
def test_a_safeguard_of_a_cluster_that_is_off_is_told(patch: dict[str, Any]) -> None:
    assert service(CLUSTER).unsafe == ()
    assert [one.denies for one in service(CLUSTER, patch).unsafe] == [True]


def test_the_secrets_of_a_cluster_with_tls_are_named_after_it() -> None:
    assert service(CLUSTER).secrets == ()
    names = [one.name for one in service(CLUSTER, {"spec": {"tlsCluster": {"enabled": True}}}).secrets]
    assert names[0] == "ledger-pd-cluster-secret"
    assert names[-1] == "ledger-cluster-client-secret"


@pytest.mark.parametrize(
    ("kind", "component", "voters"),
    [("PDGroup", "pd", True), ("TiKVGroup", "tikv", False), ("TiFlashGroup", "tiflash", False)],
)
def test_a_group_of_the_newer_operator_is_a_service_of_its_own(kind: str, component: str, voters: bool) -> None:
    found = service(group(kind, "one", 3))
    (only,) = found.groups
    assert (only.name, only.members.value, only.ready.value, only.voters) == (component, 3, 1, voters)
    assert [(one.name, one.storage_class.value, one.bytes) for one in only.volumes] == [("data", "fast", 20 * GI)]
    assert found.running is not None
    assert (found.version.text, found.running.text, found.deletes_claims) == ("v8.5.2", "8.5.1", True)
    item: Object = {"metadata": {"name": f"data-one-{component}-8fk2x", "labels": {"pingcap.com/group": "one"}}}
    assert found.adapter.claim_is_of(found, only, only.volumes[0], item)
    item["metadata"]["name"] = "data-one-other-8fk2x"
    assert not found.adapter.claim_is_of(found, only, only.volumes[0], item)


def test_a_cluster_of_the_newer_operator_has_the_groups_that_name_it() -> None:
    found = service(
        HUB,
        None,
        group("PDGroup", "main", 3),
        group("PDGroup", "else", 5, "other"),
        group("TiKVGroup", "main", 4),
        group("TiFlashGroup", "read", 2),
    )
    assert [(one.name, one.members.value, one.voters) for one in found.groups] == [
        ("pd/main", 3, True),
        ("tikv/main", 4, False),
        ("tiflash/read", 2, False),
    ]
    assert found.deletes_claims
    assert found.unsafe == ()
    assert [one.denies for one in service(HUB, {"spec": {"upgradePolicy": "NoConstraints"}}).unsafe] == [False]
