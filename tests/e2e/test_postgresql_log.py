"""PostgreSQL on three real nodes with its log on a volume of its own: founded, copied, rewound and copied anew there."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from cluster_kit import eventually
from operated import operated
from postgres_kit import NAME, Postgres, Writer

from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask
from stateward.operator.drivers.schema import Http

LINK, WHERE = "/var/lib/postgresql/data/pgdata/pg_wal", "/var/lib/postgresql/wal/pg_wal"
REINITIALIZE = Http(port="patroni", path="/reinitialize", method="POST", login="patroni", text=True, seconds=10.0)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    roles = frozenset({"primary", "replica"})
    storage = {"size": "1Gi", "wal": {"size": "1Gi"}}
    namespace = "postgresql-log-e2e"
    with operated("postgresql", "postgresql:17", NAME, roles, namespace, storage=storage, tls={"enabled": True}) as one:
        yield Postgres(one, tmp_path_factory.mktemp("postgres"))


def links(postgres: Postgres) -> set[str]:
    """Where each member's log is."""
    names = [f"{NAME}-{number}" for number in range(3)]
    return {postgres.on.kubectl("exec", name, "-c", "engine", "--", "readlink", LINK).out.strip() for name in names}


def segments(postgres: Postgres, member: str) -> list[str]:
    found = postgres.on.kubectl.must("exec", member, "-c", "engine", "--", "ls", WHERE).out.split()
    return [name for name in found if len(name) == 24]


def test_members_are_founded_and_copied_with_their_log_on_its_own_volume(postgres: Postgres) -> None:
    postgres.on.settle(3)
    assert links(postgres) == {WHERE}
    assert all(segments(postgres, f"{NAME}-{number}") for number in range(3))


def test_it_stays_there_when_the_primary_dies_and_a_member_is_copied_anew_and_nothing_is_lost(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)
    with Writer(postgres) as writer:
        writer.more()
        postgres.on.kill(postgres.primary())
        writer.more()
        postgres.on.settle(3)
        primary = postgres.primary()
        replica = next(f"{NAME}-{number}" for number in range(3) if f"{NAME}-{number}" != primary)
        system = postgres.on.kubectl.must("exec", replica, "-c", "engine", "--", "stat", "-c", "%i", WHERE).out
        target = next(one for one in postgres.targets() if one.name == replica)

        def told() -> bool:
            try:
                ask(target, REINITIALIZE, {"force": True})
            except (RefusedError, NoAnswerError):
                return False
            return True

        eventually(told, f"{replica} is told to copy anew", 60)

        def anew() -> bool:
            found = postgres.on.kubectl("exec", replica, "-c", "engine", "--", "stat", "-c", "%i", WHERE)
            return found.passed and found.out != system

        eventually(anew, "its log is another", 90)
        writer.more()
        postgres.on.settle(3)
    say(f"postgresql: with its log on a volume of its own a primary was killed and a member copied anew under {writer.said}")
    assert writer.lost() == []
    assert links(postgres) == {WHERE}


def test_it_goes_with_both_volumes(postgres: Postgres) -> None:
    postgres.on.delete()
    eventually(lambda: postgres.on.kubectl.names("persistentvolumeclaims") == [], "all claims are gone", 60)
