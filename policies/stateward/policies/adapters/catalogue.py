"""All adapters, by kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies import data
from stateward.policies.adapters.adapter import Adapter, groups_of
from stateward.policies.view import Kind, kind_of

_FOLDER: Final = "adapters/data"


class _Adapters(Mapping[Kind, Adapter]):
    """Makes an adapter when it is first asked for: most runs meet few kinds."""

    def __init__(self) -> None:
        self._made: dict[Kind, Adapter] = {}
        self._files: dict[Kind, tuple[str, str]] = {}
        """The file of each kind, and the kind's group."""
        for file, part in data.parts(_FOLDER, ("match",)):
            for group in groups_of(part["match"], file):
                self._files[kind_of(f"{group}/v1" if group else "v1", part["match"]["kind"])] = file, group

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


ADAPTERS: Final[Mapping[Kind, Adapter]] = _Adapters()
"""The adapters of `data/`."""


def backup_kinds() -> tuple[Kind, ...]:
    """The kinds by which operators record a backup that was taken."""
    rows = (row for _, part in data.parts(_FOLDER, ("backups",)) for row in part.get("backups") or ())
    return tuple(sorted({row["kind"] for row in rows if row["kind"] not in ADAPTERS}))


def with_scale() -> list[Adapter]:
    """The adapters whose kind has a scale subresource."""
    return [adapter for adapter in ADAPTERS.values() if adapter.scale_path is not None]
