"""etcd, backed up, destroyed and restored on real nodes: all that the backup holds is there again, and drills say so."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from backup_kit import BACKUPS, RESTORES, asked, claim, ended, restic
from cluster_kit import eventually
from etcd_kit import VOTERS, Line, ask, held, text
from operated import KIND, Operated, operated

CLAIM = {"claim": {"name": "archive", "path": "etcd"}}
KEYS = 400
SERVICE = {
    "availability": {"spread": {"nodes": "Preferred"}},
    "storage": {"size": "512Mi"},
    "backup": {"schedule": "@yearly", "destination": CLAIM, "retention": {"days": 1, "copies": 2}},
    "deletionPolicy": {"claims": "Delete", "finalBackup": True},
}


def put(host: str, first: int, last: int) -> None:
    for number in range(first, last):
        write(host, f"key-{number:05}", text(f"value-{number}"))


def write(host: str, key: str, value: str) -> None:
    """Again where there is no answer: the same key has the same value."""

    def written() -> bool:
        try:
            ask(host, "/v3/kv/put", {"key": text(key), "value": value}, 10)
        except OSError:
            return False
        return True

    eventually(written, f"{key} is written", 60)


def found(host: str) -> dict[str, str]:
    """What clients find; nothing as long as the Service does not lead there."""
    try:
        with closing(Line(host)) as line:
            return held(line)
    except OSError:
        return {}


def expected(count: int) -> dict[str, str]:
    return {f"key-{number:05}": f"value-{number}" for number in range(count)}


@pytest.fixture(scope="module")
def orders() -> Iterator[Operated]:
    with operated("etcd", "etcd:3.5", "orders", VOTERS, namespace="backup-e2e", arguments=restic, **SERVICE) as one:
        one.kubectl.must("apply", "-f", "-", stdin=claim("archive", "256Mi"))
        yield one
        for kind in (RESTORES, BACKUPS):
            one.kubectl("delete", kind, "--all", "--timeout=60s", seconds=90)


def test_a_backup_is_read_back_and_its_pod_may_be_killed_meanwhile(orders: Operated, say: Callable[[str], None]) -> None:
    orders.settle(3)
    put(orders.address(), 0, KEYS)
    orders.kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service="orders"))

    def pods() -> list[str]:
        label = "app.kubernetes.io/component=take"
        return [name for name in orders.kubectl.names("pods", "-l", label) if name.startswith("first-")]

    eventually(pods, "its pod is there", 60)
    orders.kubectl.must("delete", "pod", pods()[0], "--grace-period=0", "--force")
    status = ended(orders.kubectl, BACKUPS, "first")
    assert status["phase"] == "Complete", status
    assert int(status["position"]) > KEYS
    assert status["member"] != orders.status()["primary"]
    eventually(lambda: orders.status().get("backup", {}).get("last", {}).get("name") == "first", "the service says so", 60)
    assert orders.condition("BackedUp")["status"] == "True"
    say(f"backup: {KEYS} keys, {status['size']} bytes, in spite of a killed pod")


def test_a_wrong_password_and_a_full_destination_are_said(orders: Operated) -> None:
    orders.settle(3)
    value = base64.b64encode(os.urandom(400_000)).decode()
    for number in range(8):
        write(orders.address(), f"large-{number}", value)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wrong"}, "stringData": {"password": "another"}}
    orders.kubectl.must("apply", "-f", "-", stdin=secret)
    orders.kubectl.must("apply", "-f", "-", stdin=claim("small", "1Mi"))
    wrong = asked("ServiceBackup", "wrong", service="orders", encryption={"secret": "wrong"})
    full = asked("ServiceBackup", "full", service="orders", destination={"claim": {"name": "small"}})
    for item in (wrong, full):
        orders.kubectl.must("apply", "-f", "-", stdin=item)
    assert "the password in the Secret wrong does not open" in ended(orders.kubectl, BACKUPS, "wrong")["message"]
    assert "the destination is full" in ended(orders.kubectl, BACKUPS, "full")["message"]
    for name in ("wrong", "full"):
        orders.kubectl.must("delete", BACKUPS, name, "--timeout=120s", seconds=150)
    body = {"key": text("large-"), "range_end": text("large.")}
    ask(orders.address(), "/v3/kv/deleterange", body, 30)


def test_a_drill_restores_the_last_backup_and_leaves_nothing(orders: Operated, say: Callable[[str], None]) -> None:
    orders.settle(3)
    orders.change(backup={"drill": {"schedule": "* * * * *"}})
    eventually(lambda: orders.status().get("drill"), "a drill has ended", 300)
    orders.change(backup={"drill": None})
    drill = orders.status()["drill"]
    assert drill["succeeded"], drill
    say(f"drill: all keys are there after {drill['rtoSeconds']} s, {drill['rpoSeconds']} s of the past are missing")
    eventually(lambda: orders.kubectl.names(KIND) == ["orders"], "the scratch service is gone", 180)
    eventually(lambda: orders.kubectl.names(RESTORES) == [], "the restore is gone", 60)


def test_what_was_backed_up_is_there_after_all_was_destroyed(orders: Operated, say: Callable[[str], None]) -> None:
    orders.settle(3)
    put(orders.address(), KEYS, 2 * KEYS)  # these are in the last backup alone
    orders.delete()
    (final,) = [name for name in orders.kubectl.names(BACKUPS) if name.startswith("orders-final-")]
    assert ended(orders.kubectl, BACKUPS, final)["phase"] == "Complete"
    assert orders.kubectl.names("persistentvolumeclaims", "-l", "stateward.dev/service=orders") == []
    early = asked("ServiceRestore", "early", service="early", source={"backup": {"name": "first"}}, overrides={"members": 1})
    source = {"archive": {"destination": CLAIM, "location": "backup-e2e/orders"}}
    late = asked("ServiceRestore", "late", service="late", source=source)
    for item, count in ((early, KEYS), (late, 2 * KEYS)):
        name = item["metadata"]["name"]
        orders.kubectl.must("apply", "-f", "-", stdin=item)
        status = ended(orders.kubectl, RESTORES, name)
        assert status["phase"] == "Complete", status
        host = str(orders.kubectl.get("service", name)["spec"]["clusterIP"])
        eventually(lambda host=host, count=count: found(host) == expected(count), "clients find all of it", 10)  # type: ignore[misc]
        say(f"restore: {count} keys, all there {status['rtoSeconds']} s after it was asked for")
        # The last one is of three members again, and has them one after the other.
        members = 3 if name == "late" else 1
        eventually(lambda name=name, members=members: serving(orders, name) == members, f"{members} members serve", 180)  # type: ignore[misc]
        orders.kubectl.must("patch", KIND, name, "--type=merge", "-p", '{"spec":{"deletionPolicy":{"finalBackup":false}}}')
        orders.kubectl.must("delete", KIND, name, "--timeout=150s", seconds=180)


def serving(orders: Operated, name: str) -> int:
    found: int = orders.kubectl.get(KIND, name).get("status", {}).get("readyMembers", 0)
    return found
