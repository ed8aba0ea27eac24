"""Informers: what is there, from reflectors, and whose key is to be looked at when it changes."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from stateward.kube.answer import Answer
from stateward.kube.backoff import Timing
from stateward.kube.client import Cluster
from stateward.kube.definition import GROUP
from stateward.kube.discovery import Discovery, Resource
from stateward.kube.errors import ClusterError
from stateward.kube.reflector import Reflector
from stateward.kube.store import UNLIMITED, Listing, Store
from stateward.operator.objects.common import LABEL
from stateward.operator.service import KIND, Key
from stateward.policies.view import UNKNOWN, Kind, Object, items_of, mapping_of, metadata_of, text_of

_DISCOVER: Final = 2.0
"""Seconds between two looks for a kind that is not served yet."""
_SECRET: Final = "Secret"  # noqa: S105 - the kind
WATCHED: Final[tuple[Kind, ...]] = (
    KIND,
    "StatefulSet.apps",
    "Pod",
    "PersistentVolumeClaim",
    "Service",
    "ConfigMap",
    "ServiceAccount",
    "PodDisruptionBudget.policy",
    "NetworkPolicy.networking.k8s.io",
    "Role.rbac.authorization.k8s.io",
    "RoleBinding.rbac.authorization.k8s.io",
    _SECRET,
)
"""Every kind that a service is made of; of Secrets the metadata alone."""
NODE: Final[Kind] = "Node"
PERSISTENT_VOLUME: Final[Kind] = "PersistentVolume"
STORAGE_CLASS: Final[Kind] = "StorageClass.storage.k8s.io"
CLUSTER_WIDE: Final[Mapping[Kind, tuple[str, ...]]] = {
    NODE: ("spec.taints",),
    PERSISTENT_VOLUME: ("spec.nodeAffinity",),
    STORAGE_CLASS: ("allowVolumeExpansion",),
}
"""Kinds of no namespace, and what is kept of them beside labels. Where they may not be read, nothing is known of them:
a member whose node is lost is not replaced then, and all else goes on."""
_HEAVY: Final = frozenset({"managedFields", "selfLink"})


ASKED: Final = frozenset({"ServiceBackup", "ServiceRestore"})
"""Kinds of ours beside the service: they have keys of their own, `NAMESPACE, KIND/NAME`."""


def keys_of(item: Object) -> list[Key]:
    """The services that an object is of: itself, its controller, or the one that its label names."""
    metadata = metadata_of(item)
    namespace = text_of(metadata, "namespace")
    asked = [
        (namespace, f"{text_of(one, 'kind')}/{text_of(one, 'name')}")
        for one in ({**item, "name": text_of(metadata, "name")}, *items_of(metadata, "ownerReferences"))
        if text_of(one, "kind") in ASKED and text_of(one, "apiVersion").partition("/")[0] == GROUP
    ]
    return [*asked, *_services_of(item, metadata, namespace)]


def _services_of(item: Object, metadata: Mapping[str, Any], namespace: str) -> list[Key]:
    if text_of(item, "kind") == "StatefulService" and text_of(item, "apiVersion").partition("/")[0] == GROUP:
        return [(namespace, text_of(metadata, "name"))]
    found = [
        (namespace, text_of(owner, "name"))
        for owner in items_of(metadata, "ownerReferences")
        if text_of(owner, "kind") == "StatefulService" and text_of(owner, "apiVersion").partition("/")[0] == GROUP
    ]
    # Pods belong to the StatefulSet, claims to nobody: these carry the label. A backup and a restore name it themselves.
    named = text_of(mapping_of(item, "spec"), "service") if text_of(item, "kind") in ASKED else ""
    labelled = named or text_of(mapping_of(metadata, "labels"), LABEL)
    if labelled and (namespace, labelled) not in found:
        found.append((namespace, labelled))
    return found


class _Told(Store):
    """A store that knows what is whose, and says whose objects change. Told after it is so: whoever looks then sees it."""

    def __init__(self, kind: Kind, tell: Callable[[Iterable[Key]], None], trim: Callable[[Object], Object]) -> None:
        super().__init__(kind, None, time.monotonic, UNLIMITED, trim)
        self._tell = tell
        self._index: dict[Key, dict[str, Object]] = {}
        """Service → its objects by name. One writer; readers get copies."""
        self._indexing = threading.Lock()
        self._heard: dict[Key, int] = {}
        self._numbers = itertools.count(1)

    def heard(self, key: Key) -> int:
        """A number that is another once something of a service was heard of; 0 where it has nothing here."""
        return self._heard.get(key, 0)

    def of(self, key: Key) -> list[Object]:
        """The objects of a service, sorted by name."""
        with self._indexing:
            return [item for _, item in sorted(self._index.get(key, {}).items())]

    def keys(self) -> list[Key]:
        """Every service that has an object here."""
        with self._indexing:
            return list(self._index)

    def put(self, item: Object) -> None:
        metadata = metadata_of(item)
        name = text_of(metadata, "name")
        before = self.get(text_of(metadata, "namespace"), name)
        super().put(item)
        kept = self.get(text_of(metadata, "namespace"), name)
        old = keys_of(before) if isinstance(before, dict) else []
        now = keys_of(kept) if isinstance(kept, dict) else []
        with self._indexing:
            self._drop(old, name)
            if isinstance(kept, dict):
                for key in now:
                    self._index.setdefault(key, {})[name] = kept
        # Whom it belonged to is told, too, where a label or an owner was taken off.
        self._say({*old, *now})

    def remove(self, item: Object) -> None:
        metadata = metadata_of(item)
        name = text_of(metadata, "name")
        before = self.get(text_of(metadata, "namespace"), name)
        super().remove(item)
        whose = {*keys_of(item), *(keys_of(before) if isinstance(before, dict) else ())}
        with self._indexing:
            self._drop(whose, name)
        self._say(whose)

    def replace(self, listing: Listing) -> None:
        super().replace(listing)
        found = self.select(None)
        index: dict[Key, dict[str, Object]] = {}
        for item in found if found is not UNKNOWN else ():
            for key in keys_of(item):
                index.setdefault(key, {})[text_of(metadata_of(item), "name")] = item
        with self._indexing:
            before, self._index = self._index, index
        self._say({*before, *index})

    def _say(self, keys: set[Key]) -> None:
        """Counts, then tells; only the reflector's thread does."""
        for key in keys:
            if key in self._index:
                self._heard[key] = next(self._numbers)
            else:
                self._heard.pop(key, None)
        self._tell(keys)

    def _drop(self, keys: Iterable[Key], name: str) -> None:
        for key in keys:
            of = self._index.get(key)
            if of is not None and of.pop(name, None) is not None and not of:
                del self._index[key]


class _Ours(Reflector):
    """A reflector of what carries the label alone: the cluster's other pods are not our memory's business."""

    @contextmanager
    def _open(self, query: dict[str, str | int], accept: str) -> Iterator[Answer]:
        with super()._open({**query, "labelSelector": LABEL}, accept) as answer:
            yield answer


@dataclass(slots=True)
class _Informer:
    store: _Told
    reflector: Reflector | None = None
    trouble: str = ""


class Informers:
    """Keeps what is there of `kinds` until `stop`; `changed(keys)` is told, in many threads. It must not wait."""

    def __init__(
        self,
        cluster: Cluster,
        changed: Callable[[Iterable[Key]], None],
        *,
        kinds: Iterable[Kind] = WATCHED,
        namespace: str = "",
        timing: Timing | None = None,
    ) -> None:
        """`namespace`: the only one that is looked at; "" for all."""
        self._cluster = cluster
        self._timing = timing
        self._namespace = namespace
        self._kinds: Mapping[Kind, _Informer] = {
            **{kind: _Informer(_Told(kind, changed, _trim(kind))) for kind in kinds},
            # Of these nobody is told: a service with a member that is away is looked at every few seconds.
            **{kind: _Informer(_Told(kind, _nobody, _only(paths))) for kind, paths in CLUSTER_WIDE.items()},
        }
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="informers", daemon=True)

    def start(self) -> Informers:
        """Starts reading; returns at once."""
        self._thread.start()
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Ends all threads, within `timeout` seconds."""
        until = time.monotonic() + timeout
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        running = [one.reflector for one in self._kinds.values() if one.reflector is not None]
        for reflector in running:
            reflector.cancel()
        for reflector in running:
            reflector.stop(max(0.0, until - time.monotonic()))

    def unsynced(self) -> dict[Kind, str]:
        """The kinds that were never listed yet → why."""
        return {
            kind: one.trouble or one.store.trouble or "not listed yet"
            for kind, one in self._kinds.items()
            if not one.store.synced and kind not in CLUSTER_WIDE
        }

    def ages(self) -> dict[Kind, float | None]:
        """Seconds since the API server was heard about each kind."""
        return {kind: one.store.age() for kind, one in self._kinds.items()}

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """One object, as it was last heard of; shared, so not to be changed."""
        found = self._kinds[kind].store.get(namespace, name)
        return found if isinstance(found, dict) else None

    def every(self, kind: Kind) -> list[Object] | None:
        """All objects of a kind; None where they are not known, as those that may not be read."""
        store = self._kinds[kind].store
        found = store.select(None) if store.synced and not store.trouble else UNKNOWN
        return found if isinstance(found, list) else None

    def of(self, kind: Kind, key: Key) -> list[Object]:
        """The objects of a service, sorted by name; shared, so not to be changed."""
        return self._kinds[kind].store.of(key)

    def heard(self, key: Key) -> tuple[int, ...]:
        """What is another once something of a service was heard of."""
        return tuple(one.store.heard(key) for one in self._kinds.values())

    def services(self) -> list[Key]:
        """Every service there is."""
        return self._kinds[KIND].store.keys()

    def keys(self) -> list[Key]:
        """Whatever any of its objects is of."""
        return sorted({key for one in self._kinds.values() for key in one.store.keys()})  # noqa: SIM118 - no mapping

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            discovery = Discovery(self._cluster)
            for kind, one in self._kinds.items():
                if one.reflector is None:
                    self._begin(kind, one, discovery)
            if all(one.reflector is not None for one in self._kinds.values()):
                return
            self._stopping.wait(_DISCOVER)

    def _begin(self, kind: Kind, one: _Informer, discovery: Discovery) -> None:
        try:
            resource = discovery.resource(kind)
        except ClusterError as error:
            one.trouble = str(error)
            return
        except Exception as error:  # noqa: BLE001,RUF100 - one kind must not end the others
            one.trouble = f"{type(error).__name__}"
            return
        if resource is None:
            one.trouble = "the API server does not serve it; is its CustomResourceDefinition applied?"
            return
        one.trouble = ""
        one.reflector = self._reflector(kind, resource, one.store)
        one.reflector.start()

    def _reflector(self, kind: Kind, resource: Resource, store: Store) -> Reflector:
        made = Reflector if kind.partition(".")[2] == GROUP or kind in CLUSTER_WIDE else _Ours
        only, where = kind == _SECRET, self._namespace if resource.namespaced else ""
        return made(self._cluster, resource, store, metadata_only=only, namespace=where, timing=self._timing)


def _trim(kind: Kind) -> Callable[[Object], Object]:
    """What is kept of an object: all but who wrote which field, and nothing of what a Secret holds."""

    def trim(item: Object) -> Object:
        kept = {name: value for name, value in item.items() if kind != _SECRET or name in ("apiVersion", "kind", "metadata")}
        if isinstance(kept.get("metadata"), dict):
            kept["metadata"] = {name: value for name, value in kept["metadata"].items() if name not in _HEAVY}
        return kept

    return trim


def _only(paths: Iterable[str]) -> Callable[[Object], Object]:
    """What is kept of an object of the whole cluster: who it is, its labels, and these fields."""

    def trim(item: Object) -> Object:
        metadata = {name: value for name, value in metadata_of(item).items() if name in ("name", "uid", "labels")}
        kept: dict[str, Any] = {name: item[name] for name in ("apiVersion", "kind") if name in item}
        kept["metadata"] = metadata
        for path in paths:
            outer, _, inner = path.partition(".")
            found = mapping_of(item, outer).get(inner) if inner else item.get(outer)
            if found is not None:
                kept[outer] = {inner: found} if inner else found
        return kept

    return trim


def _nobody(_: Iterable[Key]) -> None:
    """Nobody is told."""
