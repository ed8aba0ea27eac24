"""An API server in memory, and the informers that have heard of all of it."""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from stateward.kube.client import APPLY, Cluster
from stateward.kube.errors import ClusterError
from stateward.operator.apply import RESOURCES
from stateward.operator.objects.common import LABEL
from stateward.operator.service import KIND
from stateward.policies.view import Kind, Object, kind_of, mapping_of, metadata_of, text_of

Key = tuple[Kind, str, str]
_NAMESPACED: Final = re.compile(r"^/(?:api/v1|apis/([^/]+)/[^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?$")
_PLURALS: Final[Mapping[str, Kind]] = {
    **{resource.plural: kind for kind, resource in RESOURCES.items()},
    "statefulservices": KIND,
    "jobs": "Job.batch",
}
_SET: Final[Kind] = "StatefulSet.apps"
_POD: Final[Kind] = "Pod"
_PLANNED: Final = "rehearsal"


class MemoryCluster(Cluster):
    """An API server in memory: objects by kind, namespace and name. Whoever has rights to nothing has them to all here."""

    def __init__(self, clock: Clock) -> None:
        self.host = _PLANNED
        self.objects: dict[Key, Object] = {}
        self._clock = clock
        self._count = 0

    def close(self) -> None:
        """Nothing is open."""

    def call(self, method: str, path: str, query: Mapping[str, str | int] | None = None, **more: Any) -> dict[str, Any]:
        """See `Cluster.call`. What is of no namespace, or of a kind that is not rehearsed, is not there."""
        found = _NAMESPACED.match(path)
        if found is None:
            raise _absent(path)
        group, namespace, plural, name, subresource = found.groups()
        kind = _PLURALS.get(plural) or (f"{plural}.{group}" if group else plural)
        key = (kind, namespace, name or "")
        if subresource == "eviction":
            return self._gone(key, path)
        if method == "GET":
            return copy.deepcopy(self._there(key, path)) if name else {"items": self._list(key, query or {}), "metadata": {}}
        if method == "DELETE":
            return self._gone(key, path, more.get("body"))
        if method == "POST":
            return self._created(kind, namespace, more["body"], path)
        if subresource == "status":
            return self._keep(key, {**self._there(key, path), "status": more["body"]["status"]})
        if more.get("content_type") == APPLY:
            return self._applied(key, more["body"])
        return self._merged(key, more["body"], path)

    def put(self, item: Object) -> None:
        """Makes an object what it is said to be."""
        metadata = metadata_of(item)
        kind = kind_of(item.get("apiVersion"), item.get("kind"))
        self._keep((kind, text_of(metadata, "namespace"), text_of(metadata, "name")), item)

    def _there(self, key: Key, path: str) -> Object:
        if key not in self.objects:
            raise _absent(path)
        return self.objects[key]

    def _list(self, key: Key, query: Mapping[str, str | int]) -> list[Object]:
        name, _, value = str(query.get("labelSelector", "")).partition("=")
        found = [item for (kind, where, _), item in self.objects.items() if (kind, where) == key[:2]]
        if name:
            found = [item for item in found if mapping_of(metadata_of(item), "labels").get(name) == value]
        return copy.deepcopy(found)

    def _gone(self, key: Key, path: str, options: Any = None) -> Object:
        item = self._there(key, path)
        del self.objects[key]
        orphans = isinstance(options, Mapping) and options.get("propagationPolicy") == "Orphan"
        if key[0] == _SET and not orphans:
            for other in [one for one in self.objects if one[0] == _POD and one[1] == key[1]]:
                if mapping_of(metadata_of(self.objects[other]), "labels").get(LABEL) == key[2]:
                    del self.objects[other]
        return item

    def _created(self, kind: Kind, namespace: str, body: Object, path: str) -> Object:
        key = (kind, namespace, text_of(metadata_of(body), "name"))
        if key in self.objects:
            raise ClusterError(409, "AlreadyExists", f"{path}: {key[2]} is there already")
        return self._keep(key, body)

    def _applied(self, key: Key, body: Object) -> Object:
        """Server-side apply where everything is ours: what is left out goes."""
        before = self.objects.get(key)
        if before is None:
            return self._keep(key, body)
        after = copy.deepcopy(body)
        if "status" in before:
            after["status"] = before["status"]
        for name in ("finalizers", "ownerReferences"):
            if name in before["metadata"]:
                after["metadata"].setdefault(name, before["metadata"][name])
        return self._keep(key, after)

    def _merged(self, key: Key, body: Object, path: str) -> Object:
        wanted = {name: value for name, value in body.items() if name not in ("apiVersion", "kind")}
        after: Object = merged(self._there(key, path), wanted)
        return self._keep(key, after)

    def _keep(self, key: Key, item: Object) -> Object:
        before = self.objects.get(key)
        after = copy.deepcopy(item)
        metadata = after.setdefault("metadata", {})
        metadata.setdefault("namespace", key[1])
        for name in ("uid", "creationTimestamp", "resourceVersion", "generation"):
            if before is not None:
                metadata[name] = before["metadata"][name]
        if before is not None and after == before:
            return copy.deepcopy(before)
        self._count += 1
        metadata.setdefault("uid", f"{_PLANNED}-{self._count}")
        metadata.setdefault("creationTimestamp", self._clock.text)
        metadata["resourceVersion"] = str(self._count)
        same = before is not None and before.get("spec") == after.get("spec")
        metadata["generation"] = int(metadata.get("generation") or 0) + (not same)
        self.objects[key] = after
        return copy.deepcopy(after)


@dataclass(slots=True)
class Clock:
    """The time of a rehearsal."""

    now: datetime

    @property
    def text(self) -> str:
        """As the API server writes it."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


_HEARD: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Cache:
    """The informers, which have heard of everything at once."""

    cluster: MemoryCluster
    around: Mapping[Key, Object] = field(default_factory=dict)
    """What else is known: StorageClasses."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See `Informers.get`."""
        return self.cluster.objects.get((kind, namespace, name)) or self.around.get((kind, namespace, name))

    def of(self, kind: Kind, key: tuple[str, str]) -> list[Object]:
        """See `Informers.of`."""
        found = [
            (name, item)
            for (other, namespace, name), item in self.cluster.objects.items()
            if other == kind
            and namespace == key[0]
            and (name == key[1] if kind == KIND else mapping_of(metadata_of(item), "labels").get(LABEL) == key[1])
        ]
        return [item for _, item in sorted(found, key=lambda one: one[0])]

    def heard(self, key: tuple[str, str]) -> tuple[int, ...]:
        """See `Informers.heard`: something always was, so that every look of a rehearsal is a whole one."""
        return (next(_HEARD),)

    def every(self, kind: Kind) -> list[Object] | None:
        """See `Informers.every`: nothing is known of the cluster's nodes, so nobody is lost with one."""
        return None


def merged(before: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396) on a value."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    after = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merged(after.get(name), value)
    return after


def _absent(path: str) -> ClusterError:
    return ClusterError(404, "NotFound", f"{path}: not found")
