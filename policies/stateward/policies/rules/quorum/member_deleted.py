"""SW210: a member's pod is deleted while others are down, or by force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import is_live, is_ready, labels_of, name_of, owned_by
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.request import Request
from stateward.policies.rule import objects, rule
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.secrets import is_account_of, is_operator_of
from stateward.policies.view import (
    EMPTY_VIEW,
    UNKNOWN,
    Object,
    Sight,
    Unknown,
    accuses,
    items_of,
    kind_of,
    mapping_of,
    metadata_of,
    text_of,
)


@rule(
    id="SW210",
    name="member-deleted",
    summary="The pod of a member is deleted that the others cannot spare, or by force",
    why="A deletion asks no disruption budget. While another member is down it takes the majority, or the last copy that "
    "runs; by force it may leave the old process writing while its successor starts.",
    remedy="Bring the other members back first. Use eviction (kubectl drain), which asks the budget.",
    source="Kubernetes documentation, Force Delete StatefulSet Pods; Disruptions: deleting a pod bypasses budgets",
    nature="transition",
    judges=objects("Pod", on=("DELETE",)),
    looks_at=(
        accuses(
            "Pod",
            "spec.volumes.persistentVolumeClaim",
            "spec.nodeName",
            "status.phase",
            "status.conditions.type",
            "status.conditions.status",
        ),
        accuses("StatefulSet.apps", "spec"),
        accuses("Node", "status.conditions", "spec.taints"),
    ),
)
def member_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Pods of a StatefulSet or of a custom resource. A member that is not ready may always be restarted.

    An operator stops all members where its resource was told so (a major upgrade, hibernation): that edit was judged.
    """
    pod = change.request.old
    if pod is None:
        return
    service = _service_of(pod, change, see)
    if service is None and is_ready(pod):
        yield from _last_of_its_kind(pod, change, see)
    if service is None or service.engine is None or not service.engine_certain or _its_operator(service, change.request):
        return
    forced = _forced(change, pod, service, see)
    if forced is not None:
        yield forced
    if not is_ready(pod) or change.request.user.name.startswith(("system:node:", "system:serviceaccount:kube-system:")):
        return
    pods = see.select("Pod", change.request.namespace, whole=True)
    wanted = service.members
    ready = _ready(pods, pod, service)
    if ready is None or wanted is None or wanted < 2:
        return
    left, title = ready - 1, service.engine.title
    majority = wanted // 2 + 1
    voting = all(votes(service, group) for group in service.groups)
    if left >= (majority if voting else 1) or ready == wanted:
        return
    yield Finding(
        field=(),
        text=f"pod {name_of(pod)} is one of {ready} ready member{'s' if ready != 1 else ''} of {wanted}; "
        + (f"{left} left are no majority ({majority})" if voting else "none would be left"),
        why=f"{wanted - ready} of {title} are down already: without this one "
        + ("no leader is elected and writes stop" if voting else "the service is down and no copy of the data runs"),
        remedy="bring the other members back first",
        subject=name_of(pod),
        weak=left > 0,
    )


def _its_operator(service: Service, request: Request) -> bool:
    """Whether the operator of the resource asks that made the pod, or the set that made it."""
    if service.adapter.name != "statefulset":
        return is_operator_of(service, request)
    for reference in items_of(dict(metadata_of(service.object)), "ownerReferences"):
        adapter = ADAPTERS.get(kind_of(reference.get("apiVersion"), reference.get("kind")))
        if adapter is not None and reference.get("controller") is True:
            return is_account_of(adapter, request)
    return False


def _service_of(pod: Object, change: Change, see: Sight) -> Service | None:
    for reference in items_of(dict(metadata_of(pod)), "ownerReferences"):
        kind = kind_of(reference.get("apiVersion"), reference.get("kind"))
        adapter = ADAPTERS.get(kind)
        if adapter is None or reference.get("controller") is not True:
            continue
        if kind == "StatefulSet.apps":
            owner = see.get(kind, change.request.namespace, text_of(reference, "name"))
            return Service(adapter, owner, EMPTY_VIEW) if owner is not UNKNOWN and owner is not None else None
        found = see.select_declared(accuses(kind, "spec"))
        for owner in found if found is not UNKNOWN else ():
            if owned_by(pod, owner) and metadata_of(owner).get("namespace") == change.request.namespace:
                return Service(adapter, owner, EMPTY_VIEW)
    return None


def _ready(pods: Sequence[Object] | Unknown, pod: Object, service: Service) -> int | None:
    """How many members are ready: by their pods, else as the service's own status says."""
    if pods is not UNKNOWN:
        return sum(1 for one in pods if _same_service(one, pod, service) and is_live(one) and is_ready(one))
    counts = [group.ready.value for group in service.groups]
    return int(sum(counts)) if counts and all(type(count) is int for count in counts) else None


def _last_of_its_kind(pod: Object, change: Change, see: Sight) -> Iterator[Finding]:
    """Where the resource itself is not known: the only ready one of the pods that name the same service."""
    for reference in items_of(dict(metadata_of(pod)), "ownerReferences"):
        adapter = ADAPTERS.get(kind_of(reference.get("apiVersion"), reference.get("kind")))
        label = adapter.pod_label if adapter is not None else None
        if adapter is None or label is None or not labels_of(pod).get(label):
            continue
        pods = see.select("Pod", change.request.namespace, whole=True)
        known = [] if pods is UNKNOWN else [one for one in pods if labels_of(one).get(label) == labels_of(pod).get(label)]
        ready = [one for one in known if is_live(one) and is_ready(one)]
        if len(known) > 1 and len(ready) == 1:
            yield Finding(
                field=(),
                text=f"pod {name_of(pod)} is the only ready one of {len(known)} of {reference.get('kind')} "
                f"{text_of(reference, 'name')}",
                why="the others are down already: without this one the service is down and no copy of the data runs",
                remedy="bring the other members back first",
                subject=name_of(pod),
            )


def _same_service(one: Object, pod: Object, service: Service) -> bool:
    label = service.adapter.pod_label
    if label is not None and labels_of(pod).get(label):
        return bool(labels_of(one).get(label) == labels_of(pod).get(label))
    return owned_by(one, service.object)


def _forced(change: Change, pod: Object, service: Service, see: Sight) -> Finding | None:
    """A deletion that does not wait for the process to end, on a node that is not known to be dead."""
    if change.request.options.get("gracePeriodSeconds") != 0 or service.engine is None:
        return None
    name = text_of(mapping_of(pod, "spec"), "nodeName")
    node = see.get("Node", "", name) if name else None
    if node is None or (node is not UNKNOWN and _out_of_service(node)):
        return None  # the node is gone, or somebody has said that it is off
    healthy = node is not UNKNOWN and is_ready(node)
    if healthy and not any(group.volumes for group in service.groups):
        return None
    return Finding(
        field=(),
        text=f"pod {name_of(pod)} is deleted by force (grace period 0)",
        why=f"its process on node {name} may still run and write while its successor starts with the same identity and disk"
        if not healthy
        else f"{service.engine.title} gets no time to hand over and to flush: recovery follows, or a torn write",
        remedy="delete it without --force; where the node is dead, taint it out-of-service "
        "(node.kubernetes.io/out-of-service=nodeshutdown:NoExecute) first",
        subject="force",
        weak=healthy,
    )


def _out_of_service(node: Object) -> bool:
    return any(
        text_of(taint, "key") == "node.kubernetes.io/out-of-service"
        for taint in items_of(mapping_of(node, "spec"), "taints")
    )
