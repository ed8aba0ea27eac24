"""The way from one version of an engine to another: its hops, as values and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stateward.policies import hops
from stateward.policies.engines import profile as profiles
from stateward.policies.engines.profile import Hop, Profile
from stateward.policies.version import Version


@dataclass(frozen=True, slots=True)
class Way:
    """What is known of the way between two versions."""

    profile: Profile
    before: Version
    after: Version
    facts: dict[str, str]
    hop: Hop
    """What is said of going there at once."""
    hops: list[tuple[Version, Version, Hop]] | None
    """The hops that lead there; None where the table knows none."""
    words: str
    """The way in words where it leads through a change that is no hop (a migration), else ""."""

    @property
    def known(self) -> bool:
        """Whether there is a way."""
        return self.hops is not None or bool(self.words)


def facts_of(mode: str | None, by_operator: bool) -> dict[str, str]:
    """What rows of a profile are chosen by, where nothing but the versions and this is known."""
    facts = {"by": "operator" if by_operator else "image", "rolling": "yes"}
    return facts | {"mode": mode, "topology": mode} if mode else facts


def find(profile: Profile, before: Version, after: Version, facts: dict[str, str]) -> Way:
    """The way between two versions as far as the engine's profile knows one."""
    hop = profiles.judge(profile, before, after, facts)
    stones = [] if before.key() == after.key() else profiles.path(profile, before, after, facts)
    if stones is None:
        words = hops.path_text(hops.Step(profile, before, after, facts, hop, before < after))
        return Way(profile, before, after, facts, hop, None, words)
    ends = [before, *stones]
    pairs = zip(ends, stones, strict=False)
    found = [(here, there, profiles.judge(profile, here, there, facts)) for here, there in pairs]
    return Way(profile, before, after, facts, hop, found, "")


def document(way: Way) -> dict[str, Any]:
    """The way as JSON values."""
    return {
        "format": "stateward-path/v1",
        "engine": way.profile.name,
        "from": way.before.text,
        "to": way.after.text,
        "facts": {name: value for name, value in way.facts.items() if name in ("by", "mode")},
        "known": way.known,
        "atOnce": _hop(way.hop),
        "hops": None
        if way.hops is None
        else [{"from": here.text, "to": there.text, **_hop(step)} for here, there, step in way.hops],
        "words": way.words,
        "backup": way.profile.backup,
    }


def _hop(hop: Hop) -> dict[str, Any]:
    return {
        "verdict": hop.verdict,
        "reason": hop.reason,
        "via": list(hop.via),
        "between": hop.between,
        "oneWay": hop.one_way,
        "finalise": hop.finalise,
        "source": hop.source,
    }
