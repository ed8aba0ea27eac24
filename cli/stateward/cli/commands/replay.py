"""`stateward replay`: every commit of a git history judged as the updates and deletions that it makes."""

from __future__ import annotations

import math
import os
import sys
from typing import Final

import click

from stateward.cli import inputs, options
from stateward.cli.git import GitError, Repository
from stateward.cli.output import emit
from stateward.cli.progress import Progress
from stateward.cli.replay import as_json, as_text
from stateward.cli.replay.history import Range, check_date, count
from stateward.cli.replay.run import Replay, inside
from stateward.cli.selection import chosen

INTERRUPTED: Final = 130
"""What a shell reports for a program that Ctrl-C has ended."""

EPILOG: Final = """\
\b
Examples:
  stateward replay                                 the history of the branch that is checked out here
  stateward replay ~/src/cluster apps/ --since '2 years ago'
  stateward replay --show warn --limit 20          warnings, too; twenty commits at most, all counted
  stateward replay --select SW3 -f json            upgrades alone, as one JSON object

Exit codes: 0 whatever is found (see --fail-on), 2 the history cannot be read. docs/replay.md says what is judged.
"""


@click.command("replay", epilog=EPILOG)
@click.argument("repo", default=".", type=options.PATH)
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--since", metavar="DATE", help="Commits after this date, as git takes it: 2025-01-31 (its midnight), '6 months ago'."
)
@click.option("--until", metavar="DATE", help="Commits before this date.")
@click.option(
    "--branch", "--ref", "ref", default="HEAD", metavar="REF", help="A branch, tag or commit; what is checked out without."
)
@click.option("--all-commits", is_flag=True, help="Also the commits that merges brought in, not first parents alone.")
@click.option(
    "--show", type=click.Choice(("deny", "warn")), default="deny", show_default=True, help="List warnings, too, with warn."
)
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="List N commits at most; the totals count all.")
@options.policy_options
@click.option(
    "--select", multiple=True, metavar="RULES", shell_complete=options.complete_rules, help="These rules: SW302, SW3, name."
)
@click.option("--ignore", multiple=True, metavar="RULES", shell_complete=options.complete_rules, help="All rules but these.")
@click.option(
    "--fail-on",
    type=click.Choice(("deny", "warn", "never")),
    default="never",
    show_default=True,
    help="What makes exit code 1.",
)
@options.output_options("text", "json")
def command(
    repo: str,
    paths: tuple[str, ...],
    since: str | None,
    until: str | None,
    ref: str,
    all_commits: bool,
    show: str,
    limit: int | None,
    policy_file: str | None,
    profile: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    style: str,
    output: str | None,
) -> None:
    """Judge the git history of manifests in REPO (here): what would have been refused, when and why.

    Every commit of the branch is judged against its first parent: each object that it creates, changes or deletes, with
    the manifests of that commit around it, at the time of that commit. PATH, from REPO, leaves out what is elsewhere.
    Nothing is checked out or written.
    """
    policy = inputs.read_policy(policy_file, profile)
    wanted = chosen(select, ignore, ((one.id, one.name) for one in policy.user_rules))
    shown = frozenset(("deny",) if show == "deny" else ("deny", "warn"))
    if not os.path.isdir(repo):
        inputs.stop(f"{repo}: the folder does not exist. Give a folder inside a git repository, then paths in it")
    try:
        repository = Repository.find(repo)
        check_date(repository, "--since", since)
        check_date(repository, "--until", until)
        asked = Range(repository.commit(ref), since, until, all_commits)
        replay = Replay(repository, asked, inside(repository, repo, paths), policy, actions=shown, wanted=wanted)
        expected = count(repository, asked)
    except GitError as error:
        inputs.stop(str(error))
    writer = as_json.Writer(limit) if style == "json" else as_text.Writer(limit)
    stream = style == "text" and output in (None, "-")
    fault = _write(replay, writer, expected, stream)
    if not stream:
        emit(click.unstyle(writer.whole()), output)
    if fault:
        click.echo(f"error: {fault}", err=True)
    failing = {"deny": replay.totals.refused, "warn": replay.totals.refused + replay.totals.warned, "never": 0}[fail_on]
    sys.exit(INTERRUPTED if fault == _STOPPED else 2 if fault else 1 if failing else 0)


_STOPPED: Final = "stopped before the end; the totals are those so far"


def _write(replay: Replay, writer: as_text.Writer | as_json.Writer, expected: int, stream: bool) -> str:
    """Writes all that there is to be said; the fault that ended it early, "" without."""

    def say(text: str) -> None:
        if stream and text:
            progress.clear()
            click.echo(text)

    fault = ""
    with Progress() as progress:
        progress.phase("judging commits:", expected)
        try:
            for entry in replay.entries(progress.step):
                say(writer.entry(entry))
        except KeyboardInterrupt:
            fault = _STOPPED
        except GitError as error:
            fault = f"{error}. The history can be read up to here; the totals are those of what was read"
        for entry in replay.settled(math.inf):
            say(writer.entry(entry))
        say(writer.end(replay.totals, expected, stopped=bool(fault)))
    return fault
