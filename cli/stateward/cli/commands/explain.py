"""`stateward explain RULE`: everything that is said about a rule, with its examples."""

from __future__ import annotations

import textwrap

import click

from stateward.cli import inputs
from stateward.policies import cases, data
from stateward.policies.operators.catalogue import said
from stateward.policies.rules import RULES, find


@click.command("explain")
@click.argument("rule")
def command(rule: str) -> None:
    """Explain a rule: why it is there, what to do instead, examples. RULE is an id or a name."""
    found = find(rule)
    if found is None:
        near = [one.id for one in RULES if one.id.startswith(rule.upper()[:4])]
        inputs.stop(f'"{rule}" is no rule; ' + (f"near it: {', '.join(near)}" if near else "`stateward rules` lists them"))
    click.echo(click.style(f"{found.id} {found.name}", bold=True) + f" ({found.action})")
    click.echo(f"{found.summary}.\n")
    for label, text in (("why", found.why), ("instead", found.remedy), ("source", found.source)):
        click.echo(textwrap.fill(text, 100, initial_indent=f"{label:<9}", subsequent_indent=" " * 9))
    kinds = "every stateful service" if found.judges.services else ", ".join(found.judges.kinds)
    click.echo(f"{'judges':<9}{kinds}: {', '.join(sorted(found.judges.operations))}")
    looks = ", ".join(f"{what} ({role})" for what, role in said(found.looks_at))
    if looks:
        click.echo(textwrap.fill(looks, 100, initial_indent=f"{'looks at':<9}", subsequent_indent=" " * 9))
    for name, value in found.params.items():
        click.echo(f"{'param':<9}{name} (default {value!r})")
    click.echo(
        textwrap.fill(
            f"kubectl annotate <object> stateward.dev/waive='{found.id} until=… reason=\"…\"'",
            100,
            initial_indent=f"{'allow':<9}",
            subsequent_indent=" " * 9,
        )
    )
    click.echo(click.style("\nexamples", bold=True))
    for case in cases.read(found.id, data.examples(found.module)):
        verdict = cases.outcome(cases.run(case))
        colour = {"deny": "red", "warn": "yellow", "allow": "green"}[verdict]
        click.echo(
            textwrap.fill(
                f"{case.request.operation} {case.name.removeprefix(found.id).strip()}: {case.because}",
                100,
                initial_indent=f"  {click.style(verdict.ljust(5), fg=colour)}  ",
                subsequent_indent=" " * 9,
            )
        )
