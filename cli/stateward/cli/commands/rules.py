"""`stateward rules`: all rules, a line each."""

from __future__ import annotations

from typing import Any, Final

import click

from stateward.cli import inputs, options
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES

AREAS = {
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
EPILOG: Final = """\
\b
Examples:
  stateward rules                                      one line a rule
  stateward rules -f json | jq '.rules[].id'           everything that is known of them
"""


@click.command("rules", epilog=EPILOG)
@options.policy_options
@options.format_option("text", "json")
def command(policy_file: str | None, profile: str | None, style: str) -> None:
    """List the rules, by area. `stateward explain RULE` says more of one.

    With --policy also the policy's own rules, and what each does by it where no match narrows it.
    """
    policy = inputs.read_policy(policy_file, profile)
    rules = sorted((*RULES, *policy.user_rules), key=lambda one: one.id)
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(
            dumps({"format": "stateward-rules/v1", "rules": [described(rule, policy.usual(rule)) for rule in rules]}),
            nl=False,
        )
        return
    area = ""
    for rule in rules:
        if rule.id[2] != area:
            area = rule.id[2]
            click.echo(click.style(f"\n{AREAS[area]}" if area != "1" else AREAS[area], bold=True))
        action = policy.usual(rule)
        colour = {"deny": "red", "warn": "yellow"}.get(action, "blue")
        click.echo(f"  {rule.id}  {click.style(action.ljust(5), fg=colour)}  {rule.name.ljust(26)}  {rule.summary}")


def described(rule: Rule, action: str | None = None) -> dict[str, Any]:
    """A rule's metadata as JSON values."""
    return {
        "id": rule.id,
        "name": rule.name,
        "area": AREAS[rule.id[2]],
        "action": action or rule.action,
        "nature": rule.nature,
        "losesData": rule.loses_data,
        "summary": rule.summary,
        "why": rule.why,
        "remedy": rule.remedy,
        "source": rule.source,
        "since": rule.since,
        "judges": {
            "services": rule.judges.services,
            "kinds": list(rule.judges.kinds),
            "operations": sorted(rule.judges.operations),
            "subresources": sorted(rule.judges.subresources),
        },
        "looksAt": [
            {"kind": look.kind, "role": "accuses" if look.accuses else "excuses"} for look in rule.looks_at.values()
        ],
        "params": dict(rule.params),
    }
