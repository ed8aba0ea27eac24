"""Turns for tests of operations: a service of etcd, its members as a test says they are, and what is done kept in a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Peer, Place, Result, Seen, Target
from stateward.operator.objects import fingerprint
from stateward.operator.objects.common import RUNS, VERSION
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand, place_of
from stateward.operator.service import Service, read
from stateward.operator.turn import Turn

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Member:
    """How a member is: what its pod was made with ("" for the template that there is), and what it says."""

    made: str = ""
    """Version of the pod's template; "old": the present version of an earlier template."""
    healthy: bool | None = True
    ready: bool = True
    started: bool = True
    waiting: str = ""
    minutes: float = 60
    """Since when it is as it is."""
    says: str = ""
    """The version that its engine says it runs; "" for that of its pod."""
    lag: int | None = None
    gone: bool = False
    ending: bool = False


FINE = Member()
OLD = Member(made="old")
UP = Member(healthy=False, ready=False, minutes=0.1)


@dataclass
class Hand:
    """What was done."""

    done: list[Any] = field(default_factory=list)

    def note(self, notes: Mapping[str, str | None]) -> Result:
        """Keeps the notes."""
        self.done.append({name.rpartition("/")[2]: value for name, value in notes.items()})
        return Result("done")

    def restart(self, pod: Mapping[str, Any], _: Any, budget: bool) -> Result:
        """Keeps whose pod it was."""
        self.done.append(f"{pod['metadata']['name']}{' evicted' if budget else ' deleted'}")
        return Result("done")


class Driver:
    """etcd, but for what is not asked of a real one here."""

    def __init__(self, peers: Sequence[Peer] | None, **more: Any) -> None:
        self._peers = peers
        self.told: list[str] = []
        self.__dict__.update(more)

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        """The list of members."""
        return None if self._peers is None else list(self._peers)

    def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Hands over."""
        self.told.append(f"switchover {member}")
        return Result("done")

    def finalise(self, version: str, targets: Sequence[Target], place: Place) -> Result:
        """Makes it final."""
        self.told.append(f"finalise {version}")
        return Result("done")

    def __getattr__(self, name: str) -> Any:
        return getattr(catalogue.find("etcd"), name)


def turn(
    members: Sequence[Member],
    *,
    running: str = "3.5.16",
    notes: Mapping[str, str] | None = None,
    leader: str = "db-0",
    status: Mapping[str, Any] | None = None,
    driver: Driver | None = None,
    formed: bool = True,
    now: datetime = NOW,
    **spec: Any,
) -> Turn:
    """The turn of a service whose members are these. `notes` without the group before their names."""
    wanted = {"engine": "etcd", "version": running, "members": len(members), "storage": {"size": "1Gi"}, **spec}
    wanted.setdefault("tls", {"enabled": False})
    one = read(StatefulService.model_validate({"metadata": {"name": "db", "namespace": "prod"}, "spec": wanted}))
    known = {f"stateward.dev/{name}": value for name, value in (notes or {}).items()}
    base = Running(len(members), running, f"etcd:{running}", "", "1Gi", known)
    driver = driver or Driver([Peer(str(place), name) for place, name in enumerate(one.names(len(members)))])
    stand = Stand(base, True, formed, (), {}, {})
    hash_now = fingerprint.of(one, base, driver, place_of(one, base, formed), stand.access)  # type: ignore[arg-type]
    pods, seen = {}, {}
    for name, member in zip(one.names(len(members)), members, strict=True):
        if member.gone:
            continue
        pods[name] = _pod(name, member, running, hash_now, now)
        if member.started and not member.ending:
            role = "leader" if name == leader else "follower"
            version = member.says or (running if member.made in ("", "old") else member.made)
            seen[name] = Seen(name, member.healthy, role, version, lag=member.lag, lag_unit="bytes" if member.lag else None)
    targets = tuple(Target(name, "127.0.0.1", {"client": 1, "peer": 2}) for name in seen)
    stand = replace(stand, targets=targets, seen=seen, pods=pods)
    told = StatefulServiceStatus.model_validate(status or {})
    return Turn(one, stand, driver, None, Hand(), told, now)  # type: ignore[arg-type]


def _pod(name: str, member: Member, running: str, hash_now: str, now: datetime) -> dict[str, Any]:
    since = f"{now - timedelta(minutes=member.minutes):%Y-%m-%dT%H:%M:%SZ}"
    version = running if member.made in ("", "old") else member.made
    annotations = {RUNS: hash_now if member.made == "" else "earlier", VERSION: version}
    metadata: dict[str, Any] = {"name": name, "uid": f"u-{name}", "annotations": annotations, "creationTimestamp": since}
    if member.ending:
        metadata["deletionTimestamp"] = since
    state = {"waiting": {"reason": member.waiting}} if member.waiting else {"running": {}}
    return {
        "metadata": metadata,
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if member.ready else "False", "lastTransitionTime": since}],
            "containerStatuses": [{"name": "engine", "started": member.started, "restartCount": 0, "state": state}],
        },
    }


def done(turn: Turn) -> list[Any]:
    """What was done by the hands of a turn."""
    hand: Any = turn.hand
    found: list[Any] = hand.done
    return found


__all__ = ["FINE", "NOW", "OLD", "UP", "Driver", "Hand", "Member", "Service", "done", "turn"]
