"""Storage migration: all objects of a CRD are written anew in the version that is stored now; then the others are forgotten.

Before a version may leave a CRD, `status.storedVersions` must not name it any more, and nothing in etcd may be of it
(Kubernetes documentation, Versions in CustomResourceDefinitions: upgrade existing objects to a new stored version).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from stateward.kube.client import MERGE, Cluster, path_of
from stateward.kube.crds import resource_of
from stateward.kube.errors import ClusterError
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

PAGE: Final = 100
_ATTEMPTS: Final = 5
"""At one object, or one CRD, that others write to meanwhile."""


@dataclass(frozen=True, slots=True)
class Migrated:
    """What was done."""

    stored: str
    """The version that all of them are stored in now."""
    written: int
    forgotten: tuple[str, ...]
    """Versions that nothing is stored in any more; they may be taken out of the CRD."""


def migrate(cluster: Cluster, name: str) -> Migrated:
    """Migrates the objects of a CRD (`statefulservices.stateward.dev`). Safe to repeat, and to cut short at any point.

    Raises ClusterError: where a write was refused, and nothing is forgotten then; status 409 where the stored version was
    changed meanwhile, so that it has to begin again.
    """
    path = path_of("apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions", name)
    crd = cluster.get(path)
    stored = stored_version(crd)
    before = [one for one in mapping_of(crd, "status").get("storedVersions") or () if one != stored]
    if not before:
        return Migrated(stored, 0, ())
    resource = resource_of(crd)
    if resource is None:
        raise ClusterError(409, "Conflict", f"{name} is not served; wait until its condition Established is True")
    group = path_of("apis", resource.group, stored)
    written = sum(_rewritten(cluster, group, resource.plural, item) for item in _all(cluster, f"{group}/{resource.plural}"))
    _forget(cluster, path, name, stored)
    return Migrated(stored, written, tuple(before))


def stored_version(crd: Object) -> str:
    """The version that objects are written in from now on; "" of what is no CRD."""
    versions = items_of(mapping_of(crd, "spec"), "versions")
    return next((text_of(one, "name") for one in versions if one.get("storage") is True), "")


def _all(cluster: Cluster, collection: str) -> Iterator[Object]:
    """Every object. A token that expired begins again: what is written twice is written the same."""
    token, again = "", 0
    while True:
        try:
            page = cluster.list_page(collection, limit=PAGE, token=token)
        except ClusterError as error:
            again += 1
            if error.status != 410 or again > _ATTEMPTS:
                raise
            token = ""
            continue
        yield from items_of(page, "items")
        token = text_of(mapping_of(page, "metadata"), "continue")
        if not token:
            return


def _rewritten(cluster: Cluster, group: str, plural: str, item: Object) -> int:
    """Writes an object as it is; 0 where it is gone."""
    metadata = metadata_of(item)
    namespace = text_of(metadata, "namespace")
    where = path_of("namespaces", namespace) if namespace else ""
    path = f"{group}{where}{path_of(plural, text_of(metadata, 'name'))}"
    for attempt in range(_ATTEMPTS):
        try:
            found = cluster.get(path) if attempt else item
            cluster.call("PUT", path, {"fieldManager": "stateward"}, body=found)
        except ClusterError as error:
            if error.status == 404:
                return 0
            if error.status != 409 or attempt + 1 == _ATTEMPTS:
                raise
        else:
            return 1
    return 0


def _forget(cluster: Cluster, path: str, name: str, stored: str) -> None:
    for attempt in range(_ATTEMPTS):
        crd = cluster.get(path)
        if stored_version(crd) != stored:
            raise ClusterError(409, "Conflict", f"{name}: its stored version changed meanwhile; begin again")
        body = {
            "metadata": {"resourceVersion": text_of(metadata_of(crd), "resourceVersion")},
            "status": {"storedVersions": [stored]},
        }
        try:
            cluster.patch(f"{path}/status", body, MERGE)
        except ClusterError as error:
            if error.status != 409 or attempt + 1 == _ATTEMPTS:
                raise
        else:
            return
