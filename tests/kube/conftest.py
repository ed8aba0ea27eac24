"""An API server that keeps its own books and misbehaves on demand."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stateward.kube.backoff import Timing
from stateward.kube.client import Cluster
from stateward.kube.discovery import Resource

Object = dict[str, Any]
VERBS = frozenset({"get", "list", "watch"})
PODS = Resource("Pod", "", "v1", "pods", True, VERBS)
SETS = Resource("StatefulSet.apps", "apps", "v1", "statefulsets", True, VERBS)
FAST = Timing(page=500, watch=(20.0, 20.0), read=(5.0, 5.0), total=10.0, backoff=(0.02, 0.1), lived=5.0)


@dataclass
class Asked:
    """One request that the server got."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def watching(self) -> bool:
        return self.query.get("watch") == "true"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: FakeApi

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            super().handle()

    def setup(self) -> None:
        super().setup()
        self.api.connections.append(self.request)

    def answer(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            time.monotonic(),
            self.command,
            parts.path,
            dict(parse_qsl(parts.query)),
            {key.lower(): value for key, value in self.headers.items()},
            self.rfile.read(size),
        )
        with contextlib.suppress(OSError):
            self.api.answer(self, asked)

    do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer  # noqa: N815

    def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for key, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def begin(self) -> None:
        """Starts a chunked answer."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()

    def chunk(self, content: bytes) -> None:
        self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        self.wfile.flush()

    def event(self, kind: str, item: Any) -> None:
        self.chunk(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def end(self) -> None:
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()


Trick = Callable[[Handler, Asked], None]


class FakeApi:
    """Lists and watches of what was put into it, and tricks: answers that stand in for its own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.objects: dict[str, dict[tuple[str, str], Object]] = {}
        self.documents: dict[str, Any] = {}
        self.asked: list[Asked] = []
        self.connections: list[socket.socket] = []
        self.closing = False
        self._log: dict[str, list[tuple[int, str, Object]]] = {}
        self._version = 100
        self._changed = threading.Condition()
        self._next: dict[str, deque[Trick]] = {}
        self._always: dict[str, Trick] = {}
        handler = type("Bound", (Handler,), {"api": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = False
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    # --- what tests do -------------------------------------------------------------------------------------------

    def serve(self, resource: Resource) -> None:
        """The collection exists, empty."""
        self.objects.setdefault(resource.path, {})

    def put(self, resource: Resource, name: str, namespace: str = "prod", **more: Any) -> Object:
        """Creates or changes an object."""
        with self._changed:
            self._version += 1
            metadata = {"name": name, "resourceVersion": str(self._version), "uid": f"uid-{name}"}
            if resource.namespaced:
                metadata["namespace"] = namespace
            item: Object = {**more, "metadata": {**metadata, **more.get("metadata", {})}}
            space = self.objects.setdefault(resource.path, {})
            kind = "MODIFIED" if (namespace, name) in space else "ADDED"
            space[namespace, name] = item
            self._log.setdefault(resource.path, []).append((self._version, kind, item))
            self._changed.notify_all()
            return item

    def remove(self, resource: Resource, name: str, namespace: str = "prod") -> None:
        """Deletes an object."""
        with self._changed:
            self._version += 1
            item = self.objects[resource.path].pop((namespace, name))
            item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self._version)}}
            self._log.setdefault(resource.path, []).append((self._version, "DELETED", item))
            self._changed.notify_all()

    def bookmark(self, resource: Resource) -> str:
        """Tells watchers how far they are."""
        with self._changed:
            self._version += 1
            item = {"metadata": {"resourceVersion": str(self._version)}}
            self._log.setdefault(resource.path, []).append((self._version, "BOOKMARK", item))
            self._changed.notify_all()
            return str(self._version)

    def forget(self, resource: Resource) -> None:
        """The collection is no longer served."""
        with self._changed:
            del self.objects[resource.path]
            self._log.pop(resource.path, None)
            self._changed.notify_all()

    def next(self, what: str, *tricks: Trick) -> None:
        """The next answers to `LIST /path`, `WATCH /path` or `METHOD /path`."""
        self._next.setdefault(what, deque()).extend(tricks)

    def always(self, what: str, trick: Trick | None) -> None:
        """Every answer from now on, until None."""
        if trick is None:
            self._always.pop(what, None)
        else:
            self._always[what] = trick

    def lists(self, resource: Resource) -> list[Asked]:
        return [one for one in list(self.asked) if one.path == resource.path and not one.watching]

    def watches(self, resource: Resource) -> list[Asked]:
        return [one for one in list(self.asked) if one.path == resource.path and one.watching]

    def close(self) -> None:
        self.closing = True
        with self._changed:
            self._changed.notify_all()
        self.server.shutdown()
        self._thread.join()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.server.server_close()

    def sleep(self, seconds: float) -> None:
        """Silence, until then or until the server is closed."""
        deadline = time.monotonic() + seconds
        while not self.closing and time.monotonic() < deadline:
            time.sleep(0.01)

    # --- how it answers ------------------------------------------------------------------------------------------

    def answer(self, to: Handler, asked: Asked) -> None:
        self.asked.append(asked)
        verb = ("WATCH" if asked.watching else "LIST") if asked.method == "GET" else asked.method
        for what in (f"{verb} {asked.path}", f"{asked.method} {asked.path}"):
            waiting = self._next.get(what)
            if waiting:
                return waiting.popleft()(to, asked)
            if what in self._always:
                return self._always[what](to, asked)
        if asked.path in self.documents:
            return to.send(200, self.documents[asked.path])
        if asked.path not in self.objects:
            return to.send(404, status(404, "NotFound", "the server could not find the requested resource"))
        return self.watch(to, asked) if asked.watching else self.list(to, asked)

    def list(self, to: Handler, asked: Asked) -> None:
        with self._changed:
            items = list(self.objects[asked.path].values())
            version = str(self._version)
        start = int(asked.query.get("continue", "0"))
        limit = int(asked.query.get("limit", "0")) or len(items) + 1
        metadata = {"resourceVersion": version}
        if start + limit < len(items):
            metadata["continue"] = str(start + limit)
        to.send(200, {"kind": "List", "metadata": metadata, "items": items[start : start + limit]})

    def watch(self, to: Handler, asked: Asked) -> None:
        sent = int(asked.query["resourceVersion"])
        deadline = time.monotonic() + int(asked.query["timeoutSeconds"])
        to.begin()
        while not self.closing and time.monotonic() < deadline:
            with self._changed:
                due = [one for one in self._log.get(asked.path, []) if one[0] > sent]
                if not due:
                    if asked.path not in self.objects:
                        break
                    self._changed.wait(0.5)
                    continue
            for version, kind, item in due:
                to.event(kind, item)
                sent = version
        to.end()


def status(code: int, reason: str, message: str) -> Object:
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message}


def refuse(code: int, reason: str, message: str = "no", headers: dict[str, str] | None = None) -> Trick:
    """Answers with an error."""
    return lambda to, _: to.send(code, status(code, reason, message), headers)


def wait_for(condition: Callable[[], Any], seconds: float = 5.0) -> bool:
    """Whether it comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Clock:
    """A clock that tests turn."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Kit:
    """What the tests of this folder share: modules beside a test cannot be imported."""

    pods: Resource = PODS
    sets: Resource = SETS
    fast: Timing = FAST
    status = staticmethod(status)
    refuse = staticmethod(refuse)
    wait_for = staticmethod(wait_for)
    clock: type[Clock] = Clock


@pytest.fixture
def kit() -> Kit:
    return Kit()


@pytest.fixture
def api() -> Iterator[FakeApi]:
    server = FakeApi()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def kubeconfig(api: FakeApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return write_kubeconfig(tmp_path, api.url)


def write_kubeconfig(folder: Path, url: str, authority: Path | None = None) -> Path:
    file = folder / "kubeconfig"
    trust = f', certificate-authority: "{authority}"' if authority else ""
    file.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: here
contexts:
  - {{name: here, context: {{cluster: fake, user: me}}}}
  - {{name: nobody, context: {{cluster: fake, user: anonymous}}}}
clusters:
  - {{name: fake, cluster: {{server: "{url}"{trust}}}}}
users:
  - {{name: me, user: {{token: sesame}}}}
  - {{name: anonymous, user: {{}}}}
"""
    )
    return file


def certificate(folder: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[FakeApi, Path]]:
    """The same server over TLS, and a kubeconfig that trusts it."""
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = FakeApi(context)
    try:
        yield server, write_kubeconfig(tmp_path, server.url, pem)
    finally:
        server.close()


@pytest.fixture
def cluster(kubeconfig: Path) -> Iterator[Cluster]:
    found = Cluster.from_kubeconfig(kubeconfig, connect_seconds=2.0, read_seconds=5.0)
    try:
        yield found
    finally:
        found.close()
