"""TLS with members: a real etcd with the certificates that a service gets, and what is said where they do not fit."""

from __future__ import annotations

import copy
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stateward.certs import members
from stateward.certs.authority import Authority
from stateward.certs.context import client_context
from stateward.certs.members import Held
from stateward.operator import tls
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.catalogue import FOLDER
from stateward.operator.drivers.folder import FolderDriver
from stateward.operator.drivers.protocol import Access, Driver, Place, Target
from stateward.operator.drivers.schema import Engine
from stateward.operator.objects import certificates, fingerprint, workload
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service
from stateward.operator.tls import CLIENT, OPERATOR, SERVER, Tls
from stateward.policies.view import mapping_of

NOW = datetime.now(UTC)
SERVICE = Service("prod", "db", "1", "stateward.dev/v1beta1", "etcd", "3.5.16", 3, "1Gi", tls=True)
PLACE = Place("prod", "db", "3.5.16", ["db-0", "db-1", "db-2"], False, {}, True)
RUNNING = Running(3, "3.5.16", "x", "", "1Gi", {}, True)
DATA: dict[str, Any] = yaml.safe_load((FOLDER / "etcd" / "engine.yaml").read_text())


def etcd() -> Driver:
    found = catalogue.find("etcd")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def held() -> Held:
    return members.first(tls.wanted(SERVICE), NOW)


def target(opened: Tls | None, port: int, known: str = "db-0.db-members.prod.svc") -> Target:
    ports = {"client": port, "peer": port}
    return Target("db-0", "127.0.0.1", ports, Access(tls=opened), known, frozenset({"client", "peer"}))


# --- what is made -----------------------------------------------------------------------------------------------------


def test_members_are_told_to_speak_tls_and_to_want_certificates_of_clients_and_of_each_other() -> None:
    one = json.loads(etcd().configuration(PLACE)["db-1.yaml"])
    for part in ("client-transport-security", "peer-transport-security"):
        assert one[part] == {
            "cert-file": "/etc/stateward-tls/tls.crt",
            "key-file": "/etc/stateward-tls/tls.key",
            "trusted-ca-file": "/etc/stateward-tls/ca.crt",
            "client-cert-auth": True,
        }
    urls = [value for name, value in one.items() if "urls" in name and "metrics" not in name]
    assert urls
    assert all(url.startswith("https://") for url in urls)
    assert "=http://" not in one["initial-cluster"]
    plain = json.loads(etcd().configuration(replace(PLACE, tls=False))["db-1.yaml"])
    assert "https" not in json.dumps(plain)
    assert "client-transport-security" not in plain


def test_no_private_key_of_the_authority_or_the_operator_reaches_members_or_clients(held: Held) -> None:
    made = certificates.of(SERVICE, tls.made(held, NOW))
    assert [one["metadata"]["name"] for one in made] == ["db-ca", "db-tls", "db-client"]
    said = json.dumps([{name: one.get(name) for name in ("data",)} for one in made])
    import base64

    assert held.kept.authority is not None
    for key in (held.kept.authority.to_pem()[1], held.leaves[OPERATOR].to_pem()[1]):
        assert base64.b64encode(key).decode() not in said
    assert "PRIVATE" not in made[0]["data"]["ca.crt"]


def test_what_holds_keys_has_no_text_of_its_own(held: Held) -> None:
    opened = tls.made(held, NOW)
    assert "PRIVATE" not in repr(opened)
    assert "held" not in repr(Access(tls=opened))
    assert "access" not in repr(target(opened, 1))


def test_pods_carry_a_mark_of_what_their_engine_reads_once_and_of_nothing_else(held: Held) -> None:
    access = Access(tls=tls.made(held, NOW))
    renewed = members.step(held, NOW + timedelta(days=61), tls.wanted(SERVICE), lambda: "")
    prepared = members.step(held, NOW, tls.wanted(SERVICE), lambda: "", asked="1")
    assert isinstance(renewed, members.Write)
    assert isinstance(prepared, members.Write)

    def marks(driver: Driver, of: Held, at: datetime = NOW) -> dict[str, str]:
        container = driver.container("3.5.16", True)
        return certificates.marks(container, RUNNING, Access(tls=tls.made(of, at)))

    assert marks(etcd(), held) == marks(etcd(), renewed.held)
    assert marks(etcd(), held) != marks(etcd(), prepared.held)
    for reloads, names in (("nothing", ["certificate", "trust"]), ("everything", [])):
        changed = copy.deepcopy(DATA)
        changed["tls"]["reloads"] = reloads
        driver = FolderDriver(Engine.model_validate(changed))
        assert sorted(marks(driver, held)) == [f"stateward.dev/{name}" for name in names]
    pod = workload.stateful_set(SERVICE, etcd().container("3.5.16", True), RUNNING, marks=marks(etcd(), held))
    template = pod["spec"]["template"]
    assert template["metadata"]["annotations"]["stateward.dev/trust"] == marks(etcd(), held)["stateward.dev/trust"]
    volume = next(one for one in template["spec"]["volumes"] if one["name"] == "tls")
    assert volume["secret"] == {"secretName": "db-tls", "defaultMode": 0o440}
    (claim,) = pod["spec"]["volumeClaimTemplates"]
    assert claim["metadata"]["annotations"] == {"stateward.dev/tls": "true"}
    plain = workload.stateful_set(SERVICE, etcd().container("3.5.16"), replace(RUNNING, tls=False))
    assert "tls" not in [one["name"] for one in plain["spec"]["template"]["spec"]["volumes"]]
    assert certificates.marks(etcd().container("3.5.16"), replace(RUNNING, tls=False), access) == {}


def test_a_renewed_certificate_makes_no_pod_stale_and_another_authority_does(held: Held) -> None:
    wanted = tls.wanted(SERVICE)
    renewed = members.step(held, NOW + timedelta(days=61), wanted, lambda: "")
    prepared = members.step(held, NOW, wanted, lambda: "", asked="1")
    assert isinstance(renewed, members.Write)
    assert isinstance(prepared, members.Write)

    def runs(of: Held) -> str:
        return fingerprint.of(SERVICE, RUNNING, etcd(), PLACE, Access(tls=tls.made(of, NOW)))

    assert runs(held) == runs(renewed.held)
    assert runs(held) != runs(prepared.held)


def test_a_members_certificate_is_for_each_member_by_name_the_services_and_localhost(held: Held) -> None:
    from stateward.certs.names import uncovered

    leaf = held.leaves[SERVER].certificate
    wanted = [
        PLACE.host("db-7"),
        f"{PLACE.host('db-0')}.cluster.local",
        "db",
        "db.prod",
        "db.prod.svc",
        "localhost",
        "127.0.0.1",
    ]
    assert uncovered(leaf, wanted) == ()
    assert uncovered(leaf, ["other-0.other-members.prod.svc"])
    assert uncovered(held.leaves[CLIENT].certificate, [PLACE.host("db-0")])


def test_without_a_leaf_of_its_own_the_operator_shows_that_of_the_members(held: Held) -> None:
    left = replace(held, leaves={SERVER: held.leaves[SERVER]})
    assert tls.made(left, NOW).leaf is held.leaves[SERVER]


# --- what goes wrong --------------------------------------------------------------------------------------------------


@contextmanager
def serving(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Answers each connection, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        over = threading.Event()

        def run() -> None:
            while not over.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                connection.settimeout(1)
                with connection:
                    try:
                        answer(connection)
                    except OSError:
                        continue

        thread = threading.Thread(target=run)
        thread.start()
        yield listening.getsockname()[1]
        over.set()
        thread.join()


def speaking(held: Held, folder: Path, trusts: bytes = b"") -> Callable[[socket.socket], None]:
    """A member that shows this service's certificate, and wants one of whom it trusts."""
    pair = folder / "pair.pem"
    pair.write_bytes(b"".join(held.leaves[SERVER].to_pem()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=(trusts or held.bundle(NOW)).decode())

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            while secured.recv(4096):
                secured.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"health":"true"}')

    return answer


def other(held: Held) -> Held:
    return members.first(tls.wanted(SERVICE), NOW)


def of_another_authority(held: Held, folder: Path) -> tuple[Target, Callable[[socket.socket], None]]:
    return target(tls.made(other(held), NOW), 0), speaking(held, folder)


def that_does_not_trust_us(held: Held, folder: Path) -> tuple[Target, Callable[[socket.socket], None]]:
    return target(tls.made(held, NOW), 0), speaking(held, folder, Authority.create(NOW).bundle)


def of_another_name(held: Held, folder: Path) -> tuple[Target, Callable[[socket.socket], None]]:
    return target(tls.made(held, NOW), 0, "db-0.elsewhere.prod.svc"), speaking(held, folder)


def that_has_expired(held: Held, folder: Path) -> tuple[Target, Callable[[socket.socket], None]]:
    assert held.kept.authority is not None
    began = NOW - timedelta(days=100)
    authority = Authority.create(began)
    old = Held(replace(held.kept, authority=authority), members.first(tls.wanted(SERVICE), began, own=authority).leaves)
    fresh = replace(old, leaves={OPERATOR: members.first(tls.wanted(SERVICE), NOW, own=authority).leaves[OPERATOR]})
    return target(tls.made(fresh, NOW), 0), speaking(old, folder)


def that_speaks_no_tls(held: Held, folder: Path) -> tuple[Target, Callable[[socket.socket], None]]:
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    return target(tls.made(held, NOW), 0), answer


@pytest.mark.parametrize(
    ("peer", "said"),
    [
        (of_another_authority, "its certificate is not accepted: "),
        (that_does_not_trust_us, "no TLS with it: it does not trust the authority of our certificate"),
        (of_another_name, "its certificate is not accepted: Hostname mismatch"),
        (that_has_expired, "its certificate is not accepted: certificate has expired"),
        (that_speaks_no_tls, "no TLS with it: it does not speak TLS"),
    ],
)
def test_a_member_whose_handshake_fails_is_unknown_and_the_reason_names_the_certificate(
    held: Held, tmp_path: Path, peer: Callable[[Held, Path], tuple[Target, Callable[[socket.socket], None]]], said: str
) -> None:
    asked, answer = peer(held, tmp_path)
    with serving(answer) as port:
        one = replace(asked, ports={"client": port, "peer": port})
        seen = etcd().see(one)
        shaken = etcd().shake(one)
    assert seen.healthy is None
    assert said in seen.reason
    assert said in shaken.reason
    assert not shaken.accepted


def test_a_member_is_never_asked_in_the_clear_where_there_is_no_certificate_yet() -> None:
    asked = []
    with serving(asked.append) as port:
        seen = etcd().see(target(None, port))
    assert (seen.healthy, asked) == (None, [])
    assert "no certificates yet" in seen.reason


def test_a_handshake_says_which_certificate_is_shown_and_whether_another_would_be_taken(held: Held, tmp_path: Path) -> None:
    with serving(speaking(held, tmp_path)) as port:
        one = target(tls.made(held, NOW), port)
        assert etcd().shake(one).shown == tls.fingerprint(held.leaves[SERVER])
        assert etcd().shake(one, held.leaves[CLIENT]).accepted
        assert not etcd().shake(one, other(held).leaves[OPERATOR]).accepted
        assert etcd().see(one).healthy is True


# --- against a real etcd ----------------------------------------------------------------------------------------------


def program() -> str | None:
    named = Path(os.environ.get("KUBEBUILDER_ASSETS", "/nowhere")) / "etcd"
    cached = Path.home() / ".cache" / "stateward-cluster" / "bin" / "etcd"
    return next((str(one) for one in (named, cached) if one.exists()), shutil.which("etcd"))


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def mount(folder: Path, held: Held) -> None:
    """What a kubelet would bring."""
    certificate, key = held.leaves[SERVER].to_pem()
    for name, content in (("ca.crt", held.bundle(NOW)), ("tls.crt", certificate), ("tls.key", key)):
        (folder / name).write_bytes(content)


class Member:
    """A real etcd by the file that the folder makes, at other ports and folders."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        self.client, self.peer, self.metrics = free_port(), free_port(), free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        made = json.loads(etcd().configuration(replace(PLACE, members=["db-0"]))["db-0.yaml"])
        local = {
            "data-dir": str(self.folder / "data"),
            "listen-client-urls": f"https://127.0.0.1:{self.client}",
            "listen-peer-urls": f"https://127.0.0.1:{self.peer}",
            "listen-metrics-urls": f"http://127.0.0.1:{self.metrics}",
            "log-level": "error",
        }
        text = json.dumps({**made, **local}).replace("/etc/stateward-tls", str(self.folder))
        (self.folder / "etcd.yaml").write_text(text)
        arguments = [self.binary, f"--config-file={self.folder / 'etcd.yaml'}"]
        self.process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def target(self, opened: Tls) -> Target:
        return replace(target(opened, self.client), ports={"client": self.client, "peer": self.peer})

    def serves(self, opened: Tls) -> None:
        until = time.monotonic() + 30
        while etcd().see(self.target(opened)).healthy is not True:
            assert time.monotonic() < until, etcd().see(self.target(opened))
            time.sleep(0.05)


@pytest.fixture
def member(tmp_path: Path, held: Held) -> Iterator[Member]:
    binary = program()
    if binary is None:
        pytest.skip("no etcd; name its folder in KUBEBUILDER_ASSETS")
    one = Member(binary, tmp_path)
    mount(tmp_path, held)
    one.start()
    yield one
    one.stop()


def probe(port: int, path: str) -> int:
    import http.client

    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_etcd_takes_the_operators_certificate_and_a_clients_and_nobody_without_one(member: Member, held: Held) -> None:
    opened = tls.made(held, NOW)
    member.serves(opened)
    one = member.target(opened)
    assert etcd().see(one).role == "leader"
    assert etcd().join("db-1", [one], PLACE).outcome == "done"
    assert [peer.name for peer in etcd().peers([one], PLACE) or ()].count("db-1") == 1
    assert etcd().leave("db-1", [one], PLACE).outcome == "done"
    assert etcd().shake(one, held.leaves[CLIENT]).accepted
    bare = ssl.create_default_context(cadata=opened.bundle.decode())
    bare.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        pytest.raises(ssl.SSLError),
        socket.create_connection(("127.0.0.1", member.client), 5) as plain,
        bare.wrap_socket(plain, server_hostname="localhost"),
    ):
        pass


def test_etcd_answers_probes_in_the_clear_at_the_port_of_its_metrics(member: Member, held: Held) -> None:
    member.serves(tls.made(held, NOW))
    probes = etcd().container("3.5.16", True)
    for one in (probes.readiness, probes.liveness, probes.startup):
        asked = mapping_of(one, "httpGet")
        assert (asked["port"], asked["scheme"]) == ("metrics", "HTTP")
        assert probe(member.metrics, str(asked["path"])) == 200


def asked(context: ssl.SSLContext, port: int, path: str) -> bytes:
    """The first of an answer; b"" where the connection is closed instead."""
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname=PLACE.host("db-0")) as secured,
    ):
        try:
            secured.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            return secured.recv(100)
        except OSError:
            return b""


def test_a_clients_certificate_is_refused_where_members_talk_to_each_other(member: Member, held: Held) -> None:
    opened = tls.made(held, NOW)
    member.serves(opened)
    context = client_context(opened.bundle, *held.leaves[CLIENT].to_pem())
    assert asked(context, member.client, "/version").startswith(b"HTTP/1.1 200")
    assert asked(context, member.peer, "/version") == b""


def test_etcd_takes_up_a_renewed_certificate_by_itself_and_whom_it_trusts_at_its_start_alone(
    member: Member, held: Held
) -> None:
    opened = tls.made(held, NOW)
    member.serves(opened)
    prepared = members.step(held, NOW, tls.wanted(SERVICE), lambda: "", asked="1")
    assert isinstance(prepared, members.Write)
    coming = prepared.held.kept.next
    assert coming is not None
    mount(
        member.folder, replace(prepared.held, leaves=members.first(tls.wanted(SERVICE), NOW, own=held.kept.authority).leaves)
    )
    shown = etcd().shake(member.target(opened))
    assert shown.accepted
    assert shown.shown != tls.fingerprint(held.leaves[SERVER])
    probe_leaf = coming.issue(("operator.db.prod.svc",), NOW, usages=("client",))
    assert not etcd().shake(member.target(opened), probe_leaf).accepted
    member.stop()
    member.start()
    opened = tls.made(prepared.held, NOW)
    member.serves(opened)
    assert etcd().shake(member.target(opened), probe_leaf).accepted
