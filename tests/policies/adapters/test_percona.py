"""Percona's XtraDB Cluster, Server for MySQL and Server for MongoDB read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.version import parse
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30
PXC = "PerconaXtraDBCluster.pxc.percona.com"
PS = "PerconaServerMySQL.ps.percona.com"
PSMDB = "PerconaServerMongoDB.psmdb.percona.com"
KINDS = [PXC, PS, PSMDB]


def volume(class_name: str, size: str) -> Object:
    return {"persistentVolumeClaim": {"storageClassName": class_name, "resources": {"requests": {"storage": size}}}}


SPECS: dict[str, Object] = {
    PXC: {
        "pxc": {"size": 3, "image": "percona/percona-xtradb-cluster:8.4.7-7.1", "volumeSpec": volume("fast", "60Gi")},
        "proxysql": {"enabled": True, "size": 2, "volumeSpec": volume("slow", "2Gi")},
        "backup": {"storages": {"far": {"type": "s3", "s3": {"bucket": "b", "credentialsSecret": "far-keys"}}}},
    },
    PS: {
        "secretsName": "own-secrets",
        "mysql": {
            "clusterType": "async",
            "size": 3,
            "image": "percona/percona-server:8.0.43-34.1",
            "volumeSpec": volume("fast", "60Gi"),
        },
        "orchestrator": {"enabled": True, "size": 3},
    },
    PSMDB: {
        "image": "percona/percona-server-mongodb:7.0.24-13",
        "secrets": {"users": "own-users"},
        "replsets": [
            {
                "name": "rs0",
                "size": 4,
                "volumeSpec": volume("fast", "60Gi"),
                "arbiter": {"enabled": True, "size": 1},
                "nonvoting": {"enabled": True, "size": 2, "volumeSpec": volume("slow", "40Gi")},
                "hidden": {"enabled": False, "size": 2, "volumeSpec": volume("slow", "40Gi")},
            },
            {"size": 3, "volumeSpec": {"emptyDir": {}}, "hidden": {"enabled": True, "size": 1}},
        ],
        "sharding": {"enabled": True, "configsvrReplSet": {"size": 3, "volumeSpec": volume("fast", "3Gi")}},
    },
}


def made(kind: str, *, metadata: Any = None, status: Any = None, **patch: Any) -> Service:
    name, _, group = kind.partition(".")
    item: Object = {"apiVersion": f"{group}/v1", "kind": name, "metadata": {"name": "orders", "namespace": "shop"}}
    patched = cases.merge({**item, "spec": SPECS[kind]}, {"metadata": metadata or {}, "spec": patch, "status": status or {}})
    return Service(ADAPTERS[kind], patched, EMPTY_VIEW)


def claim(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}


@pytest.mark.parametrize(
    ("kind", "engine", "version", "mode"),
    [(PXC, "mysql", "8.4.7-7.1", "galera"), (PS, "mysql", "8.0.43-34.1", "async"), (PSMDB, "mongodb", "7.0.24-13", "")],
)
def test_engine_version_and_mode(kind: str, engine: str, version: str, mode: str) -> None:
    one = made(kind)
    assert one.engine is PROFILES[engine]
    assert one.version.version == parse(version)
    assert one.mode == mode


@pytest.mark.parametrize(
    ("kind", "patch", "state", "version"),
    [
        (PXC, {"pxc": {"image": "perconalab/percona-xtradb-cluster-operator:main-pxc8.0"}}, "known", "8.0"),
        (PXC, {"pxc": {"image": "percona/percona-xtradb-cluster@sha256:abc"}}, "opaque", None),
        (PXC, {"pxc": {"image": None}}, "unset", None),
        (PS, {"mysql": {"image": "perconalab/percona-server-mysql-operator:main-psmysql8.4"}}, "known", "8.4"),
        (PSMDB, {"image": "perconalab/percona-server-mongodb-operator:main-mongod8.0"}, "known", "8.0"),
    ],
)
def test_versions_of_images(kind: str, patch: Any, state: str, version: str | None) -> None:
    found = made(kind, **patch).version
    assert (found.state, found.version.text if found.version is not None else None) == (state, version)


@pytest.mark.parametrize(
    ("kind", "groups"),
    [
        (PXC, [("pxc", 3, True, ["datadir"]), ("proxysql", 2, False, ["proxydata"])]),
        (PS, [("mysql", 3, False, ["datadir"]), ("orc", 3, True, [])]),
        (
            PSMDB,
            [
                ("rs0", 4, True, ["mongod-data"]),
                ("rs1", 3, True, ["mongod-data"]),
                ("rs0-arbiter", 1, True, []),
                ("rs0-nv", 2, False, ["mongod-data"]),
                ("rs1-hidden", 1, True, ["mongod-data"]),
                ("cfg", 3, True, ["mongod-data"]),
            ],
        ),
    ],
)
def test_groups(kind: str, groups: list[Any]) -> None:
    found = [(g.name, g.members.value, g.voters, [v.name for v in g.volumes]) for g in made(kind).groups]
    assert found == groups


def test_members_of_a_replication_group_vote() -> None:
    assert made(PS, mysql={"clusterType": None}).groups[0].voters is True
    assert made(PS, mysql={"clusterType": None}).mode == "group-replication"


def test_class_size_and_what_is_temporary() -> None:
    groups = made(PSMDB).groups_by_name
    data = groups["rs0"].volumes[0]
    assert (data.storage_class.value, data.bytes, data.ephemeral.value) == ("fast", 60 * GI, False)
    assert groups["rs0-nv"].volumes[0].storage_class.value == "slow"
    assert groups["rs1"].volumes[0].ephemeral.value is True
    assert (
        made(PXC, pxc={"volumeSpec": {"persistentVolumeClaim": None, "emptyDir": {}}}).groups[0].volumes[0].ephemeral.value
    )


@pytest.mark.parametrize(
    ("kind", "name", "group", "volume"),
    [
        (PXC, "datadir-orders-pxc-0", "pxc", 0),
        (PXC, "proxydata-orders-proxysql-1", "proxysql", 0),
        (PS, "datadir-orders-mysql-2", "mysql", 0),
        (PSMDB, "mongod-data-orders-rs0-0", "rs0", 0),
        (PSMDB, "mongod-data-orders-rs0-nv-1", "rs0-nv", 0),
        (PSMDB, "mongod-data-orders-cfg-2", "cfg", 0),
    ],
)
def test_a_claim_is_of_one_group(kind: str, name: str, group: str, volume: int) -> None:
    one = made(kind)
    assert one.adapter.owns_claim(one, claim(name))
    found = [g.name for g in one.groups for v in g.volumes if one.adapter.claim_is_of(one, g, v, claim(name))]
    assert found == [group]
    assert not one.adapter.owns_claim(one, claim(name.replace("orders", "orders-next")))


@pytest.mark.parametrize(
    ("kind", "finalizer"),
    [
        (PXC, "percona.com/delete-pxc-pvc"),
        (PXC, "delete-pxc-pvc"),
        (PS, "percona.com/delete-mysql-pvc"),
        (PSMDB, "percona.com/delete-psmdb-pvc"),
        (PSMDB, "delete-psmdb-pvc"),
    ],
)
def test_a_finalizer_deletes_the_claims(kind: str, finalizer: str) -> None:
    assert not made(kind).deletes_claims
    assert made(kind).unsafe == ()
    one = made(kind, metadata={"finalizers": ["percona.com/delete-ssl", finalizer]})
    assert one.deletes_claims
    assert [(row.what, row.denies) for row in one.unsafe] == [("the finalizer that deletes the volumes", True)]


@pytest.mark.parametrize(
    ("kind", "flag", "denies"),
    [
        (PXC, "pxcSize", True),
        (PXC, "tls", False),
        (PXC, "backupIfUnhealthy", False),
        (PS, "mysqlSize", True),
        (PS, "orchestrator", True),
        (PS, "orchestratorSize", False),
        (PS, "backupNonReadyCluster", False),
        (PSMDB, "replsetSize", True),
        (PSMDB, "tls", False),
        (PSMDB, "terminationGracePeriod", False),
        (PSMDB, "backupIfUnhealthy", False),
    ],
)
def test_unsafe_flags(kind: str, flag: str, denies: bool) -> None:
    (row,) = made(kind, unsafeFlags={flag: True}).unsafe
    assert (row.path, row.denies) == (("spec", "unsafeFlags", flag), denies)
    assert made(kind, unsafeFlags={flag: False}).unsafe == ()


@pytest.mark.parametrize("kind", [PXC, PSMDB])
def test_the_old_switch_of_all_checks(kind: str) -> None:
    (row,) = made(kind, allowUnsafeConfigurations=True).unsafe
    assert row.denies


@pytest.mark.parametrize("kind", KINDS)
def test_paused_clusters_are_stopped(kind: str) -> None:
    assert made(kind, pause=True).stopped
    assert not made(kind).stopped


@pytest.mark.parametrize(
    ("kind", "backup"),
    [
        (PXC, {"schedule": [{"name": "n", "schedule": "0 0 * * *"}]}),
        (PS, {"schedule": [{"name": "n", "schedule": "0 0 * * *"}]}),
        (PSMDB, {"tasks": [{"name": "n", "schedule": "0 0 * * *"}]}),
    ],
)
def test_a_schedule_asks_for_backups(kind: str, backup: Any) -> None:
    assert made(kind).backed_up is False
    assert made(kind, backup=backup).backed_up is True
    assert made(kind, backup={key: [] for key in backup}).backed_up is False


@pytest.mark.parametrize(
    ("kind", "spec", "state"),
    [
        (PXC, {"pxcCluster": "orders"}, "Succeeded"),
        (PS, {"clusterName": "orders"}, "Succeeded"),
        (PSMDB, {"clusterName": "orders"}, "ready"),
        (PSMDB, {"psmdbCluster": "orders"}, "ready"),
    ],
)
def test_records_of_backups(kind: str, spec: Any, state: str) -> None:
    (record,) = ADAPTERS[kind].backups
    backup: Object = {"spec": spec, "status": {"state": state, "completed": "2026-11-21T03:00:00Z"}}
    assert record.taken(backup, made(kind)) == "2026-11-21T03:00:00Z"
    assert record.taken(cases.merge(backup, {"status": {"state": "running"}}), made(kind)) is None
    assert record.taken(cases.merge(backup, {"spec": dict.fromkeys(spec, "other")}), made(kind)) is None


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (PXC, {"orders-secrets", "internal-orders", "orders-ssl", "orders-ssl-internal", "far-keys"}),
        (PS, {"own-secrets", "internal-orders", "orders-ssl"}),
        (
            PSMDB,
            {
                *("own-users", "internal-orders-users", "orders-mongodb-keyfile", "orders-mongodb-encryption-key"),
                *("orders-ssl", "orders-ssl-internal"),
            },
        ),
    ],
)
def test_secrets(kind: str, names: set[str]) -> None:
    assert {ref.name for ref in made(kind).secrets} == names


def test_the_key_that_the_data_is_encrypted_with_is_told() -> None:
    roles = {ref.name: ref.role for ref in made(PSMDB, secrets={"encryptionKey": "own-key"}).secrets}
    assert roles["own-key"] == "key"
    assert "orders-mongodb-encryption-key" not in roles


@pytest.mark.parametrize(("options", "level"), [({"setFCV": True}, "7.0"), ({"setFCV": False}, None), ({}, None)])
def test_the_level_is_raised_with_the_version_where_the_operator_may(options: Any, level: str | None) -> None:
    one = made(PSMDB, upgradeOptions=options, status={"mongoVersion": "7.0.24-13"})
    assert (one.finalised.text if one.finalised is not None else None) == level
    assert one.running == parse("7.0.24-13")


@pytest.mark.parametrize(
    ("kind", "patch", "what"),
    [
        (PS, {"mysql": {"clusterType": "group-replication"}}, "the type of the cluster"),
        (PSMDB, {"sharding": {"enabled": False}}, "whether the cluster is sharded"),
    ],
)
def test_what_is_fixed(kind: str, patch: Any, what: str) -> None:
    before, after = made(kind).fixed, made(kind, **patch).fixed
    assert [one.what for key, one in before.items() if one.value != after[key].value] == [what]


@pytest.mark.parametrize(("key", "keys"), [(None, ("kubernetes.io/hostname",)), ("none", ()), ("zone", ("zone",))])
def test_members_keep_apart_by_default(key: str | None, keys: tuple[str, ...]) -> None:
    assert made(PXC, pxc={"affinity": {"antiAffinityTopologyKey": key}}).placement.required == keys


@pytest.mark.parametrize(
    ("kind", "patch", "grows"),
    [
        *((kind, {}, False) for kind in KINDS),
        *((kind, {"enableVolumeExpansion": True}, True) for kind in KINDS),
        (PS, {"storageScaling": {"enableVolumeScaling": True}}, True),
        (PSMDB, {"storageScaling": {"enableVolumeScaling": True}}, True),
    ],
)
def test_volumes_grow_only_where_the_operator_may(kind: str, patch: Any, grows: bool) -> None:
    assert made(kind, **patch).field("growth").value is grows


def test_a_galera_member_leaves_by_a_clean_stop_and_not_as_one_of_a_group() -> None:
    cluster: Object = {
        "apiVersion": "pxc.percona.com/v1",
        "kind": "PerconaXtraDBCluster",
        "metadata": {"name": "orders", "namespace": "shop"},
        "spec": {"crVersion": "1.20.0", "pxc": {"size": 5, "image": "percona/percona-xtradb-cluster:8.4.7-7.1"}},
    }
    case = {"operation": "UPDATE", "old": cluster, "patch": {"spec": {"pxc": {"size": 2}}}, "expect": "deny"}
    (found,) = cases.read("one", {"cases": [case]})
    remedy = next(one.finding.remedy for one in cases.run(found).denied if one.rule == "SW201")
    assert "mysqladmin shutdown" in remedy
    assert "GROUP_REPLICATION" not in remedy
