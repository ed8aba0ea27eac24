"""Profiles: what rules do where a policy says nothing of them. Each is versioned and stays what it was when it was cut.

A version of a profile knows the rules of the release that it was cut at. A rule that came later warns in it where it
would deny, so that a new release turns no allow into a denial; it has its full strength in the next version.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, Literal

from stateward.policies.fields import PolicyError
from stateward.policies.finding import Action
from stateward.policies.rule import Rule
from stateward.policies.structs import dataclass

Name = Literal["baseline", "production", "strict"]
DEFAULT: Final = "production@1"

PROFILES: Final[Mapping[str, Mapping[int, str]]] = {
    "baseline": {1: "0.1.0"},
    "production": {1: "0.1.0"},
    "strict": {1: "0.1.0"},
}
"""Profile → version → the release that it was cut at, patch releases of it included."""

STRICT: Final[Mapping[int, frozenset[str]]] = {1: frozenset({"SW109", "SW207", "SW306", "SW308", "SW806"})}
"""Version of `strict` → rules that warn elsewhere and deny there: about what is written, none about what is only likely."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One version of a profile."""

    name: str
    version: int
    cut: str

    @property
    def title(self) -> str:
        """`production@1`."""
        return f"{self.name}@{self.version}"

    def action(self, rule: Rule) -> Action:
        """What a rule does in it. A user's own rule does what it says in every profile."""
        if rule.own:
            return rule.action
        action = rule.action
        if self.name == "strict" and action == "warn" and rule.id in STRICT[self.version]:
            action = "deny"
        if action != "deny":
            return action
        if self.name == "baseline" and not rule.loses_data:
            return "warn"
        return "deny" if _release(rule.since) <= _release(self.cut) else "warn"


def find(text: object) -> Profile:
    """`production@1`; without a version the first, so that nothing changes under a policy. Raises PolicyError."""
    name, _, version = str(text).partition("@")
    versions = PROFILES.get(name, {})
    number = int(version) if version.isascii() and version.isdigit() and len(version) < 4 else 1 if not version else 0
    if ("@" in str(text) and not version) or number not in versions:
        raise PolicyError(f'spec.profile: "{text}" is unknown; there are {", ".join(titles())}')
    return Profile(name, number, versions[number])


@lru_cache(maxsize=16)
def get(name: str, version: int) -> Profile:
    """A version of a profile that there is."""
    return Profile(name, version, PROFILES[name][version])


def titles() -> list[str]:
    """Every profile with each of its versions."""
    return [f"{name}@{version}" for name, versions in PROFILES.items() for version in versions]


@lru_cache(maxsize=64)
def _release(text: str) -> tuple[int, int]:
    """The release series: a patch release adds no rule."""
    major, minor, *_ = (int(part) for part in text.split("."))
    return major, minor
