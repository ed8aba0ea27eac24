"""`stateward lint`: manifests judged as created, or as changes and deletions of older ones."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from stateward.cli import inputs, manifests, text
from stateward.cli.edits import Edit, created, judge, pair
from stateward.policies.engine import Verdict
from stateward.policies.policy import Policy
from stateward.policies.view import MemoryView, View, nothing_complete


@click.command("lint")
@click.argument("paths", nargs=-1, required=True)
@click.option("--old", multiple=True, metavar="PATH", help="The manifests before: judge changes and deletions.")
@click.option("--context", "-c", multiple=True, metavar="PATH", help="What else exists: looked at, not judged.")
@click.option("--policy", "policy_file", metavar="FILE", help="A WardPolicy; the built-in one without.")
@click.option("--profile", metavar="NAME", help="baseline@1, production@1 (default) or strict@1.")
@click.option("--now", metavar="TIME", help="Judge as of this time (RFC 3339); for waivers and backups.")
def command(
    paths: tuple[str, ...],
    old: tuple[str, ...],
    context: tuple[str, ...],
    policy_file: str | None,
    profile: str | None,
    now: str | None,
) -> None:
    """Check manifests: files, folders, or - for standard input.

    Each object is judged as created; with --old as a change of what was there, and what is missing as deleted. All
    manifests given are each other's context. Exit code 1 if something is refused, 2 if a file cannot be read.
    """
    policy = inputs.read_policy(policy_file, profile)
    moment = inputs.read_now(now)
    gathered = gather(paths, old, context)
    counts = {"deny": 0, "warn": 0}
    for edit, verdict in judged(gathered, policy, moment):
        for one in verdict.judged:
            if one.action in counts or one.waiver is not None:
                counts[one.action] = counts.get(one.action, 0) + 1
                place = gathered.home.get(id(one.finding.on), edit.document)
                click.echo(text.finding(one, verdict, place, moment) + "\n")
        for note in verdict.notes:
            click.echo(f"{edit.document.source}: note: {note}\n")
        for rule, fault in verdict.faults.items():
            click.echo(f"error: {edit.document.source}: {rule} failed on this object ({fault}); please report it", err=True)
    for problem in gathered.problems:
        click.echo(f"{click.style(inputs.where(problem), bold=True)}: error: {problem.message}", err=True)
    _summary(gathered.edits, counts, gathered.problems, gathered.skipped)
    sys.exit(2 if gathered.problems else 1 if counts["deny"] else 0)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is to be judged, and what was met on the way to it."""

    edits: list[Edit]
    view: View
    """What the rules may look at: every manifest given."""
    home: dict[int, manifests.Document]
    """id of an object → its document: findings may point at another object than the edit's own."""
    problems: list[manifests.Problem]
    skipped: list[str]


def gather(paths: Sequence[str], old: Sequence[str], context: Sequence[str]) -> Gathered:
    """The edits that the command line means."""
    after = manifests.load(paths, sys.stdin.buffer)
    before = manifests.load(old, None)
    others = manifests.load(context, None)
    both = [*before.documents, *after.documents]
    # What is broken is not gone: without every new manifest a missing one means nothing.
    edits = list(pair(before.documents, after.documents, deletions=not after.problems) if old else created(after))
    return Gathered(
        edits=edits,
        view=MemoryView((one.object for one in [*others.documents, *both]), nothing_complete),
        home={id(one.object): one for one in both},
        problems=[*after.problems, *before.problems, *others.problems],
        skipped=[*after.skipped, *before.skipped],
    )


def judged(gathered: Gathered, policy: Policy, now: float) -> Iterator[tuple[Edit, Verdict]]:
    """Every edit with the verdict on it, in the order of the edits."""
    for edit in gathered.edits:
        yield edit, judge(edit, gathered.view, policy, now)


def _summary(edits: list[Edit], counts: dict[str, int], problems: list[manifests.Problem], skipped: list[str]) -> None:
    files = len({edit.document.source for edit in edits})
    parts = [f"{len(edits)} object{'s' if len(edits) != 1 else ''} in {files} file{'s' if files != 1 else ''}"]
    parts.append(click.style(f"{counts['deny']} refused", fg="red" if counts["deny"] else "green"))
    if counts["warn"]:
        parts.append(click.style(f"{counts['warn']} warned", fg="yellow"))
    if counts.get("audit"):
        parts.append(f"{counts['audit']} waived")
    if problems:
        parts.append(click.style(f"{len(problems)} input error{'s' if len(problems) != 1 else ''}", fg="red"))
    if skipped:
        parts.append(f"{len(skipped)} file{'s' if len(skipped) != 1 else ''} without objects passed over")
    click.echo(", ".join(parts), err=True)
