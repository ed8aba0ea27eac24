"""SW118: a volume of a live group is dropped or renamed."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import MemberGroup, Volume
from stateward.policies.paths import Path
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW118",
    name="volume-dropped",
    summary="A volume of a live group of members is dropped or renamed",
    why="Members come back without what lies on that volume. A volume of another name is a new, empty one: its claim is "
    "made of the name, and the old claim stays behind unused.",
    remedy="Keep the volume under its name. To get rid of it move what lies on it first, or replace the whole group by one "
    "without it.",
    source="Kubernetes documentation, StatefulSet: claims are named after the template; PingCAP, TiDB operator: "
    "its admission policy compares volumes of the same name only",
    nature="transition",
    judges=services("UPDATE"),
    about=("volumes", "members"),
    loses_data=True,
)
def volume_dropped(change: Change, see: Sight) -> Iterator[Finding]:
    """Volumes by name, of groups that keep theirs. A native set cannot change its templates at all; that is judged there."""
    old, new = change.old, change.new
    if old is None or new is None or new.kind == "StatefulSet.apps":
        return
    for name, after in new.groups_by_name.items():
        before = old.groups_by_name.get(name)
        if before is None or before.members.value == 0 or after.members.value == 0:
            continue
        names = {volume.name for volume in after.volumes}
        if after.volumes and all(volume.ephemeral.value is True for volume in after.volumes):
            continue  # judged as storage that becomes ephemeral
        added = sorted(names - {volume.name for volume in before.volumes})
        for volume in before.volumes:
            if volume.name in names or volume.ephemeral.value is True or volume.leaves.value == "moved":
                continue
            found = _finding(volume, before, after, added)
            # A kind known by its shape alone; a Deployment, whose claim somebody made, and may have filled, beforehand.
            found.weak = found.weak or old.engine is None or new.adapter.shares_claims
            yield found


def _finding(volume: Volume, before: MemberGroup, after: MemberGroup, added: list[str]) -> Finding:
    renamed = len(added) == 1 and len(before.volumes) == len(after.volumes)
    return Finding(
        field=_place(volume, before),
        text=f'volume "{volume.name}" is ' + (f'renamed "{added[0]}"' if renamed else "taken out"),
        why=(
            "the new name is a new, empty claim; members restart on it without what lies on the old one"
            if renamed
            else "what lies on it is lost to the members unless it was moved off before"
            if volume.leaves.value == "emptied"
            else "members restart without what lies on it; its claim stays behind or is deleted"
        ),
        remedy=f'keep "{volume.name}"'
        + (
            "; if every partition was moved off it (kafka-reassign-partitions with log directories) it may go"
            if volume.leaves.value == "emptied"
            else "; to lay the data out differently add a group with other volumes, move the data, take this one out"
        ),
        subject=f"{after.name}/{volume.name}",
        on=after.on,
        weak=volume.leaves.value == "emptied",
    )


def _place(volume: Volume, group: MemberGroup) -> Path:
    """The list that it stood in, or the field that named it."""
    if volume.path == group.path:
        return volume.size.path or group.path
    return volume.path[:-1] if isinstance(volume.path[-1], int) else volume.path
