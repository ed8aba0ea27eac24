"""PostgreSQL under writes, its log archived, backed up, destroyed, and restored to its end and to a point in time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bucket
import pytest
from backup_kit import BACKUPS, RESTORES, asked, ended, restic
from cluster_kit import eventually
from operated import KIND, Operated, operated
from postgres_kit import NAME, WRITERS, Postgres, Writer

Rows = set[tuple[int, int]]


class Kept:
    """What one test leaves to the next."""

    acknowledged: Rows
    before: Rows
    moment: datetime


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    more: dict[str, Any] = {"tls": {"enabled": True}, "storage": {"size": "512Mi"}}
    roles, namespace = frozenset({"primary", "replica"}), "archive-e2e"
    with operated("postgresql", "postgresql:17", NAME, roles, namespace=namespace, arguments=restic, **more) as one:
        yield Postgres(one, tmp_path_factory.mktemp("postgresql"))
        for kind in (RESTORES, BACKUPS):
            one.kubectl("delete", kind, "--all", "--timeout=90s", seconds=120)


@pytest.fixture(scope="module")
def kept() -> Kept:
    return Kept()


def test_its_log_gets_to_the_bucket_once_backups_are_asked_for_while_it_is_written_to(
    orders: Postgres, kept: Kept, say: Callable[[str], None]
) -> None:
    on = orders.on
    on.settle(3)
    plan = {"schedule": "@yearly", "destination": bucket.bring(on.kubectl), "retention": {"days": 1, "copies": 2}}
    with Writer(orders) as writer:
        writer.more()
        on.change(backup=plan)
        eventually(lambda: on.condition("Archived").get("status") == "True", "its log is archived", 300)
        on.settle(3, 300)
        writer.more()
        on.kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service=NAME))
        status = ended(on.kubectl, BACKUPS, "first", 300)
        assert status["phase"] == "Complete", status
        took = _seconds(status["started"], status["completed"])
        writer.more()
        with orders.connect() as connection:
            kept.before = set(writer.acknowledged)
            ((kept.moment,),) = connection.execute("SELECT clock_timestamp()").fetchall()  # type: ignore[misc]
        writer.more()
    kept.acknowledged = set(writer.acknowledged)
    assert writer.lost() == []
    say(f"archive and backup under writes: {writer.said}; {status['size']} bytes in {took} s, read back")


def test_every_acknowledged_write_is_in_the_archive_soon(orders: Postgres, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    with orders.connect() as connection:
        ((written,),) = connection.execute("SELECT pg_walfile_name(pg_current_wal_lsn())").fetchall()

        def archived() -> bool:
            ((last,),) = connection.execute("SELECT last_archived_wal FROM pg_stat_archiver").fetchall()
            return last is not None and str(last)[8:24] >= str(written)[8:24]

        eventually(archived, "the last write is in the archive", 120)
    say(f"archive: the last write is there after {time.monotonic() - began:.0f} s without any other")


def test_a_drill_replays_the_log_to_its_end(orders: Postgres, say: Callable[[str], None]) -> None:
    orders.on.change(backup={"drill": {"schedule": "* * * * *"}})
    eventually(lambda: orders.on.status().get("drill"), "a drill has ended", 400)
    orders.on.change(backup={"drill": None})
    drill = orders.on.status()["drill"]
    assert drill["succeeded"], drill
    say(f"drill: recovered after {drill['rtoSeconds']} s, {drill['rpoSeconds']} s of the past are missing")
    eventually(lambda: orders.on.kubectl.names(KIND) == [NAME], "the scratch service is gone", 240)


def test_what_was_archived_is_there_after_all_was_destroyed(
    orders: Postgres, kept: Kept, say: Callable[[str], None]
) -> None:
    on = orders.on
    destination = on.service()["spec"]["backup"]["destination"]
    on.change(deletionPolicy={"finalBackup": True})
    on.delete()
    assert on.kubectl.names("persistentvolumeclaims", "-l", f"stateward.dev/service={NAME}") == []
    (final,) = [name for name in on.kubectl.names(BACKUPS) if name.startswith(f"{NAME}-final-")]
    assert ended(on.kubectl, BACKUPS, final)["phase"] == "Complete"
    until = kept.moment.astimezone(UTC).isoformat()
    source: dict[str, Any] = {"backup": {"name": "first"}}
    archive = {"archive": {"destination": destination, "location": f"{on.kubectl.namespace}/{NAME}"}}
    two = {"size": "512Mi", "wal": {"size": "512Mi"}}  # what was on one volume comes back onto two
    for name, more in (
        ("late", {"source": source, "overrides": {"members": 1}}),
        ("early", {"source": source, "overrides": {"members": 1}, "pointInTime": until}),
        ("bare", {"source": archive, "overrides": {"members": 1, "storage": two}}),
    ):
        item = asked("ServiceRestore", name, service=name, **more)
        on.kubectl.must("apply", "-f", "-", stdin=item)
        status = ended(on.kubectl, RESTORES, name, 400)
        assert status["phase"] == "Complete", status
        found = rows(on, orders.folder, name)
        if name == "early":
            assert kept.before - found == set()
            # Each client may have had one on its way, and one more before it was noted here.
            assert len(found - kept.before) <= 2 * WRITERS
        else:
            assert kept.acknowledged - found == set()
        say(f"restore {name}: {len(found)} rows, all there {status['rtoSeconds']} s after it was asked for")
        on.kubectl.must("delete", RESTORES, name)
        no_other = json.dumps({"spec": {"deletionPolicy": {"finalBackup": False}}})
        on.kubectl.must("patch", KIND, name, "--type=merge", "-p", no_other)
        on.kubectl.must("delete", KIND, name, "--timeout=150s", seconds=180)


@pytest.mark.parametrize(
    ("until", "said"),
    [("2020-01-01T00:00:00Z", "name an earlier one"), ("2099-01-01T00:00:00Z", "that is to come")],
)
def test_a_time_that_no_archive_reaches_is_refused(orders: Postgres, until: str, said: str) -> None:
    source = {"backup": {"name": "first"}}
    item = asked("ServiceRestore", "never", service="never", source=source, pointInTime=until)
    orders.on.kubectl.must("apply", "-f", "-", stdin=item)
    status = ended(orders.on.kubectl, RESTORES, "never", 120)
    assert status["phase"] == "Refused"
    assert said in status["message"]
    orders.on.kubectl.must("delete", RESTORES, "never")


def rows(on: Operated, folder: Path, name: str) -> Rows:
    """What a restored service has, asked as its own applications do: with passwords of its own."""
    with Postgres(on.other(name, on.manifest["spec"]["image"]), folder).connect() as connection:
        return set(connection.execute("SELECT writer, count FROM written").fetchall())  # type: ignore[arg-type]


def _seconds(begin: str, end: str) -> int:
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())
