"""What is read of a CloudNativePG Cluster and a RabbitmqCluster besides members, versions and volumes (test_adapters)."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

CNPG = "Cluster.postgresql.cnpg.io"
RABBIT = "RabbitmqCluster.rabbitmq.com"
SPECS: dict[str, Object] = {
    CNPG: {"instances": 3, "storage": {"size": "50Gi"}},
    RABBIT: {"replicas": 3, "image": "rabbitmq:4.1.2-management", "persistence": {"storage": "20Gi"}},
}
PERSISTENCE: Object = {
    "metadata": {"name": "persistence"},
    "spec": {
        "storageClassName": "other",
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "7Gi"}},
    },
}


def made(kind: str, *, metadata: Any = None, **patch: Any) -> Service:
    name, _, group = kind.partition(".")
    item: Object = {"apiVersion": f"{group}/v1", "kind": name, "metadata": {"name": "orders", "namespace": "shop"}}
    patched = cases.merge({**item, "spec": SPECS[kind]}, {"metadata": metadata or {}, "spec": patch})
    return Service(ADAPTERS[kind], patched, EMPTY_VIEW)


def overridden(**spec: Any) -> Service:
    return made(RABBIT, override={"statefulSet": {"spec": spec}})


@pytest.mark.parametrize(("value", "stopped"), [("on", True), ("off", False), (None, False)])
def test_a_hibernated_cluster_is_stopped(value: str | None, stopped: bool) -> None:
    assert made(CNPG, metadata={"annotations": {"cnpg.io/hibernation": value}}).stopped is stopped


def test_rabbitmq_is_stopped_with_no_members_whoever_says_so() -> None:
    assert made(RABBIT, replicas=0).stopped
    assert overridden(replicas=0).stopped
    assert not made(RABBIT).stopped


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        (CNPG, {"annotations": {"cnpg.io/reconciliationLoop": "disabled"}}),
        (RABBIT, {"labels": {"rabbitmq.com/pauseReconciliation": "true"}}),
    ],
)
def test_left_alone_by_the_operator(kind: str, metadata: Any) -> None:
    assert made(kind, metadata=metadata).field("paused").value is True
    assert made(kind).field("paused").value is False


@pytest.mark.parametrize(
    ("patch", "asked"),
    [
        ({}, False),
        ({"backup": {"target": "prefer-standby"}}, False),
        ({"backup": {"barmanObjectStore": {"destinationPath": "s3://b/"}}}, True),
        ({"backup": {"volumeSnapshot": {"className": "snap"}}}, True),
        ({"plugins": [{"name": "barman-cloud.cloudnative-pg.io"}]}, True),
        ({"plugins": []}, False),
    ],
)
def test_backups_of_cloudnative_pg(patch: Any, asked: bool) -> None:
    assert made(CNPG, **patch).backed_up is asked
    assert made(RABBIT).backed_up is None


def test_a_record_of_cloudnative_pg() -> None:
    (record,) = ADAPTERS[CNPG].backups
    at = "2026-11-21T03:00:00Z"
    backup: Object = {"spec": {"cluster": {"name": "orders"}}, "status": {"phase": "completed", "stoppedAt": at}}
    assert record.taken(backup, made(CNPG)) == at
    assert record.taken(cases.merge(backup, {"status": {"phase": "failed"}}), made(CNPG)) is None
    assert record.taken(cases.merge(backup, {"spec": {"cluster": {"name": "stock"}}}), made(CNPG)) is None


def test_secrets_that_cloudnative_pg_makes() -> None:
    assert {(ref.name, ref.role, ref.made) for ref in made(CNPG).secrets} == {
        ("orders-superuser", "credentials", "operator"),
        ("orders-app", "credentials", "operator"),
        ("orders-ca", "ca", "operator"),
        ("orders-server", "certificate", "operator"),
        ("orders-replication", "certificate", "operator"),
    }


@pytest.mark.parametrize(
    ("patch", "own", "instead"),
    [
        ({"superuserSecret": {"name": "own"}}, "own", "orders-superuser"),
        ({"bootstrap": {"initdb": {"secret": {"name": "own"}}}}, "own", "orders-app"),
        ({"bootstrap": {"recovery": {"source": "old", "secret": {"name": "own"}}}}, "own", "orders-app"),
        ({"certificates": {"serverCASecret": "own"}}, "own", "orders-ca"),
        ({"certificates": {"serverTLSSecret": "own"}}, "own", "orders-server"),
        ({"certificates": {"replicationTLSSecret": "own"}}, "own", "orders-replication"),
    ],
)
def test_secrets_that_are_handed_to_cloudnative_pg(patch: Any, own: str, instead: str) -> None:
    found = {ref.name: ref.made for ref in made(CNPG, **patch).secrets}
    assert found[own] == "user"
    assert instead not in found


def test_secrets_of_rabbitmq() -> None:
    assert {(ref.name, ref.role) for ref in made(RABBIT, tls={"secretName": "tls", "caSecretName": "ca"}).secrets} == {
        ("orders-erlang-cookie", "cluster"),
        ("orders-default-user", "credentials"),
        ("tls", "certificate"),
        ("ca", "ca"),
    }
    vault = made(RABBIT, secretBackend={"externalSecret": {"name": "own"}})
    assert {ref.name for ref in vault.secrets} == {"orders-erlang-cookie", "own"}


@pytest.mark.parametrize(("field", "what"), [("postgresUID", "user"), ("postgresGID", "group")])
def test_who_postgresql_runs_as_is_fixed(field: str, what: str) -> None:
    before, same, after = made(CNPG).fixed, made(CNPG, **{field: 26}).fixed, made(CNPG, **{field: 999}).fixed
    assert {key: one.value for key, one in before.items()} == {key: one.value for key, one in same.items()}
    changed = [one.what for key, one in before.items() if one.value != after[key].value]
    assert changed == [f"the {what} that PostgreSQL runs as"]


def test_overrides_of_rabbitmq_win() -> None:
    volume = overridden(volumeClaimTemplates=[PERSISTENCE]).groups[0].volumes[0]
    assert (volume.storage_class.value, volume.size.value, volume.modes.value) == ("other", "7Gi", ["ReadWriteOncePod"])
    assert made(RABBIT).groups[0].volumes[0].size.value == "20Gi"


@pytest.mark.parametrize(
    ("policy", "deletes", "unsafe"),
    [({}, True, 0), ({"whenDeleted": "Retain"}, False, 0), ({"whenDeleted": "Retain", "whenScaled": "Delete"}, False, 1)],
)
def test_what_happens_to_the_claims_of_rabbitmq(policy: Any, deletes: bool, unsafe: int) -> None:
    one = overridden(persistentVolumeClaimRetentionPolicy=policy)
    assert one.deletes_claims is deletes
    assert len(one.unsafe) == unsafe


def test_what_becomes_of_members_that_are_scaled_away() -> None:
    assert (ADAPTERS[CNPG].scale_down, ADAPTERS[RABBIT].scale_down) == ("deletesClaims", "unsupported")
