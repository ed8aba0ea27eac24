"""SW311: of two fields that belong together one is changed alone."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW311",
    name="companion-left-behind",
    summary="Of two images that are released as a pair one is changed alone",
    why="What was tested together is run apart: the service goes on, and what stands beside it (backups, agents) fails the "
    "next time it is needed.",
    remedy="Change both, to a pair that the operator's release was tested with.",
    source="the operators' release notes; each row of an adapter's `together` says why",
    nature="transition",
    action="warn",
    judges=services("UPDATE"),
    about=("pairs",),
)
def companion_left_behind(change: Change, see: Sight) -> Iterator[Finding]:
    """The rows of the adapter, where both fields are written."""
    old, new = change.old, change.new
    if old is None or new is None or old.adapter is not new.adapter:
        return
    for position, pair in enumerate(new.adapter.together):
        (one, other), (first, second) = pair.read(old), pair.read(new)
        if None in (one.value, other.value, second.value) or one.value == first.value or other.value != second.value:
            continue
        yield Finding(
            field=second.path,
            text=f"it stays as it is while {'.'.join(map(str, first.path))} changes: {pair.what}",
            why=pair.why,
            remedy=pair.do,
            subject=str(position),
        )
