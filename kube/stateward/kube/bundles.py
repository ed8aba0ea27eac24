"""The caBundles by which webhook configurations trust a Service of ours: read, and written where they differ."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.kube.installed import PATHS
from stateward.policies.view import items_of, mapping_of, metadata_of, text_of

_JSON_PATCH: Final = "application/json-patch+json"
_ATTEMPTS: Final = 3
"""At one configuration, if others write to it meanwhile."""


@dataclass(frozen=True)
class Trust:
    """One webhook, and by which caBundle the API server trusts it."""

    kind: str
    """`ValidatingWebhookConfiguration`"""
    configuration: str
    webhook: str
    bundle: bytes
    """PEM; b"" for the system's roots, and for what is no base64."""
    host: str
    """What the certificate has to be for: `stateward.stateward.svc`, or the host of a url."""
    index: int
    path: str
    version: str

    @property
    def name(self) -> str:
        """Kind/configuration and webhook: `ValidatingWebhookConfiguration/stateward validate.stateward.dev`."""
        return f"{self.kind}/{self.configuration} {self.webhook}"


def trusting(cluster: Cluster, namespace: str, service: str) -> list[Trust]:
    """Every webhook that asks this Service, of whatever name its configuration is. Raises ClusterError."""
    found = []
    for kind, collection in PATHS.items():
        for item in items_of(cluster.list_page(collection, limit=0), "items"):
            found += list(_webhooks(kind, collection, item, namespace, service))
    return found


def publish(cluster: Cluster, namespace: str, service: str, bundle: bytes) -> bool:
    """Writes the bundle (PEM) wherever another one is, and reads all of them back; whether every one holds it.

    Raises ClusterError. Writes nothing where nothing differs.
    """
    for _ in range(_ATTEMPTS):
        differing = [one for one in trusting(cluster, namespace, service) if one.bundle != bundle]
        if not differing:
            return True
        for one in differing:
            _write(cluster, one, bundle)
    return all(one.bundle == bundle for one in trusting(cluster, namespace, service))


def _write(cluster: Cluster, one: Trust, bundle: bytes) -> None:
    encoded = base64.b64encode(bundle).decode("ascii")
    patch = [
        # What was looked at is what is changed: the index of a webhook may be another's by now.
        {"op": "test", "path": "/metadata/resourceVersion", "value": one.version},
        {"op": "test", "path": f"/webhooks/{one.index}/name", "value": one.webhook},
        {"op": "add", "path": f"/webhooks/{one.index}/clientConfig/caBundle", "value": encoded},
    ]
    try:
        cluster.patch(one.path, patch, _JSON_PATCH)
    except ClusterError as error:
        if error.status not in (404, 409, 422):  # gone, or changed: looked at again
            raise


def _webhooks(kind: str, collection: str, item: Mapping[str, Any], namespace: str, service: str) -> Iterator[Trust]:
    metadata = metadata_of(item)
    for index, webhook in enumerate(items_of(item, "webhooks")):
        client = mapping_of(webhook, "clientConfig")
        asked = mapping_of(client, "service")
        if (text_of(asked, "namespace"), text_of(asked, "name")) == (namespace, service):
            name = text_of(metadata, "name")
            yield Trust(
                kind=kind,
                configuration=name,
                webhook=text_of(webhook, "name"),
                bundle=_decoded(text_of(client, "caBundle")),
                host=f"{service}.{namespace}.svc",
                index=index,
                path=f"{collection}{path_of(name)}",
                version=text_of(metadata, "resourceVersion"),
            )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
