"""The objects of one kind, trimmed, and how much is known about them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from stateward.kube.sharing import Pool
from stateward.kube.trim import trimmer
from stateward.policies.view import UNKNOWN, Kind, Object, Unknown, metadata_of, text_of

UNLIMITED: Final = 0


class Listing:
    """A list that is being read: its objects are trimmed as they come, so that a page's whole objects soon go."""

    def __init__(self, kind: Kind, trim: Callable[[Object], Object], limit: int) -> None:
        self.kind = kind
        self.spaces: dict[str, dict[str, Object]] = {}
        self.count = 0
        self.more = False
        """Whether there are objects that are not kept."""
        self._trim = trim
        self._limit = limit

    @property
    def full(self) -> bool:
        """Whether no more objects are kept."""
        return bool(self._limit) and self.count >= self._limit

    def add(self, item: Object) -> None:
        """One more object; what has no name is none."""
        found = _key(item)
        if found is None:
            return
        space = self.spaces.setdefault(found[0], {})
        if found[1] not in space:
            if self.full:
                self.more = True
                return
            self.count += 1
        space[found[1]] = self._trim(item)


class Store:
    """One writer (a reflector), any number of readers. Readers share the objects: they must not change them.

    `limit`: at most so many objects are kept (0: all); `overflowed` then says that there are more. `clock` is
    monotonic, in seconds.
    """

    def __init__(
        self,
        kind: Kind,
        prefixes: Iterable[str] | None,
        clock: Callable[[], float],
        limit: int = UNLIMITED,
        trim: Callable[[Object], Object] | None = None,
    ) -> None:
        self.kind = kind
        self.limit = limit
        self.trouble = ""
        """Why nothing newer is known; "" while all is well."""
        self._cut = trim if trim is not None else trimmer(kind, prefixes)
        self._pool = Pool()
        self._clock = clock
        self._lock = threading.Lock()  # held for single dictionary operations and for copying a namespace's list
        self._spaces: dict[str, dict[str, Object]] = {}
        self._count = 0
        self._overflowed = False
        self._contact: float | None = None

    # --- writing -------------------------------------------------------------------------------------------------

    def listing(self) -> Listing:
        """An empty list to fill page by page and then give to `replace`."""
        return Listing(self.kind, self._trim, self.limit)

    def replace(self, listing: Listing) -> None:
        """Puts a complete list in place of what was there, at once. The listing then has what was there before."""
        with self._lock:
            self._spaces, listing.spaces = listing.spaces, self._spaces
            self._count = listing.count
            self._overflowed = listing.more
            self._contact = self._clock()
            self.trouble = ""

    def put(self, item: Object) -> None:
        """An object was added or changed."""
        found = _key(item)
        if found is None:
            return
        trimmed = self._trim(item)
        namespace, name = found
        with self._lock:
            space = self._spaces.get(namespace)
            if space is None or name not in space:
                if self.limit and self._count >= self.limit:
                    self._overflowed = True
                    return
                self._count += 1
            if space is None:
                space = self._spaces[namespace] = {}
            space[name] = trimmed

    def remove(self, item: Object) -> None:
        """An object was deleted."""
        found = _key(item)
        if found is None:
            return
        namespace, name = found
        with self._lock:
            space = self._spaces.get(namespace)
            if space is not None and space.pop(name, None) is not None:
                self._count -= 1
                if not space:
                    del self._spaces[namespace]

    def touch(self) -> None:
        """The API server was heard: what is here was right a moment ago."""
        if self._contact is not None:  # before the first list nothing is here that could be right
            self._contact = self._clock()
        self.trouble = ""

    def _trim(self, item: Object) -> Object:
        return self._pool.share(self._cut(item))

    # --- reading -------------------------------------------------------------------------------------------------

    def get(self, namespace: str, name: str) -> Object | Unknown | None:
        """One object; None if there is none; UNKNOWN if it may be among those not kept."""
        with self._lock:
            space = self._spaces.get(namespace)
            found = space.get(name) if space is not None else None
            if found is None and self._overflowed:
                return UNKNOWN
            return found

    def select(self, namespace: str | None) -> list[Object] | Unknown:
        """All objects, or those of a namespace. Where not all are kept: the first ones of all, UNKNOWN of a namespace."""
        with self._lock:
            if namespace is not None:
                if self._overflowed:
                    return UNKNOWN
                return list(self._spaces.get(namespace, {}).values())
            if self._overflowed and not self._count:
                return UNKNOWN  # those kept are gone, others are not
            return [item for space in self._spaces.values() for item in space.values()]

    def __len__(self) -> int:
        return self._count

    @property
    def synced(self) -> bool:
        """Whether a complete list was read once."""
        return self._contact is not None

    @property
    def overflowed(self) -> bool:
        """Whether there are more objects than are kept."""
        return self._overflowed

    def age(self) -> float | None:
        """Seconds since the API server was heard about this kind; None before the first list."""
        contact = self._contact
        return None if contact is None else max(0.0, self._clock() - contact)


def _key(item: Any) -> tuple[str, str] | None:
    """Namespace ("" for cluster-scoped objects) and name; None where an object has no name."""
    if type(item) is not dict:
        return None
    metadata = metadata_of(item)
    name = text_of(metadata, "name")
    return (text_of(metadata, "namespace"), name) if name else None
