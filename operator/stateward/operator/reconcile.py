"""One look at one service: what it asks for, how it stands, at most one step, and word of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from pydantic import ValidationError

from stateward.certs.errors import CertificateError
from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.kube.events import Happening
from stateward.operator import ending, leftovers, refusals, roles, service
from stateward.operator.access import Accesses
from stateward.operator.api.annotations import DRY_RUN, PAUSED
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import RESOURCES, Applied, NotOursError, Writer, owned
from stateward.operator.backup import archive, filling, keeper, log
from stateward.operator.backup.hub import Hub
from stateward.operator.context import NAME, ClusterContext
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Driver, Result
from stateward.operator.guard import Guard, Judge, Ruling
from stateward.operator.informer import WATCHED, Informers
from stateward.operator.inside import inside
from stateward.operator.losses import losses
from stateward.operator.metrics import Metrics
from stateward.operator.objects import all_of
from stateward.operator.objects.common import VERSION, Item
from stateward.operator.observe import IMAGE, MEMBERS, PARKED, ROTATED, SWITCHED, Stand, look_at, place_of, running_of
from stateward.operator.operations import OPERATIONS
from stateward.operator.operations.rotate import renew
from stateward.operator.quiet import Quiet, Stamp
from stateward.operator.repository import generated_password
from stateward.operator.service import KIND, Key, Service
from stateward.operator.status import Report
from stateward.operator.step import Step
from stateward.operator.turn import Hand, Turn
from stateward.operator.voice import Voice, reverted
from stateward.policies.view import Kind, Object, mapping_of, metadata_of, text_of

STEADY: Final = 60.0
"""Seconds between two looks at a service that is as it should be: what Kubernetes tells comes at once anyway."""
UNSETTLED: Final = 5.0
"""The same while members are away."""
AT_ONCE: Final = 0.2
"""The same after a step: the next one waits for what the caches hear of it."""
ROUTED: Final = 10.0
"""The same as STEADY where clients are led by a label that the loop writes: it has to hear of a failover by asking."""
_REFUSED: Final = (403, 422)
"""The API server, a webhook or a quota does not let a write pass: not by asking again."""
HEADLESS: Final = 1.0
"""The same while nobody leads whom clients are led to."""
_SET: Final[Kind] = "StatefulSet.apps"


@dataclass(slots=True)
class Reconcile:
    """What the manager calls for a key. Everything that it remembers is in the cluster."""

    cluster: Cluster
    look: Informers
    metrics: Metrics
    tell: Callable[[Happening], None]
    find: Callable[[str], Driver | None] = catalogue.find
    namespace: str = ""
    """The operator's own, that members let in; "" where it runs outside the cluster."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    policy: str = NAME
    """The WardPolicy that changes are judged by."""
    judge: Judge | None = None
    """Says what of a change is carried out; without one the rules do."""
    hub: Hub | None = None
    """Of backups; None: none are taken by schedule."""

    _voice: Voice = field(init=False)
    _accesses: Accesses = field(init=False)
    _quiet: Quiet = field(init=False)
    _seen: dict[str, str] = field(init=False, default_factory=dict)
    """Of what the cache does not hold whole (Secrets): path → the resourceVersion that was found as wanted."""

    def __post_init__(self) -> None:
        self._voice = Voice(self.cluster, self.metrics, self.tell, self.now)
        self._accesses = Accesses(self.cluster, self.look, self.now)
        self._quiet = Quiet(lambda: self.now().timestamp())
        if self.judge is None:
            context = ClusterContext(self.cluster, self.look, frozenset(WATCHED), self.policy)
            self.judge = Guard(self.cluster, self.look.get, context, self._refused)

    def __call__(self, key: Key) -> float | None:
        """Takes at most one step; seconds until the next look. Raises ClusterError."""
        stamp = self._heard(key)
        again = self._quiet.again(key, stamp)
        if again is not None:
            return again
        item = self.look.get(KIND, *key)
        if item is None:
            self._forget(key)
            return None
        try:
            model = StatefulService.model_validate(item)
        except ValidationError as error:
            self._voice.unreadable(item, error)
            return None
        one = service.read(model)
        report = Report()
        deleting = "deletionTimestamp" in metadata_of(item)
        try:
            ruling = self._ruling(model, one, item)
            if ruling.behind:
                return AT_ONCE
            report.decisions += ruling.decisions
            if ruling.model is not None:
                model, one = ruling.model, service.read(ruling.model)
            if deleting and ending.end(self.cluster, model, one, item, report, self.find(one.engine)):
                self._forget(key)
                return None
            if not deleting:
                self._tend(model, one, item, report, carried_out=ruling.model is not None)
                if ruling.model is not None:
                    keeper.look(self.hub, model, one, report)
            report.refuse(ruling.blocked)
        except NotOursError as error:
            report.blocked = ("NotOurs", str(error))
        except CertificateError as error:
            report.blocked = ("AuthorityUnusable", str(error))
        except ClusterError as error:
            if error.status not in _REFUSED:
                raise
            # It is tried again, later and later; meanwhile whoever looks at the service knows what is in the way.
            report.blocked = ("WriteRefused", " ".join(str(error).split()))
            self._voice.say(model, one, report)
            raise
        self._voice.say(model, one, report)
        return self._quiet.keep(key, stamp, report)

    def wake(self) -> None:
        """Every service is looked at whole, whatever looks before came to."""
        self._quiet.clear()

    def _forget(self, key: Key) -> None:
        """The service is no more."""
        self._voice.forget(key)
        self._accesses.forget(key)
        self._quiet.forget(key)

    def _heard(self, key: Key) -> Stamp:
        """What was heard of a service so far; taken before a look, so that nothing is missed that comes meanwhile."""
        return (*self.look.heard(key), *(self.hub.kinds.heard(key) if self.hub is not None else ()))

    def _ruling(self, model: StatefulService, one: Service, item: Object) -> Ruling:
        """What is carried out of what the object asks for."""
        if asked(item, PAUSED) or self.judge is None:
            return Ruling(model)
        found = self._set(one)
        ours = found if found is not None and owned(found, one) else None
        return self.judge(item, model, ours, write=not asked(item, DRY_RUN), now=self.now().timestamp())

    def _refused(self, model: StatefulService) -> refusals.Refusal | None:
        return refusals.of_spec(model, service.read(model), self.find(model.spec.engine))

    def _tend(self, model: StatefulService, one: Service, item: Object, report: Report, *, carried_out: bool) -> None:
        driver = self.find(one.engine)
        report.blocked = refusals.of_spec(model, one, driver)
        if driver is None:
            return
        if not driver.problems(one.version, one.parameters):
            driver = driver.of(one.parameters).archiving(one.repository)
        access = self._accesses.of(one, driver)
        stand = look_at(one, driver, self._set(one), self.look, access, inside(self.cluster, one.namespace))
        report.stand = stand
        report.away = {loss.member: loss.why for loss in losses(one, stand, self.look)}
        self.metrics.certified(one.key, access.tls.ends() if access.tls is not None else {})
        report.again = _pace(one, stand, driver)
        report.driver = driver if _whole(one, stand) and report.again >= ROUTED else None
        if driver.archives and one.repository is not None:
            archived = log.of(one, stand, driver)
            report.archived = log.condition(archived)
            log.measure(self.metrics, one, archived)
            report.driver = None  # what its members say alone does not tell of it
            if report.archived[0] != "True":
                report.again = min(report.again, log.AGAIN)
        if asked(item, PAUSED):
            report.idle = ("Paused", f"paused by the annotation {PAUSED}; nothing is touched")
            return
        unfilled = filling.unready(self.cluster, self.look, item, one, stand.exists)
        report.blocked = report.blocked or (("BeingRestored", unfilled) if unfilled else None)
        if report.blocked or not carried_out:
            return
        dry = asked(item, DRY_RUN)
        if not dry:
            ending.hold(self.cluster, item)
        report.blocked = refusals.of_change(one, stand)
        if not self._as_wanted(one, stand, driver):
            # Nothing is decided by what the cache says of the StatefulSet: it may be from before our own last write.
            stand = report.stand = self._fresh(one, driver, stand)
            stand = self._objects(one, stand, driver, report, dry)
        if not dry and self._renew(model, one, stand, driver, report):
            return
        if driver.routed and not dry:
            (roles.unlabel if driver.labels_itself else roles.label)(self.cluster, stand, driver)
        if dry:
            report.idle = ("DryRun", f"a dry run by the annotation {DRY_RUN}: decisions say what would be done")
        elif not report.blocked or not stand.formed:
            self._step(model, one, stand, driver, report)

    # --- what it is made of --------------------------------------------------------------------------------------

    def _objects(self, one: Service, stand: Stand, driver: Driver, report: Report, dry: bool) -> Stand:
        """Makes every object what it should be now."""
        if not dry and self._accesses.missing(driver, stand.access, stand.running.tls):
            stand = report.stand = replace(stand, access=self._accesses.make(one, driver, stand.running.tls))
        if not dry and not stand.exists and not stand.formed:
            # A store that an earlier service of this name left: it speaks of data that is nowhere any more.
            leftovers.clear(self.cluster, one, driver)
        where = one.repository if driver.archives else None
        if not dry and where is not None and where.password == generated_password(one.name):
            archive.make_password(self.cluster, one.namespace, one.name)
        writer = Writer(self.cluster, self.look.get, dry=dry, seen=self._seen)
        written = [done for item in self.objects(one, stand, driver) if (done := writer.apply(one, item)).change]
        report.decisions += _decisions(one, written, dry)
        for applied in written:
            self.metrics.writes.labels(applied.kind, applied.change).inc()
            if applied.change == "reverted":
                self._voice.happened(one, "Reverted", reverted(one, applied))
        return stand

    def objects(self, one: Service, stand: Stand, driver: Driver) -> list[Item]:
        """All that the service is made of in this step: what pods need before the pods."""
        now = stand.running
        # A service that is new has nothing to make anew, and nobody to hand over.
        asked_first = {} if stand.exists or stand.formed else {ROTATED: one.rotate, SWITCHED: one.switchover}
        first = {name: value for name, value in asked_first.items() if value}
        notes = {**first, **now.notes, VERSION: now.version, IMAGE: now.image, MEMBERS: str(stand.replicas)}
        running, place = replace(now, notes=notes), place_of(one, now, stand.formed)
        primary = roles.primary_label(stand, driver, self.look.get("Service", *one.key))
        return all_of(one, running, driver, place, stand.access, self.namespace, primary, parked=PARKED in notes)

    def _note(self, one: Service, stand: Stand, driver: Driver, notes: Mapping[str, str | None]) -> Result:
        """Writes notes onto the StatefulSet, and nothing else.

        What follows from it is written by the next look, whoever takes that: written together with it, a crash in between
        would have the next look take it back.
        """
        item = self.objects(one, stand, driver)[-1]
        noted = {**item["metadata"]["annotations"], **notes}
        item["metadata"]["annotations"] = {name: value for name, value in noted.items() if value is not None}
        Writer(self.cluster, self.look.get).apply(one, item)
        return Result("done")

    def _as_wanted(self, one: Service, stand: Stand, driver: Driver) -> bool:
        """Whether nothing is to be done, as far as is known without asking the API server."""
        if not stand.formed or stand.replicas != one.members:
            return False
        if self._accesses.missing(driver, stand.access, stand.running.tls):
            return False
        writer = Writer(self.cluster, self.look.get, seen=self._seen)
        return all(writer.rests(one, item) for item in self.objects(one, stand, driver))

    def _set(self, one: Service) -> Object | None:
        found = self.look.get(_SET, *one.key)
        return found if found is not None else self._live_set(one)

    def _live_set(self, one: Service) -> Object | None:
        return self.cluster.find(RESOURCES[_SET].path_to(*one.key))

    def _fresh(self, one: Service, driver: Driver, stand: Stand) -> Stand:
        """The same with the StatefulSet as the API server has it now."""
        running, exists, formed = running_of(one, driver.container(one.version).image, self._live_set(one), self.look)
        return replace(stand, running=running, exists=exists, formed=formed)

    # --- its steps -----------------------------------------------------------------------------------------------

    def _step(self, model: StatefulService, one: Service, stand: Stand, driver: Driver, report: Report) -> None:
        """Takes the step that the first operation asks for; one that only waits for its time lets others go before it."""
        waiting: Step | None = None
        for operation in OPERATIONS:
            step = operation(self._turn(model, one, stand, driver))
            if step is None or step.yields:
                waiting = waiting or step
                continue
            # It is decided again by what the API server itself says before anything is done.
            stand = report.stand = self._fresh(one, driver, stand)
            step = operation(self._turn(model, one, stand, driver))
            if step is not None:
                self._take(model, one, step, report)
                return
        if waiting is not None:
            self._take(model, one, waiting, report)

    def _renew(self, model: StatefulService, one: Service, stand: Stand, driver: Driver, report: Report) -> bool:
        """Takes the step that certificates need, whatever else is in the way: those that expire end a service."""
        step = renew(self._turn(model, one, stand, driver))
        if step is None:
            return False
        self._take(model, one, step, report)
        return True

    def _turn(self, model: StatefulService, one: Service, stand: Stand, driver: Driver) -> Turn:
        hand = Hand(
            self.cluster,
            one,
            lambda notes: self._note(one, stand, driver, notes),
            lambda before, after: self._accesses.hold(one, before, after),
            lambda before, after: self._accesses.rekey(one, before, after),
        )
        return Turn(one, stand, driver, self.look, hand, model.status, self.now())

    def _take(self, model: StatefulService, one: Service, step: Step, report: Report) -> None:
        before = model.status.operation
        began = before.from_ if before is not None and before.kind == step.kind else None
        report.change = (began or step.change[0], step.change[1])
        report.operation = (step.kind, step.name, step.member, step.message)
        report.again = step.again
        done = step.act is not None and self._act(one, step, step.act(), report)
        if step.blocked and not done:
            report.blocked = (step.blocked, step.message)
            report.operation, report.again = None, UNSETTLED

    def _act(self, one: Service, step: Step, result: Result, report: Report) -> bool:
        """Says what became of a step; whether it was done."""
        if result.outcome != "done":
            message = f"{step.message}: {result.outcome}{f', {result.reason}' if result.reason else ''}"
            report.operation = (step.kind, step.name, step.member, message)
            return False
        several = " ".join(word for word in (step.name, step.member) if word)
        report.decisions.append(f"{step.kind}: {several}: {step.message}")
        report.again = AT_ONCE
        if step.kind == "Create":
            self._voice.happened(one, "Created", step.message, normal=True)
        return True


def name_of(item: Object) -> tuple[str, str]:
    """Namespace and name."""
    return text_of(metadata_of(item), "namespace"), text_of(metadata_of(item), "name")


def asked(item: Object, annotation: str) -> bool:
    """Whether an annotation says "true"."""
    return text_of(mapping_of(metadata_of(item), "annotations"), annotation) == "true"


def _pace(one: Service, stand: Stand, driver: Driver) -> float:
    if driver.routed and not driver.labels_itself:
        leads = any(seen.role in driver.leaders and seen.healthy is True for seen in stand.seen.values())
        return (ROUTED if _whole(one, stand) else UNSETTLED) if leads else HEADLESS
    return STEADY if _whole(one, stand) else UNSETTLED


def _whole(one: Service, stand: Stand) -> bool:
    return stand.formed and len(stand.healthy(one.names(one.members))) == one.members == stand.replicas


def _decisions(one: Service, written: Sequence[Applied], dry: bool) -> list[str]:
    """What was done, or would be."""
    found = [reverted(one, applied) for applied in written if applied.change == "reverted"]
    for change in ("created", "changed"):
        several = [f"{applied.kind.partition('.')[0]} {applied.name}" for applied in written if applied.change == change]
        if several:
            found.append(f"{'would be ' if dry else ''}{change}: {', '.join(several)}")
    return found
