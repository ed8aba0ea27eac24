"""Another major of PostgreSQL: whose data counts, and what the scripts do to a volume, whatever was done before."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
from patroni_kit import driver, place

from stateward.operator.drivers.protocol import Stage

LED = "led 3 0/5000028 71"


@pytest.mark.parametrize(
    ("said", "member", "reason"),
    [
        ([LED, "followed 3 0/5000028 71", "followed 3 0/4000000 71"], "orders-0", ""),
        # Promoted as the one before ended: it has all of that, and maybe more.
        (["led 3 0/9000028 71", "led 4 0/5000028 71", "followed 4 0/5000028 71"], "orders-1", ""),
        (["led 3 0/5000028 71", "led 3 1/0 71", "empty 0 0/0 0"], "orders-1", ""),
        (["followed 4 0/5000028 71", LED, "empty 0 0/0 0"], "", "no member that led on the last timeline (4)"),
        (["led 3 0/5000028 71", "led 3 0/5000028 72", "empty 0 0/0 0"], "", "different clusters"),
        ([LED, "nonsense", LED], "", "orders-1: what its volume holds cannot be told"),
        (["empty 0 0/0 0"] * 3, "", "no member that led"),
    ],
)
def test_the_data_that_counts_is_of_whoever_led_last(said: list[str], member: str, reason: str) -> None:
    found = driver().source({f"orders-{number}": f"{text}\n" for number, text in enumerate(said)})
    assert found.member == member
    assert reason in found.reason
    assert bool(found.word) == bool(member)


def test_patroni_keeps_its_settings_and_forgets_who_led_and_how_far_it_came() -> None:
    found = {one.name: one.annotations for one in driver().stores(place(), "72")}
    assert found["orders-patroni-config"] == {"initialize": "72", "history": None}
    assert {name for name, notes in found.items() if notes is None} == {
        f"orders-patroni-{one}" for one in ("leader", "sync", "failover", "failsafe")
    }
    assert driver().unled(place()).name == "orders-patroni-leader"


def run(stage: str, data: Path, leads: bool = True, wal: Path | None = None, **more: str) -> tuple[int, str]:
    """A script as it runs on a volume; what it told."""
    chore = driver().chore(cast(Stage, stage), place(version="17.12"), "15.20", leads, "1")
    told = data.parent / "told"
    told.unlink(missing_ok=True)
    here = {"DATA": str(data), "TOLD": str(told), "WAL": str(wal or ""), "PATH": "/usr/bin:/bin", **more}
    environment = {**chore.environment, **here}
    done = subprocess.run(list(chore.tasks[-1].command), env=environment, check=False, capture_output=True, text=True)
    return done.returncode, told.read_text().strip() if told.exists() else done.stderr


def volume(tmp_path: Path, **folders: str) -> Path:
    """A volume with these folders, each with data of a major; "" for one that is empty."""
    data = tmp_path / "data"
    data.mkdir(exist_ok=True)
    for name, major in folders.items():
        folder = data / name.replace("_", "-").replace("--", ".")
        folder.mkdir()
        if major:
            (folder / "PG_VERSION").write_text(f"{major}\n")
    return data


def there(data: Path) -> dict[str, str]:
    return {
        one.name: (one / "PG_VERSION").read_text().strip() if (one / "PG_VERSION").exists() else ""
        for one in sorted(data.iterdir())
    }


def test_the_log_on_a_volume_of_its_own_goes_with_its_data(tmp_path: Path) -> None:
    data, wal = volume(tmp_path, pgdata="15", pgdata_17__1="17"), tmp_path / "wal"

    def links(**named: str) -> None:
        """The log that each folder of data has, by a file in it."""
        found = {
            one.name: (one / "pg_wal" / "of").read_text() if (one / "pg_wal" / "of").exists() else ""
            for one in data.iterdir()
            if (one / "pg_wal").is_symlink()
        }
        assert {name: text for name, text in found.items() if text} == {
            name.replace("_", "-"): text for name, text in named.items()
        }

    for folder, log, text in (("pgdata", "pg_wal", "old"), ("pgdata-17.1", "pg_wal-17.1", "new")):
        (wal / log).mkdir(parents=True)
        (wal / log / "of").write_text(text)
        (data / folder / "pg_wal").symlink_to(wal / log)
    for _ in range(2):
        assert run("swap", data, wal=wal) == (0, "")
        assert sorted(one.name for one in wal.iterdir()) == ["pg_wal", "pg_wal-15"]
        assert (data / "pgdata" / "pg_wal" / "of").read_text() == "new"
    for _ in range(2):
        assert run("back", data, wal=wal) == (0, "")
        assert [one.name for one in wal.iterdir()] == ["pg_wal"]
        links(pgdata="old")
    replica = volume(tmp_path / "replica" if (tmp_path / "replica").mkdir() is None else tmp_path, pgdata="15")
    assert run("swap", replica, leads=False, wal=wal) == (0, "")
    assert [one.name for one in wal.iterdir()] == ["pg_wal-15"]  # it copies into a folder that is not there
    (replica / "pgdata").mkdir()
    (replica / "pgdata" / "PG_VERSION").write_text("17")
    assert run("tidy", replica, wal=wal) == (0, "")
    assert list(wal.iterdir()) == []


def test_data_is_carried_over_only_where_the_volume_of_its_log_has_room_for_both(tmp_path: Path) -> None:
    data, wal, programs = volume(tmp_path, pgdata="15"), tmp_path / "wal", tmp_path / "programs"
    (wal / "pg_wal").mkdir(parents=True)
    programs.mkdir()
    (programs / "df").write_text(
        """#!/bin/sh\ncase $2 in .) free=900000;; *) free=1000;; esac\nprintf '\\n- - - %s' $free\n"""
    )
    (programs / "du").write_text("#!/bin/sh\nprintf '2000\\tthere'\n")
    for program in programs.iterdir():
        program.chmod(0o755)
    code, said = run("carry", data, wal=wal, WORK=str(tmp_path), PATH=f"{programs}:/usr/bin:/bin")
    assert code == 1
    assert said == "the volume of its log has 0 MiB left, and its log takes 1: raise storage.wal.size first"


@pytest.mark.parametrize(
    "before",
    [
        {"pgdata": "15", "pgdata_17__1": "17"},
        {"pgdata_15": "15", "pgdata_17__1": "17"},  # it died in between
        {"pgdata": "17", "pgdata_15": "15"},
    ],
)
def test_new_data_takes_the_place_of_the_old_and_back_again(tmp_path: Path, before: dict[str, str]) -> None:
    data = volume(tmp_path, **before)
    for _ in range(2):
        assert run("swap", data) == (0, "")
        assert there(data) == {"pgdata": "17", "pgdata-15": "15"}
    for _ in range(2):
        assert run("back", data) == (0, "")
        assert there(data) == {"pgdata": "15"}


def test_whoever_did_not_lead_starts_with_nothing_and_gets_its_data_back(tmp_path: Path) -> None:
    data = volume(tmp_path, pgdata="15")
    for _ in range(2):
        assert run("swap", data, leads=False) == (0, "")
        assert there(data) == {"pgdata-15": "15"}
    (data / "pgdata").mkdir()  # it had begun to copy
    assert run("back", data, leads=False) == (0, "")
    assert there(data) == {"pgdata": "15"}


def test_a_member_without_data_has_none_afterwards(tmp_path: Path) -> None:
    data = volume(tmp_path)
    assert run("swap", data, leads=False) == (0, "")
    assert run("back", data, leads=False) == (0, "")
    assert there(data) == {}


def test_going_back_before_anything_was_exchanged_takes_only_what_was_made(tmp_path: Path) -> None:
    data = volume(tmp_path, pgdata="15", pgdata_17__1__part="17")
    assert run("back", data) == (0, "")
    assert there(data) == {"pgdata": "15"}


def test_what_an_earlier_upgrade_left_is_never_taken_for_this_one_s(tmp_path: Path) -> None:
    data = volume(tmp_path, pgdata="15", pgdata_15="15", pgdata_17__1="17")
    code, said = run("swap", data)
    assert (code, "is in the way" in said) == (1, True)
    assert run("back", data) == (0, "")
    assert there(data) == {"pgdata": "15", "pgdata-15": "15"}
    stale = volume(tmp_path / "other" if (tmp_path / "other").mkdir() is None else tmp_path, pgdata="15", pgdata_17__0="17")
    code, said = run("swap", stale)
    assert (code, "is not there" in said) == (1, True)


def test_the_old_data_goes_only_where_the_new_is(tmp_path: Path) -> None:
    data = volume(tmp_path, pgdata="15", pgdata_15="15")
    assert run("tidy", data)[0] == 1
    assert "pgdata-15" in there(data)
    (data / "pgdata" / "PG_VERSION").write_text("17\n")
    for _ in range(2):
        assert run("tidy", data) == (0, "")
        assert there(data) == {"pgdata": "17"}


def test_each_stage_has_images_and_nothing_secret() -> None:
    stages: dict[Any, list[str]] = {
        stage: [task.image for task in driver().chore(stage, place(), "15.20", True, "1").tasks]
        for stage in ("look", "carry", "swap", "back", "tidy")
    }
    assert stages == {
        "look": ["before"],
        "carry": ["before", "after"],
        "swap": ["after"],
        "back": ["before"],
        "tidy": ["after"],
    }
