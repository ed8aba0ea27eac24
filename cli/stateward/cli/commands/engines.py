"""`stateward engines`: what is known of each engine, from its profile."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, Final

import click

from stateward.cli import inputs, options
from stateward.cli.table import table
from stateward.policies import described
from stateward.policies.engines.profile import Hop, Profile
from stateward.policies.engines.recognise import PROFILES

EPILOG: Final = """\
\b
Examples:
  stateward engines                  all, a line each
  stateward engines kafka            one in full: releases, quorum, every row of its upgrades
  stateward engines -f json          for programs

The facts stand in policies/stateward/policies/engines/data/, each with its source.
"""
_MODELS: Final = {
    "majority": "a majority of the voters has to be up",
    "standby": "one primary; at least one standby has to be left to take over",
    "replication": "data is on as many members as it is replicated to",
    "none": "members do not depend on each other",
}
WIDTH: Final = 110


@click.command("engines", epilog=EPILOG)
@click.argument("name", required=False, shell_complete=options.complete_engines)
@options.format_option("text", "json")
def command(name: str | None, style: str) -> None:
    """List the engines: releases known, quorum, upgrades. NAME shows one in full."""
    profiles = [PROFILES[key] for key in sorted(PROFILES)]
    if name is not None:
        profile = PROFILES.get(name.lower())
        if profile is None:
            inputs.stop(f'"{name}" is no engine; there are {", ".join(sorted(PROFILES))}')
        profiles = [profile]
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(
            dumps({"format": "stateward-engines/v1", "engines": [described.engine(one) for one in profiles]}), nl=False
        )
    elif name is not None:
        for line in _full(profiles[0]):
            click.echo(line)
    else:
        head = ("ENGINE", "NAME", "RELEASES", "QUORUM", "MINIMUM", "UPGRADES", "DOWNGRADES", "SOURCES")
        rows = [
            (
                one.name,
                one.title,
                _span(one),
                one.quorum.model,
                str(one.quorum.minimum),
                _rows(len(one.upgrades)),
                _rows(len(one.downgrades)),
                str(len(one.sources)),
            )
            for one in profiles
        ]
        click.echo(table(head, rows))


def _span(profile: Profile) -> str:
    if not profile.releases:
        return "-"
    first, last = profile.releases[0], profile.releases[-1]
    return first.text if first is last else f"{first.text} … {last.text}"


def _rows(count: int) -> str:
    return f"{count} row{'' if count == 1 else 's'}"


def _full(profile: Profile) -> Iterator[str]:
    yield click.style(profile.title, bold=True) + f" ({profile.name})"
    yield from _labelled("releases", ", ".join(release.text for release in profile.releases))
    if not profile.releases:
        yield from _labelled("releases", "none known: stepping stones are not named")
    quorum = profile.quorum
    yield from _labelled("quorum", f"{quorum.model}: {_MODELS[quorum.model]}; at least {quorum.minimum} to be safe")
    yield from _labelled("leave", quorum.leave)
    for mode, command in quorum.leave_in.items():
        yield from _labelled("leave", f"{mode}: {command}")
    yield from _labelled("fixed", quorum.fixed)
    yield from _labelled("images", ", ".join(profile.images))
    yield from _labelled("commands", ", ".join(profile.commands))
    yield from _labelled("modes", ", ".join(dict.fromkeys(mode for mode, _, _ in profile.modes)))
    yield from _labelled("data", "; ".join(f"{one.what}{_where(one)}" for one in profile.data))
    yield from _labelled("backup", profile.backup)
    for title, rows in (("upgrades", profile.upgrades), ("downgrades", profile.downgrades)):
        if rows:
            yield click.style(f"\n{title}", bold=True) + " (the first row that fits decides)"
        for row in rows:
            colour = {"deny": "red", "warn": "yellow", "allow": "green"}[row.verdict]
            yield f"  {click.style(row.verdict.ljust(5), fg=colour)}  {described.condition(row)}"
            yield from _hop_words(row)
    if profile.sources:
        yield click.style("\nsources", bold=True)
        yield from (f"  {source}" for source in profile.sources)


def _where(path: Any) -> str:
    return f" ({path.versions.text})" if path.versions is not None else ""


def _hop_words(row: Hop) -> Iterator[str]:
    for label, text in (
        ("why", row.reason),
        ("via", ", ".join(row.via)),
        ("between", row.between),
        ("back", "no way back without a backup" if row.one_way else ""),
        ("then", row.finalise),
        ("source", row.source),
    ):
        yield from _labelled(label, text, indent=9)


def _labelled(label: str, text: str, indent: int = 0) -> list[str]:
    if not text:
        return []
    lead = " " * indent + f"{label:<10}"
    return textwrap.wrap(
        text, WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_long_words=False, break_on_hyphens=False
    )
