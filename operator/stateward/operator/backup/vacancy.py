"""The name and the claim of the service that a restore makes: both have to be free, and are its own from then on."""

from __future__ import annotations

from typing import Any

from stateward.kube.errors import ClusterError
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup.kinds import FILLING
from stateward.operator.backup.request import Request, StopError
from stateward.operator.objects.common import LABEL, SPEAKS_TLS, VOLUME, Item
from stateward.policies.view import Object, metadata_of, text_of

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


def claim_of(request: Request) -> Object | None:
    """The first member's claim, where this restore has made it. Raises StopError, ClusterError."""
    namespace, name = request.target
    found = request.hub.cluster.find(_CLAIMS.path_to(namespace, f"{VOLUME}-{name}-0"))
    if found is not None and not request.made(found):
        raise StopError("Refused", f"service: {name}: the claim {VOLUME}-{name}-0 is there; delete it, or give another name")
    return found


def make_claim(request: Request, wanted: StatefulService, tls: bool) -> None:
    """Raises ClusterError."""
    namespace, name = request.target
    storage = wanted.spec.storage
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage.size}}}
    if storage.class_:
        spec["storageClassName"] = storage.class_
    body: Item = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": f"{VOLUME}-{name}-0",
            "namespace": namespace,
            "labels": {LABEL: name, "app.kubernetes.io/managed-by": "stateward"},
            "annotations": {FILLING: request.uid, **({SPEAKS_TLS: "true"} if tls else {})},
        },
        "spec": spec,
    }
    create(request, _CLAIMS.path_to(namespace), body)


def create(request: Request, path: str, body: Item) -> None:
    """Where it is not there yet. Raises ClusterError."""
    try:
        request.hub.cluster.create(path, body, field_manager=MANAGER)
    except ClusterError as error:
        if error.status != 409:
            raise
