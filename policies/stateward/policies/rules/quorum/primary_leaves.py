"""SW212: the member that leaves is the primary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import is_live, labels_of, name_of, owned_by
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Object, Sight, accuses

_ORDINAL: Final = re.compile(r"-(\d{1,5})$")
_LEADING: Final = frozenset(("primary", "master", "leader"))


@rule(
    id="SW212",
    name="primary-leaves",
    summary="The member that is scaled away is the primary",
    why="A set takes the highest ordinals, whoever that is. The primary goes in the middle of its writes; clients wait for "
    "an election, and an operator that asks the primary to take itself out hangs.",
    remedy="Switch over to a member that stays first, then scale.",
    source="Kubernetes documentation, StatefulSet: pods are removed in reverse ordinal order",
    nature="transition",
    action="warn",
    judges=services("UPDATE"),
    about=("members",),
    looks_at=(accuses("Pod", "status.phase"),),
)
def primary_leaves(change: Change, see: Sight) -> Iterator[Finding]:
    """Where a pod's label says which member leads (role: primary, master, leader)."""
    old, new = change.old, change.new
    if old is None or new is None or new.stopped or old.adapter.shares_claims or len(new.groups) != 1:
        return
    was, wanted = old.members, new.members
    if was is None or wanted is None or not 0 < wanted < was:
        return
    pods = see.select("Pod", old.namespace)
    label = old.adapter.pod_label
    for pod in pods if pods is not UNKNOWN else ():
        mine = labels_of(pod).get(label) == old.name if label is not None else owned_by(pod, old.object)
        ordinal = _ORDINAL.search(name_of(pod))
        if not mine or ordinal is None or int(ordinal[1]) < wanted or not is_live(pod) or not _leads(pod):
            continue
        yield Finding(
            field=new.groups[0].members.path,
            text=f"{was} → {wanted} takes {name_of(pod)} away, which is the primary",
            why="its writes stop until another member is elected, and an operator that has to ask it first may hang",
            remedy=f"switch over to a member below ordinal {wanted} first, then scale",
            subject=name_of(pod),
            on=new.groups[0].on,
        )


def _leads(pod: Object) -> bool:
    return any(
        isinstance(value, str) and value.lower() in _LEADING and "role" in str(key).rpartition("/")[2].lower()
        for key, value in labels_of(pod).items()
    )
