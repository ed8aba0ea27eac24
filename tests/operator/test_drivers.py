"""Drivers: folders are checked whole, and etcd's does to a real etcd what it says."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stateward.operator.drivers import catalogue
from stateward.operator.drivers.catalogue import FOLDER, EngineError
from stateward.operator.drivers.protocol import Driver, Place, Target

ETCD = yaml.safe_load((FOLDER / "etcd" / "engine.yaml").read_text())
PLACE = Place("prod", "db", "3.5.16", ["db-0", "db-1", "db-2"], False, {"quota-backend-bytes": 1 << 30})


def etcd() -> Driver:
    found = catalogue.find("etcd")
    assert found is not None
    return found


def folder(tmp_path: Path, data: dict[str, Any]) -> Path:
    where = tmp_path / "etcd"
    where.mkdir()
    (where / "engine.yaml").write_text(yaml.safe_dump(data))
    return where


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ETCD), **changes}


def test_an_engine_that_has_no_folder_is_known_by_nobody() -> None:
    assert catalogue.find("../etcd") is None
    assert catalogue.find("oracle") is None


def test_every_folder_can_be_read() -> None:
    assert [catalogue.find(name) is not None for name in catalogue.names()] == [True] * len(catalogue.names())


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (changed(colour="red"), "colour: Extra inputs"),
        (changed(serves="klient"), "port klient: none of ports"),
        (changed(image="etcd:latest"), "{version} is missing"),
        (changed(files={"a.yaml": {"name": "{member.nmae}"}}), "{member.nmae} is unknown"),
        (changed(files={"a.yaml": {"x": {"each": "member", "as": "y"}}}), "a list is written"),
        (changed(ports={"client": "2379", "peer": 2380}), "ports.client: Input should be a valid integer"),
        (changed(engine="etcd2"), "give both one name"),
        (changed(otherwise=[{"versions": "before 3", "probes": ETCD["probes"]}]), "is no bound"),
    ],
)
def test_a_fault_in_a_folder_is_named(tmp_path: Path, data: dict[str, Any], said: str) -> None:
    with pytest.raises(EngineError) as error:
        catalogue.read(folder(tmp_path, data))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_each_member_gets_a_file_of_its_own_with_all_members_in_it() -> None:
    files = etcd().configuration(PLACE)
    assert sorted(files) == ["db-0.yaml", "db-1.yaml", "db-2.yaml"]
    one = json.loads(files["db-1.yaml"])
    assert one["name"] == "db-1"
    assert one["initial-cluster-state"] == "new"
    assert one["quota-backend-bytes"] == 1 << 30
    assert one["initial-cluster"].split(",")[2] == "db-2=http://db-2.db-members.prod.svc:2380"


def test_a_member_without_data_founds_nothing_once_others_have_some() -> None:
    place = Place("prod", "db", "3.5.16", ["db-0"], True)
    assert json.loads(etcd().configuration(place)["db-0.yaml"])["initial-cluster-state"] == "existing"


def test_a_parameter_cannot_take_the_place_of_what_the_folder_says() -> None:
    place = Place("prod", "db", "3.5.16", ["db-0"], False, {"initial-cluster-state": "new", "data-dir": "/elsewhere"})
    made = json.loads(etcd().configuration(place)["db-0.yaml"])
    assert made["data-dir"] == "/var/lib/etcd/data"


@pytest.mark.parametrize(
    ("version", "parameters", "said"),
    [
        ("3.5.16", {}, ""),
        ("3.4.29", {"auto-compaction-mode": "periodic"}, ""),
        ("3.4.0", {}, ""),
        ("3.3.27", {}, "3.4 is the oldest"),
        ("2.3.8", {}, "3.4 is the oldest"),
        ("3.5.16", {"force-new-cluster": 1}, "force-new-cluster: no parameter"),
        ("3.5.16", {"data-dir": "/elsewhere"}, "data-dir: no parameter"),
        ("3.5.16", {"quota-backend-bytes": 1}, "a number from"),
        ("3.5.16", {"quota-backend-bytes": "8Gi"}, "a whole number"),
        ("3.5.16", {"auto-compaction-retention": "1h\nlogger: x"}, "a text that matches"),
    ],
)
def test_versions_and_parameters_are_checked(version: str, parameters: dict[str, Any], said: str) -> None:
    problems = etcd().problems(version, parameters)
    assert bool(problems) == bool(said)
    assert said in "".join(problems)


@pytest.mark.parametrize(
    ("version", "readiness", "lives_by"),
    [
        ("3.4.23", "/health", "tcpSocket"),
        ("3.4.28", "/health", "tcpSocket"),
        ("3.4.29", "/readyz", "httpGet"),
        ("3.5.0", "/health", "tcpSocket"),
        ("3.5", "/health", "tcpSocket"),
        ("3.5.10", "/health", "tcpSocket"),
        ("3.5.11", "/readyz", "httpGet"),
        ("3.6.14", "/readyz", "httpGet"),
    ],
)
def test_probes_are_those_that_the_version_answers(version: str, readiness: str, lives_by: str) -> None:
    container = etcd().container(version)
    assert container.readiness["httpGet"]["path"] == readiness
    assert lives_by in container.liveness
    assert lives_by in container.startup


def test_what_a_driver_can_do_is_known_before_it_is_asked(tmp_path: Path) -> None:
    commands = {name: value for name, value in ETCD["commands"].items() if name != "switchover"}
    assert etcd().hands_over
    assert not etcd().finalises
    assert not catalogue.read(folder(tmp_path, changed(commands=commands))).hands_over


# --- against a real etcd -------------------------------------------------------------------------------------------


def program() -> str | None:
    named = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nowhere")) / "etcd"
    cached = Path.home() / ".cache" / "stateward-cluster" / "bin" / "etcd"
    return next((str(one) for one in (named, cached) if one.exists()), shutil.which("etcd"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Target]:
    """One real etcd, that takes itself for db-0 of the service prod/db."""
    binary = program()
    if binary is None:
        pytest.skip("no etcd; name its folder in KUBEBUILDER_ASSETS")
    client, peer = free_port(), free_port()
    name = PLACE.host("db-0")
    arguments = [
        binary,
        "--name=db-0",
        f"--data-dir={tmp_path / 'data'}",
        "--unsafe-no-fsync",
        "--log-level=error",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        f"--initial-advertise-peer-urls=http://{name}:2380",
        f"--initial-cluster=db-0=http://{name}:2380",
    ]
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    target = Target("db-0", "127.0.0.1", {"client": client, "peer": peer})
    try:
        until = time.monotonic() + 30
        while etcd().see(target).healthy is not True:
            assert time.monotonic() < until, etcd().see(target)
            time.sleep(0.05)
        yield target
    finally:
        process.kill()
        process.wait()


def test_a_member_says_its_role_version_and_health(member: Target) -> None:
    seen = etcd().see(member)
    assert (seen.healthy, seen.role) == (True, "leader")
    assert seen.version.startswith("3.")
    assert seen.identity.isdecimal()


def test_a_member_joins_without_a_vote_and_leaves_and_each_command_may_be_given_twice(member: Target) -> None:
    driver = etcd()
    for _ in range(2):
        assert driver.join("db-1", [member], PLACE).outcome == "done"
        peers = driver.peers([member], PLACE)
        assert peers is not None
        assert [(peer.name, peer.learner) for peer in sorted(peers, key=lambda peer: peer.name)] == [
            ("db-0", False),
            ("db-1", True),
        ]
    refused = driver.promote("db-1", [member], PLACE)
    assert refused.outcome == "refused"
    assert "sync" in refused.reason
    for _ in range(2):
        assert driver.leave("db-1", [member], PLACE).outcome == "done"
        assert [peer.name for peer in driver.peers([member], PLACE) or ()] == ["db-0"]


def test_a_member_that_does_not_answer_is_unknown_and_so_is_what_it_was_told() -> None:
    gone = Target("db-0", "127.0.0.1", {"client": free_port(), "peer": 1})
    assert etcd().see(gone).healthy is None
    assert etcd().peers([gone], PLACE) is None
    assert etcd().leave("db-1", [gone], PLACE).outcome == "unknown"


def test_a_member_that_accepts_and_says_nothing_costs_its_timeout_and_is_unknown() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(5)
        hanging = Target("db-0", "127.0.0.1", {"client": silent.getsockname()[1], "peer": 1})
        began = time.monotonic()
        assert etcd().see(hanging).healthy is None
        assert time.monotonic() - began < 20


def test_an_answer_of_somebody_else_is_no_health(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        target = Target("db-0", "127.0.0.1", {"client": listening.getsockname()[1], "peer": 1})

        def answer() -> None:
            connection, _ = listening.accept()
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops")
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert etcd().see(target).healthy is None
        thread.join(10)
