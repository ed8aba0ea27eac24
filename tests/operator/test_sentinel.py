"""Redis and Valkey: their driver before members that are stood in for, with the answers that real ones gave."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from stateward.certs import members
from stateward.certs.members import Held
from stateward.operator import roles, tls
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Access, Driver, Place, Rotation, Seen, Target
from stateward.operator.drivers.sentinel.passwords import hashed
from stateward.operator.objects import all_of
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand, lags
from stateward.operator.service import Service, read

RECORDED = Path(__file__).parent / "recorded"
RELEASES = sorted(path.stem for path in RECORDED.glob("*.json"))
PASSWORD = "not-to-be-shown"
NAMES = ["db-0", "db-1", "db-2"]


def driver(engine: str = "redis") -> Driver:
    found = catalogue.find(engine)
    assert found is not None
    return found


def place(members: int = 3, founded: bool = True, **parameters: Any) -> Place:
    given = {name.replace("_", "-"): value for name, value in parameters.items()}
    return Place("prod", "db", "7.0.15", [f"db-{number}" for number in range(members)], founded, given)


@dataclass
class Member:
    """One member and its Sentinel."""

    address: str
    leads: bool = False
    offset: int = 1000
    link: str = "up"
    least: int = 1
    quorum: int = 2
    flags: str = "master"
    sentinels: set[str] = field(default_factory=set)
    replicas: set[str] = field(default_factory=set)
    finds: int = 0
    """Looks after which its Sentinel has found the others again."""
    silent: bool = False
    more: dict[str, str] = field(default_factory=dict)
    """Lines of INFO that are otherwise."""
    takes: dict[str, set[str]] = field(default_factory=lambda: {"client": {PASSWORD}, "sentinel": {PASSWORD}})
    """Passwords, by port."""
    uses: dict[str, str] = field(
        default_factory=lambda: dict.fromkeys(("masterauth", "auth-pass", "sentinel-pass"), PASSWORD)
    )
    """What it shows to others."""


@dataclass
class Group:
    """The members of a service, and what must never happen to them (`wrongs`)."""

    members: dict[str, Member]
    recorded: dict[str, dict[str, Any]] = field(
        default_factory=lambda: json.loads((RECORDED / "redis-7.0.json").read_text())
    )
    told: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    fails_over: bool = True
    release: str = "7.0.15"
    """Of the Sentinels."""
    lock: Any = field(default_factory=threading.RLock)

    def primary(self) -> Member:
        return next(one for one in self.members.values() if one.leads)

    def answer(self, name: str, words: list[str], port: str = "client") -> Any:
        with self.lock:
            one, asked = self.members[name], [word.upper() for word in words[:2]]
            if asked[0] == "INFO":
                return f"redis_version:{self.release}" if port == "sentinel" else self._information(one, words[1])
            if asked[0] == "ACL":
                return self._user(one, port, words)
            if asked == ["CONFIG", "GET"]:
                known = {"min-replicas-to-write": str(one.least), "replica-announce-ip": one.address, **one.uses}
                return [words[2], known[words[2]]]
            if asked == ["CONFIG", "SET"] and words[2] == "masterauth":
                return self._shows(name, one, "masterauth", words[3])
            if asked == ["CONFIG", "SET"]:
                self.told.append(f"{name} {words[2]} {words[3]}")
                one.least = int(words[3])
                return "OK"
            if asked[0] == "SENTINEL":
                return self._sentinel(name, one, asked[1], words)
            if asked[0] == "REPLICAOF":
                self.told.append(f"{name} {' '.join(words)}")
                one.leads = False
                return "OK"
            return "PONG" if asked[0] == "PING" else "OK"

    def _information(self, one: Member, section: str) -> str:
        text: str = self.recorded["primary" if one.leads else "replica"][f"INFO {section}"]
        now = {"slave_repl_offset": str(one.offset), "master_repl_offset": str(one.offset), "master_link_status": one.link}
        good = len([other for other in self.members.values() if not other.leads and other.link == "up"])
        now |= {"min_slaves_good_slaves": str(good), **one.more}
        lines = [line.partition(":") for line in text.splitlines()]
        return "\r\n".join(f"{key}{colon}{now.get(key, value) if colon else ''}" for key, colon, value in lines)

    def _user(self, one: Member, port: str, words: list[str]) -> Any:
        if port == "sentinel" and self.release < "6.2":
            return RuntimeError(f"ERR unknown command `ACL`, with args beginning with: {' '.join(words[1:])}")
        takes = one.takes[port]
        if words[1].upper() == "GETUSER":
            return ["flags", ["on"], "passwords", [hashed(password) for password in sorted(takes)], "commands", "+@all"]
        for rule in words[3:]:
            if rule.startswith(">"):
                takes.add(rule[1:])
            else:
                takes -= {password for password in takes if rule == f"!{hashed(password)}"}
        self.cut_off()
        return "OK"

    def _shows(self, name: str, one: Member, what: str, password: str) -> str:
        one.uses[what] = password
        self.cut_off()
        return "OK"

    def cut_off(self) -> None:
        """Whoever connects to another one is let in, all along."""
        for name, one in self.members.items():
            for what, port in (("masterauth", "client"), ("auth-pass", "client"), ("sentinel-pass", "sentinel")):
                if any(one.uses[what] not in other.takes[port] for other in self.members.values()):
                    self.wrongs.append(f"{what} of {name} is not taken")

    def _sentinel(self, name: str, one: Member, what: str, words: list[str]) -> Any:
        if words[-2] in ("auth-pass", "sentinel-pass"):
            if self.release < "7":
                self.wrongs.append(f"{name}: its log has a password in it")
            return self._shows(name, one, words[-2], words[-1])
        if what == "MASTER":
            one.finds -= 1
            if one.finds == 0:
                others = {other.address for other in self.members.values()} - {one.address}
                one.sentinels, one.replicas = others, {o.address for o in self.members.values() if not o.leads}
            known = {"ip": self.primary().address, "flags": one.flags, "quorum": str(one.quorum)}
            return [word for pair in known.items() for word in pair]
        if what in ("SENTINELS", "REPLICAS"):
            return [["ip", address] for address in sorted(one.sentinels if what == "SENTINELS" else one.replicas)]
        self.told.append(f"{name} {' '.join(words[1:])}")
        if what == "SET":
            one.quorum = int(words[4])
        elif what == "RESET":
            if any(other.finds > 0 for other in self.members.values()):
                self.wrongs.append("two Sentinels know nobody at once")
            one.sentinels, one.replicas, one.finds = set(), set(), 2
        elif what == "FAILOVER":
            self._fail_over()
        return "OK"

    def _fail_over(self) -> None:
        old = self.primary()
        best = max((one for one in self.members.values() if not one.leads), key=lambda one: one.offset)
        if old.least < 1000:
            self.wrongs.append("a failover while the primary takes writes")
        if best.offset < old.offset:
            self.wrongs.append("a failover to one that lacks writes")
        if self.fails_over:
            best.leads = True  # the old one goes on for ten seconds: Sentinel has it follow then


def encoded(answer: Any) -> bytes:
    if isinstance(answer, Exception):
        return f"-{answer}\r\n".encode()
    if isinstance(answer, list):
        return b"*%d\r\n" % len(answer) + b"".join(encoded(one) for one in answer)
    if answer in ("OK", "PONG"):
        return f"+{answer}\r\n".encode()
    raw = str(answer).encode()
    return b"$%d\r\n%s\r\n" % (len(raw), raw)


class Handler(socketserver.StreamRequestHandler):
    """Takes commands as the protocol has them; AUTH first."""

    group: Group
    name: str
    port: str

    def handle(self) -> None:
        known = False
        while head := self.rfile.readline():
            words = []
            for _ in range(int(head[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            if self.group.members[self.name].silent:
                time.sleep(0.01)
                return
            if words[0].upper() == "AUTH":
                good = words[-1] in self.group.members[self.name].takes[self.port]
                known = known or good
                self.wfile.write(b"+OK\r\n" if good else b"-WRONGPASS invalid username-password pair\r\n")
            elif not known:
                self.wfile.write(b"-NOAUTH Authentication required.\r\n")
            else:
                self.wfile.write(encoded(self.group.answer(self.name, words, self.port)))


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    context: ssl.SSLContext | None = None
    """Where it speaks TLS."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        with contextlib.suppress(OSError):
            if self.context is None:
                super().finish_request(request, client_address)
                return
            with self.context.wrap_socket(request, server_side=True) as line:
                super().finish_request(line, client_address)


@pytest.fixture
def group() -> Group:
    several = {name: Member(f"10.0.0.{number + 1}", leads=number == 0) for number, name in enumerate(NAMES)}
    addresses = {one.address for one in several.values()}
    for one in several.values():
        one.sentinels, one.replicas = addresses - {one.address}, addresses - {"10.0.0.1"}
    return Group(several)


@pytest.fixture
def targets(group: Group) -> Iterator[list[Target]]:
    servers, found = [], []
    for name in NAMES:
        ports = {}
        for port in ("client", "sentinel"):
            server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"group": group, "name": name, "port": port}))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            servers.append(server)
            ports[port] = server.server_address[1]
        found.append(Target(name, "127.0.0.1", ports, Access({"password": PASSWORD})))
    yield found
    for server in servers:
        server.shutdown()
        server.server_close()
    assert group.wrongs == []


def see(target: Target) -> Seen:
    return driver().see(target)


# --- what is seen ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES)
def test_what_each_release_really_says_is_understood(group: Group, targets: list[Target], release: str) -> None:
    group.recorded = json.loads((RECORDED / f"{release}.json").read_text())
    engine, _, series = release.partition("-")
    seen = {one.name: driver(engine).see(one) for one in targets}
    assert [seen[name].role for name in NAMES] == ["primary", "replica", "replica"]
    assert all(one.healthy is True and one.version.startswith(series) for one in seen.values()), seen
    assert len({one.identity for one in seen.values()}) == 2
    group.members["db-1"].offset = 900
    behind = lags({one.name: driver(engine).see(one) for one in targets}, driver(engine))
    assert [(behind[name].lag, behind[name].lag_unit) for name in NAMES] == [(None, None), (100, "bytes"), (0, "bytes")]


@pytest.mark.parametrize(
    ("member", "change", "said"),
    [
        ("db-1", {"link": "down"}, "its link to the primary is down"),
        ("db-1", {"link": "down", "more": {"master_sync_in_progress": "1"}}, "it copies the data of the primary"),
        ("db-1", {"more": {"loading": "1"}}, "it loads its data"),
        ("db-0", {"more": {"aof_last_write_status": "err"}}, "its last write to the append-only file failed"),
        ("db-0", {"least": 3}, "2 replicas follow, and it takes no write with fewer than 3"),
    ],
)
def test_a_member_that_does_not_serve_says_why(
    group: Group, targets: list[Target], member: str, change: dict[str, Any], said: str
) -> None:
    for name, value in change.items():
        setattr(group.members[member], name, value)
    seen = see(targets[NAMES.index(member)])
    assert seen.healthy is False
    assert said in seen.reason


def test_a_wrong_password_is_said_and_not_shown(targets: list[Target]) -> None:
    one = targets[0]
    seen = see(Target(one.name, one.host, one.ports, Access({"password": "another-secret"})))
    assert (seen.healthy, seen.reason) == (False, "db-0: client: it does not take the service's password")
    assert see(Target(one.name, one.host, one.ports)).healthy is False
    assert PASSWORD not in repr(one)


def test_a_member_without_its_sentinel_is_unknown_and_keeps_its_role(targets: list[Target]) -> None:
    one = targets[0]
    seen = see(Target(one.name, one.host, {**one.ports, "sentinel": 9}, one.access))
    assert (seen.healthy, seen.role) == (None, "primary")
    assert "sentinel: no answer" in seen.reason


def test_a_member_that_does_not_answer_is_unknown(group: Group, targets: list[Target]) -> None:
    assert see(Target("db-0", "127.0.0.1", {"client": 9, "sentinel": 9})).healthy is None
    group.members["db-0"].silent = True
    assert see(targets[0]).healthy is None


@pytest.mark.parametrize("drips", [False, True])
def test_a_member_that_hangs_or_drips_costs_its_timeout_and_no_more(drips: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            line, _ = server.accept()
            with line:
                while not over.wait(0.1):
                    try:
                        line.sendall(b"+" if drips else b"")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        seen = see(
            Target("db-0", "127.0.0.1", {"client": server.getsockname()[1], "sentinel": 9}, Access({"password": "x"}))
        )
        took = time.monotonic() - began
        over.set()
        thread.join()
    assert seen.healthy is None
    assert took < 10


# --- over TLS --------------------------------------------------------------------------------------------------------

NOW = datetime.now(UTC)
SECURED = Service("prod", "db", "1", "stateward.dev/v1beta1", "redis", "7.0.15", 3, "1Gi", tls=True)


@pytest.fixture(scope="module")
def held() -> Held:
    return members.first(tls.wanted(SECURED), NOW)


@pytest.fixture
def secured(group: Group, held: Held, tmp_path: Path) -> Iterator[Target]:
    """A member that speaks TLS, with the certificate that members are given."""
    certificate, key = held.leaves[tls.SERVER].to_pem()
    (tmp_path / "both").write_bytes(certificate + key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "both")
    servers = []
    for port in ("client", "sentinel"):
        server = Server(("127.0.0.1", 0), type("Bound", (Handler,), {"group": group, "name": "db-0", "port": port}))
        server.context = context
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
    ports = {name: server.server_address[1] for name, server in zip(("client", "sentinel"), servers, strict=True)}
    access = Access({"password": PASSWORD}, tls=tls.made(held, NOW))
    yield Target("db-0", "127.0.0.1", ports, access, "db-0.db-members.prod.svc", frozenset(ports))
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_member_that_speaks_tls_is_asked_by_its_name_and_verified(secured: Target) -> None:
    seen = see(secured)
    assert (seen.healthy, seen.role, seen.reason) == (True, "primary", "")


def test_no_password_is_said_to_a_member_that_shows_another_certificate(secured: Target, group: Group) -> None:
    of_another = members.first(tls.wanted(SECURED), NOW)
    for one, said in (
        (replace(secured, known="db-0.other.prod.svc"), "Hostname mismatch"),
        (replace(secured, access=replace(secured.access, tls=tls.made(of_another, NOW))), "unable to get local issuer"),
        (replace(secured, access=replace(secured.access, tls=None)), "no certificates yet"),
    ):
        seen = see(one)
        assert seen.healthy is None
        assert said in seen.reason
    assert group.told == []


def test_what_speaks_tls_has_no_other_ports_and_clients_are_told_so() -> None:
    container = driver().container("7.0.15", True)
    assert (container.secured, container.tls) == (["client", "sentinel"], "/etc/stateward-tls")
    assert container.read_once == ("trust", "certificate")
    spoken, plain = replace(place(), tls=True), place()
    access = Access({"password": PASSWORD})
    assert driver().clients(spoken, access)["uri"] == f"rediss://:{PASSWORD}@db.prod.svc:6379/0"
    assert driver().clients(plain, access)["uri"].startswith("redis://")
    assert "tls-auth-clients optional\n" in driver().configuration(spoken)["tls.conf"]
    assert "tls.conf" not in driver().configuration(plain)
    for engine in ("redis", "valkey"):
        copying = driver(engine).copying(spoken, "db-1", "x")
        assert copying is not None
        assert copying.environment["TLS"].startswith("--tls --cacert /etc/stateward-tls/ca.crt")


# --- switchover ------------------------------------------------------------------------------------------------------


def test_a_switchover_stops_writes_first_and_lets_them_pass_again(group: Group, targets: list[Target]) -> None:
    group.members["db-2"].offset = 900  # not the one to ask
    assert driver().switchover("db-0", targets, place()).outcome == "done"
    assert group.members["db-1"].leads
    assert group.told == [
        "db-0 min-replicas-to-write 1000",
        "db-1 FAILOVER mymaster",
        "db-0 REPLICAOF 10.0.0.2 6379",
        "db-0 min-replicas-to-write 1",
    ]
    assert driver().switchover("db-0", targets, place()).outcome == "done"
    assert len(group.told) == 4


def test_a_switchover_is_refused_where_no_replica_has_everything(
    group: Group, targets: list[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stateward.operator.drivers.sentinel.driver._CATCH_UP", 0.3)
    group.members["db-1"].offset = group.members["db-2"].offset = 900
    result = driver().switchover("db-0", targets, place())
    assert result.outcome == "refused"
    assert "no replica has all of db-0's writes" in result.reason
    assert group.primary() is group.members["db-0"]
    assert group.members["db-0"].least == 1


def test_after_a_switchover_that_nobody_sees_through_writes_go_on_once_nothing_comes_of_it(
    group: Group, targets: list[Target], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stateward.operator.drivers.sentinel.driver._SWITCH", 0.5)
    group.fails_over = False
    assert driver().switchover("db-0", targets, place()).outcome == "unknown"
    # It may come yet: until nobody speaks of it any more no write is taken that would be lost with it.
    assert group.members["db-0"].least == 1000
    assert driver().unsettled([], targets, place()) == ["min-replicas-to-write 1 of db-0"]
    settled(targets, place())
    assert group.members["db-0"].least == 1


def test_a_switchover_that_a_process_left_in_the_middle_is_seen_through_and_asked_for_no_second_time(
    group: Group, targets: list[Target]
) -> None:
    group.members["db-0"].least = 1000
    group.members["db-1"].leads = True
    seen = [driver().see(one) for one in targets]
    # It would take writes again, that nobody else gets.
    assert driver().unsettled(seen, targets, place()) is None
    assert driver().settle(seen, targets, place()).outcome == "unknown"
    assert driver().switchover("db-0", targets, place()).outcome == "done"
    assert [text for text in group.told if "FAILOVER" in text] == []
    assert "db-0 REPLICAOF 10.0.0.2 6379" in group.told


def test_one_that_cannot_follow_the_next_primary_has_handed_over_all_the_same(group: Group, targets: list[Target]) -> None:
    group.members["db-0"].link = "down"
    assert driver().switchover("db-0", targets, place()).outcome == "done"


def test_one_member_alone_hands_over_to_nobody(targets: list[Target]) -> None:
    assert driver().switchover("db-0", targets[:1], place(1)).outcome == "refused"


# --- what Sentinels keep ----------------------------------------------------------------------------------------------


def settled(targets: list[Target], where: Place) -> int:
    """Settles until nothing is left; how many looks it took."""
    for count in range(40):
        names = driver().unsettled([], targets, where)
        if names == []:
            return count
        driver().settle([], targets, where)
    raise AssertionError(names)


def test_a_member_that_left_is_forgotten_by_one_sentinel_at_a_time(group: Group, targets: list[Target]) -> None:
    for one in group.members.values():
        one.sentinels.add("10.0.0.4")
        one.replicas.add("10.0.0.4")
        one.quorum = 3
    assert driver().unsettled([], targets, place()) == [
        *(f"quorum 2 of {name}" for name in NAMES),
        *(f"members gone that the Sentinel of {name} knows" for name in NAMES),
    ]
    settled(targets, place())
    assert [text for text in group.told if "RESET" in text] == [f"{name} RESET mymaster" for name in NAMES]
    assert {one.quorum for one in group.members.values()} == {2}


def test_a_primary_that_was_left_without_writes_takes_them_again(group: Group, targets: list[Target]) -> None:
    group.members["db-0"].least = 1000
    assert driver().unsettled([], targets, place()) == ["min-replicas-to-write 1 of db-0"]
    settled(targets, place())
    assert group.members["db-0"].least == 1


@pytest.mark.parametrize("why", ["a failover", "a member away", "another's view"])
def test_nothing_is_settled_while_not_everything_is_known(group: Group, targets: list[Target], why: str) -> None:
    group.members["db-2"].sentinels.add("10.0.0.4")
    where = place()
    if why == "a failover":
        group.members["db-1"].flags = "master,o_down,failover_in_progress"
    elif why == "a member away":
        group.members["db-1"].silent = True
    else:
        where = place(4)
    assert driver().unsettled([], targets, where) is None
    assert driver().settle([], targets, where).outcome == "unknown"
    assert group.told == []


# --- passwords ----------------------------------------------------------------------------------------------------------

NEXT = "another-one-not-to-be-shown"
TAKES = {"client", "sentinel"}


def coming(targets: list[Target]) -> list[Target]:
    rotation = Rotation("first", None, {"password": NEXT}, {})
    return [replace(one, access=Access({"password": PASSWORD}, rotation)) for one in targets]


def following(targets: list[Target]) -> list[Target]:
    rotation = Rotation("first", NOW, {}, {"password": PASSWORD})
    return [replace(one, access=Access({"password": NEXT}, rotation)) for one in targets]


def change(targets: list[Target], *several: str) -> Any:
    return driver().set_passwords({"password": several}, targets, place())


def test_passwords_are_changed_and_nobody_is_cut_off_meanwhile(group: Group, targets: list[Target]) -> None:
    assert driver().rotates
    several = [*group.members.values()]
    assert change(coming(targets), PASSWORD, NEXT).outcome == "done"
    assert all(one.takes[port] == {PASSWORD, NEXT} for one in several for port in TAKES)
    assert all(set(one.uses.values()) == {NEXT} for one in several)
    assert change(coming(targets), PASSWORD, NEXT).outcome == "done"
    assert driver().unsettled([], coming(targets), place()) == driver().unsettled([], following(targets), place()) == []
    assert change(following(targets), NEXT).outcome == "done"
    assert all(one.takes[port] == {NEXT} for one in several for port in TAKES)
    alone = [replace(one, access=Access({"password": NEXT})) for one in targets]
    assert [driver().see(one).healthy for one in alone] == [True] * 3
    assert driver().unsettled([], alone, place()) == []
    assert group.wrongs == []


def test_a_sentinel_that_would_log_them_is_told_none_and_waited_for(group: Group, targets: list[Target]) -> None:
    group.release = "6.0.16"
    several = [*group.members.values()]
    assert change(coming(targets), PASSWORD, NEXT).outcome == "done"
    assert all(one.takes["sentinel"] == {PASSWORD} for one in several)
    after = following(targets)
    for one in several:
        waits = change(after, NEXT)
        assert (waits.outcome, "starts anew" in waits.reason) == ("unknown", True)
        assert all(other.takes["client"] == {PASSWORD, NEXT} for other in several)
        # It starts with what its file says now.
        one.takes["sentinel"] = {NEXT}
        one.uses |= {"auth-pass": NEXT, "sentinel-pass": NEXT}
    group.wrongs.clear()  # Sentinels that differ do not let each other in for a while
    assert change(after, NEXT).outcome == "done"
    assert all(one.takes["client"] == {NEXT} for one in several)


@pytest.mark.parametrize("takes", [{PASSWORD}, {NEXT, "somebody's own"}], ids=["an earlier file", "one more"])
def test_a_member_that_takes_others_than_it_should_is_told_again(
    group: Group, targets: list[Target], takes: set[str]
) -> None:
    change(coming(targets), PASSWORD, NEXT)
    group.members["db-1"].takes["client"] = set(takes)
    group.members["db-1"].uses["masterauth"] = PASSWORD
    after = following(targets)
    assert driver().unsettled([], after, place()) == ["passwords of db-1"]
    assert driver().settle([], after, place()).outcome == "done"
    assert driver().unsettled([], after, place()) == []
    assert group.members["db-1"].takes["client"] == {PASSWORD, NEXT}
    group.wrongs.clear()  # it was not let in until then


def test_no_password_is_changed_while_a_member_is_away(group: Group, targets: list[Target]) -> None:
    assert change(coming(targets)[:2], PASSWORD, NEXT).outcome == "unknown"
    group.members["db-2"].silent = True
    result = change(coming(targets), PASSWORD, NEXT)
    assert result.outcome == "unknown"
    assert NEXT not in repr(result)
    assert all(one.uses["masterauth"] == PASSWORD for one in group.members.values())


def test_another_password_makes_no_pod_anew() -> None:
    now, then = made(), made(password=NEXT)
    assert now["Secret", "db-secrets"] != then["Secret", "db-secrets"]
    assert now["StatefulSet", "db"] == then["StatefulSet", "db"]


# --- what they are started with -----------------------------------------------------------------------------------------


def test_settings_are_lines_and_sentinels_have_their_own() -> None:
    files = driver().configuration(place(appendfsync="always", down_after_milliseconds=9000, maxmemory="1gb"))
    lines = files["redis.conf"].splitlines()
    assert {"appendonly yes", "appendfsync always", "maxmemory 1gb", "min-replicas-to-write 1", "port 6379"} <= set(lines)
    assert not [line for line in lines if "down-after" in line]
    assert "sentinel down-after-milliseconds mymaster 9000\n" in files["sentinel.conf"]
    assert files["members"].splitlines()[1].split()[:2] == ["db-1", "db-1-own.prod.svc"]
    assert len({line.split()[2] for line in files["members"].splitlines()}) == 3
    assert PASSWORD not in str(files)
    secret = driver().secret_files(place(), Access({"password": PASSWORD}))
    assert secret["redis.conf"] == f"requirepass {PASSWORD}\nmasterauth {PASSWORD}\n"


@pytest.mark.parametrize(
    ("members", "asked", "least"), [(1, None, 0), (2, None, 1), (3, None, 1), (3, 2, 2), (3, 5, 2), (3, 0, 0)]
)
def test_a_write_waits_for_as_many_replicas_as_there_can_be(members: int, asked: int | None, least: int) -> None:
    given = {} if asked is None else {"min_replicas_to_write": asked}
    assert f"min-replicas-to-write {least}\n" in driver().configuration(place(members, **given))["redis.conf"]


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"port": 1}, "parameters.port: no parameter of Redis"),
        ({"replicaof": "1.2.3.4 6379"}, "parameters.replicaof: no parameter"),
        ({"appendfsync": "no"}, "parameters.appendfsync: one of always, everysec is wanted"),
        ({"maxmemory": "1gb\nport 1"}, "parameters.maxmemory: a text that matches"),
    ],
)
def test_what_would_break_the_rest_is_no_parameter(parameters: dict[str, Any], said: str) -> None:
    assert said in "".join(driver().problems("7.0.15", parameters))


# --- what they are made of ----------------------------------------------------------------------------------------------


def made(members: int = 3, password: str = PASSWORD) -> dict[tuple[str, str], dict[str, Any]]:
    model = StatefulService.model_validate(
        {
            "metadata": {"name": "db", "namespace": "prod", "uid": "u1"},
            "spec": {"engine": "redis", "version": "7.0.15", "members": members, "storage": {"size": "1Gi"}},
        }
    )
    running = Running(members, "7.0.15", "registry.test/redis:x", "", "1Gi", {})
    access = Access({"password": password})
    items = all_of(read(model), running, driver(), place(members), access, "")
    return {(item["kind"], item["metadata"]["name"]): item for item in items}


def test_each_member_has_an_address_of_its_own_that_is_there_before_it_is_ready() -> None:
    items = made()
    for name in NAMES:
        spec = items["Service", f"{name}-own"]["spec"]
        assert spec["selector"]["statefulset.kubernetes.io/pod-name"] == name
        assert spec["publishNotReadyAddresses"] is True
        assert [one["port"] for one in spec["ports"]] == [6379, 26379]
    assert ("Service", "db-3-own") not in items


def test_clients_reach_sentinels_too_and_a_pod_hands_over_before_it_ends() -> None:
    items = made()
    (rule,) = items["NetworkPolicy", "db"]["spec"]["ingress"]
    assert [one["port"] for one in rule["ports"]] == [6379, 26379]
    engine, sentinel = items["StatefulSet", "db"]["spec"]["template"]["spec"]["containers"]
    assert engine["lifecycle"]["preStop"]["exec"]["command"] == ["sh", "/etc/stateward/stop.sh"]
    assert "lifecycle" not in sentinel
    secrets = {key for key, item in items.items() if PASSWORD in base64_decoded(item)}
    assert secrets == {("Secret", "db-secrets"), ("Secret", "db-app")}


def base64_decoded(item: dict[str, Any]) -> str:
    if item["kind"] != "Secret":
        return json.dumps(item)
    return " ".join(base64.b64decode(value).decode() for value in item["data"].values())


def test_more_members_make_no_pod_stale() -> None:
    marks = {json.dumps(made(count)["StatefulSet", "db"]["spec"]["template"]["metadata"]) for count in (1, 3, 5)}
    assert len(marks) == 1


class Patched:
    """What was written of pods."""

    def __init__(self) -> None:
        self.labels: list[tuple[str, str]] = []

    def patch(self, path: str, body: dict[str, Any], **_: Any) -> None:
        self.labels.append((path.rpartition("/")[2], body["metadata"]["labels"]["stateward.dev/role"]))


@pytest.mark.parametrize(
    ("seen", "labels"),
    [
        ({"db-0": ("primary", True), "db-1": ("replica", True)}, []),
        ({"db-0": ("", None), "db-1": ("primary", True)}, [("db-0", "replica"), ("db-1", "primary")]),
        ({"db-0": ("primary", False), "db-1": ("primary", True)}, [("db-0", "replica"), ("db-1", "primary")]),
        ({"db-0": ("primary", True), "db-1": ("primary", True)}, []),
        ({"db-0": ("", None), "db-1": ("replica", True)}, []),
    ],
)
def test_clients_are_led_to_the_one_that_leads_and_takes_writes(
    seen: dict[str, tuple[str, bool | None]], labels: list[tuple[str, str]]
) -> None:
    def pod(name: str, role: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": "prod", "uid": name, "labels": {"stateward.dev/role": role}}}

    pods = {"db-0": pod("db-0", "primary"), "db-1": pod("db-1", "replica")}
    running = Running(2, "7.0.15", "x", "", "1Gi", {})
    said = {name: Seen(name, healthy, role=role) for name, (role, healthy) in seen.items()}
    cluster: Any = Patched()
    roles.label(cluster, Stand(running, True, True, (), said, pods), driver())
    assert cluster.labels == labels
