"""The end of a service: its pods first, then its claims if that is asked for, its own object last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from stateward.kube.client import Cluster
from stateward.kube.discovery import Resource
from stateward.kube.errors import ClusterError
from stateward.operator.apply import MANAGER, RESOURCES, owned
from stateward.operator.backup.kinds import JOBS
from stateward.operator.objects.chores import WORKS_ON
from stateward.operator.objects.common import LABEL
from stateward.operator.observe import claim_ordinal
from stateward.operator.service import FINALIZER, Service
from stateward.policies.view import Kind, Object, mapping_of, metadata_of, text_of
from stateward.policies.waiver import CONFIRM_DELETE

AGAIN: Final = 2.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How far it is: `message` says what was done or is waited for; `over` that the finalizer may go."""

    message: str
    over: bool = False


def step(cluster: Cluster, service: Service) -> Ending:
    """Takes one step. Raises ClusterError. What is gone already is gone: every step can be taken twice.

    All is as the server has it, not as it was last heard: a pod that is missed here would lose its volume while it writes.
    """
    item = _set(cluster, service)
    if item is not None and owned(item, service):
        if "deletionTimestamp" not in metadata_of(item):
            delete(cluster, "StatefulSet.apps", item, "Foreground")
        return Ending("its pods end")
    pods = _live(cluster, "Pod", service)
    if pods:
        return Ending(f"{len(pods)} of its pods end")
    jobs = cluster.get(JOBS.path_to(service.namespace), {"labelSelector": f"{WORKS_ON}={service.name}"}).get("items") or ()
    for job in jobs:
        drop(cluster, job)
    if jobs:
        return Ending(f"{len(jobs)} Jobs that use its claims end")
    if service.claims == "Delete":
        claims = [
            claim for claim in _live(cluster, "PersistentVolumeClaim", service) if claim_ordinal(service, claim) is not None
        ]
        for claim in claims:
            if "deletionTimestamp" not in metadata_of(claim):
                delete(cluster, "PersistentVolumeClaim", claim, "Background")
        if claims:
            return Ending(f"{len(claims)} of its claims are deleted (deletionPolicy.claims: Delete)")
    return Ending("all of it is gone", over=True)


def finalizers_without_ours(item: Object) -> list[str]:
    """The finalizers of others."""
    found = metadata_of(item).get("finalizers")
    return [one for one in found if one != FINALIZER] if isinstance(found, list) else []


def _set(cluster: Cluster, service: Service) -> Object | None:
    return cluster.find(RESOURCES["StatefulSet.apps"].path_to(*service.key))


def _live(cluster: Cluster, kind: Kind, service: Service) -> list[Object]:
    path = RESOURCES[kind].path_to(service.namespace)
    found = cluster.get(path, {"labelSelector": f"{LABEL}={service.name}"}).get("items")
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def drop(cluster: Cluster, job: Object) -> None:
    """Deletes this very Job; it is there until its pods are gone."""
    metadata = metadata_of(job)
    if "deletionTimestamp" in metadata:
        return
    options = {"propagationPolicy": "Foreground", "preconditions": {"uid": text_of(metadata, "uid")}}
    try:
        cluster.delete(JOBS.path_to(text_of(metadata, "namespace"), text_of(metadata, "name")), options)
    except ClusterError as error:
        if error.status not in (404, 409):
            raise


def delete(cluster: Cluster, kind: Kind, item: Object, propagation: str, *, force: bool = False) -> None:
    """Deletes this very object, not another of the same name.

    It is confirmed first, as anybody's deletion has to be: at the door this is a write like any other. `force`: at once,
    without word of the kubelet that what runs has ended; for what is known to run no more.
    """
    delete_at(cluster, RESOURCES[kind], item, propagation, force=force)


def delete_at(cluster: Cluster, resource: Resource, item: Object, propagation: str, *, force: bool = False) -> None:
    """The same for any kind."""
    metadata = metadata_of(item)
    path = resource.path_to(text_of(metadata, "namespace"), text_of(metadata, "name"))
    options: dict[str, Any] = {"propagationPolicy": propagation, "preconditions": {"uid": text_of(metadata, "uid")}}
    if force:
        options["gracePeriodSeconds"] = 0
    name = text_of(metadata, "name")
    confirmed = {"uid": text_of(metadata, "uid"), "annotations": {CONFIRM_DELETE: name}}
    try:
        if text_of(mapping_of(metadata, "annotations"), CONFIRM_DELETE) != name:
            cluster.patch(path, {"metadata": confirmed}, field_manager=MANAGER)
        cluster.delete(path, options)
    except ClusterError as error:
        if error.status not in (404, 409):
            raise
