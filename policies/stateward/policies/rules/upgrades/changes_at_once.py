"""SW307: two disruptive changes in one edit."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.hops import step
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight, accuses


@rule(
    id="SW307",
    name="changes-at-once",
    summary="A new engine version comes together with another disruptive change",
    why="Members restart on a new version while others join, leave or get other volumes: when one of them fails nobody can "
    "tell which change did it, and going back takes both back.",
    remedy="One at a time: the version first, the rest when all members are ready on it.",
    source="the operators' upgrade guides: upgrade only a healthy cluster that does not change otherwise",
    nature="transition",
    judges=services("UPDATE"),
    about=("version",),
    looks_at=(accuses("ControllerRevision.apps", "data"),),
)
def changes_at_once(change: Change, see: Sight) -> Iterator[Finding]:
    """A version change with members that leave or volumes that change. Inside a series it warns."""
    done = step(change)
    old, new = change.old, change.new
    if done is None or old is None or new is None or not new.engine_certain or old.members == 0:
        return
    if change.touched is not None and change.touched.isdisjoint(("members", "volumes")):
        return
    others: list[str] = []
    before, after = old.members, new.members
    if before is not None and after is not None and after != before:
        others.append(f"{before} → {after} members")
    others += [
        f"another class or size for volume {volume.name}"
        for _, was, volume in change.kept_volumes()
        if was.asked != volume.asked
    ]
    if not others:
        return
    series = done.profile.series_of(done.old) != done.profile.series_of(done.new)
    yield Finding(
        field=new.version.path,
        text=f"{done.old.text} → {done.new.text} comes together with {others[0]}",
        why="when a member fails now, nobody can tell which of the two did it, and going back takes both back",
        remedy="make two edits: the version first, the rest when all members are ready on it",
        weak=not series,
    )
