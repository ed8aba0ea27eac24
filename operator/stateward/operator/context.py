"""What the rules see when the operator asks them: its own informers, and of other kinds the API server itself.

A change of a spec is judged once, so what no informer keeps is read then and there. What may not be read, or is not
served, is unknown: it neither accuses nor excuses.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from stateward.kube.client import Cluster, path_of
from stateward.kube.discovery import Discovery, Resource
from stateward.kube.errors import ClusterError
from stateward.policies.policy import API_VERSION, DEFAULT, Policy, PolicyError, parse
from stateward.policies.rules import RULES
from stateward.policies.view import UNKNOWN, Kind, Object, Unknown

NAME: Final = "stateward"
"""Of the WardPolicy that is asked by, as `stateward serve --policy-name` has it."""
_LONGEST: Final = 5000
"""Objects of a kind in one namespace: more of them are not read, and unknown."""
_SILENT: Final = frozenset({401, 403, 404})

_log = logging.getLogger("stateward.operator")


class Cache(Protocol):
    """What the informers have: the objects of the services alone."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, as it was last heard of."""

    def of(self, kind: Kind, key: tuple[str, str]) -> list[Object]:
        """The objects of a service."""


class Context(Protocol):
    """Where the rules look, and by which policy they judge."""

    def view(self, key: tuple[str, str]) -> Any:
        """A `policies.view.View` for judging one service."""

    def policy(self) -> Policy:
        """The policy that is in force. Raises ClusterError where that may be known in a moment."""


@dataclass(slots=True)
class ClusterContext:
    """The context of a cluster."""

    cluster: Cluster
    look: Cache
    kinds: frozenset[Kind]
    """Those that the informers keep."""
    name: str = NAME
    _complained: str = ""

    def view(self, key: tuple[str, str]) -> _Around:
        """What is around one service."""
        return _Around(self.cluster, self.look, self.kinds, key)

    def policy(self) -> Policy:
        """The WardPolicy of the cluster; the built-in one where there is none, or none that can be read.

        What a rule could not see is never held against a change here, whatever the policy says: a door sees more.
        """
        path = path_of("apis", *API_VERSION.split("/"), "wardpolicies", self.name)
        try:
            item = self.cluster.get(path)
            return replace(parse(item, RULES), unknown="silent")
        except ClusterError as error:
            if error.status not in _SILENT:
                raise
            self._say("" if error.status == 404 else str(error))
        except (PolicyError, ImportError) as error:
            self._say(f"WardPolicy {self.name}: {error}")
        return DEFAULT

    def _say(self, problem: str) -> None:
        """Once for each problem: it is met again at every change that is judged."""
        if problem and problem != self._complained:
            _log.warning("%s; changes are judged by the built-in policy", problem)
        self._complained = problem


@dataclass(slots=True)
class _Around:
    """A `View` for one judgement: each kind is asked for once."""

    cluster: Cluster
    look: Cache
    kinds: frozenset[Kind]
    key: tuple[str, str]
    _served: dict[Kind, Resource | None] = field(default_factory=dict)
    _listed: dict[Kind, list[Object] | Unknown] = field(default_factory=dict)
    _found: dict[tuple[Kind, str, str], Object | Unknown | None] = field(default_factory=dict)
    _discovery: Discovery | None = None

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`. What the informers do not have may be somebody else's: then the API server says."""
        if kind in self.kinds:
            kept = self.look.get(kind, namespace, name)
            if kept is not None:
                return kept
        asked = (kind, namespace, name)
        if asked not in self._found:
            self._found[asked] = self._get(kind, namespace, name)
        return self._found[asked]

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`: of the kinds that a service is made of its own, of others those of its namespace."""
        if kind in self.kinds:
            return self.look.of(kind, self.key)
        if namespace != self.key[0]:
            return UNKNOWN
        if kind not in self._listed:
            self._listed[kind] = self._list(kind)
        return self._listed[kind]

    def complete(self, kind: Kind) -> bool:
        """See `View.complete`."""
        return kind in self.kinds or type(self._listed.get(kind)) is list

    def _get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        if not name:
            return None
        try:
            resource = self._resource(kind)
            return UNKNOWN if resource is None else self.cluster.find(resource.path_to(namespace, name))
        except ClusterError:
            return UNKNOWN

    def _list(self, kind: Kind) -> list[Object] | Unknown:
        try:
            resource = self._resource(kind)
            if resource is None or not resource.namespaced:
                return UNKNOWN
            page = self.cluster.list_page(resource.path_to(self.key[0]), limit=_LONGEST)
        except ClusterError:
            return UNKNOWN
        items, more = page.get("items"), (page.get("metadata") or {}).get("continue")
        if more or type(items) is not list:
            return UNKNOWN
        # Items of a list do not say what they are.
        what = {"apiVersion": resource.api_version, "kind": resource.kind_name}
        return [{**what, **item} for item in items if type(item) is dict]

    def _resource(self, kind: Kind) -> Resource | None:
        if kind not in self._served:
            if self._discovery is None:
                self._discovery = Discovery(self.cluster)
            self._served[kind] = self._discovery.resource(kind)
        return self._served[kind]
