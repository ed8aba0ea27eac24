"""Passwords are rotated: each step by the facts, and the process dies after each write and each command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from stateward.certs.members import SOON
from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.drivers.protocol import Access, Result, Rotation, Seen, Target
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand
from stateward.operator.operations.passwords import passwords
from stateward.operator.operations.rotate import rotate
from stateward.operator.service import Service
from stateward.operator.step import Step
from stateward.operator.turn import Hand, Turn

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
SERVICE = Service("prod", "db", "1", "stateward.dev/v1beta1", "redis", "7.0.0", 3, "1Gi", rotate="first")
NAMES = SERVICE.names(3)


class CrashError(BaseException):
    """The process ends here."""


class Engine:
    """Takes one password or two for each name; `dies` after each command."""

    engine = "redis"
    leaders = frozenset({"master"})
    passwords: Mapping[str, int] = {"admin": 16, "app": 20}
    rotates = True

    def __init__(self, takes: int, dies: bool = False) -> None:
        self.accepts: dict[str, tuple[str, ...]] = {"admin": ("a" * 16,), "app": ("b" * 20,)}
        self.takes, self.dies = takes, dies
        self.outcome = Result("done")

    def set_passwords(self, wanted: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Any) -> Result:
        assert targets
        if self.outcome.outcome == "done":
            before = dict(self.accepts)
            self.accepts |= {name: tuple(several[-self.takes :]) for name, several in wanted.items()}
            if self.dies and self.accepts != before:
                raise CrashError
        return self.outcome


class World:
    """The Secret and the engine; a turn of one process at a time."""

    def __init__(self, engine: Engine, dies: bool = False) -> None:
        self.engine, self.dies = engine, dies
        self.access = Access({name: several[0] for name, several in engine.accepts.items()})
        self.now = NOW
        self.away: tuple[str, ...] = ()
        self.cut_off = 0
        """How often a client that reads the Secret was not let in."""

    def rekey(self, before: Access, after: Access) -> bool:
        assert before is self.access
        self.access = after
        if self.dies:
            raise CrashError
        return True

    def decide(self, value: str = "first") -> Step | None:
        targets = tuple(Target(name, "127.0.0.1", {"client": 1}) for name in NAMES)
        seen = {name: Seen(name, name not in self.away, "master") for name in NAMES}
        stand = Stand(Running(3, "7.0.0", "x", "", "1Gi", {}), True, True, targets, seen, {}, self.access)
        hand = Hand(None, SERVICE, lambda _: Result("done"), rekey=self.rekey)  # type: ignore[arg-type]
        turn = Turn(SERVICE, stand, self.engine, None, hand, StatefulServiceStatus(), self.now)  # type: ignore[arg-type]
        return passwords(turn, value)

    def finish(self, value: str = "first") -> list[str]:
        taken = []
        for _ in range(50):
            step = self.decide(value)
            if step is None:
                return taken
            if step.act is None:
                self.now += SOON
                continue
            try:
                if step.act().outcome == "done":
                    taken.append(step.name)
            except CrashError:
                taken.append(f"{step.name}!")
            self.cut_off += any(self.access.passwords[name] not in several for name, several in self.engine.accepts.items())
        raise AssertionError("it makes no headway")


@pytest.mark.parametrize("dies", [False, True])
@pytest.mark.parametrize("takes", [1, 2])
def test_every_password_is_another_and_nobody_is_cut_off_where_the_engine_takes_two(takes: int, dies: bool) -> None:
    world = World(Engine(takes, dies), dies)
    old = dict(world.access.passwords)
    world.finish()
    assert {name: len(value) for name, value in world.access.passwords.items()} == {"admin": 16, "app": 20}
    assert not set(old.values()) & set(world.access.passwords.values())
    assert world.engine.accepts == {name: (value,) for name, value in world.access.passwords.items()}
    assert world.access.rotation is not None
    assert (world.access.rotation.coming, world.access.rotation.previous) == ({}, {})
    if takes == 2:
        assert world.cut_off == 0
    assert world.finish() == []


def test_each_step_is_one_write_and_the_old_ones_stay_until_clients_had_time() -> None:
    world = World(Engine(2))
    old = dict(world.access.passwords)
    assert world.finish() == ["prepare", "tell", "end"]
    world = World(Engine(2))
    for _ in range(2):
        step = world.decide()
        assert step is not None
        assert step.act is not None
        step.act()
    assert world.access.rotation is not None
    assert world.access.rotation.previous == old
    waits = world.decide()
    assert waits is not None
    assert waits.act is None
    world.now += SOON - timedelta(seconds=1)
    still = world.decide()
    assert still is not None
    assert still.act is None


def test_another_request_makes_them_anew_again_and_the_same_does_not() -> None:
    world = World(Engine(2))
    world.finish("first")
    between = dict(world.access.passwords)
    assert world.decide("first") is None
    world.finish("second")
    assert not set(between.values()) & set(world.access.passwords.values())


def test_nothing_is_changed_while_a_member_is_away_or_the_engine_does_not_say_that_it_did() -> None:
    world = World(Engine(2))
    world.away = ("db-1",)
    step = world.decide()
    assert step is not None
    assert (step.name, step.act, step.member) == ("wait", None, "db-1")
    world.away = ()
    step = world.decide()
    assert step is not None
    assert step.act is not None
    step.act()
    before = world.access
    for outcome in ("unknown", "refused"):
        world.engine.outcome = Result(outcome, "no answer")  # type: ignore[arg-type]
        step = world.decide()
        assert step is not None
        assert step.act is not None
        assert step.act().outcome == outcome
        assert world.access is before


def test_no_step_says_a_password() -> None:
    world = World(Engine(2))
    said = ""
    for _ in range(6):
        step = world.decide()
        if step is None:
            break
        said += f"{step} {world.access!r} {world.access.rotation!r}"
        if step.act is not None:
            step.act()
        else:
            world.now += SOON
    known = {*Engine(2).accepts["admin"], *world.access.passwords.values()}
    assert [word for word in known if word in said] == []


def test_an_engine_whose_passwords_cannot_be_changed_says_so_and_keeps_them() -> None:
    world = World(Engine(2))
    world.engine.rotates = False
    assert world.decide() is None
    stand = Stand(Running(3, "7.0.0", "x", "", "1Gi", {}), True, True, (), {}, {}, world.access)
    hand = Hand(None, SERVICE, lambda _: Result("done"))  # type: ignore[arg-type]
    turn = Turn(SERVICE, stand, world.engine, None, hand, StatefulServiceStatus(), NOW)  # type: ignore[arg-type]
    step = rotate(turn)
    assert step is not None
    assert (step.name, "passwords stay" in step.message) == ("finish", True)


def test_rotation_stands_in_the_secret_and_is_read_from_it() -> None:
    import base64

    from stateward.operator.access import opened

    data = {"admin": "new", "previous-admin": "old", "next-app": "coming", "app": "x"}
    notes = {"stateward.dev/rotating": "first", "stateward.dev/rotating-since": "2026-11-21T09:30:00Z"}
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    access = opened({"metadata": {"annotations": notes}, "data": encoded})
    assert access.passwords == {"admin": "new", "app": "x"}
    assert access.rotation == Rotation("first", NOW, {"app": "coming"}, {"admin": "old"})
