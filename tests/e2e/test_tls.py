"""etcd with TLS on three real nodes: scaled and rotated under a client that shakes hands anew for each write."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import eventually
from operated import KIND, Operated, operated
from pace import Pace

NAME = "keys"
FRESH = 30.0
"""Seconds after which the client reads its certificate and whom to trust again; a kubelet takes as long to bring them."""


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


@dataclass
class Client:
    """An application that mounts the Secret for clients. Each call is a connection of its own."""

    one: Operated
    _known: tuple[float, ssl.SSLContext] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def context(self) -> ssl.SSLContext:
        with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > FRESH:
                self._known = (time.monotonic(), self._read())
            return self._known[1]

    def _read(self) -> ssl.SSLContext:
        data = self.one.kubectl.get("secret", f"{NAME}-client")["data"]
        files = {name: base64.b64decode(value) for name, value in data.items()}
        context = ssl.create_default_context(cadata=files["ca.crt"].decode())
        with tempfile.TemporaryDirectory() as folder:
            pair = Path(folder, "pair.pem")
            pair.write_bytes(files["tls.crt"] + files["tls.key"])
            context.load_cert_chain(pair)
        return context

    def ask(self, host: str, path: str, body: dict[str, Any], seconds: float = 3.0) -> dict[str, Any]:
        """A call to etcd's JSON gateway. Raises OSError."""
        connection = http.client.HTTPSConnection(host, 2379, timeout=seconds, context=Named(self.context()))  # type: ignore[arg-type]
        try:
            connection.request("POST", path, json.dumps(body))
            answer = connection.getresponse()
            found = json.loads(answer.read())
        except http.client.HTTPException as error:
            raise OSError(str(error)) from None
        finally:
            connection.close()
        if answer.status != 200 or not isinstance(found, dict):
            raise OSError(f"{path}: {answer.status}")
        return found


class Named:
    """A context that verifies the Service's name, for the test runs where no cluster DNS is."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def wrap_socket(self, plain: Any, server_hostname: str) -> ssl.SSLSocket:
        return self._context.wrap_socket(plain, server_hostname=NAME)


@dataclass
class Writer:
    """Writes all along through the Service, and keeps what was acknowledged."""

    client: Client
    host: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    certificates: list[str] = field(default_factory=list)
    """Handshakes that failed by what was shown or trusted."""
    failures: Counter[str] = field(default_factory=Counter)
    pace: Pace = field(default_factory=Pace)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Writer:
        self._began = time.monotonic()
        self.pace.again()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        count = 0
        while not self._stopping.is_set():
            key = f"{number}/{count:06}"
            try:
                self.client.ask(self.host, "/v3/kv/put", {"key": text(key), "value": text(f"v{key}")})
            except (OSError, ValueError) as error:
                self._failed(error)
                time.sleep(0.02)
                continue  # the same key again: whether it was written is unknown
            self.pace.acknowledged()
            self.acknowledged[key] = f"v{key}"
            count += 1

    def _failed(self, error: Exception) -> None:
        self.pace.failed()
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            self.certificates.append(f"{time.monotonic() - self._began:.1f} s: {error}")
        else:
            self.failures[type(error).__name__] += 1

    def lost(self) -> list[str]:
        """Acknowledged keys that are not there, or otherwise."""
        found: dict[str, str] = {}
        start = "\0"
        while True:
            body = {"key": text(start), "range_end": text("\0"), "limit": 2000}
            rows = self.client.ask(self.host, "/v3/kv/range", body, 30).get("kvs", [])
            for row in rows:
                found[base64.b64decode(row["key"]).decode()] = base64.b64decode(row["value"]).decode()
            if len(rows) < 2000:
                break
            start = base64.b64decode(rows[-1]["key"]).decode() + "\0"
        return [key for key, value in self.acknowledged.items() if found.get(key) != value]

    def told(self) -> str:
        refused = ", ".join(f"{name} {number}" for name, number in sorted(self.failures.items())) or "none"
        return (
            f"{len(self.acknowledged)} writes, a handshake each: {len(self.lost())} lost, "
            f"{len(self.certificates)} handshakes failed by a certificate, other failures: {refused}; {self.pace}"
        )


@pytest.fixture(scope="module")
def one() -> Iterator[Operated]:
    voters = frozenset({"leader", "follower"})
    with operated("etcd", "etcd:3.5", NAME, voters, namespace="tls-e2e", tls={"enabled": True}) as found:
        yield found


def test_members_are_added_and_taken_away_with_tls_and_nothing_is_lost(one: Operated, say: Callable[[str], None]) -> None:
    one.settle(3)
    with Writer(Client(one), one.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > 100, "writes are acknowledged")
        for members in (5, 3):
            one.change(members=members)
            one.settle(members, 300)
    say(f"etcd with TLS: 3, 5, 3 members under {writer.told()}")
    assert writer.lost() == []
    assert writer.certificates == []


def test_passwords_and_certificates_are_rotated_and_nothing_is_lost(one: Operated, say: Callable[[str], None]) -> None:
    one.settle(3)
    before = one.kubectl.get("secret", f"{NAME}-tls")["data"]

    def rotated() -> bool:
        notes = one.kubectl.get("statefulset", NAME)["metadata"]["annotations"]
        return bool(notes.get("stateward.dev/rotated") == "first")

    with Writer(Client(one), one.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > 100, "writes are acknowledged")
        began = time.monotonic()
        one.kubectl.must("annotate", KIND, NAME, "stateward.dev/rotate=first")
        eventually(rotated, "it is done", 900)
        took = time.monotonic() - began
        one.settle(3)
        count = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > count + 100, "writes go on")
    say(f"etcd with TLS: authority and certificates rotated in {took:.0f} s under {writer.told()}")
    after = one.kubectl.get("secret", f"{NAME}-tls")["data"]
    assert after["tls.crt"] != before["tls.crt"]
    assert base64.b64decode(after["ca.crt"]).count(b"BEGIN") == 2
    assert writer.lost() == []
    assert writer.certificates == []
    assert one.condition("Ready")["status"] == "True"
