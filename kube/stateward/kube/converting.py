"""Who converts our kinds: `spec.conversion` of the CRDs that ask a door, kept pointing at the installed one.

The API server converts by no other way, and nothing fails open here: with a wrong caBundle every request for a version that
an object is not stored in fails. So what a CRD trusts is written before a certificate is changed, as in configurations.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from stateward.kube.client import MERGE, Cluster, path_of
from stateward.kube.drift import certificates
from stateward.kube.errors import ClusterError
from stateward.kube.installed import Door
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

NAMES: Final = ("statefulservices.stateward.dev",)
"""The CRDs of ours that are served in more than one version."""
CONVERT: Final = "/convert"

_PATH: Final = path_of("apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions")
_OURS: Final = ("app.kubernetes.io/name", "stateward")


def publish(cluster: Cluster, door: Door, bundle: bytes, *, write: bool = True) -> bool:
    """Has our CRDs ask this door and trust the bundle (PEM); whether all that there are do, read back.

    Without `write` it looks only. A CRD that is not there, is not ours, converts nothing or asks a url is left as it is,
    and so is one that this account may not read (an installation whose rights are older). Raises ClusterError.
    """
    client = door.client_for(CONVERT, bundle)
    kept = [_kept(cluster, name, client, bundle, write) for name in NAMES]  # each of them, whatever came of the others
    return all(kept)


def _kept(cluster: Cluster, name: str, client: Mapping[str, Any], bundle: bytes, write: bool) -> bool:
    path = f"{_PATH}/{name}"
    found = _get(cluster, path)
    if found is None or mapping_of(metadata_of(found), "labels").get(_OURS[0]) != _OURS[1]:
        return True
    now = _client(found)
    if now is None or now == client:
        return True
    if write:
        # Of the object that was looked at, and nothing of it but this.
        body = {
            "metadata": {"resourceVersion": text_of(metadata_of(found), "resourceVersion")},
            "spec": {"conversion": {"webhook": {"clientConfig": client}}},
        }
        try:
            now = _client(cluster.patch(path, body, MERGE))
        except ClusterError as error:
            if error.status == 409:
                return False  # somebody else wrote: the next pass looks again
            raise
    return now is not None and _trusts(now, bundle)


def _client(crd: Object) -> Mapping[str, Any] | None:
    """Whom a CRD has convert; None where that is nobody, or somebody's own choice: a url."""
    conversion = mapping_of(mapping_of(crd, "spec"), "conversion")
    client = mapping_of(mapping_of(conversion, "webhook"), "clientConfig")
    return client if conversion.get("strategy") == "Webhook" and "url" not in client else None


def _trusts(client: Mapping[str, Any], bundle: bytes) -> bool:
    return certificates(bundle) <= certificates(base64.b64decode(text_of(client, "caBundle")))


def _get(cluster: Cluster, path: str) -> Object | None:
    try:
        return cluster.get(path)
    except ClusterError as error:
        if error.status in (403, 404):
            return None
        raise
