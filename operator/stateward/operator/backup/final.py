"""The last backup of a service that is deleted: nothing of it goes before that is complete and read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.operator.api.v1beta1 import API_VERSION, ServiceBackup, StatefulService
from stateward.operator.apply import MANAGER
from stateward.operator.backup.kinds import BACKUPS
from stateward.operator.backup.record import record_of
from stateward.operator.objects.common import LABEL
from stateward.operator.service import Service


@dataclass(frozen=True, slots=True)
class Last:
    """How far the last backup is."""

    state: Literal["taken", "running", "blocked"]
    message: str = ""


def name_of(one: Service) -> str:
    """Of this very service's last backup."""
    return f"{one.name}-final-{one.uid[:8]}"


def step(cluster: Cluster, model: StatefulService, one: Service) -> Last:
    """Takes at most one step. Raises ClusterError."""
    name = name_of(one)
    item = cluster.find(BACKUPS.path_to(one.namespace, name))
    if item is None:
        return _make(cluster, model, one, name)
    try:
        backup, record = ServiceBackup.model_validate(item), record_of(item)
    except ValidationError:
        return Last("blocked", f"ServiceBackup {name}: it cannot be read; delete it")
    status = backup.status
    if status.phase == "Complete" and status.verified is not None and record is not None and record.uid == one.uid:
        return Last("taken", f"{name} is complete and read back")
    if status.phase in ("Failed", "Complete"):
        why = f"ServiceBackup {name}: {status.message}; nothing goes: mend it and delete that ServiceBackup for another try"
        return Last("blocked", f"{why}, or set deletionPolicy.finalBackup to false")
    return Last("running", f"its last backup is taken: {status.message or 'it is to begin'}")


def _make(cluster: Cluster, model: StatefulService, one: Service, name: str) -> Last:
    plan = model.spec.backup
    if plan is None:
        why = "deletionPolicy.finalBackup: true: nobody says where to (spec.backup); nothing goes"
        return Last("blocked", f"{why}: give backup.destination, or set finalBackup to false")
    # It stays, whatever retention says: it is all that is left.
    spec = {"service": one.name, "destination": plan.destination.dump(), "deletionPolicy": "Retain"}
    if plan.encryption is not None:
        spec["encryption"] = plan.encryption.dump()
    labels = {LABEL: one.name, "app.kubernetes.io/managed-by": "stateward"}
    metadata = {"name": name, "namespace": one.namespace, "labels": labels}
    body = {"apiVersion": API_VERSION, "kind": "ServiceBackup", "metadata": metadata, "spec": spec}
    try:
        cluster.create(BACKUPS.path_to(one.namespace), body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status == 403 and "being terminated" in str(error):
            why = "deletionPolicy.finalBackup: true: its namespace is being deleted, where nothing can be made any more"
            return Last("blocked", f"{why}; set it to false to let go")
        if error.status == 404:
            why = "deletionPolicy.finalBackup: true: the kind ServiceBackup is not served"
            return Last("blocked", f"{why}; apply its CustomResourceDefinition, or set it to false")
        if error.status != 409:
            raise
    return Last("running", "its last backup is taken")
