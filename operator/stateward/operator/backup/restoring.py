"""One look at one ServiceRestore: at most one step, and word of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from pydantic import ValidationError

from stateward.kube.errors import ClusterError
from stateward.operator import deletion, service
from stateward.operator.api.parts import Condition
from stateward.operator.api.v1beta1 import API_VERSION, ServiceBackup, ServiceRestore, ServiceRestoreStatus, StatefulService
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup import archive, metadata, verdict
from stateward.operator.backup.archive import Archive
from stateward.operator.backup.hub import AT_ONCE, SOON, WAITING, Hub, short
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.kinds import (
    BACKUPS,
    DRILL,
    FILLED,
    FILLING,
    METADATA,
    RESTORE,
    RESTORES,
    SERVICES,
)
from stateward.operator.backup.metadata import Metadata, seconds_between
from stateward.operator.backup.taking import record_of
from stateward.operator.drivers.protocol import Driver, Place
from stateward.operator.objects.common import LABEL, SPEAKS_TLS, VOLUME, Item
from stateward.operator.service import Key
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

PATIENCE: Final = timedelta(minutes=15)
"""How long a service that was made may take until it has what the backup holds."""
WAITS: Final = timedelta(hours=1)
"""How long a restore may wait for what it needs."""
READER: Final = 65532
"""Who looks into a repository before it is known whose engine it is of; a claim lets the group of its files in."""

Phase = Literal["Pending", "Running", "Verifying", "Complete", "Failed", "Refused"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One look."""

    model: ServiceRestore
    item: Object
    namespace: str
    uid: str

    @property
    def target(self) -> Key:
        """The service that is made."""
        return self.namespace, self.model.spec.service

    @property
    def began(self) -> datetime:
        """When it was asked for: nothing that a crash could lose."""
        return datetime.fromisoformat(text_of(self.model.metadata, "creationTimestamp"))


class StopError(Exception):
    """It goes no further in this look."""

    def __init__(self, phase: Phase, message: str, step: str = "") -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.message = message
        self.step = step


class Restoring:
    """Restores backups. Everything that it remembers is in the cluster."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __call__(self, key: Key) -> float | None:
        """Takes at most one step; seconds until the next look. Raises ClusterError."""
        item = self._hub.kinds.get(RESTORE, *key)
        if item is None or "deletionTimestamp" in metadata_of(item):
            return None
        item = {**item, "apiVersion": API_VERSION, "kind": "ServiceRestore"}
        try:
            model = ServiceRestore.model_validate(item)
        except ValidationError:
            return None
        if model.status.phase in ("Complete", "Failed", "Refused"):
            self._hub.tidy(item, "fill", *(["inspect"] if model.status.phase == "Complete" else []))
            return None
        turn = Turn(model, item, text_of(model.metadata, "namespace"), text_of(model.metadata, "uid"))
        try:
            self._step(turn)
        except StopError as stop:
            late = stop.phase == "Pending" and self._hub.now() - turn.began > WAITS
            self._say(turn, "Failed" if late else stop.phase, stop.message, stop.step)
            return WAITING if stop.phase == "Pending" else SOON
        return AT_ONCE

    # --- its steps -----------------------------------------------------------------------------------------------

    def _step(self, turn: Turn) -> None:
        """One write, or StopError with what is waited for."""
        text = text_of(mapping_of(metadata_of(turn.item), "annotations"), METADATA)
        told = metadata.made(text) if text else None
        place, snapshot = self._source(turn)
        if told is None:
            self._inspect(turn, place, snapshot)
            return
        driver = self._hub.find(told.engine)
        wanted = self._wanted(turn, told)
        problem = verdict.refused(turn.model.spec, told, wanted, driver)
        if problem or driver is None:
            raise StopError("Refused", problem)
        claim = self._claim(turn)
        if claim is None:
            self._free(turn)
            self._make_claim(turn, wanted, driver.encrypts and wanted.spec.tls.enabled)
            return
        if FILLED not in mapping_of(metadata_of(claim), "annotations"):
            self._fill(turn, told, wanted, driver, place, claim)
            return
        made = self._hub.service(turn.target)
        if made is None:
            self._make_service(turn, wanted)
            return
        if not _ours(made, turn):
            raise StopError("Failed", f"service: {turn.target[1]}: somebody else has made it meanwhile")
        self._verify(turn, told, made)

    def _source(self, turn: Turn) -> tuple[Archive, str]:
        """Where the backup lies, and which it is."""
        source = turn.model.spec.source
        if turn.model.spec.point_in_time is not None:
            why = "pointInTime: no engine that is run here keeps its log with its backups; leave it out"
            raise StopError("Refused", why)
        if source.archive is not None:
            folder, _, snapshot = source.archive.location.partition("#")
            if folder.count("/") != 1 or ".." in folder:
                why = f"source.archive.location: {source.archive.location}: give NAMESPACE/NAME or NAMESPACE/NAME#SNAPSHOT"
                raise StopError("Refused", why)
            given = source.archive.encryption
            secret = given.secret if given is not None else archive.generated(folder.partition("/")[2])
            found = Archive(source.archive.destination, secret, folder), snapshot or "latest"
        else:
            found = self._of_backup(turn)
        if found[0].destination.snapshot is not None:
            raise StopError("Refused", "destination.snapshot: VolumeSnapshots are not restored yet")
        missing = found[0].missing(self._hub.cluster, turn.namespace)
        if missing:
            raise StopError("Pending", f"{missing}", "source")
        return found

    def _of_backup(self, turn: Turn) -> tuple[Archive, str]:
        reference = turn.model.spec.source.backup
        if reference is None:
            raise StopError("Refused", "source: give backup or archive")
        namespace = reference.namespace or turn.namespace
        item = self._hub.cluster.find(BACKUPS.path_to(namespace, reference.name))
        if item is None:
            raise StopError("Refused", f"source.backup: {namespace}/{reference.name}: there is no such ServiceBackup")
        try:
            backup, record = ServiceBackup.model_validate(item), record_of(item)
        except ValidationError:
            backup, record = None, None
        if backup is not None and backup.status.phase in (None, "Pending", "Running"):
            raise StopError("Pending", f"source.backup: {namespace}/{reference.name}: it is not complete yet", "source")
        if backup is None or backup.status.phase != "Complete" or record is None:
            raise StopError("Refused", f"source.backup: {namespace}/{reference.name}: it is not complete")
        if namespace != turn.namespace and record.destination.claim is not None:
            why = (
                f"source.backup: {namespace}/{reference.name}: it lies on a claim of {namespace}, which no pod of "
                f"{turn.namespace} can mount; restore it there, or back up to a bucket (s3)"
            )
            raise StopError("Refused", why)
        # Secrets are those of this namespace: a restore opens nothing that its own namespace could not open.
        return record.archive(), (backup.status.location or "").partition("#")[2] or "latest"

    def _inspect(self, turn: Turn, place: Archive, snapshot: str) -> None:
        """Reads what the backup says of itself, and notes it."""
        self._free(turn)
        work = Work(turn.item, turn.target[1], place, self._hub.restic, self._reader(turn))
        result = self._hub.run(work.inspect(snapshot))
        if result.state == "failed":
            raise StopError("Failed", f"the backup cannot be read: {result.reason}", "inspect")
        if result.state == "running":
            raise StopError("Running", result.reason, "inspect")
        if "inspect" not in result.said:
            self._hub.drop(turn.namespace, name_of(turn.item, "inspect"))  # its pod is gone with what it said
            raise StopError("Running", "it is read again", "inspect")
        told = metadata.unpacked(result.said["inspect"])
        if told is None:
            raise StopError(
                "Failed", "the backup does not say what it is of: it is none of ours, or its metadata are too long"
            )
        self._hub.annotate(RESTORES, turn.item, {METADATA: told.dump()})

    def _reader(self, turn: Turn) -> int:
        """Files of a repository on a claim are its writer's alone: it is read as the same user where that is known."""
        reference = turn.model.spec.source.backup
        if reference is not None:
            item = self._hub.cluster.find(BACKUPS.path_to(reference.namespace or turn.namespace, reference.name))
            record = record_of(item) if item is not None else None
            return (record.user if record is not None else 0) or READER
        return READER

    def _free(self, turn: Turn) -> None:
        """Whether nothing of this name is there: a restore never goes over a service that is, nor over its data."""
        namespace, name = turn.target
        made = self._hub.service(turn.target)
        if made is not None and not _ours(made, turn):
            why = f"service: {name}: there is one in {namespace}; a restore makes a new one, give it another name"
            raise StopError("Refused", why)
        path = RESOURCES["PersistentVolumeClaim"].path_to(namespace)
        found = self._hub.cluster.get(path, {"labelSelector": f"{LABEL}={name}"}).get("items")
        others = [one for one in found if isinstance(one, dict) and not _ours(one, turn)] if isinstance(found, list) else []
        if others:
            several = ", ".join(text_of(metadata_of(one), "name") for one in others[:3])
            why = f"service: {name}: claims of an earlier one are there ({several}); delete them, or give it another name"
            raise StopError("Refused", why)

    # --- the first member's data ---------------------------------------------------------------------------------

    def _claim(self, turn: Turn) -> Object | None:
        namespace, name = turn.target
        found = self._hub.cluster.find(RESOURCES["PersistentVolumeClaim"].path_to(namespace, f"{VOLUME}-{name}-0"))
        if found is not None and not _ours(found, turn):
            raise StopError(
                "Refused", f"service: {name}: the claim {VOLUME}-{name}-0 is there; delete it, or give another name"
            )
        return found

    def _make_claim(self, turn: Turn, wanted: StatefulService, tls: bool) -> None:
        namespace, name = turn.target
        storage = wanted.spec.storage
        spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage.size}}}
        if storage.class_:
            spec["storageClassName"] = storage.class_
        labels = {LABEL: name, "app.kubernetes.io/managed-by": "stateward"}
        body: Item = {
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": f"{VOLUME}-{name}-0",
                "namespace": namespace,
                "labels": labels,
                "annotations": {FILLING: turn.uid, **({SPEAKS_TLS: "true"} if tls else {})},
            },
            "spec": spec,
        }
        self._create(RESOURCES["PersistentVolumeClaim"].path_to(namespace), body)

    def _fill(
        self, turn: Turn, told: Metadata, wanted: StatefulService, driver: Driver, place: Archive, claim: Object
    ) -> None:
        namespace, name = turn.target
        if "deletionTimestamp" in metadata_of(claim):
            raise StopError("Failed", "its claim was deleted while it was filled")
        one = service.read(wanted)
        member = one.member(0)
        # With the tools of the version that is to run: those of an older one write what it may not read.
        tls = driver.encrypts and one.tls
        where = Place(namespace, name, one.version, [member], False, one.parameters, tls)
        copying = driver.copying(where, member, turn.uid[:8])
        if copying is None:
            raise StopError("Refused", f"engine: {told.engine}: backups of it cannot be restored yet")
        container = driver.container(one.version)
        work = Work(turn.item, name, place, self._hub.restic, container.user)
        image = one.image or container.image
        claimed = text_of(metadata_of(claim), "name")
        result = self._hub.run(
            work.fill(container, one, image, copying.restore, copying.environment, claimed, told.snapshot)
        )
        if result.state == "running":
            raise StopError("Running", result.reason, "fill")
        if result.state == "failed":
            deletion.delete(self._hub.cluster, "PersistentVolumeClaim", claim, "Background")
            raise StopError("Failed", result.reason, "fill")
        self._hub.annotate(RESOURCES["PersistentVolumeClaim"], claim, {FILLED: "true"})

    # --- the service ---------------------------------------------------------------------------------------------

    def _wanted(self, turn: Turn, told: Metadata) -> StatefulService:
        """The service that is made: as the backup says, but for what is asked for otherwise. Drills are small and alone."""
        over = turn.model.spec.overrides
        spec = {**told.spec, "version": told.version}
        if over is not None:
            spec |= over.dump()
        drill = text_of(mapping_of(turn.model.metadata, "labels"), DRILL)
        if drill:
            spec |= {"members": 1, "deletionPolicy": {"claims": "Delete", "finalBackup": False}}
            for name in ("backup", "resources", "availability"):
                spec.pop(name, None)
        namespace, name = turn.target
        labels = {DRILL: drill} if drill else {}
        more = {"labels": labels, "ownerReferences": turn.model.metadata.get("ownerReferences")} if drill else {}
        annotations = {FILLING: turn.uid}
        held = {"name": name, "namespace": namespace, "annotations": annotations, **more}
        try:
            return StatefulService.model_validate({"metadata": held, "spec": spec})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"])
            raise StopError("Refused", f"{where}: {first['msg']}") from None

    def _make_service(self, turn: Turn, wanted: StatefulService) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": "StatefulService",
            "metadata": dict(wanted.metadata),
            "spec": wanted.spec.dump(),
        }
        try:
            self._create(SERVICES.path_to(turn.namespace), body)
        except ClusterError as error:
            if error.status in (400, 403, 422):
                raise StopError("Failed", f"the service is refused: {error}", "serve") from None
            raise

    def _create(self, path: str, body: Item) -> None:
        try:
            self._hub.cluster.create(path, body, field_manager=MANAGER)
        except ClusterError as error:
            if error.status != 409:
                raise

    def _verify(self, turn: Turn, told: Metadata, made: Object) -> None:
        """Asks the first member whether it has what the backup holds."""
        created = datetime.fromisoformat(text_of(metadata_of(made), "creationTimestamp"))
        late = self._hub.now() - created > PATIENCE
        found = self._hub.found(made)
        if isinstance(found, str):
            raise StopError("Failed", found, "serve")
        first = found.one.member(0)
        target = next((one for one in found.stand.targets if one.name == first), None)
        seen = found.stand.seen.get(first)
        if target is None or seen is None or seen.healthy is not True:
            why = f"{first}: {(seen.reason if seen is not None else '') or 'it does not serve yet'}"
            raise StopError("Failed" if late else "Running", why, "serve")
        result = found.driver.proves(target, told.extent)
        if result.outcome != "done":
            raise StopError("Failed" if late else "Verifying", f"{first}: {result.reason}", "verify")
        counted = f": {told.count} {told.what}, as the backup has" if told.count is not None else ""
        self._say(turn, "Complete", f"{found.one.title} serves{counted}", "", told)

    # --- what is said --------------------------------------------------------------------------------------------

    def _say(self, turn: Turn, phase: Phase, message: str, step: str, told: Metadata | None = None) -> None:
        now, before = self._hub.now(), turn.model.status
        made: ServiceRestoreStatus = before.model_copy(deep=True)
        made.observed_generation = turn.model.metadata.get("generation")
        made.phase, made.message, made.step = phase, short(message), step or None
        made.started = made.started or turn.began
        known = told or metadata.made(text_of(mapping_of(metadata_of(turn.item), "annotations"), METADATA) or "-")
        made.version = known.version if known is not None else made.version
        if phase in ("Complete", "Failed", "Refused"):
            made.completed = now
            made.conditions = _conditions(phase, made.message, made.observed_generation, now)
        if told is not None:
            made.recovered_to = told.taken
            made.rpo_seconds = seconds_between(told.taken, turn.began)
            made.rto_seconds = seconds_between(turn.began, now)
        self._hub.say(RESTORES, turn.item, before, made)


def _ours(item: Object, turn: Turn) -> bool:
    """Whether this restore made it."""
    return text_of(mapping_of(metadata_of(item), "annotations"), FILLING) == turn.uid


def _conditions(phase: Phase, message: str, generation: int | None, now: datetime) -> list[Condition]:
    good: Mapping[str, Any] = {"observed_generation": generation, "last_transition_time": now, "message": message}
    if phase == "Complete":
        whole = Condition(type="Complete", status="True", reason="Serves", **good)
        return [whole, Condition(type="Verified", status="True", reason="AsTheBackup", **good)]
    return [Condition(type="Complete", status="False", reason=phase, **good)]
