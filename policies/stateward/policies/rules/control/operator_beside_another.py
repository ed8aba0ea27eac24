"""SW722: two operators look after the same resources."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import being_deleted, name_of
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, STARTS, WORKLOADS, Manager, counted, managers, operands
from stateward.policies.rule import rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, kind_of_object, mapping_of, metadata_of, text_of


@rule(
    id="SW722",
    name="operator-beside-another",
    summary="A second operator of the same kind looks after namespaces that one looks after already",
    why="Leader election is for the replicas of one installation. Two installations both render the same clusters, each in "
    "its own release and with its own settings, and roll them back and forth.",
    remedy="Give each its own namespaces, or take the old one away first.",
    source="Strimzi documentation, STRIMZI_NAMESPACE; Operator SDK documentation, Operator scope",
    nature="state",
    action="warn",
    judges=STARTS,
    about=("settings", "version", "members"),
    looks_at=(*OPERANDS, *(accuses(kind, "spec.replicas", "spec.template.spec.containers") for kind in WORKLOADS)),
)
def operator_beside_another(change: Change, see: Sight) -> Iterator[Finding]:
    """Known operators whose variable says what they look after, where both run and something of theirs is there."""
    item = change.new_object
    if item is None:
        return
    for manager in managers(item).values():
        if not manager.operator.watches or _stopped(item):
            continue
        other = _other(item, manager, change, see)
        found = operands(manager, change, see) if other else []
        if found:
            yield Finding(
                field=manager.path[:-1],
                text=f"this {manager.operator.title} and {other} both look after {counted(found)}",
                why="each of the two renders them in its own release and with its own settings, and they are rolled back "
                "and forth",
                remedy=f"give each its own namespaces ({', '.join(manager.operator.watches)}), or take the other one away",
                subject=other,
            )


def _stopped(item: Object) -> bool:
    return mapping_of(item, "spec").get("replicas") == 0


def _other(item: Object, manager: Manager, change: Change, see: Sight) -> str:
    own = manager.watches(change.request.namespace)
    for kind in WORKLOADS:
        found = see.select(kind)
        for another in found if found is not UNKNOWN else ():
            namespace, name = text_of(metadata_of(another), "namespace"), name_of(another)
            same = (kind_of_object(another), namespace, name) == (
                kind_of_object(item),
                change.request.namespace,
                name_of(item),
            )
            if same or being_deleted(another) or _stopped(another):
                continue
            twin = managers(another).get(manager.operator.name)
            if twin is None:
                continue
            theirs = twin.watches(namespace)
            if own is None or theirs is None or own & theirs:
                return f"{kind.partition('.')[0]} {namespace}/{name}"
    return ""
