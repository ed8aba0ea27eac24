"""What restic has written for a ServiceBackup goes with it, where that is asked for."""

from __future__ import annotations

from dataclasses import replace

from stateward.kube.errors import ClusterError
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.kinds import FINALIZER, JOBS
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import Record
from stateward.operator.drivers.protocol import Copying, Place
from stateward.operator.operations import hops
from stateward.operator.repository import repository_at
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def _copying(order: Order, record: Record) -> Copying | None:
    """How the engine's own tool deletes what it has written to a place of its own; None where it writes nothing there.

    Raises ClusterError.
    """
    driver = order.hub.find(record.engine) if record.engine else None
    if driver is None or not driver.archives:
        return None
    repository = repository_at(record.destination, record.secret, record.folder, record.uid)
    place = Place(order.namespace, order.service, record.version, [f"{order.service}-0"], True)
    copying = driver.copying(place, f"{order.service}-0", record.uid[:8], repository)
    if copying is None or written_to(order.hub.service((order.namespace, order.service)), record):
        return copying
    return replace(copying, filling={**copying.filling, "GONE": "true"})


def written_to(service: Object | None, record: Record) -> bool:
    """Whether the service that a backup is of writes where it lies: it is there, and has no other major for good."""
    if service is None or text_of(metadata_of(service), "uid") != record.uid:
        return False
    now = text_of(mapping_of(service, "status"), "finalisedVersion")
    return not (now and hops.major(record.version, now))


def forget(order: Order, record: Record) -> str:
    """What is waited for; "" where nothing of it is left at the destination. Raises ClusterError."""
    namespace, hub, model = order.namespace, order.hub, order.model
    taking = name_of(order.item, "take")
    job = hub.cluster.find(JOBS.path_to(namespace, taking))
    if job is not None:
        # A pod that still writes would write after everything was deleted.
        if "deletionTimestamp" not in metadata_of(job):
            hub.cluster.delete(JOBS.path_to(namespace, taking), {"propagationPolicy": "Foreground"})
        return "its Job ends"
    claim = record.destination.claim
    if model.spec.deletion_policy == "Retain" or model.status.started is None:
        return ""
    missing = record.archive().missing(hub.cluster, namespace)
    if missing and claim is not None and missing.startswith("destination.claim"):
        return ""  # it went with the claim
    if missing:
        return f"{missing}; or let it lie: take the finalizer {FINALIZER} off"
    work = Work(order.item, model.spec.service, record.archive(), hub.restic, record.user)
    try:
        result = hub.run(work.forget(record.image, _copying(order, record)))
    except ClusterError as error:
        if error.status == 403 and "being terminated" in str(error):
            return ""  # the namespace goes, and nothing can be run there any more
        raise
    if result.state == "failed" and model.status.location is None:
        return ""  # it has never been complete, and where it was to lie cannot be opened
    if result.state == "failed":
        left = f"mend it and delete the Job {name_of(order.item, 'forget')}"
        return f"{result.reason}; what it has left there stays: {left}"
    return "" if result.state == "done" else f"it is deleted at its destination: {result.reason}"
