"""SW722: two operators look after the same resources."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.operators.move import (
    OPERANDS,
    STARTS,
    WORKLOADS,
    Manager,
    counted,
    managers,
    operands,
    stopped,
    twin,
)
from stateward.policies.rule import rule
from stateward.policies.view import Object, Sight, accuses, metadata_of, text_of


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
        if not manager.operator.watches or stopped(item):
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


def _other(item: Object, manager: Manager, change: Change, see: Sight) -> str:
    another = twin(item, manager, change.request.namespace, see)
    if another is None:
        return ""
    return f"{text_of(another, 'kind')} {text_of(metadata_of(another), 'namespace')}/{name_of(another)}"
