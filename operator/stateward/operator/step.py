"""One step of an operation: what is to be done now, or what is waited for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from stateward.operator.drivers.protocol import Result

SOON: Final = 2.0
"""Seconds until the next look while something is being done."""

Kind = Literal[
    "Create", "ScaleUp", "ScaleDown", "Upgrade", "Finalise", "Rollback", "Configure", "Grow", "Replace", "Rotate",
    "Switchover", "Backup", "Restore", "Drill", "Delete",
]  # fmt: skip
"""As `status.operation.kind` has it."""


@dataclass(frozen=True, slots=True)
class Step:
    """What an operation wants next. Decided from facts alone, so that whoever takes over decides the same."""

    kind: Kind
    name: str
    """One word: `join`, `leave`, `restart`."""
    member: str
    message: str
    """What is done or waited for, in plain words."""
    act: Callable[[], Result] | None = None
    """Does it: one write, or one command of the engine. None: it is waited for."""
    change: tuple[str, str] = ("", "")
    """From what to what: versions, members, sizes."""
    blocked: str = ""
    """A reason why nothing can be done, as one word; an `act` beside it is tried on."""
    yields: bool = False
    """It waits for its time, or for somebody's word, and other operations need not wait with it."""
    again: float = SOON
    """Seconds until the next look, where nothing was done."""
