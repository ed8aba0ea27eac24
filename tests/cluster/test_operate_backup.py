"""Backups before a real API server, with its Job controller; the kubelet, etcd and restic are stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cluster_kit import Cluster, Kubectl
from operate_kit import client
from standin_machines import (
    BACKUPS,
    CLAIM,
    RESTORES,
    SERVICES,
    Machines,
    Operator,
    asked,
    gone,
    namespaced,
    phase,
    ready,
    service,
    serving,
)

from stateward.kube.client import Cluster as Client
from stateward.operator.backup.keeper import name_at


@pytest.fixture(scope="module")
def served() -> Iterator[Cluster]:
    with serving() as cluster:
        yield cluster


@pytest.fixture
def kubectl(served: Cluster) -> Iterator[Kubectl]:
    """With a claim that backups go to."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    body = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "archive"}, "spec": claim}
    with namespaced(served) as here:
        here.must("apply", "-f", "-", stdin=body)
        yield here


@pytest.fixture
def machines(client: Client, kubectl: Kubectl) -> Iterator[Machines]:
    with Machines(client, kubectl.namespace) as one:
        yield one
    assert one.wrongs == []


@pytest.fixture
def operator(served: Cluster, machines: Machines) -> Operator:
    return Operator(served.kubeconfig, machines)


def test_a_process_that_dies_after_each_write_backs_up_restores_and_deletes_all_the_same(
    kubectl: Kubectl, operator: Operator, machines: Machines
) -> None:
    kubectl.must("apply", "-f", "-", stdin=service())
    operator.until(lambda: ready(kubectl))
    machines.keys["db-0"] = 1000
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service="db", destination=CLAIM))
    deaths = [operator.dying_until(lambda: phase(kubectl, BACKUPS, "first") == "Complete")]
    status = kubectl.get(BACKUPS, "first")["status"]
    assert (status["position"], status["size"], status["encrypted"]) == ("1001", 42, True)
    assert list(machines.archive) == [status["location"].partition("#")[2]]
    machines.keys["db-0"] = 2000
    kubectl.must("delete", SERVICES, "db", "--wait=false")
    operator.until(lambda: gone(kubectl, SERVICES, "db"))
    restore = asked("ServiceRestore", "again", service="back", source={"backup": {"name": "first"}})
    kubectl.must("apply", "-f", "-", stdin=restore)
    deaths.append(operator.dying_until(lambda: phase(kubectl, RESTORES, "again") == "Complete"))
    assert machines.keys["back-0"] == 1000
    assert kubectl.get(RESTORES, "again")["status"]["rtoSeconds"] >= 0
    operator.until(lambda: ready(kubectl, "back"))
    kubectl.must("delete", BACKUPS, "first", "--wait=false")
    deaths.append(operator.dying_until(lambda: gone(kubectl, BACKUPS, "first")))
    assert machines.archive == {}
    # Otherwise nothing was tried: each of these takes several writes.
    assert all(one >= least for one, least in zip(deaths, (5, 6, 2), strict=True)), deaths


def copies(kubectl: Kubectl) -> list[str]:
    """The backups that are complete."""
    found = kubectl.get(BACKUPS).get("items", ())
    return sorted(one["metadata"]["name"] for one in found if one.get("status", {}).get("phase") == "Complete")


def test_backups_come_by_schedule_once_each_and_old_ones_go(
    kubectl: Kubectl, operator: Operator, machines: Machines
) -> None:
    plan = {"schedule": "0 0 * * *", "destination": CLAIM, "retention": {"days": 1, "copies": 2}}
    kubectl.must("apply", "-f", "-", stdin=service(backup=plan))
    operator.until(lambda: ready(kubectl))
    assert copies(kubectl) == []
    real, names = operator.now, []
    for days in range(1, 6):
        operator.now = lambda days=days: real() + timedelta(days=days)  # type: ignore[misc]
        name = name_at("db", operator.now().replace(hour=0, minute=0, second=0))
        names.append(name)
        operator.until(lambda name=name: name in copies(kubectl))  # type: ignore[misc]
    operator.until(lambda: copies(kubectl) == names[-2:])
    operator.until(lambda: len(machines.archive) == 2)
    operator.until(lambda: last(kubectl).get("name") == names[-1])
    conditions = kubectl.get(SERVICES, "db")["status"]["conditions"]
    assert [one["status"] for one in conditions if one["type"] == "BackedUp"] == ["True"]
    # One that fails says why, and takes nothing away from those that are good.
    machines.fails["store"] = (13, "the destination is full; make it larger, or keep less")
    operator.now = lambda: real() + timedelta(days=6)
    operator.until(lambda: "is full" in kubectl.get(SERVICES, "db")["status"]["backup"].get("lastFailure", ""))
    assert copies(kubectl) == names[-2:]
    conditions = kubectl.get(SERVICES, "db")["status"]["conditions"]
    assert [one["reason"] for one in conditions if one["type"] == "BackedUp"] == ["BackupFailed"]


def last(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get(SERVICES, "db").get("status", {}).get("backup", {}).get("last", {})
    return found


def test_a_drill_restores_checks_and_leaves_nothing_and_a_last_backup_comes_before_the_end(
    kubectl: Kubectl, operator: Operator, machines: Machines
) -> None:
    # A minute ahead, so that something has been due since the service was made.
    operator.now = lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=61)
    plan = {"schedule": "@yearly", "destination": CLAIM}
    kubectl.must("apply", "-f", "-", stdin=service(backup=plan, deletionPolicy={"claims": "Delete", "finalBackup": True}))
    operator.until(lambda: ready(kubectl))
    machines.keys["db-0"] = 500
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service="db", destination=CLAIM))
    operator.until(lambda: last(kubectl).get("name") == "first")
    patch = '{"spec":{"backup":{"drill":{"schedule":"* * * * *"}}}}'
    kubectl.must("patch", SERVICES, "db", "--type=merge", "-p", patch)
    operator.dying_until(lambda: "drill" in kubectl.get(SERVICES, "db")["status"])
    kubectl.must("patch", SERVICES, "db", "--type=merge", "-p", '{"spec":{"backup":{"drill":null}}}')
    drill = kubectl.get(SERVICES, "db")["status"]["drill"]
    assert (drill["succeeded"], drill["backup"]) == (True, "first"), drill
    operator.until(lambda: kubectl.names(SERVICES) == ["db"] and kubectl.names(RESTORES) == [])
    operator.until(lambda: sorted(kubectl.names("persistentvolumeclaims")) == ["archive", "data-db-0"])
    kubectl.must("delete", SERVICES, "db", "--wait=false")
    machines.fails["open"] = (12, "the password in the Secret db-backup does not open the repository")
    operator.until(lambda: any(one.startswith("db-final-") for one in kubectl.names(BACKUPS)))
    (final,) = [one for one in kubectl.names(BACKUPS) if one.startswith("db-final-")]
    operator.until(lambda: phase(kubectl, BACKUPS, final) == "Failed")
    assert kubectl.get("pod", "db-0")
    machines.fails.clear()
    kubectl.must("delete", BACKUPS, final, "--wait=false")
    operator.until(lambda: gone(kubectl, SERVICES, "db"))
    assert phase(kubectl, BACKUPS, final) == "Complete"
    assert kubectl.names("persistentvolumeclaims") == ["archive"]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"source": {"backup": {"name": "none"}}}, "there is no such ServiceBackup"),
    ({"source": {"backup": {"name": "first"}}, "service": "db"}, "there is one in"),
    ({"source": {"backup": {"name": "first"}}, "pointInTime": "2026-11-21T00:00:00Z"}, "pointInTime"),
    ({"source": {"backup": {"name": "first"}}, "overrides": {"version": "3.4.34"}}, "does not read data of 3.5.16"),
    ({"source": {"archive": {"destination": CLAIM, "location": "x"}}}, "source.archive.location: x"),
]


def test_what_cannot_be_restored_is_refused_with_the_reason_and_nothing_is_made(
    kubectl: Kubectl, operator: Operator
) -> None:
    kubectl.must("apply", "-f", "-", stdin=service())
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service="db", destination=CLAIM))
    operator.until(lambda: phase(kubectl, BACKUPS, "first") == "Complete")
    before = kubectl.names("persistentvolumeclaims")
    for place, (spec, _) in enumerate(REFUSED):
        restore = asked("ServiceRestore", f"again-{place}", **{"service": f"back-{place}", **spec})
        kubectl.must("apply", "-f", "-", stdin=restore)
    for place, (_, said) in enumerate(REFUSED):
        operator.until(lambda place=place: phase(kubectl, RESTORES, f"again-{place}") == "Refused")  # type: ignore[misc]
        assert said in kubectl.get(RESTORES, f"again-{place}")["status"]["message"]
    assert kubectl.names(SERVICES) == ["db"]
    assert kubectl.names("persistentvolumeclaims") == before
