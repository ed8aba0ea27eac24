"""Zalando's postgresql read as a service."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object

GI = 2**30
ADAPTER = ADAPTERS["postgresql.acid.zalan.do"]

ORDERS: Object = {
    "apiVersion": "acid.zalan.do/v1",
    "kind": "postgresql",
    "metadata": {"name": "acid-orders", "namespace": "shop"},
    "spec": {
        "teamId": "acid",
        "numberOfInstances": 3,
        "postgresql": {"version": "17"},
        "volume": {"size": "100Gi", "storageClass": "fast"},
        "users": {"app_owner": ["superuser"]},
        "patroni": {"synchronous_mode": True, "synchronous_mode_strict": True, "synchronous_node_count": 2},
        "tls": {"secretName": "orders-tls"},
    },
}


def service(**patch: Any) -> Service:
    return Service(ADAPTER, cases.merge(ORDERS, {"spec": patch}), EMPTY_VIEW)


def claim(name: str, labels: dict[str, str] | None = None) -> Object:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "labels": labels or {}}}


def test_version_members_and_volume() -> None:
    one = service()
    assert one.engine is PROFILES["postgresql"]
    assert (one.version.state, one.version.text) == ("known", "17")
    (group,) = one.groups
    (volume,) = group.volumes
    assert (group.members.value, group.voters) == (3, False)
    assert (volume.name, volume.storage_class.value, volume.bytes) == ("pgdata", "fast", 100 * GI)
    assert volume.size.path == ("spec", "volume", "size")


def test_the_claims_go_with_it() -> None:
    assert service().deletes_claims


@pytest.mark.parametrize(
    ("mode", "carrier"), [("off", "image"), ("manual", "operator"), ("full", "operator"), (None, "operator")]
)
def test_majors_are_carried_over_where_the_operator_is_configured_to(mode: str | None, carrier: str) -> None:
    configuration: Object = {
        "apiVersion": "acid.zalan.do/v1",
        "kind": "OperatorConfiguration",
        "metadata": {"name": "operator", "namespace": "operators"},
        "configuration": {"major_version_upgrade": {"major_version_upgrade_mode": mode}},
    }
    seen = Service(ADAPTER, service().object, MemoryView([configuration]))
    assert ADAPTER.carrier(seen) == carrier


@pytest.mark.parametrize(("count", "stopped"), [(0, True), (1, False), (None, False)])
def test_it_is_stopped_with_no_instances(count: int | None, stopped: bool) -> None:
    assert service(numberOfInstances=count).stopped is stopped


@pytest.mark.parametrize(("asked", "told"), [(True, True), (False, False), (None, None)])
def test_logical_backups_are_asked_for_or_not_mentioned(asked: bool | None, told: bool | None) -> None:
    assert service(enableLogicalBackup=asked).backed_up is told


def test_only_strict_mode_needs_its_synchronous_standbys() -> None:
    assert service().field("syncStandbys").value == 2
    assert service(patroni={"synchronous_node_count": None}).field("syncStandbys").value == 1
    assert service(patroni={"synchronous_mode_strict": False}).field("syncStandbys").value is None


@pytest.mark.parametrize(
    ("item", "owned"),
    [
        (claim("pgdata-acid-orders-0", {"cluster-name": "acid-orders"}), True),
        (claim("pgdata-acid-orders-0"), True),
        (claim("pgdata-acid-orders-0", {"cluster-name": "acid-stock"}), False),
        (claim("pgdata-acid-orders-next-0"), False),
    ],
)
def test_claims_are_told_by_label_or_name(item: Object, owned: bool) -> None:
    assert ADAPTER.owns_claim(service(), item) is owned


def test_a_claim_is_of_the_data_volume() -> None:
    one = service()
    of = claim("pgdata-acid-orders-2", {"cluster-name": "acid-orders"})
    assert ADAPTER.claim_is_of(one, one.groups[0], one.groups[0].volumes[0], of)


def test_secrets_are_named_by_user_and_cluster() -> None:
    found = {(ref.name, ref.role, ref.made) for ref in service().secrets}
    assert found == {
        ("postgres.acid-orders.credentials.postgresql.acid.zalan.do", "credentials", "operator"),
        ("standby.acid-orders.credentials.postgresql.acid.zalan.do", "credentials", "operator"),
        ("app-owner.acid-orders.credentials.postgresql.acid.zalan.do", "credentials", "operator"),
        ("orders-tls", "certificate", "user"),
    }


def test_the_folder_and_the_team_are_fixed() -> None:
    before, after = service(), service(volume={"subPath": "next"}, teamId="other")
    assert [one.what for key, one in before.fixed.items() if one.value != after.fixed[key].value] == [
        "the folder inside the volume",
        "the team",
    ]


@pytest.mark.parametrize(("application", "at"), [("spilo-logical-backup", "2026-11-21T03:00:00Z"), ("spilo", None)])
def test_a_finished_logical_backup_is_a_record(application: str, at: str | None) -> None:
    job: Object = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "b", "labels": {"cluster-name": "acid-orders", "application": application}},
        "status": {"completionTime": "2026-11-21T03:00:00Z"},
    }
    (record,) = ADAPTER.backups
    assert record.taken(job, service()) == at
    assert record.taken(cases.merge(job, {"metadata": {"labels": {"cluster-name": "acid-stock"}}}), service()) is None
