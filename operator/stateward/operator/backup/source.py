"""What a ServiceRestore is to be made of: where the backup lies, which it is, and how it was taken."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pydantic import ValidationError

from stateward.operator.api.v1beta1 import ServiceBackup
from stateward.operator.backup import archive
from stateward.operator.backup.archive import Archive
from stateward.operator.backup.kinds import BACKUPS
from stateward.operator.backup.record import RESTIC, SNAPSHOT, record_of
from stateward.operator.backup.request import Request, StopError


@dataclass(frozen=True, slots=True)
class Source:
    """A backup that is there."""

    archive: Archive
    snapshot: str
    """Its own id at the destination, or `latest`."""
    way: str = RESTIC
    """One of `ways.WAYS`."""
    user: int = 0
    """Who wrote it; 0: that is not known."""


def source_of(request: Request) -> Source:
    """Raises StopError, ClusterError."""
    source = request.model.spec.source
    if source.archive is not None:
        folder, _, snapshot = source.archive.location.partition("#")
        if folder.count("/") != 1 or ".." in folder:
            why = f"source.archive.location: {source.archive.location}: give NAMESPACE/NAME or NAMESPACE/NAME#SNAPSHOT"
            raise StopError("Refused", why)
        given = source.archive.encryption
        secret = given.secret if given is not None else archive.generated(folder.partition("/")[2])
        found = Source(Archive(source.archive.destination, secret, folder), snapshot or "latest")
    else:
        found = _of_backup(request)
    if found.archive.destination.snapshot is not None:
        return _snapshot(request, found)
    missing = found.archive.missing(request.hub.cluster, request.namespace)
    if missing:
        raise StopError("Pending", f"{missing}", "source")
    return found


def _snapshot(request: Request, found: Source) -> Source:
    """A VolumeSnapshot can be read in its own namespace alone."""
    namespace, name = found.archive.folder.split("/")
    if namespace != request.namespace:
        why = f"the backup is a VolumeSnapshot of {namespace}, and none is restored in another namespace"
        raise StopError("Refused", f"source: {namespace}/{name}: {why}; restore it there, or back up to a bucket (s3)")
    if found.snapshot == "latest":
        where = f"source.archive.location: {found.archive.folder}"
        raise StopError("Refused", f"{where}: it does not say which VolumeSnapshot; give {found.archive.folder}#NAME")
    return replace(found, way=SNAPSHOT)


def _of_backup(request: Request) -> Source:
    reference = request.model.spec.source.backup
    if reference is None:
        raise StopError("Refused", "source: give backup or archive")
    namespace = reference.namespace or request.namespace
    item = request.hub.cluster.find(BACKUPS.path_to(namespace, reference.name))
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
    if namespace != request.namespace and record.destination.claim is not None:
        why = (
            f"source.backup: {namespace}/{reference.name}: it lies on a claim of {namespace}, which no pod of "
            f"{request.namespace} can mount; restore it there, or back up to a bucket (s3)"
        )
        raise StopError("Refused", why)
    # Secrets are those of this namespace: a restore opens nothing that its own namespace could not open.
    snapshot = (backup.status.location or "").partition("#")[2] or "latest"
    return Source(record.archive(), snapshot, record.way, record.user)
