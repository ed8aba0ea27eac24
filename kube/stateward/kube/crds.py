"""The kinds that CustomResourceDefinitions define."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from stateward.kube.discovery import Resource
from stateward.policies.view import Kind, Object, items_of, mapping_of, metadata_of, text_of

_VERBS: Final = frozenset({"get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"})
_KUBE_VERSION: Final = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")


def resources(crds: Iterable[Object]) -> dict[Kind, tuple[Resource, str]]:
    """Kind → how it is served, and the uid of its CRD (a kind that was defined anew has another)."""
    found = {}
    for crd in crds:
        resource = resource_of(crd)
        if resource is not None:
            found[resource.kind] = (resource, text_of(metadata_of(crd), "uid"))
    return found


def resource_of(crd: Object) -> Resource | None:
    """The kind of a CRD (apiextensions.k8s.io/v1), None while it is not served (yet, or any more).

    The version is the one that the API server prefers (Kubernetes documentation, Versions in
    CustomResourceDefinitions: version priority): stable before beta before alpha, higher before lower.
    """
    spec = mapping_of(crd, "spec")
    names = mapping_of(spec, "names")
    group, kind, plural = text_of(spec, "group"), text_of(names, "kind"), text_of(names, "plural")
    served = [text_of(one, "name") for one in items_of(spec, "versions") if one.get("served") is True]
    conditions = items_of(mapping_of(crd, "status"), "conditions")
    established = any(one.get("type") == "Established" and one.get("status") == "True" for one in conditions)
    if not (group and kind and plural and served and established):
        return None
    return Resource(
        kind=f"{kind}.{group}",
        group=group,
        version=max(served, key=_priority),
        plural=plural,
        namespaced=spec.get("scope") == "Namespaced",
        verbs=_VERBS,
    )


def _priority(version: str) -> tuple[int, int, int, str]:
    found = _KUBE_VERSION.fullmatch(version)
    if found is None:
        return (0, 0, 0, version)
    stage = {"alpha": 1, "beta": 2, None: 3}[found[2]]
    return (stage, int(found[1]), int(found[3] or 0), version)
