"""`stateward explain RULE`: everything that is said about a rule, with its examples."""

from __future__ import annotations

import textwrap
from typing import Final

import click

from stateward.cli import inputs, options
from stateward.cli.commands.rules import described_mutation
from stateward.cli.selection import near
from stateward.policies import described, mutation_examples, mutations
from stateward.policies.defaults import LABEL
from stateward.policies.mutation import Mutation
from stateward.policies.mutations import MUTATIONS
from stateward.policies.operators.catalogue import said
from stateward.policies.rules import RULES, find

EPILOG: Final = """\
\b
Examples:
  stateward explain SW201                  why, what to do instead, how to let it pass, examples
  stateward explain quorum-lost            by name
  stateward explain SW201 -f json          for programs
"""


@click.command("explain", epilog=EPILOG)
@click.argument("rule", shell_complete=options.complete_rules)
@options.format_option("text", "json")
def command(rule: str, style: str) -> None:
    """Explain a rule: why it is there, what to do instead, examples. RULE is an id or a name."""
    found = find(rule)
    if found is None:
        default = mutations.find(rule)
        if default is None:
            known = {one.id: one.name for one in RULES} | {one.id: one.name for one in MUTATIONS}
            inputs.stop(f'"{rule}" is no rule; {near(rule, known)}')
        click.echo(mutation_as_json(default) if style == "json" else mutation_text(default), nl=False)
        return
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps(described.rule_in_full(found)), nl=False)
        return
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
    if found.forestalls:
        text = "the API server refuses this itself: at the door no waiver helps, only before it (lint)"
        click.echo(textwrap.fill(text, 100, initial_indent=f"{'final':<9}", subsequent_indent=" " * 9))
    click.echo(
        textwrap.fill(
            f"kubectl annotate <object> stateward.dev/waive='{found.id} until=… reason=\"…\"'",
            100,
            initial_indent=f"{'allow':<9}",
            subsequent_indent=" " * 9,
        )
    )
    click.echo(click.style("\nexamples", bold=True))
    for case, verdict in described.examples(found):
        colour = {"deny": "red", "warn": "yellow", "allow": "green"}[verdict]
        click.echo(
            textwrap.fill(
                f"{case.request.operation} {case.name.removeprefix(found.id).strip()}: {case.because}",
                100,
                initial_indent=f"  {click.style(verdict.ljust(5), fg=colour)}  ",
                subsequent_indent=" " * 9,
            )
        )


def mutation_text(one: Mutation) -> str:
    """Everything that is said about a default, with its examples."""
    lines = [click.style(f"{one.id} {one.name}", bold=True) + " (filled in on creation)", f"{one.summary}.", ""]
    for label, text in (("why", one.why), ("safe", one.safe), ("source", one.source)):
        lines.append(textwrap.fill(text, 100, initial_indent=f"{label:<9}", subsequent_indent=" " * 9))
    lines.append(f"{'fills':<9}{', '.join(one.judges.kinds)}: {', '.join(sorted(one.judges.operations))}")
    looks = ", ".join(what for what, _ in said(one.looks_at))
    lines.append(f"{'looks at':<9}{looks}")
    lines.append(f"{'ask':<9}kubectl label namespace <namespace> {LABEL}=on")
    lines.append(f"{'never':<9}annotation {LABEL}: 'off' in the manifest, or spec.mutate of a policy")
    lines += ["", click.style("examples", bold=True)]
    for example in mutation_examples.read(one):
        does = click.style("fill ", fg="blue") if example.fills else click.style("leave", fg="green")
        name = example.case.name.removeprefix(str(example.case.meta.get("title"))).strip()
        text = f"{name}: {example.case.because}"
        lines.append(textwrap.fill(text, 100, initial_indent=f"  {does}  ", subsequent_indent=" " * 9))
    return "\n".join(lines) + "\n"


def mutation_as_json(one: Mutation) -> str:
    """The same for programs."""
    from stateward.cli.reports.as_json import dumps

    told = [
        {"name": example.case.name, "fills": dict(example.fills), "because": example.case.because}
        for example in mutation_examples.read(one)
    ]
    return dumps({"format": "stateward-mutation/v1", **described_mutation(one), "examples": told})
