"""Settings that all members share: when they are changed, and when nobody can say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from stateward.operator.drivers.protocol import Place, Result, Seen, Target
from stateward.operator.operations.settings import settings


class Driver:
    """An engine that keeps settings by itself."""

    leaders = frozenset({"primary"})

    def __init__(self, names: list[str] | None) -> None:
        self._names = names
        self.told: list[Sequence[Target]] = []

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str] | None:
        return self._names

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        self.told.append(targets)
        return Result("done")


class Turn:
    """What an operation sees, as far as this one looks."""

    def __init__(self, driver: Driver, *, formed: bool = True) -> None:
        self.driver = driver
        self.stand = type("Stand", (), {"formed": formed, "seen": {"db-0": Seen("db-0", True)}})()

    def asked(self) -> list[Target]:
        return [Target("db-0", "127.0.0.1", {})]

    def place(self) -> Place:
        return Place("prod", "db", "17.12", ["db-0"], True)


def decided(names: list[str] | None, **more: Any) -> Any:
    return settings(Turn(Driver(names), **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "formed"),
    [([], True), (None, True), (["work_mem"], False)],
    ids=["as they should be", "nobody can say", "not founded yet"],
)
def test_nothing_is_done(names: list[str] | None, formed: bool) -> None:
    assert decided(names, formed=formed) is None


def test_what_differs_is_named_and_set_by_those_that_serve() -> None:
    driver = Driver(["work_mem", "a", "b", "c", "d", "e", "f"])
    step = settings(Turn(driver))  # type: ignore[arg-type]
    assert step is not None
    assert (step.kind, step.message) == ("Configure", "set for all members: work_mem, a, b, c, d and 2 more")
    assert driver.told == []  # deciding changes nothing
    assert step.act is not None
    assert step.act().outcome == "done"
    assert [target.name for target in driver.told[0]] == ["db-0"]
