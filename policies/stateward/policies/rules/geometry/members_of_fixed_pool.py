"""SW801: members of a pool whose size is written on its disks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight

_ELLIPSIS: Final = re.compile(r"\{(\d+)\.\.\.(\d+)\}")


@rule(
    id="SW801",
    name="members-of-fixed-pool",
    summary="The number of servers of a storage pool is changed",
    why="The drives of a pool are its erasure set for ever: with another number of endpoints every server refuses to "
    "start; a second server beside a standalone one is another, empty store behind the same Service.",
    remedy="Add a pool, or decommission a whole one; never resize one.",
    source="MinIO documentation, expand and decommission a distributed deployment",
    nature="transition",
    judges=services("UPDATE"),
    about=("members",),
    loses_data=True,
)
def members_of_fixed_pool(change: Change, see: Sight) -> Iterator[Finding]:
    """Engines whose profile says that the members are fixed."""
    old, new = change.old, change.new
    if old is None or new is None or new.engine is None or not new.engine.quorum.fixed or not new.engine_certain:
        return
    was, wanted = old.members, new.members
    if was is None or wanted is None or was == wanted or 0 in (was, wanted) or not new.groups:
        return
    endpoints = [word for word in new.words if "://" in word or _ELLIPSIS.search(word)]
    title = new.engine.title
    yield Finding(
        field=new.groups[0].members.path,
        text=f"{was} → {wanted} servers changes a pool of {title} that is fixed",
        why=new.engine.quorum.fixed
        if endpoints or was > 1
        else f"{title} runs standalone here: a second server is another, empty store behind the same Service; what is "
        "written to one is missed on the other",
        remedy=f"keep {was}; to grow add a second pool with servers of its own, to shrink decommission a whole pool",
        subject="members",
    )
