"""A run of `stateward lint`, from what was asked to the report."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

import click

from stateward.cli import inputs, masking, workers
from stateward.cli.asked import Asked
from stateward.cli.edits import Edit, judge
from stateward.cli.leaving import AtOnce
from stateward.cli.manifests import Reading
from stateward.cli.output import emit
from stateward.cli.progress import Progress
from stateward.cli.reports import as_text
from stateward.cli.reports.collect import Collector, problem
from stateward.cli.reports.report import Item, Report
from stateward.cli.selection import chosen
from stateward.cli.sources import Gathered, gather
from stateward.policies import times
from stateward.policies.engine import Verdict
from stateward.policies.message import fault_text
from stateward.policies.policy import Policy
from stateward.policies.rule import OWN

if TYPE_CHECKING:
    from stateward.cli.baseline import Baseline

Wanted = frozenset[str] | None
"""The ids of the rules that are reported; None: all."""


class Wish(NamedTuple):
    """The options of `lint`, as they were given."""

    asked: Asked
    policy_file: str | None
    profile: str | None
    select: tuple[str, ...]
    ignore: tuple[str, ...]
    fail_on: str
    baseline: str | None
    update_baseline: bool
    style: str
    output: str | None
    now: str | None


def run(wish: Wish, reading: Reading | None) -> NoReturn:
    """Judges what is asked, writes the report and ends with its exit code; `reading`: manifests that are read already."""
    policy = inputs.read_policy(wish.policy_file, wish.profile)
    moment = inputs.read_now(wish.now)
    wanted = chosen(wish.select, wish.ignore, ((one.id, one.name) for one in policy.user_rules))
    known = _baseline(wish.baseline, wish.update_baseline)
    report = Report(times.render(moment), policy.title)
    stream = wish.style == "text" and wish.output in (None, "-") and not wish.update_baseline
    with Progress() as progress:
        progress.phase("reading manifests")
        gathered = _gathered(wish.asked, reading, lambda them: judged(them, policy, moment), wanted)
        gc.freeze()  # all that is loaded stays to the end; the collector need not look through it again and again
        collector = Collector(gathered.home, moment, wanted, every=wish.style in ("json", "junit", "html"))
        progress.phase("judging objects:", len(gathered.edits))
        report.sources = [masking.readable(edit.document.source) for edit in gathered.edits]
        for item, text in _items(gathered, policy, moment, collector, stream and known is None):
            progress.step()
            if item is None:
                continue
            if known is not None:
                known.accept(item.findings)
            report.items.append(item)
            if stream and (text := text or as_text.item(item)):
                progress.clear()
                click.echo(text, nl=False)
    report.problems = [problem(one) for one in gathered.problems]
    report.skipped = list(map(masking.readable, gathered.skipped))
    report.notes = list(map(masking.text, gathered.notes))
    if known is not None:
        report.baseline = known.result(report.findings(), wanted)
        if wish.update_baseline and not report.problems:
            _update(known, report, wanted)
    report.exit_code = _exit_code(report, wish.fail_on)
    if not stream:
        emit(_written(report, wish.style), wish.output)
    _conclude(report, updated=wish.update_baseline)
    raise AtOnce(report.exit_code)


def _gathered(
    asked: Asked, reading: Reading | None, judge: Callable[[Gathered], Iterator[tuple[Edit, Verdict]]], wanted: Wanted
) -> Gathered:
    """What is judged; with --fix what is left when it is written; with --diff that is shown, and all ends."""
    if not (asked.fix or asked.diff):
        return gather(asked, sys.stdin.buffer, reading)
    from stateward.cli import fixes

    return (fixes.show if asked.diff else fixes.fixed)(asked, judge, wanted, sys.stdin.buffer)


def judged(gathered: Gathered, policy: Policy, now: float) -> Iterator[tuple[Edit, Verdict]]:
    """Every edit with the verdict on it, in the order of the edits."""
    for edit in gathered.edits:
        yield edit, judge(edit, gathered.view, policy, now)


Told = tuple[Item | None, str]
"""An object that was judged, and it as text; (None, "") where there is nothing to say about it."""


def _items(gathered: Gathered, policy: Policy, now: float, collector: Collector, as_texts: bool) -> Iterator[Told]:
    """Every edit judged and told, in the order of the edits; many of them on several processors."""

    def told(edits: Iterable[Edit]) -> Iterator[Told]:
        for edit in edits:
            item = collector.told(edit, judge(edit, gathered.view, policy, now))
            yield item, as_text.item(item) if as_texts and item is not None else ""

    edits = gathered.edits
    if len(edits) < 2 * _LEAST_EDITS:
        yield from told(edits)
        return
    import pickle

    size = max(_LEAST_TASK, -(-len(edits) // workers.MOST_TASKS))
    with workers.Crew(
        -(-len(edits) // size),
        lambda number: list(told(edits[number * size : (number + 1) * size])),
        lambda some: pickle.dumps(some, pickle.HIGHEST_PROTOCOL),
        pickle.loads,
    ) as crew:
        for some in crew.results():
            yield from some


_LEAST_EDITS: Final = 500
"""Edits that are worth a process of their own: judging them takes longer than making it."""
_LEAST_TASK: Final = 100
"""Edits that are judged together."""


def _baseline(path: str | None, update: bool) -> Baseline | None:
    if path is None:
        if update:
            inputs.stop("--update-baseline: it needs the file to write; add --baseline FILE")
        return None
    from stateward.cli import baseline as baselines

    try:
        return baselines.read(path, new=update)
    except baselines.BaselineError as error:
        inputs.stop(str(error))


def _update(known: Baseline, report: Report, wanted: frozenset[str] | None) -> None:
    from stateward.cli import baseline as baselines

    findings = list(report.findings())
    try:
        baselines.write(known.file, known.renewed(findings, wanted))
    except OSError as error:
        inputs.stop(f"--baseline {known.file}: it cannot be written: {error.strerror or error}")
    for finding in findings:
        if finding.counts:
            finding.state = "known"
    if report.baseline is not None:
        report.baseline.findings = sum(finding.state == "known" for finding in findings)


def _exit_code(report: Report, fail_on: str) -> int:
    if report.problems:
        return 2
    failing = {"deny": ("deny",), "warn": ("deny", "warn"), "never": ()}[fail_on]
    return int(any(finding.shown in failing for finding in report.findings()))


def _written(report: Report, style: str) -> str:
    if style == "text":
        return click.unstyle("".join(map(as_text.item, report.items)))
    written: str = importlib.import_module(f"stateward.cli.reports.as_{style}").write(report)
    return written


def _conclude(report: Report, *, updated: bool) -> None:
    """What a person is told at the end whatever the format: on standard error."""
    for item in report.items:
        for rule, fault in item.faults.items():
            step = "" if rule.startswith(OWN) else "; please report it"
            click.echo(f"error: {item.file}: {fault_text(rule, fault)}{step}", err=True)
    for note in report.notes:
        click.echo(f"note: {note}", err=True)
    for one in report.problems:
        click.echo(f"{click.style(one.where, bold=True)}: error: {one.message}", err=True)
    if report.baseline is not None:
        _stale(report, updated=updated)
    click.echo(as_text.summary(report), err=True)


def _stale(report: Report, *, updated: bool) -> None:
    accepted = report.baseline
    if accepted is None:
        return
    if updated:
        if report.problems:
            click.echo(f"{accepted.file}: not written: what cannot be read would be lost from it", err=True)
        else:
            click.echo(f"{accepted.file}: written, {_gone(len(accepted.stale), 'removed')}", err=True)
    elif accepted.stale:
        many = len(accepted.stale) > 3
        shown = "; ".join(accepted.stale[:3]) + ("; …" if many else "")
        click.echo(
            f"{accepted.file}: note: {_gone(len(accepted.stale), 'did not occur')} ({shown}); "
            "--update-baseline removes what is stale",
            err=True,
        )


def _gone(count: int, verb: str) -> str:
    return f"{count} {'entry' if count == 1 else 'entries'} {verb}"
