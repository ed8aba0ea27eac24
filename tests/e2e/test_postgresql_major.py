"""PostgreSQL 15 to 17 on three real nodes, by dump and restore, while clients write: nothing acknowledged is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import bucket
import psycopg
import pytest
from backup_kit import BACKUPS, asked, ended, restic
from cluster_kit import eventually
from operated import KIND, Operated, built, operated, version_of
from postgres_kit import NAME, Postgres, Writer


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    roles = frozenset({"primary", "replica"})
    more: dict[str, Any] = {
        "storage": {"size": "1Gi"},
        "tls": {"enabled": True},
        "upgrade": {"majors": "DumpAndRestore", "soak": "30s"},
    }
    with operated("postgresql", "postgresql:15", NAME, roles, "postgresql-major-e2e", restic, **more) as one:
        yield Postgres(one, tmp_path_factory.mktemp("postgres"))
        one.kubectl("delete", BACKUPS, "--all", "--timeout=60s", seconds=90)  # while there is an operator


def backed_up(on: Operated, name: str) -> dict[str, Any]:
    """Takes a backup that is read back; its status."""
    members = on.manifest["spec"]["members"]
    if "backup" not in on.service()["spec"]:
        on.change(backup={"schedule": "@yearly", "destination": bucket.bring(on.kubectl)})
    eventually(lambda: on.condition("Archived").get("status") == "True", "its log is archived", 300)
    on.settle(members, 300)
    on.kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", name, service=on.name))
    status = ended(on.kubectl, BACKUPS, name, 300)
    assert status["phase"] == "Complete", status
    eventually(lambda: on.status()["backup"].get("last", {}).get("name") == name, "the service tells of it", 60)
    return status


def asked_for(on: Operated, version: str, image: str) -> None:
    on.change(version=version, image=image)


def what_there_is(postgres: Postgres) -> list[Any]:
    """What a dump could leave out.

    A sequence jumps where a replica takes over: PostgreSQL logs 32 of its values ahead. Since 17 an owner may MAINTAIN, too.
    """
    questions = (
        "SELECT last_value >= 7, is_called FROM numbers",
        'SELECT * FROM "Odd Name"."T 1" ORDER BY 1',
        "SELECT n FROM counted",
        "SELECT relname, replace(relacl::text, 'tm/', 't/') FROM pg_class WHERE relname IN ('shared', 'numbers') ORDER BY 1",
        "SELECT rolname, rolsuper, rolreplication, rolcanlogin FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY 1",
        "SELECT datname, pg_get_userbyid(datdba), datacl::text FROM pg_database WHERE datname = 'app'",
        "SELECT setconfig FROM pg_db_role_setting",
        "SELECT indexdef FROM pg_indexes WHERE tablename = 'shared'",
        "SELECT md5(string_agg(v || id, ',' ORDER BY id)) FROM shared",
    )
    with postgres.connect() as connection:
        return [connection.execute(question).fetchall() for question in questions]


def fill(postgres: Postgres) -> None:
    statements = (
        "CREATE TABLE shared (id int PRIMARY KEY, v text COLLATE \"C\", made timestamptz DEFAULT '2026-01-01')",
        "INSERT INTO shared SELECT n, 'ä' || repeat('x', n % 90) FROM generate_series(1, 20000) n",
        "CREATE INDEX by_v ON shared (lower(v)) WHERE id > 10",
        "GRANT SELECT ON shared TO PUBLIC",
        "CREATE SEQUENCE numbers START 7",
        "SELECT nextval('numbers')",
        'CREATE SCHEMA "Odd Name"',
        'CREATE TABLE "Odd Name"."T 1" AS SELECT \'a\\b\' || chr(10) AS text',
        "CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS n FROM shared",
        "ALTER ROLE app SET work_mem = '5MB'",
    )
    with postgres.connect() as connection:
        if connection.execute("SELECT to_regclass('shared')").fetchone() != (None,):
            return
        for statement in statements:
            connection.execute(statement)


def test_another_major_waits_for_a_backup_that_was_read_back(postgres: Postgres) -> None:
    postgres.on.settle(3)
    before = postgres.on.uids()
    asked_for(postgres.on, "17.12", built("postgresql:17"))
    reasons = ("Denied", "NoFreshBackup")
    eventually(lambda: postgres.on.condition("Blocked").get("reason") in reasons, "it is refused", 60)
    assert "backup" in postgres.on.condition("Blocked")["message"]
    asked_for(postgres.on, postgres.on.manifest["spec"]["version"], postgres.on.manifest["spec"]["image"])
    eventually(lambda: postgres.on.condition("Blocked").get("status") == "False", "it is free again", 60)
    assert postgres.on.uids() == before


def test_an_upgrade_that_cannot_go_on_is_taken_back_and_nothing_is_lost(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)
    fill(postgres)
    there = what_there_is(postgres)
    backed_up(postgres.on, "before")
    with Writer(postgres) as writer:
        writer.more()
        asked_for(postgres.on, "17.99", built("postgresql:17").rpartition(":")[0] + ":17.99")  # there is none

        def waits() -> bool:
            time.sleep(0.5)
            operation = postgres.on.status().get("operation", {})
            return operation.get("step") == "carry" and "Pull" in operation.get("message", "")

        eventually(waits, "its image cannot be pulled", 180)
        until = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        waived = f'stateward.dev/waive=SW301 until={until} reason="nobody has run 17"'
        postgres.on.kubectl.must("annotate", KIND, NAME, waived, "--overwrite")
        asked_for(postgres.on, postgres.on.manifest["spec"]["version"], postgres.on.manifest["spec"]["image"])
        postgres.on.settle(3, 240)
        writer.more()
    say(f"postgresql: on the way to another major, and back: {writer.said}")
    assert writer.lost() == []
    assert what_there_is(postgres) == there


def test_all_members_go_to_another_major_while_clients_write_and_nothing_is_lost(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)
    fill(postgres)
    there, secret = what_there_is(postgres), postgres.on.secret(f"{NAME}-app")
    if not postgres.on.status().get("backup", {}).get("last"):
        backed_up(postgres.on, "before")
    image = built("postgresql:17")
    with Writer(postgres) as writer:
        writer.more()
        began = time.monotonic()
        asked_for(postgres.on, version_of(image), image)

        def led() -> str:
            """The major that answers clients."""
            try:
                with postgres.connect() as connection:
                    return str(connection.info.server_version // 10000)
            except psycopg.Error:
                return ""

        eventually(lambda: led() == "17", "clients reach the new major", 300)
        writer.more()
        eventually(lambda: postgres.on.runs(version_of(image)), "the upgrade is final", 300)
        took = time.monotonic() - began
        writer.more()
    say(f"postgresql: 15 to 17 by dump and restore, final after {took:.0f} s: {writer.said}")
    assert writer.lost() == []
    assert what_there_is(postgres) == there
    assert postgres.on.secret(f"{NAME}-app") == secret
    assert postgres.on.status()["finalisedVersion"] == "17"
    for pod in postgres.on.pods():
        left = postgres.on.kubectl.must("exec", pod["metadata"]["name"], "--", "ls", "/var/lib/postgresql/data").out.split()
        assert [name for name in left if name.startswith("pgdata")] == ["pgdata"]


def test_the_log_of_the_new_major_is_archived_and_backed_up_beside_the_old(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    status = backed_up(postgres.on, "after")
    assert status["version"].startswith("17.")
    say(f"postgresql: {status['size']} bytes of the new major backed up and read back")
    assert postgres.on.kubectl.get(BACKUPS, "before")["status"]["phase"] == "Complete"
    # Nobody writes to the archive of the old major any more: it goes with the last backup of it.
    postgres.on.kubectl.must("delete", BACKUPS, "before", "--timeout=120s", seconds=150)


def test_the_new_major_is_a_service_like_any_other(postgres: Postgres, say: Callable[[str], None]) -> None:
    postgres.on.settle(3)
    with Writer(postgres) as writer:
        writer.more()
        before = postgres.primary()
        postgres.on.kill(before)
        writer.more()
        postgres.on.settle(3)
    say(f"postgresql: the primary of the new major was killed: {writer.said}")
    assert writer.lost() == []


def test_a_log_on_a_volume_of_its_own_goes_to_another_major_with_its_data(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    on = postgres.on
    two = {"size": "512Mi", "wal": {"size": "512Mi"}}
    plan = on.service()["spec"]["backup"]
    older = Postgres(on.other("pair", built("postgresql:15"), members=2, storage=two, backup=plan), postgres.folder)
    older.on.create()
    try:
        older.on.settle(2, 300)
        fill(older)
        there = what_there_is(older)
        backed_up(older.on, "pair")
        image = built("postgresql:17")
        began = time.monotonic()
        asked_for(older.on, version_of(image), image)
        eventually(lambda: older.on.runs(version_of(image), 2), "the upgrade is final", 300)
        say(f"postgresql: two members with two volumes each, 15 to 17, final after {time.monotonic() - began:.0f} s")
        assert what_there_is(older) == there
        for pod in older.on.pods():
            listed = older.on.kubectl.must(
                "exec", pod["metadata"]["name"], "--", "ls", "/var/lib/postgresql/wal"
            ).out.split()
            assert [name for name in listed if name.startswith("pg_wal")] == ["pg_wal"]
    finally:
        older.on.delete()
