"""Redis and Valkey on real nodes: how a test gets into them, and clients that write all along."""

from __future__ import annotations

import base64
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import redis
from operated import Operated
from pace import Clients, answered
from redis.backoff import NoBackoff
from redis.retry import Retry

NAME = "sessions"
ROLES = frozenset({"primary", "replica"})
Say = Callable[[str], None]


@dataclass
class Sessions:
    """The service, how one gets into it, and which image comes after its own."""

    on: Operated
    title: str
    later: Sequence[str] = ()

    def client(self, host: str = "", seconds: float = 1.0, port: int = 6379, **more: Any) -> redis.Redis:
        """Without a host, by the Service of the primary."""
        known = self.on.secret(f"{self.on.name}-app")
        spoken: dict[str, Any] = {}
        if known["uri"].startswith("rediss:"):
            # By address: the names in the certificate are those of Services.
            trusted = self.on.kubectl.get("configmap", f"{self.on.name}-ca")["data"]["ca.crt"]
            spoken = {"ssl": True, "ssl_ca_data": trusted, "ssl_check_hostname": False}
        given = {
            "password": known["password"],
            "socket_timeout": seconds,
            "socket_connect_timeout": seconds,
            "retry": Retry(NoBackoff(), 0),
            "decode_responses": True,
        }
        return redis.Redis(host=host or self.on.address(), port=port, **{**given, **spoken, **more})

    def primary(self) -> str:
        return str(self.on.status().get("primary", ""))

    def address(self, member: str) -> str:
        return str(self.on.kubectl.get("pod", member)["status"]["podIP"])

    def sentinel(self, member: str) -> tuple[int, int, int]:
        """Quorum, other Sentinels and replicas that a member's Sentinel knows."""
        with contextlib.closing(self.client(self.address(member), 3, 26379)) as line:
            known = line.sentinel_master("mymaster")
        return int(known["quorum"]), int(known["num-other-sentinels"]), int(known["num-slaves"])

    def known(self, members: int) -> bool:
        """Whether each Sentinel knows the others, and nobody else."""
        wanted = (members // 2 + 1, members - 1, members - 1)
        return all(self.sentinel(f"{self.on.name}-{number}") == wanted for number in range(members))

    def own(self) -> list[str]:
        """The Services of single members."""
        return sorted(name for name in self.on.kubectl.names("services") if name.endswith("-own"))


@dataclass
class Writer(Clients):
    """Clients that write through the Service, and keep when what was acknowledged."""

    of: Sessions
    acknowledged: dict[str, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.run = base64.b32encode(os.urandom(5)).decode()
        self._lines = [self.of.client() for _ in range(self.several)]
        super().__enter__()
        self.more()
        return self

    def write(self, number: int) -> None:
        count, line = 0, self._lines[number]
        while not self.stopping:
            key = f"{self.run}/{number}/{count:06}"
            try:
                line.set(key, f"v{key}")
            except redis.RedisError:
                self.pace.failed()
                line.close()
                time.sleep(0.02)
                continue  # the same key again: whether it was written is unknown
            self.pace.acknowledged()
            self.acknowledged[key] = time.monotonic()
            count += 1
            time.sleep(0.01)
        line.close()

    def lost(self) -> list[float]:
        """When each acknowledged write was acknowledged that is not there, or otherwise."""
        keys = list(self.acknowledged)

        def read() -> dict[str, Any]:
            found: dict[str, Any] = {}
            with contextlib.closing(self.of.client(seconds=30)) as line:
                for start in range(0, len(keys), 500):
                    some = keys[start : start + 500]
                    found |= dict(zip(some, line.mget(some), strict=True))
            return found

        found = answered(read, redis.ConnectionError, redis.TimeoutError)
        return sorted(self.acknowledged[key] for key in keys if found[key] != f"v{key}")


def told(sessions: Sessions, what: str, writer: Writer, say: Say, lost: Sequence[float]) -> None:
    say(f"{sessions.title}: {what}: {len(writer.acknowledged)} acknowledged writes, {len(lost)} lost; {writer.pace}")
