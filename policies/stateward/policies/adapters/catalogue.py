"""All adapters, by kind."""

from __future__ import annotations

from typing import Final

from stateward.policies import data
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.view import Kind


def built_in() -> dict[Kind, Adapter]:
    """The adapters of `data/`, by kind."""
    adapters = (Adapter(name, content) for name, content in data.folder("adapters/data"))
    return {adapter.kind: adapter for adapter in adapters}


ADAPTERS: Final[dict[Kind, Adapter]] = built_in()


def with_scale() -> list[Adapter]:
    """The adapters whose kind has a scale subresource."""
    return [adapter for adapter in ADAPTERS.values() if adapter.scale_path is not None]
