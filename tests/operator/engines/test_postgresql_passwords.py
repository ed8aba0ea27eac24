"""Passwords of PostgreSQL and Patroni, before members that answer as real ones do."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from patroni_kit import NAMES, StandIn, driver, place, running

from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.postgres.scram import fits, verifier
from stateward.operator.drivers.protocol import Access, Result, Rotation, Target
from stateward.operator.objects import fingerprint
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service

OLD = {name: f"old{name}" for name in ("superuser", "replication", "rewind", "patroni", "app")}
NEW = {name: f"new{name}" for name in OLD}
ROLES = {"superuser": "postgres", "replication": "replicator", "rewind": "rewind", "app": "app"}


class DeathError(BaseException):
    """The process ends here."""


class Patroni(StandIn):
    """Patroni of all members and PostgreSQL of one, whose commands are run as in its container."""

    def __init__(self) -> None:
        super().__init__({"patroni": {}, "config": {}})
        self.roles = {role: verifier(OLD[name]) for name, role in ROLES.items()}
        self.files = dict.fromkeys(NAMES, "")
        self.knows = dict.fromkeys(NAMES, OLD["patroni"])
        """Member → the password that its Patroni takes."""
        self.given: list[str] = []
        self.arguments: list[str] = []
        self.dies_after = ""

    def answer(self, method: str, path: str, body: Any, login: str) -> tuple[int, Any]:
        password = base64.b64decode(login.partition(" ")[2]).decode().partition(":")[2]
        member = self.now
        if password != self.knows[member]:
            return 401, "no"
        assert (method, path) == ("POST", "/reload")
        self.knows[member] = NEW["patroni"] if NEW["patroni"] in self.files[member] else OLD["patroni"]
        if self.dies_after == "reload":
            self.dies_after = ""
            self.died = True
        return 202, "reload scheduled"

    now = ""
    died = False

    def inside(self, member: str) -> Any:
        def run(command: Sequence[str], given: str = "", seconds: float = 20.0) -> str:
            self.arguments += command
            if command[0] == "sha256sum":
                return f"{hashlib.sha256(self.files[member].encode()).hexdigest()}  {command[1]}\n"
            assert member == NAMES[0], "the primary alone is told"
            password, _, statements = given.partition("\n")
            self.given.append(statements)
            if not fits(password, self.roles["postgres"]):
                raise RefusedError(f'{member}: sh ended with 2: FATAL:  password authentication failed for user "postgres"')
            for line in statements.splitlines():
                if line.startswith("ALTER ROLE"):
                    role, kept = line.split()[2], line.split("'")[1]
                    self.roles[role] = kept
            if self.dies_after == "roles" and "ALTER" in statements:
                self.dies_after = ""
                raise DeathError
            return "\n".join(f"{role} {kept}" for role, kept in self.roles.items())

        return run

    def targets(self, rotation: Rotation | None = None) -> list[Target]:
        access = Access(OLD, rotation)
        return [replace(self.target(name), access=access, inside=self.inside(name), host="127.0.0.1") for name in NAMES]


@pytest.fixture
def patroni(monkeypatch: pytest.MonkeyPatch) -> Any:
    from stateward.operator.drivers.postgres import passwords as module

    one = Patroni()
    real = module.ask

    def ask(target: Target, call: Any, body: Any = None) -> Any:
        one.now = target.name  # all members share a port
        found = real(target, call, body)
        if one.died:
            one.died = False
            raise DeathError
        return found

    monkeypatch.setattr(module, "ask", ask)
    with running(one):
        yield one


def coming() -> Rotation:
    return Rotation("first", coming=NEW)


def brought(one: Patroni) -> None:
    """The kubelet has brought the files."""
    files = driver().secret_files(place(), Access(OLD, coming()))
    one.files = {name: files[f"{name}.yaml"] for name in NAMES}


def told(one: Patroni) -> Result:
    both = {name: (OLD[name], NEW[name]) for name in OLD}
    return driver().set_passwords(both, one.targets(coming()), place())


def until_done(one: Patroni) -> None:
    for _ in range(20):
        try:
            if told(one).outcome == "done":
                return
        except DeathError:
            continue
    raise AssertionError("it makes no headway")


def test_a_verifier_is_as_the_standard_has_it() -> None:
    # RFC 7677, section 3, for the password `pencil`.
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    kept = verifier("pencil", salt, 4096)
    assert kept.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert kept.endswith(":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=")
    assert fits("pencil", kept)
    assert not fits("pencils", kept)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=80))
def test_what_is_no_verifier_fits_no_password(text: str) -> None:
    assert not fits("x", text)


def test_members_files_have_new_passwords_before_the_roles_and_restart_nobody() -> None:
    before, after = (driver().secret_files(place(), Access(OLD, rotation)) for rotation in (None, coming()))
    assert NEW["replication"] in after["orders-0.yaml"]
    assert after == driver().secret_files(place(), Access(NEW))
    assert before != after
    assert driver().clients(place(), Access(OLD, coming()))["password"] == OLD["app"]
    service = Service("shop", "orders", "1", "stateward.dev/v1beta1", "postgresql", "17.12", 3, "1Gi", image="x:17.12")
    base = Running(3, "17.12", "x:17.12", "", "1Gi", {})
    marks = {
        fingerprint.of(service, base, driver(), place(), access)
        for access in (Access(OLD), Access(OLD, coming()), Access(NEW, Rotation("first", previous=OLD)))
    }
    assert len(marks) == 1


def test_nothing_is_told_before_every_member_has_its_file(patroni: Patroni) -> None:
    found = told(patroni)
    assert (found.outcome, "has not got its new file yet" in found.reason) == ("unknown", True)
    brought(patroni)
    patroni.files["orders-2"] = "of before"
    assert told(patroni).outcome == "unknown"
    assert patroni.given == []
    assert set(patroni.knows.values()) == {OLD["patroni"]}


@pytest.mark.parametrize("dies", ["", "roles", "reload"])
def test_all_roles_change_at_once_and_a_crash_anywhere_comes_to_the_same_end(patroni: Patroni, dies: str) -> None:
    brought(patroni)
    patroni.dies_after = dies
    until_done(patroni)
    assert all(fits(NEW[name], patroni.roles[role]) for name, role in ROLES.items())
    assert set(patroni.knows.values()) == {NEW["patroni"]}
    changed = [one for one in patroni.given if "ALTER" in one]
    assert len(changed) == 1
    assert changed[0].count("ALTER ROLE") == 4
    assert changed[0].startswith("BEGIN;")
    # Once more, as at the end: it is done, and nothing is told.
    alone = {name: (NEW[name],) for name in NEW}
    access = Access(NEW, Rotation("first", previous=OLD))
    after = [replace(one, access=access) for one in patroni.targets()]
    assert driver().set_passwords(alone, after, place()).outcome == "done"
    assert len([one for one in patroni.given if "ALTER" in one]) == 1


def test_no_password_is_an_argument_or_in_a_statement(patroni: Patroni) -> None:
    brought(patroni)
    until_done(patroni)
    said = " ".join([*patroni.arguments, *patroni.given])
    assert not [word for word in (*OLD.values(), *NEW.values()) if word in said]
    assert "SCRAM-SHA-256" not in " ".join(patroni.arguments)


def test_a_member_that_is_away_or_does_not_answer_is_waited_for(patroni: Patroni) -> None:
    brought(patroni)
    both = {name: (OLD[name], NEW[name]) for name in OLD}
    found = driver().set_passwords(both, patroni.targets(coming())[:2], place())
    assert (found.outcome, found.reason) == ("unknown", "orders-2 must serve before passwords are changed")

    def silent(*_: Any) -> str:
        raise NoAnswerError("orders-0: no answer")

    several = [replace(one, inside=silent) for one in patroni.targets(coming())]
    assert driver().set_passwords(both, several, place()).outcome == "unknown"
    without = [replace(one, inside=None) for one in patroni.targets(coming())]
    assert driver().set_passwords(both, without, place()).outcome == "refused"
