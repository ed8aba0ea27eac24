"""VolumeSnapshots that hold what operators record as backups: what rests on them, and what is left without."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.adapters.grammar import GrammarError
from stateward.policies.adapters.records import BackupRecord
from stateward.policies.facts import BACKUP_LOOKS, backup_way, fresh_backup
from stateward.policies.model import Service
from stateward.policies.snapshots import CONTENT, goes_with, is_kept, is_whole, rests_on
from stateward.policies.times import parse
from stateward.policies.view import (
    EMPTY_VIEW,
    SNAPSHOT,
    UNKNOWN,
    MemoryView,
    Object,
    Sight,
    excuses,
    nothing_complete,
)

NOW = parse("2026-11-21T12:00:00Z") or 0.0
CNPG = next(form for form in ADAPTERS["Cluster.postgresql.cnpg.io"].backups)
MARIADB = next(form for form in ADAPTERS["MariaDB.k8s.mariadb.com"].backups if form.kind.startswith("Physical"))
KUBEBLOCKS = ADAPTERS["Cluster.apps.kubeblocks.io"].backups[0]
LABEL = "physicalbackup.k8s.mariadb.com/name"


def snapshot(name: str, ready: bool = True, **metadata: Any) -> Object:
    return {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshot",
        "metadata": {"name": name, "namespace": "bank", **metadata},
        "status": {"readyToUse": ready, "boundVolumeSnapshotContentName": f"content-{name}"},
    }


def backup(*names: str) -> Object:
    return {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Backup",
        "metadata": {"name": "ledger-1", "namespace": "bank"},
        "spec": {"cluster": {"name": "ledger"}},
        "status": {
            "phase": "completed",
            "stoppedAt": "2026-11-21T09:00:00Z",
            "snapshotBackupStatus": {"elements": [{"name": name} for name in names]},
        },
    }


def physical(**storage: Any) -> Object:
    return {"metadata": {"name": "nightly", "namespace": "bank"}, "spec": {"storage": storage}}


def sight(*items: Object, partly: bool = False) -> Sight:
    looks = {look.kind: look for look in (*BACKUP_LOOKS, excuses(CONTENT))}
    return Sight(MemoryView(items, nothing_complete if partly else None), looks, {}, NOW)


@pytest.mark.parametrize(
    ("items", "without", "whole"),
    [
        ([snapshot("data"), snapshot("wal")], "", True),
        ([snapshot("data"), snapshot("wal")], "wal", False),
        ([snapshot("data"), snapshot("wal")], "other", True),
        ([snapshot("data")], "", False),
        ([snapshot("data"), snapshot("wal", deletionTimestamp="2026-11-21T11:59:59Z")], "", False),
    ],
)
def test_a_record_that_lists_its_snapshots_needs_all_of_them(items: list[Object], without: str, whole: bool) -> None:
    assert is_whole(CNPG, backup("data", "wal"), "bank", sight(*items), without) is whole


def test_what_nobody_has_seen_is_neither_there_nor_gone() -> None:
    assert is_whole(CNPG, backup("data"), "bank", sight(partly=True)) is UNKNOWN
    assert is_whole(MARIADB, physical(volumeSnapshot={}), "bank", sight(partly=True)) is UNKNOWN


def test_a_backup_in_a_bucket_needs_no_snapshot() -> None:
    assert is_whole(CNPG, backup(), "bank", sight(), "data") is True
    assert is_whole(MARIADB, physical(s3={}), "bank", sight(snapshot("a", labels={LABEL: "nightly"})), "a") is True


def test_a_backup_of_ours_needs_snapshots_only_where_it_names_some() -> None:
    def ours(*names: str) -> Object:
        status = {"phase": "Complete", "completed": "2026-11-21T11:00:00Z", "snapshots": list(names)}
        metadata = {"name": "nightly", "namespace": "bank"}
        return {"metadata": metadata, "spec": {"service": "ledger"}, "status": status}

    form = ADAPTERS["StatefulService.stateward.dev"].backups[0]
    held = snapshot("nightly", labels={"stateward.dev/servicebackup": "nightly"})
    assert is_whole(form, ours(), "bank", sight()) is True
    assert is_whole(form, ours("nightly"), "bank", sight()) is False
    assert is_whole(form, ours("nightly"), "bank", sight(held)) is True


@pytest.mark.parametrize(
    ("items", "without", "whole"),
    [
        ([], "", False),
        ([snapshot("a", labels={LABEL: "nightly"})], "", True),
        ([snapshot("a", labels={LABEL: "nightly"})], "a", False),
        ([snapshot("a", labels={LABEL: "nightly"}), snapshot("b", labels={LABEL: "nightly"})], "a", True),
        ([snapshot("a", labels={LABEL: "nightly"}), snapshot("b", labels={LABEL: "weekly"})], "a", False),
        ([snapshot("a", labels={LABEL: "nightly"}), snapshot("b", ready=False, labels={LABEL: "nightly"})], "a", False),
    ],
)
def test_a_record_that_its_snapshots_name_needs_one_of_them(items: list[Object], without: str, whole: bool) -> None:
    assert is_whole(MARIADB, physical(volumeSnapshot={}), "bank", sight(*items), without) is whole


def test_a_backup_rests_on_what_it_lists_and_on_what_names_it() -> None:
    assert rests_on(CNPG, backup("data", "wal"), snapshot("wal"))
    assert not rests_on(CNPG, backup("data"), snapshot("wal"))
    assert rests_on(MARIADB, physical(volumeSnapshot={}), snapshot("a", labels={LABEL: "nightly"}))
    assert not rests_on(MARIADB, physical(s3={}), snapshot("a", labels={LABEL: "nightly"}))
    assert not rests_on(MARIADB, physical(volumeSnapshot={}), snapshot("a"))
    assert rests_on(KUBEBLOCKS, {"status": {"volumeSnapshots": [{"name": "a", "contentName": "b"}]}}, snapshot("a"))


@pytest.mark.parametrize("broken", [None, [], "data", {"elements": "data"}, {"elements": [1, {"name": 2}, {}]}])
def test_a_status_of_another_shape_lists_nothing(broken: Any) -> None:
    record = backup()
    record["status"]["snapshotBackupStatus"] = broken
    assert CNPG.snapshots(record) == frozenset()


@pytest.mark.parametrize(
    ("policy", "annotations", "reference", "goes"),
    [
        ("Delete", {}, {"uid": "1"}, True),
        ("Delete", {}, {}, True),
        ("Retain", {}, {"uid": "1"}, False),
        ("Delete", {"snapshot.storage.kubernetes.io/volumesnapshot-being-deleted": "yes"}, {"uid": "1"}, False),
        ("Delete", {}, {"uid": "2"}, False),
        ("Delete", {}, {"name": "gone"}, False),
    ],
)
def test_a_content_takes_the_data_of_its_snapshot_along(
    policy: str, annotations: dict[str, str], reference: dict[str, str], goes: bool
) -> None:
    content: Object = {
        "metadata": {"name": "content-data", "annotations": annotations},
        "spec": {"deletionPolicy": policy, "volumeSnapshotRef": {"namespace": "bank", "name": "data", **reference}},
    }
    assert (goes_with(content, sight(snapshot("data", uid="1"))) is not None) is goes
    assert goes_with(content, sight(partly=True)) is None


def test_data_is_kept_where_its_content_says_so() -> None:
    content = {
        "apiVersion": "snapshot.storage.k8s.io/v1",
        "kind": "VolumeSnapshotContent",
        "metadata": {"name": "content-data"},
        "spec": {"deletionPolicy": "Retain"},
    }
    assert is_kept(snapshot("data"), sight(content))
    assert not is_kept(snapshot("wal"), sight(content))
    assert not is_kept(snapshot("data"), sight(partly=True))


def test_a_record_whose_snapshot_is_gone_is_no_fresh_backup() -> None:
    cluster: Object = {"metadata": {"name": "ledger", "namespace": "bank"}, "spec": {"instances": 3}}
    service = Service(ADAPTERS["Cluster.postgresql.cnpg.io"], cluster, EMPTY_VIEW)
    assert fresh_backup(service, sight(backup("data"), snapshot("data")), 24) == 3 * 3600
    assert fresh_backup(service, sight(backup("data")), 24) is None
    records = MemoryView([backup("data")], lambda kind: kind != SNAPSHOT)
    looks = {look.kind: look for look in BACKUP_LOOKS}
    assert fresh_backup(service, Sight(records, looks, {}, NOW), 24) is UNKNOWN


@pytest.mark.parametrize("snapshots", [{"each": "status.elements"}, {"name": "name"}])
def test_each_and_name_belong_together(snapshots: dict[str, str]) -> None:
    with pytest.raises(GrammarError, match="each and name"):
        BackupRecord({"kind": "Backup.x", "at": "status.at", "snapshots": snapshots}, "adapter")


@pytest.mark.parametrize(
    ("kind", "way"),
    [
        ("Cluster.postgresql.cnpg.io", "create a Backup.postgresql.cnpg.io and wait until it is done"),
        (
            "MariaDB.k8s.mariadb.com",
            "create a Backup.k8s.mariadb.com or PhysicalBackup.k8s.mariadb.com and wait until it is done",
        ),
        (
            "CassandraDatacenter.cassandra.datastax.com",
            "create a MedusaBackupJob.medusa.k8ssandra.io and wait until it is done",
        ),
        ("postgresql.acid.zalan.do", "pg_basebackup with archived WAL"),
        ("Kafka.kafka.strimzi.io", "Kafka has none of its own"),
    ],
)
def test_a_backup_is_taken_as_the_operator_does_or_else_as_the_engine_does(kind: str, way: str) -> None:
    found = backup_way(Service(ADAPTERS[kind], {"metadata": {"name": "a", "namespace": "b"}, "spec": {}}, EMPTY_VIEW))
    assert found.startswith(way)
    assert not found.endswith(".")
