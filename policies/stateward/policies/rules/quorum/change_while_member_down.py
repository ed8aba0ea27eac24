"""SW209: a disruptive change while a member is down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.consequence import has_left
from stateward.policies.facts import is_live, is_ready, labels_of, owned_by
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses, excuses

_NATIVE: Final = "statefulset"
"""The adapter of StatefulSets: their status is Kubernetes' own."""


@rule(
    id="SW209",
    name="change-while-member-down",
    summary="Members are taken away or upgraded while one of them is down",
    why="The change disrupts a member that is healthy while another is not: the last good copy, or the majority, goes. An "
    "upgrade that starts then may heal in the wrong direction.",
    remedy="Bring the member back first. Going back to the version that runs, and adding members, always pass.",
    source="CloudNativePG, Strimzi and MinIO documentation: upgrade and scale only healthy clusters",
    nature="transition",
    judges=services("UPDATE"),
    about=("members", "version"),
    looks_at=(
        accuses("Pod", "status.phase", "status.conditions.type", "status.conditions.status"),
        excuses("PersistentVolumeClaim"),
    ),
)
def change_while_member_down(change: Change, see: Sight) -> Iterator[Finding]:
    """Fewer members, or another version, while fewer are ready than were wanted."""
    old, new = change.old, change.new
    if old is None or new is None or old.engine is None or not old.engine_certain or old.adapter.shares_claims:
        return
    wanted, after = old.members, new.members
    if wanted is None or wanted < 2 or not new.groups or new.stopped:
        return
    fewer = type(after) is int and after < wanted
    before_version, after_version = old.version.version, new.version.version
    upgrade = before_version is not None and after_version is not None and before_version < after_version
    if not fewer and not upgrade:
        return
    ready = _ready(old, see)
    if ready is None or ready >= wanted:
        return
    if fewer and ready == 0:
        return  # nothing runs: scaling is part of a repair
    if after is not None and fewer and old.adapter.name == _NATIVE and has_left(change, see, range(after, wanted)):
        return  # those that go are members no more
    yield Finding(
        field=new.groups[0].members.path if fewer else new.version.path,
        text=f"{ready} of {wanted} members are ready; "
        + (
            f"{wanted} → {after} would take healthy ones"
            if fewer
            else f"{old.version.text} → {new.version.text} restarts the healthy ones"
        ),
        why="while a member is down every other one holds the last copies of something"
        if old.engine.quorum.model == "replication"
        else "the next member that stops takes redundancy or the majority with it",
        remedy="bring the member that is down back first (kubectl describe its pod), wait until all are ready, then go on",
        subject="members" if fewer else "version",
        weak=upgrade and old.engine.quorum.model == "standby" and not fewer,
    )


def _ready(service: Service, see: Sight) -> int | None:
    said = _said(service)
    if said is not None and service.adapter.name == _NATIVE:
        return said  # Kubernetes counts pods that are Ready
    seen = _seen(service, see)
    # CloudNativePG counts a pod whose containers are ready, also where its node has died (pkg/utils/pod_conditions.go).
    return min(said, seen) if said is not None and seen is not None else seen if said is None else said


def _said(service: Service) -> int | None:
    """By the resource's own status."""
    counts = [group.ready.value for group in service.groups]
    if counts and {*map(type, counts)} == {int}:
        return int(sum(counts))
    said = service.field("ready").value
    return said if type(said) is int else None


def _seen(service: Service, see: Sight) -> int | None:
    """By the pods."""
    label = service.adapter.pod_label
    if service.adapter.name != _NATIVE and label is None:
        return None
    pods = see.select("Pod", service.namespace, whole=True)
    if pods is UNKNOWN:
        return None
    mine = [pod for pod in pods if (labels_of(pod).get(label) == service.name if label else owned_by(pod, service.object))]
    return sum(1 for pod in mine if is_live(pod) and is_ready(pod)) if mine else None
