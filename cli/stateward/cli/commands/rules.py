"""`stateward rules`: all rules, a line each."""

from __future__ import annotations

import click

from stateward.cli import inputs
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


@click.command("rules")
@inputs.policy_option
@click.option("--profile", metavar="NAME", help="baseline@1, production@1 (default) or strict@1.")
def command(policy_file: str | None, profile: str | None) -> None:
    """List the rules, by area. `stateward explain RULE` says more of one.

    With --policy also the policy's own rules, and what each does by it where no match narrows it.
    """
    policy = inputs.read_policy(policy_file, profile)
    area = ""
    for rule in sorted((*RULES, *policy.user_rules), key=lambda one: one.id):
        if rule.id[2] != area:
            area = rule.id[2]
            click.echo(click.style(f"\n{AREAS[area]}" if area != "1" else AREAS[area], bold=True))
        action = policy.usual(rule)
        colour = {"deny": "red", "warn": "yellow"}.get(action, "blue")
        click.echo(f"  {rule.id}  {click.style(action.ljust(5), fg=colour)}  {rule.name.ljust(26)}  {rule.summary}")
