"""SW102: a volume request below what the volume already is."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, bound_claims
from stateward.policies.finding import Finding
from stateward.policies.restore import restored
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Object, Sight, excuses, mapping_of


@rule(
    id="SW102",
    name="volume-shrink",
    summary="A volume is asked to become smaller",
    why="No volume can shrink: the API server refuses the claim, the operator ignores or retries the change for ever, "
    "and the manifest no longer tells what runs.",
    remedy="Make members with smaller volumes beside the old ones, move the data, remove the old ones.",
    source="kubernetes pkg/apis/core/validation: field can not be less than status.capacity",
    nature="transition",
    judges=services("UPDATE"),
    about=("volumes",),
    looks_at=(excuses(CLAIM, "spec", "status"),),
)
def volume_shrink(change: Change, see: Sight) -> Iterator[Finding]:
    """A request that was raised and never granted may go back to what the volumes really have."""
    new = change.new
    if new is None or new.kind == "StatefulSet.apps":
        return
    for group, was, volume in change.kept_volumes():
        if was.ephemeral.value is True or volume.ephemeral.value is True:
            continue
        if was.bytes is None or volume.bytes is None or volume.bytes >= was.bytes:
            continue
        claims = see.select(CLAIM, new.namespace)
        if claims is not UNKNOWN:
            capacities = (_capacity(one) for one in bound_claims(claims, new, group, volume))
            sizes = [size for size in capacities if size is not None]
            if sizes and volume.bytes >= max(sizes):
                continue  # a growth that the storage never granted is taken back
        yield Finding(
            field=volume.size.path,
            text=f'"{volume.size.value}" is smaller than "{was.size.value}"; a volume cannot shrink',
            why="the claims stay as large as they are; the operator ignores the change or fails on it, and this "
            "manifest no longer tells what runs",
            remedy=f'keep "{was.size.value}"; to get smaller volumes: '
            + (
                "add a node pool with smaller ones, reassign the partitions, remove the old pool"
                if new.adapter.group == "kafka.strimzi.io"
                else "create a second, smaller cluster that replicates from this one (or is restored from its "
                "backup), switch over, then delete the old one"
            ),
            subject=f"{group.name}/{volume.name}",
            on=group.on,
            patch=restored(was, volume, was.size, volume.size),
        )


def _capacity(claim: Object) -> Fraction | None:
    return quantity.parse(mapping_of(mapping_of(claim, "status"), "capacity").get("storage"))
