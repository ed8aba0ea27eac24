"""A backup begins: where it will lie and how it is made is noted, and nothing else is written."""

from __future__ import annotations

import orjson
from pydantic import ValidationError

from stateward.operator.api.parts import Destination, Encryption
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup import archive
from stateward.operator.backup.hub import AT_ONCE
from stateward.operator.backup.kinds import BACKUPS, FINALIZER, RECORD, SCHEDULED
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import RESTIC, SNAPSHOT, Record
from stateward.operator.drivers.protocol import Driver
from stateward.operator.repository import repository_of
from stateward.policies.view import mapping_of, metadata_of, text_of


def begin(order: Order) -> float | None:
    """One write, or word of what is wrong; seconds until the next look. Raises ClusterError."""
    hub, model, namespace = order.hub, order.model, order.namespace
    found = hub.service((namespace, order.service))
    if found is None:
        return order.failed(f"service: {order.service}: there is none of this name in {namespace}")
    try:
        service = StatefulService.model_validate(found)
    except ValidationError:
        return order.waits(f"service: {order.service}: its spec cannot be read")
    plan = service.spec.backup
    destination = model.spec.destination or (plan.destination if plan is not None else None)
    if destination is None:
        return order.failed(f"destination: give one here, or backup.destination of {order.service}")
    encryption = model.spec.encryption or (plan.encryption if plan is not None else None)
    if destination.snapshot is not None and encryption is not None:
        why = "a VolumeSnapshot is encrypted by its storage, or not at all"
        return order.failed(f"encryption: {why}; leave it out, or give a claim or a bucket (s3) as destination")
    if destination.snapshot is None and encryption is None:
        archive.make_password(hub.cluster, namespace, order.service)
    driver = hub.find(service.spec.engine)
    archives = driver is not None and driver.archives and destination.snapshot is None
    if driver is not None and archives and (problem := _apart(order, service, driver)):
        return order.failed(problem)
    scheduled = text_of(mapping_of(model.metadata, "labels"), SCHEDULED) == "true"
    record = Record(
        destination=destination,
        secret=_secret(order, destination, encryption),
        folder=f"{namespace}/{order.service}",
        uid=text_of(service.metadata, "uid"),
        days=plan.retention.days if plan is not None and scheduled else 0,
        user=driver.container(service.spec.version).user if driver is not None else 0,
        way=SNAPSHOT if destination.snapshot is not None else RESTIC,
    )
    if driver is not None and archives:
        image = service.spec.image or driver.container(service.spec.version).image
        record = record.model_copy(update={"engine": driver.engine, "version": service.spec.version, "image": image})
    held = metadata_of(order.item).get("finalizers")
    finalizers = [*(held if isinstance(held, list) else []), FINALIZER]
    noted = orjson.dumps(record.dump()).decode()
    hub.annotate(BACKUPS, order.item, {RECORD: noted}, finalizers=list(dict.fromkeys(finalizers)))
    return AT_ONCE


def _secret(order: Order, destination: Destination, encryption: Encryption | None) -> str:
    if destination.snapshot is not None:
        return ""
    return encryption.secret if encryption is not None else archive.generated(order.service)


def _apart(order: Order, service: StatefulService, driver: Driver) -> str:
    """Why a backup cannot lie there: one without the log that was written meanwhile is none."""
    plan, asked = service.spec.backup, order.model.spec
    if plan is None:
        return f"service: {order.service}: its log is not archived, and no backup is whole without; give it spec.backup"
    for field, own, other in (
        ("destination", asked.destination, plan.destination),
        ("encryption", asked.encryption, plan.encryption),
    ):
        if own is not None and own != other:
            return f"{field}: the backups of {driver.engine} lie with its log: leave it out, or give that of {order.service}"
    repository = repository_of(service)
    if repository is None:
        return f"destination: the log of {driver.engine} is archived to a bucket alone; give s3"
    return driver.unfit(repository, service.spec.tls.enabled)
