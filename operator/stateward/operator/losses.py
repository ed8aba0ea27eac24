"""Members that are away for good, or may be: by what is known of their nodes, claims and volumes.

A node that is not ready says nothing of what runs on it: its member may serve on, unseen. Only a node that is deleted, or
tainted out-of-service, is gone; and only a volume that lives on such nodes alone, or that is no more, is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from stateward.kube.client import Cluster, path_of
from stateward.operator.apply import RESOURCES
from stateward.operator.informer import NODE, PERSISTENT_VOLUME, Informers
from stateward.operator.nodes import homes, named, say_gone, state_of
from stateward.operator.observe import Stand, claim_names
from stateward.operator.service import Service
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

Fate = Literal["replace", "release", "await"]
"""`replace`: its data is gone. `release`: its node is gone, its volume is not. `await`: nobody has said that it is gone."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A member that does not serve, and what becomes of it."""

    member: str
    ordinal: int
    fate: Fate
    why: str
    """In plain words, after the member's name."""
    nodes: tuple[str, ...] = ()
    """The nodes that this is said of."""
    command: str = ""
    """What a person runs to say that it is gone for good."""
    claim: Object | None = None
    """Of its data, whichever of its volumes is gone."""
    pod: Object | None = None
    uids: tuple[str, ...] = ()
    """Of all its claims; "" where there is none."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside claims and pods. `nodes` None: they cannot be read, so nothing is known of any."""

    nodes: Sequence[Object] | None
    volume: Object | None
    """The claim's; None where it is not known."""

    def state(self, node: str) -> Literal["there", "away", "out", "deleted", "unknown"]:
        """How a node stands, by its name."""
        if self.nodes is None:
            return "unknown"
        return next((state_of(one) for one in self.nodes if text_of(metadata_of(one), "name") == node), "deleted")


def losses(service: Service, stand: Stand, look: Informers) -> list[Loss]:
    """Of members that do not serve, in order; one that is to leave anyway is none."""
    healthy = set(stand.healthy(service.names(stand.replicas)))
    found = []
    for ordinal in range(stand.replicas):
        member = service.member(ordinal)
        if member in healthy or (ordinal == stand.replicas - 1 and service.members < stand.replicas):
            continue
        names = claim_names(service, stand.running, ordinal)
        claims = [look.get("PersistentVolumeClaim", service.namespace, name) for name in names]
        held = [(claim, _volume_of(claim, look)) for claim in claims]
        loss = of_all(member, ordinal, held, stand.pods.get(member), look.every(NODE))
        if loss is not None:
            found.append(loss)
    return found


def _volume_of(claim: Object | None, look: Informers) -> Object | None:
    if claim is None:
        return None
    return look.get(PERSISTENT_VOLUME, "", text_of(mapping_of(claim, "spec"), "volumeName"))


def of_all(
    member: str,
    ordinal: int,
    held: Sequence[tuple[Object | None, Object | None]],
    pod: Object | None,
    nodes: Sequence[Object] | None,
) -> Loss | None:
    """The same for all its volumes, that of its data first: (claim, volume). One that is gone is all of it gone."""
    found = [judge(member, ordinal, claim, pod, Facts(nodes, volume)) for claim, volume in held]
    losses = [loss for loss in found if loss is not None]
    worst = next((loss for fate in ("replace", "await") for loss in losses if loss.fate == fate), None)
    if worst is None and len(losses) == len(found):
        worst = losses[0]  # each of them can go to another node
    if worst is None:
        return None
    uids = tuple(uid_of(claim) if claim is not None else "" for claim, _ in held)
    return replace(worst, claim=held[0][0], uids=uids)


def judge(member: str, ordinal: int, claim: Object | None, pod: Object | None, facts: Facts) -> Loss | None:
    """What becomes of a member that does not serve; None where its node and volume are no reason for it."""
    runs_on = text_of(mapping_of(pod, "spec"), "nodeName") if pod is not None else ""
    if claim is not None and text_of(mapping_of(claim, "status"), "phase") == "Lost":
        gone = text_of(mapping_of(claim, "spec"), "volumeName")
        why = f"its claim is Lost: PersistentVolume {gone} is deleted"
        return Loss(member, ordinal, "replace", why, claim=claim, pod=pod)
    bound = named(facts.volume) if facts.volume is not None else set()
    if not bound or facts.volume is None:
        return _by_its_node(member, ordinal, runs_on, claim, pod, facts)
    if facts.nodes is None:
        return None
    volume = text_of(metadata_of(facts.volume), "name")
    there: dict[str, str] = {text_of(metadata_of(one), "name"): state_of(one) for one in homes(facts.volume, facts.nodes)}
    # A home of another label's name stands for itself by name; one that is nowhere any more is deleted.
    states = there or dict.fromkeys(sorted(bound), "deleted")
    if not there and any(facts.state(name) != "deleted" for name in bound):
        return None  # a node of that name is there and does not match: whether it has the volume is not known
    nodes = tuple(sorted(states))
    if "there" in states.values():
        return None
    several = ", ".join(nodes)
    if "away" in states.values():
        away = next(name for name in nodes if states[name] == "away")
        why = f"its node {away} is not ready, and its volume {volume} is on that node alone"
        return Loss(member, ordinal, "await", why, (away,), say_gone(away), claim, pod)
    how = "deleted" if set(states.values()) == {"deleted"} else "out of service"
    why = f"its volume {volume} is gone with its node {several}, which is {how}"
    return Loss(member, ordinal, "replace", why, nodes, claim=claim, pod=pod)


def confirmed(cluster: Cluster, service: Service, stand: Stand, loss: Loss, look: Informers) -> bool:
    """Whether the API server says the same at this moment. Raises ClusterError."""
    nodes = look.every(NODE)
    if nodes is None:
        return False
    live = [found for name in loss.nodes if (found := cluster.find(path_of("api", "v1", "nodes", name))) is not None]
    others = [node for node in nodes if text_of(metadata_of(node), "name") not in loss.nodes]
    names = claim_names(service, stand.running, loss.ordinal)
    held = [_live(cluster, service, name) for name in names]
    again = of_all(loss.member, loss.ordinal, held, loss.pod, [*others, *live])
    return again is not None and (again.fate, again.uids) == (loss.fate, loss.uids)


def _live(cluster: Cluster, service: Service, claim: str) -> tuple[Object | None, Object | None]:
    """A claim and its volume, as the API server has them."""
    found = cluster.find(RESOURCES["PersistentVolumeClaim"].path_to(service.namespace, claim))
    name = text_of(mapping_of(found, "spec"), "volumeName") if found is not None else ""
    return found, cluster.find(path_of("api", "v1", "persistentvolumes", name)) if name else None


def is_gone(look: Informers, node: str) -> bool:
    """Whether somebody has said that a node never comes back."""
    return Facts(look.every(NODE), None).state(node) in ("deleted", "out")


def confirmed_gone(cluster: Cluster, node: str) -> bool:
    """Whether the API server says the same at this moment. Raises ClusterError."""
    found = cluster.find(path_of("api", "v1", "nodes", node))
    return found is None or state_of(found) == "out"


def uid_of(item: Object) -> str:
    """What tells an object from another of the same name."""
    return text_of(metadata_of(item), "uid")


def _by_its_node(
    member: str, ordinal: int, node: str, claim: Object | None, pod: Object | None, facts: Facts
) -> Loss | None:
    """A pod whose volume can go elsewhere, or is not known: only the pod holds it up."""
    if not node:
        return None
    state = facts.state(node)
    if state == "away":
        return Loss(member, ordinal, "await", f"its node {node} is not ready", (node,), say_gone(node), claim, pod)
    # Where a claim's volume is not known, it may be on that node alone: its pod is the last that holds on to it.
    unknown = claim is not None and bool(text_of(mapping_of(claim, "spec"), "volumeName")) and facts.volume is None
    if state in ("deleted", "out") and not unknown:
        how = "deleted" if state == "deleted" else "out of service"
        why = f"its node {node} is {how}, and its volume can go to another"
        return Loss(member, ordinal, "release", why, (node,), claim=claim, pod=pod)
    return None
