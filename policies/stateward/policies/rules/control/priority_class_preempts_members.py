"""SW718: a default priority above that of members that run."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import is_live, owned_by
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, items_of, mapping_of, metadata_of, text_of

_CLASS = "PriorityClass.scheduling.k8s.io"
_SET = "StatefulSet.apps"


@rule(
    id="SW718",
    name="priority-class-preempts-members",
    summary="A PriorityClass becomes the default of new pods and outranks members that run",
    why="A pod keeps the priority that it was created with. From now on every new pod outranks the members that run with "
    "none: when the nodes are full the scheduler evicts them, and a disruption budget is only best effort then.",
    remedy="Give the stateful members a class at least as high first, or set preemptionPolicy: Never.",
    source="Kubernetes documentation, Pod Priority and Preemption; Grafana Labs, 2019-07-24, How a production outage was "
    "caused using Kubernetes pod priorities",
    nature="state",
    action="warn",
    judges=objects(_CLASS, on=("CREATE", "UPDATE")),
    looks_at=(
        accuses(_SET, "spec"),
        accuses("Pod", "spec.priority", "status.phase"),
        accuses(_CLASS, "globalDefault", "value"),
    ),
)
def priority_class_preempts_members(change: Change, see: Sight) -> Iterator[Finding]:
    """Sets with claims whose pods name no class and run below its value."""
    own = change.new_object
    value = own.get("value") if own is not None else None
    if own is None or own.get("globalDefault") is not True or own.get("preemptionPolicy") == "Never":
        return
    if type(value) is not int or value <= 0:
        return
    sets = see.select(_SET)
    below = [item for item in (sets if sets is not UNKNOWN else ()) if _below(item, value, see)]
    if below:
        first = metadata_of(below[0])
        named = f"{text_of(first, 'namespace')}/{text_of(first, 'name')}{', …' if len(below) > 1 else ''}"
        noun = "StatefulSets" if len(below) > 1 else "StatefulSet"
        yield Finding(
            field=("value",),
            text=f"{value} for every new pod outranks {len(below)} {noun} without a class ({named})",
            why="their members keep the priority that they were created with, and any new pod may push them out",
            remedy=f"give those sets a class of at least {value} first, or set preemptionPolicy: Never",
            subject="default",
        )


def _below(item: Object, value: int, see: Sight) -> bool:
    spec = mapping_of(item, "spec")
    pod = mapping_of(mapping_of(spec, "template"), "spec")
    if not items_of(spec, "volumeClaimTemplates") or text_of(pod, "priorityClassName") or spec.get("replicas") == 0:
        return False
    pods = see.select("Pod", text_of(metadata_of(item), "namespace"))
    own = [one for one in (pods if pods is not UNKNOWN else ()) if is_live(one) and owned_by(one, item)]
    ranks = [mapping_of(one, "spec").get("priority", 0) for one in own]
    if ranks:
        return any(type(rank) is int and rank < value for rank in ranks)
    return _default(see) < value


def _default(see: Sight) -> int:
    """The priority that pods without a class got until now."""
    classes = see.select(_CLASS)
    found = [one.get("value") for one in (classes if classes is not UNKNOWN else ()) if one.get("globalDefault") is True]
    return min((rank for rank in found if type(rank) is int), default=0)
