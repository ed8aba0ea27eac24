"""One look at one ServiceBackup: at most one step, and word of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, Literal

import orjson
from pydantic import ValidationError

from stateward.kube.errors import ClusterError
from stateward.operator.api.model import Model
from stateward.operator.api.parts import Condition, Destination, VolumeState
from stateward.operator.api.v1beta1 import ServiceBackup, ServiceBackupStatus, StatefulService, Topology
from stateward.operator.apply import MANAGER
from stateward.operator.backup import archive, metadata
from stateward.operator.backup.archive import Archive
from stateward.operator.backup.hub import AT_ONCE, SOON, WAITING, Found, Hub, short
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.kinds import BACKUP, BACKUPS, FINALIZER, JOBS, RECORD, SCHEDULED
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.outcome import Outcome
from stateward.operator.drivers.protocol import Target
from stateward.operator.observe import place_of
from stateward.operator.service import Key
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

PATIENCE: Final = timedelta(hours=1)
"""How long a backup may wait for what it needs before it has failed."""


class Record(Model):
    """What is noted on a ServiceBackup before anything is written: its service may change, or be gone."""

    destination: Destination
    secret: str
    folder: str
    uid: str
    """Of the service."""
    days: int = 0
    """That it is kept at least; 0: until somebody deletes it."""
    user: int = 0
    """Who writes there: the engine's own."""

    def archive(self) -> Archive:
        """Where it lies."""
        return Archive(self.destination, self.secret, self.folder)


def record_of(item: Object) -> Record | None:
    """What is noted on a ServiceBackup; None where nothing is yet."""
    text = text_of(mapping_of(metadata_of(item), "annotations"), RECORD)
    try:
        return Record.model_validate_json(text) if text else None
    except ValidationError:
        return None


class Taking:
    """Takes backups. Everything that it remembers is in the cluster."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __call__(self, key: Key) -> float | None:
        """Takes at most one step; seconds until the next look. Raises ClusterError."""
        item = self._hub.kinds.get(BACKUP, *key)
        if item is None:
            return None
        item = {**item, "apiVersion": "stateward.dev/v1beta1", "kind": "ServiceBackup"}
        try:
            model = ServiceBackup.model_validate(item)
        except ValidationError:
            return None
        if "deletionTimestamp" in metadata_of(item):
            return self._end(model, item)
        if model.status.phase == "Complete":
            self._hub.tidy(item, "take")
        if model.status.phase in ("Complete", "Failed"):
            return None
        record = record_of(item)
        return self._begin(model, item) if record is None else self._go_on(model, item, record)

    # --- before anything is written ------------------------------------------------------------------------------

    def _begin(self, model: ServiceBackup, item: Object) -> float | None:
        """Notes where it will lie."""
        namespace = text_of(model.metadata, "namespace")
        found = self._hub.service((namespace, model.spec.service))
        if found is None:
            return self._failed(model, item, f"service: {model.spec.service}: there is none of this name in {namespace}")
        try:
            service = StatefulService.model_validate(found)
        except ValidationError:
            return self._waits(model, item, f"service: {model.spec.service}: its spec cannot be read")
        plan = service.spec.backup
        destination = model.spec.destination or (plan.destination if plan is not None else None)
        if destination is None:
            return self._failed(model, item, f"destination: give one here, or backup.destination of {model.spec.service}")
        if destination.snapshot is not None:
            why = "destination.snapshot: VolumeSnapshots are not taken yet; give a claim or a bucket (s3)"
            return self._failed(model, item, why)
        encryption = model.spec.encryption or (plan.encryption if plan is not None else None)
        if encryption is None:
            archive.make_password(self._hub.cluster, namespace, model.spec.service)
        driver = self._hub.find(service.spec.engine)
        scheduled = text_of(mapping_of(model.metadata, "labels"), SCHEDULED) == "true"
        record = Record(
            destination=destination,
            secret=encryption.secret if encryption is not None else archive.generated(model.spec.service),
            folder=f"{namespace}/{model.spec.service}",
            uid=text_of(service.metadata, "uid"),
            days=plan.retention.days if plan is not None and scheduled else 0,
            user=driver.container(service.spec.version).user if driver is not None else 0,
        )
        held = metadata_of(item).get("finalizers")
        finalizers = [*(held if isinstance(held, list) else []), FINALIZER]
        noted = orjson.dumps(record.dump()).decode()
        self._hub.annotate(BACKUPS, item, {RECORD: noted}, finalizers=list(dict.fromkeys(finalizers)))
        return AT_ONCE

    # --- while it is taken ---------------------------------------------------------------------------------------

    def _go_on(self, model: ServiceBackup, item: Object, record: Record) -> float | None:
        namespace = text_of(model.metadata, "namespace")
        job = self._hub.cluster.find(JOBS.path_to(namespace, name_of(item, "take")))
        if job is None:
            return self._start(model, item, record)
        result = self._hub.run(job)
        told = _metadata(job)
        if told is None:
            return self._failed(model, item, "its Job is not one of ours")
        if result.state == "failed":
            return self._failed(model, item, result.reason)
        if result.state == "running":
            made = self._described(model, told, record)
            made.phase, made.message = "Running", short(result.reason)
            self._hub.say(BACKUPS, item, model.status, made)
            return SOON
        return self._complete(model, item, record, told, result)

    def _start(self, model: ServiceBackup, item: Object, record: Record) -> float | None:
        namespace, hub = text_of(model.metadata, "namespace"), self._hub
        service = hub.service((namespace, model.spec.service))
        if service is None or text_of(metadata_of(service), "uid") != record.uid:
            return self._failed(model, item, f"service: {model.spec.service}: it has been deleted before it was backed up")
        missing = record.archive().missing(hub.cluster, namespace)
        if missing:
            return self._waits(model, item, missing)
        found = hub.found(service)
        if isinstance(found, str):
            return self._waits(model, item, found)
        chosen = _source(found)
        if chosen is None:
            return self._waits(model, item, "no member serves: a backup is taken from one that does")
        extent = found.driver.extent(chosen)
        if extent is None:
            return self._waits(model, item, f"{chosen.name}: it does not say how far its data reaches")
        place = place_of(found.one, found.stand.running, found.stand.formed)
        copying = found.driver.copying(place, chosen.name, record.uid[:8])
        if copying is None:
            return self._failed(model, item, f"engine: {found.one.engine}: backups of it cannot be taken yet")
        if model.status.started is None:
            # Whoever deletes this has to know that something may have been written.
            made = model.status.model_copy(deep=True)
            made.phase, made.started, made.message = "Running", hub.now(), "it begins"
            hub.say(BACKUPS, item, model.status, made)
            return AT_ONCE
        told = Metadata(
            namespace=namespace,
            service=found.one.name,
            uid=record.uid,
            backup=text_of(model.metadata, "name"),
            engine=found.one.engine,
            version=found.stand.running.version,
            member=chosen.name,
            taken=hub.now(),
            position=extent.position,
            count=extent.count,
            what=extent.what,
            spec=found.model.spec.dump(),
        )
        container = found.driver.container(found.stand.running.version, found.stand.running.tls)
        work = Work(item, found.one.name, record.archive(), hub.restic, container.user)
        tags = f"service={record.uid},engine={told.engine},version={told.version}"
        image, more = found.stand.running.image, copying.environment
        hub.run(work.take(container, found.one, image, copying.take, more, told.dump(), tags))
        return AT_ONCE

    def _complete(self, model: ServiceBackup, item: Object, record: Record, told: Metadata, result: Outcome) -> float | None:
        try:
            said = orjson.loads(result.said.get("store", ""))
            snapshot, size = str(said["snapshot"]), int(said["size"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            # Its pod is gone with what it said. What it wrote is there: the next Job finds it.
            self._hub.drop(text_of(model.metadata, "namespace"), name_of(item, "take"))
            return SOON
        now = self._hub.now()
        made = self._described(model, told, record)
        made.phase = "Complete"
        made.location = record.archive().location(snapshot)
        made.encrypted = True
        made.size = size
        made.checksum = f"sha256:{snapshot}"
        made.completed = made.verified = now
        made.expires = now + timedelta(days=record.days) if record.days else None
        counted = f", {told.count} {told.what}" if told.count is not None else ""
        made.message = f"written and read back{counted}"
        made.conditions = [
            _condition("Complete", "True", "Complete", made.message, model, now),
            _condition("Verified", "True", "ReadBack", "every block was read back and checked by its hash", model, now),
        ]
        self._hub.say(BACKUPS, item, model.status, made)
        return None

    # --- its end -------------------------------------------------------------------------------------------------

    def _end(self, model: ServiceBackup, item: Object) -> float | None:
        """What was written goes first, where that is asked for; then the finalizer."""
        held = metadata_of(item).get("finalizers")
        if not isinstance(held, list) or FINALIZER not in held:
            return None
        record = record_of(item)
        why = self._forgotten(model, item, record) if record is not None else ""
        if why:
            made = model.status.model_copy(deep=True)
            made.phase, made.message = "Deleting", short(why)
            self._hub.say(BACKUPS, item, model.status, made)
            return WAITING if ";" in why else SOON
        rest = [one for one in held if one != FINALIZER]
        path = BACKUPS.path_to(text_of(model.metadata, "namespace"), text_of(model.metadata, "name"))
        known = {"uid": text_of(model.metadata, "uid"), "resourceVersion": text_of(model.metadata, "resourceVersion")}
        try:
            self._hub.cluster.patch(path, {"metadata": {**known, "finalizers": rest}}, field_manager=MANAGER)
        except ClusterError as error:
            if error.status != 404:
                raise
        return None

    def _forgotten(self, model: ServiceBackup, item: Object, record: Record) -> str:
        """What is waited for; "" where nothing of it is left at the destination."""
        namespace, hub = text_of(model.metadata, "namespace"), self._hub
        taking = name_of(item, "take")
        job = hub.cluster.find(JOBS.path_to(namespace, taking))
        if job is not None:
            # A pod that still writes would write after everything was deleted.
            if "deletionTimestamp" not in metadata_of(job):
                hub.cluster.delete(JOBS.path_to(namespace, taking), {"propagationPolicy": "Foreground"})
            return "its Job ends"
        claim = record.destination.claim
        if model.spec.deletion_policy == "Retain" or model.status.started is None:
            return ""
        missing = record.archive().missing(hub.cluster, namespace)
        if missing and claim is not None and missing.startswith("destination.claim"):
            return ""  # it went with the claim
        if missing:
            return f"{missing}; or let it lie: take the finalizer {FINALIZER} off"
        work = Work(item, model.spec.service, record.archive(), hub.restic, record.user)
        try:
            result = hub.run(work.forget())
        except ClusterError as error:
            if error.status == 403 and "being terminated" in str(error):
                return ""  # the namespace goes, and nothing can be run there any more
            raise
        if result.state == "failed" and model.status.location is None:
            return ""  # it has never been complete, and where it was to lie cannot be opened
        if result.state == "failed":
            return f"{result.reason}; what it has left there stays: mend it and delete the Job {name_of(item, 'forget')}"
        return "" if result.state == "done" else f"it is deleted at its destination: {result.reason}"

    # --- what is said --------------------------------------------------------------------------------------------

    def _described(self, model: ServiceBackup, told: Metadata, record: Record) -> ServiceBackupStatus:
        made = model.status.model_copy(deep=True)
        made.observed_generation = model.metadata.get("generation")
        made.engine, made.version, made.member = told.engine, told.version, told.member
        made.position = told.position or None
        made.started = told.taken
        spec = told.service_spec()
        volume = VolumeState(name="data", class_=spec.storage.class_, size=spec.storage.size)
        made.topology = Topology(members=spec.members, volumes=[volume], parameters=dict(spec.parameters))
        return made

    def _waits(self, model: ServiceBackup, item: Object, why: str) -> float | None:
        created = datetime.fromisoformat(text_of(model.metadata, "creationTimestamp"))
        if self._hub.now() - created > PATIENCE:
            return self._failed(model, item, f"{why}; waited for an hour")
        made = model.status.model_copy(deep=True)
        made.observed_generation = model.metadata.get("generation")
        made.phase, made.message = "Pending", short(why)
        self._hub.say(BACKUPS, item, model.status, made)
        return WAITING

    def _failed(self, model: ServiceBackup, item: Object, why: str) -> float | None:
        made = model.status.model_copy(deep=True)
        made.observed_generation = model.metadata.get("generation")
        made.phase, made.message = "Failed", short(why)
        made.conditions = [_condition("Complete", "False", "Failed", made.message, model, self._hub.now())]
        self._hub.say(BACKUPS, item, model.status, made)
        return None


def _source(found: Found) -> Target | None:
    """Whom a backup is taken from: a member that serves and does not lead, if there is one."""
    good = [one for one in found.stand.targets if found.stand.seen[one.name].healthy is True]
    return min(good, key=lambda one: (found.stand.seen[one.name].role in found.driver.leaders, one.name), default=None)


def _metadata(job: Object) -> Metadata | None:
    """What the Job was told to write beside the data."""
    pod = mapping_of(mapping_of(mapping_of(job, "spec"), "template"), "spec")
    last: Any = next(iter(items_of(pod, "containers")), {})
    text = next((text_of(one, "value") for one in items_of(last, "env") if one.get("name") == "METADATA"), "")
    return metadata.made(text.replace("$$(", "$("))


def _condition(
    kind: str, status: Literal["True", "False"], reason: str, message: str, model: ServiceBackup, now: datetime
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=model.metadata.get("generation"),
        last_transition_time=now,
    )
