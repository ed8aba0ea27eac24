"""SW202: the last standby goes."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import Sight


@rule(
    id="SW202",
    name="standby-lost",
    summary="A service that can fail over is scaled to a single copy",
    why="The copies that go take their volumes with them, or fall behind; from then on the next failure of a node or disk "
    "is the loss of the service, or of its data.",
    remedy="Keep at least two copies; to save resources make them smaller instead.",
    source="CloudNativePG documentation: scaling down deletes the instance's volumes (EnsureInstancePVCGroupIsDeleted)",
    nature="transition",
    judges=services("UPDATE"),
    about=("members",),
    loses_data=True,
)
def standby_lost(change: Change, see: Sight) -> Iterator[Finding]:
    """Primary and replicas: from several to one, or to none that was there before. A plain set only warns."""
    old, new = change.old, change.new
    if old is None or new is None or old.engine is None or not old.engine_certain:
        return
    if old.engine.quorum.model != "standby" or old.adapter.shares_claims:
        return
    if any(votes(old, group) for group in old.groups) or new.stopped:
        return
    renamed = _all_renamed(old, new)
    if renamed is not None:
        yield renamed
        return
    was, wanted, after = old.members, new.members, new.groups[0] if new.groups else None
    if was is None or wanted is None or wanted > 1 or was < 2 or after is None:
        return
    deletes = new.adapter.scale_down == "deletesClaims"
    yield Finding(
        field=after.members.path,
        text=f"{was} → {wanted} leaves "
        + ("no copy of" if wanted == 0 else "a single copy of")
        + f" {old.engine.title} running",
        why=("the operator deletes the volumes of the members that go" if deletes else "the copies that go fall behind")
        + ("; nobody serves" if wanted == 0 else "; the next failure of a node or disk takes the service down"),
        remedy="keep two or more; to save resources make the members smaller",
        subject=after.name,
        weak=not deletes,
    )


def _all_renamed(old: Service, new: Service) -> Finding | None:
    """Groups of other names alone: those that had the data are deleted with it while the new ones are still empty."""
    if old.adapter.scale_down != "deletesClaims" or not old.members or not new.groups or old.engine is None:
        return None
    after = new.groups_by_name
    kept = [after[group.name] for group in old.groups if group.members.value and group.name in after]
    if any(group.members.value != 0 for group in kept) or not new.members:
        return None
    gone = ", ".join(f'"{group.name}"' for group in old.groups if group.members.value)
    members = f"{old.members} member{'s' if old.members != 1 else ''}"
    return Finding(
        field=new.groups[0].path,
        text=f"{gone} with all {members} of {old.engine.title} {'leave' if len(old.groups) > 1 else 'leaves'} in one edit",
        why="a group of another name is a new one: the operator deletes the members of the old name together with their "
        "volumes, and nothing was copied to the new ones yet",
        remedy="add the new group beside the old one, wait until its members have the data, then take the old one out",
        subject="groups",
    )
