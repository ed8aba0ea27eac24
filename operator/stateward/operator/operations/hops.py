"""The way from one version to another, by the engine's profile: one hop at a time, back only where that is safe."""

from __future__ import annotations

from dataclasses import dataclass

from stateward.operator.observe import BEGUN, CARRY, FINALISED, PREVIOUS
from stateward.operator.operations import members
from stateward.operator.turn import Turn
from stateward.policies import hops
from stateward.policies.engines.profile import Hop, Profile, judge
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.version import Version, parse
from stateward.policies.ways import facts_of, find


@dataclass(frozen=True, slots=True)
class Leg:
    """The next hop of a way."""

    target: str
    row: Hop
    way: str
    """All of it, for people: `3.4.30 → 3.5.33 → 3.6.14`."""


class NoWayError(ValueError):
    """There is no way; the message says value, reason and next step."""


def same(one: str, other: str) -> bool:
    """Whether two texts name the same release, as far as both are precise."""
    first, second = parse(one), parse(other)
    return one == other if first is None or second is None else first.same_release(second)


def forward(one: str, other: str) -> bool:
    """Whether the second is the later one."""
    first, second = parse(one), parse(other)
    return first is not None and second is not None and first < second


def series(engine: str, version: str) -> str:
    """`3.5` of etcd 3.5.16: what the data is finalised at."""
    found = parse(version)
    if found is None:
        return version
    profile = PROFILES.get(engine)
    parts = profile.series_parts(found) if profile is not None else 1
    return ".".join(str(part) for part in found.parts[:parts])


def major(one: str, other: str) -> bool:
    """Whether the first number is another one."""
    first, second = parse(one), parse(other)
    return first is not None and second is not None and first.parts[:1] != second.parts[:1]


def next_hop(turn: Turn) -> Leg:
    """The next hop from what runs to what is wanted, both known to be different. Raises NoWayError."""
    service, running = turn.service, turn.stand.running.version
    before, after = parse(running), parse(service.version)
    if before is None or after is None:
        raise NoWayError(f"version: {service.version}: it cannot be told whether it is later than {running}; name a release")
    profile = PROFILES.get(service.engine)
    if profile is None:
        return Leg(service.version, Hop("allow"), f"{running} → {service.version}")
    found = find(profile, before, after, _facts(turn, after))
    if not found.hops:
        raise NoWayError(_no_way(profile, running, service.version, found.hop, found.words))
    way = " → ".join([before.text, *(there.text for _, there, _ in found.hops)])
    there, row = found.hops[0][1:]
    last = len(found.hops) == 1
    if not last and service.image:
        why = f"version: {service.version}: {way} is not one hop, and image names the image of the last alone"
        raise NoWayError(f"{why}; set version to {there.text} with its image first, or leave image out")
    return Leg(service.version if last else there.text, row, way)


def why_not_back(turn: Turn, target: str) -> str:
    """Why members cannot go back to an older version; "" where they can.

    Back to what others run still is always possible: they are what the data belongs to. So it is where no member has
    ever run the newer version. Otherwise the engine's profile has to allow it, without a doubt.
    """
    service, running, pods = turn.service, turn.stand.running.version, turn.stand.pods
    if any(same(turn.made_with(name), target) for name in service.names(turn.stand.replicas)):
        return ""
    noted = turn.stand.running.notes
    if PREVIOUS in noted and BEGUN not in noted and not any(members.ran(pod) for pod in pods.values()):
        return ""
    if noted.get(CARRY, "").split()[1:2] == ["kept"] and turn.hand.stored(turn.driver.unled(turn.place())):
        return ""  # the data of before is there, and nothing was written since
    before, after = parse(running), parse(target)
    profile = PROFILES.get(service.engine)
    if before is None or after is None or profile is None:
        return f"nothing is known of whether {target} reads the data of {running}"
    row = judge(profile, before, after, _facts(turn, after))
    return "" if row.verdict == "allow" else row.reason or f"{target} may not read the data of {running}"


def _facts(turn: Turn, after: Version) -> dict[str, str]:
    service = turn.service
    level = parse(turn.stand.running.notes.get(FINALISED, ""))
    # Members change by their image and by nothing else, but where the driver carries their data over.
    facts = facts_of(None, by_operator=bool(turn.driver.carries))
    facts["rolling"] = "no" if service.upgrade.strategy == "Recreate" or turn.stand.replicas == 1 else "yes"
    if level is not None:
        target = (after.parts + (0,) * len(level.parts))[: len(level.parts)]
        facts["finalised"] = "raised" if level.parts > target else "unraised"
    return facts


def _no_way(profile: Profile, running: str, wanted: str, row: Hop, words: str) -> str:
    before, after = parse(running), parse(wanted)
    if not words and before is not None and after is not None:
        words = hops.path_text(hops.Step(profile, before, after, facts_of(None, by_operator=False), row, before < after))
    then = f"go by {words}" if words else f"make a new service on {wanted} and move the data: {profile.backup or 'dump it'}"
    return (
        f"version: {wanted}: no supported way leads there from {running}: {row.reason}; {then}, or set it back to {running}"
    )
