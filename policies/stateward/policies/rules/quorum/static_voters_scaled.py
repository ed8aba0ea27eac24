"""SW203: voters that are fixed when the disks are formatted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight

_MEMBER: Final = re.compile(r"[^,=\s]+=https?://")


@rule(
    id="SW203",
    name="static-voters-scaled",
    summary="The number of voters changes where the voters are a fixed list",
    why="With a static list every member reads at its start who votes. A member that is scaled in is no voter for the "
    "others, or makes the list differ between members: when one of the new ones leads, or on the next restart, the "
    "quorum breaks.",
    remedy="Keep the number. Add voters by the engine's own reconfiguration, one at a time, and let the list follow.",
    source="Kafka documentation, KRaft: controller.quorum.voters; etcd: --initial-cluster is read by new members; "
    "Strimzi #9429: scaling controllers is not supported",
    nature="transition",
    judges=services("UPDATE"),
    about=("members",),
)
def static_voters_scaled(change: Change, see: Sight) -> Iterator[Finding]:
    """KRaft controllers; etcd sets whose template lists the members of a new cluster."""
    old, new = change.old, change.new
    if old is None or new is None or old.engine is None or not old.engine_certain:
        return
    if old.engine.name == "kafka":
        yield from _kafka(old, new)
    elif old.engine.name == "etcd":
        yield from _etcd(old, new)


def _kafka(old: Service, new: Service) -> Iterator[Finding]:
    if new.mode != "kraft" or old.mode != "kraft":
        return
    for name, before in old.groups_by_name.items():
        after = new.groups_by_name.get(name)
        # Before node pools every broker of a KRaft cluster was a controller too.
        voting = before.voters or (name == "kafka" and before.on is old.object and not _has_pools(old))
        if not voting or name == "zookeeper":
            continue
        was, wanted = before.members.value, after.members.value if after is not None else 0
        if type(was) is not int or type(wanted) is not int or was == wanted or was == 0:
            continue
        yield Finding(
            field=after.members.path if after is not None else before.members.path,
            text=f"{was} → {wanted} changes the number of KRaft controllers; their voters are a fixed list",
            why="the voters were written when the disks were formatted: the running controllers do not know the new ones, "
            "and count on those that go",
            remedy=f"keep {was} controllers; to serve more load scale a pool with the role broker alone",
            subject=name,
            on=after.on if after is not None else before.on,
        )


def _has_pools(service: Service) -> bool:
    return any(group.on is not service.object for group in service.groups)


def _etcd(old: Service, new: Service) -> Iterator[Finding]:
    was, wanted = old.members, new.members
    if was is None or wanted is None or wanted <= was or was == 0:
        return
    variables = new.environment
    listed = variables.get("ETCD_INITIAL_CLUSTER") or new.flag("--initial-cluster") or ""
    state = variables.get("ETCD_INITIAL_CLUSTER_STATE") or new.flag("--initial-cluster-state") or "new"
    state = state if state == "existing" else "new"  # what is written may be anything
    members = len(_MEMBER.findall(listed))
    if not members or (state == "existing" and members >= wanted):
        if wanted - was > 1 and members:
            yield _several(new, was, wanted)
        return
    path = new.groups[0].members.path
    yield Finding(
        field=path,
        text=f"{was} → {wanted}, but the template starts members of a {state} cluster of {members}",
        why=f"a new member that starts with state {state} and a list that is not that of the running cluster is refused "
        "(member count is unequal) and crashes",
        remedy=f"first set --initial-cluster-state=existing and list {was + 1} members, run `etcdctl member add`, then "
        f"scale to {was + 1}; one member at a time",
        subject="members",
    )


def _several(new: Service, was: int, wanted: int) -> Finding:
    return Finding(
        field=new.groups[0].members.path,
        text=f"{was} → {wanted} adds {wanted - was} voters at once",
        why="each member that is added counts at once; two that do not start take the majority away",
        remedy=f"scale to {was + 1}, wait until it is healthy, then go on",
        subject="several",
    )
