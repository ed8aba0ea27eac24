"""SW119: what a claim can never change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, annotations_of
from stateward.policies.finding import Finding, shown
from stateward.policies.paths import Path, differs
from stateward.policies.rule import objects, rule
from stateward.policies.view import Object, Sight, mapping_of, metadata_of, text_of

_CLASS_ONCE: Final = "volume.beta.kubernetes.io/storage-class"
_SIZE: Final[Path] = ("spec", "resources", "requests", "storage")
_NEVER: Final[Mapping[str, Any]] = {"accessModes": None, "selector": None, "volumeMode": "Filesystem"}
"""Fields that never change → what the API server fills in."""

_SAID: Final = frozenset((*_NEVER, "storageClassName", "volumeName", "resources"))
"""A specification without any of them is none."""


@rule(
    id="SW119",
    name="claim-field-changed",
    summary="A field that a claim can never change is changed",
    why="The API server refuses it, and what belongs to the same release stays half applied; deleting the claim to get past "
    "that deletes the volume.",
    remedy="Keep the field. For another class, mode or a smaller size make a second claim, copy the data, and switch over.",
    source="kubernetes pkg/apis/core/validation ValidatePersistentVolumeClaimUpdate",
    nature="transition",
    judges=objects(CLAIM, on=("UPDATE",)),
    forestalls=True,
)
def claim_field_changed(change: Change, see: Sight) -> Iterator[Finding]:
    """Every such field that differs, with the recipe that fits it. What a volume is bound by may be set once."""
    old, new = change.old_object, change.new_object
    if old is None or new is None:
        return
    before, after = mapping_of(old, "spec"), mapping_of(new, "spec")
    if _SAID.isdisjoint(before) or _SAID.isdisjoint(after):
        return
    yield from _class(old, new)
    yield from _size(old, new)
    bound_to, now = text_of(before, "volumeName"), text_of(after, "volumeName")
    if bound_to and now != bound_to:
        yield Finding(
            field=("spec", "volumeName"),
            text=f"{shown(now) if now else 'nothing'} cannot replace {shown(bound_to)}: a claim keeps its volume",
            why="the API server refuses the update; a claim is bound once",
            remedy=f"keep {shown(bound_to)}; to use another volume make a second claim that names it",
            subject="volumeName",
        )
    for name, filled_in in _NEVER.items():
        if differs(before.get(name, filled_in), after.get(name, filled_in)):
            yield Finding(
                field=("spec", name),
                text="it differs, and a claim never changes it",
                why="the API server refuses the update",
                remedy=f"keep what was there; to have another {name} {_second(old)}",
                subject=name,
            )


def _class(old: Object, new: Object) -> Iterator[Finding]:
    was, wanted = (mapping_of(item, "spec").get("storageClassName") for item in (old, new))
    if was is None or not differs(was, wanted) or _CLASS_ONCE in annotations_of(old) or _CLASS_ONCE in annotations_of(new):
        return  # a class may still be given where there is none
    yield Finding(
        field=("spec", "storageClassName"),
        text=f"{shown(wanted) if wanted else 'nothing'} cannot replace {shown(was)}: a claim keeps its class",
        why="the API server refuses the update; the volume stays where it is, whatever the manifest says",
        remedy=f"keep {shown(was)}; to move the data {_second(old)}",
        subject="class",
    )


def _size(old: Object, new: Object) -> Iterator[Finding]:
    texts = [mapping_of(mapping_of(mapping_of(item, "spec"), "resources"), "requests").get("storage") for item in (old, new)]
    was, wanted = (quantity.parse(text) if text is not None else None for text in texts)
    if was is None or wanted is None or was == wanted:
        return
    status = mapping_of(old, "status")
    phase = text_of(status, "phase")
    if phase and phase != "Bound":
        yield Finding(
            field=_SIZE,
            text=f"{shown(texts[1])} cannot replace {shown(texts[0])} before the claim has a volume",
            why="the API server refuses the update: only a bound claim may be resized",
            remedy="wait until it is bound, then grow it; if it never was, delete it and create it with the new size",
            subject="size",
        )
        return
    # A growth that was not granted may be taken back, not as far as what the volume already has.
    had = quantity.parse(mapping_of(status, "capacity").get("storage")) if status else was
    if wanted < was and had is not None and wanted <= had:
        yield Finding(
            field=_SIZE,
            text=f"{shown(texts[1])} is smaller than {shown(texts[0])}; a claim cannot shrink",
            why="the API server refuses the update: no volume becomes smaller",
            remedy=f"keep {shown(texts[0])}; to have a smaller volume {_second(old)}",
            subject="size",
        )


def _second(claim: Object) -> str:
    name = text_of(metadata_of(claim), "name")
    return f"create a second claim beside {name or 'this one'}, copy the data with the service stopped, and mount that one"
