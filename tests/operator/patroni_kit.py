"""Patroni of one cluster as its members answer, for tests of the driver of PostgreSQL."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Access, Driver, Place, Target

RECORDED = Path(__file__).parent / "engines" / "postgresql"
NAMES = ["orders-0", "orders-1", "orders-2"]
PASSWORDS = {name: f"{name}-secret" for name in ("superuser", "replication", "rewind", "patroni", "app")}


def recorded(version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RECORDED / f"patroni-{version}.json").read_text())
    return found


def driver() -> Driver:
    found = catalogue.find("postgresql")
    assert found is not None
    return found


def place(members: int = 3, version: str = "17.12", joins: bool = True, **parameters: Any) -> Place:
    return Place("shop", "orders", version, [f"orders-{number}" for number in range(members)], joins, parameters)


def merged(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """As Patroni does it: what is null goes."""
    found = dict(old)
    for name, value in patch.items():
        if value is None:
            found.pop(name, None)
        elif isinstance(value, dict):
            found[name] = merged(found.get(name) or {}, value)
        else:
            found[name] = value
    return found


@dataclass
class StandIn:
    """Patroni of one cluster, as its members answer: all of them on one port, orders-1 leads."""

    answers: dict[str, Any]
    port: int = 0
    asked: list[tuple[str, Any]] = field(default_factory=list)
    patched: bool = True
    """Whether what is accepted is done, too."""
    says: tuple[int, str] = (200, 'Successfully switched over to "orders-0"')
    """To a switchover."""

    def target(self, name: str = "orders-1", password: str = PASSWORDS["patroni"]) -> Target:
        return Target(name, "127.0.0.1", {"postgresql": 1, "patroni": self.port}, Access({"patroni": password}))

    def answer(self, method: str, path: str, body: Any, login: str) -> tuple[int, Any]:
        self.asked.append((f"{method} {path}", body))
        if method == "GET":
            return 200, self.answers[path.strip("/")]
        opened = base64.b64encode(f"patroni:{PASSWORDS['patroni']}".encode()).decode()
        if login != f"Basic {opened}":
            return 401, "not authenticated"
        if path == "/switchover":
            if self.says[0] == 200:
                self.answers["patroni"] = self.answers["replica"]
            return self.says
        if self.patched:
            self.answers["config"] = merged(self.answers["config"], body)
        return 200, self.answers["config"]


@contextmanager
def running(one: StandIn) -> Iterator[StandIn]:
    class Handler(BaseHTTPRequestHandler):
        def _any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            code, said = one.answer(self.command, self.path, body, self.headers.get("Authorization", ""))
            raw = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_POST = do_PATCH = _any  # noqa: N815 - as the standard library calls them

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    one.port = server.server_address[1]
    try:
        yield one
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
