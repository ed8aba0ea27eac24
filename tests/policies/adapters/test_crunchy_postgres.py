"""PostgresCluster of Crunchy PGO, its copy by Percona, and Percona's own PerconaPGCluster read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Archive, Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30
CRUNCHY = "PostgresCluster.postgres-operator.crunchydata.com"
UPSTREAM = "PostgresCluster.upstream.pgv2.percona.com"
PERCONA = "PerconaPGCluster.pgv2.percona.com"
KINDS = [CRUNCHY, UPSTREAM, PERCONA]
LABEL = "postgres-operator.crunchydata.com"


def wanted(class_name: str, size: str) -> Object:
    return {"accessModes": ["ReadWriteOnce"], "storageClassName": class_name, "resources": {"requests": {"storage": size}}}


SPEC: Object = {
    "postgresVersion": 16,
    "instances": [
        {
            "name": "main",
            "replicas": 3,
            "dataVolumeClaimSpec": wanted("fast", "50Gi"),
            "walVolumeClaimSpec": wanted("faster", "10Gi"),
            "tablespaceVolumes": [{"name": "archive", "dataVolumeClaimSpec": wanted("slow", "100Gi")}],
        },
        {"name": "report", "dataVolumeClaimSpec": wanted("slow", "80Gi")},
    ],
    "backups": {
        "pgbackrest": {
            "global": {"repo2-path": "/hippo/repo2"},
            "repos": [
                {"name": "repo1", "volume": {"volumeClaimSpec": wanted("slow", "100Gi")}},
                {"name": "repo2", "s3": {"bucket": "backups"}},
                {"name": "repo3", "gcs": {"bucket": "far"}},
            ],
        }
    },
}


def made(kind: str, *, metadata: Any = None, status: Any = None, **patch: Any) -> Service:
    name, _, group = kind.partition(".")
    item: Object = {"apiVersion": f"{group}/v1beta1", "kind": name, "metadata": {"name": "hippo", "namespace": "shop"}}
    item = cases.merge({**item, "spec": SPEC}, {"metadata": metadata or {}, "spec": patch, "status": status or {}})
    return Service(ADAPTERS[kind], item, EMPTY_VIEW)


def claim(**labels: str) -> Object:
    labels = {f"{LABEL}/{key.replace('_', '-')}": value for key, value in labels.items()}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "c", "labels": labels}}


@pytest.mark.parametrize("kind", KINDS)
def test_each_set_is_a_group_with_its_volumes(kind: str) -> None:
    one = made(kind)
    assert one.engine is PROFILES["postgresql"]
    assert (one.version.state, one.version.text, one.running) == ("known", "16", None)
    assert [(group.name, group.members.value) for group in one.groups] == [("main", 3), ("report", 1)]
    assert [(v.name, v.storage_class.value, v.bytes) for v in one.groups[0].volumes] == [
        ("pgdata", "fast", 50 * GI),
        ("pgwal", "faster", 10 * GI),
        ("archive", "slow", 100 * GI),
    ]


@pytest.mark.parametrize(("kind", "deletes"), [(CRUNCHY, True), (UPSTREAM, True), (PERCONA, False)])
def test_what_is_deleted_with_it(kind: str, deletes: bool) -> None:
    assert made(kind).deletes_claims is deletes
    assert ADAPTERS[kind].scale_down == "deletesClaims"


def test_a_finalizer_of_percona_deletes_the_claims() -> None:
    one = made(PERCONA, metadata={"finalizers": ["percona.com/delete-pvc", "percona.com/delete-backups"]})
    assert one.deletes_claims
    assert [(row.what, row.denies) for row in one.unsafe] == [
        ("the finalizer that deletes the volumes", True),
        ("the finalizer that deletes the backups", True),
    ]
    assert made(PERCONA, metadata={"finalizers": ["percona.com/delete-ssl"]}).unsafe == ()


@pytest.mark.parametrize(
    ("kind", "annotation", "carrier"),
    [
        (CRUNCHY, None, "image"),
        (CRUNCHY, f"{LABEL}/allow-upgrade", "operator"),
        (PERCONA, None, "image"),
        (PERCONA, "pgv2.percona.com/allow-upgrade", "done"),
    ],
)
def test_an_upgrade_of_the_data_is_allowed_by_an_annotation(kind: str, annotation: str | None, carrier: str) -> None:
    one = made(kind, metadata={"annotations": {annotation: "to-17"} if annotation else {}})
    assert ADAPTERS[kind].carrier(one) == carrier


@pytest.mark.parametrize(
    ("kind", "status", "runs"),
    [
        (CRUNCHY, {"postgresVersion": 17}, "17"),
        (CRUNCHY, {"postgresVersion": 0}, None),
        (PERCONA, {"postgres": {"version": 17}}, "17"),
        (PERCONA, {"postgres": {"version": 0}}, None),
    ],
)
def test_the_status_tells_what_runs_once_it_is_written(kind: str, status: Any, runs: str | None) -> None:
    found = made(kind, status=status).running
    assert (found.text if found is not None else None) == runs


@pytest.mark.parametrize(("kind", "stop", "pause"), [(CRUNCHY, "shutdown", "paused"), (PERCONA, "pause", "unmanaged")])
def test_stopped_and_left_alone(kind: str, stop: str, pause: str) -> None:
    assert made(kind, **{stop: True}).stopped
    assert not made(kind).stopped
    assert made(kind, **{pause: True}).field("paused").value is True


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("labels", "group", "volume"),
    [
        ({"instance_set": "main", "role": "pgdata"}, 0, "pgdata"),
        ({"instance_set": "main", "role": "pgwal"}, 0, "pgwal"),
        ({"instance_set": "main", "role": "tablespace"}, 0, "archive"),
        ({"instance_set": "report", "role": "pgdata"}, 1, "pgdata"),
        ({"pgbackrest_repo": "repo1"}, None, ""),
    ],
)
def test_a_claim_is_of_one_set_and_volume(kind: str, labels: dict[str, str], group: int | None, volume: str) -> None:
    one, item = made(kind), claim(cluster="hippo", **labels)
    assert one.adapter.owns_claim(one, item)
    found = [
        (index, v.name) for index, g in enumerate(one.groups) for v in g.volumes if one.adapter.claim_is_of(one, g, v, item)
    ]
    assert found == ([(group, volume)] if group is not None else [])


def test_a_claim_of_another_cluster_is_not_its_own() -> None:
    one = made(CRUNCHY)
    assert not one.adapter.owns_claim(one, claim(cluster="rhino", instance_set="main", role="pgdata"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_is_a_bucket_and_a_path(kind: str) -> None:
    one = made(
        kind,
        dataSource={
            "pgbackrest": {"global": {"repo2-path": "/old/repo2"}, "repo": {"name": "repo2", "s3": {"bucket": "backups"}}}
        },
    )
    assert [(a.store, a.server) for a in one.archives] == [("backups", "/hippo/repo2"), ("far", "/pgbackrest/repo3")]
    assert [(a.store, a.server) for a in one.sources] == [("backups", "/old/repo2")]
    assert all(isinstance(a, Archive) for a in one.archives)


def test_secrets_by_users_and_certificates() -> None:
    assert {(ref.name, ref.role) for ref in made(CRUNCHY).secrets} == {
        ("hippo-pguser-hippo", "credentials"),
        ("hippo-cluster-cert", "certificate"),
        ("hippo-replication-cert", "certificate"),
        ("hippo-pgbackrest", "backup"),
    }
    own = made(CRUNCHY, users=[{"name": "app"}], customTLSSecret={"name": "own"})
    assert {(ref.name, ref.made) for ref in own.secrets} >= {("hippo-pguser-app", "operator"), ("own", "user")}
    assert "hippo-cluster-cert" not in {ref.name for ref in own.secrets}
    assert {"hippo-cluster-ca-cert", "hippo-cluster-cert"} <= {ref.name for ref in made(PERCONA).secrets}


def test_backups_are_asked_for_by_a_repository() -> None:
    assert made(CRUNCHY).backed_up is True
    assert made(CRUNCHY, backups={"pgbackrest": {"repos": []}}).backed_up is False
    assert made(PERCONA).backed_up is True
    assert made(PERCONA, backups={"enabled": False}).backed_up is False


@pytest.mark.parametrize(("labels", "at"), [({"pgbackrest-backup": "manual"}, "2026-11-21T03:00:00Z"), ({}, None)])
def test_a_finished_backup_job_is_a_record(labels: dict[str, str], at: str | None) -> None:
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": {f"{LABEL}/{key}": value for key, value in {"cluster": "hippo", **labels}.items()}},
        "status": {"completionTime": "2026-11-21T03:00:00Z"},
    }
    _, record = ADAPTERS[CRUNCHY].backups
    assert record.taken(job, made(CRUNCHY)) == at


@pytest.mark.parametrize(("state", "at"), [("Succeeded", "2026-11-21T03:00:00Z"), ("Running", None)])
def test_percona_records_its_backups(state: str, at: str | None) -> None:
    backup: Object = {"spec": {"pgCluster": "hippo"}, "status": {"state": state, "completed": "2026-11-21T03:00:00Z"}}
    (record,) = ADAPTERS[PERCONA].backups
    assert record.taken(backup, made(PERCONA)) == at
