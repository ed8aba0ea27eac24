"""Redis with Sentinel before a real API server, where the process dies after each write and each command; all else is
stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cluster_kit import Cluster, Kubectl
from operate_kit import KIND, NAME, CrashError, annotate, client, create, kubectl, lives, scale, served, settled, status
from standin_redis import RedisStandIn

from stateward.kube.client import Cluster as Client
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.sentinel.asking import Line

MUTATING = (
    "CONFIG SET",
    "SENTINEL SET",
    "SENTINEL RESET",
    "SENTINEL FAILOVER",
    "SENTINEL CONFIG",
    "REPLICAOF",
    "ACL SETUSER",
)
SECRET = f"{NAME}-credentials"
OLD, NEW = "7.2.15", "7.2.16"


class Death:
    """The process ends right after a command that it gives for the first time: nothing of it reaches anybody after that."""

    def __init__(self) -> None:
        self.alive = True
        self.died: set[tuple[Any, ...]] = set()

    def wraps(self, real: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def several(line: Line, *commands: Any) -> list[Any]:
            if not self.alive:
                raise CrashError
            answers = real(line, *commands)
            told = (line.where, *commands[0])
            if " ".join(str(word) for word in commands[0][:2]).startswith(MUTATING) and told not in self.died:
                self.died.add(told)
                self.alive = False
                raise CrashError
            return answers

        return several


@pytest.fixture
def death(monkeypatch: pytest.MonkeyPatch) -> Death:
    one = Death()
    monkeypatch.setattr(Line, "several", one.wraps(Line.several))
    return one


@pytest.fixture
def redis(client: Client, kubectl: Kubectl) -> Iterator[RedisStandIn]:
    with RedisStandIn(client, kubectl.namespace, NAME) as one:
        yield one
    assert one.group.wrongs == []


def owned(kubectl: Kubectl) -> list[str]:
    return sorted(name for name in kubectl.names("services") if name.endswith("-own"))


def test_a_process_that_dies_after_each_write_and_command_comes_to_the_same_end(
    served: Cluster, kubectl: Kubectl, redis: RedisStandIn, death: Death
) -> None:
    key, group = (kubectl.namespace, NAME), redis.group

    def until(good: Callable[[], bool], later: timedelta = timedelta()) -> int:
        """How often it died, by writes and by commands."""

        def over() -> bool:
            death.alive = True
            return good()

        try:
            return lives(served.kubeconfig, key, over, later, catalogue.find)
        except BaseException:
            print(json.dumps(status(kubectl), indent=1))
            print(group.members, group.told[-20:], group.wrongs, owned(kubectl), len(death.died))
            raise

    def whole(members: int) -> bool:
        """All serve, each has an address, and Sentinels know them and nobody else. What costs nothing is looked at first."""
        known = {one.address for one in [*group.members.values()]}
        return (
            len(known) == members
            and all(one.sentinels | {one.address} == known for one in [*group.members.values()])
            and all(one.quorum == members // 2 + 1 for one in [*group.members.values()])
            and owned(kubectl) == [f"{NAME}-{number}-own" for number in range(members)]
            and settled(kubectl, members)
        )

    def taken() -> int:
        return len({password for one in [*group.members.values()] for several in one.takes.values() for password in several})

    create(kubectl, engine="redis", version=OLD, deletionPolicy={"claims": "Delete"})
    deaths = [until(lambda: whole(3))]
    scale(kubectl, 4)
    deaths.append(until(lambda: whole(4)))
    last = f"{NAME}-3"
    group.fails_over(last)
    scale(kubectl, 3)
    deaths.append(until(lambda: whole(3)))
    assert group.led != last
    assert group.ended == [last]

    group.ended.clear()
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", json.dumps({"spec": {"version": NEW}}))
    deaths.append(until(lambda: {one.version for one in [*group.members.values()]} == {NEW} and settled(kubectl, 3)))
    assert len(group.ended) == 3
    assert not [one for one in group.ended if one.endswith("*")]  # whoever led had handed over

    group.ended.clear()
    before = {password for one in group.members.values() for password in one.takes["client"]}
    annotate(kubectl, "stateward.dev/rotate=first")
    deaths.append(until(lambda: taken() > 1 and "previous-password" in kubectl.get("secret", SECRET)["data"]))
    deaths.append(until(lambda: taken() == 1 and rotated(kubectl) == "first" and whole(3), timedelta(minutes=3)))
    after = {password for one in group.members.values() for several in one.takes.values() for password in several}
    assert len(after) == 1
    assert not after & before
    assert {used for one in group.members.values() for used in one.uses.values()} == after
    assert group.ended == []  # nobody was made anew for it

    group.deleting = True
    kubectl.must("delete", KIND, NAME, "--wait=false")
    deaths.append(until(lambda: not group.members and kubectl.get(KIND, NAME) == {}))
    assert kubectl.names("statefulsets,pods,persistentvolumeclaims,services", "-l", "stateward.dev/service=db") == []
    # Otherwise nothing was tried.
    assert all(one >= least for one, least in zip(deaths, (12, 4, 9, 8, 8, 4, 3), strict=True)), deaths
    print(deaths)


def rotated(kubectl: Kubectl) -> str:
    return str(kubectl.get("statefulset", NAME)["metadata"]["annotations"].get("stateward.dev/rotated", ""))
