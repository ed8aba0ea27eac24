"""etcd on real nodes: its volumes are copied while it is written to, and restored; and its log has one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from backup_kit import BACKUPS, RESTORES, asked, ended, restic
from cluster_kit import eventually
from etcd_kit import VOTERS, Writer
from operated import KIND, Operated, built, operated
from redis_kit import ROLES, Sessions
from redis_kit import Writer as Appender

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
        writer.more(KEYS)
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
    # What was on one volume comes back onto two.
    storage = {"size": "256Mi", "wal": {"size": "256Mi"}}
    source = {"backup": {"name": "first"}}
    again = asked("ServiceRestore", "again", service="again", source=source, overrides={"storage": storage})
    ledger.kubectl.must("apply", "-f", "-", stdin=again)
    status = ended(ledger.kubectl, RESTORES, "again")
    assert status["phase"] == "Complete", status
    host = str(ledger.kubectl.get("service", "again")["spec"]["clusterIP"])
    assert Writer(host, acknowledged).lost() == []
    say(f"snapshot: {len(acknowledged)} acknowledged writes, none lost, {status['rtoSeconds']} s after that was asked for")

    def serving() -> int:
        return int(ledger.kubectl.get(KIND, "again").get("status", {}).get("readyMembers", 0))

    eventually(lambda: serving() == 3, "three members serve", 180)
    eventually(lambda: len(ledger.kubectl.names("persistentvolumeclaims")) == 6, "what was read is gone", 60)
    ledger.kubectl.must("delete", KIND, "again", "--timeout=150s", seconds=180)
    ledger.kubectl.must("delete", BACKUPS, "first", "--timeout=60s", seconds=90)
    assert ledger.kubectl.names(SNAPSHOTS) == []


# --- engines that append to a file ---


@pytest.mark.parametrize("image", ["redis:6.0", "redis:7.0", "valkey:8.1"])
def test_what_was_appended_to_the_file_of_a_running_member_is_there_after_all_was_destroyed(
    image: str, ledger: Operated, say: Say
) -> None:
    engine, name = image.partition(":")[0], image.translate({ord("."): "-", ord(":"): "-"})
    one = Operated(ledger.kubectl, ledger.log, name, ROLES, ledger.manifest).other(name, built(image), engine=engine)
    sessions = Sessions(one, f"{engine} {one.manifest['spec']['version']}")
    one.create()
    one.settle(3)
    with Appender(sessions) as writer:
        kept = dict(writer.acknowledged)
        item = asked("ServiceBackup", name, service=name, destination=place(one))
        one.kubectl.must("apply", "-f", "-", stdin=item)
        status = ended(one.kubectl, BACKUPS, name)
        assert status["phase"] == "Complete", status
        writer.more()
    one.delete()
    source = {"backup": {"name": name}}
    item = asked("ServiceRestore", name, service=f"{name}-again", source=source, overrides={"members": 1})
    one.kubectl.must("apply", "-f", "-", stdin=item)
    status = ended(one.kubectl, RESTORES, name)
    assert status["phase"] == "Complete", status
    again = Sessions(replace(one, name=f"{name}-again"), sessions.title)
    lost = Appender(again, kept).lost()
    say(f"{sessions.title}: copied under {writer.pace}; {len(kept)} acknowledged before, {len(lost)} of them lost")
    assert lost == []
    one.kubectl.must("delete", RESTORES, name)
    again.on.delete()
    one.kubectl.must("delete", BACKUPS, name, "--timeout=60s", seconds=90)


# --- a second volume ---


@pytest.fixture(scope="module")
def pair() -> Iterator[Operated]:
    """Members whose log has a volume of its own."""
    policy = {"claims": "Delete", "finalBackup": False}
    storage = {"size": "256Mi", "wal": {"size": "256Mi"}}
    with operated(
        "etcd", "etcd:3.5", "pair", VOTERS, namespace="volumes-e2e", storage=storage, deletionPolicy=policy
    ) as one:
        yield one


def sizes(service: Operated, kind: str) -> list[str]:
    found = service.kubectl.get("persistentvolumeclaims")["items"]
    return [one["status"]["capacity"]["storage"] for one in found if one["metadata"]["name"].startswith(f"{kind}-")]


def test_the_log_has_a_volume_of_its_own_and_both_grow_around_the_pods(pair: Operated, say: Say) -> None:
    pair.settle(3)
    assert [one["name"] for one in pair.status()["volumes"]] == ["data", "wal"]
    on_it = pair.kubectl.must("exec", "pair-0", "--", "ls", "/var/lib/etcd-wal/wal")
    assert ".wal" in on_it.out
    pods = pair.uids()
    with Writer(pair.address()) as writer:
        writer.more(100)
        pair.change(storage={"size": "384Mi", "wal": {"size": "320Mi"}})
        eventually(
            lambda: (sizes(pair, "data"), sizes(pair, "wal")) == (["384Mi"] * 3, ["320Mi"] * 3), "all are larger", 120
        )
        pair.settle(3)
    assert pair.uids() == pods
    templates = pair.kubectl.get("statefulset", "pair")["spec"]["volumeClaimTemplates"]
    asked_for = {one["metadata"]["name"]: one["spec"]["resources"]["requests"]["storage"] for one in templates}
    assert asked_for == {"data": "384Mi", "wal": "320Mi"}
    lost = writer.lost()
    say(f"etcd: six volumes grown under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost")
    assert lost == []


def test_it_neither_goes_nor_shrinks_nor_is_it_copied(pair: Operated) -> None:
    gone = pair.kubectl("patch", KIND, "pair", "--type=merge", "-p", '{"spec":{"storage":{"wal":null}}}')
    assert not gone.passed
    assert "members look for it where it was" in gone.err
    less = pair.kubectl("patch", KIND, "pair", "--type=merge", "-p", '{"spec":{"storage":{"wal":{"size":"1Mi"}}}}')
    assert not less.passed
    pair.kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "two", service="pair", destination=place(pair)))
    assert "two VolumeSnapshots are of two moments" in ended(pair.kubectl, BACKUPS, "two")["message"]
    pair.kubectl.must("delete", BACKUPS, "two", "--timeout=30s")


def test_a_member_comes_and_goes_with_both_volumes(pair: Operated) -> None:
    pair.change(members=5)
    pair.settle(5, 240)
    pair.change(members=3)
    pair.settle(3, 240)
    pair.delete()
    eventually(lambda: pair.kubectl.names("persistentvolumeclaims") == [], "all claims are gone", 60)
