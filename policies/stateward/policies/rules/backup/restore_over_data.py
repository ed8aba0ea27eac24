"""SW502: a restore is asked for where data is already."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import BACKUP_LOOKS, CLAIM, fresh_backup, is_bound, name_of
from stateward.policies.finding import Finding
from stateward.policies.model import Archive
from stateward.policies.rule import rule, services
from stateward.policies.settings import address
from stateward.policies.view import UNKNOWN, Sight, accuses


@rule(
    id="SW502",
    name="restore-over-data",
    summary="A restore would run over data that is there",
    why="A restore empties the data directory first, or stops half way because it is not empty. What was written since the "
    "backup is gone, and if the restore fails so is the rest.",
    remedy="Restore into a service of another name, compare, then switch over.",
    source="the operators' documentation on recovery: restores are made into new clusters",
    nature="transition",
    judges=services("CREATE", "UPDATE"),
    about=("sources",),
    looks_at=(accuses(CLAIM, "spec", "status"), *(look for look in BACKUP_LOOKS if look.kind != CLAIM)),
    params={"backupMaxAgeHours": 24},
    loses_data=True,
)
def restore_over_data(change: Change, see: Sight) -> Iterator[Finding]:
    """A first source on a service that runs, where its operator acts on it; a creation with a source over bound claims.

    Most operators read a source at the first start and never again; so does each for a service that has one already.
    """
    old, new = change.old, change.new
    if new is None or not new.sources:
        return
    source = new.sources[0]
    if old is not None:
        if not source.live or old.sources or old.members == 0:
            return
        hours = see.params["backupMaxAgeHours"]
        backed = fresh_backup(old, see, hours)
        if backed is not None and backed is not UNKNOWN:
            return
        yield Finding(
            field=source.path,
            text=f"{_named(source)} is set as the source of a restore on a service that runs",
            why=f"the operator stops the members and replaces their data; no backup of the last {hours} hours leads back",
            remedy="restore into a new service beside this one; or take a backup first",
            subject="source",
        )
        return
    claims = see.select(CLAIM, new.namespace)
    held = [
        claim
        for claim in (claims if claims is not UNKNOWN else ())
        if is_bound(claim) and new.adapter.owns_claim(new, claim)
    ]
    if held:
        yield Finding(
            field=source.path,
            text=f"a restore from {_named(source)} is asked for, and claim {name_of(held[0])} holds data already",
            why="the restore runs over what is on the volume, or refuses to start because it is not empty",
            remedy="leave the source out to start on the data that is there; or restore under another name",
            subject="source",
        )


def _named(source: Archive) -> str:
    """The archive by its name; a URL with an account in it is not shown."""
    return f'"{address(source.store)}"'
