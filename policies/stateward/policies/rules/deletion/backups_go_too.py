"""SW409: the deletion of a service takes its backups with it."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import BACKUP_LOOKS, fresh_snapshot, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight


@rule(
    id="SW409",
    name="backups-go-too",
    summary="A service is deleted together with its only backups",
    why="A backup that its operator deletes with the service is none for the one case that needs it most: a deletion that "
    "was a mistake.",
    remedy="Let the backups outlive the service (see the field), or take one that nobody deletes: a VolumeSnapshot.",
    source="operators' CRDs: autoTerminateOnDeletion, terminationPolicy WipeOut, finalizer delete-backups",
    nature="transition",
    judges=services("DELETE"),
    looks_at=BACKUP_LOOKS,
    params={"backupMaxAgeHours": 24},
    loses_data=True,
)
def backups_go_too(change: Change, see: Sight) -> Iterator[Finding]:
    """Also where the deletion is confirmed: that says that the service may go, not that nothing is to be left of it."""
    old = change.old
    if old is None or change.via:
        return
    value, path = old.field("deletesBackups")
    if value is not True:
        return
    hours = see.params["backupMaxAgeHours"]
    age = fresh_snapshot(old, see, hours)
    if age is not None and age is not UNKNOWN:
        return
    yield Finding(
        field=path,
        text="the backups are deleted together with the service, and no VolumeSnapshot is left of it",
        why="nothing leads back if this deletion was a mistake",
        remedy="change this field first, in an edit of its own, so that the backups stay; or take a VolumeSnapshot of every "
        "claim",
        subject=name_of(old.object),
        weak=age is UNKNOWN,
    )
