"""SW301: back to an older version than the data was written by."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.hops import step
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight, accuses


@rule(
    id="SW301",
    name="downgrade",
    summary="An engine is taken back to an older version",
    why="The newer version has changed the format of the data; the older one does not read it, and refuses to start, "
    "member by member.",
    remedy="Go on to a newer fix release, or restore a backup taken with the old version into a new service.",
    source="the engine's own documentation, named in its profile (stateward explain SW301)",
    nature="transition",
    judges=services("UPDATE"),
    about=("version",),
    looks_at=(accuses("ControllerRevision.apps", "data"),),
    loses_data=True,
)
def downgrade(change: Change, see: Sight) -> Iterator[Finding]:
    """What the profile's table of downgrades says. Back to the version that still runs is a repair and passes."""
    done = step(change)
    if done is None or done.upwards or done.hop.verdict == "allow" or change.new is None:
        return
    yield Finding(
        field=change.new.version.path,
        text=f"{done.old.text} → {done.new.text} is a downgrade of {done.profile.title}",
        why=done.hop.reason,
        remedy=f"stay on {done.old.text} or go forward; to go back restore a backup taken with {done.new.text} into a new "
        "service" + (f" ({done.profile.backup})" if done.profile.backup else ""),
        weak=done.hop.verdict == "warn" or not change.new.engine_certain,
    )
