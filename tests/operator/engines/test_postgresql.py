"""PostgreSQL's driver before Patroni's own answers, as they were recorded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from patroni_kit import NAMES, PASSWORDS, StandIn, driver, place, recorded, running

from stateward.operator.drivers.protocol import Access, Place, Seen, Target


@pytest.fixture(params=["4.0.7", "3.0.2"])
def patroni(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    found = recorded(request.param)
    with running(StandIn({**found, "patroni": found["primary"]})) as one:
        yield one


@pytest.fixture
def newer() -> Iterator[StandIn]:
    found = recorded("4.0.7")
    with running(StandIn({**found, "patroni": found["primary"]})) as one:
        yield one


def replica(one: StandIn, name: str = "orders-0") -> Seen:
    return driver().see(one.target(name))


def all_seen(*, knows: bool = True, members: int = 3) -> list[Seen]:
    several = frozenset(["quorum"]) if knows else frozenset()
    return [Seen(f"orders-{number}", True, knows=several) for number in range(members)]


# --- how a member is -----------------------------------------------------------------------------------------------


def test_the_primary_says_its_role_and_version(patroni: StandIn) -> None:
    seen = driver().see(patroni.target())
    version = {170012: "17.12", 150020: "15.20"}[patroni.answers["primary"]["server_version"]]
    assert (seen.healthy, seen.role, seen.version, seen.lag, seen.reason) == (True, "primary", version, None, "")
    assert [asked for asked, _ in patroni.asked] == ["GET /patroni"]


def test_a_replica_says_how_many_bytes_it_is_behind(patroni: StandIn) -> None:
    patroni.answers["patroni"] = patroni.answers["replica"]
    row = next(one for one in patroni.answers["cluster"]["members"] if one["role"] != "leader")
    row["lag"] = 4096
    seen = replica(patroni, row["name"])
    assert (seen.healthy, seen.role, seen.lag, seen.lag_unit) == (True, "replica", 4096, "bytes")


@pytest.mark.parametrize(
    ("status", "row", "said"),
    [
        ({"state": "starting"}, {}, "PostgreSQL is starting"),
        ({"state": "creating replica", "role": "uninitialized"}, {}, "PostgreSQL is creating replica"),
        ({"replication_state": "stopping"}, {}, "it does not follow orders-1: stopping"),
        ({"replication_state": None}, {}, "it does not follow orders-1 yet"),
        ({"timeline": 7}, {}, "it is on timeline 7, orders-1 on 1"),
        ({}, {"role": "replica"}, "it follows nobody: no member leads"),
    ],
)
def test_a_replica_that_does_not_follow_is_not_healthy_and_says_why(
    newer: StandIn, status: dict[str, Any], row: dict[str, Any], said: str
) -> None:
    newer.answers["patroni"] = {**newer.answers["replica"], **status}
    newer.answers["cluster"]["members"][1].update(row)
    seen = replica(newer)
    assert (seen.healthy, seen.reason) == (False, said)
    assert seen.role in ("replica", "")


def test_a_lag_that_nobody_knows_is_none(newer: StandIn) -> None:
    newer.answers["patroni"] = newer.answers["replica"]
    newer.answers["cluster"]["members"][0]["lag"] = "unknown"
    assert replica(newer).lag is None


@pytest.mark.parametrize("answer", [[], "x", 7, {}, {"state": 1}, {"state": "running", "role": ["primary"], "patroni": 1}])
def test_an_answer_of_another_shape_is_no_fault_and_nobody_leads_by_it(newer: StandIn, answer: Any) -> None:
    newer.answers["patroni"] = answer
    assert driver().see(newer.target()).role == ""


def test_a_member_that_does_not_answer_is_unknown() -> None:
    seen = driver().see(Target("orders-0", "127.0.0.1", {"patroni": 9}, Access()))
    assert (seen.healthy, seen.role) == (None, "")


# --- what all members share ----------------------------------------------------------------------------------------


def test_patroni_before_4_is_asked_for_named_replicas() -> None:
    found = recorded("3.0.2")
    with running(StandIn({**found, "patroni": found["primary"]})) as older:
        primary = driver().see(older.target())
        older.answers["patroni"] = found["replica"]
        seen = [primary, *(driver().see(older.target(name)) for name in ("orders-0", "orders-2"))]
        by_name = [replace(one, name=name) for one, name in zip(seen, NAMES, strict=True)]
        assert driver().unsettled(by_name, [older.target()], place(version="15.20")) == []


def test_what_was_recorded_of_a_settled_service_is_settled(newer: StandIn) -> None:
    assert driver().unsettled(all_seen(), [newer.target()], place(work_mem="8MB")) == []


def test_a_parameter_is_set_and_taken_away_and_each_may_be_said_twice(newer: StandIn) -> None:
    for wanted in (place(work_mem="16MB", max_connections=200), place()):
        assert driver().unsettled(all_seen(), [newer.target()], wanted)
        for _ in range(2):
            assert driver().settle(all_seen(), [newer.target()], wanted).outcome == "done"
        assert driver().unsettled(all_seen(), [newer.target()], wanted) == []
    now = newer.answers["config"]["postgresql"]["parameters"]
    assert "work_mem" not in now
    assert now["max_connections"] == 100  # what the folder says, where nobody asks for another
    assert len([asked for asked, _ in newer.asked if asked.startswith("PATCH")]) == 2


def test_what_somebody_else_has_set_is_set_back_and_what_nobody_here_knows_is_left(newer: StandIn) -> None:
    newer.answers["config"]["synchronous_mode"] = False
    newer.answers["config"]["maximum_lag_on_syncnode"] = 5
    assert driver().unsettled(all_seen(), [newer.target()], place(work_mem="8MB")) == ["synchronous_mode"]
    assert driver().settle(all_seen(), [newer.target()], place(work_mem="8MB")).outcome == "done"
    assert newer.answers["config"]["maximum_lag_on_syncnode"] == 5


@pytest.mark.parametrize(
    ("members", "wanted"),
    [
        (1, {"synchronous_mode_strict": False, "synchronous_node_count": 1}),
        (2, {"synchronous_mode_strict": False, "synchronous_node_count": 1}),
        (3, {"synchronous_mode_strict": True, "synchronous_node_count": 1}),
        (4, {"synchronous_mode_strict": True, "synchronous_node_count": 2}),
        (5, {"synchronous_mode_strict": True, "synchronous_node_count": 2}),
    ],
)
def test_each_acknowledged_write_is_on_a_majority(newer: StandIn, members: int, wanted: dict[str, Any]) -> None:
    driver().settle(all_seen(members=members), [newer.target()], place(members))
    assert wanted.items() <= newer.answers["config"].items()
    assert newer.answers["config"]["synchronous_mode"] == "quorum"


def test_a_member_that_takes_quorum_for_off_keeps_all_at_named_replicas(newer: StandIn) -> None:
    seen = [*all_seen()[:2], Seen("orders-2", True)]
    assert driver().settle(seen, [newer.target()], place()).outcome == "done"
    assert newer.answers["config"]["synchronous_mode"] is True


@pytest.mark.parametrize("current", [True, "quorum"])
def test_a_member_that_does_not_answer_changes_nothing_of_it(newer: StandIn, current: Any) -> None:
    newer.answers["config"]["synchronous_mode"] = current
    seen = [*all_seen()[:2], Seen("orders-2", None)]
    assert driver().unsettled(seen, [newer.target()], place(work_mem="8MB")) == []


def test_settings_that_were_accepted_and_are_not_to_be_seen_are_unknown(newer: StandIn) -> None:
    newer.patched = False
    assert driver().settle(all_seen(), [newer.target()], place()).outcome == "unknown"


def test_settings_that_nobody_gives_are_unknown() -> None:
    nobody = Target("orders-0", "127.0.0.1", {"patroni": 9}, Access())
    assert driver().unsettled(all_seen(), [nobody], place()) is None
    assert driver().settle(all_seen(), [nobody], place()).outcome == "unknown"


def test_a_wrong_password_is_refused_and_not_said(newer: StandIn) -> None:
    done = driver().settle(all_seen(), [newer.target(password="guessed")], place())
    assert done.outcome == "refused"
    assert "guessed" not in done.reason


# --- switchover ----------------------------------------------------------------------------------------------------


def test_a_switchover_is_done_where_the_member_does_not_lead_any_more(newer: StandIn) -> None:
    leads = {**newer.answers["primary"]}
    with running(StandIn({**newer.answers, "patroni": newer.answers["replica"]})) as other:
        answer = newer.answer

        def handed(method: str, path: str, body: Any, login: str) -> tuple[int, Any]:
            code, said = answer(method, path, body, login)
            if path == "/switchover" and code == 200:
                other.answers["patroni"] = leads
            return code, said

        newer.answer = handed  # type: ignore[method-assign]
        targets = [newer.target("orders-1"), other.target("orders-0")]
        for _ in range(2):
            assert driver().switchover("orders-1", targets, place()).outcome == "done"
    told = [body for asked, body in newer.asked if asked == "POST /switchover"]
    assert told == [{"leader": "orders-1"}]


def test_a_switchover_that_nobody_can_take_is_refused_with_patronis_reason(newer: StandIn) -> None:
    newer.says = (412, "switchover is not possible: can not find sync_standby")
    done = driver().switchover("orders-1", [newer.target()], place())
    assert done.outcome == "refused"
    assert "can not find sync_standby" in done.reason


def test_a_switchover_that_failed_on_its_way_is_unknown_until_somebody_leads(newer: StandIn) -> None:
    newer.says = (503, "Switchover failed")
    done = driver().switchover("orders-1", [newer.target()], place())
    assert (done.outcome, "Switchover failed" in done.reason) == ("unknown", True)


def test_a_switchover_that_was_accepted_and_is_not_to_be_seen_is_unknown(newer: StandIn) -> None:
    done = driver().switchover("orders-1", [newer.target()], place())  # nobody leads now
    assert done.outcome == "unknown"


# --- what is rendered ----------------------------------------------------------------------------------------------


def files(one: Place) -> dict[str, str]:
    return driver().secret_files(one, Access(PASSWORDS))


def test_each_member_gets_a_file_of_its_own_and_all_passwords_are_in_secrets_alone() -> None:
    found = files(place())
    assert sorted(found) == ["app.sql", *(f"{name}.yaml" for name in NAMES), "pg_service.conf", "restored.sql"]
    made = json.loads(found["orders-2.yaml"])
    assert made["postgresql"]["connect_address"] == "orders-2.orders-members.shop.svc:5432"
    assert made["postgresql"]["bin_dir"] == "/usr/lib/postgresql/17/bin"
    assert made["scope"] == "orders-patroni"
    assert not any(password in text for password in PASSWORDS.values() for text in driver().configuration(place()).values())
    assert f"PASSWORD '{PASSWORDS['app']}'" in found["app.sql"]
    assert "data-checksums" in made["bootstrap"]["initdb"]


def test_with_tls_nobody_connects_in_the_clear_and_members_verify_each_other() -> None:
    one = replace(place(), tls=True)
    made = json.loads(files(one)["orders-0.yaml"])
    assert made["postgresql"]["parameters"]["ssl"] == "on"
    assert made["postgresql"]["parameters"]["unix_socket_directories"] == "/run/postgresql"
    assert made["postgresql"]["authentication"]["replication"]["sslmode"] == "verify-full"
    assert made["postgresql"]["authentication"]["replication"]["username"] == "replicator"
    assert made["restapi"]["authentication"]["password"] == PASSWORDS["patroni"]
    assert made["restapi"]["verify_client"] == "optional"
    remote = [line for line in made["bootstrap"]["dcs"]["postgresql"]["pg_hba"] if not line.startswith("local ")]
    assert all(line.startswith("hostssl ") or line.endswith(" reject") for line in remote)
    assert made["bootstrap"]["dcs"]["synchronous_mode"] is True
    assert driver().clients(one, Access(PASSWORDS))["sslmode"] == "verify-full"


@pytest.mark.parametrize(("tls", "scheme"), [(True, "HTTPS"), (False, "HTTP")])
def test_the_kubelet_asks_as_the_members_speak(tls: bool, scheme: str) -> None:
    container = driver().container("17.12", tls)
    probes = (container.readiness, container.liveness, container.startup)
    assert {probe["httpGet"]["scheme"] for probe in probes} == {scheme}


def test_who_may_connect_is_settled_as_the_members_speak(newer: StandIn) -> None:
    secured = replace(place(work_mem="8MB"), tls=True)
    assert driver().unsettled(all_seen(), [newer.target()], secured) == ["pg_hba"]
    assert driver().settle(all_seen(), [newer.target()], secured).outcome == "done"
    assert driver().unsettled(all_seen(), [newer.target()], place(work_mem="8MB")) == ["pg_hba"]


def test_a_file_changes_with_nothing_once_the_service_is_founded() -> None:
    founded = json.loads(files(place(joins=False, shared_buffers="1GB"))["orders-0.yaml"])
    assert founded["bootstrap"]["dcs"]["postgresql"]["parameters"]["shared_buffers"] == "1GB"
    later = [files(place(members, **more))["orders-0.yaml"] for members, more in ((3, {}), (5, {"shared_buffers": "1GB"}))]
    assert later[0] == later[1]


def test_what_applications_connect_with_names_the_service_and_its_database() -> None:
    known = driver().clients(place(), Access(PASSWORDS))
    assert known["uri"] == f"postgresql://app:{PASSWORDS['app']}@orders.shop.svc:5432/app"
    assert known["host-replicas"] == "orders-replicas.shop.svc"


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_connections": 200, "shared_buffers": "2GB", "random_page_cost": "1.1"}, ""),
        ({"fsync": "off"}, "fsync: no parameter"),
        ({"archive_command": "rm -rf /"}, "archive_command: no parameter"),
        ({"synchronous_commit": "off"}, "synchronous_commit: no parameter"),
        ({"shared_buffers": "2 gigabytes"}, "a text that matches"),
        ({"max_wal_senders": 2}, "a number from 16 to 100"),
        ({"shared_preload_libraries": "pg_stat_statements, auto_explain"}, ""),
        ({"shared_preload_libraries": "$libdir/../../tmp/evil"}, "a text that matches"),
        ({"wal_level": "minimal"}, "one of replica, logical"),
    ],
)
def test_parameters_are_checked(parameters: dict[str, Any], said: str) -> None:
    problems = driver().problems("17.12", parameters)
    assert bool(problems) == bool(said)
    assert said in "".join(problems)


def test_an_old_major_is_not_run() -> None:
    assert "13 is the oldest" in "".join(driver().problems("12.22", {}))
