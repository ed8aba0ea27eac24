"""SW213: a disruption budget that never lets a member go."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.rules.quorum.budget_below_quorum import guarded, may_go
from stateward.policies.view import Sight, accuses, mapping_of


@rule(
    id="SW213",
    name="budget-blocks-drains",
    summary="A disruption budget lets no member of a service go, ever",
    why="A drain asks for as long as it is told no: node upgrades stand still until somebody deletes the budget, and then "
    "there is none.",
    remedy="Set maxUnavailable: 1.",
    source="Kubernetes documentation, Specifying a Disruption Budget; policy/v1: maxUnavailable 0 prevents all voluntary "
    "evictions",
    nature="state",
    action="warn",
    judges=objects("PodDisruptionBudget.policy", on=("CREATE", "UPDATE")),
    looks_at=(
        accuses("StatefulSet.apps", "spec"),
        accuses("Pod", "spec.volumes.persistentVolumeClaim", "status.conditions.type", "status.conditions.status"),
    ),
)
def budget_blocks_drains(change: Change, see: Sight) -> Iterator[Finding]:
    """Budgets over all members of a service of several; that of a single instance is a decision."""
    budget = change.new_object
    spec = mapping_of(budget or {}, "spec")
    for service in guarded(spec, change.request.namespace, see):
        members = service.members
        if members is None or members < 2:
            continue
        if spec.get("maxUnavailable") is None and spec.get("minAvailable") is None:
            # No pod is expected then, and so none may go (kubernetes pkg/controller/disruption).
            yield Finding(
                field=("spec", "maxUnavailable"),
                text=f"without it and minAvailable none of the {members} members of {service.title} may go",
                why="every drain of a node with one of them waits for ever, and so does the upgrade of the nodes",
                remedy="set maxUnavailable: 1",
                subject=service.title,
            )
            continue
        if may_go(spec, members) != 0:
            continue
        field = "maxUnavailable" if "maxUnavailable" in spec else "minAvailable"
        yield Finding(
            field=("spec", field),
            text=f'"{spec.get(field)}" lets none of the {members} members of {service.title} go',
            why="every drain of a node with one of them waits for ever, and so does the upgrade of the nodes",
            remedy="set maxUnavailable: 1",
            subject=service.title,
        )
