"""PostgreSQL's log and backups by pgBackRest: what it is told, what it says, and what of it is refused."""

from __future__ import annotations

import configparser
import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup import log, verdict
from stateward.operator.backup.metadata import Metadata
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Access, Driver, Log, Place
from stateward.operator.engines.postgresql import pgbackrest
from stateward.operator.objects import workload
from stateward.operator.observe import Running
from stateward.operator.refusals import of_spec
from stateward.operator.repository import Repository, repository_at
from stateward.operator.service import read

UID = "1234abcd-0000-0000-0000-000000000000"
S3 = {"bucket": "backups", "endpoint": "https://minio.shop.svc:9000", "prefix": "a/../b", "credentials": "keys"}
SPEC: dict[str, Any] = {
    "engine": "postgresql",
    "version": "17.12",
    "image": "postgresql:17.12",
    "members": 3,
    "storage": {"size": "1Gi"},
    "backup": {"schedule": "@daily", "destination": {"s3": {**S3, "authority": "ca"}}},
}
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def model(**over: Any) -> StatefulService:
    metadata = {"namespace": "shop", "name": "orders", "uid": UID}
    return StatefulService.model_validate({"metadata": metadata, "spec": {**SPEC, **over}})


def engine(name: str = "postgresql") -> Driver:
    found = catalogue.find(name)
    assert found is not None
    return found


def repository() -> Repository:
    found = read(model()).repository
    assert found is not None
    return found


def place() -> Place:
    return Place("shop", "orders", "17.12", ["orders-0", "orders-1", "orders-2"], True, {}, True)


def parsed(text: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None)
    found.read_string(text)
    return found


# --- where ---------------------------------------------------------------------------------------------------------


def test_each_service_has_a_path_and_each_of_its_lives_a_stanza_of_its_own() -> None:
    found = repository()
    assert (found.path, found.stanza) == ("/a/b/shop/orders/pgbackrest", "orders-1234abcd")
    assert found.password == "orders-backup"
    plan = model().spec.backup
    assert plan is not None
    again = repository_at(plan.destination, "orders-backup", "shop/orders", "ffff0000-1")
    assert again is not None
    assert (again.path, again.stanza) == (found.path, "orders-ffff0000")


def test_without_a_bucket_nothing_is_archived() -> None:
    assert read(model(backup=None)).repository is None
    plan = {"schedule": "@daily", "destination": {"snapshot": {"class": "fast"}}}
    assert read(model(backup=plan)).repository is None


def test_members_have_pgbackrest_beside_them_and_its_secrets_as_files_that_may_be_missing() -> None:
    driver, one = engine().archiving(repository()), read(model())
    running = Running(3, "17.12", "postgresql:17.12", "", "1Gi", {}, True)
    pod = workload.pod(one, driver.container("17.12", True), running)
    beside = {each["name"]: each for each in pod["containers"]}["archive"]
    assert [port["containerPort"] for port in beside["ports"]] == [8009, 8432]
    volume = next(each for each in pod["volumes"] if each["name"] == "keys")
    named = {(each["secret"]["name"], each["secret"]["items"][0]["key"]) for each in volume["projected"]["sources"]}
    assert named == {("keys", "accessKeyId"), ("keys", "secretAccessKey"), ("orders-backup", "password"), ("ca", "ca.crt")}
    assert all(each["secret"]["optional"] for each in volume["projected"]["sources"])


def test_a_service_without_backups_has_nothing_of_it() -> None:
    driver = engine().archiving(None)
    assert driver.container("17.12", True).beside == []
    assert sorted(driver.configuration(place())) == ["restored.sh"]
    founds = json.loads(
        driver.secret_files(Place("shop", "orders", "17.12", ["orders-0"], False, {}, True), Access())["orders-0.yaml"]
    )
    assert "archive_mode" not in founds["bootstrap"]["dcs"]["postgresql"]["parameters"]


def test_the_configuration_holds_no_secret_and_the_server_knows_of_no_repository() -> None:
    files = engine().archiving(repository()).configuration(place())
    member, server = parsed(files["pgbackrest.conf"]), parsed(files["pgbackrest-server.conf"])
    assert member["global"]["repo1-path"] == "/a/b/shop/orders/pgbackrest"
    assert (member["global"]["repo1-s3-endpoint"], member["global"]["repo1-storage-port"]) == ("minio.shop.svc", "9000")
    assert member["global"]["repo1-cipher-type"] == "aes-256-cbc"
    assert not any("key-secret" in name or "cipher-pass" in name for name in member["global"])
    assert server["global"]["tls-server-auth"] == "orders=orders-1234abcd-17"
    assert not any(name.startswith("repo") for name in server["global"])
    assert member.sections() == ["global", "orders-1234abcd-17"]


def test_each_major_has_a_stanza_that_the_tools_of_its_own_image_can_read() -> None:
    driver = engine().archiving(repository())
    for version, stanza in (("15.20", "orders-1234abcd-15"), ("17.12", "orders-1234abcd-17")):
        here = replace(place(), version=version)
        assert parsed(driver.configuration(here)["pgbackrest.conf"]).sections() == ["global", stanza]
        copying = driver.copying(here, "orders-0", "token")
        assert copying is not None
        assert stanza in parsed(copying.environment["CONFIG"]).sections()


def test_a_founder_archives_from_its_first_write() -> None:
    driver = engine().archiving(repository())
    founds = Place("shop", "orders", "17.12", ["orders-0"], False, {}, True)
    made = json.loads(driver.secret_files(founds, Access())["orders-0.yaml"])
    settings = made["bootstrap"]["dcs"]["postgresql"]["parameters"]
    assert settings["archive_mode"] == "on"
    assert "pgbackrest" in settings["archive_command"]  # pgBackRest looks for its name there


def test_a_job_reads_the_data_of_members_and_opens_the_repository_of_the_backup_alone() -> None:
    copying = engine().copying(place(), "orders-1", "token", repository())
    assert copying is not None
    takes = parsed(copying.environment["CONFIG"])["orders-1234abcd-17"]
    assert takes["pg1-host"] == "orders-1.orders-members.shop.svc"
    assert takes["pg3-host"] == "orders-2.orders-members.shop.svc"
    fills = parsed(copying.filling["CONFIG"])["orders-1234abcd-17"]
    assert not any("host" in name for name in fills)
    shared = json.loads(copying.filling["SHARED"])
    assert "archive_mode" not in shared["postgresql"]["parameters"]  # whoever comes of it says where its own log goes


# --- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"backup": {"schedule": "@daily", "destination": {"claim": {"name": "nfs"}}}}, "give a bucket (s3)"),
        ({"backup": {"schedule": "@daily", "destination": {"s3": {**S3, "endpoint": "http://minio"}}}}, "https://"),
        ({"tls": {"enabled": False}}, "set tls.enabled to true"),
    ],
)
def test_what_pgbackrest_cannot_do_is_refused_before_anything_is_touched(over: dict[str, Any], said: str) -> None:
    wanted = model(**over)
    refusal = of_spec(wanted, read(wanted), engine())
    assert refusal is not None
    assert said in refusal[1]


def test_a_bucket_over_tls_is_taken() -> None:
    assert of_spec(model(), read(model()), engine()) is None


def told(**over: Any) -> Metadata:
    known = {"namespace": "shop", "service": "orders", "uid": UID, "backup": "first", "engine": "postgresql"}
    return Metadata.model_validate({**known, "version": "17.12", "member": "orders-0", "taken": NOW, "spec": SPEC, **over})


@pytest.mark.parametrize(
    ("until", "name", "named", "said"),
    [
        (None, "etcd", True, ""),
        (NOW, "etcd", True, "keeps no log"),
        (NOW + timedelta(hours=2), "postgresql", True, "is to come"),
        (NOW - timedelta(minutes=1), "postgresql", True, "name an earlier one"),
        (NOW - timedelta(minutes=1), "postgresql", False, ""),
        (NOW + timedelta(minutes=1), "postgresql", True, ""),
    ],
)
def test_a_point_in_time_has_to_lie_behind_the_backup(until: datetime | None, name: str, named: bool, said: str) -> None:
    problem = verdict.of_time(until, told(engine=name), engine(name), NOW + timedelta(hours=1), named=named)
    assert said in problem
    assert bool(problem) is bool(said)


# --- word of the archive -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("found", "status", "reason"),
    [
        (None, "Unknown", "NoAnswer"),
        (Log(0, 0), "True", "Archived"),
        (Log(2, 20), "True", "Archived"),
        (Log(2, 301), "False", "ArchiveBehind"),
        (Log(1, 5, "[055]: no"), "False", "ArchiveFails"),
        (Log(1, 5, "", 10, 100), "False", "VolumeFills"),
    ],
)
def test_a_log_that_does_not_get_to_its_archive_is_said(found: Log | None, status: str, reason: str) -> None:
    assert log.condition(found)[:2] == (status, reason)


@pytest.fixture
def watch(tmp_path: Path) -> pgbackrest.Watch:
    conf = tmp_path / "pgbackrest.conf"
    conf.write_text(f"[global]\nspool-path={tmp_path}/spool\n[orders-1]\npg1-path={tmp_path}/pgdata\n", encoding="utf-8")
    (tmp_path / "pgdata" / "pg_wal" / "archive_status").mkdir(parents=True)
    (tmp_path / "spool" / "archive" / "orders-1" / "out").mkdir(parents=True)
    return pgbackrest.Watch(pgbackrest.Backrest(conf))


def test_what_waits_is_counted_by_the_files_of_postgresql(watch: pgbackrest.Watch) -> None:
    status = watch.data / "pg_wal" / "archive_status"
    (status / "000000010000000000000001.done").touch()
    assert (watch.said()["waiting"], watch.said()["behind"]) == (0, 0)
    for number, age in ((2, 90), (3, 30)):
        file = status / f"00000001000000000000000{number}.ready"
        file.touch()
        os.utime(file, (time.time() - age, time.time() - age))
    assert watch.said()["waiting"] == 2
    assert 89 <= watch.said()["behind"] <= 100


def test_why_a_segment_was_not_taken_is_read_from_the_spool(watch: pgbackrest.Watch) -> None:
    (watch.data / "pg_wal" / "archive_status" / "000000010000000000000002.ready").touch()
    (watch.backrest.spool / "000000010000000000000002.error").write_text("55\nunable to load info file\nHINT: x", "utf-8")
    assert watch.said()["reason"] == "[055]: unable to load info file"


def test_only_who_leads_makes_a_stanza(watch: pgbackrest.Watch) -> None:
    assert not watch.leads()
    (watch.data / "postmaster.pid").touch()
    assert watch.leads()
    (watch.data / "standby.signal").touch()
    assert not watch.leads()


# --- which backup, and what becomes of its data --------------------------------------------------------------------


def taken(label: str, at: datetime) -> dict[str, Any]:
    return {"label": label, "timestamp": {"start": int(at.timestamp()) - 5, "stop": int(at.timestamp())}}


def test_the_newest_backup_that_was_over_by_then_is_taken_unless_one_is_named() -> None:
    several = [taken("one", NOW), taken("two", NOW + timedelta(hours=1))]
    assert pgbackrest.reaching(NOW + timedelta(minutes=5), several, None)["label"] == "one"
    assert pgbackrest.reaching(NOW + timedelta(hours=2), several, None)["label"] == "two"
    assert pgbackrest.reaching(NOW + timedelta(hours=2), several, several[0])["label"] == "one"
    with pytest.raises(pgbackrest.FailedError, match="no backup is from before that; the first was over at 2026-11-21T12"):
        pgbackrest.reaching(NOW - timedelta(minutes=5), several, None)
    with pytest.raises(pgbackrest.FailedError, match="no backup is from before that"):
        pgbackrest.reaching(NOW + timedelta(milliseconds=500), several, None)  # it may have been over a moment later
    with pytest.raises(pgbackrest.FailedError, match=r"pointInTime: .*: the backup was over at 2026-11-21T13"):
        pgbackrest.reaching(NOW, several, several[1])


def test_the_data_forgets_where_it_came_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "pgdata"
    data.mkdir()
    kept = "work_mem = '8MB'\n"
    said = "# Recovery settings generated by pgBackRest restore\nrestore_command = 'x'\nrecovery_target_time = 'y'\n"
    (data / "postgresql.auto.conf").write_text(f"{kept}{said}archive_mode = 'off'\n", encoding="utf-8")
    for name in ("recovery.signal", "patroni.dynamic.json"):
        (data / name).write_text("{}", encoding="utf-8")
    monkeypatch.setenv("SHARED", '{"ttl": 20}')
    monkeypatch.delenv("WAL", raising=False)
    pgbackrest.cleaned(data)
    assert (data / "postgresql.auto.conf").read_text(encoding="utf-8") == kept
    assert not (data / "recovery.signal").exists()
    assert json.loads((data / "patroni.dynamic.json").read_text(encoding="utf-8")) == {"ttl": 20}
    assert (tmp_path / "restored").exists()


def test_the_first_error_of_pgbackrest_is_what_is_said_without_its_hints() -> None:
    text = "WARN: x\nERROR: [056]: unable to find primary cluster\n       HINT: y\n"
    assert pgbackrest.reason(text) == "[056]: unable to find primary cluster"
    last = "LOG:  last completed transaction was at log time 2026-11-21 12:00:00\n"
    ended = f"{last}FATAL:  recovery ended before configured recovery target was reached\n"
    said = pgbackrest.why(ended, "2026-11-21T13:00:00Z")
    assert said.startswith("pointInTime: 2026-11-21T13:00:00Z: the archive ends before that; its last transaction is of")
