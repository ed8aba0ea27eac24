"""SW309: the next upgrade starts before the last one is finalised."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import BACKUP_LOOKS, fresh_backup
from stateward.policies.finding import Finding
from stateward.policies.hops import step
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight


@rule(
    id="SW309",
    name="previous-upgrade-unfinished",
    summary="The next upgrade starts before the last one is finalised",
    why="The engine starts only on data that is finalised at the series before its own. The first member that restarts "
    "refuses its files and the rollout stays stuck there.",
    remedy="Finalise the running series first, wait until every member says so, then upgrade.",
    source="https://www.mongodb.com/docs/manual/reference/command/setFeatureCompatibilityVersion/",
    nature="transition",
    judges=services("UPDATE"),
    about=("version", "finalised"),
    looks_at=BACKUP_LOOKS,
    params={"backupMaxAgeHours": 24},
)
def previous_upgrade_unfinished(change: Change, see: Sight) -> Iterator[Finding]:
    """Where the level is known it decides; where nobody can see it, a fresh backup must lead back."""
    done = step(change)
    old, new = change.old, change.new
    if done is None or old is None or new is None or not new.engine_certain or old.members == 0:
        return
    profile = done.profile
    if not profile.finalise_first or not done.upwards or done.hop.verdict == "deny":
        return
    before, after = profile.series_of(done.old), profile.series_of(done.new)
    if before == after:
        return
    level = old.finalised
    title = profile.title
    finalise = (
        f' (db.adminCommand({{setFeatureCompatibilityVersion: "{_text(before)}"}}))' if profile.name == "mongodb" else ""
    )
    if level is not None:
        if profile.series_of(level) >= before:
            return
        yield Finding(
            field=new.version.path,
            text=f"{done.old.text} → {done.new.text} starts while the data is still finalised at {level.text}",
            why=f"{title} {done.new.text} does not start on files of level {level.text}",
            remedy=f"finalise {_text(before)} first{finalise}, wait until it is reported, then upgrade",
        )
        return
    hours = see.params["backupMaxAgeHours"]
    age = fresh_backup(old, see, hours)
    backed = age is not None and age is not UNKNOWN
    yield Finding(
        field=new.version.path,
        text=f"{done.old.text} → {done.new.text}: nothing shows that the data is finalised at {_text(before)}"
        + ("" if backed else f", and no backup of the last {hours} hours is recorded"),
        why=f"{title} {done.new.text} refuses files of an older level, and the member that is restarted first stays down",
        remedy=f"ask {title} for its level and finalise {_text(before)}{finalise}; take a backup, then upgrade",
        weak=backed or age is UNKNOWN,
    )


def _text(series: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in series)
