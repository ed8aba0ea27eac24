"""SW003: a disruption budget without a number lets one member go at a time."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.mutation import Fill, mutation
from stateward.policies.rules.quorum.budget_below_quorum import guarded, needed
from stateward.policies.view import Sight, accuses, mapping_of


@mutation(
    id="SW003",
    name="budget-of-one",
    summary="A disruption budget that gives no number lets one member of its quorum go at a time",
    why="With neither minAvailable nor maxUnavailable a budget lets nobody go, ever: every drain of a node with one of its "
    "pods waits for ever, until somebody deletes the budget and the next drain takes the majority.",
    safe="One at a time never takes the majority (nor the synchronous standbys) of a service whose members are all up, "
    "and lets every drain go on. It follows when members are added. Of one or two members nothing is filled in: any "
    "number would either block drains or lose the quorum, and which of the two is for the author to say. A number that "
    "is written stays, whatever it is: rules judge it (SW211, SW213).",
    source="kubernetes pkg/controller/disruption: without either number no pod is expected, and none may be disrupted",
    kinds=("PodDisruptionBudget.policy",),
    looks_at=(
        accuses("StatefulSet.apps", "spec"),
        accuses("Pod", "spec.volumes.persistentVolumeClaim", "status.conditions.type", "status.conditions.status"),
    ),
)
def budget_of_one(change: Change, see: Sight) -> Iterator[Fill]:
    """Of budgets over all members of services that are known; every one of them has to spare a member."""
    spec = mapping_of(change.new_object or {}, "spec")
    if spec.get("minAvailable") is not None or spec.get("maxUnavailable") is not None:
        return
    services = list(guarded(spec, change.request.namespace, see))
    for service in services:
        members, wanted = service.members, needed(service)
        if members is None or wanted is None or members - 1 < wanted:
            return
    if services:
        yield Fill(("spec", "maxUnavailable"), 1, "one member at a time")
