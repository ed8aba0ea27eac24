"""The finalizer of a service: it is held until what it is made of is gone."""

from __future__ import annotations

import logging

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.operator import deletion, leftovers
from stateward.operator.api.annotations import PAUSED
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import MANAGER
from stateward.operator.backup import final
from stateward.operator.drivers.protocol import Driver
from stateward.operator.service import FINALIZER, Service
from stateward.operator.status import Report
from stateward.operator.voice import OWN
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

_log = logging.getLogger("stateward.operator")


def hold(cluster: Cluster, item: Object) -> None:
    """Puts the finalizer on a service that has none yet. Raises ClusterError."""
    found = metadata_of(item).get("finalizers")
    several = found if isinstance(found, list) else []
    if FINALIZER not in several:
        _write(cluster, item, [*several, FINALIZER])


def end(cluster: Cluster, model: StatefulService, one: Service, item: Object, report: Report, driver: Driver | None) -> bool:
    """One step of its end; whether it is over. Raises ClusterError."""
    if FINALIZER not in (metadata_of(item).get("finalizers") or ()):
        return True
    if text_of(mapping_of(metadata_of(item), "annotations"), PAUSED) == "true":
        report.idle = ("Paused", f"paused by the annotation {PAUSED}; it is deleted once that is taken off")
        return False
    if model.spec.deletion_policy.final_backup:
        last = final.step(cluster, model, one)
        if last.state != "taken":
            report.again = deletion.AGAIN
            if last.state == "blocked":
                report.blocked = ("FinalBackup", last.message)
            else:
                report.operation = ("Backup", "final", "", last.message)
            return False
    now = deletion.step(cluster, one)
    if now.over and driver is not None:
        leftovers.end(cluster, one, driver)
    if now.over:
        _write(cluster, item, deletion.finalizers_without_ours(item))
        _log.info("%s: deleted, claims: %s", one.title, one.claims)
        return True
    report.operation = ("Delete", "end", "", now.message)
    report.change = ("", f"claims: {one.claims}")
    report.again = deletion.AGAIN
    return False


def _write(cluster: Cluster, item: Object, wanted: list[str]) -> None:
    metadata = metadata_of(item)
    path = OWN.path_to(text_of(metadata, "namespace"), text_of(metadata, "name"))
    # The whole list is written, so nobody may have written it meanwhile.
    known = {"resourceVersion": text_of(metadata, "resourceVersion"), "uid": text_of(metadata, "uid")}
    try:
        cluster.patch(path, {"metadata": {**known, "finalizers": wanted}}, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 404:
            raise
