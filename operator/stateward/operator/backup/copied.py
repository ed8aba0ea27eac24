"""A claim that is made of a VolumeSnapshot, for a Job to read: it goes again once that is done."""

from __future__ import annotations

from typing import Any, Final

from stateward.kube.errors import ClusterError
from stateward.operator import deletion
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup.hub import Hub
from stateward.operator.backup.jobs import name_of
from stateward.operator.backup.kinds import JOBS, SNAPSHOTS, owner_of
from stateward.operator.backup.metadata import Metadata
from stateward.operator.objects.common import Item
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

_PURPOSE: Final = "image"
_CLAIMS: Final = RESOURCES["PersistentVolumeClaim"]


def make(hub: Hub, item: Object, told: Metadata, snapshot: Object) -> bool:
    """Makes the claim for this ServiceBackup or ServiceRestore; False where it was there. Raises ClusterError."""
    namespace, name = text_of(metadata_of(item), "namespace"), name_of(item, _PURPOSE)
    if hub.cluster.find(_CLAIMS.path_to(namespace, name)) is not None:
        return False
    # A snapshot of a volume that has grown, or was rounded up by its storage, does not go onto a smaller one.
    size = text_of(mapping_of(snapshot, "status"), "restoreSize") or told.service_spec().storage.size
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": size}},
        "dataSource": {
            "apiGroup": SNAPSHOTS.group,
            "kind": SNAPSHOTS.kind_name,
            "name": text_of(metadata_of(snapshot), "name"),
        },
    }
    if told.storage_class:
        spec["storageClassName"] = told.storage_class
    metadata = {
        "name": name,
        "namespace": namespace,
        "labels": {"app.kubernetes.io/managed-by": "stateward", "app.kubernetes.io/component": _PURPOSE},
        "ownerReferences": [owner_of(item)],
    }
    body: Item = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
    try:
        hub.cluster.create(_CLAIMS.path_to(namespace), body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 409:
            raise
    return True


def name_for(item: Object) -> str:
    """The claim's."""
    return name_of(item, _PURPOSE)


def clear(hub: Hub, item: Object, purpose: str) -> None:
    """The Job that has read it goes, then the claim, where they are there. Raises ClusterError."""
    namespace, job = text_of(metadata_of(item), "namespace"), name_of(item, purpose)
    if hub.cluster.find(JOBS.path_to(namespace, job)) is not None:
        hub.drop(namespace, job)
    claim = hub.cluster.find(_CLAIMS.path_to(namespace, name_of(item, _PURPOSE)))
    if claim is not None and "deletionTimestamp" not in metadata_of(claim):
        deletion.delete(hub.cluster, "PersistentVolumeClaim", claim, "Background")
