"""What is asked of the operator by annotations of an object, beside its spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

PAUSED: Final = "stateward.dev/paused"
"""`"true"`: the operator looks on and touches nothing of this service."""
DRY_RUN: Final = "stateward.dev/dry-run"
"""`"true"`: the operator says in the status what it would do, and does not do it."""
ROTATE: Final = "stateward.dev/rotate"
"""Another value than before: passwords and certificates are made anew, one member at a time."""
SWITCHOVER: Final = "stateward.dev/switchover"
"""Another value than before: the member that leads hands over to another."""
REQUESTS: Final[Sequence[str]] = (ROTATE, SWITCHOVER)
"""Those that ask for something to be done once: the edits of annotations that a plan is made for."""
