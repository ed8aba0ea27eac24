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


def with_scale() -> list[Adapter]:
    """The adapters whose kind has a scale subresource."""
    return [adapter for adapter in ADAPTERS.values() if adapter.scale_path is not None]
