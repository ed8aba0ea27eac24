"""One look at one ServiceRestore: at most one step, and word of it. How data comes back is up to its way (`ways`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from pydantic import ValidationError

from stateward.operator.api.v1beta1 import API_VERSION, ServiceRestore
from stateward.operator.backup import successor, vacancy, verdict
from stateward.operator.backup.hub import AT_ONCE, SOON, WAITING, Hub
from stateward.operator.backup.kinds import FILLED, METADATA, RESTORE, RESTORES
from stateward.operator.backup.request import Request, StopError
from stateward.operator.backup.source import source_of
from stateward.operator.backup.ways import WAYS
from stateward.operator.service import Key
from stateward.policies.view import mapping_of, metadata_of, text_of

WAITS: Final = timedelta(hours=1)
"""How long a restore may wait for what it needs."""


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
        request = Request(self._hub, model, item)
        try:
            _step(request)
        except StopError as stop:
            late = stop.phase == "Pending" and self._hub.now() - request.began > WAITS
            request.say("Failed" if late else stop.phase, stop.message, stop.step)
            return WAITING if stop.phase == "Pending" else SOON
        return AT_ONCE


def _step(request: Request) -> None:
    """One write, or StopError with what is waited for."""
    source, told, hub = source_of(request), request.told(), request.hub
    way = WAYS.get(source.way)
    if way is None:
        why = f"source: the backup was taken by {source.way}, which is not known here; update the operator"
        raise StopError("Refused", why)
    if told is None:
        vacancy.free(request)
        hub.annotate(RESTORES, request.item, {METADATA: way.inspect(request, source).dump()})
        return
    driver = hub.find(told.engine)
    wanted = successor.wanted_by(request, told)
    problem = verdict.refused(request.model.spec, told, wanted, driver) or verdict.of_time(
        request.model.spec.point_in_time, told, driver, hub.now(), named=source.snapshot != "latest"
    )
    if problem or driver is None:
        raise StopError("Refused", problem)
    claims = vacancy.claims_of(request, wanted)
    if None in claims:
        vacancy.free(request)
        vacancy.make_claim(request, wanted, claims.index(None), driver.encrypts and wanted.spec.tls.enabled)
        return
    claim = claims[0]
    if claim is not None and FILLED not in mapping_of(metadata_of(claim), "annotations"):
        if "deletionTimestamp" in metadata_of(claim):
            raise StopError("Failed", "its claim was deleted while it was filled")
        way.fill(request, source, told, wanted, driver, claim)
        return
    way.clear(request)
    made = hub.service(request.target)
    if made is None:
        successor.make(request, wanted)
        return
    if not request.made(made):
        raise StopError("Failed", f"service: {request.target[1]}: somebody else has made it meanwhile")
    reached = text_of(mapping_of(metadata_of(claim), "annotations"), FILLED) if claim is not None else ""
    request.say("Complete", successor.verify(request, told, made), told=told, reached=reached)
