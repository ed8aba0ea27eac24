"""SW726: an operator is scaled to none while something of its kinds runs."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, WORKLOADS, managers
from stateward.policies.rule import SCALE, Judges, rule
from stateward.policies.rules.control.operator_deleted import MANAGERS, WHY, alone, bereft
from stateward.policies.rules.control.webhook_backend_stopped import stopped_by
from stateward.policies.view import Sight, metadata_of, text_of


@rule(
    id="SW726",
    name="operator-stopped",
    summary="The operator of services that run is scaled to none",
    why="The services run on, so nothing seems to be wrong. The next node that dies, certificate that ends or volume that "
    "fills up finds nobody: no failover, no repair, no backup.",
    remedy="Pause the one service that shall be left alone, or scale the operator up again as soon as the work is done.",
    source="operators' documentation: pausing the reconciliation of a single resource",
    nature="transition",
    action="warn",
    judges=Judges(frozenset(("UPDATE",)), kinds=(*WORKLOADS, SCALE), subresources=frozenset(("", "scale"))),
    about=("members",),
    looks_at=(*OPERANDS, *MANAGERS),
)
def operator_stopped(change: Change, see: Sight) -> Iterator[Finding]:
    """From some replicas to none, by an edit or a scale; not where a twin takes over."""
    before = stopped_by(change, see)
    if before is None:
        return
    namespace = text_of(metadata_of(before), "namespace")
    for manager in managers(before).values():
        left = alone(before, manager, namespace, see)
        if left:
            hold = manager.operator.hold
            yield Finding(
                field=("spec", "replicas"),
                text=f"0 replicas leave {bereft(left)}, {manager.operator.title}",
                why=WHY,
                remedy="scale it up again as soon as the work is done" + (f"; to leave some alone, {hold}" if hold else ""),
                subject=manager.operator.name,
            )
            return
