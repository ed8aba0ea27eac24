"""A restore by restic and the engine's own tool: a Job that reads what a backup is of, another that fills a claim."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import orjson

from stateward.operator import service
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup import metadata, vacancy
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.outcome import Outcome
from stateward.operator.backup.request import Request, StopError
from stateward.operator.backup.source import Source
from stateward.operator.drivers.protocol import Driver, Place
from stateward.operator.repository import repository_at
from stateward.operator.service import Service
from stateward.policies.view import Object, metadata_of, text_of

READER: Final = 65532
"""Who looks into a repository before it is known whose engine it is of; a claim lets the group of its files in."""


def inspect(request: Request, source: Source) -> Metadata:
    """Reads what the backup says of itself. Raises StopError, ClusterError."""
    # Files of a repository on a claim are its writer's alone: it is read as the same user where that is known.
    work = Work(request.item, request.target[1], source.archive, request.hub.restic, source.user or READER)
    result = request.hub.run(work.inspect(source.snapshot))
    if result.state == "failed":
        raise StopError("Failed", f"the backup cannot be read: {result.reason}", "inspect")
    if result.state == "running":
        raise StopError("Running", result.reason, "inspect")
    if "inspect" not in result.said:
        request.hub.drop(request.namespace, name_of(request.item, "inspect"))  # its pod is gone with what it said
        raise StopError("Running", "it is read again", "inspect")
    told = metadata.unpacked(result.said["inspect"])
    if told is None:
        raise StopError("Failed", "the backup does not say what it is of: it is none of ours, or its metadata are too long")
    return told


def fill(request: Request, source: Source, told: Metadata, wanted: StatefulService, driver: Driver, claim: Object) -> None:
    """Puts the backup onto the claim, and notes that it is there. Raises StopError, ClusterError."""
    one = service.read(wanted)
    # With the tools of the version that is to run: those of an older one write what it may not read.
    before = source.archive
    repository = repository_at(before.destination, before.secret, before.folder, told.uid)
    place, member = founder(one, driver), one.member(0)
    copying = driver.archiving(one.repository).copying(place, member, request.uid[:8], repository)
    if copying is None:
        raise StopError("Refused", f"engine: {told.engine}: backups of it cannot be restored yet")
    container = driver.container(one.version)
    work = Work(request.item, one.name, source.archive, request.hub.restic, container.user)
    image = one.image or container.image
    claimed = text_of(metadata_of(claim), "name")
    until = request.model.spec.point_in_time
    if until is not None:
        # The newest backup before that is taken, unless somebody has said which.
        pinned = "true" if source.snapshot != "latest" else ""
        copying = replace(copying, filling={**copying.filling, "UNTIL": until.isoformat(), "PINNED": pinned})
    result = request.hub.run(work.fill(container, one, image, copying, claimed, told.snapshot))
    if result.state == "running":
        raise StopError("Running", result.reason, "fill")
    if result.state == "failed":
        vacancy.drop(request, wanted)
        _, refused, why = result.reason.partition("pointInTime: ")
        raise StopError("Refused", f"{refused}{why}", "fill") if refused else StopError("Failed", result.reason, "fill")
    vacancy.filled(request, wanted, _recovered(result))


def founder(one: Service, driver: Driver) -> Place:
    """A service's first member, alone."""
    tls = driver.encrypts and one.tls
    return Place(one.namespace, one.name, one.version, [one.member(0)], False, one.parameters, tls, bool(one.wal))


def _recovered(result: Outcome) -> str:
    """Up to which time, by the engine's own tool; "true" where it is what the backup holds."""
    try:
        return str(orjson.loads(result.said.get("restore-0", "") or "{}").get("recovered") or "true")
    except (orjson.JSONDecodeError, AttributeError):
        return "true"
