"""SW303: past a point of no return without a backup."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import BACKUP_LOOKS, backup_way, fresh_backup
from stateward.policies.finding import Finding
from stateward.policies.hops import step
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses


@rule(
    id="SW303",
    name="one-way-without-backup",
    summary="An upgrade that cannot be undone starts without a fresh backup",
    why="Once the new version has started on the data there is no way back to the old one. Without a backup a failed "
    "upgrade is the loss of the service.",
    remedy="Take a backup (or a VolumeSnapshot of every member's claim), verify it, then upgrade.",
    source="the engine's own documentation, named in its profile (stateward explain SW303)",
    nature="transition",
    judges=services("UPDATE"),
    about=("version",),
    looks_at=(*BACKUP_LOOKS, accuses("ControllerRevision.apps", "data")),
    params={"backupMaxAgeHours": 24},
    loses_data=True,
)
def one_way_without_backup(change: Change, see: Sight) -> Iterator[Finding]:
    """Denies for another series, warns inside one."""
    done = step(change)
    new, old = change.new, change.old
    if done is None or new is None or old is None or not done.upwards:
        return
    if done.hop.verdict == "deny" or not done.hop.one_way:
        return
    hours = see.params["backupMaxAgeHours"]
    age = fresh_backup(old, see, hours)
    if age is not None and age is not UNKNOWN:
        return
    profile = done.profile
    major = profile.series_of(done.old) != profile.series_of(done.new)
    yield Finding(
        field=new.version.path,
        text=f"{done.old.text} → {done.new.text} cannot be undone, and no backup of the last {hours} hours is recorded",
        why=done.hop.reason
        or f"{profile.title} {done.new.text} changes the data when it starts; {done.old.text} does not read it any more",
        remedy=f"{backup_way(new) or 'take a backup'}; or a VolumeSnapshot of every member's claim, ready before the "
        "upgrade",
        weak=not major or not new.engine_certain or age is UNKNOWN,
    )
