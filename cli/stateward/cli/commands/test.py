"""`stateward test`: cases with the verdict that is expected, as a table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import click

from stateward.cli import inputs, options
from stateward.cli.output import emit
from stateward.cli.progress import Progress
from stateward.cli.table import table
from stateward.policies import cases, data
from stateward.policies.policy import Policy
from stateward.policies.structs import dataclass
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


def as_table(results: list[Result], verbose: bool) -> str:
    """The table of what is not as expected (all with `verbose`), and the sums."""
    lines = []
    shown = results if verbose else [one for one in results if not one.passed]
    if shown:
        rows = [
            ("ok" if one.passed else "FAIL", one.case.name, one.case.expect, one.got, one.rules or "-", one.note)
            for one in shown
        ]
        lines.append(table(("", "case", "expected", "got", "rules", ""), rows, {"FAIL": "red", "ok": "green"}))
    harmful = [one for one in results if one.case.harmful]
    benign = [one for one in results if not one.case.harmful]
    stopped = sum(one.passed for one in harmful)
    refused = sum(one.got == "deny" for one in benign)
    failed = sum(not one.passed for one in results)
    if harmful:
        lines.append(f"harmful as expected: {stopped} of {len(harmful)} ({100 * stopped / len(harmful):.1f} %)")
    if benign:
        lines.append(
            f"benign refused:      {refused} of {len(benign)} ({100 * refused / len(benign):.1f} %), "
            f"as expected {sum(one.passed for one in benign)}"
        )
    lines.append(f"{len(results) - failed} passed, {failed} failed")
    return "\n".join(lines) + "\n"


def show(results: list[Result], verbose: bool) -> None:
    """The table on standard output."""
    click.echo(as_table(results, verbose), nl=False)


def as_json(results: list[Result]) -> str:
    """All cases as one JSON object; the form is in docs/formats.md."""
    from stateward.cli.reports.as_json import dumps

    failed = sum(not one.passed for one in results)
    rows = [
        {
            "file": one.case.file,
            "name": one.case.name,
            "operation": one.case.request.operation,
            "passed": one.passed,
            "expect": one.case.expect,
            "got": one.got,
            "rule": one.case.rule,
            "rules": one.rules.split(", ") if one.rules else [],
            "because": one.case.because,
            "note": one.note,
        }
        for one in results
    ]
    totals = {"cases": len(results), "passed": len(results) - failed, "failed": failed}
    return dumps({"format": "stateward-test/v1", "totals": totals, "cases": rows})


def as_junit(results: list[Result]) -> str:
    """All cases as JUnit XML: a suite for each file."""
    from stateward.cli.reports.as_junit import Case, document, element, suite

    files: dict[str, list[Case]] = {}
    for one in results:
        outcome = "" if one.passed else "failure"
        said = f"expected {one.case.expect}, got {one.got} ({one.rules or 'no rule spoke'})"
        if one.case.rule:
            said += f"; {one.case.rule} has to speak"
        text = "\n".join(part for part in (said, one.case.because and f"because {one.case.because}", one.note) if part)
        child = "" if one.passed else element("failure", text, message=said, type=one.case.rule or one.case.expect)
        attributes = {"name": one.case.name, "classname": one.case.file, "file": one.case.file}
        files.setdefault(one.case.file, []).append(Case(attributes, outcome, child))
    return document(suite(file, cases_of) for file, cases_of in files.items())


EPILOG: Final = """\
\b
Examples:
  stateward test cases/                                what fails, and the sums
  stateward test -v cases/kafka.yaml                   every case of a file
  stateward test --policy policy.yaml cases/           against your own policy
  stateward test -f junit -o cases.xml cases/          for continuous integration

docs/cases.md describes how a case is written. Exit codes: 0 all hold, 1 one does not, 2 one cannot be read.
"""


@click.command("test", epilog=EPILOG)
@click.argument("paths", nargs=-1, required=True, type=options.PATH)
@options.policy_options
@click.option("--kind", "kinds", multiple=True, metavar="KIND", help="Only cases about this kind (StatefulSet, …).")
@click.option("--verbose", "-v", is_flag=True, help="Show every case, not only those that fail.")
@options.output_options("table", "json", "junit")
def command(
    paths: tuple[str, ...],
    policy_file: str | None,
    profile: str | None,
    kinds: tuple[str, ...],
    verbose: bool,
    style: str,
    output: str | None,
) -> None:
    """Run cases: requests with the verdict that is expected. PATHS are files and folders of cases."""
    policy = inputs.read_policy(policy_file, profile)
    found = load(paths, kinds)
    if not found:
        inputs.stop("no case found; see docs/cases.md for their form")
    with Progress() as progress:
        progress.phase("running cases:", len(found))
        results = []
        for case in found:
            results.append(run(case, policy))
            progress.step()
    if style != "table":
        emit(as_json(results) if style == "json" else as_junit(results), output)
    elif output in (None, "-"):
        show(results, verbose)
    else:
        emit(click.unstyle(as_table(results, verbose)), output)
    sys.exit(0 if all(one.passed for one in results) else 1)
