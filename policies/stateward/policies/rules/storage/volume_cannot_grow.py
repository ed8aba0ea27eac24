"""SW110: growth that the storage class does not offer."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, CLASS, bound_claims, class_of, default_class, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses, excuses


@rule(
    id="SW110",
    name="volume-cannot-grow",
    summary="A volume is asked to grow on a class that cannot expand",
    why="The API server refuses the larger claim; the operator retries for ever, and every other change waits behind it.",
    remedy="Set allowVolumeExpansion: true on the class if its driver can, or move to volumes of a larger size.",
    source="Kubernetes documentation, Persistent Volumes: expanding claims needs allowVolumeExpansion",
    nature="transition",
    judges=services("UPDATE"),
    about=("volumes",),
    looks_at=(accuses(CLASS, "metadata", "allowVolumeExpansion"), excuses(CLAIM, "spec", "status.phase")),
)
def volume_cannot_grow(change: Change, see: Sight) -> Iterator[Finding]:
    """The class that the live claims have counts, else the one that is written; a StatefulSet cannot ask at all."""
    new = change.new
    if new is None or new.kind == "StatefulSet.apps":
        return
    for group, was, volume in change.kept_volumes():
        if was.bytes is None or volume.bytes is None or volume.bytes <= was.bytes:
            continue
        claims = see.select(CLAIM, new.namespace)
        bound = bound_claims(claims, new, group, volume) if claims is not UNKNOWN else []
        live = {class_of(one) for one in bound}
        if live == {""}:
            yield Finding(
                field=volume.size.path,
                text=f'"{was.size.value}" cannot grow to "{volume.size.value}": {name_of(bound[0])} has no storage class',
                why="volumes that were made by hand are not resized: the API server refuses the larger claim, and the "
                "operator fails on it at every reconcile",
                remedy=f'keep "{was.size.value}"; replace members one by one with larger volumes of a class that expands',
                subject=f"{group.name}/{volume.name}",
                on=group.on,
            )
            continue
        classes = see.select(CLASS)
        if classes is UNKNOWN:
            return
        asked = live or {was.storage_class.value or default_class(classes) or ""}
        for one in classes:
            if name_of(one) in asked and one.get("allowVolumeExpansion") is not True:
                yield Finding(
                    field=volume.size.path,
                    text=f'"{was.size.value}" cannot grow to "{volume.size.value}": class "{name_of(one)}" does not expand',
                    why="the API server refuses the larger claims, and the operator fails on them for ever",
                    remedy=f'keep "{was.size.value}"; set allowVolumeExpansion: true on the class if its driver can, or '
                    "replace members one by one with larger volumes on another class",
                    subject=f"{group.name}/{volume.name}",
                    on=group.on,
                )
                break
