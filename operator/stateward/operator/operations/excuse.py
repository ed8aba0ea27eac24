"""Waivers that the operator writes for its own next write: at the door it is judged like anybody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from stateward.policies.waiver import WAIVE

_EXCUSED: Final = timedelta(minutes=15)


def excuse(rule: str, reason: str, now: datetime) -> dict[str, str]:
    """The note for a step that a rule cannot tell from the accident that it stands against; gone with the next write."""
    return {WAIVE: f'{rule} until={now + _EXCUSED:%Y-%m-%dT%H:%M:%SZ} reason="{reason}"'}
