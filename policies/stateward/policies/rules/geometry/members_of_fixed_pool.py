"""SW801: members of a pool whose size is written on its disks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import MemberGroup, Service
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
    for name, before in old.groups_by_name.items():
        after = new.groups_by_name.get(name)
        if after is None and len(old.groups) == len(new.groups) == 1:
            after = new.groups[0]  # a pool alone without a name, and then with one
        was, wanted = before.members.value, after.members.value if after is not None else 0
        if type(was) is not int or type(wanted) is not int or was in (0, wanted):
            continue
        if after is None:
            yield _removed(new, name, was, before)
        elif wanted > 0:
            yield _resized(new, was, wanted, after)


def _resized(new: Service, was: int, wanted: int, after: MemberGroup) -> Finding:
    endpoints = [word for word in new.words if "://" in word or _ELLIPSIS.search(word)]
    title, fixed = (new.engine.title, new.engine.quorum.fixed) if new.engine is not None else ("the engine", "")
    return Finding(
        field=after.members.path,
        text=f"{was} → {wanted} servers changes a pool of {title} that is fixed",
        why=fixed
        if endpoints or was > 1
        else f"{title} runs standalone here: a second server is another, empty store behind the same Service; what is "
        "written to one is missed on the other",
        remedy=f"keep {was}; to grow add a second pool with servers of its own, to shrink decommission a whole pool",
        subject=after.name if len(new.groups) > 1 else "members",
        on=after.on,
    )


def _removed(new: Service, name: str, was: int, before: MemberGroup) -> Finding:
    title = new.engine.title if new.engine is not None else "the engine"
    return Finding(
        field=before.path[:-1],
        text=f'pool "{name}" of {title} with {was} server{"s" if was != 1 else ""} is taken out',
        why="the objects that still lie on it are gone for the others; the operator deletes its set without asking "
        "whether the pool has been emptied",
        remedy="decommission the pool first (mc admin decommission start ALIAS POOL, until status says complete), then say "
        "so in a waiver and take it out",
        subject=name,
    )
