"""SW403: a namespace that holds stateful services is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, CLASS, VOLUME, annotations_of, is_bound, is_retained, name_of, retains
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import objects, rule
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, Kind, Object, Sight, accuses, excuses, metadata_of, text_of
from stateward.policies.waiver import CONFIRM_DELETE, DISPOSABLE

# A ReplicaSet goes with the Deployment that made it.
_KINDS: Final = (CLAIM, *(kind for kind in ADAPTERS if kind != "ReplicaSet.apps"))


@rule(
    id="SW403",
    name="namespace-deleted",
    summary="A namespace that holds stateful services or bound claims is deleted",
    why="Everything in it is deleted at once, claims and their volumes included, and nothing of it can be stopped once it "
    "has begun.",
    remedy="Delete the services first, one by one, each confirmed; or confirm the namespace by name.",
    source="Kubernetes documentation, Namespaces: deletion removes everything under the namespace",
    nature="transition",
    judges=objects("Namespace", on=("DELETE",)),
    looks_at=(
        *(accuses(kind, "spec", "status.phase") for kind in _KINDS),
        excuses(CLASS, "reclaimPolicy"),
        excuses(VOLUME, "spec.persistentVolumeReclaimPolicy"),
    ),
    loses_data=True,
)
def namespace_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Counts what would go. Where all volumes are retained it warns. A disposable namespace is let pass by the engine."""
    namespace = change.request.old
    if namespace is None:
        return
    name = name_of(namespace)
    if annotations_of(namespace).get(CONFIRM_DELETE) == name:
        return
    held: list[str] = []
    lost = False
    for kind in dict.fromkeys((*_KINDS, *ADAPTERS.own)):  # the user's own are known once a policy is loaded
        found = see.select_own(accuses(kind), name)
        data = [one for one in (found if found is not UNKNOWN else ()) if _holds_data(kind, one)]
        lost = lost or any(not _survives(kind, one, see) for one in data)
        if data:
            word = "bound claim" if kind == CLAIM else kind.partition(".")[0]
            held.append(f"{len(data)} {word}{'s' if len(data) != 1 else ''}")
    if held:
        yield Finding(
            field=(),
            text=f"deletes {', '.join(held)} with it",
            why="a namespace takes everything in it along at once: services, claims and their volumes"
            if lost
            else "a namespace takes everything in it along at once; the volumes are retained, but nothing finds them again",
            remedy="delete the services first; or confirm in an edit of its own: "
            f"kubectl annotate namespace/{name} {CONFIRM_DELETE}={name}, then delete again "
            f"(a namespace that never holds anything worth keeping: label it {DISPOSABLE}=true)",
            subject=name,
            weak=not lost,
        )


def _holds_data(kind: Kind, item: Object) -> bool:
    """Claims with a volume; services, but for sets and Deployments without a claim: what runs is made anew."""
    if kind == CLAIM:
        return is_bound(item)
    adapter = ADAPTERS[kind]
    if not adapter.applies(item):
        return False
    service = Service(adapter, item, EMPTY_VIEW)
    return not kind.endswith(".apps") or any(group.volumes for group in service.groups)


def _survives(kind: Kind, item: Object, see: Sight) -> bool:
    """Whether the volumes are known to be retained."""
    if kind == CLAIM:
        return is_retained(item, see)
    adapter = ADAPTERS[kind]
    volumes = [volume for group in Service(adapter, item, EMPTY_VIEW).groups for volume in group.volumes]
    if not adapter.shares_claims:
        return bool(volumes) and all(retains(str(volume.storage_class.value or ""), see) for volume in volumes)
    claims = [see.get(CLAIM, text_of(metadata_of(item), "namespace"), volume.name) for volume in volumes]
    return all(claim is not UNKNOWN and (claim is None or is_retained(claim, see)) for claim in claims)
