"""SW808: members that push other members out."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, items_of, mapping_of, text_of

_CLASS = "PriorityClass.scheduling.k8s.io"


@rule(
    id="SW808",
    name="preempts-members",
    summary="A new set outranks stateful members that run without a priority",
    why="When nodes are full the scheduler evicts pods of lower priority to make room; a disruption budget is only best "
    "effort then.",
    remedy="Give the members that run a priority at least as high first, or the new ones preemptionPolicy: Never.",
    source="Kubernetes documentation, Pod Priority and Preemption",
    nature="state",
    action="warn",
    judges=objects("StatefulSet.apps", on=("CREATE", "UPDATE")),
    about=("pod",),
    looks_at=(
        accuses(_CLASS, "value", "preemptionPolicy"),
        accuses("StatefulSet.apps", "spec.template.spec.priorityClassName"),
    ),
)
def preempts_members(change: Change, see: Sight) -> Iterator[Finding]:
    """Other sets with claims whose pods rank below, of the same workload or without any class at all."""
    new = change.new
    if new is None:
        return
    name = text_of(new.pod, "priorityClassName")
    if not name or name.startswith("system-"):
        return
    own = see.get(_CLASS, "", name)
    if own is UNKNOWN or own is None or own.get("preemptionPolicy") == "Never":
        return
    value = own.get("value")
    if type(value) is not int or value <= 0:
        return
    sets = see.having("StatefulSet.apps", _unranked, True)
    for item in sets if sets is not UNKNOWN else ():
        other = Service(new.adapter, item, new.view)
        if (other.namespace, other.name) == (new.namespace, new.name):
            continue
        yield Finding(
            field=(*new.field("pod").path, "priorityClassName"),
            text=f'"{name}" ({value}) outranks {other.title}, which has no priority',
            why="when the nodes are full the scheduler evicts its members to make room for these",
            remedy=f"give {other.title} a class of at least {value} first, or use one with preemptionPolicy: Never",
            subject="priority",
        )
        return


def _unranked(item: Object) -> Iterable[Hashable]:
    """The key of sets with claims and without a priority class."""
    spec = mapping_of(item, "spec")
    ranked = text_of(mapping_of(mapping_of(spec, "template"), "spec"), "priorityClassName")
    return (True,) if items_of(spec, "volumeClaimTemplates") and not ranked else ()
