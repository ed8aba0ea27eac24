"""`stateward rules`: all rules, a line each."""

from __future__ import annotations

import click

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
def command() -> None:
    """List the rules, by area. `stateward explain RULE` says more of one."""
    area = ""
    for rule in sorted(RULES, key=lambda one: one.id):
        if rule.id[2] != area:
            area = rule.id[2]
            click.echo(click.style(f"\n{AREAS[area]}" if area != "1" else AREAS[area], bold=True))
        colour = {"deny": "red", "warn": "yellow"}.get(rule.action, "blue")
        click.echo(f"  {rule.id}  {click.style(rule.action.ljust(4), fg=colour)}  {rule.name.ljust(26)}  {rule.summary}")
