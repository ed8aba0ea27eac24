"""Who is lost, what is waited for, and the next step of making a member anew."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Peer, Place, Result, Seen, Target
from stateward.operator.losses import losses
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand
from stateward.operator.operations.replace import lost, replace
from stateward.operator.service import read
from stateward.operator.step import Step
from stateward.operator.turn import Hand, Turn

OUT = {"key": "node.kubernetes.io/out-of-service"}
AWAY = {"key": "node.kubernetes.io/unreachable"}
THREE = ("db-0", "db-1", "db-2")
LOST = {"stateward.dev/lost": "db-2"}
LEFT = {**LOST, "stateward.dev/left": "db-2"}


class Driver:
    """etcd, but for its list of members; unlisted, an engine whose replicas follow by themselves."""

    def __init__(self, peers: Sequence[Peer] | None, listed: bool) -> None:
        self._peers = peers
        self.listed = listed

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        return None if self._peers is None else list(self._peers)

    def __getattr__(self, name: str) -> Any:
        return getattr(catalogue.find("etcd"), name)


class World:
    """Three members on three nodes, each with a volume of that node's; then something happens."""

    def __init__(self, count: int = 3) -> None:
        self.members = self.replicas = count
        self.names = [f"db-{number}" for number in range(count)]
        self.nodes: dict[str, dict[str, Any]] | None = {f"n{number}": self.node(f"n{number}") for number in range(count)}
        self.volumes = {f"pv-{number}": self.volume(number) for number in range(count)}
        self.claims = {f"data-db-{number}": self.claim(number) for number in range(count)}
        self.pods = {name: self.pod(name, f"n{number}") for number, name in enumerate(self.names)}
        self.away: set[str] = set()
        self.identities: dict[str, str] = {}
        self.listed = True
        self.leader = "db-0"
        self.peers: list[Peer] | None = [Peer(str(number), name) for number, name in enumerate(self.names)]
        self.operation: dict[str, Any] | None = None

    def node(self, name: str, *taints: dict[str, str]) -> dict[str, Any]:
        return {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}}, "spec": {"taints": list(taints)}}

    def volume(self, number: int, key: str = "kubernetes.io/hostname") -> dict[str, Any]:
        terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": [f"n{number}"]}]}]
        affinity = {"required": {"nodeSelectorTerms": terms}}
        return {"metadata": {"name": f"pv-{number}"}, "spec": {"nodeAffinity": affinity}}

    def claim(self, number: int, phase: str = "Bound", **metadata: Any) -> dict[str, Any]:
        name = f"data-db-{number}"
        return {
            "metadata": {"name": name, "uid": name, **metadata},
            "spec": {"volumeName": f"pv-{number}"},
            "status": {"phase": phase},
        }

    def pod(self, name: str, node: str, **metadata: Any) -> dict[str, Any]:
        return {"metadata": {"name": name, **metadata}, "spec": {"nodeName": node} if node else {}}

    # --- what happens --------------------------------------------------------------------------------------------

    def dies(self, number: int, how: str) -> World:
        """A node goes: `away`, `out`, `deleted`. Its member does not serve."""
        assert self.nodes is not None
        if how == "deleted":
            del self.nodes[f"n{number}"]
        else:
            self.nodes[f"n{number}"] = self.node(f"n{number}", AWAY, *([OUT] if how == "out" else []))
        self.away.add(f"db-{number}")
        return self

    def pending(self, number: int) -> World:
        """Its pod was made anew, and finds no node."""
        self.pods[f"db-{number}"] = self.pod(f"db-{number}", "")
        return self

    def moves(self, number: int, key: str = "topology.kubernetes.io/zone") -> World:
        self.volumes[f"pv-{number}"] = self.volume(number, key)
        return self

    def marked(self, number: int, marks: dict[str, str], **more: Any) -> World:
        self.claims[f"data-db-{number}"] = self.claim(number, annotations=marks, **more)
        return self

    def list(self, *names: str, learner: str = "") -> World:
        self.peers = [Peer(str(place), name, name == learner) for place, name in enumerate(names)]
        return self

    def but(self, **more: Any) -> World:
        for name, value in more.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        return self

    # --- what is decided -----------------------------------------------------------------------------------------

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return {"PersistentVolumeClaim": self.claims, "PersistentVolume": self.volumes}[kind].get(name)

    def every(self, kind: str) -> list[dict[str, Any]] | None:
        assert kind == "Node"
        return None if self.nodes is None else list(self.nodes.values())

    def turn(self) -> Turn:
        spec = {
            "engine": "etcd",
            "version": "3.5.16",
            "members": self.members,
            "storage": {"size": "1Gi"},
            "tls": {"enabled": False},
        }
        one = read(StatefulService.model_validate({"metadata": {"name": "db", "namespace": "prod"}, "spec": spec}))
        answering = [name for name in self.names if name not in self.away or name in self.identities]
        targets = tuple(Target(name, "127.0.0.1", {"client": 1, "peer": 2}) for name in answering)
        seen = {name: self.seen(name) for name in answering}
        running = Running(self.replicas, "3.5.16", "x", "", "1Gi", {})
        stand = Stand(running, True, True, targets, seen, self.pods)
        hand = Hand(None, one, lambda _: Result("done"))  # type: ignore[arg-type]
        now = datetime(2026, 1, 1, tzinfo=UTC)
        status = StatefulServiceStatus.model_validate({"operation": self.operation} if self.operation else {})
        return Turn(one, stand, Driver(self.peers, self.listed), self, hand, status, now)  # type: ignore[arg-type]

    def seen(self, name: str) -> Seen:
        role = "leader" if name == self.leader else "follower"
        return Seen(name, name not in self.away, role, identity=self.identities.get(name, str(self.names.index(name))))


def said(step: Step | None) -> tuple[str, str] | None:
    return None if step is None else (step.blocked or step.name, step.member)


def five(*gone: int) -> World:
    world = World(5)
    for number in gone:
        world.dies(number, "deleted")
    return world


@pytest.mark.parametrize(
    ("world", "does", "waits"),
    [
        (World(), None, None),
        # Never on NotReady alone.
        (World().dies(2, "away"), None, ("NodeAway", "db-2")),
        (World().dies(2, "away").pending(2), None, ("NodeAway", "db-2")),
        (World().dies(2, "away").moves(2), None, ("NodeAway", "db-2")),
        # Said to be gone for good.
        (World().dies(2, "out"), ("note", "db-2"), ("wait", "db-2")),
        (World().dies(2, "deleted"), ("note", "db-2"), ("wait", "db-2")),
        (World().dies(2, "deleted").pending(2), ("note", "db-2"), ("wait", "db-2")),
        # The node is gone, its member serves on: nothing is done.
        (World().dies(2, "deleted").but(away=set()), None, None),
        # Where the volume can go elsewhere, only the pod is let go of.
        (World().dies(2, "out").moves(2), ("release", "db-2"), None),
        (World().dies(2, "deleted").moves(2), ("release", "db-2"), None),
        (World().dies(2, "deleted").moves(2).pending(2), None, None),
        (World().dies(2, "deleted").moves(2, "example.com/rack").pending(2), None, None),
        # Nothing is known of nodes: unknown is not gone.
        (World().dies(2, "deleted").but(nodes=None), None, None),
        (World().dies(2, "deleted").but(volumes={}), None, None),
        # The member is down for a reason of its own.
        (World().but(away={"db-2"}), None, None),
        # Without a majority of the others.
        (World().dies(2, "deleted").but(away={"db-1", "db-2"}), None, ("wait", "db-2")),
        (World().dies(2, "deleted").dies(1, "away"), None, ("wait", "db-2")),
        (World().dies(2, "deleted").dies(1, "deleted"), None, ("DataLost", "db-1")),
        (World(1).dies(0, "deleted"), None, ("DataLost", "db-0")),
        (World(1).dies(0, "away"), None, ("NodeAway", "db-0")),
        (five(1, 4), ("note", "db-1"), ("wait", "db-1")),
        (five(1, 3, 4), None, ("DataLost", "db-1")),
        # One at a time: another one has to get its vote first.
        (five(4).list("db-0", "db-1", "db-2", "db-3", "db-4", learner="db-1"), ("promote", "db-1"), ("wait", "db-4")),
        (five(4).list("db-0", "db-1", "db-2", "db-3", "db-4", learner="db-4"), ("note", "db-4"), ("wait", "db-4")),
        (five(4).but(peers=None), ("wait", "db-4"), ("wait", "db-4")),
        # It is to leave anyway.
        (World(4).dies(3, "deleted").but(members=3), None, None),
        (World(4).dies(2, "deleted").but(members=3), ("note", "db-2"), ("wait", "db-2")),
    ],
)
def test_who_is_made_anew_and_who_is_waited_for(world: World, does: Any, waits: Any) -> None:
    assert said(replace(world.turn())) == does
    assert said(lost(world.turn())) == waits


@pytest.mark.parametrize(
    ("world", "wanted"),
    [
        (World().dies(2, "out").marked(2, LOST), "leave"),
        (World().dies(2, "out").marked(2, LOST).list(*THREE[:2]), "note"),
        (World().dies(2, "out").marked(2, LEFT).list(*THREE[:2]), "join"),
        (World().dies(2, "out").marked(2, LEFT).list(*THREE, learner="db-2"), "clear"),
        (World().dies(2, "out").marked(2, LEFT, deletionTimestamp="x").list(*THREE, learner="db-2"), "release"),
        (World().dies(2, "out").marked(2, LOST).but(peers=None), "wait"),
        # The node comes back meanwhile: before its member has left all is well, after that it goes on.
        (World().marked(2, LOST), "keep"),
        (World().marked(2, LOST).but(away={"db-2"}), "leave"),
        (World().marked(2, LEFT).list(*THREE[:2]), "join"),
        (World().marked(2, LEFT, deletionTimestamp="x").list(*THREE, learner="db-2"), "clear"),
        # Not without the others.
        (World().dies(2, "out").marked(2, LOST).but(away={"db-1", "db-2"}), None),
        # No list to leave.
        (World().dies(2, "out").marked(2, LOST).but(listed=False), "clear"),
        (World().dies(2, "out").marked(2, LOST, deletionTimestamp="x").but(listed=False), "release"),
        # Its new volume is there, and its entry is the new one.
        (World().but(away={"db-2"}).list(*THREE, learner="db-2"), None),
    ],
)
def test_what_was_begun_goes_on_from_the_facts(world: World, wanted: str | None) -> None:
    assert said(replace(world.turn())) == (None if wanted is None else (wanted, "db-2"))


def test_a_pod_on_a_node_that_is_back_ends_in_its_own_time() -> None:
    world = World().marked(2, LEFT, deletionTimestamp="x").list(*THREE, learner="db-2")
    first = replace(world.turn())
    world.pods["db-2"]["metadata"]["deletionTimestamp"] = "x"
    then = replace(world.turn())
    assert first is not None
    assert first.act is not None
    assert then is not None
    assert then.act is None


def test_a_member_that_was_made_anew_gets_its_vote_in_the_same_operation() -> None:
    operation = {"id": "r", "kind": "Replace", "step": "clear", "member": "db-2", "started": "2026-01-01T00:00:00Z"}
    world = World().but(away={"db-2"}, operation=operation).list(*THREE, learner="db-2")
    assert said(replace(world.turn())) == ("promote", "db-2")
    assert replace(world.list(*THREE).turn()) is None


def test_a_pod_that_waits_for_a_claim_that_is_gone_is_made_anew_where_its_member_may_start_empty() -> None:
    world = World().pending(2).but(away={"db-2"})
    del world.claims["data-db-2"]
    assert said(replace(world.list(*THREE, learner="db-2").turn())) == ("clear", "db-2")
    assert replace(world.list(*THREE).turn()) is None
    assert replace(world.but(peers=None).turn()) is None
    assert said(replace(world.but(listed=False).turn())) == ("clear", "db-2")
    world.pods["db-2"]["metadata"]["deletionTimestamp"] = "x"
    assert replace(world.turn()) is None


def test_a_claim_without_its_volume_is_lost_whatever_its_node() -> None:
    world = World().but(away={"db-2"})
    world.claims["data-db-2"] = world.claim(2, "Lost")
    del world.volumes["pv-2"]
    step = replace(world.turn())
    assert said(step) == ("note", "db-2")
    assert step is not None
    assert "PersistentVolume pv-2 is deleted" in step.message


def test_a_pod_that_runs_without_its_members_data_is_made_anew() -> None:
    world = World().but(away={"db-2"}, identities={"db-2": "999"})
    step = replace(world.turn())
    assert said(step) == ("note", "db-2")
    assert step is not None
    assert "it is 999, and the engine's list has 2" in step.message
    assert replace(World().but(away={"db-2"}, identities={"db-2": "2"}).turn()) is None
    assert replace(world.but(away={"db-1", "db-2"}).turn()) is None


@pytest.mark.parametrize(
    ("world", "does", "waits"),
    [
        (World(2).dies(1, "deleted"), ("note", "db-1"), ("wait", "db-1")),
        # The one that leads is lost with its data, and no other leads: nobody knows whom to follow.
        (World(2).dies(0, "deleted"), None, ("wait", "db-0")),
        (World(2).dies(0, "deleted").but(leader="db-1"), ("note", "db-0"), ("wait", "db-0")),
        (World().dies(1, "deleted").dies(2, "deleted"), ("note", "db-1"), ("wait", "db-1")),
        (World().dies(1, "deleted").dies(2, "deleted").dies(0, "deleted"), None, ("DataLost", "db-0")),
        # The first is filled before the second goes.
        (five(4).but(away={"db-3", "db-4"}), ("wait", "db-3"), ("wait", "db-4")),
    ],
)
def test_where_replicas_follow_by_themselves_there_is_no_list_to_leave(world: World, does: Any, waits: Any) -> None:
    world.but(listed=False)
    assert said(replace(world.turn())) == does
    assert said(lost(world.turn())) == waits


def test_what_is_waited_for_is_said_with_the_command_that_ends_it() -> None:
    step = lost(World().dies(2, "away").turn())
    assert step is not None
    assert step.message == (
        "db-2: its node n2 is not ready, and its volume pv-2 is on that node alone: nothing is touched while it may come "
        "back; if it never does, say so, and its member is made anew: kubectl taint nodes n2 "
        "node.kubernetes.io/out-of-service=nodeshutdown:NoExecute, or kubectl delete node n2"
    )
    alone = lost(World(1).dies(0, "away").turn())
    assert alone is not None
    assert "its data is lost, and a backup has to be restored" in alone.message
    turn = World().dies(2, "away").turn()
    assert [one.why for one in losses(turn.service, turn.stand, turn.look)] == [
        "its node n2 is not ready, and its volume pv-2 is on that node alone"
    ]
