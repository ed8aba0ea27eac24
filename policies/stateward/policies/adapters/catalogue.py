"""All adapters, by kind."""

from __future__ import annotations

from typing import Final

from stateward.policies import data
from stateward.policies.adapters.adapter import Adapter, groups_of
from stateward.policies.view import Kind


def built_in() -> dict[Kind, Adapter]:
    """The adapters of `data/`, by kind."""
    found: dict[Kind, Adapter] = {}
    for name, content in data.folder("adapters/data"):
        for group in groups_of(content["match"], name):
            adapter = Adapter(name, content, group)
            found[adapter.kind] = adapter
    return found


ADAPTERS: Final[dict[Kind, Adapter]] = built_in()


def backup_kinds() -> tuple[Kind, ...]:
    """The kinds by which operators record a backup that was taken."""
    found = {
        row["kind"]
        for _, content in data.folder("adapters/data")
        for row in content.get("backups") or ()
        if row["kind"] not in ADAPTERS
    }
    return tuple(sorted(found))


def with_scale() -> list[Adapter]:
    """The adapters whose kind has a scale subresource."""
    return [adapter for adapter in ADAPTERS.values() if adapter.scale_path is not None]
