"""Writing what a service is made of: server-side apply, owned objects alone, and word of who wrote over them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from stateward.kube.client import Cluster
from stateward.kube.definition import GROUP
from stateward.kube.discovery import Resource
from stateward.operator.objects.common import Item
from stateward.operator.service import Service
from stateward.policies import quantity
from stateward.policies.view import Kind, Object, items_of, kind_of, mapping_of, metadata_of, text_of

MANAGER: Final = "stateward-operator"
APPLIED: Final = f"{GROUP}/applied"
"""Annotation: what we wrote last. Where that is what is wanted and the object is otherwise, somebody else wrote it."""
_VERBS: Final = frozenset({"get", "list", "watch"})
RESOURCES: Final[Mapping[Kind, Resource]] = {
    kind: Resource(kind, kind.partition(".")[2], version, plural, True, _VERBS)
    for kind, version, plural in (
        ("StatefulSet.apps", "v1", "statefulsets"),
        ("Pod", "v1", "pods"),
        ("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
        ("Service", "v1", "services"),
        ("ConfigMap", "v1", "configmaps"),
        ("ServiceAccount", "v1", "serviceaccounts"),
        ("PodDisruptionBudget.policy", "v1", "poddisruptionbudgets"),
        ("NetworkPolicy.networking.k8s.io", "v1", "networkpolicies"),
        ("Secret", "v1", "secrets"),
        ("Role.rbac.authorization.k8s.io", "v1", "roles"),
        ("RoleBinding.rbac.authorization.k8s.io", "v1", "rolebindings"),
    )
}
_SECRET: Final[Kind] = "Secret"  # noqa: S105 - the kind
Look = Callable[[Kind, str, str], Object | None]


class NotOursError(Exception):
    """An object of that name is there and belongs to somebody else. It is not touched."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one object."""

    kind: Kind
    name: str
    change: str = ""
    """`created`, `changed`, `reverted`; "" where nothing had to be done."""
    by: tuple[str, ...] = ()
    """Of what was reverted: who had written it, by their field manager."""


class Writer:
    """Applies objects for one reconcile. `look` is the cache; the API server is asked only where something is to be done."""

    def __init__(self, cluster: Cluster, look: Look, *, dry: bool = False, seen: dict[str, str] | None = None) -> None:
        """`dry`: says what would be done, and writes nothing. `seen` is kept by who calls: see `_rests`."""
        self._cluster = cluster
        self._look = look
        self._dry = dry
        self._seen = seen if seen is not None else {}

    def apply(self, service: Service, wanted: Item) -> Applied:
        """Makes an object what it should be. Raises NotOursError and ClusterError."""
        kind, name = kind_of(wanted["apiVersion"], wanted["kind"]), wanted["metadata"]["name"]
        item = stamped(wanted)
        if self._rests(service, item):
            return Applied(kind, name)
        path = RESOURCES[kind].path_to(service.namespace, name)
        live = self._cluster.find(path)
        if live is not None and kind == _SECRET and owned(live, service) and settled(item, live):
            self._seen[path] = text_of(metadata_of(live), "resourceVersion")
            return Applied(kind, name)
        if live is None:
            if self._dry:
                return Applied(kind, name, "created")
            self._cluster.apply(path, item, field_manager=MANAGER)
            return Applied(kind, name, "created")
        if not owned(live, service):
            raise NotOursError(
                f"{kind.partition('.')[0]} {service.namespace}/{name} is there and belongs to {_whose(live)}; "
                f"delete or rename it, or give the service another name"
            )
        ours = _mark(live) == _mark(item)
        if self._dry:
            return Applied(kind, name, "changed")
        after = self._cluster.apply(path, item, field_manager=MANAGER)
        if text_of(metadata_of(after), "resourceVersion") == text_of(metadata_of(live), "resourceVersion"):
            return Applied(kind, name)  # it was so already: the cache is behind, or the server writes it another way
        return Applied(kind, name, "reverted", _others(live)) if ours else Applied(kind, name, "changed")

    def rests(self, service: Service, wanted: Item) -> bool:
        """Whether an object is what it should be, as far as is known without asking the API server."""
        return self._rests(service, stamped(wanted))

    def _rests(self, service: Service, item: Item) -> bool:
        kind, name = kind_of(item["apiVersion"], item["kind"]), item["metadata"]["name"]
        cached = self._look(kind, service.namespace, name)
        if cached is None or not owned(cached, service):
            return False
        if kind != _SECRET:
            return settled(item, cached)
        # What a Secret holds is not cached: it rests where it is still the one that was found as wanted.
        version = text_of(metadata_of(cached), "resourceVersion")
        path = RESOURCES[kind].path_to(service.namespace, name)
        return _mark(cached) == _mark(item) and self._seen.get(path) == version


def stamped(wanted: Item) -> Item:
    """The object with the mark of what it is to be."""
    mark = hashlib.sha256(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    metadata = wanted["metadata"]
    return {**wanted, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), APPLIED: mark}}}


def owned(item: Object, service: Service) -> bool:
    """Whether the service is its controller: this one, not an earlier one of the same name."""
    return any(
        owner.get("controller") is True and text_of(owner, "uid") == service.uid
        for owner in items_of(metadata_of(item), "ownerReferences")
    )


def settled(wanted: Any, live: Any) -> bool:
    """Whether an object has all that is wanted of it. What the server fills in, or others add, is no difference."""
    if isinstance(wanted, dict):
        # The server does not keep what is empty.
        return isinstance(live, dict) and all(
            settled(value, live[key]) if key in live else value in ({}, []) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(wanted) == len(live)
            and all(settled(one, other) for one, other in zip(wanted, live, strict=True))
        )
    if wanted == live and type(wanted) is type(live):
        return True
    # Quantities are written anew by the server: `0.5` as `500m`.
    number = quantity.parse(wanted)
    return number is not None and number == quantity.parse(live)


def _mark(item: Object) -> str:
    return text_of(mapping_of(metadata_of(item), "annotations"), APPLIED)


def _others(live: Object) -> tuple[str, ...]:
    """Who else owns fields of it. Controllers write status, which is theirs."""
    return tuple(
        sorted(
            {
                text_of(entry, "manager")
                for entry in items_of(metadata_of(live), "managedFields")
                if text_of(entry, "manager") != MANAGER and text_of(entry, "subresource") != "status"
            }
        )
    )


def _whose(live: Object) -> str:
    owners = [
        f"{text_of(owner, 'kind')} {text_of(owner, 'name')}"
        for owner in items_of(metadata_of(live), "ownerReferences")
        if owner.get("controller") is True
    ]
    return owners[0] if owners else "nobody that it names"
