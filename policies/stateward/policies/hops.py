"""How a change of version is judged: the facts of the service, the row of the profile, the path in words."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from stateward.policies.change import Change
from stateward.policies.engines.profile import Hop, Profile, judge, path
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.paths import dig
from stateward.policies.version import Version


class Step(NamedTuple):
    """A version change that is judged."""

    profile: Profile
    old: Version
    new: Version
    facts: dict[str, str]
    hop: Hop
    upwards: bool
    """Whether it is an upgrade."""


def step(change: Change) -> Step | None:
    """The change of version of a service whose engine is known for certain; None where there is none to judge.

    The old version is the one that runs where the object tells: going back to it is no downgrade.
    """
    kept = change.kept
    if "step" not in kept:
        kept["step"] = _step(change)
    found: Step | None = kept["step"]
    return found


def _step(change: Change) -> Step | None:
    old, new = change.old, change.new
    if old is None or new is None or new.engine is None:
        return None
    before, after = old.version.version, new.version.version
    if before is None or after is None or old.engine is not new.engine:
        return None
    if before.key() == after.key() or before.same_release(after):
        return None
    carrier = old.adapter.carrier(old)
    if carrier == "done":
        return None
    running = old.running
    if running is not None and not running.same_release(before):
        # A rollout that is not finished: what runs still decides, in both directions.
        if running.same_release(after):
            return None
        before = running
    known = facts(old, new, after, carrier)
    if change.via == "operation":
        known["by"] = "operator"  # asked of the operator in its own words
    hop = _row(new.engine.name, before, after, tuple(known.items()))
    return Step(new.engine, before, after, known, hop, before < after)


@lru_cache(maxsize=1024)
def _row(engine: str, old: Version, new: Version, known: tuple[tuple[str, str], ...]) -> Hop:
    """The deciding row: the same hop is asked again for every member of a fleet, and on every retry."""
    return judge(PROFILES[engine], old, new, dict(known))


def facts(old: Service, new: Service, after: Version, carrier: str) -> dict[str, str]:
    """What the rows of a profile may ask: by, mode, rolling, strategy, topology, finalised."""
    alone = new.engine is not None and new.engine.quorum.fixed and old.members == 1
    found = {"by": carrier, "rolling": "no" if old.members == 0 or alone else "yes"}
    if new.pod:
        strategy = dig(new.object, ("spec", "updateStrategy", "type"))
        found["strategy"] = strategy if isinstance(strategy, str) else "RollingUpdate"
    mode = old.mode or new.mode
    if mode:
        found["mode"] = mode
    if new.engine is not None and new.engine.name == "mariadb":
        found["topology"] = "galera" if mode == "galera" else "standalone"
    level = old.finalised
    if level is not None:
        # Compared as far as the level is precise: 3.9 (of 3.9-IV0) is not above 3.9.1.
        count = len(level.parts)
        target = (after.parts + (0,) * count)[:count]
        found["finalised"] = "raised" if level.parts > target else "unraised"
    return found


def path_text(done: Step) -> str:
    """`3.6.2 → 3.9.2 → 4.1.0`, "" where no path is known."""
    known = path(done.profile, done.old, done.new, done.facts)
    if known is not None:
        return " → ".join([done.old.text, *(stone.text for stone in known)])
    stones = [stone for stone in done.profile.releases if any(_of(stone, via) for via in done.hop.via)]
    # A path that leads through a change of mode is known by its stones alone.
    if not done.upwards or len(stones) < len(done.hop.via) or not (stones or done.hop.between):
        return ""
    way = " → ".join([done.old.text, *(stone.text for stone in stones)])
    return f"{way}, {done.hop.between}, then {done.new.text}" if done.hop.between else f"{way} → {done.new.text}"


def path_command(done: Step) -> str:
    """The command that shows the path again, with what it needs to know of the service."""
    words = ["stateward path", done.profile.name, done.old.text, done.new.text]
    if done.facts.get("mode"):
        words.append(f"--mode {done.facts['mode']}")
    if done.facts.get("by") == "operator":
        words.append("--operator")
    return " ".join(words)


def _of(stone: Version, via: str) -> bool:
    return stone.text == via or stone.text.startswith(f"{via}.")
