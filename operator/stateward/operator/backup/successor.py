"""The service that a restore makes: what it asks for, and whether it has what the backup holds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from pydantic import ValidationError

from stateward.kube.errors import ClusterError
from stateward.operator import leftovers, service
from stateward.operator.api.v1beta1 import API_VERSION, StatefulService
from stateward.operator.backup.kinds import DRILL, FILLING, SERVICES
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.request import Request, StopError
from stateward.operator.backup.vacancy import create
from stateward.operator.observe import is_ready
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

PATIENCE: Final = timedelta(minutes=15)
"""How long a service that was made may take until it has what the backup holds."""


def wanted_by(request: Request, told: Metadata) -> StatefulService:
    """As the backup says, but for what is asked for otherwise. Drills are small and alone. Raises StopError."""
    over = request.model.spec.overrides
    spec = {**told.spec, "version": told.version}
    if over is not None:
        spec |= over.dump()
    drill = text_of(mapping_of(request.model.metadata, "labels"), DRILL)
    if drill:
        spec |= {"members": 1, "deletionPolicy": {"claims": "Delete", "finalBackup": False}}
        for name in ("backup", "resources", "availability"):
            spec.pop(name, None)
    namespace, name = request.target
    labels = {DRILL: drill} if drill else {}
    more = {"labels": labels, "ownerReferences": request.model.metadata.get("ownerReferences")} if drill else {}
    held = {"name": name, "namespace": namespace, "annotations": {FILLING: request.uid}, **more}
    try:
        return StatefulService.model_validate({"metadata": held, "spec": spec})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise StopError("Refused", f"{where}: {first['msg']}") from None


def make(request: Request, wanted: StatefulService) -> None:
    """Raises StopError, ClusterError."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "StatefulService",
        "metadata": dict(wanted.metadata),
        "spec": wanted.spec.dump(),
    }
    driver = request.hub.find(wanted.spec.engine)
    if driver is not None:
        # A store that an earlier service of this name left: it speaks of other data.
        leftovers.clear(request.hub.cluster, service.read(wanted), driver)
    try:
        create(request, SERVICES.path_to(request.namespace), body)
    except ClusterError as error:
        if error.status in (400, 403, 422):
            raise StopError("Failed", f"the service is refused: {error}", "serve") from None
        raise


def verify(request: Request, told: Metadata, made: Object) -> str:
    """Asks the first member whether it has what the backup holds; word of it. Raises StopError, ClusterError."""
    created = datetime.fromisoformat(text_of(metadata_of(made), "creationTimestamp"))
    late = request.hub.now() - created > PATIENCE
    found = request.hub.found(made)
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
    pod = found.stand.pods.get(first)
    if pod is None or not is_ready(pod):
        # It has all of it, and the Service does not lead to it yet.
        raise StopError("Failed" if late else "Verifying", f"{first}: its pod is not ready yet", "verify")
    counted = f": {told.count} {told.what}, as the backup has" if told.count is not None else ""
    return f"{found.one.title} serves{counted}"
