"""The name and the claims of the service that a restore makes: all have to be free, and are its own from then on."""

from __future__ import annotations

from typing import Any

from stateward.kube.errors import ClusterError
from stateward.operator import deletion
from stateward.operator.api.spec import Volume
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup.kinds import FILLED, FILLING
from stateward.operator.backup.request import Request, StopError
from stateward.operator.objects.common import LABEL, SPEAKS_TLS, VOLUME, WAL, Item
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

_CLAIMS = RESOURCES["PersistentVolumeClaim"]


def free(request: Request) -> None:
    """Whether nothing of this name is there: a restore never goes over a service that is, nor over its data.

    Raises StopError, ClusterError.
    """
    namespace, name = request.target
    made = request.hub.service(request.target)
    if made is not None and not request.made(made):
        why = f"service: {name}: there is one in {namespace}; a restore makes a new one, give it another name"
        raise StopError("Refused", why)
    found = request.hub.cluster.get(_CLAIMS.path_to(namespace), {"labelSelector": f"{LABEL}={name}"}).get("items")
    several = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    others = [one for one in several if not request.made(one)]
    if others:
        names = ", ".join(text_of(metadata_of(one), "name") for one in others[:3])
        why = f"service: {name}: claims of an earlier one are there ({names}); delete them, or give it another name"
        raise StopError("Refused", why)


def claims_of(request: Request, wanted: StatefulService) -> list[Object | None]:
    """The first member's claims, that of its data first; None where this restore has not made it yet.

    Raises StopError, ClusterError.
    """
    return [_claim(request, volume) for volume in _volumes(wanted)]


def make_claim(request: Request, wanted: StatefulService, number: int, tls: bool) -> None:
    """One of them. Raises ClusterError."""
    namespace, name = request.target
    volume, asked = list(_volumes(wanted).items())[number]
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": asked.size}}}
    if asked.class_:
        spec["storageClassName"] = asked.class_
    body: Item = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{volume}-{name}-0",
            "namespace": namespace,
            "labels": {LABEL: name, "app.kubernetes.io/managed-by": "stateward"},
            "annotations": {FILLING: request.uid, **({SPEAKS_TLS: "true"} if tls else {})},
        },
        "spec": spec,
    }
    create(request, _CLAIMS.path_to(namespace), body)


def filled(request: Request, wanted: StatefulService, reached: str = "true") -> None:
    """All of the backup is on them. That of the data says so last: it is what is asked. Raises ClusterError.

    `reached`: up to which time, where that is later than the backup.
    """
    for claim in reversed(claims_of(request, wanted)):
        if claim is not None and FILLED not in mapping_of(metadata_of(claim), "annotations"):
            request.hub.annotate(_CLAIMS, claim, {FILLED: reached})


def drop(request: Request, wanted: StatefulService) -> None:
    """They go, and what is on them. Raises ClusterError."""
    for claim in claims_of(request, wanted):
        if claim is not None:
            deletion.delete(request.hub.cluster, "PersistentVolumeClaim", claim, "Background")


def _volumes(wanted: StatefulService) -> dict[str, Volume]:
    storage = wanted.spec.storage
    return {VOLUME: storage, **({WAL: storage.wal} if storage.wal is not None else {})}


def _claim(request: Request, volume: str) -> Object | None:
    namespace, name = request.target
    found = request.hub.cluster.find(_CLAIMS.path_to(namespace, f"{volume}-{name}-0"))
    if found is not None and not request.made(found):
        raise StopError("Refused", f"service: {name}: the claim {volume}-{name}-0 is there; delete it, or give another name")
    return found


def create(request: Request, path: str, body: Item) -> None:
    """Where it is not there yet. Raises ClusterError."""
    try:
        request.hub.cluster.create(path, body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 409:
            raise
