"""The claims of one volume of the members grow, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from stateward.operator.drivers.protocol import Result
from stateward.operator.informer import STORAGE_CLASS
from stateward.operator.losses import losses
from stateward.operator.objects.common import VOLUME, WAL
from stateward.operator.objects.quorum import quorum, spare
from stateward.operator.observe import SIZE, WAL_SIZE, asked_of, claim_ordinal, claims_of, volume_of
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies import quantity
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

_FAILED: Final = frozenset({"ControllerResizeError", "NodeResizeError"})
_INFEASIBLE: Final = frozenset({"ControllerResizeInfeasible", "NodeResizeInfeasible"})
_ONLINE: Final = timedelta(minutes=2)
"""How long the kubelet has to grow the file system of a pod that runs, before the pod is made anew for it."""


@dataclass(frozen=True, slots=True)
class Volume:
    """One of the volumes that each member has."""

    name: str
    field: str
    """Of the spec."""
    asked: str
    """The size that is asked for."""
    has: str
    """The size that the StatefulSet gives a new member."""
    note: str
    """The note of the size that it is to give."""

    @property
    def grows(self) -> bool:
        """Whether the StatefulSet has to be made anew for it."""
        wanted, has = quantity.parse(self.asked), quantity.parse(self.has)
        return wanted is not None and has is not None and wanted > has


def volumes_of(turn: Turn) -> list[Volume]:
    """Those of the members, the data first."""
    service, running = turn.service, turn.stand.running
    found = [Volume(VOLUME, "storage.size", service.size, running.size, SIZE)]
    if service.wal and running.wal:
        found.append(Volume(WAL, "storage.wal.size", service.wal, running.wal, WAL_SIZE))
    return found


@dataclass(frozen=True, slots=True)
class Growing:
    """Decides the next step for one volume."""

    turn: Turn
    volume: Volume

    def next(self) -> Step | None:
        """The next step; None where all claims are as large as wanted."""
        wanted, has = quantity.parse(self.volume.asked), quantity.parse(self.volume.has)
        if wanted is None or has is None:
            return None
        if wanted < has:
            why = "a volume cannot shrink; set it back, or restore a backup into a new service of that size"
            return self._blocked("VolumesCannotShrink", "", why)
        claims = self._claims()
        small = [claim for claim in claims if (asked_of(claim) or 0) < wanted]
        waits = [claim for claim in claims if claim not in small and (_capacity(claim) or 0) < wanted]
        if waits:
            return self._waits(waits[0])
        return self._ask(small[0]) if small else None

    def _claims(self) -> list[Object]:
        """Those that can grow now: bound, and of members that are not lost. One that comes later grows when it is there."""
        turn = self.turn
        set_aside = {loss.ordinal for loss in losses(turn.service, turn.stand, turn.look)}
        found = []
        for claim in claims_of(turn.service, turn.look):
            if volume_of(claim) != self.volume.name:
                continue
            ordinal = claim_ordinal(turn.service, claim)
            bound = text_of(mapping_of(claim, "status"), "phase") == "Bound" and "deletionTimestamp" not in metadata_of(
                claim
            )
            if bound and ordinal is not None and ordinal < turn.stand.replicas and ordinal not in set_aside:
                found.append(claim)
        return found

    def _ask(self, claim: Object) -> Step:
        size, member, name = self.volume.asked, self._member(claim), text_of(metadata_of(claim), "name")
        wanted = text_of(mapping_of(claim, "spec"), "storageClassName")
        known = self.turn.look.get(STORAGE_CLASS, "", wanted) if wanted else None
        if not wanted:
            why = f"claim {name} has no storage class, and volumes that were made by hand are not resized"
            return self._blocked("VolumesCannotGrow", member, f"{why}; {_elsewhere}")
        if known is not None and known.get("allowVolumeExpansion") is not True:
            allow = f"kubectl patch storageclass {wanted} -p '{{\"allowVolumeExpansion\":true}}'"
            why = f"class {wanted} of claim {name} does not allow expansion; if its driver can do it: {allow}; otherwise"
            return self._blocked("VolumesCannotGrow", member, f"{why} {_elsewhere}")
        return self._step("claim", member, f"claim {name} asks for {size}", lambda: self.turn.hand.grow(claim, size))

    def _waits(self, claim: Object) -> Step:
        member, status = self._member(claim), mapping_of(claim, "status")
        name = text_of(metadata_of(claim), "name")
        conditions = {text_of(one, "type"): one for one in items_of(status, "conditions") if one.get("status") == "True"}
        failed = next((conditions[kind] for kind in sorted(_FAILED & conditions.keys())), None)
        state = text_of(mapping_of(status, "allocatedResourceStatuses"), "storage")
        if failed is not None or state in _INFEASIBLE:
            said = text_of(failed or {}, "message") or state
            why = f"claim {name} did not grow: {said}; see what the storage can give; it is tried again by itself"
            return self._blocked("ExpansionFailed", member, why)
        has = mapping_of(status, "capacity").get("storage", "?")
        if "FileSystemResizePending" in conditions:
            return self._file_system(claim, member, conditions["FileSystemResizePending"])
        return self._step("wait", member, f"the volume of claim {name} grows; it has {has}")

    def _file_system(self, claim: Object, member: str, pending: Any) -> Step:
        """The volume is larger, its file system grows: online, or when the pod starts anew where the driver cannot."""
        name = text_of(metadata_of(claim), "name")
        pod = self.turn.stand.pods.get(member)
        if pod is None or not _since(pending, self.turn.now, _ONLINE) or _since_started(pod, self.turn.now):
            return self._step("wait", member, f"the file system of claim {name} grows")
        names = self.turn.service.names(self.turn.stand.replicas)
        others = [one for one in names if one != member]
        if len(others) < quorum(len(names)):
            where = f"kubectl delete pod {member} -n {self.turn.service.namespace}"
            why = f"the file system of claim {name} grows only when its pod starts anew, and no other member serves then"
            return self._blocked("RestartNeeded", member, f"{why}; at a good time: {where}")
        away = self.turn.away(others)
        if away:
            why = f"its pod has to start anew for the file system of claim {name}; {', '.join(away)} must serve first"
            return self._step("wait", member, why)
        why = f"its pod is made anew: the file system of claim {name} does not grow while it runs"
        budget = min(self.turn.service.unavailable, spare(len(names))) > 0
        return self._step("restart", member, why, lambda: self.turn.hand.restart(pod, self.turn.stand.pods, budget))

    def _member(self, claim: Object) -> str:
        ordinal = claim_ordinal(self.turn.service, claim)
        return self.turn.service.member(ordinal) if ordinal is not None else ""

    def _blocked(self, reason: str, member: str, why: str) -> Step:
        message = f"{self.volume.field}: {self.volume.asked}: {why}; its volumes stay at {self.volume.has}"
        # What cannot grow is no reason not to look after the rest.
        return self._step("wait", member, message, blocked=reason, yields=True)

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        change = (self.volume.has, self.volume.asked)
        return Step("Grow", name, member, message, act, change, **more)


_elsewhere: Final = "restore a backup into a new service on another class"


def _capacity(claim: Object) -> Fraction | None:
    return quantity.parse(mapping_of(mapping_of(claim, "status"), "capacity").get("storage"))


def _since(condition: Any, now: datetime, long: timedelta) -> bool:
    """Whether a condition has stood for so long."""
    began = _time(text_of(condition, "lastTransitionTime"))
    return began is not None and now - began >= long


def _since_started(pod: Object, now: datetime) -> bool:
    """Whether a pod is new: it has its own time to have the file system grown."""
    made = _time(text_of(metadata_of(pod), "creationTimestamp"))
    return made is not None and now - made < _ONLINE


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
