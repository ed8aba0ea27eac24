"""Restores on trial: on schedule the last backup becomes a scratch service, is checked, measured, and goes again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from stateward.kube.errors import ClusterError
from stateward.operator import deletion, schedule
from stateward.operator.api.spec import Drill
from stateward.operator.api.status import BackupStatus, DrillStatus
from stateward.operator.api.v1beta1 import API_VERSION, ServiceRestore, StatefulService
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup.hub import Hub
from stateward.operator.backup.kinds import DRILL, FILLING, RESTORE, RESTORES, SERVICES
from stateward.operator.objects.common import LABEL
from stateward.operator.service import Service
from stateward.operator.status import BackedUp, Report
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

LONGEST: Final = timedelta(hours=4)
"""After which a drill has failed, whatever it does."""
_STEM: Final = 24
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


def look(hub: Hub, model: StatefulService, one: Service, report: Report, word: BackedUp) -> None:
    """Takes at most one step. Raises ClusterError."""
    plan = model.spec.backup.drill if model.spec.backup is not None else None
    before = model.status.drill
    word.drill = before.model_copy(deep=True) if before is not None else None
    if report.idle is not None:
        return
    running = _drills(hub, one)
    if running:
        _finish(hub, running[0][0], running[0][1], report, word)
    elif plan is not None:
        _begin(hub, model, one, plan, report, word)


def name_of(service: str, due: datetime) -> str:
    """Of the drill that is due at a time: short enough for a service's name."""
    stem = service
    if len(service) > _STEM:
        stem = f"{service[: _STEM - 6].rstrip('-')}-{hashlib.sha256(service.encode()).hexdigest()[:5]}"
    minutes, text = int(due.timestamp()) // 60, ""
    while minutes:
        minutes, digit = divmod(minutes, len(_DIGITS))
        text = _DIGITS[digit] + text
    return f"{stem}-drill-{text}"


def _drills(hub: Hub, one: Service) -> Sequence[tuple[Object, ServiceRestore]]:
    """Those that are there, the oldest first."""
    found = []
    for key in hub.kinds.keys():  # noqa: SIM118 - no mapping
        name = key[1].removeprefix("ServiceRestore/")
        item = hub.kinds.get(RESTORE, key[0], name) if key[0] == one.namespace and name != key[1] else None
        if item is None or text_of(mapping_of(metadata_of(item), "labels"), DRILL) != one.name:
            continue
        try:
            found.append((item, ServiceRestore.model_validate(item)))
        except ValidationError:
            continue
    return sorted(found, key=lambda each: text_of(metadata_of(each[0]), "creationTimestamp"))


def _begin(hub: Hub, model: StatefulService, one: Service, plan: Drill, report: Report, word: BackedUp) -> None:
    if schedule.problem(plan.schedule, plan.time_zone):
        return
    now = hub.now()
    due = schedule.last_until(plan.schedule, plan.time_zone, now)
    following = schedule.next_after(plan.schedule, plan.time_zone, now)
    if word.drill is not None:
        word.drill.next = following
    word.again = max(1.0, min(word.again, (following - now).total_seconds() + 1))
    born = datetime.fromisoformat(text_of(model.metadata, "creationTimestamp"))
    done = model.status.drill is not None and model.status.drill.time >= due
    backup: BackupStatus | None = word.backup
    if done or due < born or backup is None or backup.last is None:
        return
    name = name_of(one.name, due)
    owner = {"apiVersion": API_VERSION, "kind": "StatefulService", "name": one.name, "uid": one.uid}
    metadata = {"name": name, "namespace": one.namespace, "labels": {DRILL: one.name}, "ownerReferences": [owner]}
    spec = {"source": {"backup": {"name": backup.last.name}}, "service": name}
    body = {"apiVersion": API_VERSION, "kind": "ServiceRestore", "metadata": metadata, "spec": spec}
    try:
        hub.cluster.create(RESTORES.path_to(one.namespace), body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 409:
            raise
    report.decisions.append(f"Drill: {name}: {backup.last.name} is restored on trial")
    word.again = 1.0


def _finish(hub: Hub, item: Object, restore: ServiceRestore, report: Report, word: BackedUp) -> None:
    """Says how it ended; once that is written, all of it goes."""
    now, status = hub.now(), restore.status
    word.again = min(word.again, 2.0)
    created = datetime.fromisoformat(text_of(restore.metadata, "creationTimestamp"))
    over = status.phase in ("Complete", "Failed", "Refused")
    if not over and now - created < LONGEST:
        return
    ended = status.completed or (created + LONGEST)
    source = restore.spec.source.backup
    made = DrillStatus(
        time=ended,
        succeeded=status.phase == "Complete",
        backup=source.name if source is not None else None,
        rpo_seconds=status.rpo_seconds,
        rto_seconds=status.rto_seconds,
        message=status.message if over else f"it took longer than {LONGEST}: {status.message}"[:1000],
        next=word.drill.next if word.drill is not None else None,
    )
    if word.drill is None or (word.drill.time, word.drill.backup) != (made.time, made.backup):
        report.decisions.append(f"Drill: {'all data is there' if made.succeeded else 'failed'}: {made.message}"[:1000])
        word.drill = made
        return
    _clear(hub, item, restore)


def _clear(hub: Hub, item: Object, restore: ServiceRestore) -> None:
    """One step of its end: the service, claims that it has left, the restore."""
    namespace, uid = text_of(restore.metadata, "namespace"), text_of(restore.metadata, "uid")
    name = restore.spec.service
    made = hub.service((namespace, name))
    if made is not None and text_of(mapping_of(metadata_of(made), "annotations"), FILLING) == uid:
        if "deletionTimestamp" not in metadata_of(made):
            deletion.delete_at(hub.cluster, SERVICES, made, "Background")
        return
    path = RESOURCES["PersistentVolumeClaim"].path_to(namespace)
    claims = hub.cluster.get(path, {"labelSelector": f"{LABEL}={name}"}).get("items")
    for claim in claims if isinstance(claims, list) else []:
        if text_of(mapping_of(metadata_of(claim), "annotations"), FILLING) == uid:
            deletion.delete(hub.cluster, "PersistentVolumeClaim", claim, "Background")
    deletion.delete_at(hub.cluster, RESTORES, item, "Background")
