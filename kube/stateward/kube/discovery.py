"""Discovery: what the API server calls a kind. Reads /api/v1, /apis and /apis/GROUP/VERSION, and nothing not asked for."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError, UnreachableError
from stateward.policies.view import Kind, items_of, mapping_of, text_of


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as it is served."""

    kind: Kind
    """`StatefulSet.apps`"""
    group: str
    version: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def api_version(self) -> str:
        """`apps/v1`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def kind_name(self) -> str:
        """`StatefulSet`."""
        return self.kind.partition(".")[0]

    @property
    def path(self) -> str:
        """The collection over all namespaces: `/apis/apps/v1/statefulsets`."""
        return f"{self._root}{path_of(self.plural)}"

    @property
    def readable(self) -> bool:
        """Whether it can be listed and watched."""
        return {"list", "watch"} <= self.verbs

    def path_to(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of an object, its subresource, or (no name) a namespace's collection."""
        within = path_of("namespaces", namespace) if self.namespaced else ""
        return f"{self._root}{within}{path_of(*(step for step in (self.plural, name, subresource) if step))}"

    @property
    def _root(self) -> str:
        return path_of("apis", self.group, self.version) if self.group else path_of("api", self.version)


class Discovery:
    """One look at what is served; each document is asked for once, when first needed. Thread-safe.

    For a later state of the cluster make a new one: kinds come and go with CRDs.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._lock = threading.Lock()
        self._groups: dict[str, list[str]] | None = None
        self._documents: dict[str, list[dict[str, Any]]] = {}
        self._unreachable: UnreachableError | None = None

    def resource(self, kind: Kind) -> Resource | None:
        """A kind in the version that the server prefers (of those that have it); None if it is not served.

        Raises ClusterError where the server could not be asked: then nothing is known.
        """
        name, _, group = kind.partition(".")
        with self._lock:
            for version in self._versions(group):
                for entry in self._resources(group, version):
                    # Subresources stand in the same list as "pods/status".
                    if entry.get("kind") == name and "/" not in text_of(entry, "name"):
                        return _resource(kind, group, version, entry)
        return None

    def served(self, api_version: str, name: str) -> Resource | None:
        """A kind (`StatefulSet`) in the version asked for (`apps/v1`); None if it is not served. Raises ClusterError."""
        group, _, version = api_version.rpartition("/")
        if not version or (not group and version != "v1"):
            return None
        with self._lock:
            for entry in self._resources(group, version):
                if entry.get("kind") == name and "/" not in text_of(entry, "name"):
                    return _resource(f"{name}.{group}" if group else name, group, version, entry)
        return None

    def _versions(self, group: str) -> list[str]:
        """The versions of a group, the preferred one first; none where the group is not served."""
        if not group:
            return ["v1"]
        if self._groups is None:
            groups = self._entries("/apis", "groups")
            self._groups = {text_of(entry, "name"): _versions_of(entry) for entry in groups}
        return self._groups.get(group, [])

    def _resources(self, group: str, version: str) -> list[dict[str, Any]]:
        path = path_of("apis", group, version) if group else path_of("api", version)
        found = self._documents.get(path)
        if found is None:
            found = self._documents[path] = self._entries(path, "resources")
        return found

    def _entries(self, path: str, key: str) -> list[dict[str, Any]]:
        if self._unreachable is not None:  # the next question would only wait as long
            raise self._unreachable
        try:
            document = self._cluster.get(path)
        except UnreachableError as error:
            self._unreachable = error
            raise
        except ClusterError as error:
            if error.status == 404 and path.count("/") > 2:
                return []  # a group gone since /apis was read: its last CRD was deleted
            raise
        if type(document.get(key)) is not list:
            # Taken for an empty list it would say that nothing exists.
            raise ClusterError(0, "Broken", f"GET {path}: no discovery document; is {self._cluster.host} an API server?")
        return items_of(document, key)


def _versions_of(group: Mapping[str, Any]) -> list[str]:
    preferred = text_of(mapping_of(group, "preferredVersion"), "version")
    served = [text_of(entry, "version") for entry in items_of(group, "versions")]
    return sorted(filter(None, served), key=lambda version: version != preferred)


def _resource(kind: Kind, group: str, version: str, entry: Mapping[str, Any]) -> Resource:
    verbs = entry.get("verbs")
    return Resource(
        kind=kind,
        group=group,
        version=version,
        plural=text_of(entry, "name"),
        namespaced=entry.get("namespaced") is True,
        verbs=frozenset(verb for verb in verbs if isinstance(verb, str)) if isinstance(verbs, list) else frozenset(),
    )
