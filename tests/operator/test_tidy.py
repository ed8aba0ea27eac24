"""The Services of members that have left: which go, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from turns import FINE, Driver, turn

from stateward.operator.drivers.protocol import Result
from stateward.operator.operations.tidy import tidy
from stateward.operator.step import Step
from stateward.operator.turn import Turn


def service(name: str, *, uid: str = "u1", ending: bool = False) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name, "namespace": "prod", "ownerReferences": [{"controller": True, "uid": uid}]}
    return {"metadata": {**metadata, "deletionTimestamp": "2026-01-01T00:00:00Z"} if ending else metadata}


class Look:
    """What is heard of."""

    def __init__(self, *items: dict[str, Any]) -> None:
        self._items = [*items]

    def of(self, kind: str, _: Any) -> list[dict[str, Any]]:
        return self._items if kind == "Service" else []


class Taking:
    """What was deleted."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    def take(self, kind: str, item: dict[str, Any]) -> Result:
        self.taken.append(f"{kind} {item['metadata']['name']}")
        return Result("done")


OWN = [service(f"db-{number}-own") for number in range(3)]


def made(*items: dict[str, Any], unsettled: Any = (), formed: bool = True, members: int = 3) -> Turn:
    driver = Driver([], unsettled=lambda *_: None if unsettled is None else list(unsettled))
    one = turn([FINE] * 3, driver=driver, formed=formed)
    hand: Any = Taking()
    look: Any = Look(*OWN, service("db"), service("db-replicas"), *items)
    return replace(one, look=look, hand=hand, service=replace(one.service, uid="u1", members=members))


def taken(one: Turn, step: Step | None) -> list[str]:
    assert step is not None
    assert step.act is not None
    hand: Any = one.hand
    assert hand.taken == []  # deciding changes nothing
    step.act()
    found: list[str] = hand.taken
    return found


def test_the_address_of_a_member_that_has_left_goes() -> None:
    one = made(service("db-4-own"), service("db-3-own"))
    assert taken(one, tidy(one)) == ["Service db-4-own"]


@pytest.mark.parametrize(
    "item",
    [
        service("db-3-own", uid="somebody-else"),
        service("db-3-own", ending=True),
        service("db-x-own"),
        service("db-own"),
        service("db-3"),
        service("db-x-3-own"),
    ],
    ids=["of somebody else", "on its way", "no number", "no member", "no such name", "of a service of another name"],
)
def test_whatever_else_there_is_stays(item: dict[str, Any]) -> None:
    assert tidy(made(item)) is None


@pytest.mark.parametrize("unsettled", [None, ["quorum 2 of db-0"]], ids=["nobody can say", "Sentinels know it still"])
def test_it_stays_while_the_others_may_know_it(unsettled: Any) -> None:
    assert tidy(made(service("db-3-own"), unsettled=unsettled)) is None


def test_it_stays_while_its_pod_is_there_or_more_members_are_wanted() -> None:
    one = made(service("db-3-own"))
    pods = {**one.stand.pods, "db-3": {"metadata": {"name": "db-3"}}}
    assert tidy(replace(one, stand=replace(one.stand, pods=pods))) is None
    assert tidy(made(service("db-3-own"), members=5)) is None
    assert tidy(made(service("db-3-own"), formed=False)) is None
