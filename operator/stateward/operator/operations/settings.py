"""Settings that all members share and that the engine keeps itself: changed by its own command, not by its files."""

from __future__ import annotations

from stateward.operator.step import Step
from stateward.operator.turn import Turn

_SHOWN = 5


def settings(turn: Turn) -> Step | None:
    """Makes them what they should be; None where they are, or where nobody can say."""
    stand, driver = turn.stand, turn.driver
    if not stand.formed:
        return None
    seen, targets, place = list(stand.seen.values()), turn.asked(), turn.place()
    names = driver.unsettled(seen, targets, place)
    if not names:
        return None
    several = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    return Step("Configure", "settings", "", f"set for all members: {several}", lambda: driver.settle(seen, targets, place))
