"""PostgreSQL on real nodes: how a test gets into it, and clients that write all along."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import psycopg
from cluster_kit import eventually
from operated import Operated
from pace import Clients, answered

from stateward.certs.context import client_context
from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask
from stateward.operator.drivers.protocol import Access, Place, Target
from stateward.operator.drivers.schema import Http
from stateward.operator.tls import Tls

NAME = "orders"
WRITERS = 8
HAND_OVER = Http(port="patroni", path="/switchover", method="POST", login="patroni", text=True, seconds=30.0)


@dataclass
class Postgres:
    """The service, and how one gets into it."""

    on: Operated
    folder: Path

    def connection(self) -> dict[str, Any]:
        """How an application connects: by the Service's name, to whoever leads, whose certificate it verifies."""
        known = self.on.secret(f"{self.on.name}-app")
        trusted = self.folder / f"{self.on.name}.crt"
        written = trusted.with_suffix(".new")
        written.write_text(self.on.kubectl.get("configmap", f"{self.on.name}-ca")["data"]["ca.crt"])
        written.replace(trusted)
        return {
            "host": known["host"],
            "hostaddr": self.on.address(),
            "dbname": known["dbname"],
            "user": known["username"],
            "password": known["password"],
            "sslmode": known["sslmode"],
            "sslrootcert": str(trusted),
            "connect_timeout": 2,
            "target_session_attrs": "read-write",
            "tcp_user_timeout": 2000,
            "keepalives_idle": 1,
            "keepalives_interval": 1,
            "keepalives_count": 2,
            "autocommit": True,
        }

    def connect(self) -> psycopg.Connection[tuple[object, ...]]:
        """Raises psycopg.Error."""
        return psycopg.connect(**self.connection())

    def primary(self) -> str:
        """The member that the Service for clients leads to."""
        time.sleep(0.2)
        selector = self.on.kubectl.get("service", self.on.name)["spec"]["selector"]
        pods = self.on.kubectl.names("pods", "-l", ",".join(f"{label}={value}" for label, value in selector.items()))
        return pods[0] if len(pods) == 1 else ""

    def targets(self) -> list[Target]:
        """The members, as the operator asks them, with the certificate of applications."""
        shown = self.on.secret(f"{self.on.name}-client")
        context = client_context(*(shown[name].encode() for name in ("ca.crt", "tls.crt", "tls.key")))
        tls = cast(Tls, SimpleNamespace(context=context))
        access = Access(self.on.secret(f"{self.on.name}-credentials"), tls=tls)
        pods = self.on.kubectl.get("pods", "-l", f"stateward.dev/service={self.on.name}")["items"]
        ports = {"postgresql": 5432, "patroni": 8008}
        return [
            Target(name, pod["status"]["podIP"], ports, access, self.place().host(name), frozenset(["patroni"]))
            for pod in pods
            if (name := pod["metadata"]["name"])
        ]

    def place(self) -> Place:
        names = [f"{self.on.name}-{number}" for number in range(3)]
        return Place(self.on.kubectl.namespace, self.on.name, self.on.manifest["spec"]["version"], names, True)

    def hand_over_to(self, member: str) -> None:
        """By Patroni's own command, to one that is named."""
        target = self.targets()[0]

        def told() -> bool:
            if self.primary() == member:
                return True
            with contextlib.suppress(RefusedError, NoAnswerError):  # a member that has just come is no candidate yet
                ask(target, HAND_OVER, {"leader": self.primary(), "candidate": member})
            return False

        eventually(told, f"{member} leads", 60)


@dataclass
class Writer(Clients):
    """Clients that insert through the Service, and keep what was acknowledged."""

    on: Postgres
    several: int = field(default=WRITERS, kw_only=True)
    acknowledged: set[tuple[int, int]] = field(default_factory=set)
    refused: int = 0
    """Times that a client came with a password that is no more."""
    said: str = ""
    """How it went, once it has ended."""
    _reading: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        self._where = self.on.connection()
        with self.on.connect() as connection:
            connection.execute("DROP TABLE IF EXISTS written")
            connection.execute("CREATE TABLE written (writer int, count int, PRIMARY KEY (writer, count))")
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        self.said = f"{len(self.acknowledged)} writes, {self.pace}"

    def write(self, number: int) -> None:
        count = 0
        while not self.stopping:
            try:
                with psycopg.connect(**self._where) as connection:
                    while not self.stopping:
                        # Whether it was written is unknown after a failure: then the same again.
                        connection.execute("INSERT INTO written VALUES (%s, %s) ON CONFLICT DO NOTHING", (number, count))
                        self.pace.acknowledged()
                        self.acknowledged.add((number, count))
                        count += 1
                        time.sleep(0.01)
            except psycopg.Error as error:
                self.pace.failed()
                time.sleep(0.05)
                self._look_again(str(error))

    def _look_again(self, why: str) -> None:
        """As one that reads its Secret and its ca.crt again."""
        self.refused += "authentication failed" in why
        if "authentication failed" in why or "certificate verify failed" in why:
            with self._reading:
                self._where = self.on.connection()

    def lost(self) -> list[tuple[int, int]]:
        """Acknowledged rows that are not there."""

        def read() -> set[Any]:
            with self.on.connect() as connection:
                return set(connection.execute("SELECT writer, count FROM written").fetchall())

        found = answered(read, psycopg.OperationalError)
        return sorted(self.acknowledged - found)
