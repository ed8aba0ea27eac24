"""A backup by a VolumeSnapshot: a copy of one member's volume, made by its storage while the member runs.

First it is noted how far the member's data reaches; then, once all of that is on its volume (`settles`), the snapshot is
made. It is read back as every backup is: the engine's own tool makes a new cluster of it on trial (`reading_back`).
What it is of is kept on the VolumeSnapshot itself, which can be restored without its ServiceBackup.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from stateward.kube.client import path_of
from stateward.kube.errors import ClusterError
from stateward.operator import deletion
from stateward.operator.api.v1beta1 import ServiceBackupStatus
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup import metadata, outcome, reading_back
from stateward.operator.backup.hub import AT_ONCE, SOON
from stateward.operator.backup.jobs import name_of
from stateward.operator.backup.kinds import BACKUPS, COPY_OF, METADATA, SNAPSHOT_CLASSES, SNAPSHOTS
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import Record
from stateward.operator.backup.subject import NotNowError, Subject, subject_of
from stateward.operator.objects.common import LABEL, VOLUME
from stateward.operator.observe import claim_name, place_of
from stateward.policies import quantity
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

PATIENCE: Final = timedelta(hours=1)
"""How long the storage may fail, each time with a reason, until the backup has."""
LONGEST: Final = timedelta(hours=12)
"""How long it may take without any word."""
_LABEL: Final = 63
"""Characters that the value of a label may have."""


def take(order: Order, record: Record) -> float | None:
    """At most one step; seconds until the next look. Raises ClusterError."""
    told = metadata.made(text_of(mapping_of(metadata_of(order.item), "annotations"), METADATA) or "-")
    try:
        if told is None:
            return _note(order, record)
        snapshot = order.hub.cluster.find(SNAPSHOTS.path_to(order.namespace, name_for(order.item)))
        if snapshot is None:
            return _make(order, record, told)
    except NotNowError as error:
        return order.failed(error.why) if error.final else order.waits(error.why)
    if not _ours(order, snapshot):
        name = name_for(order.item)
        return order.failed(f"VolumeSnapshot {name}: somebody else has made one of this name; make another ServiceBackup")
    if mapping_of(snapshot, "status").get("readyToUse") is not True:
        return _waits(order, told, snapshot)
    wrong = _replaced(order, told, snapshot)
    if wrong:
        return order.failed(wrong)
    return _read_back(order, record, told, snapshot)


def forget(order: Order, record: Record) -> str:
    """What is waited for; "" where the snapshot is gone, or stays. Raises ClusterError."""
    del record
    reading_back.clear(order)
    if order.model.spec.deletion_policy == "Retain":
        return ""
    snapshot = order.hub.cluster.find(SNAPSHOTS.path_to(order.namespace, name_for(order.item)))
    if snapshot is None or not _ours(order, snapshot):
        return ""
    if "deletionTimestamp" not in metadata_of(snapshot):
        deletion.delete_at(order.hub.cluster, SNAPSHOTS, snapshot, "Background")
    return f"VolumeSnapshot {name_for(order.item)} is being deleted"


def name_for(item: Object) -> str:
    """The VolumeSnapshot's."""
    return name_of(item, "data")


# --- before it is made -----------------------------------------------------------------------------------------------


def _note(order: Order, record: Record) -> float:
    """Notes how far the data reaches: all that was acknowledged until now."""
    problem = _unserved(order, record)
    subject = subject_of(order, record, problem)
    settles = _settles(subject, record)
    claim = _claim(order, subject)
    if order.model.status.started is None:
        return order.begins()
    uid, kind = text_of(metadata_of(claim), "uid"), text_of(mapping_of(claim, "spec"), "storageClassName")
    told = subject.metadata(order).model_copy(update={"claim": uid, "storage_class": kind, "settles": settles})
    order.hub.annotate(BACKUPS, order.item, {METADATA: told.dump()})
    return AT_ONCE


def _settles(subject: Subject, record: Record) -> float:
    """Seconds until all that the member says is on its volume. Raises NotNowError where a copy of that is no backup."""
    found = subject.found
    if found.stand.running.wal:
        why = f"members of {found.one.name} have a second volume, and two VolumeSnapshots are of two moments"
        raise NotNowError(f"destination.snapshot: {why}; give a claim or a bucket (s3)", final=True)
    place = place_of(found.one, found.stand.running, found.stand.formed)
    copying = found.driver.copying(place, subject.member.name, record.uid[:8])
    if copying is None or not copying.adopt:
        why = f"nothing is made of a copy of the volume of a running member of {found.one.engine}"
        raise NotNowError(f"destination.snapshot: {why}; give a claim or a bucket (s3)", final=True)
    return copying.settles


def _claim(order: Order, subject: Subject) -> Object:
    """The member's claim, as the API server has it. Raises NotNowError."""
    one, member = subject.found.one, subject.member.name
    name = claim_name(one, one.names(subject.found.stand.replicas).index(member))
    claim = order.hub.cluster.find(RESOURCES["PersistentVolumeClaim"].path_to(order.namespace, name))
    if claim is None or text_of(mapping_of(claim, "status"), "phase") != "Bound":
        raise NotNowError(f"{member}: its claim {name} is not bound")
    return claim


def _unserved(order: Order, record: Record) -> str:
    """Why no VolumeSnapshot can be made here; "" where nothing is known against it."""
    kind = record.destination.snapshot.class_ if record.destination.snapshot is not None else ""
    cluster = order.hub.cluster
    if cluster.find(path_of("apis", SNAPSHOTS.group, SNAPSHOTS.version)) is None:
        why = f"this cluster has no VolumeSnapshots ({SNAPSHOTS.api_version} is not served)"
        return f"destination.snapshot: {why}; install the CSI snapshot controller, or give a claim or a bucket (s3)"
    try:
        found = cluster.find(SNAPSHOT_CLASSES.path_to("", kind))
    except ClusterError as error:
        if error.status != 403:
            raise
        return ""  # whether it is there its storage will say
    return "" if found is not None else f"destination.snapshot.class: {kind}: there is no such VolumeSnapshotClass; make it"


# --- while it is made ------------------------------------------------------------------------------------------------


def _make(order: Order, record: Record, told: Metadata) -> float:
    hub = order.hub
    remains = told.settles - (hub.now() - told.taken).total_seconds()
    if remains > 0:
        return remains
    claim = f"{VOLUME}-{told.member}"
    live = hub.cluster.find(RESOURCES["PersistentVolumeClaim"].path_to(order.namespace, claim))
    if live is None or text_of(metadata_of(live), "uid") != told.claim:
        raise NotNowError(f"{told.member}: its volume was replaced meanwhile; make another ServiceBackup", final=True)
    kind = record.destination.snapshot.class_ if record.destination.snapshot is not None else ""
    body = {
        "apiVersion": SNAPSHOTS.api_version,
        "kind": SNAPSHOTS.kind_name,
        # Without an owner: whether it goes with its ServiceBackup is up to the policy of that.
        "metadata": {
            "name": name_for(order.item),
            "namespace": order.namespace,
            "labels": {LABEL: order.service, "app.kubernetes.io/managed-by": "stateward", **_copy_of(order)},
            "annotations": {METADATA: told.model_copy(update={"snapshot": name_for(order.item)}).dump()},
        },
        "spec": {"volumeSnapshotClassName": kind, "source": {"persistentVolumeClaimName": claim}},
    }
    try:
        hub.cluster.create(SNAPSHOTS.path_to(order.namespace), body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status in (400, 403, 404, 422):
            raise NotNowError(f"the VolumeSnapshot cannot be made: {error}") from None
        if error.status != 409:
            raise
    return AT_ONCE


def _copy_of(order: Order) -> dict[str, str]:
    name = text_of(order.model.metadata, "name")
    return {COPY_OF: name} if len(name) <= _LABEL else {}


def _waits(order: Order, told: Metadata, snapshot: Object) -> float | None:
    name = name_for(order.item)
    made = datetime.fromisoformat(text_of(metadata_of(snapshot), "creationTimestamp"))
    late = order.hub.now() - made
    problem = mapping_of(mapping_of(snapshot, "status"), "error")
    said = outcome.last_line(text_of(problem, "message"))
    why = f"VolumeSnapshot {name}: {said}" if said else f"VolumeSnapshot {name} is made by its storage"
    if late > (PATIENCE if said else LONGEST):
        return order.failed(f"{why}; waited for {PATIENCE if said else LONGEST}")
    return order.runs(told, why)


def _replaced(order: Order, told: Metadata, snapshot: Object) -> str:
    """Whether it may be of another volume: a claim of the same name that was made before it."""
    path = RESOURCES["PersistentVolumeClaim"].path_to(order.namespace, f"{VOLUME}-{told.member}")
    claim = order.hub.cluster.find(path)
    if claim is None or text_of(metadata_of(claim), "uid") == told.claim:
        return ""
    if text_of(metadata_of(claim), "creationTimestamp") > text_of(metadata_of(snapshot), "creationTimestamp"):
        return ""
    return f"{told.member}: its volume was replaced while it was copied; make another ServiceBackup"


def _ours(order: Order, snapshot: Object) -> bool:
    told = metadata.made(text_of(mapping_of(metadata_of(snapshot), "annotations"), METADATA) or "-")
    return (
        told is not None and told.backup == text_of(order.model.metadata, "name") and told.snapshot == name_for(order.item)
    )


# --- once it is there ------------------------------------------------------------------------------------------------


def _read_back(order: Order, record: Record, told: Metadata, snapshot: Object) -> float | None:
    result = reading_back.step(order, told, snapshot)
    if result is None:
        return AT_ONCE
    if result.state == "running":
        order.runs(told, f"it is read back: {result.reason}")
        return SOON
    reading_back.clear(order)
    if result.state == "failed":
        return order.failed(
            f"VolumeSnapshot {name_for(order.item)} was made, and nothing can be made of it: {result.reason}"
        )
    size = quantity.parse(mapping_of(snapshot, "status").get("restoreSize"))
    name = name_for(order.item)
    made = ServiceBackupStatus(
        location=record.archive().location(name), snapshots=[name], size=int(size) if size is not None else None
    )
    counted = f", {told.count} {told.what} or more" if told.count is not None else ""
    order.complete(told, record, made, f"copied and read back{counted}", "a new cluster was made of it on trial")
    return None
