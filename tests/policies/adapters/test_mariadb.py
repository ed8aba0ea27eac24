"""MariaDB of mariadb-operator, under its new and its old group, read as a service."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30
KIND = "MariaDB.k8s.mariadb.com"
OLD_KIND = "MariaDB.mariadb.mmontes.io"

SPEC: Object = {
    "image": "docker-registry1.mariadb.com/library/mariadb:11.8.2",
    "replicas": 3,
    "galera": {"enabled": True},
    "rootPasswordSecretKeyRef": {"name": "orders-root-password", "key": "password"},
    "storage": {"size": "100Gi", "storageClassName": "fast"},
}
OLD_SPEC: Object = {
    "image": {"repository": "mariadb", "tag": "10.11.3"},
    "volumeClaimTemplate": {"storageClassName": "slow", "resources": {"requests": {"storage": "20Gi"}}},
}


def made(kind: str = KIND, spec: Object = SPEC, **patch: Any) -> Service:
    name, _, group = kind.partition(".")
    item: Object = {"apiVersion": f"{group}/v1alpha1", "kind": name, "metadata": {"name": "orders", "namespace": "shop"}}
    return Service(ADAPTERS[kind], cases.merge({**item, "spec": spec}, {"spec": patch}), EMPTY_VIEW)


@pytest.mark.parametrize(
    ("one", "version", "members", "voters", "class_name", "size"),
    [
        (made(), "11.8.2", 3, True, "fast", 100),
        (made(OLD_KIND, OLD_SPEC), "10.11.3", 1, False, "slow", 20),
        (made(OLD_KIND), "11.8.2", 3, True, "fast", 100),
        (
            made(
                storage={
                    "size": None,
                    "storageClassName": None,
                    "volumeClaimTemplate": {"storageClassName": "other", "resources": {"requests": {"storage": "7Gi"}}},
                }
            ),
            *("11.8.2", 3, True, "other", 7),
        ),
    ],
)
def test_version_members_and_volume(
    one: Service, version: str, members: int, voters: bool, class_name: str, size: int
) -> None:
    assert one.engine is PROFILES["mariadb"]
    assert one.version.version is not None
    assert one.version.version.text == version
    (group,) = one.groups
    (volume,) = group.volumes
    assert (group.members.value, group.voters) == (members, voters)
    assert (volume.name, volume.storage_class.value, volume.bytes) == ("storage", class_name, size * GI)


def test_the_short_fields_win_over_the_template() -> None:
    template = {"storageClassName": "other", "resources": {"requests": {"storage": "1Gi"}}}
    volume = made(storage={"volumeClaimTemplate": template}).groups[0].volumes[0]
    assert (volume.storage_class.value, volume.bytes) == ("fast", 100 * GI)


@pytest.mark.parametrize(
    ("patch", "mode"),
    [
        ({}, "galera"),
        ({"galera": {"enabled": False}, "replication": {"enabled": True}}, "replication"),
        ({"galera": None}, ""),
    ],
)
def test_the_mode_is_the_kind_of_replication(patch: Any, mode: str) -> None:
    assert made(**patch).mode == mode


@pytest.mark.parametrize(("policy", "deletes"), [(None, False), ("Retain", False), ("Delete", True)])
def test_the_retention_policy_decides_over_the_claims(policy: str | None, deletes: bool) -> None:
    one = made(storage={"pvcRetentionPolicy": {"whenDeleted": policy}})
    assert one.deletes_claims is deletes
    assert [row.denies for row in one.unsafe] == ([True] if deletes else [])


@pytest.mark.parametrize(
    ("patch", "denies"),
    [
        ({"replicasAllowEvenNumber": True}, True),
        ({"storage": {"pvcRetentionPolicy": {"whenScaled": "Delete"}}}, False),
        ({"galera": {"recovery": {"forceClusterBootstrapInPod": "orders-1"}}}, False),
    ],
)
def test_what_is_unsafe(patch: Any, denies: bool) -> None:
    (row,) = made(**patch).unsafe
    assert row.denies is denies


def test_stopped_and_suspended() -> None:
    assert made(replicas=0).stopped
    assert made(suspend=True).field("paused").value is True
    assert not made().stopped


@pytest.mark.parametrize(
    ("name", "owned"),
    [("storage-orders-0", True), ("galera-orders-0", False), ("storage-orders-next-0", False)],
)
def test_claims_are_told_by_name(name: str, owned: bool) -> None:
    one = made()
    claim: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}
    assert one.adapter.owns_claim(one, claim) is owned


@pytest.mark.parametrize("kind", ["Backup.k8s.mariadb.com", "PhysicalBackup.k8s.mariadb.com"])
@pytest.mark.parametrize(
    ("status", "reason", "taken"),
    [
        ("True", "JobComplete", True),
        ("True", "CronJobSuccess", True),
        ("True", "JobFailed", False),
        ("False", "JobRunning", False),
    ],
)
def test_a_backup_is_done_when_its_job_succeeded(kind: str, status: str, reason: str, taken: bool) -> None:
    (record,) = (row for row in ADAPTERS[KIND].backups if row.kind == kind)
    condition = {"type": "Complete", "status": status, "reason": reason, "lastTransitionTime": "2026-11-21T03:00:00Z"}
    backup: Object = {"spec": {"mariaDbRef": {"name": "orders"}}, "status": {"conditions": [condition]}}
    assert record.taken(backup, made()) == ("2026-11-21T03:00:00Z" if taken else None)


def test_secrets() -> None:
    assert {(ref.name, ref.role, ref.made) for ref in made().secrets} == {
        ("orders-root-password", "credentials", "user"),
        ("orders-ca", "ca", "operator"),
        ("orders-server-cert", "certificate", "operator"),
        ("orders-client-cert", "certificate", "operator"),
    }
    assert "orders-root" in {ref.name for ref in made(rootPasswordSecretKeyRef=None).secrets}
    assert "own-ca" in {ref.name for ref in made(tls={"serverCASecretRef": {"name": "own-ca"}}).secrets}


@pytest.mark.parametrize(
    ("patch", "what"),
    [
        ({"galera": {"enabled": False}, "replication": {"enabled": True}}, "the kind of replication"),
        ({"rootPasswordSecretKeyRef": {"name": "other"}}, "the Secret of the root password"),
    ],
)
def test_what_is_fixed_once_it_is_set(patch: Any, what: str) -> None:
    before, after = made().fixed, made(**patch).fixed
    found = [one for key, one in before.items() if one.value != after[key].value]
    assert [(one.what, one.once_set) for one in found] == [(what, True)]


@pytest.mark.parametrize(
    ("patch", "keys"),
    [
        ({}, ()),
        ({"affinity": {"antiAffinityEnabled": True}}, ("kubernetes.io/hostname",)),
        ({"topologySpreadConstraints": [{"topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}, ("zone",)),
    ],
)
def test_members_keep_apart_where_they_are_told_to(patch: Any, keys: tuple[str, ...]) -> None:
    assert made(**patch).placement.required == keys
