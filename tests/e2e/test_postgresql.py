"""PostgreSQL, run by Stateward on three real nodes: what was acknowledged is there, whatever goes meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from cluster_kit import eventually
from operated import KIND, operated
from postgres_kit import NAME, Postgres, Writer

from stateward.operator.drivers import catalogue
from stateward.operator.drivers.http import ask
from stateward.operator.drivers.schema import Http


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    roles = frozenset({"primary", "replica"})
    more = {"storage": {"size": "1Gi"}, "tls": {"enabled": True}}
    with operated("postgresql", "postgresql:17", NAME, roles, **more) as one:
        yield Postgres(one, tmp_path_factory.mktemp("postgres"))


def test_three_members_come_up_with_one_primary_and_a_database_for_the_application(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    began = time.monotonic()
    postgres.on.settle(3)
    say(f"postgresql: three members serve after {time.monotonic() - began:.1f} s")
    status = postgres.on.status()
    assert sorted(one["role"] for one in status["members"]) == ["primary", "replica", "replica"]
    assert len({one["node"] for one in status["members"]}) == 3
    assert {one.get("lagUnit") for one in status["members"] if one["role"] == "replica"} == {"bytes"}
    assert status["runningVersion"] == postgres.on.service()["spec"]["version"]
    with postgres.connect() as connection:
        assert connection.execute("SHOW data_checksums").fetchone() == ("on",)
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'app'").fetchone() == (False,)
        connection.execute("CREATE TABLE mine (id int)")
        connection.execute("DROP TABLE mine")


def test_nobody_gets_in_without_tls(postgres: Postgres) -> None:
    postgres.on.settle(3)
    with pytest.raises(psycopg.OperationalError, match=r"no encryption"):
        psycopg.connect(**{**postgres.connection(), "sslmode": "disable", "sslrootcert": None})


def test_nobody_gets_in_as_the_superuser_over_the_network(postgres: Postgres) -> None:
    postgres.on.settle(3)
    password = postgres.on.secret(f"{NAME}-credentials")["superuser"]
    for user in ("postgres", "replicator"):
        with pytest.raises(psycopg.OperationalError, match=r"pg_hba\.conf rejects"):
            psycopg.connect(**{**postgres.connection(), "user": user, "password": password})


def test_a_switchover_loses_nothing_and_may_be_asked_for_twice(postgres: Postgres, say: Callable[[str], None]) -> None:
    postgres.on.settle(3)
    driver = catalogue.find("postgresql")
    assert driver is not None

    def told(member: str) -> str:
        done = driver.switchover(member, postgres.targets(), postgres.place())
        assert done.outcome != "refused" or "leader name does not match" in done.reason, done
        return done.outcome

    with Writer(postgres) as writer:
        writer.more()
        before = postgres.primary()
        for _ in range(2):
            # Unknown: it was accepted, and the new one does not say yet that it leads.
            eventually(lambda: told(before) == "done", "it is handed over", 60)
            eventually(lambda: postgres.primary() not in ("", before), "another leads", 30)
        writer.more()
    say(f"postgresql: switchover under {writer.said}")
    assert writer.lost() == []
    postgres.on.settle(3)


def test_a_switchover_that_somebody_asks_for_loses_nothing(postgres: Postgres, say: Callable[[str], None]) -> None:
    postgres.on.settle(3)
    with Writer(postgres) as writer:
        writer.more()
        postgres.on.switch_over("asked-for")
        writer.more()
    say(f"postgresql: a switchover that was asked for, under {writer.said}")
    assert writer.lost() == []


def test_no_acknowledged_write_is_lost_when_the_primary_crashes_or_its_pod_is_killed(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)
    with Writer(postgres) as writer:
        writer.more()
        # Everything in its container dies at once, without a word.
        postgres.on.kubectl("exec", postgres.primary(), "--", "sh", "-c", "kill -9 -1")
        writer.more()
        postgres.on.settle(3)
    say(f"postgresql: the primary crashed under {writer.said}")
    assert writer.lost() == []
    with Writer(postgres) as writer:
        writer.more()
        postgres.on.kill(postgres.primary())
        writer.more()
        postgres.on.settle(3)
    say(f"postgresql: the primary's pod was killed under {writer.said}")
    assert writer.lost() == []


def test_writes_go_on_while_a_replica_is_away(postgres: Postgres, say: Callable[[str], None]) -> None:
    postgres.on.settle(3)
    primary = postgres.primary()
    replica = next(f"{NAME}-{number}" for number in range(3) if f"{NAME}-{number}" != primary)
    with Writer(postgres) as writer:
        writer.more()
        postgres.on.kill(replica)
        writer.more()
        postgres.on.settle(3)
    say(f"postgresql: a replica was killed under {writer.said}")
    assert writer.lost() == []
    assert postgres.primary() == primary


def test_members_are_added_and_taken_away_the_primary_too_and_nothing_is_lost(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)
    with Writer(postgres) as writer:
        writer.more()
        for members in (5, 3, 5, 3):  # the second time over what the first left behind
            if members == 3 and shared(postgres)["synchronous_mode"] == "quorum":  # else only who is named may lead
                postgres.hand_over_to(f"{NAME}-4")  # the first to go leads
            began = time.monotonic()
            postgres.on.change(members=members)
            postgres.on.settle(members, 300)
            say(f"postgresql: scaled to {members} in {time.monotonic() - began:.0f} s")
            assert shared(postgres)["synchronous_node_count"] == members // 2
        writer.more()
    say(f"postgresql: 3, 5, 3, 5, 3 members under {writer.said}")
    assert writer.lost() == []


def test_parameters_reach_all_members_and_go_again(postgres: Postgres) -> None:
    postgres.on.settle(3)

    def seen() -> object:
        with postgres.connect() as connection:
            return connection.execute("SHOW work_mem").fetchone()

    assert seen() == ("4MB",)
    postgres.on.change(parameters={"work_mem": "9MB"})
    eventually(lambda: seen() == ("9MB",), "it is set", 30)
    postgres.on.change(parameters={"work_mem": None})
    eventually(lambda: seen() == ("4MB",), "it is gone", 30)


def test_members_are_restarted_one_by_one_for_what_they_take_at_their_start(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)

    def seen() -> object:
        try:
            with postgres.connect() as connection:
                return connection.execute("SHOW max_connections").fetchone()
        except psycopg.Error:
            return None

    with Writer(postgres) as writer:
        writer.more()
        began = time.monotonic()
        postgres.on.change(parameters={"max_connections": 150})
        eventually(lambda: seen() == ("150",), "the primary has it", 240)
        postgres.on.settle(3)
        took = time.monotonic() - began
        writer.more()
    say(f"postgresql: three members restarted in {took:.0f} s, the primary by a switchover, under {writer.said}")
    assert writer.lost() == []


def test_passwords_are_made_anew_while_clients_write_and_nobody_is_cut_off(
    postgres: Postgres, say: Callable[[str], None]
) -> None:
    postgres.on.settle(3)
    pods = {one["metadata"]["uid"]: one["metadata"]["name"] for one in postgres.on.pods()}
    before, where = postgres.on.secret(f"{NAME}-credentials"), postgres.connection()
    with Writer(postgres) as writer:
        writer.more()
        began = time.monotonic()
        value = f"at-{time.time():.0f}"
        postgres.on.kubectl.must("annotate", KIND, NAME, f"stateward.dev/rotate={value}", "--overwrite")
        eventually(
            lambda: postgres.on.secret(f"{NAME}-app")["password"] != before["app"], "the application has another", 400
        )
        told = time.monotonic() - began

        def done() -> bool:
            time.sleep(1)
            notes = postgres.on.kubectl.get("statefulset", NAME)["metadata"]["annotations"]
            return bool(notes.get("stateward.dev/rotated") == value)

        eventually(done, "the request is done", 400)
        took = time.monotonic() - began
        writer.more()
    say(
        f"postgresql: passwords changed after {told:.0f} s, certificates too after {took:.0f} s, {writer.refused} times "
        f"somebody came with an old one, under {writer.said}"
    )
    assert writer.lost() == []
    after = postgres.on.secret(f"{NAME}-credentials")
    assert set(after) == set(before)
    assert not set(after.values()) & set(before.values())
    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(**where)
    with postgres.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    known = {*before.values(), *after.values()}
    for name in pods.values():
        log = postgres.on.kubectl.must("logs", name, "-c", "engine").out
        assert not [word for word in known if word in log]
        assert "SCRAM-SHA-256$" not in log
    # Replication begins anew with the new ones, and a hand-over is still taken.
    replica = next(name for name in pods.values() if name != postgres.primary())
    postgres.on.kill(replica)
    postgres.on.settle(3)
    postgres.hand_over_to(replica)
    postgres.on.settle(3)


def test_claims_that_stay_are_opened_by_a_service_made_anew(postgres: Postgres, say: Callable[[str], None]) -> None:
    postgres.on.settle(3)
    with Writer(postgres) as writer:
        writer.more()
    postgres.on.change(deletionPolicy={"claims": "Retain"})
    postgres.on.delete()
    postgres.on.create()
    began = time.monotonic()
    postgres.on.settle(3)
    say(f"postgresql: deleted and made anew over its claims in {time.monotonic() - began:.0f} s, under {writer.said}")
    assert writer.lost() == []


def test_a_deleted_service_takes_all_along_where_that_is_asked_for(postgres: Postgres) -> None:
    postgres.on.change(deletionPolicy={"claims": "Delete"})
    postgres.on.delete()
    eventually(lambda: not postgres.on.left(), "nothing is left", 60)
    assert not [name for name in postgres.on.kubectl.names("configmaps") if name.startswith(NAME)]


def shared(postgres: Postgres) -> dict[str, object]:
    """What Patroni says that all members share."""
    found: dict[str, object] = ask(postgres.targets()[0], Http(port="patroni", path="/config"))
    return found
