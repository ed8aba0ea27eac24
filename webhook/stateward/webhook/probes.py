"""What the process is asked about itself, for `/metrics` and `/v1/status`: by whom it was put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stateward.policies.view import Kind


def _unknown() -> None:
    """Nobody knows, or it does not apply."""


@dataclass(frozen=True, slots=True)
class Probes:
    """None of them may wait for anything, for they are asked on the event loop. None: unknown, or it does not apply."""

    ages: Callable[[], Mapping[Kind, float]] = dict
    """Seconds since each kind of the view was heard of, inf for never."""
    unknown: Callable[[], Mapping[Kind, str]] = dict
    """The kinds that are needed and unknown → why."""
    certificates: Callable[[], Mapping[str, float]] = dict
    """`authority`, `serving`, … → when it ends, in seconds since the epoch."""
    handshake_failures: Callable[[], int | None] = _unknown
    """How often a handshake with ourselves, through what is published, has failed."""
    registered: Callable[[], bool | None] = _unknown
    """Whether the configurations by which the API server asks are there."""
    leader: Callable[[], bool | None] = _unknown
    """Whether this replica is the one that writes."""
    policy_errors: Callable[[], Sequence[str]] = tuple
    """Why the policy that is wanted is not the one in force; empty where it is."""
    policy_name: Callable[[], str] = str
    """Where the policy comes from: a file, the name of a WardPolicy, "" for the built-in one."""
