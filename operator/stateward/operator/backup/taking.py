"""One look at one ServiceBackup: at most one step, and word of it. How a copy is made is up to its way (`ways`)."""

from __future__ import annotations

from pydantic import ValidationError

from stateward.kube.errors import ClusterError
from stateward.operator.api.v1beta1 import ServiceBackup
from stateward.operator.apply import MANAGER
from stateward.operator.backup.beginning import begin
from stateward.operator.backup.hub import Hub
from stateward.operator.backup.kinds import BACKUP, BACKUPS, FINALIZER
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import Record, record_of
from stateward.operator.backup.ways import WAYS
from stateward.operator.service import Key
from stateward.policies.view import metadata_of, text_of


class Taking:
    """Takes backups. Everything that it remembers is in the cluster."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def __call__(self, key: Key) -> float | None:
        """Takes at most one step; seconds until the next look. Raises ClusterError."""
        item = self._hub.kinds.get(BACKUP, *key)
        if item is None:
            return None
        item = {**item, "apiVersion": "stateward.dev/v1beta1", "kind": "ServiceBackup"}
        try:
            model = ServiceBackup.model_validate(item)
        except ValidationError:
            return None
        order, record = Order(self._hub, model, item), record_of(item)
        if "deletionTimestamp" in metadata_of(item):
            return _end(order, record)
        if model.status.phase == "Complete":
            self._hub.tidy(item, "take")
        if model.status.phase in ("Complete", "Failed"):
            return None
        if record is None:
            return begin(order)
        way = WAYS.get(record.way)
        return way.take(order, record) if way is not None else order.waits(_unknown(record))


def _unknown(record: Record) -> str:
    return f"it was begun by a newer Stateward, by {record.way}, which is not known here; update the operator"


def _end(order: Order, record: Record | None) -> float | None:
    """What was written goes first, where that is asked for; then the finalizer."""
    held = metadata_of(order.item).get("finalizers")
    if not isinstance(held, list) or FINALIZER not in held:
        return None
    if record is not None:
        way = WAYS.get(record.way)
        why = way.forget(order, record) if way is not None else _unknown(record)
        if why:
            return order.deletes(why)
    rest = [one for one in held if one != FINALIZER]
    metadata = order.model.metadata
    path = BACKUPS.path_to(order.namespace, text_of(metadata, "name"))
    known = {"uid": text_of(metadata, "uid"), "resourceVersion": text_of(metadata, "resourceVersion")}
    try:
        order.hub.cluster.patch(path, {"metadata": {**known, "finalizers": rest}}, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 404:
            raise
    return None
