"""One look at one service: what it asks for, how it stands, at most one step, and word of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from pydantic import ValidationError

from stateward.kube.client import Cluster
from stateward.kube.definition import GROUP
from stateward.kube.discovery import Resource
from stateward.kube.errors import ClusterError
from stateward.kube.events import About, Happening
from stateward.operator import deletion, service, status
from stateward.operator.api.annotations import DRY_RUN, PAUSED
from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import VERSION, StatefulService
from stateward.operator.apply import MANAGER, RESOURCES, Applied, Look, NotOursError, Writer, owned, settled, stamped
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Driver
from stateward.operator.informer import Informers
from stateward.operator.metrics import Metrics
from stateward.operator.objects import network, quorum, workload
from stateward.operator.objects.common import Item
from stateward.operator.observe import FORMED, LEFT, MEMBERS, Stand, look_at, place_of, running_of
from stateward.operator.observe import VERSION as RUNS
from stateward.operator.scaling import SOON, Scaling, Step
from stateward.operator.service import FINALIZER, KIND, Key, Service
from stateward.operator.status import Report
from stateward.policies import quantity
from stateward.policies.view import Kind, Object, kind_of_object, mapping_of, metadata_of, text_of
from stateward.policies.waiver import WAIVE

STEADY: Final = 60.0
"""Seconds between two looks at a service that is as it should be: what Kubernetes tells comes at once anyway."""
UNSETTLED: Final = 5.0
"""The same while members are away."""
OWN: Final = Resource(KIND, GROUP, VERSION, "statefulservices", True, frozenset())
_SET: Final[Kind] = "StatefulSet.apps"
_TRIES: Final = 3
_MEMBER_DOWN: Final = "SW209"
_EXCUSED: Final = timedelta(minutes=15)
STATES: Final = ("wanted", "present", "ready")

_log = logging.getLogger("stateward.operator")


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

    def __call__(self, key: Key) -> float | None:
        """Takes at most one step; seconds until the next look. Raises ClusterError."""
        item = self.look.get(KIND, *key)
        if item is None:
            self.metrics.forget(key, STATES)
            return None
        try:
            model = StatefulService.model_validate(item)
        except ValidationError as error:
            self._unreadable(item, error)
            return None
        one = service.read(model)
        report = Report()
        deleting = "deletionTimestamp" in metadata_of(item)
        try:
            if deleting and self._end(model, one, item, report):
                self.metrics.forget(key, STATES)
                return None
            if not deleting:
                self._tend(model, one, item, report)
        except NotOursError as error:
            report.blocked = ("NotOurs", str(error))
        self._say(model, one, report)
        return report.again

    # --- a service that is wanted --------------------------------------------------------------------------------

    def _tend(self, model: StatefulService, one: Service, item: Object, report: Report) -> None:
        driver = self.find(one.engine)
        report.blocked = _refused(model, one, driver)
        if driver is None:
            return
        stand = look_at(one, driver, driver.container(one.version), self._set(one), self.look)
        report.stand = stand
        report.again = STEADY if _whole(one, stand) else UNSETTLED
        if asked(item, PAUSED):
            why = f"paused by the annotation {PAUSED}; nothing is touched"
            report.idle = ("Paused", why)
            return
        if report.blocked:
            return
        dry = asked(item, DRY_RUN)
        if not dry and FINALIZER not in (metadata_of(item).get("finalizers") or ()):
            self._finalize(item)
        report.blocked = _changes(one, driver, stand)
        steady = replace(one, version=stand.running.version)
        if not self._as_wanted(steady, stand, driver):
            # Nothing is decided by what the cache says of the StatefulSet: it may be from before our own last write.
            stand = report.stand = fresh(steady, driver, stand, self._live_set(steady), self.look)
        self._objects(steady, stand, driver, report, dry)
        if dry:
            report.idle = ("DryRun", f"a dry run by the annotation {DRY_RUN}: decisions say what would be done")
        elif not stand.formed:
            self._form(steady, stand, driver, report)
        elif not report.blocked:
            self._scale(steady, stand, driver, report)

    def _objects(self, one: Service, stand: Stand, driver: Driver, report: Report, dry: bool) -> None:
        """Makes every object what it should be now."""
        written = self._apply(one, stand, driver, dry)
        report.decisions += _decisions(one, written, dry)
        for applied in written:
            self.metrics.writes.labels(applied.kind, applied.change).inc()
            self._event(one, applied)

    def _remember(self, one: Service, stand: Stand, driver: Driver, notes: Mapping[str, str]) -> None:
        """Writes notes onto the StatefulSet, and nothing else.

        What follows from it is written by the next look, whoever takes that: written together with it, a crash in between
        would have the next look take it back.
        """
        item = self.objects(one, stand, driver)[-1]
        item["metadata"]["annotations"].update(notes)
        Writer(self.cluster, self.look.get).apply(one, item)

    def _excuse(self, stand: Stand, step: Step) -> dict[str, str]:
        """A waiver for the write that takes a pod away whose member has left: at the door it looks like one that is down."""
        if step.replicas is None or step.replicas >= stand.replicas:
            return {}
        until = (self.now() + _EXCUSED).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {WAIVE: f'{_MEMBER_DOWN} until={until} reason="{step.member} has left the list of members"'}

    def _apply(self, one: Service, stand: Stand, driver: Driver, dry: bool = False) -> list[Applied]:
        look: Look = self.look.get
        writer = Writer(self.cluster, look, dry=dry)
        return [applied for item in self.objects(one, stand, driver) if (applied := writer.apply(one, item)).change]

    def _set(self, one: Service) -> Object | None:
        found = self.look.get(_SET, *one.key)
        return found if found is not None else self._live_set(one)

    def _live_set(self, one: Service) -> Object | None:
        return self.cluster.find(RESOURCES[_SET].path_to(*one.key))

    def _as_wanted(self, one: Service, stand: Stand, driver: Driver) -> bool:
        """Whether nothing is to be done, as far as is known without asking the API server."""
        if not stand.formed or stand.replicas != one.members:
            return False
        items = ((item, self.look.get(kind_of_object(item), *name_of(item))) for item in self.objects(one, stand, driver))
        return all(cached is not None and owned(cached, one) and settled(stamped(item), cached) for item, cached in items)

    def objects(self, one: Service, stand: Stand, driver: Driver) -> list[Item]:
        """All that the service is made of in this step: what pods need before the pods."""
        container = driver.container(stand.running.version)
        notes = {**stand.running.notes, RUNS: stand.running.version, MEMBERS: str(stand.replicas)}
        place = place_of(one, stand.running, stand.formed)
        return [
            workload.account(one),
            workload.configuration(one, driver.configuration(place)),
            *network.services(one, container),
            network.policy(one, container, self.namespace),
            quorum.budget(one, stand.replicas),
            workload.stateful_set(one, container, replace(stand.running, notes=notes)),
        ]

    # --- its steps -----------------------------------------------------------------------------------------------

    def _form(self, one: Service, stand: Stand, driver: Driver, report: Report) -> None:
        """The members found their cluster. Once they have, that is noted before anything else is done."""
        count = f"{stand.replicas} members"
        report.change = ("", f"{one.engine} {stand.running.version}, {count}")
        names = one.names(stand.replicas)
        healthy = stand.healthy(names)
        if len(healthy) < len(names):
            report.operation = ("Create", "form", "", f"{len(healthy)} of {count} serve")
            report.again = SOON
            return
        self._remember(one, stand, driver, {FORMED: "true"})
        report.stand = replace(stand, formed=True)
        report.decisions.append(f"{one.engine} {stand.running.version} is founded: all of {count} serve")
        self._happened(one, "Created", report.decisions[-1], normal=True)
        report.again = SOON

    def _scale(self, one: Service, stand: Stand, driver: Driver, report: Report) -> None:
        step = Scaling(one, stand, driver, self.look).next()
        if step is not None:
            stand = report.stand = fresh(one, driver, stand, self._live_set(one), self.look)
            step = Scaling(one, stand, driver, self.look).next()
        if step is None:
            return
        report.change = (f"{len(stand.pods)} members", f"{one.members} members")
        before = _before(self.look.get(KIND, *one.key))
        if before:
            report.change = (before, report.change[1])
        report.operation = (step.kind, step.name, step.member, step.message)
        report.again = SOON
        if step.blocked:
            report.blocked = (step.blocked, step.message)
            report.operation, report.again = None, UNSETTLED
            return
        self._take(one, stand, driver, step, report)

    def _take(self, one: Service, stand: Stand, driver: Driver, step: Step, report: Report) -> None:
        if step.tell is not None:
            result = step.tell()
            message = f"{step.message}: {result.outcome}{f', {result.reason}' if result.reason else ''}"
            report.operation = (step.kind, step.name, step.member, message)
            if result.outcome != "done":
                return
        elif step.replicas is not None:
            self._remember(one, stand, driver, {MEMBERS: str(step.replicas), **self._excuse(stand, step)})
        elif step.clear is not None:
            deletion.delete(self.cluster, "PersistentVolumeClaim", step.clear, "Background")
        elif step.mark is not None:
            path = RESOURCES["PersistentVolumeClaim"].path_to(one.namespace, text_of(metadata_of(step.mark), "name"))
            self.cluster.patch(path, {"metadata": {"annotations": {LEFT: step.member}}}, field_manager=MANAGER)
        else:
            return
        report.decisions.append(f"{step.kind}: {step.name} {step.member}: {step.message}")
        report.again = 0.2

    # --- a service that goes -------------------------------------------------------------------------------------

    def _end(self, model: StatefulService, one: Service, item: Object, report: Report) -> bool:
        """One step of its end; whether it is over."""
        if FINALIZER not in (metadata_of(item).get("finalizers") or ()):
            return True
        if asked(item, PAUSED):
            report.idle = ("Paused", f"paused by the annotation {PAUSED}; it is deleted once that is taken off")
            return False
        if model.spec.deletion_policy.final_backup:
            why = "deletionPolicy.finalBackup: true: no backup can be taken yet, nothing goes; take one, set it to false"
            report.blocked = ("FinalBackup", why)
            return False
        ending = deletion.step(self.cluster, one)
        if ending.over:
            self._finalizers(item, deletion.finalizers_without_ours(item))
            _log.info("%s: deleted, claims: %s", one.title, one.claims)
            return True
        report.operation = ("Delete", "end", "", ending.message)
        report.change = ("", f"claims: {one.claims}")
        report.again = deletion.AGAIN
        return False

    def _finalize(self, item: Object) -> None:
        found = metadata_of(item).get("finalizers")
        self._finalizers(item, [*(found if isinstance(found, list) else []), FINALIZER])

    def _finalizers(self, item: Object, wanted: list[str]) -> None:
        metadata = metadata_of(item)
        path = OWN.path_to(text_of(metadata, "namespace"), text_of(metadata, "name"))
        # The whole list is written, so nobody may have written it meanwhile.
        known = {"resourceVersion": text_of(metadata, "resourceVersion"), "uid": text_of(metadata, "uid")}
        try:
            self.cluster.patch(path, {"metadata": {**known, "finalizers": wanted}}, field_manager=MANAGER)
        except ClusterError as error:
            if error.status != 404:
                raise

    # --- saying it -----------------------------------------------------------------------------------------------

    def _say(self, model: StatefulService, one: Service, report: Report) -> None:
        now = self.now()
        made = status.made(model, one, report, now).dump()
        blocked = report.blocked[0] if report.blocked else ""
        present, ready = made.get("currentMembers", 0), made.get("readyMembers", 0)
        self.metrics.seen(one.key, zip(STATES, (one.members, present, ready), strict=True), blocked)
        for decision in reversed(report.decisions):
            _log.info("%s: %s", one.title, decision)
        if blocked and not any(found.type == "Blocked" and found.reason == blocked for found in model.status.conditions):
            assert report.blocked is not None  # noqa: S101 - `blocked` is of it
            self._happened(one, blocked, report.blocked[1])
        if made != model.status.dump():
            self._write(model, one, report, now)

    def _write(self, model: StatefulService, one: Service, report: Report, now: datetime) -> None:
        """Writes the status onto the one that is there: what the cache has may be from before our own last write."""
        path = OWN.path_to(one.namespace, one.name)
        for _ in range(_TRIES):
            try:
                live = self.cluster.get(path)
                uid, version = (text_of(metadata_of(live), name) for name in ("uid", "resourceVersion"))
                if uid != one.uid:
                    return  # made anew under the same name
                model.status = StatefulServiceStatus.model_validate(mapping_of(live, "status"))
                made = status.made(model, one, report, now).dump()
                if made == model.status.dump():
                    return
                known = {"name": one.name, "namespace": one.namespace, "uid": uid, "resourceVersion": version}
                body = {"apiVersion": OWN.api_version, "kind": OWN.kind_name, "metadata": known, "status": made}
                self.cluster.apply(f"{path}/status", body, field_manager=MANAGER)
            except ClusterError as error:
                if error.status == 404:
                    return
                if error.status != 409:
                    raise
            else:
                return
        report.again = min(SOON, report.again or SOON)  # somebody writes it all the time; what is lost is a word

    def _unreadable(self, item: Object, error: ValidationError) -> None:
        """A spec that the CustomResourceDefinition should have refused: nothing is touched, and somebody hears of it."""
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        message = f"{where}: {first['msg']}; nothing is touched until it is mended"
        key = (text_of(metadata_of(item), "namespace"), text_of(metadata_of(item), "name"))
        self.metrics.seen(key, (), "InvalidSpec")
        self.tell(Happening(About.of(item), "operator", "InvalidSpec", message, time.time()))
        _log.warning("%s/%s: %s", *key, message)

    def _event(self, one: Service, applied: Applied) -> None:
        if applied.change == "reverted":
            self._happened(one, "Reverted", _reverted(one, applied))

    def _happened(self, one: Service, reason: str, message: str, normal: bool = False) -> None:
        about = About(one.api_version, "StatefulService", one.namespace, one.name, one.uid)
        self.tell(Happening(about, "operator", reason, message, time.time(), normal))


def fresh(one: Service, driver: Driver, stand: Stand, item: Object | None, look: Informers) -> Stand:
    """The same with the StatefulSet as the API server has it now."""
    running, exists, formed = running_of(one, driver.container(one.version), item, look)
    return replace(stand, running=running, exists=exists, formed=formed)


def name_of(item: Object) -> tuple[str, str]:
    """Namespace and name."""
    return text_of(metadata_of(item), "namespace"), text_of(metadata_of(item), "name")


def asked(item: Object, annotation: str) -> bool:
    """Whether an annotation says "true"."""
    return text_of(mapping_of(metadata_of(item), "annotations"), annotation) == "true"


def _refused(model: StatefulService, one: Service, driver: Driver | None) -> tuple[str, str] | None:
    """Why this spec cannot be carried out."""
    if driver is None:
        known = ", ".join(catalogue.names())
        return "UnknownEngine", f"engine: {one.engine}: nobody here knows how to run it; known are {known}"
    problems = driver.problems(one.version, one.parameters)
    if problems:
        return "UnsupportedSpec", "; ".join(problems)
    missing = service.not_carried_out(model)
    return ("NotCarriedOut", missing) if missing else None


def _changes(one: Service, driver: Driver, stand: Stand) -> tuple[str, str] | None:
    """A change of the spec that is not carried out: it is said, and the rest goes on as it is."""
    running = stand.running
    if one.version != running.version:
        why = f"version: {one.version}: upgrades are not carried out yet; its members stay at {running.version}"
        return "UpgradeNotCarriedOut", f"{why}; set it back"
    image = one.image or driver.container(one.version).image
    if image != running.image:
        why = f"image: {image}: another image is an upgrade, which is not carried out yet; its members stay at"
        return "UpgradeNotCarriedOut", f"{why} {running.image}; set it back"
    if quantity.parse(one.size) != quantity.parse(running.size):
        why = f"storage.size: {one.size}: growth is not carried out yet; its volumes stay at {running.size}"
        return "GrowthNotCarriedOut", f"{why}; set it back"
    return None


def _whole(one: Service, stand: Stand) -> bool:
    return stand.formed and len(stand.healthy(one.names(one.members))) == one.members == stand.replicas


def _before(item: Object | None) -> str:
    """From what the operation that runs started."""
    found = mapping_of(mapping_of(item or {}, "status"), "operation")
    return text_of(found, "from") if text_of(found, "kind").startswith("Scale") else ""


def _decisions(one: Service, written: Sequence[Applied], dry: bool) -> list[str]:
    """What was done, or would be."""
    found = [_reverted(one, applied) for applied in written if applied.change == "reverted"]
    for change in ("created", "changed"):
        several = [f"{applied.kind.partition('.')[0]} {applied.name}" for applied in written if applied.change == change]
        if several:
            found.append(f"{'would be ' if dry else ''}{change}: {', '.join(several)}")
    return found


def _reverted(one: Service, applied: Applied) -> str:
    return (
        f"{applied.kind.partition('.')[0]} {applied.name}: changed by {', '.join(applied.by) or 'somebody'}, set back; "
        f"to change it by hand pause Stateward first: "
        f"kubectl annotate statefulservice {one.name} -n {one.namespace} {PAUSED}=true"
    )
