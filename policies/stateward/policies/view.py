"""What else exists: the View that a caller brings, and the Sight through which a rule looks at it.

A look-up has three answers: the object, `None` (known to be absent) and `UNKNOWN` (nobody has looked, or the last look
is too old). Unknown is not no. Every look-up of a rule is declared with its role:

- `accuses`: what it finds (or misses) is held against the change. Unknown accuses nobody: the rule stays silent there
  and the engine reports it as not judged.
- `excuses`: what it finds lets the change pass. Unknown excuses nobody: the finding stands and says what was unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, Protocol

from stateward.policies.structs import dataclass

Object = dict[str, Any]
"""A Kubernetes object as JSON gives it. Nothing about its inside is taken for granted."""

Kind = str
"""A kind as kubectl writes it: `Pod`, `StatefulSet.apps`, `Cluster.postgresql.cnpg.io`. The version does not matter."""


class Unknown(Enum):
    """The answer of a View that has not looked."""

    UNKNOWN = "unknown"

    def __bool__(self) -> Literal[False]:
        return False


UNKNOWN: Final = Unknown.UNKNOWN


Key = Callable[[Object], Iterable[Hashable]]
"""What objects are looked up by, beside their names: a function of a module, so that an index of it is kept once."""


class View(Protocol):
    """The objects beside the one that is judged."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """One object (`namespace` is "" for cluster-scoped kinds), None if it is absent."""
        ...

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """The objects of a kind that are known, in one namespace or (None) in all; UNKNOWN where nobody has looked."""
        ...

    def complete(self, kind: Kind) -> bool:
        """Whether all objects of a kind are known: what is not here does not exist."""
        ...


def kind_of(api_version: object, kind: object) -> Kind:
    """`apps/v1`, `StatefulSet` → `StatefulSet.apps`; the core group has no suffix."""
    if not isinstance(kind, str):
        return ""
    group = api_version.partition("/")[0] if isinstance(api_version, str) and "/" in api_version else ""
    return f"{kind}.{group}" if group else kind


def kind_of_object(item: Mapping[str, Any]) -> Kind:
    """The kind that an object says it is."""
    return kind_of(item.get("apiVersion"), item.get("kind"))


def metadata_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object's metadata; an empty mapping where it has none."""
    metadata = item.get("metadata")
    return metadata if type(metadata) is dict else _EMPTY


def text_of(mapping: Mapping[str, Any], key: str) -> str:
    """A string of a mapping; "" where it is missing or something else."""
    value = mapping.get(key)
    return value if type(value) is str else ""


def mapping_of(mapping: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A mapping inside a mapping; an empty one where it is missing or something else."""
    value = mapping.get(key)
    return value if type(value) is dict else _EMPTY


def items_of(mapping: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """The mappings in a list inside a mapping; whatever else is in the list is left out."""
    value = mapping.get(key)
    if type(value) is not list:
        return []
    return [item for item in value if type(item) is dict]


def texts_of(mapping: Mapping[str, Any], key: str) -> list[str]:
    """The strings in a list inside a mapping; whatever else is in the list is left out."""
    value = mapping.get(key)
    if type(value) is not list:
        return []
    return [item for item in value if type(item) is str]


_EMPTY: Final[Mapping[str, Any]] = {}

SNAPSHOT: Final = "VolumeSnapshot.snapshot.storage.k8s.io"


def records_backups(kind: Kind) -> bool:
    """Kinds whose absence is knowledge wherever objects are given by hand: no backup given means none was taken."""
    return kind == SNAPSHOT or kind.partition(".")[0].endswith("Backup")


class MemoryView:
    """A View over objects in memory.

    `complete` says of a kind whether all its objects were given. By default a kind is complete if one object of it is
    there; those of backups always are. `nothing_complete` is the linter's: files never show all of a cluster.
    """

    def __init__(self, objects: Iterable[Object], complete: Callable[[Kind], bool] | None = None) -> None:
        self._objects: dict[Kind, dict[str, dict[str, Object]]] = {}  # by kind, namespace and name
        for item in objects:
            metadata = metadata_of(item)
            places = self._objects.setdefault(kind_of_object(item), {})
            places.setdefault(text_of(metadata, "namespace"), {})[text_of(metadata, "name")] = item
        self._complete = complete
        self._indexes: dict[tuple[Kind, str | None, Key], dict[Hashable, list[Object]]] = {}

    def complete(self, kind: Kind) -> bool:
        """Whether what is not here does not exist."""
        if self._complete is not None:
            return self._complete(kind)
        return kind in self._objects or records_backups(kind)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`."""
        found = self._objects.get(kind, {}).get(namespace, {}).get(name)
        if found is not None:
            return found
        return None if self.complete(kind) else UNKNOWN

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`."""
        places = self._objects.get(kind)
        if places is None:
            return [] if self.complete(kind) else UNKNOWN
        if namespace is None:
            return [item for objects in places.values() for item in objects.values()]
        return list(places.get(namespace, {}).values())

    def having(self, kind: Kind, key: Key, value: Hashable, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `having`; the first look makes an index, so that thousands of objects that look at each other stay cheap."""
        index = self._indexes.get((kind, namespace, key))
        if index is None:
            objects = self.select(kind, namespace)
            if objects is UNKNOWN:
                return UNKNOWN
            index = self._indexes[kind, namespace, key] = {}
            for item in objects:
                for each in key(item):
                    index.setdefault(each, []).append(item)
        return index.get(value, ())

    def kinds(self) -> Iterable[Kind]:
        """The kinds of which at least one object is here."""
        return self._objects.keys()


Test = Callable[[Object, Hashable], bool]
"""Whether a key gives this value for an object: the same answer without making all the others."""
_TESTS: Final[dict[Key, Test]] = {}


def tested(test: Test) -> Callable[[Key], Key]:
    """Gives a key its test, for a view that keeps no index and looks through thousands of objects."""

    def give(key: Key) -> Key:
        _TESTS[key] = test
        return key

    return give


def having(view: View, kind: Kind, key: Key, value: Hashable, namespace: str | None = None) -> Sequence[Object] | Unknown:
    """The objects of a kind with this value among those that `key` gives for them; as `View.select` otherwise.

    `key` looks at the object alone. A view that changes all the time keeps no index and looks through its objects.
    """
    if isinstance(view, MemoryView):
        return view.having(kind, key, value, namespace)
    objects = view.select(kind, namespace)
    if objects is UNKNOWN:
        return UNKNOWN
    test = _TESTS.get(key)
    if test is not None:
        return [item for item in objects if test(item, value)]
    return [item for item in objects if value in key(item)]


def label_of(item: Object, label: str) -> str | None:
    """The value of a label, None of an object without it."""
    labels = metadata_of(item).get("labels")
    value = labels.get(label) if type(labels) is dict else None
    return value if isinstance(value, str) else None


@cache
def by_label(label: str) -> Key:
    """The key that is the value of a label."""

    def value(item: Object) -> Iterable[Hashable]:
        found = mapping_of(metadata_of(item), "labels").get(label)
        return (found,) if type(found) is str else ()

    return value


def nothing_complete(_: Kind) -> bool:
    """For `MemoryView(complete=...)`: the objects given are some of those that exist, never all."""
    return False


EMPTY_VIEW: Final = MemoryView((), nothing_complete)


@dataclass(frozen=True, slots=True)
class Look:
    """One declared look-up: which kind, whether it accuses or excuses, and which fields the rule reads.

    From these the reflectors, their RBAC and the trimming of cached objects are made. `fields` are dotted prefixes
    below the object; metadata (without managedFields) is always kept.
    """

    kind: Kind
    accuses: bool
    fields: tuple[str, ...]


def accuses(kind: Kind, *fields: str) -> Look:
    """A look-up that is held against the change."""
    return Look(kind, True, fields)


def excuses(kind: Kind, *fields: str) -> Look:
    """A look-up that can only let the change pass."""
    return Look(kind, False, fields)


class Sight:
    """One rule's eyes: its View, its declared look-ups, its parameters, and what stayed unknown to it."""

    __slots__ = ("_view", "looks", "now", "params", "unknown")

    def __init__(self, view: View, looks: Mapping[Kind, Look], params: Mapping[str, Any], now: float) -> None:
        self._view = view
        self.looks = looks
        """The look-ups that the rule declares."""
        self.params = params
        self.now = now
        """Seconds since the epoch at which the request is judged."""
        self.unknown: set[Kind] | None = None
        """The kinds that stayed unknown; None where none did."""

    def turn(self, looks: Mapping[Kind, Look], params: Mapping[str, Any]) -> None:
        """Lends these eyes to the next rule."""
        self.looks = looks
        self.params = params
        self.unknown = None

    def on(self, view: View) -> Sight:
        """The same eyes on how things are in another View (before the request)."""
        return Sight(view, self.looks, self.params, self.now)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """One object, through a declared look-up (KeyError if the rule did not declare it: a fault of the rule)."""
        self.looks[kind]
        found = self._view.get(kind, namespace, name)
        if found is UNKNOWN:
            self._blind(kind)
        return found

    def _blind(self, kind: Kind) -> None:
        if self.unknown is None:
            self.unknown = set()
        self.unknown.add(kind)

    def select(self, kind: Kind, namespace: str | None = None, whole: bool = False) -> Sequence[Object] | Unknown:
        """All objects of a kind, through a declared look-up.

        Where only some are known (files show a part of a cluster), those that are there may accuse, but they excuse
        nothing: then, and for a rule that needs the `whole` because what is missing would accuse, the answer is unknown.
        """
        return self._seen(kind, self._view.select(kind, namespace), whole)

    def select_own(self, look: Look, namespace: str) -> Sequence[Object] | Unknown:
        """As `select`, of a kind that perhaps only an adapter of the user's names, with the look-up's role on the spot."""
        if look.kind not in self.looks:
            self.looks = {**self.looks, look.kind: look}
        return self.select(look.kind, namespace)

    def having(self, kind: Kind, key: Key, value: Hashable, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """As `select`, but only the objects with this value among those that `key` gives for them."""
        return self._seen(kind, having(self._view, kind, key, value, namespace), whole=False)

    def _seen(self, kind: Kind, found: Sequence[Object] | Unknown, whole: bool) -> Sequence[Object] | Unknown:
        look = self.looks[kind]
        if found is UNKNOWN or not self._view.complete(kind):
            self._blind(kind)
            if found is UNKNOWN or whole or not look.accuses:
                return UNKNOWN
        return found

    def view_of(self, *looks: Look) -> View:
        """The View itself, for reading whole services; what it is asked must be declared all the same."""
        for look in looks:
            self.looks[look.kind]
        return self._view

    def select_declared(self, look: Look) -> Sequence[Object] | Unknown:
        """All objects of a kind that only the request names (the kind of a CRD), with the look-up's role on the spot."""
        found = self._view.select(look.kind)
        if found is UNKNOWN or not self._view.complete(look.kind):
            self.looks = {**self.looks, look.kind: look}
            self._blind(look.kind)
        return found

    def accused_blind(self) -> tuple[Kind, ...]:
        """The kinds that were unknown where they could have accused."""
        return tuple(sorted(kind for kind in self.unknown or () if self.looks[kind].accuses))

    def excused_blind(self) -> tuple[Kind, ...]:
        """The kinds that were unknown where they could have excused."""
        return tuple(sorted(kind for kind in self.unknown or () if not self.looks[kind].accuses))
