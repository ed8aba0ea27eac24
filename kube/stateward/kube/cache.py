"""The View over a live cluster: what the reflectors have read, and whether it may be relied on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from stateward.kube.store import Store
from stateward.policies.view import UNKNOWN, Kind, Object, Unknown, metadata_of, text_of

STALE_AFTER: Final = 120.0
"""Seconds. The API server sends a bookmark about each minute: two missed, and what is here may be wrong."""

LEAVING: Final = 10.0
"""Seconds that an allowed eviction counts before the watch has shown the pod as being deleted."""

POD: Final = "Pod"

Leavers = Mapping[tuple[str, str], tuple[object, float]]
"""(namespace, name) of a pod → its uid, and the clock's reading until which its eviction counts."""


class ClusterView:
    """`stateward.policies.view.View` over Stores. Reads are dictionary look-ups under a short lock; nothing does I/O.

    A kind is complete once its first list is read and while the API server was heard about it less than `stale_after`
    seconds ago; until then, after that, and for kinds that nobody reads every answer is UNKNOWN. Objects are shared:
    whoever changes one changes the cache.
    """

    def __init__(self, *, stale_after: float = STALE_AFTER, clock: Callable[[], float] = time.monotonic) -> None:
        self.stale_after = stale_after
        self.clock = clock
        # Replaced as a whole on every change: readers take one and see no other.
        self._stores: Mapping[Kind, Store] = {}
        self._leaving: Leavers = {}

    # --- what is read --------------------------------------------------------------------------------------------

    def add(self, store: Store) -> None:
        """Reads of its kind are answered from this store from now on. One writer at a time."""
        self._stores = {**self._stores, store.kind: store}

    def drop(self, kind: Kind) -> None:
        """Nobody reads this kind any longer."""
        self._stores = {known: store for known, store in self._stores.items() if known != kind}

    def store(self, kind: Kind) -> Store | None:
        """Where a kind's objects are kept."""
        return self._stores.get(kind)

    # --- View ----------------------------------------------------------------------------------------------------

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`."""
        store = self._stores.get(kind)
        if store is None or not self._fresh(store):
            return UNKNOWN
        found = store.get(namespace, name)
        if kind == POD and type(found) is dict and (leavers := self._leavers()):
            return _left(found, leavers)
        return found

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`. Of a kind of which not all objects are kept the first ones, and UNKNOWN in one namespace."""
        store = self._stores.get(kind)
        if store is None or not self._fresh(store):
            return UNKNOWN
        found = store.select(namespace)
        if kind == POD and found is not UNKNOWN and (leavers := self._leavers()):
            return [_left(item, leavers) for item in found]
        return found

    def complete(self, kind: Kind) -> bool:
        """See `View.complete`. A kind of which only the first objects are kept is not."""
        store = self._stores.get(kind)
        return store is not None and self._fresh(store) and not store.overflowed

    def leave(self, namespace: str, name: str) -> None:
        """A pod's eviction was just allowed: it counts as being deleted before the watch says so.

        The evictions of a drain arrive together, faster than any watch; each has to see the ones before it. Forgotten
        after `LEAVING` seconds, for the API server may still refuse what was allowed here (a disruption budget).
        """
        store = self._stores.get(POD)
        found = store.get(namespace, name) if store is not None else None
        if type(found) is dict:
            uid = metadata_of(found).get("uid")
            self._leaving = {**self._leavers(), (namespace, name): (uid, self.clock() + LEAVING)}

    def _leavers(self) -> Leavers:
        """Those that still count. Once none does there is nothing left to compare each pod with."""
        if self._leaving:
            now = self.clock()
            self._leaving = {key: entry for key, entry in self._leaving.items() if entry[1] > now}
        return self._leaving

    # --- how much is known ---------------------------------------------------------------------------------------

    def kinds(self) -> list[Kind]:
        """The kinds that somebody reads."""
        return sorted(self._stores)

    def synced(self, kinds: Iterable[Kind]) -> bool:
        """Whether all of these are complete now."""
        stores = self._stores
        return all((store := stores.get(kind)) is not None and self._fresh(store) for kind in kinds)

    def ages(self) -> dict[Kind, float]:
        """Seconds since the API server was heard about each kind; infinity before its first list."""
        return {kind: float("inf") if (age := store.age()) is None else age for kind, store in sorted(self._stores.items())}

    def counts(self) -> dict[Kind, int]:
        """Objects kept of each kind."""
        return {kind: len(store) for kind, store in sorted(self._stores.items())}

    def why_unknown(self, kind: Kind) -> str:
        """Why a kind is unknown, with what can be done about it; "" if it is known."""
        store = self._stores.get(kind)
        if store is None:
            return f"{kind}: nothing reads it; no rule or adapter has declared it"
        trouble = store.trouble
        age = store.age()
        if age is None:
            return f"{kind}: {trouble}" if trouble else f"{kind}: its first list is not complete yet; wait"
        if age > self.stale_after:
            last = trouble or "no error was seen; the watch is silent"
            return f"{kind}: the API server was last heard {age:.0f} s ago (limit {self.stale_after:.0f} s); {last}"
        return ""

    def _fresh(self, store: Store) -> bool:
        age = store.age()
        return age is not None and age <= self.stale_after


def _left(pod: Object, leavers: Leavers) -> Object:
    """A pod as it is, or as being deleted where its eviction was just allowed."""
    metadata = metadata_of(pod)
    entry = leavers.get((text_of(metadata, "namespace"), text_of(metadata, "name")))
    if entry is None or entry[0] != metadata.get("uid"):
        return pod
    return {**pod, "metadata": {"deletionTimestamp": "evicted", **metadata}}
