"""The arithmetic of a majority."""

from __future__ import annotations

from stateward.operator.objects.common import Item, named, selector
from stateward.operator.service import Service


def quorum(voters: int) -> int:
    """How many of these must agree."""
    return voters // 2 + 1


def spare(voters: int) -> int:
    """How many of these may be away."""
    return max(0, voters - quorum(voters))


def budget(service: Service, members: int) -> Item:
    """How many members may be away by anybody's plan: what is asked for, and never more than the majority can spare."""
    spec = {
        "maxUnavailable": min(service.unavailable, spare(members)),
        "selector": {"matchLabels": selector(service)},
        # With AlwaysAllow a member that only starts slowly could be evicted while another is away.
        "unhealthyPodEvictionPolicy": "IfHealthyBudget",
    }
    return named(service, "policy/v1", "PodDisruptionBudget", service.name, spec=spec)
