"""Profiles: what each version does, that it never does more, and that a later rule warns in an earlier version."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from stateward.policies import data, profiles
from stateward.policies.policy import API_VERSION, DEFAULT, KIND, parse
from stateward.policies.rules import BY_ID, RULES

PROMISES = Path(__file__).parents[2] / "docs" / "profiles"
STRICTNESS = ("off", "audit", "warn", "deny")


@pytest.mark.parametrize("title", profiles.titles())
def test_a_version_of_a_profile_does_what_it_did_when_it_was_cut(title: str) -> None:
    promised = data.read(PROMISES / f"{title.replace('@', '-')}.yaml")
    profile = profiles.find(title)
    assert {rule.id: profile.action(rule) for rule in RULES} == promised


@pytest.mark.parametrize("rule", RULES, ids=lambda one: one.id)
def test_profiles_differ_as_they_say(rule: object) -> None:
    assert rule in RULES
    found = BY_ID[rule.id]  # type: ignore[attr-defined]
    baseline, production, strict = (
        profiles.find(f"{name}@1").action(found) for name in ("baseline", "production", "strict")
    )
    assert production == found.action
    assert baseline == ("deny" if found.loses_data and found.action == "deny" else "warn")
    assert strict == ("deny" if found.id in profiles.STRICT[1] else found.action)
    assert STRICTNESS.index(baseline) <= STRICTNESS.index(production) <= STRICTNESS.index(strict)


def test_rules_that_strict_hardens_exist_and_warn_elsewhere() -> None:
    for hardened in profiles.STRICT.values():
        assert {BY_ID[name].action for name in hardened} == {"warn"}


def test_a_rule_that_came_later_warns_in_what_was_cut_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profiles, "PROFILES", {name: {1: "0.1.0", 2: "0.2.0"} for name in profiles.PROFILES})
    monkeypatch.setattr(profiles, "STRICT", {1: frozenset({"SW308"}), 2: frozenset({"SW308"})})
    hop, loses, floating = BY_ID["SW302"], BY_ID["SW401"], BY_ID["SW308"]
    for name in ("production", "strict"):
        assert profiles.find(f"{name}@1").action(replace(hop, since="0.2.0")) == "warn"
        assert profiles.find(f"{name}@2").action(replace(hop, since="0.2.0")) == "deny"
    assert profiles.find("production@1").action(replace(hop, since="0.1.7")) == "deny", "a patch release of the cut"
    assert profiles.find("production@1").action(replace(hop, since="0.10.0")) == "warn", "0.10 is later than 0.2"
    assert profiles.find("baseline@1").action(replace(loses, since="0.2.0")) == "warn"
    assert profiles.find("strict@1").action(replace(floating, since="0.2.0")) == "warn"
    assert profiles.find("strict@2").action(replace(floating, since="0.2.0")) == "deny"
    assert profiles.find("production@2").action(replace(floating, since="0.2.0")) == "warn"


def test_a_profile_without_a_version_is_its_first() -> None:
    assert profiles.find("production").title == "production@1" == profiles.DEFAULT == DEFAULT.title


@pytest.mark.parametrize(
    "text", ["", "prod", "production@", "production@2", "production@01x", "production@²", "@1", 5, None]
)
def test_what_is_no_profile_is_told(text: object) -> None:
    with pytest.raises(profiles.PolicyError, match=r"is unknown; there are baseline@1, production@1, strict@1"):
        profiles.find(text)


def test_strict_refuses_what_cannot_be_judged() -> None:
    def unknown(**spec: object) -> object:
        return parse({"apiVersion": API_VERSION, "kind": KIND, "spec": spec}, RULES).unknown

    assert unknown(profile="strict@1") == "deny"
    assert unknown(profile="strict@1", unknown="warn") == "warn"
    assert unknown(profile="production@1") is None
