"""Larger volumes: the claims first, one member's after the other's, then the StatefulSet around its pods.

A StatefulSet's claim templates cannot be edited. It is deleted with its pods and claims left as they are, and made again
with the larger size: what it was is kept meanwhile in the ConfigMap (`workload.KEPT`), and what it is to be in its note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final

from stateward.operator.drivers.protocol import Result
from stateward.operator.informer import STORAGE_CLASS
from stateward.operator.losses import losses
from stateward.operator.objects.common import config
from stateward.operator.objects.quorum import quorum, spare
from stateward.operator.objects.workload import KEPT, recalled
from stateward.operator.observe import PARKED, SIZE, asked_of, claim_ordinal, claims_of
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies import quantity
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

_FAILED: Final = frozenset({"ControllerResizeError", "NodeResizeError"})
_INFEASIBLE: Final = frozenset({"ControllerResizeInfeasible", "NodeResizeInfeasible"})
_ONLINE: Final = timedelta(minutes=2)
"""How long the kubelet has to grow the file system of a pod that runs, before the pod is made anew for it."""


def grow(turn: Turn) -> Step | None:
    """The next step; None where all volumes are as large as wanted."""
    stand = turn.stand
    return Growing(turn).next() if stand.exists and stand.formed and PARKED not in stand.running.notes else None


@dataclass(frozen=True, slots=True)
class Growing:
    """Decides the next step of one service."""

    turn: Turn

    def next(self) -> Step | None:
        """The next step."""
        wanted, has = quantity.parse(self.turn.service.size), quantity.parse(self.turn.stand.running.size)
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
        if small:
            return self._ask(small[0])
        return self._recreate() if wanted > has else None

    def _claims(self) -> list[Object]:
        """Those that can grow now: bound, and of members that are not lost. One that comes later grows when it is there."""
        turn = self.turn
        set_aside = {loss.ordinal for loss in losses(turn.service, turn.stand, turn.look)}
        found = []
        for claim in claims_of(turn.service, turn.look):
            ordinal = claim_ordinal(turn.service, claim)
            bound = text_of(mapping_of(claim, "status"), "phase") == "Bound" and "deletionTimestamp" not in metadata_of(
                claim
            )
            if bound and ordinal is not None and ordinal < turn.stand.replicas and ordinal not in set_aside:
                found.append(claim)
        return found

    def _ask(self, claim: Object) -> Step:
        size, member, name = self.turn.service.size, self._member(claim), text_of(metadata_of(claim), "name")
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

    def _recreate(self) -> Step:
        service, stand = self.turn.service, self.turn.stand
        item = self.turn.look.get("StatefulSet.apps", *service.key)
        if item is None or "deletionTimestamp" in metadata_of(item):
            return self._step("recreate", "", "the StatefulSet is made anew around its pods")
        if stand.running.notes.get(SIZE) != service.size:
            why = f"its StatefulSet is to be made anew with {service.size}"
            return self._step("note", "", why, lambda: self.turn.hand.note({SIZE: service.size}))
        if not self._is_kept():
            return self._step("note", "", "what the StatefulSet is gets written down before it is made anew")
        why = "the StatefulSet is deleted around its pods, which run on, and made anew: no claim template can be changed"
        return self._step("recreate", "", why, lambda: self.turn.hand.orphan(item))

    def _is_kept(self) -> bool:
        """Whether the ConfigMap has what the StatefulSet is now: it is all that is left of it for a moment."""
        found = self.turn.look.get("ConfigMap", self.turn.service.namespace, config(self.turn.service))
        running = self.turn.stand.running
        text = text_of(mapping_of(metadata_of(found), "annotations"), KEPT) if found is not None else ""
        return recalled(text, running) == running

    def _member(self, claim: Object) -> str:
        ordinal = claim_ordinal(self.turn.service, claim)
        return self.turn.service.member(ordinal) if ordinal is not None else ""

    def _blocked(self, reason: str, member: str, why: str) -> Step:
        message = f"storage.size: {self.turn.service.size}: {why}; its volumes stay at {self.turn.stand.running.size}"
        # What cannot grow is no reason not to look after the rest.
        return self._step("wait", member, message, blocked=reason, yields=True)

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        change = (self.turn.stand.running.size, self.turn.service.size)
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
