"""A backup by the engine's own tool and restic: a Job that dumps, writes, and reads back what it wrote."""

from __future__ import annotations

from typing import Any

import orjson

from stateward.operator.api.v1beta1 import ServiceBackupStatus
from stateward.operator.backup import metadata
from stateward.operator.backup.hub import AT_ONCE, SOON
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.kinds import JOBS
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.order import Order
from stateward.operator.backup.outcome import Outcome
from stateward.operator.backup.record import Record
from stateward.operator.backup.subject import NotNowError, subject_of
from stateward.operator.observe import place_of
from stateward.policies.view import Object, items_of, mapping_of, text_of


def take(order: Order, record: Record) -> float | None:
    """At most one step; seconds until the next look. Raises ClusterError."""
    job = order.hub.cluster.find(JOBS.path_to(order.namespace, name_of(order.item, "take")))
    if job is None:
        try:
            return _start(order, record)
        except NotNowError as error:
            return order.failed(error.why) if error.final else order.waits(error.why)
    result = order.hub.run(job)
    told = _metadata(job)
    if told is None:
        return order.failed("its Job is not one of ours")
    if result.state == "failed":
        return order.failed(result.reason)
    if result.state == "running":
        return order.runs(told, result.reason)
    return _complete(order, record, told, result)


def _start(order: Order, record: Record) -> float:
    hub = order.hub
    subject = subject_of(order, record, record.archive().missing(hub.cluster, order.namespace))
    found = subject.found
    place = place_of(found.one, found.stand.running, found.stand.formed)
    copying = found.driver.copying(place, subject.member.name, record.uid[:8])
    if copying is None:
        raise NotNowError(f"engine: {found.one.engine}: backups of it cannot be taken yet", final=True)
    if order.model.status.started is None:
        return order.begins()
    told = subject.metadata(order)
    container = found.driver.container(found.stand.running.version, found.stand.running.tls)
    work = Work(order.item, found.one.name, record.archive(), hub.restic, container.user)
    tags = f"service={record.uid},engine={told.engine},version={told.version}"
    hub.run(work.take(container, found.one, found.stand.running.image, copying, told.dump(), tags))
    return AT_ONCE


def _complete(order: Order, record: Record, told: Metadata, result: Outcome) -> float | None:
    try:
        said = orjson.loads(result.said.get("store", ""))
        snapshot, size = str(said["snapshot"]), int(said["size"]) + _elsewhere(result)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        # Its pod is gone with what it said. What it wrote is there: the next Job finds it.
        order.hub.drop(order.namespace, name_of(order.item, "take"))
        return SOON
    counted = f", {told.count} {told.what}" if told.count is not None else ""
    location, checksum = record.archive().location(snapshot), f"sha256:{snapshot}"
    made = ServiceBackupStatus(location=location, encrypted=True, size=size, checksum=checksum)
    read = "every block was read back and checked by its hash"
    order.complete(told, record, made, f"written and read back{counted}", read)
    return None


def _elsewhere(result: Outcome) -> int:
    """Bytes that the engine's own tool says it has written to a place of its own."""
    try:
        return int(orjson.loads(result.said.get("dump-0", "") or "{}").get("size", 0))
    except (orjson.JSONDecodeError, AttributeError, TypeError, ValueError):
        return 0


def _metadata(job: Object) -> Metadata | None:
    """What the Job was told to write beside the data."""
    pod = mapping_of(mapping_of(mapping_of(job, "spec"), "template"), "spec")
    last: Any = next(iter(items_of(pod, "containers")), {})
    text = next((text_of(one, "value") for one in items_of(last, "env") if one.get("name") == "METADATA"), "")
    return metadata.made(text.replace("$$(", "$("))
