"""`stateward rules`: all rules, a line each."""

from __future__ import annotations

from typing import Any, Final

import click

from stateward.cli import inputs, options
from stateward.policies import defaults, described
from stateward.policies.described import AREAS
from stateward.policies.mutation import Mutation
from stateward.policies.mutations import MUTATIONS
from stateward.policies.rules import RULES

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
    """List the rules, by area, and the defaults that are filled in. `stateward explain RULE` says more of one.

    With --policy also the policy's own rules, and what each does by it where no match narrows it.
    """
    policy = inputs.read_policy(policy_file, profile)
    rules = sorted((*RULES, *policy.user_rules), key=lambda one: one.id)
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        told = [described.rule(rule, policy.usual(rule)) for rule in rules]
        filled = [described_mutation(one) for one in MUTATIONS]
        click.echo(dumps({"format": "stateward-rules/v1", "rules": told, "mutations": filled}), nl=False)
        return
    area = ""
    for rule in rules:
        if rule.id[2] != area:
            area = rule.id[2]
            click.echo(click.style(f"\n{AREAS[area]}" if area != "1" else AREAS[area], bold=True))
        action = policy.usual(rule)
        colour = {"deny": "red", "warn": "yellow"}.get(action, "blue")
        click.echo(f"  {rule.id}  {click.style(action.ljust(5), fg=colour)}  {rule.name.ljust(26)}  {rule.summary}")
    click.echo(click.style("\ndefaults, filled in on creation where a policy or a namespace asks", bold=True))
    for one in MUTATIONS:
        does = "never" if defaults.forbidden(policy.defaults, one) else "fill"
        click.echo(f"  {one.id}  {click.style(does.ljust(5), fg='blue')}  {one.name.ljust(26)}  {one.summary}")


def described_mutation(one: Mutation) -> dict[str, Any]:
    """A mutation's metadata as JSON values."""
    return {
        "id": one.id,
        "name": one.name,
        "summary": one.summary,
        "why": one.why,
        "safe": one.safe,
        "source": one.source,
        "since": one.since,
        "judges": {"kinds": list(one.judges.kinds), "operations": sorted(one.judges.operations)},
        "looksAt": [{"kind": kind} for kind in one.looks_at],
    }
