"""All mutations. A new one is a module here, its examples beside it, and a line below."""

from __future__ import annotations

from typing import Final

from stateward.policies.mutation import Mutation
from stateward.policies.mutations import budget_of_one, members_apart, members_spread

MUTATIONS: Final[tuple[Mutation, ...]] = (
    members_spread.members_spread,
    members_apart.members_apart,
    budget_of_one.budget_of_one,
)


def find(name: str) -> Mutation | None:
    """A mutation by its id or its name."""
    return next((one for one in MUTATIONS if name.upper() == one.id or name == one.name), None)
