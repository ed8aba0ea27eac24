"""Equal parts of objects kept once: the labels, owners and conditions of a workload's pods are mostly the same."""

from __future__ import annotations

from typing import Any, Final

import orjson

from stateward.policies.view import Object

_LONGEST: Final = 128
"""Characters. Longer texts (the data of a ConfigMap, a command) are hardly ever repeated by themselves."""
_UNIQUE: Final = frozenset({"name", "uid", "creationTimestamp", "generateName"})
"""In metadata: what no two objects have in common. To look it up would cost time and find nothing."""
_ROOM: Final = 20_000
"""Parts that are remembered before those are forgotten that were met only once."""


class Pool:
    """The parts that the objects of one Store share. Used by its writer alone.

    Whoever reads objects may not change them, so that nobody sees whether a part is shared.
    """

    def __init__(self, room: int = _ROOM) -> None:
        self._known: dict[int | str, Any] = {}
        # Texts by themselves, others by the hash of their JSON: to look a part up takes one pass over it, in C.
        self._met: set[int | str] = set()
        """Those that were met again since the last sweep."""
        self._room = room
        self._limit = room

    def share(self, item: Object) -> Object:
        """The object itself, its parts replaced by equal ones that are kept already."""
        for key, value in item.items():
            if type(value) is not dict:
                continue
            if key != "metadata":
                item[key] = self._shared(value)
                continue
            for name, part in value.items():
                if name not in _UNIQUE:
                    value[name] = self._shared(part)
        if len(self._known) > self._limit:
            self._sweep()
        return item

    def __len__(self) -> int:
        return len(self._known)

    def _sweep(self) -> None:
        """Forgets what was met only once: most of it is in one object, or in none any more."""
        self._known = {key: self._known[key] for key in self._met}
        self._met = set()
        self._limit = 2 * len(self._known) + self._room

    def _shared(self, value: Any) -> Any:
        kind = type(value)
        if kind is str:
            if len(value) > _LONGEST:
                return value
            key: int | str = value
        elif kind is dict or kind is list:
            try:
                key = hash(orjson.dumps(value))
            except TypeError:
                return value  # nothing that came as JSON
        else:
            return value
        known = self._known.get(key)
        if known is not None and known == value:
            self._met.add(key)
            return known
        self._known[key] = value
        if kind is not str:
            for name, part in value.items() if kind is dict else enumerate(value):
                below = type(part)
                if below is str or below is dict or below is list:
                    value[name] = self._shared(part)
        return value
