"""SW117: one claim for all members."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.paths import dig
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW117",
    name="claim-for-all",
    summary="All members of a replicated engine are given one claim",
    why="Copies on one volume are one copy: the volume lost is the loss of all members, and a member that starts in the "
    "directory of another corrupts it.",
    remedy="Give every member a claim of its own, written by one node (ReadWriteOnce).",
    source="etcd-io/etcd-operator: with ReadWriteMany all members mount spec.storageSpec.pvcName; etcd documentation: "
    "each member has a data directory of its own",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("oneClaim", "members"),
    loses_data=True,
)
def claim_for_all(change: Change, see: Sight) -> Iterator[Finding]:
    """What the adapter calls one claim for all, with more members than one."""
    new = change.new
    if new is None or new.engine is None:
        return
    shared = new.field("oneClaim")
    members = new.members
    if shared.value is not True or members is None or members < 2:
        return
    yield Finding(
        field=shared.path,
        text=f'"{dig(new.object, shared.path)}" puts all {members} members of {new.engine.title} on one claim',
        why="the volume lost is the loss of all of them, and one that starts in the directory of another corrupts it",
        remedy="use ReadWriteOnce: every member then gets a claim of its own",
        subject="claim",
    )
