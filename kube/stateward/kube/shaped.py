"""The custom kinds that no adapter knows and whose objects can ask for volumes: the door is asked about them."""

from __future__ import annotations

from typing import Any, Final

from stateward.kube.client import Cluster
from stateward.kube.crds import resource_of
from stateward.policies.adapters import shape
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.view import Object, items_of, mapping_of, text_of

CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_PAGE: Final = 50  # a CRD may weigh half a megabyte
_MOST: Final = 300
"""Kinds. More than that no cluster was seen to have; each makes the configuration longer."""

Plural = tuple[str, str]
"""(group, plural) of a namespaced kind."""


def shaped(cluster: Cluster) -> tuple[Plural, ...]:
    """Read from the schemas of CRDs, page by page, in the order of their names. Raises ClusterError."""
    found: list[Plural] = []
    token = ""
    while True:
        page: dict[str, Any] = cluster.list_page(CRDS, limit=_PAGE, token=token)
        for crd in items_of(page, "items"):
            resource = resource_of(crd)
            if resource is None or not resource.namespaced or resource.kind in ADAPTERS:
                continue
            if shape.adapter_of(resource.kind) is not None and _asks(crd):
                found.append((resource.group, resource.plural))
        token = text_of(mapping_of(page, "metadata"), "continue")
        if not token:
            return tuple(sorted(found)[:_MOST])


def _asks(crd: Object) -> bool:
    """Whether a served version can ask for a volume."""
    return any(
        shape.may_ask(mapping_of(mapping_of(version, "schema"), "openAPIV3Schema"))
        for version in items_of(mapping_of(crd, "spec"), "versions")
        if version.get("served") is True
    )
