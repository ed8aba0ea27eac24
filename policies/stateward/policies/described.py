"""Rules and engines as JSON values: the same for the command line and the policy API. Forms: docs/formats.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from stateward.policies import cases, data
from stateward.policies.engines.profile import Hop, Profile
from stateward.policies.rule import Rule

AREAS: Final = {
    "1": "storage",
    "2": "quorum and placement",
    "3": "upgrades",
    "4": "deletion",
    "5": "backup and restore",
    "6": "credentials",
    "7": "the control path",
    "8": "geometry, identity, resources",
    "9": "your own",
}
"""The third character of a rule's id → its area."""


def rule(one: Rule, action: str | None = None) -> dict[str, Any]:
    """A rule's metadata as JSON values."""
    return {
        "id": one.id,
        "name": one.name,
        "area": AREAS[one.id[2]],
        "action": action or one.action,
        "nature": one.nature,
        "losesData": one.loses_data,
        "summary": one.summary,
        "why": one.why,
        "remedy": one.remedy,
        "source": one.source,
        "since": one.since,
        "judges": {
            "services": one.judges.services,
            "kinds": list(one.judges.kinds),
            "operations": sorted(one.judges.operations),
            "subresources": sorted(one.judges.subresources),
        },
        "looksAt": [{"kind": look.kind, "role": "accuses" if look.accuses else "excuses"} for look in one.looks_at.values()],
        "params": dict(one.params),
    }


def examples(one: Rule) -> Iterator[tuple[cases.Case, str]]:
    """A rule's examples with the verdict on each."""
    for case in cases.read(one.id, data.examples(one.module)):
        yield case, cases.outcome(cases.run(case))


def rule_in_full(one: Rule) -> dict[str, Any]:
    """A rule with its examples: `stateward-rule/v1`."""
    told = [
        {
            "name": case.name.removeprefix(one.id).strip(),
            "operation": case.request.operation,
            "verdict": verdict,
            "because": case.because,
        }
        for case, verdict in examples(one)
    ]
    return {"format": "stateward-rule/v1", **rule(one), "examples": told}


def engine(profile: Profile) -> dict[str, Any]:
    """A profile as JSON values."""
    quorum = profile.quorum
    return {
        "engine": profile.name,
        "title": profile.title,
        "releases": [release.text for release in profile.releases],
        "images": list(profile.images),
        "commands": list(profile.commands),
        "modes": list(dict.fromkeys(mode for mode, _, _ in profile.modes)),
        "quorum": {
            "model": quorum.model,
            "minimum": quorum.minimum,
            "leave": quorum.leave,
            "leaveIn": dict(quorum.leave_in),
            "fixed": quorum.fixed,
        },
        "volatile": profile.volatile,
        "backup": profile.backup,
        "upgrades": [_row(row) for row in profile.upgrades],
        "downgrades": [_row(row) for row in profile.downgrades],
        "sources": list(profile.sources),
    }


def _row(row: Hop) -> dict[str, Any]:
    return {
        "condition": condition(row),
        "verdict": row.verdict,
        "reason": row.reason,
        "via": list(row.via),
        "between": row.between,
        "oneWay": row.one_way,
        "finalise": row.finalise,
        "source": row.source,
    }


def condition(row: Hop) -> str:
    """When a row holds, in words: `from <3.3 to >=4.0, mode zookeeper`."""
    parts = []
    ends = [f"{word} {bounds.text}" for word, bounds in (("from", row.before), ("to", row.after)) if bounds is not None]
    if ends:
        parts.append(" ".join(ends))
    if row.within is not None:
        parts.append("inside a series" if row.within == 1 else f"with the first {row.within} parts the same")
    if row.most is not None:
        part, steps = row.most
        parts.append(f"part {part} by at most {steps}" + (", what is before it the same" if part > 1 else ""))
    if row.parts:
        parts.append(f"both name {row.parts} parts or more")
    parts += [f"{name} {value}" for name, value in row.facts.items()]
    return ", ".join(parts) or "otherwise"
