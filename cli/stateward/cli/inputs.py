"""What commands read besides manifests: the policy, the time. Bad input ends with exit code 2 and a clear line.

The engine is imported by what needs it, so that a command can begin something else before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NoReturn

import click

from stateward.cli import manifests

if TYPE_CHECKING:
    from stateward.policies import policy
    from stateward.policies.view import Object


def stop(message: str) -> NoReturn:
    """Ends with exit code 2."""
    click.echo(f"error: {message}", err=True)
    sys.exit(2)


def _only_one(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> str | None:
    if len(given) > 1:
        stop(f"--policy: {' and '.join(given)} are {len(given)} policies; one is taken, write what you need into it")
    return given[0] if given else None


policy_option: Final = click.option(
    "--policy",
    "policy_file",
    metavar="FILE",
    type=click.Path(readable=False, allow_dash=True),
    multiple=True,
    callback=_only_one,
    help="A WardPolicy; the built-in one without.",
)


def read_policy(path: str | None, profile: str | None = None) -> policy.Policy:
    """The policy of a file; the built-in one without. Its adapters are in use from then on."""
    from stateward.policies.adapters.catalogue import ADAPTERS

    found = _policy(path, profile)
    ADAPTERS.use(found.adapters)
    return found


def _policy(path: str | None, profile: str | None) -> policy.Policy:
    from stateward.policies import policy, waiver
    from stateward.policies.paths import render
    from stateward.policies.rules import RULES
    from stateward.policies.view import kind_of_object, metadata_of, text_of

    if path is None:
        if profile is None:
            return policy.DEFAULT
        try:
            return policy.parse({"apiVersion": policy.API_VERSION, "kind": policy.KIND, "spec": {"profile": profile}}, RULES)
        except policy.PolicyError as error:
            stop(str(error))
    loaded = manifests.load([path])
    if loaded.problems:
        for problem in loaded.problems[:-1]:
            click.echo(f"error: {where(problem)}: {problem.message}", err=True)
        stop(f"{where(loaded.problems[-1])}: {loaded.problems[-1].message}")
    waivers = [one.object for one in loaded.documents if kind_of_object(one.object) == waiver.KIND]
    policies = [one for one in loaded.documents if kind_of_object(one.object) != waiver.KIND]
    if len(policies) != 1:
        stop(f"{path}: {len(policies)} objects; a policy is a file with one {policy.KIND}, and WardWaivers beside it")
    for one in waivers:
        if not text_of(metadata_of(one), "namespace"):
            stop(
                f"{path}: metadata.namespace of WardWaiver {text_of(metadata_of(one), 'name')}: it is missing; write it out"
            )
    try:
        return policy.parse(policies[0].object, RULES).with_waivers(waivers)
    except policy.PolicyError as error:
        mistakes = getattr(error, "mistakes", ())
        if not mistakes:
            stop(f"{path}: {error}")
        # What is wrong with adapters is told with its place, all of it at once.
        for one in sorted(mistakes, key=lambda mistake: policies[0].locate(mistake.path)[:2]):
            span = policies[0].locate(one.path)
            click.echo(f"error: {path}:{span.line}:{span.column}: {render(one.path)}: {one.text}", err=True)
        sys.exit(2)


def read_now(text: str | None) -> float:
    """The time given, or that of the clock."""
    if text is None:
        return time.time()
    from stateward.policies import times

    moment = times.parse(text)
    if moment is None:
        stop(f'--now: "{text}" is no RFC 3339 time; write one such as 2026-11-21T12:00:00Z')
    return moment


def read_context(paths: Iterable[str]) -> list[Object]:
    """The objects of files and folders. Anything that cannot be read ends the command: context left out would lie."""
    loaded = manifests.load(paths, None)
    if loaded.problems:
        for problem in loaded.problems:
            click.echo(f"error: {where(problem)}: {problem.message}", err=True)
        sys.exit(2)
    return [document.object for document in loaded.documents]


def where(problem: manifests.Problem) -> str:
    """`file:line:column` as far as it is known."""
    parts = [problem.source]
    if problem.line is not None:
        parts.append(str(problem.line))
        if problem.column is not None:
            parts.append(str(problem.column))
    return ":".join(parts)
