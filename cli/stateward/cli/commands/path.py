"""`stateward path ENGINE FROM TO`: the hops that an engine supports."""

from __future__ import annotations

import click

from stateward.cli import inputs
from stateward.policies import hops
from stateward.policies.engines import profile as profiles
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.version import parse


@click.command("path")
@click.argument("engine")
@click.argument("old", metavar="FROM")
@click.argument("new", metavar="TO")
@click.option("--mode", help="The engine's mode where it decides (kafka: zookeeper, kraft; mariadb: galera).")
@click.option("--operator", is_flag=True, help="An operator carries majors over (pg_upgrade and the like).")
def command(engine: str, old: str, new: str, mode: str | None, operator: bool) -> None:
    """Show the supported upgrade path between two versions of an engine.

    Exit code 1 where no supported path is known.
    """
    profile = PROFILES.get(engine.lower())
    if profile is None:
        inputs.stop(f'"{engine}" is unknown; there are {", ".join(sorted(PROFILES))}')
    before, after = parse(old), parse(new)
    for text, version in ((old, before), (new, after)):
        if version is None:
            inputs.stop(f'"{text}" is no version')
    if before is None or after is None:
        return
    facts = {"by": "operator" if operator else "image", "rolling": "yes"}
    if mode:
        facts["mode"] = mode
        facts["topology"] = mode
    hop = profiles.judge(profile, before, after, facts)
    found = profiles.path(profile, before, after, facts)
    if found is None:
        text = hops.path_text(hops.Step(profile, before, after, facts, hop))
        click.echo(text or f"{profile.title}: no supported path from {before.text} to {after.text} is known")
        if hop.reason:
            click.echo(f"  why  {hop.reason}")
        if profile.backup and not text:
            click.echo(f"  or   make a new service on {after.text} and move the data: {profile.backup}")
        raise SystemExit(0 if text else 1)
    here = before
    for step in found:
        hop = profiles.judge(profile, here, step, facts)
        mark = {"allow": "", "warn": "  (warns)", "deny": "  (refused)"}[hop.verdict]
        click.echo(f"{here.text} → {step.text}{mark}")
        if hop.reason:
            click.echo(f"  note  {hop.reason}")
        if hop.one_way:
            click.echo(f"  back  no way back without a backup: {profile.backup}")
        if hop.finalise:
            click.echo(f"  then  {hop.finalise}")
        here = step
