"""`stateward lint`: manifests judged as created, or as changes and deletions of older ones; `linting` does it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

from stateward.cli import ahead, options
from stateward.cli.asked import Asked
from stateward.cli.asked import options as sources_options

FORMATS: Final = ("text", "json", "sarif", "junit", "github", "html")

EPILOG: Final = """\
\b
Examples:
  stateward lint manifests/                            each object as if it were created
  stateward lint --old main/ manifests/                what changes and what is gone
  stateward lint --base origin/main... .               what this branch changes
  stateward lint --cluster manifests/                  what applying them would change
  stateward lint -f sarif -o out.sarif manifests/      for code scanning; -f github for annotations
  stateward lint -f html -o report.html manifests/     one file for people
  stateward lint --select SW3,quorum-lost manifests/   upgrades and quorum alone
  stateward lint --baseline known.json --update-baseline manifests/    accept what there is for now

Exit codes: 0 nothing is refused, 1 something is, 2 an input cannot be used. docs/formats.md describes the formats.
"""


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """With the garbage collector called seldom: nearly all that a run makes is kept, so it would look through it in vain."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.freeze()  # or it would be called at once, for all that was made meanwhile, and the process is about to end
        gc.set_threshold(*before)


_SELDOM: Final = 200_000  # objects more than there were; 700 is usual


@click.command("lint", epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=options.PATH)
@sources_options
@options.policy_options
@click.option(
    "--select",
    multiple=True,
    metavar="RULES",
    shell_complete=options.complete_rules,
    help="Report these alone: SW302, SW3, name.",
)
@click.option(
    "--ignore", multiple=True, metavar="RULES", shell_complete=options.complete_rules, help="Report all but these."
)
@click.option(
    "--fail-on",
    type=click.Choice(("deny", "warn", "never")),
    default="deny",
    show_default=True,
    help="What makes exit code 1.",
)
@click.option("--baseline", metavar="FILE", type=options.PATH, help="Findings in this file are known and accepted for now.")
@click.option("--update-baseline", is_flag=True, help="Write what is found now into the baseline, and end with 0.")
@options.output_options(*FORMATS)
@click.option("--now", metavar="TIME", help="Judge as of this time (RFC 3339); for waivers and backups.")
def command(
    policy_file: str | None,
    profile: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    baseline: str | None,
    update_baseline: bool,
    style: str,
    output: str | None,
    now: str | None,
    **asked: Any,
) -> None:
    """Check manifests: files, folders, or - for standard input.

    Each object is judged as created; with --old, --base or --cluster as a change of what was there, and what is missing
    as deleted. All manifests given are each other's context. Charts and kustomizations are rendered.
    """
    what = Asked(**asked)
    what.check()
    with _seldom_collected(), ahead.begun(what) as reading:
        from stateward.cli import linting  # with the engine: while it is imported, others read the manifests already

        linting.run(
            linting.Wish(what, policy_file, profile, select, ignore, fail_on, baseline, update_baseline, style, output, now),
            reading,
        )
