"""SW709: an operator is started while the deletion of what it runs waits for it."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import being_deleted, name_of
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, WORKLOADS, Manager, managers
from stateward.policies.rule import SCALE, Judges, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, mapping_of, metadata_of, text_of

_CRD = "CustomResourceDefinition.apiextensions.k8s.io"


@rule(
    id="SW709",
    name="operator-starts-while-crd-goes",
    summary="An operator is started while a deletion of what it runs waits for it",
    why="A CRD or custom resource with a deletionTimestamp is held by its finalizers alone. The operator that starts takes "
    "them away and completes the deletion: clusters and their claims are gone within seconds.",
    remedy="Save the data first: claims to Retain, custom resources exported, finalizers handled by hand.",
    source="Kubernetes documentation, Finalizers; CustomResourceDefinitions: deletion deletes all custom objects",
    nature="transition",
    judges=Judges(
        frozenset(("CREATE", "UPDATE")), kinds=(*WORKLOADS, SCALE), subresources=frozenset(("", "scale")), operators=True
    ),
    about=("members",),
    looks_at=(
        *OPERANDS,
        accuses(_CRD, "spec.group", "spec.names.kind"),
        *(accuses(kind, "spec.replicas", "spec.template.spec.containers") for kind in WORKLOADS),
    ),
    loses_data=True,
)
def operator_starts_while_crd_goes(change: Change, see: Sight) -> Iterator[Finding]:
    """A creation with pods, and a scale from none: an operator that runs already has done what it does."""
    if change.request.subresource == "scale":
        started = _scaled(change, see)
    else:
        started = change.new_object if _count(change.new_object) and not _count(change.old_object) else None
    for manager in managers(started).values():
        crd = _crd_going(manager, see)
        going = crd or _operand_going(manager, change, see)
        if going:
            yield Finding(
                field=(),
                text=f"{manager.operator.title} starts while {going}",
                why="only finalizers hold it; the operator takes them away and the clusters go, with their claims where it "
                "deletes those",
                remedy="export the custom resources, set the volumes to Retain, and decide on the finalizers by hand first",
                subject=manager.operator.name,
                weak=not crd,  # of a single resource it may be meant; of a CRD every cluster goes
            )


def _count(item: Object | None) -> int:
    if item is None:
        return 0
    value = mapping_of(item, "spec").get("replicas", 1 if item.get("kind") != "Scale" else 0)
    return value if type(value) is int else 1


def _scaled(change: Change, see: Sight) -> Object | None:
    """The workload that a Scale brings up from none; None for every other Scale."""
    request = change.request
    if _count(request.old) or not _count(request.object):
        return None
    for kind in WORKLOADS:
        plural = f"{kind.partition('.')[0].lower()}s"
        found = see.get(kind, request.namespace, request.name) if request.resource in ("", plural) else None
        if found is not UNKNOWN and found is not None:
            return found
    return None


def _crd_going(manager: Manager, see: Sight) -> str:
    crds = see.select(_CRD)
    for crd in crds if crds is not UNKNOWN else ():
        spec = mapping_of(crd, "spec")
        kind = f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}"
        if being_deleted(crd) and kind in manager.operator.runs:
            return f"the CRD {name_of(crd)} is being deleted"
    return ""


def _operand_going(manager: Manager, change: Change, see: Sight) -> str:
    watched = manager.watches(change.request.namespace)
    for kind in manager.operator.runs:
        found = see.select(kind)
        for item in found if found is not UNKNOWN else ():
            namespace = text_of(metadata_of(item), "namespace")
            if being_deleted(item) and (watched is None or namespace in watched):
                return f"{kind.partition('.')[0]} {namespace}/{name_of(item)} is being deleted"
    return ""
