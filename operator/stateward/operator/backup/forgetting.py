"""What restic has written for a ServiceBackup goes with it, where that is asked for."""

from __future__ import annotations

from stateward.kube.errors import ClusterError
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.kinds import FINALIZER, JOBS
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import Record
from stateward.policies.view import metadata_of


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
        result = hub.run(work.forget())
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
