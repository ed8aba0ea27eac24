"""What a service's own look does for its backups: makes those that are due, lets go of old ones, says how they stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from pydantic import ValidationError

from stateward.kube.errors import ClusterError
from stateward.operator import deletion, schedule
from stateward.operator.api.parts import Copy
from stateward.operator.api.spec import Backup
from stateward.operator.api.status import BackupStatus
from stateward.operator.api.v1beta1 import API_VERSION, ServiceBackup, ServiceRestore, StatefulService
from stateward.operator.apply import MANAGER
from stateward.operator.backup import drill
from stateward.operator.backup.hub import Hub
from stateward.operator.backup.kinds import BACKUP, BACKUPS, RESTORE, SCHEDULED
from stateward.operator.backup.record import record_of
from stateward.operator.backup.retention import Kept, expired
from stateward.operator.objects.common import LABEL
from stateward.operator.service import Service
from stateward.operator.status import BackedUp, Report
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

GRACE: Final = timedelta(hours=1)
"""How late a backup may be before that is said."""
_LONGEST: Final = 3600.0


@dataclass(frozen=True, slots=True)
class One:
    """A ServiceBackup, and the service (by uid) that it is of; "" where that is not noted yet."""

    item: Object
    model: ServiceBackup
    uid: str

    @property
    def name(self) -> str:
        """Its own."""
        return text_of(self.model.metadata, "name")

    @property
    def created(self) -> datetime:
        """When it was made."""
        return datetime.fromisoformat(text_of(self.model.metadata, "creationTimestamp"))

    @property
    def complete(self) -> bool:
        """Whether it can be restored."""
        return self.model.status.phase == "Complete" and self.model.status.completed is not None

    @property
    def by_schedule(self) -> bool:
        """Whether retention is for it."""
        return text_of(mapping_of(self.model.metadata, "labels"), SCHEDULED) == "true"


def backups_of(hub: Hub, service: Service) -> list[One]:
    """All of a service's name, the oldest first; those of an earlier service of that name too."""
    found = []
    for item in hub.kinds.of(BACKUP, service.key):
        try:
            model = ServiceBackup.model_validate(item)
        except ValidationError:
            continue
        if model.spec.service == service.name:
            record = record_of(item)
            found.append(One(item, model, record.uid if record is not None else ""))
    return sorted(found, key=lambda one: (one.created, one.name))


def look(hub: Hub | None, model: StatefulService, one: Service, report: Report) -> None:
    """Takes at most one step, where anything may be done. Raises ClusterError."""
    if hub is None or hub.kinds.unsynced():
        return  # what is not known is not judged: everything would look missing
    word = report.backed_up = BackedUp()
    keep(hub, model, one, report, word, act=report.idle is None)
    drill.look(hub, model, one, report, word)
    measure(hub, one, word)
    report.again = min(report.again or word.again, word.again)


def keep(hub: Hub, model: StatefulService, one: Service, report: Report, word: BackedUp, act: bool) -> None:
    """At most one write: a backup that is due, or an old one that goes. `act`: whether anything may be done.

    Raises ClusterError.
    """
    now, plan = hub.now(), model.spec.backup
    several = backups_of(hub, one)
    mine = [each for each in several if each.uid == one.uid]
    if plan is None and not mine:
        return
    word.backup = _status(mine)
    if plan is None:
        return
    if problem := schedule.problem(plan.schedule, plan.time_zone):
        word.condition = ("False", "BadSchedule", f"backup.{problem}")
        return
    following = schedule.next_after(plan.schedule, plan.time_zone, now)
    word.backup.next = None if plan.suspended else following
    word.again = max(1.0, min(_LONGEST, (following - now).total_seconds() + 1))
    word.condition = _condition(plan, mine, model, now)
    if not act:
        return
    due = schedule.last_until(plan.schedule, plan.time_zone, now)
    name = name_at(one.name, due)
    born = datetime.fromisoformat(text_of(model.metadata, "creationTimestamp"))
    if not plan.suspended and due >= born and all(each.name != name for each in several):
        _make(hub, one, plan, name)
        report.decisions.append(f"Backup: {name} is made: it was due at {due:%Y-%m-%d %H:%M} UTC")
        word.again = 1.0
        return
    _let_go(hub, one, plan, mine, report, now)


def name_at(service: str, due: datetime) -> str:
    """Of the backup that is due at a time: whoever makes it, there is one of it."""
    return f"{service}-{due:%Y%m%d%H%M}"


def _make(hub: Hub, one: Service, plan: Backup, name: str) -> None:
    spec = {"service": one.name, "destination": plan.destination.dump()}
    if plan.encryption is not None:
        spec["encryption"] = plan.encryption.dump()
    labels = {SCHEDULED: "true", LABEL: one.name, "app.kubernetes.io/managed-by": "stateward"}
    # Without an owner: it outlives its service.
    metadata = {"name": name, "namespace": one.namespace, "labels": labels}
    body = {"apiVersion": API_VERSION, "kind": "ServiceBackup", "metadata": metadata, "spec": spec}
    try:
        hub.cluster.create(BACKUPS.path_to(one.namespace), body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 409:
            raise


def _let_go(hub: Hub, one: Service, plan: Backup, mine: Iterable[One], report: Report, now: datetime) -> None:
    """The oldest that retention lets go, one at a time. Those that somebody made by hand are theirs."""
    busy = _read(hub, one.namespace)
    kept, items = [], {}
    for each in mine:
        status = each.model.status
        if not each.by_schedule or status.phase not in ("Complete", "Failed"):
            continue
        if "deletionTimestamp" in metadata_of(each.item):
            return  # the one before is not gone yet
        time = status.completed or each.created
        kept.append(Kept(each.name, time, each.complete and status.verified is not None, each.name in busy))
        items[each.name] = each.item
    gone = expired(kept, plan.retention.days, plan.retention.copies, now)
    if not gone:
        return
    deletion.delete_at(hub.cluster, BACKUPS, items[gone[0]], "Background")
    report.decisions.append(f"Backup: {gone[0]} goes: older than {plan.retention.days} days, and newer ones are there")


def _read(hub: Hub, namespace: str) -> set[str]:
    """Backups that a restore reads now."""
    found = set()
    for key in hub.kinds.keys():  # noqa: SIM118 - no mapping
        item = hub.kinds.get(RESTORE, key[0], key[1].removeprefix("ServiceRestore/"))
        if item is None:
            continue
        try:
            model = ServiceRestore.model_validate(item)
        except ValidationError:
            continue
        source = model.spec.source.backup
        over = model.status.phase in ("Complete", "Failed", "Refused")
        if source is not None and not over and (source.namespace or key[0]) == namespace:
            found.add(source.name)
    return found


def _status(mine: Iterable[One]) -> BackupStatus:
    made = BackupStatus(count=0)
    for each in mine:
        status = each.model.status
        if each.complete and status.completed is not None:
            made.count = (made.count or 0) + 1
            made.last = Copy(
                name=each.name,
                time=status.completed,
                verified=status.verified,
                version=status.version,
                size=status.size,
                location=status.location,
            )
            made.last_failure = None
        elif status.phase == "Failed":
            made.last_failure = f"{each.name}: {status.message}"[:1000]
    return made


def _condition(
    plan: Backup, mine: list[One], model: StatefulService, now: datetime
) -> tuple[Literal["True", "False"], str, str]:
    ended = [one for one in mine if one.model.status.phase in ("Complete", "Failed")]
    last = next((one for one in reversed(ended) if one.complete), None)
    if ended and not ended[-1].complete:
        since = f"; the last good one is {last.name}" if last is not None else "; there is no good one"
        return "False", "BackupFailed", f"{ended[-1].name}: {ended[-1].model.status.message}{since}"
    if last is None or last.model.status.completed is None:
        return "False", "NoBackupYet", "no backup is complete yet"
    born = datetime.fromisoformat(text_of(model.metadata, "creationTimestamp"))
    before = schedule.last_until(plan.schedule, plan.time_zone, now - GRACE)
    said = f"{last.name}, complete at {last.model.status.completed:%Y-%m-%d %H:%M:%S} UTC, read back"
    if not plan.suspended and last.model.status.completed < before and before >= born:
        return "False", "Overdue", f"the last is {said}; one was due at {before:%Y-%m-%d %H:%M} UTC"
    return "True", "Suspended" if plan.suspended else "Complete", said


def measure(hub: Hub, one: Service, word: BackedUp) -> None:
    """The metrics of a service's backups."""
    if word.backup is None:
        return
    last = word.backup.last
    if last is not None:
        hub.metrics.backup_time.labels(*one.key).set(last.time.timestamp())
        hub.metrics.backup_size.labels(*one.key).set(last.size or 0)
    hub.metrics.backup_good.labels(*one.key).set(float(last is not None and not word.backup.last_failure))
    if word.drill is not None:
        hub.metrics.drill_time.labels(*one.key).set(word.drill.time.timestamp())
        hub.metrics.drill_good.labels(*one.key).set(float(word.drill.succeeded))
        hub.metrics.drill_rto.labels(*one.key).set(word.drill.rto_seconds or 0)
