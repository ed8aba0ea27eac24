"""`stateward path ENGINE FROM TO`: the hops that an engine supports."""

from __future__ import annotations

import textwrap
from typing import Final

import click

from stateward.cli import inputs, options
from stateward.policies import ways
from stateward.policies.engines.profile import Profile
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.version import Version, parse
from stateward.policies.ways import Way

EPILOG: Final = """\
\b
Examples:
  stateward path kafka 3.6.2 4.1.0 --mode zookeeper    with the migration in between
  stateward path mongodb 4.4 8.0                       every stepping stone, and what makes each final
  stateward path postgresql 14 18 --operator           where an operator runs pg_upgrade
  stateward path etcd 3.4.30 3.6.14 -f json            for programs

Exit codes: 0 there is a way, 1 none is known, 2 no such engine or version.
"""
WIDTH: Final = 110


@click.command("path", epilog=EPILOG)
@click.argument("engine", shell_complete=options.complete_engines)
@click.argument("old", metavar="FROM", shell_complete=options.complete_versions)
@click.argument("new", metavar="TO", shell_complete=options.complete_versions)
@click.option("--mode", help="The engine's mode where it decides (kafka: zookeeper, kraft; mariadb: galera).")
@click.option("--operator", is_flag=True, help="An operator carries majors over (pg_upgrade and the like).")
@options.format_option("text", "json")
def command(engine: str, old: str, new: str, mode: str | None, operator: bool, style: str) -> None:
    """Show the supported upgrade path between two versions of an engine.

    Each hop with what has to be done on the way: what makes it final, what comes between, and where no way leads back.
    """
    profile = PROFILES.get(engine.lower())
    if profile is None:
        inputs.stop(f'"{engine}" is unknown; there are {", ".join(sorted(PROFILES))}')
    way = ways.find(profile, _version(old), _version(new), ways.facts_of(mode, operator))
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps(ways.document(way)), nl=False)
    else:
        _show(way)
    raise SystemExit(0 if way.known else 1)


def _version(text: str) -> Version:
    version = parse(text)
    if version is None:
        inputs.stop(f'"{text}" is no version; write one such as 3.9 or 17.5')
    return version


def _show(way: Way) -> None:
    profile, hop = way.profile, way.hop
    if way.hops is None:
        click.echo(way.words or f"{profile.title}: no supported path from {way.before.text} to {way.after.text} is known")
        _row("why", hop.reason)
        if not way.words and profile.backup:
            _row("or", f"make a new service on {way.after.text} and move the data: {profile.backup}")
        if way.words:
            _row("between", hop.between)
        _row("back", _no_way_back(profile) if hop.one_way else "")
        _row("source", hop.source)
        return
    if not way.hops:
        click.echo(f"{profile.title}: {way.before.text} and {way.after.text} are the same release; nothing to do")
    for here, there, step in way.hops:
        mark = {"allow": "", "warn": "  (warns)", "deny": "  (refused)"}[step.verdict]
        click.echo(f"{here.text} → {there.text}{mark}")
        _row("note", step.reason)
        _row("between", step.between)
        _row("back", _no_way_back(profile) if step.one_way else "")
        _row("then", step.finalise)


def _no_way_back(profile: Profile) -> str:
    return f"no way back without a backup{f': {profile.backup}' if profile.backup else ''}"


def _row(label: str, text: str) -> None:
    if text:
        lead = f"  {label:<9}"
        further = " " * len(lead)
        click.echo(
            textwrap.fill(
                text, WIDTH, initial_indent=lead, subsequent_indent=further, break_long_words=False, break_on_hyphens=False
            )
        )
