"""KubeBlocks Cluster read as a service of its engine."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30
KIND = "Cluster.apps.kubeblocks.io"

DISK: Object = {
    "name": "data",
    "spec": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}},
}

CLUSTER: Object = {
    "apiVersion": "apps.kubeblocks.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {
        "clusterDef": "postgresql",
        "topology": "replication",
        "terminationPolicy": "DoNotTerminate",
        "componentSpecs": [
            {"name": "postgresql", "serviceVersion": "16.4.0", "replicas": 3, "volumeClaimTemplates": [DISK]},
            {"name": "pooler", "replicas": 2, "issuer": {"secretRef": {"name": "cert"}}},
        ],
    },
}


def service(patch: dict[str, Any] | None = None) -> Service:
    return Service(ADAPTERS[KIND], cases.merge(CLUSTER, patch or {}), EMPTY_VIEW)


def spec(**patch: Any) -> Service:
    return service({"spec": patch})


def test_components_are_the_groups_of_a_cluster() -> None:
    found = service()
    assert [(one.name, one.members.value, one.voters) for one in found.groups] == [
        ("postgresql", 3, None),
        ("pooler", 2, None),
    ]
    (disk,) = found.groups[0].volumes
    assert (disk.name, disk.storage_class.value, disk.bytes) == ("data", "fast", 20 * GI)
    assert (found.version.text, found.deletes_claims, found.backed_up) == ("16.4.0", False, False)
    assert found.adapter.ordinal(found, "postgresql", "data", {"metadata": {"name": "data-orders-postgresql-2"}}) == 2
    assert [one.name for one in found.secrets] == ["cert"]


@pytest.mark.parametrize(
    ("patch", "engine"),
    [
        ({}, "postgresql"),
        ({"clusterDef": None, "clusterDefinitionRef": "apecloud-mysql"}, "mysql"),
        ({"clusterDef": None, "componentSpecs": [{"name": "a", "componentDef": "mongodb-7-1.0.0"}]}, "mongodb"),
        ({"clusterDef": None, "componentSpecs": [{"name": "a", "componentDefRef": "redis"}]}, "redis"),
        ({"clusterDef": None, "shardings": [{"name": "a", "template": {"componentDef": "redis-cluster-7"}}]}, "redis"),
        ({"clusterDef": "pulsar"}, None),
    ],
)
def test_the_engine_is_told_by_the_name_of_the_definition(patch: dict[str, Any], engine: str | None) -> None:
    found = spec(**patch).engine
    assert (found.name if found is not None else None) == engine


def test_shards_are_groups_too() -> None:
    sharding = {"name": "shard", "shards": 5, "template": {"serviceVersion": "7.2.4", "volumeClaimTemplates": [DISK]}}
    found = spec(clusterDef=None, componentSpecs=None, shardings=[sharding])
    assert [(one.name, one.members.value) for one in found.groups] == [("shard", 5)]
    assert (found.groups[0].volumes[0].bytes, found.version.text) == (20 * GI, "7.2.4")


def test_an_older_cluster_names_its_version_in_a_reference() -> None:
    found = spec(clusterVersionRef="ac-mysql-8.0.30", componentSpecs=[{"name": "mysql", "replicas": 3}])
    assert found.version.version is not None
    assert found.version.version.parts == (8, 0, 30)


@pytest.mark.parametrize(
    ("policy", "deletes", "denied"),
    [
        ("DoNotTerminate", False, []),
        ("Halt", False, []),
        ("Delete", True, [False]),
        ("WipeOut", True, [True, False]),
    ],
)
def test_the_termination_policy_says_what_a_deletion_takes(policy: str, deletes: bool, denied: list[bool]) -> None:
    found = spec(terminationPolicy=policy)
    assert found.deletes_claims is deletes
    assert [one.denies for one in found.unsafe] == denied


def test_a_cluster_is_stopped_where_every_component_is() -> None:
    assert spec(componentSpecs=[{"name": "a", "stop": True}, {"name": "b", "stop": True}]).stopped
    assert not spec(componentSpecs=[{"name": "a", "stop": True}, {"name": "b"}]).stopped


@pytest.mark.parametrize(
    ("name", "phase", "taken"), [("orders", "Completed", True), ("orders", "Failed", False), ("x", "Completed", False)]
)
def test_a_backup_names_its_cluster_in_a_label(name: str, phase: str, taken: bool) -> None:
    record = {
        "metadata": {"labels": {"app.kubernetes.io/instance": name}},
        "status": {"phase": phase, "completionTimestamp": "2026-11-21T02:07:40Z"},
    }
    (row,) = ADAPTERS[KIND].backups
    assert row.taken(record, service()) == ("2026-11-21T02:07:40Z" if taken else None)


@pytest.mark.parametrize(
    ("affinity", "required", "preferred"),
    [
        (None, (), ()),
        ({"podAntiAffinity": "Required", "topologyKeys": ["kubernetes.io/hostname"]}, ("kubernetes.io/hostname",), ()),
        ({"podAntiAffinity": "Preferred", "topologyKeys": ["kubernetes.io/hostname"]}, (), ("kubernetes.io/hostname",)),
    ],
)
def test_the_older_affinity_keeps_members_apart(
    affinity: Any, required: tuple[str, ...], preferred: tuple[str, ...]
) -> None:
    placement = spec(affinity=affinity).placement
    assert (placement.required, placement.preferred) == (required, preferred)


@pytest.mark.parametrize("field", ["clusterDef", "clusterDefinitionRef"])
def test_a_group_of_raft_votes(field: str) -> None:
    found = spec(**{"clusterDef": None, field: "apecloud-mysql"})
    assert found.groups[0].voters is True
