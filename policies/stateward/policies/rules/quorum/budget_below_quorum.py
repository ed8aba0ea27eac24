"""SW211: a disruption budget that lets a drain take the quorum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stateward.policies import bearing
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import labels_of
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import objects, rule
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, by_label, items_of, mapping_of


@rule(
    id="SW211",
    name="budget-below-quorum",
    summary="A disruption budget lets a drain take more members than the service can lose",
    why="A drain asks the budget and nothing else. One that allows two of three to go at once takes the majority, or the "
    "synchronous standby with the primary: writes stop in the middle of a node upgrade.",
    remedy="Set maxUnavailable: 1, or minAvailable to the majority.",
    source="Kubernetes documentation, Specifying a Disruption Budget; majority floor(n/2)+1",
    nature="state",
    judges=objects("PodDisruptionBudget.policy", on=("CREATE", "UPDATE")),
    looks_at=(
        accuses("StatefulSet.apps", "spec"),
        accuses("Pod", "spec.volumes.persistentVolumeClaim", "status.conditions.type", "status.conditions.status"),
    ),
)
def budget_below_quorum(change: Change, see: Sight) -> Iterator[Finding]:
    """Budgets whose selector takes all members of a known service in."""
    budget = change.new_object
    if budget is None:
        return
    spec = mapping_of(budget, "spec")
    for service in guarded(spec, change.request.namespace, see):
        members, wanted = service.members, needed(service)
        if members is None or members < 2 or wanted is None or wanted >= members + 1:
            continue
        goes = may_go(spec, members)
        if goes is None or members - goes >= wanted or goes <= 1:
            continue
        field = "maxUnavailable" if "maxUnavailable" in spec else "minAvailable"
        yield Finding(
            field=("spec", field),
            text=f"{spec.get(field)} lets {goes} of {members} members of {service.title} go at once; {wanted} are needed",
            why="a drain of two nodes then stops every write, and nothing in the cluster objects",
            remedy=f"set maxUnavailable: 1, or minAvailable: {max(wanted, members - 1)}",
            subject=service.title,
        )


def guarded(spec: Mapping[str, Any], namespace: str, see: Sight) -> Iterator[Service]:
    """The services whose members the budget's selector takes in, all of them."""
    selector = mapping_of(spec, "selector")
    wanted = mapping_of(selector, "matchLabels")
    if not wanted or items_of(selector, "matchExpressions"):
        return
    for service in bearing.services_selected(see.view_of(accuses("StatefulSet.apps", "spec")), namespace, wanted):
        if service.adapter.shares_claims:
            continue
        label = service.adapter.pod_label
        if service.pod:
            labels = labels_of({"metadata": service.field("template").value or {}})
            if all(labels.get(key) == value for key, value in wanted.items()):
                yield service
        elif label is not None and wanted.get(label) == service.name and _takes_all(wanted, service, namespace, see):
            yield service


def _takes_all(wanted: Mapping[str, Any], service: Service, namespace: str, see: Sight) -> bool:
    """Whether every pod of the service is selected: a budget of the primary alone is another matter."""
    pods = see.having("Pod", by_label(service.adapter.pod_label or ""), service.name, namespace)
    mine: list[Object] = [*pods] if pods is not UNKNOWN else []
    return bool(mine) and all(all(labels_of(pod).get(key) == value for key, value in wanted.items()) for pod in mine)


def needed(service: Service) -> int | None:
    """How many members must stay up: the majority of voters, or the primary with its synchronous standbys."""
    if service.engine is None or not service.engine_certain or service.kind not in ADAPTERS:
        return None
    members = service.members
    if members is not None and service.groups and all(votes(service, group) for group in service.groups):
        return members // 2 + 1
    standbys = service.field("syncStandbys").value
    return standbys + 1 if type(standbys) is int and standbys > 0 else None


def may_go(spec: Mapping[str, Any], members: int) -> int | None:
    """How many the budget lets go while all are up; percentages are rounded up (Kubernetes documentation)."""
    for field, up in (("maxUnavailable", False), ("minAvailable", True)):
        value = spec.get(field)
        count: int | None = None
        if type(value) is int:
            count = value
        elif type(value) is str and value.endswith("%") and value[:-1].isdecimal() and len(value) < 5:
            count = -(-members * int(value[:-1]) // 100)
        if count is not None:
            return max(0, members - count) if up else min(members, count)
    return None
