"""VolumeSnapshots that hold what operators record as backups."""

from __future__ import annotations

from typing import Final

from stateward.policies.adapters.records import BackupRecord
from stateward.policies.view import (
    SNAPSHOT,
    UNKNOWN,
    Kind,
    Object,
    Sight,
    Unknown,
    label_of,
    mapping_of,
    metadata_of,
    text_of,
)

CONTENT: Final[Kind] = "VolumeSnapshotContent.snapshot.storage.k8s.io"
"""What a VolumeSnapshot is bound to, as a volume is to a claim."""

_GOING: Final = "snapshot.storage.kubernetes.io/volumesnapshot-being-deleted"
"""Annotation of a content whose snapshot was deleted (external-snapshotter, `utils.AnnVolumeSnapshotBeingDeleted`)."""


def rests_on(form: BackupRecord, record: Object, snapshot: Object) -> bool:
    """Whether what a record stands for is, or is partly, in a snapshot of its namespace."""
    if text_of(metadata_of(snapshot), "name") in form.snapshots(record):
        return True
    named = form.in_snapshots(record) and label_of(snapshot, form.snapshot_label or "")
    return bool(named) and named == text_of(metadata_of(record), "name")


def is_whole(form: BackupRecord, record: Object, namespace: str, see: Sight, without: str = "") -> bool | Unknown:
    """Whether the snapshots that a record needs are there, but for the one `without`; of others nothing is asked.

    Needs a look at VolumeSnapshot.
    """
    names = form.snapshots(record)
    if without in names:
        return False
    blind = False
    for name in names:
        found = see.get(SNAPSHOT, namespace, name)
        if found is None or (found is not UNKNOWN and metadata_of(found).get("deletionTimestamp")):
            return False
        blind |= found is UNKNOWN
    if names or not form.in_snapshots(record):
        return UNKNOWN if blind else True
    known = see.select(SNAPSHOT, namespace)
    if known is UNKNOWN:
        return UNKNOWN
    return any(
        text_of(metadata_of(one), "name") != without
        and rests_on(form, record, one)
        and not metadata_of(one).get("deletionTimestamp")
        and mapping_of(one, "status").get("readyToUse") is True
        for one in known
    )


def is_kept(snapshot: Object, see: Sight) -> bool:
    """Whether what a snapshot holds is known to outlive it. Needs a look at VolumeSnapshotContent."""
    name = text_of(mapping_of(snapshot, "status"), "boundVolumeSnapshotContentName")
    content = see.get(CONTENT, "", name) if name else None
    return content is not UNKNOWN and content is not None and _policy(content) == "Retain"


def goes_with(content: Object, see: Sight) -> Object | None:
    """The snapshot whose data a content's deletion takes away; None where nothing is lost or its snapshot goes anyway.

    Needs a look at VolumeSnapshot.
    """
    annotations = mapping_of(metadata_of(content), "annotations")
    if _policy(content) != "Delete" or annotations.get(_GOING) == "yes":
        return None
    reference = mapping_of(mapping_of(content, "spec"), "volumeSnapshotRef")
    found = see.get(SNAPSHOT, text_of(reference, "namespace"), text_of(reference, "name"))
    if found is UNKNOWN or found is None or metadata_of(found).get("deletionTimestamp"):
        return None
    uid, other = reference.get("uid"), metadata_of(found).get("uid")
    return None if isinstance(uid, str) and isinstance(other, str) and uid != other else found


def _policy(content: Object) -> str:
    return text_of(mapping_of(content, "spec"), "deletionPolicy")
