"""The kinds of backups, where they stand in the API, and what is noted on objects."""

from __future__ import annotations

from typing import Any, Final

from stateward.kube.definition import GROUP
from stateward.kube.discovery import Resource
from stateward.operator.api.v1beta1 import API_VERSION, VERSION
from stateward.operator.service import Key
from stateward.policies.view import Kind, Object, metadata_of, text_of

BACKUP: Final[Kind] = f"ServiceBackup.{GROUP}"
RESTORE: Final[Kind] = f"ServiceRestore.{GROUP}"
JOB: Final[Kind] = "Job.batch"
WATCHED: Final[tuple[Kind, ...]] = (BACKUP, RESTORE, JOB)

BACKUPS: Final = Resource(BACKUP, GROUP, VERSION, "servicebackups", True, frozenset())
RESTORES: Final = Resource(RESTORE, GROUP, VERSION, "servicerestores", True, frozenset())
SERVICES: Final = Resource(f"StatefulService.{GROUP}", GROUP, VERSION, "statefulservices", True, frozenset())
JOBS: Final = Resource(JOB, "batch", "v1", "jobs", True, frozenset())

_STORAGE: Final = "snapshot.storage.k8s.io"
SNAPSHOTS: Final = Resource(f"VolumeSnapshot.{_STORAGE}", _STORAGE, "v1", "volumesnapshots", True, frozenset())
SNAPSHOT_CLASSES: Final = Resource(
    f"VolumeSnapshotClass.{_STORAGE}", _STORAGE, "v1", "volumesnapshotclasses", False, frozenset()
)

FINALIZER: Final = f"{GROUP}/backup"
RECORD: Final = f"{GROUP}/archive"
"""Annotation of a ServiceBackup: where it lies and what it is of, as JSON. Its service may change, or be gone."""
METADATA: Final = f"{GROUP}/metadata"
"""Annotation of a ServiceRestore and of a VolumeSnapshot: what the backup says of itself."""
COPY_OF: Final = f"{GROUP}/servicebackup"
"""Label of a VolumeSnapshot: the ServiceBackup that it holds. By it the rules know what a snapshot is worth."""
READ_BACK: Final = f"{GROUP}/read-back"
"""Annotation of a VolumeSnapshot: `good`, or why nothing could be made of it."""
SCHEDULED: Final = f"{GROUP}/scheduled"
"""Label of a ServiceBackup that was made by schedule: retention is for these alone."""
DRILL: Final = f"{GROUP}/drill"
"""Label of a restore on trial and of what it makes: the service that it is of."""
FILLING: Final = f"{GROUP}/restore"
"""Annotation of a claim and of a service: the uid of the ServiceRestore that made it."""
FILLED: Final = f"{GROUP}/restored"
"""Annotation of a claim: all of the backup is on it."""


def key_of(kind: str, namespace: str, name: str) -> Key:
    """The key of a backup or a restore; no service has a slash in its name."""
    return namespace, f"{kind.partition('.')[0]}/{name}"


def owner_of(item: Object) -> dict[str, Any]:
    """The reference by which Jobs go with the object that they are for."""
    metadata = metadata_of(item)
    return {
        "apiVersion": API_VERSION,
        "kind": text_of(item, "kind"),
        "name": text_of(metadata, "name"),
        "uid": text_of(metadata, "uid"),
        "controller": True,
        "blockOwnerDeletion": True,
    }
