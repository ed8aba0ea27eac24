"""SW114: a larger size that the operator does not carry over."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, bound_claims, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Object, Sight, excuses, mapping_of


@rule(
    id="SW114",
    name="growth-not-carried",
    summary="A size is raised that the operator does not carry over to the claims",
    why="The resource says one size and the disks have another. The operator fails on it at every reconcile, or is silent, "
    "and the next member gets a disk that differs from the others.",
    remedy="Switch the operator's volume expansion on first, or grow the claims by hand and then the resource.",
    source="the operators' documentation on volume expansion; each adapter's `growth` says how",
    nature="transition",
    judges=services("UPDATE"),
    about=("volumes", "members"),
    looks_at=(excuses(CLAIM, "spec", "status"),),
)
def growth_not_carried(change: Change, see: Sight) -> Iterator[Finding]:
    """Where all claims have the new size already, it is only written down. New members beside larger claims are told."""
    new = change.new
    if new is None or change.old is None:
        return
    yield from _drifted(change, see)
    if new.field("growth").value is not False:
        return
    for group, was, volume in change.kept_volumes():
        if was.bytes is None or volume.bytes is None or volume.bytes <= was.bytes:
            continue
        claims = see.select(CLAIM, new.namespace)
        bound = bound_claims(claims, new, group, volume) if claims is not UNKNOWN else []
        sizes = [_asked(claim) for claim in bound]
        if bound and all(size is not None and size >= volume.bytes for size in sizes):
            continue
        yield Finding(
            field=volume.size.path,
            text=f'"{volume.size.value}" stays a wish: the operator leaves the claims at "{was.size.value}"',
            why="it cannot, or may not, resize them: it fails at every reconcile or ignores the field, and the resource no "
            "longer says what is there",
            remedy=new.adapter.growth_how,
            subject=f"{group.name}/{volume.name}",
            on=group.on,
        )


def _drifted(change: Change, see: Sight) -> Iterator[Finding]:
    """More members, while the claims of the others were grown behind the resource's back."""
    old, new = change.old, change.new
    if old is None or new is None or old.members is None or new.members is None or new.members <= old.members:
        return
    if new.adapter.shares_claims:
        return
    for group, _, volume in change.kept_volumes():
        claims = see.select(CLAIM, new.namespace)
        bound = bound_claims(claims, new, group, volume) if claims is not UNKNOWN else []
        larger = [claim for claim in bound if volume.bytes is not None and (_asked(claim) or 0) > volume.bytes]
        if bound and len(larger) == len(bound):
            yield Finding(
                field=volume.size.path,
                text=f'"{volume.size.value}" is less than what {name_of(larger[0])} has',
                why="the claims were grown by hand: new members get smaller disks than the others, and fill up first",
                remedy="write the size that the claims have here first, then add members",
                subject=f"{group.name}/{volume.name}",
                on=group.on,
                weak=True,
            )


def _asked(claim: Object) -> Fraction | None:
    requests = mapping_of(mapping_of(mapping_of(claim, "spec"), "resources"), "requests")
    return quantity.parse(requests.get("storage"))
