"""SW402: a claim that holds data is deleted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import (
    CLAIM,
    annotations_of,
    being_deleted,
    bound_claims,
    claims_mounted,
    is_bound,
    is_live,
    is_retained,
    labels_of,
    name_of,
    owned_by,
)
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import objects, rule
from stateward.policies.secrets import is_account_of
from stateward.policies.view import (
    EMPTY_VIEW,
    UNKNOWN,
    Object,
    Sight,
    accuses,
    excuses,
    items_of,
    kind_of,
    mapping_of,
    metadata_of,
    text_of,
)
from stateward.policies.waiver import CONFIRM_DELETE

_ORDINAL: Final = re.compile(r"-(\d{1,5})$")


@rule(
    id="SW402",
    name="claim-deleted",
    summary="A bound claim is deleted without confirmation",
    why="With the claim goes the volume, unless its class or the volume itself says Retain. While a pod still mounts it "
    "the claim only waits: the data is deleted with the next restart.",
    remedy="Snapshot it, then confirm the deletion by name in an edit of its own.",
    source="Kubernetes documentation, Persistent Volumes: reclaiming, storage object in use protection",
    nature="transition",
    judges=objects("PersistentVolumeClaim", on=("DELETE",)),
    looks_at=(
        accuses("Pod", "spec.volumes.persistentVolumeClaim", "status.phase"),
        excuses("StatefulSet.apps", "spec"),
        excuses(CLAIM, "spec.volumeName", "status.phase"),
        excuses("StorageClass.storage.k8s.io", "reclaimPolicy"),
        excuses("PersistentVolume", "spec.persistentVolumeReclaimPolicy"),
    ),
    loses_data=True,
)
def claim_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Unbound claims may go. So may, with a warning, the claim of a member above the wanted count that no pod mounts.

    An operator takes away the claims of its own members (fewer of them, copies that are made anew after a major upgrade)
    as long as another one keeps the data.
    """
    claim = change.request.old
    if claim is None or not is_bound(claim):
        return
    name = name_of(claim)
    if annotations_of(claim).get(CONFIRM_DELETE) == name:
        return
    namespace = change.request.namespace
    kept = _of_resource(claim, namespace, see)
    if kept is not None and kept.claims > 1 and is_account_of(kept.adapter, change.request):
        return
    pods = see.select("Pod", namespace)
    users = [name_of(pod) for pod in pods if is_live(pod) and name in claims_mounted(pod)] if pods is not UNKNOWN else None
    owner, beyond = _set_of(claim, namespace, see)
    retained = is_retained(claim, see)
    stored = text_of(mapping_of(mapping_of(claim, "status"), "capacity"), "storage")
    left_over = not users and users is not None and (beyond or (kept is not None and kept.claims > kept.wanted))
    if users:
        use = f"pod {users[0]} uses it"
    elif owner:
        use = f"statefulset {owner} will mount it again{' once it is scaled up' if beyond else ''}"
    else:
        use = "no pod is known to use it now" if users is not None else "whether a pod uses it is not known"
    yield Finding(
        field=(),
        text=f"deletes a bound claim{f' of {stored}' if stored else ''}; {use}",
        why=("its volume is retained, but nothing finds it again by itself" if retained else "its volume is deleted with it")
        + ("; while the pod runs the claim only waits, the data goes with the next restart" if users else ""),
        remedy="take a VolumeSnapshot, then confirm it in an edit of its own: "
        f"kubectl annotate {kubectl_name(claim)} {CONFIRM_DELETE}={name}, then delete again",
        subject=name,
        weak=left_over or (retained and not users),
    )


def _set_of(claim: Object, namespace: str, see: Sight) -> tuple[str, bool]:
    """The StatefulSet that a claim's name belongs to, and whether its ordinal lies beyond the members wanted."""
    sets = see.select("StatefulSet.apps", namespace)
    if sets is UNKNOWN:
        return "", False
    name = name_of(claim)
    for item in sets:
        service = Service(ADAPTERS["StatefulSet.apps"], item, EMPTY_VIEW)
        for group in service.groups:
            for volume in group.volumes:
                ordinal = service.adapter.ordinal(service, group.name, volume.name, claim)
                if ordinal is not None:
                    members = service.members
                    return service.name, members is not None and ordinal >= members
        # A set whose templates were not given still names its claims.
        tail = _ORDINAL.search(name)
        if tail is not None and name[: tail.start()].endswith(f"-{service.name}") and _same_labels(claim, item):
            members = service.members
            return service.name, members is not None and int(tail[1]) >= members
    return "", False


class _Kept(NamedTuple):
    """What the custom resource that owns a claim has of this sort."""

    adapter: Adapter
    claims: int
    """Bound claims that are not being deleted, this one among them."""
    wanted: int
    """Members."""


def _of_resource(claim: Object, namespace: str, see: Sight) -> _Kept | None:
    for reference in items_of(dict(metadata_of(claim)), "ownerReferences"):
        kind = kind_of(reference.get("apiVersion"), reference.get("kind"))
        adapter = ADAPTERS.get(kind)
        if adapter is None or reference.get("controller") is not True or kind == "StatefulSet.apps":
            continue
        owners, claims = see.select_declared(excuses(kind, "spec")), see.select(CLAIM, namespace)
        if owners is UNKNOWN or claims is UNKNOWN:
            return None
        for owner in owners:
            if not owned_by(claim, owner) or text_of(metadata_of(owner), "namespace") != namespace:
                continue
            service = Service(adapter, owner, EMPTY_VIEW)
            for group in service.groups:
                wanted = group.members.value
                for volume in group.volumes:
                    if type(wanted) is int and adapter.claim_is_of(service, group, volume, claim):
                        same = [one for one in bound_claims(claims, service, group, volume) if not being_deleted(one)]
                        return _Kept(adapter, len(same), wanted)
    return None


def _same_labels(claim: Object, item: Object) -> bool:
    wanted = mapping_of(mapping_of(mapping_of(item, "spec"), "selector"), "matchLabels")
    labels = labels_of(claim)
    return bool(wanted) and all(labels.get(key) == value for key, value in wanted.items())
