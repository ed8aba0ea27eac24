"""The next step of scaling, by what the engine's list and the cluster say."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Peer, Place, Result, Seen, Target
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand
from stateward.operator.operations.scale import scale
from stateward.operator.service import read
from stateward.operator.step import Step
from stateward.operator.turn import Hand, Turn

NOTHING: dict[str, Any] = {}
LEFT = {"stateward.dev/left": "db-3"}


class Driver:
    """etcd, but for its list of members."""

    def __init__(self, peers: Sequence[Peer] | None) -> None:
        self._peers = peers

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        return None if self._peers is None else list(self._peers)

    def __getattr__(self, name: str) -> Any:
        return getattr(catalogue.find("etcd"), name)


class Look:
    """A cache with claims alone."""

    def __init__(self, claims: dict[str, dict[str, Any]]) -> None:
        self._claims = claims

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return {"metadata": {"name": name, **self._claims[name]}} if name in self._claims else None


def peers(*names: str, learner: str = "") -> list[Peer]:
    return [Peer(str(place), name, name == learner) for place, name in enumerate(names)]


def decide(
    members: int, replicas: int, listed: Sequence[Peer] | None, *, away: Sequence[str] = (), claims: Any = NOTHING
) -> Step | None:
    spec = {
        "engine": "etcd",
        "version": "3.5.16",
        "members": members,
        "storage": {"size": "1Gi"},
        "tls": {"enabled": False},
    }
    one = read(StatefulService.model_validate({"metadata": {"name": "db", "namespace": "prod"}, "spec": spec}))
    targets = tuple(Target(name, "127.0.0.1", {"client": 1, "peer": 2}) for name in one.names(replicas))
    seen = {target.name: Seen(target.name, None if target.name in away else True) for target in targets}
    stand = Stand(Running(replicas, "3.5.16", "x", "", "1Gi", {}), True, True, targets, seen, {})
    hand = Hand(None, one, lambda _: Result("done"))  # type: ignore[arg-type]
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return scale(Turn(one, stand, Driver(listed), Look(claims), hand, StatefulServiceStatus(), now))  # type: ignore[arg-type]


THREE = ("db-0", "db-1", "db-2")
FOUR = (*THREE, "db-3")


@pytest.mark.parametrize(
    ("members", "replicas", "listed", "more", "wanted"),
    [
        (3, 3, peers(*THREE), {}, None),
        (3, 3, None, {}, None),
        (5, 3, None, {}, ("wait", "")),
        (5, 3, peers(*THREE), {}, ("join", "db-3")),
        (5, 3, peers(*THREE), {"away": ["db-1"]}, ("wait", "db-1")),
        (5, 3, peers(*FOUR, learner="db-3"), {}, ("start", "db-3")),
        (5, 4, peers(*FOUR, learner="db-3"), {}, ("promote", "db-3")),
        (5, 4, peers(*FOUR), {}, ("join", "db-4")),
        (5, 3, peers(*THREE), {"claims": {"data-db-3": {"annotations": LEFT}}}, ("clear", "db-3")),
        (5, 3, peers(*THREE), {"claims": {"data-db-3": {}}}, ("ClaimInTheWay", "db-3")),
        (3, 4, peers(*FOUR), {}, ("leave", "db-3")),
        (3, 4, peers(*FOUR), {"away": ["db-3"]}, ("leave", "db-3")),
        (3, 4, peers(*FOUR), {"away": ["db-0"]}, ("wait", "db-3")),
        (3, 4, peers(*FOUR, learner="db-3"), {"away": ["db-3"]}, ("leave", "db-3")),
        (3, 4, peers(*THREE), {"claims": {"data-db-3": {}}}, ("note", "db-3")),
        (3, 4, peers(*THREE), {"claims": {"data-db-3": {"annotations": LEFT}}}, ("stop", "db-3")),
        # A change of mind on the way.
        (3, 3, peers(*FOUR), {}, ("leave", "db-3")),
        (5, 4, peers(*THREE), {"claims": {"data-db-3": {"annotations": LEFT}}}, ("stop", "db-3")),
        (5, 4, peers(*THREE), {"claims": {"data-db-3": {}}}, ("MemberNotListed", "db-3")),
        # Somebody else's entries.
        (5, 3, peers(*THREE, ""), {}, ("UnknownMember", "")),
        (3, 3, peers(*THREE, "db-7"), {}, ("UnknownMember", "")),
    ],
)
def test_the_next_step_follows_from_the_facts(
    members: int, replicas: int, listed: Any, more: dict[str, Any], wanted: tuple[str, str] | None
) -> None:
    step = decide(members, replicas, listed, **more)
    assert (None if step is None else (step.blocked or step.name, step.member)) == wanted


def test_a_member_that_has_not_answered_yet_is_waited_for_with_the_reason_and_given_no_vote() -> None:
    listed = peers("db-0", "db-1", "db-2", "db-3", learner="db-3")
    step = decide(5, 4, listed, away=["db-3"])
    assert step is not None
    assert (step.name, step.member, step.act) == ("wait", "db-3", None)
    assert step.message == "it gets its vote once it answers: it has no pod"
