"""What holds for every test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from stateward.policies.adapters.catalogue import ADAPTERS

# A busy machine is no finding: nothing here asserts how long something takes.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(autouse=True)
def _no_kinds_are_left_behind() -> Iterator[None]:
    """A process knows one set of kinds; a policy with adapters changes it."""
    yield
    if ADAPTERS.own:
        ADAPTERS.use({})
