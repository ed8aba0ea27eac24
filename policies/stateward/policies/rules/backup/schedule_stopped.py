"""SW506: the schedule of backups is stopped or deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.paths import Path, dig
from stateward.policies.rule import objects, rule
from stateward.policies.view import Sight
from stateward.policies.waiver import CONFIRM_DELETE

SCHEDULES: Final[Mapping[str, tuple[Path, bool]]] = {
    "ScheduledBackup.postgresql.cnpg.io": (("spec", "suspend"), True),
    "MedusaBackupSchedule.medusa.k8ssandra.io": (("spec", "disabled"), True),
    "Backup.k8s.mariadb.com": (("spec", "schedule", "suspend"), True),
    "PhysicalBackup.k8s.mariadb.com": (("spec", "schedule", "suspend"), True),
    "BackupSchedule.br.pingcap.com": (("spec", "pause"), True),
    "OpensearchSnapshotPolicy.opensearch.org": (("spec", "enabled"), False),
}
"""Kind → the field that stops it, and the value that does (the operators' CRDs)."""


@rule(
    id="SW506",
    name="schedule-stopped",
    summary="The schedule of backups is suspended or deleted",
    why="Nobody notices that there are no new backups until one is needed; the old ones run out by their retention.",
    remedy="Leave it running. Where it moves elsewhere, make the new schedule first.",
    source="the operators' CRDs: ScheduledBackup.spec.suspend, MedusaBackupSchedule.spec.disabled and the like",
    nature="transition",
    action="warn",
    judges=objects(*SCHEDULES, on=("UPDATE", "DELETE")),
)
def schedule_stopped(change: Change, see: Sight) -> Iterator[Finding]:
    """Schedules that ran before. A Backup without a schedule is a single one."""
    old, new = change.request.old, change.request.object
    if old is None:
        return
    path, stops = SCHEDULES[change.request.kind]
    if path[:2] == ("spec", "schedule") and dig(old, ("spec", "schedule")) is None:
        return
    if dig(old, path) is stops:
        return
    if new is None:
        if annotations_of(old).get(CONFIRM_DELETE) == name_of(old):
            return
        yield Finding(
            field=(),
            text="deletes a schedule of backups",
            why="no new backup is taken from now on, and the old ones run out",
            remedy="make the schedule that replaces it first",
            subject=name_of(old),
        )
    elif dig(new, path) is stops:
        yield Finding(
            field=path,
            text=f"{str(stops).lower()} stops the backups",
            why="no new backup is taken from now on, and the old ones run out",
            remedy="take it back, or write down (stateward.dev/waive) until when it is stopped",
            subject=name_of(old),
        )
