"""etcd with TLS on three real nodes: scaled and rotated under a client that shakes hands anew for each write."""

from __future__ import annotations

import base64
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import pytest
from cluster_kit import eventually
from etcd_kit import Ask, Line, Writer
from operated import KIND, Operated, operated

NAME = "keys"
FRESH = 30.0
"""Seconds after which the client reads its certificate and whom to trust again; a kubelet takes as long to bring them."""


@dataclass
class Client:
    """An application that mounts the Secret for clients. Each call is a connection of its own."""

    one: Operated
    host: str
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

    def __call__(self, path: str, body: dict[str, Any], seconds: float = 3.0) -> dict[str, Any]:
        """A call to etcd's JSON gateway, by a connection of its own. Raises OSError."""
        line = Line(self.host, cast(ssl.SSLContext, Named(self.context())))
        with closing(line):
            return line(path, body, seconds)

    def close(self) -> None:
        """Nothing is kept open."""


class Named:
    """A context that verifies the Service's name, for the test runs where no cluster DNS is."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def wrap_socket(self, plain: Any, server_hostname: str) -> ssl.SSLSocket:
        return self._context.wrap_socket(plain, server_hostname=NAME)


@dataclass
class Handshakes(Writer):
    """Clients that shake hands anew for each write."""

    client: Client = field(kw_only=True)
    certificates: list[str] = field(default_factory=list)
    """Handshakes that failed by what was shown or trusted."""
    failures: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        return super().__enter__()

    def line(self) -> Ask:
        return self.client

    def failed(self, error: OSError) -> None:
        super().failed(error)
        if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            self.certificates.append(f"{time.monotonic() - self._began:.1f} s: {error}")
        else:
            self.failures[type(error).__name__] += 1

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
    with Handshakes(one.address(), client=Client(one, one.address())) as writer:
        writer.more(100)
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

    with Handshakes(one.address(), client=Client(one, one.address())) as writer:
        writer.more(100)
        began = time.monotonic()
        one.kubectl.must("annotate", KIND, NAME, "stateward.dev/rotate=first")
        eventually(rotated, "it is done", 900)
        took = time.monotonic() - began
        one.settle(3)
        writer.more(100)
    say(f"etcd with TLS: authority and certificates rotated in {took:.0f} s under {writer.told()}")
    after = one.kubectl.get("secret", f"{NAME}-tls")["data"]
    assert after["tls.crt"] != before["tls.crt"]
    assert base64.b64decode(after["ca.crt"]).count(b"BEGIN") == 2
    assert writer.lost() == []
    assert writer.certificates == []
    assert one.condition("Ready")["status"] == "True"
