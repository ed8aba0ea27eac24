"""PostgreSQL, Redis and Valkey on real nodes: their volumes run full, and the node of the one that leads dies."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
import redis
from backup_kit import restic
from cluster_kit import eventually
from filling import BEGINNING, fill
from operated import Operated, dead, given, operated
from postgres_kit import Postgres
from postgres_kit import Writer as Inserting
from redis_kit import ROLES, Sessions
from redis_kit import Writer as Setting

NAME = "hard"
SMALL, LARGE = "512Mi", "1Gi"
VALUE = 1_000_000
REFUSED = (psycopg.Error, redis.RedisError)
Say = Callable[[str], None]


@dataclass
class Engine(ABC):
    """One of them, and how a test writes into it."""

    on: Operated

    @abstractmethod
    def put(self, number: int, value: str) -> None:
        """Writes a large value. Raises one of REFUSED."""

    @abstractmethod
    def kept(self, number: int) -> str:
        """What there is of it."""

    @abstractmethod
    def writer(self) -> Inserting | Setting:
        """Clients that write all along."""

    @abstractmethod
    def primary(self) -> str:
        """The member that the Service leads to."""


@dataclass
class Table(Engine):
    """PostgreSQL."""

    postgres: Postgres

    def put(self, number: int, value: str) -> None:
        with self.postgres.connect() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS large (id int PRIMARY KEY, value text)")
            connection.execute("INSERT INTO large VALUES (%s, %s) ON CONFLICT DO NOTHING", (number, value))

    def kept(self, number: int) -> str:
        with self.postgres.connect() as connection:
            row = connection.execute("SELECT value FROM large WHERE id = %s", (number,)).fetchone()
        return str(row[0]) if row is not None else ""

    def writer(self) -> Inserting:
        return Inserting(self.postgres)

    def primary(self) -> str:
        return self.postgres.primary()


@dataclass
class Keys(Engine):
    """Redis and Valkey."""

    sessions: Sessions
    _line: redis.Redis | None = None

    def put(self, number: int, value: str) -> None:
        self.line().set(f"large/{number}", value)

    def kept(self, number: int) -> str:
        return str(self.line().get(f"large/{number}") or "")

    def line(self) -> redis.Redis:
        """One for all: what opens it is asked of the cluster by kubectl."""
        if self._line is None:
            self._line = self.sessions.client(seconds=5)
        return self._line

    def close(self) -> None:
        if self._line is not None:
            self._line.close()

    def writer(self) -> Setting:
        return Setting(self.sessions)

    def primary(self) -> str:
        return self.sessions.primary()


@pytest.fixture(scope="module", params=["postgresql:17", "redis:7.0", "valkey:8.1"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    title = request.param.partition(":")[0]
    more = {"storage": {"size": SMALL}, "tls": {"enabled": True}}
    with operated(title, request.param, NAME, ROLES, namespace=f"hard-e2e-{title}", arguments=restic, **more) as one:
        one.settle(3)
        if title == "postgresql":
            yield Table(one, Postgres(one, tmp_path_factory.mktemp("postgres")))
        else:
            with contextlib.closing(Keys(one, Sessions(one, f"{title} {one.manifest['spec']['version']}"))) as keys:
                yield keys


def test_a_lost_node_of_the_one_that_leads_loses_nothing_that_others_had(engine: Engine, say: Say) -> None:
    if given():
        pytest.skip("a node is killed here: the cluster has to be the test's own")
    on = engine.on
    on.settle(3)
    leader = engine.primary()
    node = str(on.kubectl.get("pod", leader)["spec"]["nodeName"])
    with engine.writer() as writer:
        writer.more()
        with dead(node):
            eventually(lambda: engine.primary() not in ("", leader), "another leads", 120)
            writer.more()
        on.settle(3, 300)
        writer.more()
    lost = writer.lost()
    say(f"{engine.on.manifest['spec']['engine']}: the primary's node died: {len(lost)} lost; {writer.pace}")
    if isinstance(engine, Table):
        assert lost == []


def test_full_volumes_are_grown_and_nothing_is_lost(engine: Engine, say: Say) -> None:
    on, title = engine.on, engine.on.manifest["spec"]["engine"]
    on.settle(3)
    written = fill(engine.put, VALUE, *REFUSED)
    began = time.monotonic()
    on.change(storage={"size": LARGE})
    eventually(lambda: on.capacities() == {LARGE}, "all volumes are larger", 120)
    say(f"{title}: three full volumes of {SMALL} grown to {LARGE} in {time.monotonic() - began:.1f} s")
    on.settle(3, 400)
    say(f"{title}: all three serve again {time.monotonic() - began:.0f} s after growth was asked for")
    lost = [number for number, value in written.items() if engine.kept(number)[:BEGINNING] != value]
    say(f"{title}: {len(written)} acknowledged writes of a megabyte filled the volumes: {len(lost)} lost")
    assert lost == []
    with engine.writer() as writer:
        writer.more()
    assert not writer.lost()


def test_the_service_goes_with_its_volumes(engine: Engine) -> None:
    engine.on.delete()
    eventually(lambda: not engine.on.left(), "nothing is left", 60)
