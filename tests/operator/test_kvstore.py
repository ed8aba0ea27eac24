"""kvstore: an engine that a user describes, and what becomes of the description."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from stateward.certs import members
from stateward.operator import refusals, tls
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.catalogue import FOLDER, EngineError
from stateward.operator.drivers.protocol import Access, Driver, Place, Target
from stateward.operator.objects import workload
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service, read

NOW = datetime.now(UTC)
IMAGE = "registry.test/kv:1.4.2"
GIVEN: dict[str, Any] = {
    "command": "kv-server --listen ':9000' --dir /var/kv",
    "port": 9000,
    "data": "/var/kv",
    "health": "/healthz",
    "user": 999,
}


def kvstore(**parameters: Any) -> Driver:
    found = catalogue.find("kvstore")
    assert found is not None
    assert found.problems("1.4.2", parameters) == []
    return found.of(parameters)


def model(**spec: Any) -> StatefulService:
    wanted = {"engine": "kvstore", "version": "1.4.2", "image": IMAGE, "members": 1, "storage": {"size": "1Gi"}}
    return StatefulService.model_validate(
        {"metadata": {"name": "kv", "namespace": "prod"}, "spec": {**wanted, "tls": {"enabled": False}, **spec}}
    )


def refused(**spec: Any) -> str:
    one = model(**spec)
    found = refusals.of_spec(one, read(one), catalogue.find(one.spec.engine))
    return found[1] if found is not None else ""


def test_what_the_parameters_say_is_what_runs() -> None:
    one = kvstore(**GIVEN).container("1.4.2")
    assert one.command == ["kv-server", "--listen", ":9000", "--dir", "/var/kv"]
    assert (one.ports, one.data, one.user) == ({"client": 9000}, "/var/kv", 999)
    assert one.readiness["httpGet"] == {"path": "/healthz", "port": "client", "scheme": "HTTP"}
    assert one.liveness["tcpSocket"] == {"port": "client"}


def test_without_parameters_the_image_starts_by_itself_and_its_port_is_asked() -> None:
    one = kvstore().container("1.4.2")
    assert (list(one.command), one.ports, one.data, one.user) == ([], {"client": 8080}, "/data", 1000)
    assert one.readiness["tcpSocket"] == {"port": "client"}
    running = Running(1, "1.4.2", IMAGE, "", "1Gi", {})
    (container,) = workload.pod(read(model()), one, running)["containers"]
    assert "command" not in container
    assert container["image"] == IMAGE


def test_two_services_are_described_each_in_its_own_way() -> None:
    first, second = kvstore(port=9001), kvstore(port=9002)
    assert (first.container("1").ports, second.container("1").ports) == ({"client": 9001}, {"client": 9002})
    assert kvstore().container("1").ports == {"client": 8080}


def test_a_file_is_what_the_user_wrote_to_the_letter() -> None:
    written = 'listen: {port}\nname = "{member.name}" {service.name} {nobody.knows}\n'
    place = Place("prod", "kv", "1.4.2", ["kv-0"], False, {"config": written})
    assert kvstore(config=written).configuration(place) == {"config": written}
    assert kvstore().configuration(Place("prod", "kv", "1.4.2", ["kv-0"], False)) == {}


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, ""),
        ({"parameters": GIVEN}, ""),
        ({"members": 3}, "members: 3: members of kvstore know nothing of each other, so 1 is the most"),
        ({"image": None}, "image: kvstore has none of its own; give one in spec.image"),
        ({"parameters": {"port": 80}}, "parameters.port: a number from 1024 to 65535 is wanted"),
        ({"parameters": {"port": "http"}}, "parameters.port: a whole number is wanted"),
        ({"parameters": {"data": "data"}}, "parameters.data: a text that matches"),
        ({"parameters": {"user": 0}}, "parameters.user: a number from 1 to 65535 is wanted"),
        ({"parameters": {"command": 'kv "--unclosed'}}, "parameters.command: it cannot be split into words"),
        ({"parameters": {"command": "  "}}, "parameters.command: a program and its arguments are wanted"),
        ({"parameters": {"comand": "kv"}}, "parameters.comand: no parameter of a single-process store"),
    ],
)
def test_what_cannot_be_run_is_refused_with_the_field(spec: dict[str, Any], said: str) -> None:
    message = refused(**spec)
    assert bool(message) == bool(said)
    assert said in message


class _Store(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def store() -> Iterator[Target]:
    server = http.server.HTTPServer(("127.0.0.1", 0), _Store)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield Target("kv-0", "127.0.0.1", {"client": server.server_address[1]})
    server.shutdown()
    thread.join()
    server.server_close()


def test_it_serves_where_its_path_answers_or_its_port_is_open(store: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kvstore(health="/healthz").see(store).healthy is True
    assert kvstore().see(store).healthy is True
    monkeypatch.setattr(_Store, "status", 503)
    seen = kvstore(health="/healthz").see(store)
    assert (seen.healthy, seen.reason) == (False, "kv-0: GET /healthz: 503: ok")
    assert kvstore().see(store).healthy is True


def test_a_store_that_does_not_answer_is_unknown() -> None:
    gone = Target("kv-0", "127.0.0.1", {"client": 9})
    assert kvstore().see(gone).healthy is None
    assert kvstore(health="/healthz").see(gone).healthy is None


def test_a_store_that_speaks_tls_is_given_the_files_and_starts_anew_unless_it_says_otherwise() -> None:
    one = kvstore(**GIVEN).container("1.4.2", True)
    assert (one.tls, one.secured, one.read_once) == ("/etc/stateward-tls", ["client"], ("trust", "certificate"))
    assert one.readiness["httpGet"]["scheme"] == "HTTPS"
    assert kvstore(reloads="everything").container("1.4.2", True).read_once == ()
    assert kvstore().container("1.4.2").tls == ""


def test_an_open_port_that_speaks_no_tls_is_no_answer_where_it_should() -> None:
    service = Service("prod", "kv", "1", "stateward.dev/v1beta1", "kvstore", "1", 1, "1Gi", tls=True)
    made = tls.made(members.first(tls.wanted(service), NOW), NOW)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answers() -> None:
            with server.accept()[0] as line:
                line.sendall(b"-ERR what\r\n" * 9)
                line.recv(4096)

        thread = threading.Thread(target=answers)
        thread.start()
        ports = {"client": server.getsockname()[1]}
        one = Target("kv-0", "127.0.0.1", ports, Access(tls=made), "kv-0.kv-members.prod.svc", frozenset(ports))
        seen = kvstore().see(one)
        thread.join()
        assert (seen.healthy, "does not speak TLS" in seen.reason) == (None, True), seen.reason
        assert "no certificates yet" in kvstore().see(replace(one, access=Access())).reason


def test_a_hole_that_no_parameter_fills_is_a_fault_of_the_folder(tmp_path: Any) -> None:
    data = yaml.safe_load((FOLDER / "kvstore" / "engine.yaml").read_text())
    data["run"]["data"] = "{parameters.nothing}"
    (tmp_path / "kvstore").mkdir()
    (tmp_path / "kvstore" / "engine.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(EngineError, match=r"run\.data"):
        catalogue.read(tmp_path / "kvstore")


def test_the_guide_shows_the_file_as_it_is() -> None:
    guide = (Path(__file__).resolve().parents[2] / "docs" / "adding-an-engine.md").read_text()
    shown, service = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL))
    assert shown == yaml.safe_load((FOLDER / "kvstore" / "engine.yaml").read_text())
    one = StatefulService.model_validate(service)
    assert one.spec.tls.enabled
    assert all(f"/etc/stateward-tls/{name}" in service["spec"]["parameters"]["command"] for name in ("tls.crt", "tls.key"))
    assert refusals.of_spec(one, read(one), catalogue.find("kvstore")) is None
