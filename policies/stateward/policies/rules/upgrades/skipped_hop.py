"""SW302: an upgrade that the engine does not support in one hop."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.hops import path_command, path_text, step
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight, accuses


@rule(
    id="SW302",
    name="skipped-hop",
    summary="An upgrade is no hop that the engine supports",
    why="Engines read the data of the release before, some only from a certain patch on; what was skipped is never "
    "converted, and the new version stops on it, often after it has changed half of it.",
    remedy="Go along the path that the finding names, one hop at a time, each finished before the next.",
    source="the engine's own documentation, named in its profile (stateward explain SW302)",
    nature="transition",
    judges=services("UPDATE"),
    about=("version",),
    looks_at=(accuses("ControllerRevision.apps", "data"),),
)
def skipped_hop(change: Change, see: Sight) -> Iterator[Finding]:
    """What the profile's table of upgrades says."""
    done = step(change)
    if done is None or not done.upwards or done.hop.verdict == "allow" or change.new is None:
        return
    path = path_text(done)
    remedy = (
        "make sure of that before the first member restarts"
        if path == f"{done.old.text} → {done.new.text}"
        else f"{path} (`{path_command(done)}`)"
        if path
        else (
            f"make a new service on {done.new.text} and move the data"
            + (f": {done.profile.backup}" if done.profile.backup else "")
        )
    )
    if done.hop.finalise:
        remedy += f"; finalise each step: {done.hop.finalise}"
    yield Finding(
        field=change.new.version.path,
        text=f"{done.old.text} → {done.new.text} is "
        + ("not a hop" if done.hop.verdict == "deny" else "no certain hop")
        + f" that {done.profile.title} supports",
        why=done.hop.reason,
        remedy=remedy,
        weak=done.hop.verdict == "warn" or not change.new.engine_certain,
    )
