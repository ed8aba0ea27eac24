"""InnoDBCluster, VitessCluster and the MysqlClusters of Bitpoke and RadonDB read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30
INNODB = "InnoDBCluster.mysql.oracle.com"
VITESS = "VitessCluster.planetscale.com"
BITPOKE = "MysqlCluster.mysql.presslabs.org"
RADONDB = "MysqlCluster.mysql.radondb.com"


def wanted(class_name: str, size: str) -> Object:
    return {"accessModes": ["ReadWriteOnce"], "storageClassName": class_name, "resources": {"requests": {"storage": size}}}


def pool(type_: str = "replica", **more: Any) -> Object:
    return {"cell": "zone1", "type": type_, "replicas": 3, "dataVolumeClaimTemplate": wanted("fast", "100Gi"), **more}


SPECS: dict[str, Object] = {
    INNODB: {
        "secretName": "root",
        "version": "9.1.0",
        "instances": 3,
        "datadirVolumeClaimTemplate": wanted("fast", "100Gi"),
        "readReplicas": [{"name": "report", "instances": 2, "baseServerId": 2000}],
    },
    BITPOKE: {
        "replicas": 3,
        "secretName": "root",
        "mysqlVersion": "8.0",
        "volumeSpec": {"persistentVolumeClaim": wanted("fast", "50Gi")},
        "backupSecretName": "keys",
    },
    RADONDB: {
        "mysqlVersion": "5.7",
        "persistence": {"enabled": True, "storageClass": "fast", "size": "50Gi", "accessModes": ["ReadWriteOnce"]},
    },
    VITESS: {
        "images": {"mysqld": {"mysql80Compatible": "mysql:8.4.6"}},
        "globalLockserver": {"etcd": {"dataVolumeClaimTemplate": wanted("slow", "2Gi")}},
        "backup": {"locations": [{"s3": {"bucket": "b", "keyPrefix": "p", "authSecret": {"name": "keys", "key": "k"}}}]},
        "keyspaces": [
            {
                "name": "commerce",
                "durabilityPolicy": "none",
                "partitionings": [
                    {"equal": {"parts": 2, "shardTemplate": {"tabletPools": [pool(), pool("rdonly", name="olap")]}}}
                ],
            },
            {
                "name": "customer",
                "turndownPolicy": "Immediate",
                "partitionings": [
                    {"custom": {"shards": [{"keyRange": {"end": "80"}, "tabletPools": [pool()]}, {"tabletPools": [pool()]}]}}
                ],
            },
        ],
    },
}


def made(kind: str, **patch: Any) -> Service:
    name, _, group = kind.partition(".")
    item: Object = {"apiVersion": f"{group}/v1", "kind": name, "metadata": {"name": "orders", "namespace": "shop"}}
    return Service(ADAPTERS[kind], cases.merge({**item, "spec": SPECS[kind]}, {"spec": patch}), EMPTY_VIEW)


def claim(name: str, **labels: str) -> Object:
    prefix = "planetscale.com/"
    labels = {f"{prefix}{key.replace('_', '-')}": value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "labels": labels}}


def places(one: Service, item: Object) -> list[str]:
    return [g.name for g in one.groups for v in g.volumes if one.adapter.claim_is_of(one, g, v, item)]


@pytest.mark.parametrize(
    ("kind", "version", "deletes"),
    [(INNODB, "9.1.0", False), (BITPOKE, "8.0", True), (RADONDB, "5.7", False), (VITESS, "8.4.6", True)],
)
def test_engine_version_and_what_goes_with_it(kind: str, version: str, deletes: bool) -> None:
    one = made(kind)
    assert one.engine is PROFILES["mysql"]
    assert one.version.version is not None
    assert one.version.version.text == version
    assert one.deletes_claims is deletes


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        (
            INNODB,
            [("instances", 3, True, [("datadir", "fast", 100 * GI)]), ("report", 2, False, [("datadir", None, 2 * GI)])],
        ),
        (BITPOKE, [("mysql", 3, False, [("data", "fast", 50 * GI)])]),
        (RADONDB, [("mysql", 3, True, [("data", "fast", 50 * GI)])]),
        (
            VITESS,
            [
                ("commerce/*2/zone1/replica", 3, False, [("vtdataroot", "fast", 100 * GI)]),
                ("commerce/*2/zone1/rdonly/olap", 3, False, [("vtdataroot", "fast", 100 * GI)]),
                ("customer/x-80/zone1/replica", 3, False, [("vtdataroot", "fast", 100 * GI)]),
                ("customer/x-x/zone1/replica", 3, False, [("vtdataroot", "fast", 100 * GI)]),
                ("global-lockserver", 3, True, [("etcd", "slow", 2 * GI)]),
            ],
        ),
    ],
)
def test_groups_and_volumes(kind: str, groups: list[Any]) -> None:
    found = [
        (g.name, g.members.value, g.voters, [(v.name, v.storage_class.value, v.bytes) for v in g.volumes])
        for g in made(kind).groups
    ]
    assert found == groups


def test_radondb_keeps_storage_elsewhere_in_its_newer_version() -> None:
    volume = made(RADONDB, persistence=None, storage=wanted("slow", "20Gi")).groups[0].volumes[0]
    assert (volume.storage_class.value, volume.bytes, volume.ephemeral.value) == ("slow", 20 * GI, False)
    assert made(RADONDB, persistence={"enabled": False}).groups[0].volumes[0].ephemeral.value is True


@pytest.mark.parametrize(
    ("image", "state", "version"),
    [
        ("vitess/lite:v22.0.0-mysql80", "known", "8.0"),
        ("vitess/lite:v22.0.0", "opaque", None),
        ("percona/percona-server:8.0.43", "known", "8.0.43"),
        (None, "unset", None),
    ],
)
def test_the_mysqld_of_vitess_is_the_version(image: str | None, state: str, version: str | None) -> None:
    found = made(VITESS, images={"mysqld": {"mysql80Compatible": image}}).version
    assert (found.state, found.version.text if found.version is not None else None) == (state, version)


@pytest.mark.parametrize(
    ("kind", "item", "group"),
    [
        (INNODB, claim("datadir-orders-0"), "instances"),
        (INNODB, claim("datadir-orders-report-1"), "report"),
        (BITPOKE, claim("data-orders-mysql-0"), "mysql"),
        (RADONDB, claim("data-orders-mysql-0"), "mysql"),
        (
            VITESS,
            claim(
                "x",
                cluster="orders",
                component="vttablet",
                keyspace="commerce",
                shard="x-80",
                cell="zone1",
                tablet_type="replica",
            ),
            "commerce/*2/zone1/replica",
        ),
        (
            VITESS,
            claim(
                "x",
                cluster="orders",
                component="vttablet",
                keyspace="customer",
                shard="x-80",
                cell="zone1",
                tablet_type="replica",
            ),
            "customer/x-80/zone1/replica",
        ),
        (
            VITESS,
            claim(
                "x",
                cluster="orders",
                component="vttablet",
                keyspace="customer",
                shard="80-x",
                cell="zone1",
                tablet_type="replica",
            ),
            None,
        ),
        (VITESS, claim("x", cluster="orders", component="etcd"), "global-lockserver"),
        (VITESS, claim("x", cluster="other", component="etcd"), None),
    ],
)
def test_a_claim_is_of_one_group(kind: str, item: Object, group: str | None) -> None:
    assert places(made(kind), item) == ([group] if group is not None else [])


@pytest.mark.parametrize(("kind", "field"), [(INNODB, "instances"), (BITPOKE, "replicas"), (RADONDB, "replicas")])
def test_no_members_is_stopped(kind: str, field: str) -> None:
    assert made(kind, **{field: 0}).stopped
    assert not made(kind).stopped


def test_bitpoke_keeps_the_claims_where_it_is_told_to() -> None:
    assert not made(BITPOKE, volumeSpec={"keepAfterDelete": True}).deletes_claims
    assert ADAPTERS[BITPOKE].scale_down == "deletesClaims"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        (INNODB, {"backupSchedules": [{"name": "n", "schedule": "0 0 * * *"}]}),
        (BITPOKE, {"backupSchedule": "0 0 0 * * *"}),
    ],
)
def test_a_schedule_asks_for_backups(kind: str, patch: Any) -> None:
    assert made(kind).backed_up is False
    assert made(kind, **patch).backed_up is True
    assert made(VITESS).backed_up is True
    assert made(VITESS, backup=None).backed_up is False


def test_records_of_backups() -> None:
    at = "2026-11-21T03:00:00Z"
    (oracle,), (bitpoke,) = ADAPTERS[INNODB].backups, ADAPTERS[BITPOKE].backups
    done: Object = {"spec": {"clusterName": "orders"}, "status": {"status": "Completed", "completionTime": at}}
    assert oracle.taken(done, made(INNODB)) == at
    assert oracle.taken(cases.merge(done, {"status": {"status": "Running"}}), made(INNODB)) is None
    complete = [{"type": "Complete", "status": "True", "lastTransitionTime": at}]
    copied: Object = {"spec": {"clusterName": "orders"}, "status": {"completed": True, "conditions": complete}}
    assert bitpoke.taken(copied, made(BITPOKE)) == at
    assert bitpoke.taken(cases.merge(copied, {"status": {"completed": False}}), made(BITPOKE)) is None


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (INNODB, {"root": "user", "orders-privsecrets": "operator", "orders-tls": "user", "orders-ca": "user"}),
        (BITPOKE, {"root": "user", "orders-mysql-operated": "operator", "keys": "user"}),
        (RADONDB, {"orders-secret": "operator"}),
        (VITESS, {"keys": "user"}),
    ],
)
def test_secrets(kind: str, names: dict[str, str]) -> None:
    assert {ref.name: ref.made for ref in made(kind).secrets} == names


def test_an_unset_version_of_innodb_cluster_follows_its_operator() -> None:
    assert made(INNODB, version=None).version.state == "unset"
    assert ADAPTERS[INNODB].unpinned == "operator"


def test_the_base_of_server_ids_is_fixed() -> None:
    before, same, after = made(INNODB).fixed, made(INNODB, baseServerId=1000).fixed, made(INNODB, baseServerId=9).fixed
    assert [one.value for one in before.values()] == [one.value for one in same.values()]
    assert [one.what for key, one in before.items() if one.value != after[key].value] == ["the base of the server ids"]


def test_what_vitess_lets_go_of() -> None:
    assert [(row.key.partition(":")[2], row.what, row.denies) for row in made(VITESS).unsafe] == [
        ("customer", "the check that a keyspace serves nobody before it is turned down", True),
        ("commerce", "semi-synchronous replication", False),
    ]


def test_vitess_writes_its_backups_below_prefix_and_cluster() -> None:
    assert [(a.store, a.server) for a in made(VITESS).archives] == [("b", "p/orders")]
