"""SW101: the class of a volume that holds data."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, CLASS, bound_claims, class_of, default_class
from stateward.policies.finding import Finding
from stateward.policies.restore import restored
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses, excuses


@rule(
    id="SW101",
    name="storage-class-change",
    summary="The storage class of a volume that holds data is changed",
    why="A bound claim keeps its class for ever: what changes is only what the next member will get, so the service "
    "drifts into two classes, one lost volume at a time, or its operator stops reconciling storage at all.",
    remedy="Add members on the new class (a new node pool, or one member at a time with its claim replaced after it has "
    "resynchronised), move the data by replication or restore, then remove the old ones.",
    source="Kubernetes API, PersistentVolumeClaimSpec: immutable after creation except resources.requests and "
    "volumeAttributesClassName for bound claims",
    nature="transition",
    judges=services("UPDATE"),
    about=("volumes",),
    looks_at=(
        accuses(CLAIM, "spec", "status.phase"),
        excuses(CLASS, "metadata"),
    ),
)
def storage_class_change(change: Change, see: Sight) -> Iterator[Finding]:
    """Compares the volumes of groups that keep their name; a StatefulSet's templates have a rule of their own."""
    new = change.new
    if new is None or new.kind == "StatefulSet.apps":
        return
    for group, was, volume in change.kept_volumes():
        if was.ephemeral.value is True or volume.ephemeral.value is True:
            continue
        before_class, after_class = was.storage_class.value, volume.storage_class.value
        if before_class == after_class or UNKNOWN in (before_class, after_class):
            continue
        claims = see.select(CLAIM, new.namespace, whole=True)
        bound = bound_claims(claims, new, group, volume) if claims is not UNKNOWN else None
        if bound is not None and not bound and claims:
            continue  # no volume was ever made: nothing keeps the old class
        if bound and {class_of(one) for one in bound} == {after_class or _default(see)}:
            continue  # the class that every live volume has is only written down
        default = _default(see) if None in (before_class, after_class) else None
        if (
            None in (before_class, after_class)
            and not bound
            and default in (before_class, after_class)
            and default is not None
        ):
            continue  # the default class is only written down, or left out
        yield Finding(
            field=volume.storage_class.path,
            text=f"{_shown(after_class)} cannot replace {_shown(before_class)} on bound volumes",
            why=f"the live volumes{f' ({len(bound)})' if bound else ''} keep their class; only a member that is "
            f"recreated would get the new one, so {new.title} would drift apart",
            remedy=_remedy(change),
            subject=f"{group.name}/{volume.name}",
            on=group.on,
            # Where nobody knows which class is the default, nobody knows whether this one is another.
            weak=None in (before_class, after_class) and not bound and default is None,
            patch=restored(was, volume, was.storage_class, volume.storage_class),
        )


def _default(see: Sight) -> str | None:
    classes = see.select(CLASS)
    return default_class(classes) if classes is not UNKNOWN else None


def _shown(name: object) -> str:
    return f'"{name}"' if name else "the default class"


def _remedy(change: Change) -> str:
    if (change.new is not None and change.new.kind == "Kafka.kafka.strimzi.io") or change.via == "pool":
        return "To move: add a KafkaNodePool on the new class, reassign the partitions to it, then remove the old pool"
    return (
        "To move: put the old class back here, create a second cluster on the new class that replicates from this one "
        "(or restore a backup into it), switch over, then delete the old one"
    )
