"""SW503: backups of a live service are switched off."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.paths import dig
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW503",
    name="backup-switched-off",
    summary="The backups of a live service are switched off",
    why="Nobody notices that there are no backups until one is needed.",
    remedy="Keep them on; to move them, set the new destination in the same edit.",
    source="operators' CRDs: spec.backup and its switches",
    nature="transition",
    action="warn",
    judges=services("UPDATE"),
    about=("backup", "archives"),
)
def backup_switched_off(change: Change, see: Sight) -> Iterator[Finding]:
    """Kinds that say whether they are backed up, by a switch or by a destination."""
    old, new = change.old, change.new
    if old is None or new is None:
        return
    was, now = _asks(old), _asks(new)
    if was is True and now is False:
        field = new.field("backup")
        if dig(new.object, field.path) is None:
            field = old.field("backup")  # what asked for them is gone: it is the one to put back
        yield Finding(
            field=field.path or (old.archives[0].path if old.archives else ("spec",)),
            text="backups are switched off, and the service goes on",
            why="from now on nothing leads back behind a lost volume, a failed upgrade or a wrong DROP TABLE",
            remedy="keep the backups on",
            subject="backup",
        )


def _asks(service: Service) -> bool | None:
    if service.backed_up is not None:
        return service.backed_up
    return bool(service.archives) if service.adapter.has_archives else None
