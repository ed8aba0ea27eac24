"""What would happen if a spec were another: the operator's own decisions, taken on stand-ins until nothing is left to do.

The loop itself runs (`reconcile`), with every operation that it has, on a cluster in memory whose members do what they are
told. So a plan and the operator cannot disagree, and a new operation appears in plans by itself. What a plan cannot know is
how long things take, and what fails on the way.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from stateward.operator import schedule
from stateward.operator.accepted import changed
from stateward.operator.api.annotations import REQUESTS
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Driver, Result
from stateward.operator.guard import Ruling
from stateward.operator.metrics import Metrics
from stateward.operator.objects.quorum import quorum
from stateward.operator.observe import MEMBERS, PARKED, Stand
from stateward.operator.reconcile import Reconcile
from stateward.operator.rehearsal.memory import Cache, Clock, MemoryCluster
from stateward.operator.rehearsal.obedient import Obedient
from stateward.operator.rehearsal.world import World
from stateward.operator.service import KIND, Service
from stateward.operator.status import Report
from stateward.operator.step import Step
from stateward.operator.undoing import undoing
from stateward.policies.view import Kind, Object, mapping_of, metadata_of, text_of

MOST: Final = 3000
"""Looks of one rehearsal: an operation that never ends is a fault, and is said to be one."""
_IDLE: Final = timedelta(seconds=30)
_LONGEST_WAIT: Final = timedelta(hours=6)
_PATIENCE: Final = timedelta(days=15)
"""So long a wait is rehearsed: windows come round once a month at the latest, those of a year are told as they are."""
_BLOCKED: Final = timedelta(hours=1)
_TOLD: Final = timedelta(minutes=1)
"""Shorter waits are no news."""
_UID: Final = "rehearsal-service"


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of a plan."""

    kind: str
    name: str
    member: str
    message: str
    change: tuple[str, str]
    waited: timedelta
    """How long it was waited for before, and what for (`reason`): a window, a soak."""
    reason: str
    at: datetime
    away: tuple[str, ...]
    """Members that do not serve right after it, of those that there should be."""
    serve: int
    voters: int
    undo: str
    """How it is undone; what begins with "no" cannot be."""

    @property
    def spare(self) -> int:
        """How many more may fail right after it; below 0 nothing is served."""
        return self.serve - quorum(self.voters) if self.voters else 0


@dataclass(slots=True)
class Plan:
    """What would happen, in order, and how it ends."""

    service: str
    """`prod/orders`"""
    engine: str
    changes: str
    creation: bool = False
    steps: list[Planned] = field(default_factory=list)
    objects: tuple[str, ...] = ()
    """What is written before the first step: `changed: ConfigMap orders-config`."""
    blocked: tuple[str, str] | None = None
    """Why it cannot be done to its end: one word and a message."""
    waits: str = ""
    """What it waits for in the end, for ever as far as can be seen."""

    @property
    def done(self) -> bool:
        """Whether in the end all is as wanted."""
        return self.blocked is None and not self.waits

    @property
    def lowest(self) -> Planned | None:
        """The step at which the fewest failures are spared, the first of them."""
        disruptive = [one for one in self.steps if one.voters]
        return min(disruptive, key=lambda one: one.spare, default=None)


@dataclass(frozen=True, slots=True)
class Start:
    """What a plan starts from. None of it: nothing is there yet."""

    item: Object
    """The StatefulService as it is, with its status where one is known."""
    around: Mapping[tuple[Kind, str, str], Object] = field(default_factory=dict)
    """Other objects that are known: StorageClasses."""


def plan(new: Object, start: Start | None, now: datetime, find: Callable[[str], Driver | None] = catalogue.find) -> Plan:
    """The plan of making `new` (a StatefulService) of what there is. Raises ValidationError where a spec means nothing."""
    wanted = StatefulService.model_validate(new)
    metadata = metadata_of(new)
    key = (text_of(metadata, "namespace"), text_of(metadata, "name"))
    found = Plan(f"{key[0]}/{key[1]}", wanted.spec.engine, "", creation=start is None)
    stage = _Stage(key, now, find, dict(start.around) if start is not None else {})
    if start is not None:
        before = StatefulService.model_validate(start.item)
        asked = changed(requests(start.item), requests(new))
        found.changes = ", ".join(text for text in (changed(before.spec.dump(), wanted.spec.dump()), asked) if text)
        stage.founded(start.item, before)
    stage.rehearse(new, wanted, found)
    return found


def requests(item: Object) -> dict[str, str]:
    """What an object asks for once, by its annotations."""
    notes = mapping_of(metadata_of(item), "annotations")
    return {name: value for name in REQUESTS if (value := text_of(notes, name))}


# --- the rehearsal -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Notes:
    """What one look decided."""

    step: Step | None = None
    done: bool = False
    """Whether the step did something, and that was done."""
    written: tuple[str, ...] = ()
    """What was made or changed to be as it should, before any step."""


class _Rehearsed(Reconcile):
    """The loop, and what it decides written down."""

    notes: _Notes

    def _objects(self, one: Service, stand: Stand, driver: Driver, report: Report, dry: bool) -> Stand:
        before = len(report.decisions)
        found = super()._objects(one, stand, driver, report, dry)
        self.notes.written = tuple(report.decisions[before:])
        return found

    def _take(self, model: StatefulService, one: Service, step: Step, report: Report) -> None:
        self.notes.step = step
        super()._take(model, one, step, report)

    def _act(self, one: Service, step: Step, result: Result, report: Report) -> bool:
        self.notes.done = result.outcome == "done"
        return super()._act(one, step, result, report)


@dataclass(slots=True)
class _Stage:
    """Where it is rehearsed."""

    key: tuple[str, str]
    now: datetime
    find: Callable[[str], Driver | None]
    around: dict[tuple[Kind, str, str], Object]
    clock: Clock = field(init=False)
    cluster: MemoryCluster = field(init=False)
    world: World = field(init=False)
    loop: _Rehearsed = field(init=False)
    members: int = 0
    """How many there were before."""

    def __post_init__(self) -> None:
        self.clock = Clock(self.now)
        self.cluster = MemoryCluster(self.clock)
        self.world = World(self.cluster, self.clock, *self.key)
        self.loop = _Rehearsed(
            self.cluster,
            Cache(self.cluster, self.around),  # type: ignore[arg-type]
            Metrics(),
            lambda _: None,
            find=self._driver,
            now=lambda: self.clock.now,
            judge=_everything,
        )

    def _driver(self, name: str) -> Driver | None:
        real = self.find(name)
        return Obedient(real, self.world) if real is not None else None

    # --- what there is -------------------------------------------------------------------------------------------

    def founded(self, item: Object, model: StatefulService) -> None:
        """Makes what there is, as its status tells: it is founded as it runs, and takes nothing for granted beside."""
        status = model.status
        spec = copy.deepcopy(dict(mapping_of(item, "spec")))
        if status.running_version:
            spec["version"] = status.running_version
        if status.current_members:
            spec["members"] = status.current_members
        volume = next((one for one in status.volumes if one.name == "data"), None)
        if volume is not None and volume.size:
            spec["storage"] = {**spec["storage"], "size": volume.size}
        wal = next((one for one in status.volumes if one.name == "wal"), None)
        if wal is not None and wal.size and spec["storage"].get("wal"):
            spec["storage"] = {**spec["storage"], "wal": {**spec["storage"]["wal"], "size": wal.size}}
        self.cluster.put(_service(self.key, spec, item))
        for _ in range(MOST):
            notes = self._look()
            self.world.turns()
            if notes.step is None or notes.step.blocked:
                break
            self.clock.now += _IDLE
        self.members = self._members()
        # Time went by only here.
        self.clock.now = self.now
        self._as_it_stands(item, model)

    def _as_it_stands(self, item: Object, model: StatefulService) -> None:
        """What the rehearsal cannot make: who leads, who is away, backups that were taken."""
        service = self._item()
        kept = {name: value for name in ("backup", "drill") if (value := mapping_of(item, "status").get(name)) is not None}
        service["status"] = {**mapping_of(service, "status"), **kept}
        self.cluster.put(service)
        there = set(self.world.serving())
        self.world.away = frozenset(one.name for one in model.status.members if not one.ready and one.name in there)
        if model.status.primary in there:
            self.world.leader = str(model.status.primary)
        for name in self.world.away:
            pod = self.cluster.objects["Pod", self.key[0], name]
            pod["status"]["conditions"][0] |= {"status": "False", "lastTransitionTime": self.clock.text}
        self.world.elected()

    def _item(self) -> Object:
        return copy.deepcopy(self.cluster.objects[KIND, *self.key])

    # --- what becomes of it --------------------------------------------------------------------------------------

    def rehearse(self, new: Object, model: StatefulService, found: Plan) -> None:
        """Looks again and again until nothing is left to be done, or nothing can be."""
        before = self._item() if (KIND, *self.key) in self.cluster.objects else None
        self.cluster.put(_service(self.key, dict(mapping_of(new, "spec")), new, before))
        waited = timedelta()
        jump = _IDLE
        for _ in range(MOST):
            notes = self._look()
            step = notes.step
            if not found.steps:
                found.objects = (*found.objects, *notes.written)
            if step is not None and notes.done:
                found.steps.append(self._planned(step, model, waited))
                waited, jump = timedelta(), _IDLE
                self.world.turns()
                continue
            blocked = self._blocked()
            if step is None and blocked is None and self._progress() != "True":
                return
            self._reason = (step.message if step is not None else "") or (blocked[1] if blocked else "")
            if waited >= (_BLOCKED if blocked is not None else _PATIENCE):
                found.blocked, found.waits = blocked, "" if blocked else self._reason
                return
            jump = self._until(model, jump)
            self.clock.now += jump
            waited += jump
            jump = min(jump * 2, _LONGEST_WAIT)
            self.world.turns()
        found.waits = "an end: the same is decided again and again; please report it"

    _reason: str = ""

    def _look(self) -> _Notes:
        self.loop.notes = _Notes()
        self.loop(self.key)
        return self.loop.notes

    def _planned(self, step: Step, model: StatefulService, waited: timedelta) -> Planned:
        self.world.elected()
        serving = set(self.world.serving())
        count = self._members()
        listed = self.world.listed
        voters = [name for name, learner in listed.items() if not learner] if listed else self._names(count)
        away = [name for name in self._names(count) if name not in serving]
        told = waited >= _TOLD
        return Planned(
            kind=step.kind,
            name=step.name,
            member=step.member,
            message=step.message,
            change=step.change,
            waited=waited if told else timedelta(),
            reason=self._reason if told else "",
            at=self.clock.now,
            away=tuple(away),
            serve=len([name for name in voters if name in serving]),
            voters=len(voters),
            undo=undoing(step, model.spec.engine, self.members, self._finalises(model)),
        )

    def _finalises(self, model: StatefulService) -> bool:
        driver = self.find(model.spec.engine)
        return driver is not None and driver.finalises

    def _members(self) -> int:
        item = self.cluster.objects.get(("StatefulSet.apps", *self.key))
        count = mapping_of(item, "spec").get("replicas") if item is not None else 0
        noted = mapping_of(metadata_of(item), "annotations") if item is not None else {}
        if PARKED in noted:
            return int(text_of(noted, MEMBERS))
        return count if type(count) is int else 0

    def _names(self, count: int) -> list[str]:
        return [f"{self.key[1]}-{ordinal}" for ordinal in range(count)]

    def _blocked(self) -> tuple[str, str] | None:
        for one in mapping_of(self._item(), "status").get("conditions") or ():
            if one["type"] == "Blocked" and one["status"] == "True":
                return one["reason"], one["message"]
        return None

    def _progress(self) -> str:
        conditions = mapping_of(self._item(), "status").get("conditions") or ()
        return next((str(one["status"]) for one in conditions if one["type"] == "Progressing"), "")

    def _until(self, model: StatefulService, jump: timedelta) -> timedelta:
        """How far the time may go on: never past the opening of a window."""
        try:
            opens = schedule.opens(model.spec.upgrade.windows, self.clock.now)
        except schedule.ScheduleError:
            return jump
        return jump if opens is None else min(jump, opens - self.clock.now)


def _everything(item: Object, model: StatefulService, found: Object | None, *, write: bool, now: float) -> Ruling:
    """What the rules say has been said before: here all is carried out."""
    return Ruling(model)


def _service(key: tuple[str, str], spec: Mapping[str, Any], item: Object, before: Object | None = None) -> Object:
    """The object on the stage, with nothing on it that would keep the loop from going on."""
    metadata: Object = {"namespace": key[0], "name": key[1], "uid": _UID}
    asked = requests(item)
    if before is not None:
        metadata = {**metadata_of(before), **metadata}
    if asked:
        metadata["annotations"] = {**mapping_of(metadata, "annotations"), **asked}
    found: Object = {"apiVersion": "stateward.dev/v1beta1", "kind": "StatefulService", "metadata": metadata, "spec": spec}
    if before is not None:
        found["status"] = before.get("status", {})
    return found
