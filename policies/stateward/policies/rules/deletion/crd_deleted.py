"""SW404: a CRD is deleted while objects of its kind exist."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.kinds import DELIVERING, is_of_services, is_service
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Look, Sight, mapping_of, metadata_of, text_of
from stateward.policies.waiver import CONFIRM_DELETE


@rule(
    id="SW404",
    name="crd-deleted",
    summary="A CRD is deleted while objects of its kind exist",
    why="Every object of the kind is deleted with it, in all namespaces, and with them what they own: sets, pods, claims. "
    "Uninstalling an operator's chart is enough.",
    remedy="Delete the objects first, or keep the CRD (helm.sh/resource-policy: keep).",
    source="Kubernetes documentation, CustomResourceDefinitions: deleting a CRD deletes all its custom objects",
    nature="transition",
    judges=objects("CustomResourceDefinition.apiextensions.k8s.io", on=("DELETE",)),
    looks_at=(),
    loses_data=True,
)
def crd_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Kinds that keep data, that belong to such, or that bring others are refused; of other objects it only warns."""
    crd = change.request.old
    if crd is None:
        return
    name = name_of(crd)
    if annotations_of(crd).get(CONFIRM_DELETE) == name:
        return
    spec = mapping_of(crd, "spec")
    kind = f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}"
    found = see.select_declared(Look(kind, True, ()))
    if found is UNKNOWN or not found:
        return
    first = metadata_of(found[0])
    where = f"{first.get('namespace')}/{first.get('name')}" if first.get("namespace") else str(first.get("name"))
    yield Finding(
        field=(),
        text=f"deletes {len(found)} {kind.partition('.')[0]} object{'s' if len(found) != 1 else ''} with it ({where}"
        + (", …)" if len(found) > 1 else ")"),
        why="the API server deletes every object of the kind, in all namespaces, and the garbage collector what they own",
        remedy="keep the CRD (in a chart: helm.sh/resource-policy: keep); or delete the objects first; or confirm: "
        f"kubectl annotate crd/{name} {CONFIRM_DELETE}={name}, then delete again",
        subject=name,
        weak=not (is_of_services(kind) or kind in DELIVERING or any(is_service(kind, item) for item in found)),
    )
