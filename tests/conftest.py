"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stateward.policies.adapters.catalogue import ADAPTERS


@pytest.fixture(autouse=True)
def _no_kinds_are_left_behind() -> Iterator[None]:
    """A process knows one set of kinds; a policy with adapters changes it."""
    yield
    if ADAPTERS.own:
        ADAPTERS.use({})
