"""What is said of a service: its status, made anew from what was seen, written where it is another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from stateward.operator.api.parts import Condition, VolumeState
from stateward.operator.api.status import (
    BackupStatus,
    Decision,
    DrillStatus,
    MemberStatus,
    Operation,
    StatefulServiceStatus,
)
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers.protocol import Driver
from stateward.operator.objects.common import LABEL, VOLUME, WAL
from stateward.operator.objects.quorum import quorum
from stateward.operator.observe import FINALISED, Stand, is_ready, no_node
from stateward.operator.service import Service
from stateward.policies.view import Object, mapping_of, text_of

_LEADERS: Final = frozenset({"leader", "primary", "master"})
_DECISIONS: Final = 5
_MESSAGE: Final = 1000
_WORD: Final = 64

Truth = Literal["True", "False", "Unknown"]


@dataclass(slots=True)
class BackedUp:
    """What is to be said of the backups of a service."""

    backup: BackupStatus | None = None
    drill: DrillStatus | None = None
    condition: tuple[Truth, str, str] | None = None
    """Of BackedUp: status, reason, message."""
    again: float = 3600.0
    """Seconds until something is due."""


@dataclass(slots=True)
class Report:
    """What one look at a service found and did. `blocked` is a reason (one word) and a message."""

    stand: Stand | None = None
    away: Mapping[str, str] = field(default_factory=dict)
    """Members whose node or volume is gone, or may be → why."""
    blocked: tuple[str, str] | None = None
    idle: tuple[str, str] | None = None
    """Why nothing is done though something could be: paused, a dry run."""
    operation: tuple[str, str, str, str] | None = None
    """Kind, step, member and message of what is being done."""
    change: tuple[str, str] = ("", "")
    """From what to what, for the operation."""
    backed_up: BackedUp | None = None
    """Word of its backups; None: nobody looked."""
    archived: tuple[Truth, str, str] | None = None
    """Of the condition Archived: status, reason, message; None: its log is not archived."""
    decisions: list[str] = field(default_factory=list)
    again: float | None = None
    driver: Driver | None = None
    """Whom members were asked by, where all of them are there and serve."""
    refused: bool = False
    """Whether a change is not carried out, while what was accepted before is."""

    def refuse(self, why: tuple[str, str] | None) -> None:
        """A change is not carried out; what is in the way of what was accepted is told with it."""
        if why is None:
            return
        other = self.blocked
        self.refused = other is None
        if other is None or other == why:
            self.blocked = why
        else:
            self.blocked = (why[0], f"{why[1]}. Besides, {other[0]}: {other[1]}")


def made(model: StatefulService, service: Service, report: Report, now: datetime) -> StatefulServiceStatus:
    """The status that a look leads to. What this look knows nothing of stays as it was."""
    before = model.status
    found = before.model_copy(deep=True)
    generation = model.metadata.get("generation")
    found.observed_generation = generation if type(generation) is int else None
    found.selector = f"{LABEL}={service.name}"
    if report.stand is not None:
        _members(found, service, report.stand, report.away)
    elif found.current_members is None:
        found.current_members = 0
    if report.backed_up is not None:
        found.backup, found.drill = report.backed_up.backup, report.backed_up.drill or before.drill
    found.operation = _operation(before.operation, report, now)
    found.conditions = _conditions(found, service, report, before.conditions, now)
    known = {one.message for one in before.decisions} if report.idle is not None else set()
    fresh = [
        Decision(time=now, message=text[:_MESSAGE])
        for text in reversed(report.decisions[-_DECISIONS:])
        if text[:_MESSAGE] not in known  # a dry run decides the same again and again
    ]
    found.decisions = [*fresh, *before.decisions][:_DECISIONS]
    return found


def _members(found: StatefulServiceStatus, service: Service, stand: Stand, away: Mapping[str, str]) -> None:
    names = service.names(stand.replicas)
    found.members = [_member(name, stand, away.get(name, "")) for name in names]
    found.current_members = len([name for name in names if name in stand.pods])
    found.ready_members = len(stand.healthy(names))
    found.primary = next((one.name for one in found.members if one.role in _LEADERS), None)
    versions = sorted({one.version for one in found.members if one.version}, key=_numbers)
    found.running_version = versions[0] if versions else None
    found.finalised_version = stand.running.notes.get(FINALISED)
    running = stand.running
    found.volumes = [VolumeState(name=VOLUME, class_=running.storage_class or None, size=running.size)]
    if running.wal:
        found.volumes.append(VolumeState(name=WAL, class_=running.wal_class or None, size=running.wal))


def _member(name: str, stand: Stand, away: str) -> MemberStatus:
    seen, pod = stand.seen.get(name), stand.pods.get(name)
    message = None
    if away:
        message = away[:_MESSAGE]
    elif pod is None:
        message = "it has no pod"
    elif seen is None:
        message = _waits(pod)
    elif seen.healthy is not True:
        message = seen.reason[:_MESSAGE]
    return MemberStatus(
        name=name,
        role=(seen.role or None) if seen is not None else None,
        version=(seen.version or None) if seen is not None else None,
        ready=seen is not None and seen.healthy is True and pod is not None and is_ready(pod),
        node=(text_of(mapping_of(pod, "spec"), "nodeName") or None) if pod is not None else None,
        lag=seen.lag if seen is not None else None,
        lag_unit=seen.lag_unit if seen is not None and seen.lag is not None else None,
        message=message,
    )


def _waits(pod: Object) -> str:
    status: Mapping[str, Any] = mapping_of(pod, "status")
    for one in status.get("containerStatuses") or ():
        waiting = mapping_of(mapping_of(one, "state"), "waiting") if isinstance(one, dict) else {}
        if text_of(waiting, "reason"):
            return f"its pod waits: {text_of(waiting, 'reason')}"
    return no_node(pod)[:_MESSAGE] or f"its pod is {text_of(status, 'phase') or 'new'}"


def _operation(before: Operation | None, report: Report, now: datetime) -> Operation | None:
    if report.operation is None:
        # Nobody looked as far as that: what was being done still is.
        blocked = report.blocked and not report.refused
        return before if report.stand is None or blocked or report.idle else None
    kind, step, member, message = report.operation
    # What somebody wrote into an annotation may be longer than a status holds.
    from_, to = (text[:_WORD] for text in report.change)
    goes_on = before is not None and before.kind == kind and (before.from_ or "", before.to or "") == (from_, to)
    same = goes_on and before is not None and (before.step, before.member) == (step, member or None)
    values: dict[str, Any] = {
        "id": before.id if goes_on and before is not None else f"{kind.lower()}-{now:%Y%m%d%H%M%S}",
        "kind": kind,
        "step": step,
        "member": member or None,
        "from": from_ or None,
        "to": to or None,
        "started": before.started if goes_on and before is not None else now,
        "stepStarted": before.step_started if same and before is not None else now,
        "message": message[:_MESSAGE],
    }
    return Operation.model_validate(values)


def _conditions(
    found: StatefulServiceStatus, service: Service, report: Report, before: Sequence[Condition], now: datetime
) -> list[Condition]:
    ready = found.ready_members or 0
    wanted: dict[str, tuple[Truth, str, str]] = {}
    if report.stand is not None:
        count = report.stand.replicas
        needed = quorum(count)
        said = f"{ready} of {count} members serve, {needed} must"
        unknown = [one.name for one in found.members if (seen := report.stand.seen.get(one.name)) and seen.healthy is None]
        whole = ready == count == service.members and all(one.ready for one in found.members)
        if ready >= needed:
            wanted["Ready"] = ("True", "AllMembersServe" if whole else "QuorumServes", said)
        elif ready + len(unknown) >= needed:
            wanted["Ready"] = ("Unknown", "NoAnswer", f"{said}; no answer of {', '.join(unknown)}")
        else:
            wanted["Ready"] = ("False", "NoQuorum" if report.stand.formed else "Forming", said)
        away = [f"{one.name}: {one.message or 'not ready'}" for one in found.members if not one.ready]
        wanted["Degraded"] = ("True", "MembersAway", "; ".join(away)) if away else ("False", "AllMembersServe", said)
    if report.operation is not None:
        kind, step, member, message = report.operation
        wanted["Progressing"] = ("True", kind, f"{step}{f' {member}' if member else ''}: {message}")
    elif report.idle is not None:
        wanted["Progressing"] = ("False", *report.idle)
    else:
        wanted["Progressing"] = ("False", "Blocked" if report.blocked else "AsWanted", "nothing is being done")
    wanted["Blocked"] = ("True", *report.blocked) if report.blocked else ("False", "Free", "nothing is in the way")
    if report.backed_up is not None and report.backed_up.condition is not None:
        wanted["BackedUp"] = report.backed_up.condition
    elif report.backed_up is not None:
        before = [one for one in before if one.type != "BackedUp"]
    if report.archived is not None:
        wanted["Archived"] = report.archived
    elif report.stand is not None:
        before = [one for one in before if one.type != "Archived"]
    return _stamped(wanted, before, found.observed_generation, now)


def _stamped(
    wanted: Mapping[str, tuple[Truth, str, str]], before: Sequence[Condition], generation: int | None, now: datetime
) -> list[Condition]:
    """Since when each has its status; conditions that this look says nothing of stay."""
    old = {one.type: one for one in before}
    made: dict[str, Condition] = dict(old)
    for kind, (status, reason, message) in wanted.items():
        same = kind in old and old[kind].status == status
        made[kind] = Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message[:_MESSAGE],
            observed_generation=generation,
            last_transition_time=old[kind].last_transition_time if same else now,
        )
    return list(made.values())


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.partition("-")[0].split(".") if part.isdecimal()]
