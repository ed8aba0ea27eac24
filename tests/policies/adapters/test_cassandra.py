"""CassandraDatacenter (cass-operator) and K8ssandraCluster read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Archive, Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30


def claim_of(class_name: str, size: str) -> Object:
    return {"storageClassName": class_name, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}


DATACENTER: Object = {
    "apiVersion": "cassandra.datastax.com/v1beta1",
    "kind": "CassandraDatacenter",
    "metadata": {"name": "east", "namespace": "shop"},
    "spec": {
        "clusterName": "orders",
        "serverType": "cassandra",
        "serverVersion": "4.1.5",
        "size": 6,
        "racks": [{"name": "a"}, {"name": "b"}],
        "storageConfig": {
            "cassandraDataVolumeClaimSpec": claim_of("fast", "200Gi"),
            "additionalVolumes": [
                {"name": "logs", "mountPath": "/logs", "pvcSpec": claim_of("slow", "10Gi")},
                {"name": "scratch", "mountPath": "/scratch", "volumeSource": {"emptyDir": {}}},
            ],
        },
        "config": {"cassandra-yaml": {"num_tokens": 16}},
    },
}

CLUSTER: Object = {
    "apiVersion": "k8ssandra.io/v1alpha1",
    "kind": "K8ssandraCluster",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {
        "cassandra": {
            "serverVersion": "4.1.5",
            "storageConfig": {"cassandraDataVolumeClaimSpec": claim_of("fast", "200Gi")},
            "racks": [{"name": "a"}],
            "datacenters": [
                {"metadata": {"name": "east"}, "size": 3},
                {
                    "metadata": {"name": "west"},
                    "size": 5,
                    "storageConfig": {"cassandraDataVolumeClaimSpec": claim_of("slow", "100Gi")},
                    "racks": [{"name": "z"}],
                },
            ],
        },
        "medusa": {
            "storageProperties": {"bucketName": "copies", "prefix": "orders", "storageSecretRef": {"name": "bucket-key"}}
        },
    },
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), EMPTY_VIEW)


def claim(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": {f"cassandra.datastax.com/{key}": value for key, value in labels.items()}}}


def test_a_datacenter_is_one_group_over_its_racks() -> None:
    found = service(DATACENTER)
    (group,) = found.groups
    assert (group.name, found.members, group.voters) == ("nodes", 6, False)
    assert [(one.name, one.storage_class.value, one.bytes) for one in group.volumes] == [
        ("server-data", "fast", 200 * GI),
        ("logs", "slow", 10 * GI),
    ]
    assert found.engine is not None
    assert (found.engine.name, found.version.state, found.version.text) == ("cassandra", "known", "4.1.5")


def test_another_distribution_is_not_taken_for_cassandra() -> None:
    assert service(DATACENTER, {"spec": {"serverType": "dse", "serverVersion": "6.8.50"}}).engine is None
    assert service(CLUSTER, {"spec": {"cassandra": {"serverType": "hcd"}}}).engine is None
    unsaid = service(DATACENTER, {"spec": {"serverType": None}}).engine
    assert unsaid is not None


@pytest.mark.parametrize(("value", "deletes"), [(None, True), ("true", True), ("false", False)])
def test_claims_go_with_the_datacenter_unless_it_says_otherwise(value: str | None, deletes: bool) -> None:
    assert (
        service(DATACENTER, {"metadata": {"annotations": {"cassandra.datastax.com/delete-pvc": value}}}).deletes_claims
        is deletes
    )


@pytest.mark.parametrize(
    ("name", "labels", "volume", "owned"),
    [
        ("server-data-orders-east-a-sts-0", {"datacenter": "east"}, "server-data", True),
        ("logs-orders-east-a-sts-1", {"datacenter": "east"}, "logs", True),
        ("logs-orders-east-a-sts-1", {"datacenter": "east"}, "server-data", False),
        ("server-data-orders-west-a-sts-0", {"datacenter": "west"}, "server-data", False),
        ("server-data-orders-east-a-sts-0", {}, "server-data", False),
    ],
)
def test_a_claim_of_a_datacenter_is_known_by_label_and_name(
    name: str, labels: dict[str, str], volume: str, owned: bool
) -> None:
    found = service(DATACENTER)
    by_name = {one.name: one for one in found.groups[0].volumes}
    assert found.adapter.claim_is_of(found, found.groups[0], by_name[volume], claim(name, **labels)) is owned
    assert found.adapter.owns_claim(found, claim(name, **labels)) is (labels.get("datacenter") == "east")


def test_the_secrets_of_a_datacenter_follow_its_cluster_or_its_fields() -> None:
    assert [(one.name, one.made) for one in service(DATACENTER).secrets] == [("orders-superuser", "operator")]
    given = {"spec": {"superuserSecretName": "admin", "users": [{"secretName": "reporting", "superuser": False}]}}
    assert [(one.name, one.made) for one in service(DATACENTER, given).secrets] == [("admin", "user"), ("reporting", "user")]


def test_what_is_fixed_in_a_datacenter_is_told_apart_by_rack() -> None:
    fixed = {one.what: one.value for one in service(DATACENTER).fixed.values() if one.value is not None}
    assert fixed["the cluster's name"] == "orders"
    assert fixed["the number of tokens of a node"] == 16
    racks = [one.value for one in service(DATACENTER).fixed.values() if one.what == "the rack"]
    assert racks == ["a", "b"]


@pytest.mark.parametrize(("annotation", "denies"), [("bypass-webhook-validations", True), ("disable-pdb-creation", False)])
def test_a_datacenter_without_a_safeguard_is_unsafe(annotation: str, denies: bool) -> None:
    assert service(DATACENTER).unsafe == ()
    (one,) = service(DATACENTER, {"metadata": {"annotations": {f"cassandra.datastax.com/{annotation}": "true"}}}).unsafe
    assert one.denies is denies


def test_an_empty_seed_is_unsafe() -> None:
    assert service(DATACENTER, {"spec": {"additionalSeeds": ["10.0.0.1"]}}).unsafe == ()
    assert [one.denies for one in service(DATACENTER, {"spec": {"additionalSeeds": ["10.0.0.1", ""]}}).unsafe] == [False]


def test_nodes_of_a_datacenter_keep_apart_unless_they_may_share() -> None:
    assert service(DATACENTER).placement.required == ("kubernetes.io/hostname",)
    assert service(DATACENTER, {"spec": {"allowMultipleNodesPerWorker": True}}).placement.required == ()


def test_a_cluster_has_a_group_for_each_datacenter_with_settings_of_its_own_first() -> None:
    found = service(CLUSTER)
    assert [(group.name, group.members.value) for group in found.groups] == [("east", 3), ("west", 5)]
    east, west = (group.volumes[0] for group in found.groups)
    assert (east.storage_class.value, east.bytes) == ("fast", 200 * GI)
    assert (west.storage_class.value, west.bytes) == ("slow", 100 * GI)
    assert east.storage_class.path[:3] == ("spec", "cassandra", "storageConfig")
    assert west.size.path[:4] == ("spec", "cassandra", "datacenters", 1)
    assert (found.deletes_claims, found.backed_up) == (True, True)
    assert found.archives == (Archive("copies", "orders", ("spec", "medusa", "storageProperties", "bucketName")),)
    assert [one.name for one in found.secrets] == ["orders-superuser", "bucket-key"]


@pytest.mark.parametrize(
    ("cluster", "datacenters", "text"),
    [
        ("4.1.5", ("", ""), "4.1.5"),
        ("4.1.5", ("4.1.9", ""), "4.1.9"),
        ("4.1.5", ("3.11.17", ""), "3.11.17"),
        (None, ("4.0.12", "4.1.5"), "4.1.5"),
        (None, ("", ""), ""),
    ],
)
def test_the_version_of_a_cluster_is_that_of_its_datacenters_first(
    cluster: str | None, datacenters: tuple[str, str], text: str
) -> None:
    rows = [
        {"metadata": {"name": name}, "size": 3, **({"serverVersion": given} if given else {})}
        for name, given in zip(("east", "west"), datacenters, strict=True)
    ]
    assert service(CLUSTER, {"spec": {"cassandra": {"serverVersion": cluster, "datacenters": rows}}}).version.text == text


def test_a_cluster_is_stopped_where_every_datacenter_is() -> None:
    def stopped(*values: bool) -> bool:
        rows = [{"metadata": {"name": f"dc{at}"}, "size": 3, "stopped": value} for at, value in enumerate(values)]
        return service(CLUSTER, {"spec": {"cassandra": {"datacenters": rows}}}).stopped

    assert (stopped(True, True), stopped(True, False), stopped()) == (True, False, False)
    assert service(DATACENTER, {"spec": {"stopped": True}}).stopped


def test_a_claim_of_a_cluster_is_of_the_datacenter_in_its_name() -> None:
    found = service(CLUSTER)
    item = claim("server-data-orders-west-z-sts-0", cluster="orders")
    assert [found.adapter.claim_is_of(found, group, group.volumes[0], item) for group in found.groups] == [False, True]


@pytest.mark.parametrize(
    ("datacenter", "finished", "taken"), [("west", True, True), ("west", False, False), ("x", True, False)]
)
def test_a_medusa_backup_is_of_the_cluster_of_its_datacenter(datacenter: str, finished: bool, taken: bool) -> None:
    moment = "2026-11-21T02:41:09Z"
    record = {"spec": {"cassandraDatacenter": datacenter}, "status": {"finishTime": moment} if finished else {}}
    (row,) = ADAPTERS["K8ssandraCluster.k8ssandra.io"].backups
    assert row.taken(record, service(CLUSTER)) == (moment if taken else None)
    (row,) = ADAPTERS["CassandraDatacenter.cassandra.datastax.com"].backups
    assert row.taken(record, service(DATACENTER, {"metadata": {"name": datacenter}})) == (moment if finished else None)


def test_racks_of_a_datacenter_are_fixed_like_those_of_the_cluster() -> None:
    racks = {one.key.partition(":")[2]: one.value for one in service(CLUSTER).fixed.values() if one.what == "the rack"}
    assert racks == {"a": "a", "west/z": "z"}
