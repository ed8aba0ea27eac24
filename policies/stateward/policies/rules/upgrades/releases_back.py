"""SW312: back inside a series, by more than the release before."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.engines.profile import Profile
from stateward.policies.finding import Finding
from stateward.policies.hops import step
from stateward.policies.rule import rule, services
from stateward.policies.version import Version
from stateward.policies.view import Sight


@rule(
    id="SW312",
    name="releases-back",
    summary="An engine goes back several fix releases of its series",
    why="The data can be read, so it is no downgrade that breaks. But nobody goes back several releases to repair "
    "something: an old manifest is applied, and the fixes of all releases between are undone.",
    remedy="Stay on the newer release. If it does harm go back one release, or waive this rule with the reason.",
    source="PostgreSQL documentation, upgrading: minor releases are compatible both ways; release notes of 17.x: each minor "
    "release fixes corruption and security of the ones before",
    nature="transition",
    judges=services("UPDATE"),
    about=("version",),
)
def releases_back(change: Change, see: Sight) -> Iterator[Finding]:
    """Custom resources, in engines that allow it. One release back is a repair, and a rollout is taken back freely."""
    done = step(change)
    old, new = change.old, change.new
    if done is None or old is None or new is None or old.pod or new.pod:
        return
    if done.upwards or done.hop.verdict != "allow" or not new.engine_certain:
        return
    back = _releases(done.profile, done.old, done.new)
    if back < 2 or old.field("rolling").value is True:
        return
    if any(_rolling(group.ready.value, group.members.value) for group in old.groups):
        return
    yield Finding(
        field=new.version.path,
        text=f"{done.old.text} → {done.new.text} goes back {back} fix releases of {done.profile.title}",
        why="the data can be read, but what the releases between have mended (lost rows, corrupt indexes, security) is "
        "undone; this is how an old manifest looks",
        remedy=f"stay on {done.old.text}; if it does harm go back one release, or waive this",
    )


def _rolling(ready: object, members: object) -> bool:
    return type(ready) is int and type(members) is int and ready < members


def _releases(profile: Profile, old: Version, new: Version) -> int:
    """How many fix releases lie between two versions of one series; 0 where they are not of one or do not say."""
    series = profile.series_of(old)
    if profile.series_of(new) != series:
        return 0
    at = len(series)
    if len(old.parts) <= at or len(new.parts) <= at:
        return 0
    return max(0, old.parts[at] - new.parts[at])
