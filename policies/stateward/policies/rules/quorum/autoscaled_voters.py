"""SW214: an autoscaler that scales the voters of a quorum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies import bearing
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import Sight, accuses, mapping_of, text_of

_HPA: Final = "HorizontalPodAutoscaler.autoscaling"
_SCALED: Final = "ScaledObject.keda.sh"


@rule(
    id="SW214",
    name="autoscaled-voters",
    summary="An autoscaler is set on members that vote",
    why="Voters are counted by the engine, not by the load. Every time the load falls members leave that the others still "
    "count, until no majority is left.",
    remedy="Scale voters by hand, one at a time; let an autoscaler have the stateless part.",
    source="etcd and Raft: membership is changed one member at a time; floor(n/2)+1",
    nature="state",
    judges=objects(_HPA, _SCALED, on=("CREATE", "UPDATE")),
    looks_at=(accuses("StatefulSet.apps", "spec"),),
)
def autoscaled_voters(change: Change, see: Sight) -> Iterator[Finding]:
    """Denies where its minimum is below the majority of the members that there are."""
    spec = mapping_of(change.new_object or {}, "spec")
    target = mapping_of(spec, "scaleTargetRef")
    namespace = change.request.namespace
    view = see.view_of(accuses("StatefulSet.apps", "spec"))
    kind = text_of(target, "kind") or "Deployment"
    for service in bearing.services_named(view, namespace, kind, text_of(target, "name")):
        voting = [group for group in service.groups if votes(service, group)]
        members = voting[0].members.value if voting else None
        if type(members) is not int or members < 2:
            continue
        field, least = _least(spec)
        low = type(least) is int and least < members // 2 + 1
        yield Finding(
            field=("spec", field),
            text=f"it may scale the {members} voters of {service.title} down to {least}",
            why=f"the engine still counts {members}: {least} of them are no majority, and writes stop"
            if low
            else "each step changes the quorum while the engine is under load, and nobody takes the member out first",
            remedy=f"leave the members of {service.title} to people, or set both bounds to {members}",
            subject=service.title,
            weak=not low,
        )


def _least(spec: Mapping[str, Any]) -> tuple[str, Any]:
    if "minReplicas" in spec:
        return "minReplicas", spec["minReplicas"]
    if "minReplicaCount" in spec:
        return "minReplicaCount", spec["minReplicaCount"]
    # An HPA keeps at least one; a ScaledObject goes to none (their documentation).
    return ("minReplicas", 1) if "maxReplicas" in spec else ("minReplicaCount", 0)
