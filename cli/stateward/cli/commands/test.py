"""`stateward test`: cases with the verdict that is expected, as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from stateward.cli import inputs
from stateward.cli.table import table
from stateward.policies import cases, data
from stateward.policies.policy import Policy
from stateward.policies.view import kind_of_object


@dataclass(frozen=True, slots=True)
class Result:
    """One case that was run."""

    case: cases.Case
    got: str
    rules: str
    passed: bool
    note: str = ""


def find(paths: Iterable[str]) -> Iterator[Path]:
    """The case files of files and folders."""
    for given in paths:
        path = Path(given)
        if path.is_dir():
            yield from sorted(one for one in path.rglob("*.yaml") if not one.name.startswith("."))
        elif path.exists():
            yield path
        else:
            inputs.stop(f"{given}: no such file or folder")


def load(paths: Iterable[str], kinds: tuple[str, ...] = ()) -> list[cases.Case]:
    """All cases of these paths; bad files end the command."""
    found: list[cases.Case] = []
    for path in find(paths):
        try:
            found.extend(cases.read(str(path), data.read(path, theirs=True)))
        except (data.DataError, cases.CaseError) as error:
            inputs.stop(str(error))
    if kinds:
        found = [
            case
            for case in found
            if kind_of_object(case.request.subject).partition(".")[0] in kinds
            or kind_of_object(case.request.subject) in kinds
        ]
    return found


def run(case: cases.Case, policy: Policy) -> Result:
    """Runs one case in memory."""
    verdict = cases.run(case, policy)
    got = cases.outcome(verdict)
    spoke = [one.rule for one in verdict.judged if one.action in ("deny", "warn")]
    passed = cases.as_expected(case.expect, got) and not verdict.faults
    if case.rule and case.harmful:
        passed = passed and case.rule in spoke
    note = f"fault in {', '.join(verdict.faults)}" if verdict.faults else ""
    return Result(case, got, ", ".join(dict.fromkeys(spoke)), passed, note)


def show(results: list[Result], verbose: bool) -> None:
    """The table of what is not as expected (all with `verbose`), and the sums."""
    shown = results if verbose else [one for one in results if not one.passed]
    if shown:
        rows = [
            ("ok" if one.passed else "FAIL", one.case.name, one.case.expect, one.got, one.rules or "-", one.note)
            for one in shown
        ]
        click.echo(table(("", "case", "expected", "got", "rules", ""), rows, {"FAIL": "red", "ok": "green"}))
    harmful = [one for one in results if one.case.harmful]
    benign = [one for one in results if not one.case.harmful]
    stopped = sum(one.passed for one in harmful)
    refused = sum(one.got == "deny" for one in benign)
    failed = sum(not one.passed for one in results)
    if harmful:
        click.echo(f"harmful as expected: {stopped} of {len(harmful)} ({100 * stopped / len(harmful):.1f} %)")
    if benign:
        click.echo(
            f"benign refused:      {refused} of {len(benign)} ({100 * refused / len(benign):.1f} %), "
            f"as expected {sum(one.passed for one in benign)}"
        )
    click.echo(f"{len(results) - failed} passed, {failed} failed")


@click.command("test")
@click.argument("paths", nargs=-1, required=True)
@click.option("--policy", "policy_file", metavar="FILE", help="A WardPolicy; the built-in one without.")
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only cases about this kind (StatefulSet, …).")
@click.option("--verbose", "-v", is_flag=True, help="Show every case, not only those that fail.")
def command(paths: tuple[str, ...], policy_file: str | None, kinds: tuple[str, ...], verbose: bool) -> None:
    """Run cases: requests with the verdict that is expected.

    PATHS are files and folders of cases (docs/cases.md). Exit code 1 if a case fails, 2 if one cannot be read.
    """
    policy = inputs.read_policy(policy_file)
    found = load(paths, kinds)
    if not found:
        inputs.stop("no case found; see docs/cases.md for their form")
    results = [run(case, policy) for case in found]
    show(results, verbose)
    sys.exit(0 if all(one.passed for one in results) else 1)
