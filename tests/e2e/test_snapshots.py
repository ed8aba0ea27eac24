"""etcd, backed up by VolumeSnapshots on real nodes while it is written to, destroyed, and restored out of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cluster_kit import eventually
from operated import KIND, Operated, operated
from test_backup import BACKUPS, RESTORES, asked, ended, restic
from test_etcd import VOTERS, Writer

SNAPSHOTS, CLASSES = "volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotclasses.snapshot.storage.k8s.io"
KEYS = 300
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def ledger() -> Iterator[Operated]:
    policy = {"claims": "Delete", "finalBackup": False}
    with operated(
        "etcd", "etcd:3.5", "ledger", VOTERS, namespace="snapshots-e2e", arguments=restic, deletionPolicy=policy
    ) as one:
        if not one.kubectl("get", CLASSES).passed or not one.kubectl.get(CLASSES).get("items"):
            pytest.skip("there is no VolumeSnapshotClass in this cluster")
        one.settle(3)
        yield one
        for kind in (RESTORES, BACKUPS):
            one.kubectl("delete", kind, "--all", "--timeout=60s", seconds=90)


@pytest.fixture(scope="module")
def acknowledged() -> dict[str, str]:
    """What was acknowledged before the backup was asked for."""
    return {}


def place(service: Operated) -> dict[str, Any]:
    """The first class that there is."""
    return {"snapshot": {"class": service.kubectl.get(CLASSES)["items"][0]["metadata"]["name"]}}


def test_all_that_was_acknowledged_before_is_in_a_copy_of_a_running_members_volume(
    ledger: Operated, acknowledged: dict[str, str], say: Say
) -> None:
    with Writer(ledger.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > KEYS, "writes are acknowledged")
        acknowledged |= writer.acknowledged
        ledger.kubectl.must(
            "apply", "-f", "-", stdin=asked("ServiceBackup", "first", service="ledger", destination=place(ledger))
        )
        status = ended(ledger.kubectl, BACKUPS, "first")
    assert status["phase"] == "Complete", status
    assert status["member"] != ledger.status()["primary"]
    assert int(status["position"]) > KEYS
    assert ledger.kubectl.names(SNAPSHOTS) == status["snapshots"]
    assert status["verified"]
    # What it was read back with is gone.
    eventually(lambda: len(ledger.kubectl.names("persistentvolumeclaims")) == 3, "its own claims are left", 60)
    assert ledger.kubectl.names("jobs") == []
    say(f"snapshot: position {status['position']}, under {len(writer.acknowledged)} acknowledged writes")


def test_a_class_that_is_missing_is_said(ledger: Operated) -> None:
    nowhere = {"snapshot": {"class": "nowhere"}}
    ledger.kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "nowhere", service="ledger", destination=nowhere))

    def message() -> str:
        return str(ledger.kubectl.get(BACKUPS, "nowhere").get("status", {}).get("message", ""))

    eventually(lambda: "no such VolumeSnapshotClass" in message(), "it is said", 30)
    ledger.kubectl.must("delete", BACKUPS, "nowhere", "--timeout=30s")


def test_a_drill_makes_a_service_of_the_last_snapshot_and_leaves_nothing(ledger: Operated, say: Say) -> None:
    ledger.settle(3)
    plan = {"schedule": "@yearly", "destination": place(ledger), "drill": {"schedule": "* * * * *"}}
    ledger.change(backup=plan)
    eventually(lambda: ledger.status().get("drill"), "a drill has ended", 300)
    ledger.change(backup=None)
    drill = ledger.status()["drill"]
    assert drill["succeeded"], drill
    say(f"snapshot: a drill has all of it after {drill['rtoSeconds']} s, {drill['rpoSeconds']} s of the past are missing")
    eventually(lambda: ledger.kubectl.names(KIND) == ["ledger"], "the scratch service is gone", 180)
    eventually(lambda: ledger.kubectl.names(RESTORES) == [], "the restore is gone", 60)
    eventually(lambda: len(ledger.kubectl.names("persistentvolumeclaims")) == 3, "its claims are gone", 60)


def test_what_was_copied_is_there_after_all_was_destroyed(ledger: Operated, acknowledged: dict[str, str], say: Say) -> None:
    ledger.settle(3)
    ledger.delete()
    eventually(lambda: ledger.kubectl.names("persistentvolumeclaims") == [], "its claims are gone", 60)
    ledger.kubectl.must(
        "apply", "-f", "-", stdin=asked("ServiceRestore", "again", service="again", source={"backup": {"name": "first"}})
    )
    status = ended(ledger.kubectl, RESTORES, "again")
    assert status["phase"] == "Complete", status
    host = str(ledger.kubectl.get("service", "again")["spec"]["clusterIP"])
    assert Writer(host, acknowledged).lost() == []
    say(f"snapshot: {len(acknowledged)} acknowledged writes, none lost, {status['rtoSeconds']} s after that was asked for")

    def serving() -> int:
        return int(ledger.kubectl.get(KIND, "again").get("status", {}).get("readyMembers", 0))

    eventually(lambda: serving() == 3, "three members serve", 180)
    eventually(lambda: len(ledger.kubectl.names("persistentvolumeclaims")) == 3, "what was read is gone", 60)
    ledger.kubectl.must("delete", KIND, "again", "--timeout=150s", seconds=180)
    ledger.kubectl.must("delete", BACKUPS, "first", "--timeout=60s", seconds=90)
    assert ledger.kubectl.names(SNAPSHOTS) == []
