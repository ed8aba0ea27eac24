"""etcd on real nodes: calls to it, and clients that write all along."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

from pace import Clients, answered

VOTERS = frozenset({"leader", "follower"})


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


class Ask(Protocol):
    """A call to etcd's JSON gateway."""

    def __call__(self, path: str, body: dict[str, Any], seconds: float = 3.0) -> dict[str, Any]:
        """Raises OSError."""

    def close(self) -> None:
        """Lets go of what it keeps open."""


@dataclass
class Line:
    """A connection to etcd's JSON gateway that is kept until it fails. For one thread."""

    host: str
    tls: ssl.SSLContext | None = None
    _open: http.client.HTTPConnection | None = None

    def __call__(self, path: str, body: dict[str, Any], seconds: float = 3.0) -> dict[str, Any]:
        """See `Ask`."""
        line = self._open or self._connection(seconds)
        self._open = None
        try:
            line.request("POST", path, json.dumps(body))
            answer = line.getresponse()
            found = json.loads(answer.read())
            if answer.status != 200 or not isinstance(found, dict):
                raise OSError(f"{path}: {answer.status}")
        except (http.client.HTTPException, ValueError, OSError) as error:
            line.close()
            raise error if isinstance(error, OSError) else OSError(str(error)) from None
        self._open = line
        return found

    def close(self) -> None:
        if self._open is not None:
            self._open.close()

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if self.tls is not None:
            return http.client.HTTPSConnection(self.host, 2379, timeout=seconds, context=self.tls)
        return http.client.HTTPConnection(self.host, 2379, timeout=seconds)


def ask(host: str, path: str, body: dict[str, Any], seconds: float = 3.0) -> dict[str, Any]:
    """One call, by a connection of its own. Raises OSError."""
    with closing(Line(host)) as line:
        return line(path, body, seconds)


def held(call: Ask) -> dict[str, str]:
    """All keys and values."""
    return dict(_pages(call))


def _pages(call: Ask) -> Iterator[tuple[str, str]]:
    start = "\0"
    while True:
        body = {"key": text(start), "range_end": text("\0"), "limit": 2000}
        rows = call("/v3/kv/range", body, 30).get("kvs", [])
        for row in rows:
            yield base64.b64decode(row["key"]).decode(), base64.b64decode(row["value"]).decode(errors="replace")
        if len(rows) < 2000:
            return
        start = base64.b64decode(rows[-1]["key"]).decode() + "\0"


@dataclass
class Writer(Clients):
    """Clients that write through the Service, and keep what was acknowledged."""

    host: str
    acknowledged: dict[str, str] = field(default_factory=dict)

    def write(self, number: int) -> None:
        count = 0
        with closing(self.line()) as call:
            while not self.stopping:
                key = f"{number}/{count:06}"
                try:
                    call("/v3/kv/put", {"key": text(key), "value": text(f"v{key}")})
                except OSError as error:
                    self.failed(error)
                    time.sleep(0.02)
                    continue  # the same key again: whether it was written is unknown
                self.pace.acknowledged()
                self.acknowledged[key] = f"v{key}"
                count += 1

    def line(self) -> Ask:
        """How one client calls."""
        return Line(self.host)

    def failed(self, _: OSError) -> None:
        self.pace.failed()

    def lost(self) -> list[str]:
        """Acknowledged keys that are not there, or otherwise."""
        with closing(self.line()) as call:
            found = answered(lambda: held(call), OSError)
        return [key for key, value in self.acknowledged.items() if found.get(key) != value]
