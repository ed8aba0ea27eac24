"""SW207: members that may all land on one node."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import UNKNOWN, Sight, excuses, mapping_of


@rule(
    id="SW207",
    name="members-share-node",
    summary="Members of a quorum may run on the same node",
    why="When that node dies the majority dies with it, although every member was healthy.",
    remedy="Require anti-affinity over kubernetes.io/hostname, or a topology spread with DoNotSchedule.",
    source="Kubernetes documentation, Pod Topology Spread Constraints",
    nature="state",
    action="warn",
    judges=services("CREATE", "UPDATE"),
    about=("placement",),
    looks_at=(excuses("Node", "metadata", "spec.taints", "spec.unschedulable"),),
)
def members_share_node(change: Change, see: Sight) -> Iterator[Finding]:
    """Nothing spreads them; or they are only asked to spread and the nodes are fewer than the members."""
    new = change.new
    if new is None or not new.groups or not new.adapter.has_placement or not votes(new, new.groups[0]):
        return
    members = new.groups[0].members.value
    if type(members) is not int or members < 3 or new.placement.required:
        return
    if new.placement.preferred:
        nodes = see.select("Node")
        if nodes is UNKNOWN or not nodes:
            return
        usable = [
            node
            for node in nodes
            if not mapping_of(node, "spec").get("unschedulable") and not _tainted(mapping_of(node, "spec"))
        ]
        if len(usable) >= members:
            return
        shared = -(-members // max(1, len(usable)))
        if shared <= members - (members // 2 + 1):
            return
        yield Finding(
            field=new.placement.path,
            text=f"{members} members on {len(usable)} nodes: one node holds {shared} of them",
            why=f"when that node dies {members - shared} of them stay, less than the majority of {members}",
            remedy=f"add nodes until there are {members}, and require the spread",
            subject="nodes",
        )
        return
    yield Finding(
        field=new.placement.path,
        text=f"nothing keeps the {members} members apart",
        why="all of them may land on one node and die with it",
        remedy="add podAntiAffinity (requiredDuringSchedulingIgnoredDuringExecution) over kubernetes.io/hostname",
        subject="spread",
    )


def _tainted(spec: object) -> bool:
    taints = spec.get("taints") if isinstance(spec, dict) else None
    return isinstance(taints, list) and any(
        isinstance(taint, dict) and taint.get("effect") in ("NoSchedule", "NoExecute") for taint in taints
    )
