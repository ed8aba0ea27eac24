"""All adapters, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeVar, overload

from stateward.policies import data
from stateward.policies.adapters.adapter import Adapter, groups_of
from stateward.policies.view import Kind, kind_of

T = TypeVar("T")
_FOLDER: Final = "adapters/data"


class _BuiltIn(Mapping[Kind, Adapter]):
    """Makes an adapter when it is first asked for: most runs meet few kinds."""

    def __init__(self) -> None:
        self._made: dict[Kind, Adapter] = {}
        self._files: dict[Kind, tuple[str, str]] = {}
        """The file of each kind, and the kind's group."""
        self.names: dict[str, Kind] = {}
        """The adapters' names, and a kind of each."""
        for file, part in data.parts(_FOLDER, ("adapter", "match")):
            for group in groups_of(part["match"], file):
                kind = kind_of(f"{group}/v1" if group else "v1", part["match"]["kind"])
                self._files[kind] = file, group
                self.names.setdefault(part["adapter"], kind)

    def __getitem__(self, kind: Kind) -> Adapter:
        found = self._made.get(kind)
        if found is None:
            file, group = self._files[kind]
            found = self._made[kind] = Adapter(file, data.file(f"{_FOLDER}/{file}"), group)
        return found

    def get(self, kind: Kind, default: Any = None) -> Any:
        """As of any mapping; asked for every request, so without an exception for kinds that have none."""
        return self[kind] if kind in self._files else default

    def __contains__(self, kind: object) -> bool:
        return kind in self._files

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


BUILT_IN: Final = _BuiltIn()
"""The adapters of `data/`."""


class _Adapters(Mapping[Kind, Adapter]):
    """The built-in adapters, and over them the user's own that are in use."""

    def __init__(self, built_in: Mapping[Kind, Adapter]) -> None:
        self._built_in = built_in
        self.own: Mapping[Kind, Adapter] = {}
        """The user's own."""
        self._all: Mapping[Kind, Any] = built_in
        self._met: dict[Kind, Adapter] = {}
        """Those that were asked for: each request asks for one, and this is the short way to it."""

    def use(self, own: Mapping[Kind, Adapter]) -> None:
        """Has these, and no others, be the user's own: those of the policy that is in force.

        A process knows one set of kinds: what it reads from a cluster, what it registers for and what its rules see of
        other objects are all made from it, and made anew by whoever exchanges the policy.
        """
        self.own = own
        self._all = {**dict.fromkeys(self._built_in), **own} if own else self._built_in
        self._met = {}  # a new one: whoever reads meanwhile fills the old one

    def __getitem__(self, kind: Kind) -> Adapter:
        return self.own[kind] if kind in self.own else self._built_in[kind]

    @overload
    def get(self, kind: Kind, /) -> Adapter | None: ...
    @overload
    def get(self, kind: Kind, default: Adapter, /) -> Adapter: ...
    @overload
    def get(self, kind: Kind, default: T, /) -> Adapter | T: ...
    def get(self, kind: Kind, default: Any = None, /) -> Any:
        """As of any mapping; asked for every request, so without an exception for kinds that have none."""
        met = self._met
        found = met.get(kind)
        if found is not None:
            return found
        if kind not in self._all:
            return default
        found = met[kind] = self[kind]
        return found

    def __contains__(self, kind: object) -> bool:
        return kind in self._all

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


ADAPTERS: Final = _Adapters(BUILT_IN)
"""The adapters that are in use."""


def backup_kinds() -> tuple[Kind, ...]:
    """The kinds by which operators that we know record a backup that was taken."""
    rows = (row for _, part in data.parts(_FOLDER, ("backups",)) for row in part.get("backups") or ())
    return tuple(sorted({row["kind"] for row in rows if row["kind"] not in BUILT_IN}))


def with_scale() -> list[Adapter]:
    """The adapters whose kind has a scale subresource."""
    return [adapter for adapter in ADAPTERS.values() if adapter.scale_path is not None]
