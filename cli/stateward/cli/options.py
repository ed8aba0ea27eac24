"""Options and arguments that several commands share, with what the shell completes for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

PATH: Final = click.Path(readable=False, allow_dash=True)
"""A file or folder; whether it can be read is said when it is."""
PROFILES: Final = ("baseline@1", "production@1", "strict@1")

Items = list[CompletionItem]


def policy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--policy` and `--profile`."""
    command = click.option(
        "--profile", metavar="NAME", shell_complete=complete_profiles, help=f"{', '.join(PROFILES)} (default: production@1)."
    )(command)
    from stateward.cli.inputs import policy_option

    return policy_option(command)


def output_options(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--format`, of which the first is the default, and `--output`."""

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = click.option(
            "--output", "-o", metavar="FILE", type=PATH, help="Write the report there, whole or not at all."
        )(command)
        return format_option(*formats)(command)

    return add


def format_option(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--format`; the first is the default."""
    return click.option(
        "--format", "-f", "style", type=click.Choice(formats), default=formats[0], show_default=True, help="How to write it."
    )


def complete_profiles(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The profiles of a policy."""
    return [CompletionItem(name) for name in PROFILES if name.startswith(incomplete)]


def complete_rules(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The rules, by id or name; also the last one of several with commas between them."""
    from stateward.policies.mutations import MUTATIONS
    from stateward.policies.rules import RULES

    known = {one.id: one.name for one in RULES} | {one.id: one.name for one in MUTATIONS}
    before, comma, last = incomplete.rpartition(",")
    found = [(rule, name) for rule, name in known.items() if rule.startswith(last.upper())]
    found += [(name, rule) for rule, name in known.items() if last and name.startswith(last.lower())]
    return [CompletionItem(f"{before}{comma}{name}", help=what) for name, what in found]


def complete_engines(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The engines that there are profiles of."""
    from stateward.policies.engines.recognise import PROFILES as KNOWN

    return [CompletionItem(one.name, help=one.title) for one in KNOWN.values() if one.name.startswith(incomplete.lower())]


def complete_kinds(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The kinds that there are adapters for."""
    from stateward.policies.adapters.catalogue import ADAPTERS

    return [
        CompletionItem(one.name, help=f"{one.match_kind} {one.group}")
        for one in ADAPTERS.values()
        if one.name.startswith(incomplete.lower())
    ]


def complete_versions(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> Items:
    """The releases of the engine that stands before."""
    from stateward.policies.engines.recognise import PROFILES as KNOWN

    profile = KNOWN.get(str(ctx.params.get("engine")).lower())
    releases = profile.releases if profile is not None else ()
    return [CompletionItem(one.text) for one in reversed(releases) if one.text.startswith(incomplete)]
