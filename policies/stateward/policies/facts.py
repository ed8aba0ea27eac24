"""Facts of native objects that several rules ask for: bound, ready, default class, fresh backup."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

from stateward.policies import times
from stateward.policies.adapters.catalogue import backup_kinds
from stateward.policies.model import MemberGroup, Service, Volume
from stateward.policies.snapshots import is_whole
from stateward.policies.view import (
    SNAPSHOT,
    UNKNOWN,
    Look,
    Object,
    Sight,
    Unknown,
    excuses,
    items_of,
    mapping_of,
    metadata_of,
    tested,
    text_of,
)

CLAIM: Final = "PersistentVolumeClaim"
VOLUME: Final = "PersistentVolume"
CLASS: Final = "StorageClass.storage.k8s.io"
BACKUP_LOOKS: Final[tuple[Look, ...]] = (
    excuses(SNAPSHOT, "spec.source", "status"),
    *(excuses(kind, "spec", "status") for kind in backup_kinds()),
    excuses(CLAIM, "spec", "status"),
)
"""What `fresh_backup` looks at."""

_DEFAULT_CLASS: Final = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


def name_of(item: Object) -> str:
    """metadata.name."""
    return text_of(metadata_of(item), "name")


def labels_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """metadata.labels."""
    return mapping_of(metadata_of(item), "labels")


def annotations_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """metadata.annotations."""
    return mapping_of(metadata_of(item), "annotations")


def being_deleted(item: Object) -> bool:
    """Whether its deletion has begun."""
    return metadata_of(item).get("deletionTimestamp") is not None


def is_bound(claim: Object) -> bool:
    """Whether a claim has a volume: `spec.volumeName`, or the phase where an older record lacks it."""
    return bool(text_of(mapping_of(claim, "spec"), "volumeName")) or (
        text_of(mapping_of(claim, "status"), "phase") == "Bound"
    )


def bound_claims(claims: Iterable[Object], service: Service, group: MemberGroup, volume: Volume) -> list[Object]:
    """The claims of this kind of volume that have a volume."""
    return [claim for claim in claims if is_bound(claim) and service.adapter.claim_is_of(service, group, volume, claim)]


def claims_named(service: Service, see: Sight) -> Sequence[Object] | Unknown:
    """The claims whose name or labels name the service: those that may be its own, found without going over all."""
    if not service.adapter.shares_claims:
        return see.having(CLAIM, _names_in, service.name, service.namespace)
    found: list[Object] = []
    for volume in (volume for group in service.groups for volume in group.volumes):
        claims = see.having(CLAIM, _names_in, volume.name, service.namespace)
        if claims is UNKNOWN:
            return UNKNOWN
        found += claims
    return found


_WORDS: Final = 16
"""As many words of a claim's name are looked at."""


def _names(claim: Object, value: Hashable) -> bool:
    if type(value) is not str:
        return False
    name = name_of(claim)
    if name.count("-") >= _WORDS:
        name = "-".join(name.split("-")[:_WORDS])
    return f"-{value}-" in f"-{name}-" or value in labels_of(claim).values()


@tested(_names)
def _names_in(claim: Object) -> Iterable[Hashable]:
    """What a claim may name: the values of its labels, and every run of words of its own name."""
    words = name_of(claim).split("-")[:_WORDS]
    runs = {"-".join(words[start:end]) for start in range(len(words)) for end in range(start + 1, len(words) + 1)}
    return runs.union(value for value in labels_of(claim).values() if type(value) is str)


def class_of(claim: Object) -> str:
    """A claim's class, "" where none is written."""
    spec = mapping_of(claim, "spec")
    legacy = annotations_of(claim).get("volume.beta.kubernetes.io/storage-class")
    return text_of(spec, "storageClassName") or (legacy if isinstance(legacy, str) else "")


def is_retained(claim: Object, see: Sight) -> bool:
    """Whether a claim's volume is known to outlive it. Needs a look at PersistentVolume and StorageClass."""
    volume = see.get(VOLUME, "", text_of(mapping_of(claim, "spec"), "volumeName"))
    if volume is not UNKNOWN and volume is not None:
        # Kubernetes API, PersistentVolumeSpec: Retain is the default of volumes that a person makes.
        return mapping_of(volume, "spec").get("persistentVolumeReclaimPolicy") in (None, "Retain")
    return retains(class_of(claim), see)


def retains(storage_class: str, see: Sight) -> bool:
    """Whether a class is known to retain the volumes of claims that go. Needs a look at StorageClass."""
    one = see.get(CLASS, "", storage_class)
    return one is not UNKNOWN and one is not None and one.get("reclaimPolicy") == "Retain"


def is_ready(pod: Object) -> bool:
    """The pod's Ready condition."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in items_of(mapping_of(pod, "status"), "conditions")
    )


def is_live(pod: Object) -> bool:
    """Whether a pod may still run: not finished and not being deleted."""
    return text_of(mapping_of(pod, "status"), "phase") not in ("Succeeded", "Failed") and not being_deleted(pod)


def claims_mounted(pod: Object) -> set[str]:
    """The names of the claims that a pod uses."""
    return {
        text_of(mapping_of(volume, "persistentVolumeClaim"), "claimName")
        for volume in items_of(mapping_of(pod, "spec"), "volumes")
        if type(volume.get("persistentVolumeClaim")) is dict
    }


def owned_by(item: Object, owner: Object) -> bool:
    """Whether an object's controlling owner is that object (by uid where both have one, else by kind and name)."""
    for reference in items_of(metadata_of(item), "ownerReferences"):
        if reference.get("kind") == owner.get("kind") and reference.get("name") == name_of(owner):
            uid, other = reference.get("uid"), metadata_of(owner).get("uid")
            return not (isinstance(uid, str) and isinstance(other, str) and uid != other)
    return False


def default_class(classes: Sequence[Object]) -> str | None:
    """The name of the default class; the newest where there are several (Kubernetes, `storage-classes`)."""
    defaults = [one for one in classes if any(annotations_of(one).get(key) == "true" for key in _DEFAULT_CLASS)]
    if not defaults:
        return None
    return name_of(max(defaults, key=lambda one: str(metadata_of(one).get("creationTimestamp") or "")))


def backup_way(service: Service) -> str:
    """How a backup of a service is taken: its operator's own way where that is known, else the engine's; "" for neither."""
    records = (form for form in service.adapter.backups if not form.in_status)
    # A Job is made by the operator's own schedule, not by hand.
    kinds = " or ".join(dict.fromkeys(form.taken_by for form in records if not form.taken_by.endswith(".batch")))
    if kinds:
        return f"create a {kinds} and wait until it is done"
    return service.engine.backup.rstrip(".") if service.engine is not None else ""


def fresh_backup(service: Service, see: Sight, hours: float) -> float | Unknown | None:
    """The age in seconds of the newest backup of a service of the last `hours`; None if there is none.

    A backup is what the service's own operator records, done, or VolumeSnapshots that are ready: of every claim that
    holds its data, the oldest of them counting.
    """
    within, blind = hours * 3600, False
    ages: list[float | None] = []
    for form in service.adapter.backups:
        own = form.in_status or form.kind == service.kind
        records = [service.object] if own else see.select_own(excuses(form.kind), service.namespace)
        if records is UNKNOWN:
            blind = True
            continue
        for record in records:
            whole = own or is_whole(form, record, service.namespace, see)
            if whole is not True:
                blind |= whole is UNKNOWN
                continue
            for moment in form.moments(record, service):
                age = _age(moment, see.now)
                ages.append(age)
                blind |= age is None  # it was taken, and the record does not say when
    best = _newest(ages, within)
    return best if best is not None else fresh_snapshot(service, see, hours, blind)


def fresh_snapshot(service: Service, see: Sight, hours: float, blind: bool = False) -> float | Unknown | None:
    """The same by VolumeSnapshots alone: backups that no operator takes away. `blind`: others were not seen."""
    within = hours * 3600
    snapshots = see.select(SNAPSHOT, service.namespace)
    if snapshots is UNKNOWN:
        return UNKNOWN
    claims = see.select(CLAIM, service.namespace)
    names = (
        [name_of(claim) for claim in claims if is_bound(claim) and service.adapter.owns_claim(service, claim)]
        if claims is not UNKNOWN
        else []
    )
    if not names:
        # Where the claims are not known, a snapshot of one that this service's names make still tells.
        return UNKNOWN if blind else None
    each = [snapshot_age(snapshots, name, see.now) for name in names]
    if service.engine is not None and service.engine.quorum.model in ("majority", "standby"):
        # Every member holds all data: one member's snapshot is a backup.
        best = _newest(each, within)
        return best if best is not None else (UNKNOWN if blind else None)
    if all(age is not None and age <= within for age in each):
        return max(age for age in each if age is not None)
    return UNKNOWN if blind else None


def snapshot_age(snapshots: Iterable[Object], claim: str, now: float) -> float | None:
    """The age in seconds of the newest ready snapshot of a claim."""
    ages = [
        _age(mapping_of(snapshot, "status").get("creationTime"), now)
        for snapshot in snapshots
        if mapping_of(snapshot, "status").get("readyToUse") is True
        and text_of(mapping_of(mapping_of(snapshot, "spec"), "source"), "persistentVolumeClaimName") == claim
    ]
    known = [age for age in ages if age is not None]
    return min(known) if known else None


def _age(moment: Any, now: float) -> float | None:
    then = times.parse(moment)
    return None if then is None or then > now + 300 else max(0.0, now - then)


def _newest(ages: Iterable[float | None], within: float) -> float | None:
    known = [age for age in ages if age is not None and age <= within]
    return min(known) if known else None
