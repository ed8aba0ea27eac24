"""A replay as text: each commit with what would have been refused in it, and the totals."""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime
from typing import Final

import click

from stateward.cli.replay.reverts import Watched
from stateward.cli.replay.run import Entry, Told, Totals
from stateward.cli.reports.as_text import WIDTH, labelled, lines_at
from stateward.cli.table import table
from stateward.policies import times

NAMED: Final = 5
"""Unreadable files that are named; the JSON form names more."""
_DAY: Final = 86_400.0


class Writer:
    """Makes the text, commit by commit."""

    def __init__(self, limit: int | None) -> None:
        """`limit`: how many commits are written; those beyond are counted."""
        self._limit = limit
        self._left_out = 0
        self._parts: list[str] = []

    def whole(self) -> str:
        """All that was made so far."""
        return "".join(f"{part}\n" for part in self._parts if part)

    def entry(self, entry: Entry) -> str:
        """One commit; "" beyond the limit."""
        if self._limit is not None and len(self._parts) >= self._limit:
            self._left_out += 1
            return ""
        commit = entry.commit
        lines = [f"{click.style(commit.short, fg='cyan', bold=True)}  {_minute(commit.time)}  {commit.subject}"]
        if abs(commit.authored.timestamp() - commit.time) > _DAY:
            lines.append(f"{' ' * len(commit.short)}  {_minute(commit.authored.timestamp())}  is when it was written")
        for told in entry.told:
            lines += ["", textwrap.indent(_told(told), "  ")]
        self._parts.append("\n".join([*lines, ""]))
        return self._parts[-1]

    def end(self, totals: Totals, expected: int, *, stopped: bool) -> str:
        """The totals."""
        lines = []
        if self._left_out:
            lines += [f"… and {count(self._left_out, 'commit')} more (--limit {self._limit})", ""]
        if totals.rules:
            lines += [_by_rule(totals), ""]
        self._parts.append("\n".join([*lines, *summary(totals, expected, stopped=stopped)]))
        return self._parts[-1]


def _told(told: Told) -> str:
    finding = told.finding
    lines = [*lines_at(finding), *labelled("why", first_sentence(finding.why))]
    if finding.unknown:
        unknown = ", ".join(finding.unknown)
        lines += labelled("note", f"{unknown} not in the manifests: what is there might excuse this")
    if told.watched is not None and told.watched.reverted is not None:
        lines += [click.style(line, fg="magenta") for line in labelled("then", reverted(told.watched))]
    return "\n".join(lines)


def reverted(watched: Watched) -> str:
    """What took an edit back, and when; "" where nothing did."""
    if watched.reverted is None:
        return ""
    done = "put back" if watched.deletion else "reverted"
    commit = watched.reverted.commit
    return f"{done} {times.ago(watched.reverted.seconds)} later in {commit.short}: {commit.subject}"


def first_sentence(text: str) -> str:
    """Up to the first full stop that ends a sentence."""
    head, dot, _ = text.partition(". ")
    return f"{head}." if dot else head


def _by_rule(totals: Totals) -> str:
    rows = [
        [rule, tally.name, _some(tally.refusals), _some(tally.warnings), _some(tally.waived), f"{tally.commits:,}"]
        for rule, tally in sorted(totals.rules.items(), key=lambda item: (-item[1].refusals, -item[1].warnings, item[0]))
    ]
    return table(["rule", "name", "refusals", "warnings", "waived", "commits"], rows)


def _some(number: int) -> str:
    return f"{number:,}" if number else ""


def summary(totals: Totals, expected: int, *, stopped: bool) -> list[str]:
    """What was judged and what came of it, in a few lines."""
    judged = count(totals.commits, "commit")
    if stopped:
        judged += f" of {expected:,}"
    lines = [f"{judged} judged{_span(totals)}: {count(totals.objects, 'edit')} of objects in {totals.touching:,} of them"]
    refused = click.style(count(totals.refused, "refusal"), fg="red" if totals.refused else "green", bold=True)
    parts = [f"{refused} in {count(totals.refused_commits, 'commit')}"]
    if totals.reverted:
        parts.append(f"{totals.reverted:,} of them taken back within two weeks")
    if totals.warned:
        warned = click.style(count(totals.warned, "warning"), fg="yellow")
        parts.append(f"{warned}, in {count(totals.warned_commits, 'commit')} without a refusal")
    if totals.waived:
        parts.append(f"{totals.waived:,} waived")
    lines.append("; ".join(parts))
    lines += _not_judged(totals)
    if totals.boundary:
        lines.append("the clone is shallow: what it begins with is taken as given (git fetch --unshallow gets the rest)")
    lines += [f"error: {rule} failed {number} times; please report it" for rule, number in totals.faults.items()]
    if totals.seconds > 0 and totals.commits:
        lines.append(f"{totals.seconds:.1f} s, {totals.commits / totals.seconds * 60:,.0f} commits a minute")
    return lines


def _span(totals: Totals) -> str:
    if totals.first is None or totals.last is None:
        return ""
    return f", {_minute(totals.first.time)[:10]} to {_minute(totals.last.time)[:10]}"


def _not_judged(totals: Totals) -> list[str]:
    """What was met and left out, so that nobody takes silence for a verdict."""
    parts = [
        (totals.copies, "object whose manifest went while another file holds the same object"),
        (totals.kept, "object whose manifest went and that stays: Flux or Argo CD is told not to prune it"),
        (totals.patches, "change of a kustomize patch: overlays are not built"),
        (totals.encrypted, "change of an object that sops has encrypted"),
        (len(totals.templates), "file with templates that is no YAML before it is rendered"),
        (len(totals.large), "file larger than 8 MiB"),
    ]
    lines = ["not judged:"] if totals.unreadable or any(number for number, _ in parts) else []
    width = len(f"{max([len(totals.unreadable), *(number for number, _ in parts)]):,}")
    lines += [f"  {number:>{width},} × {what}" for number, what in parts if number]
    if totals.unreadable:
        lines.append(f"  {len(totals.unreadable):>{width},} × file that could not be read; what it held last still counted")
        named = list(totals.unreadable.items())
        lines += [_short(f"      {path} at {commit}: {why}") for path, (commit, why) in named[:NAMED]]
        if len(named) > NAMED:
            lines.append(f"      and {len(named) - NAMED:,} more (--format json names them)")
    return lines


def _short(line: str) -> str:
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"


def _minute(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M}"


def count(number: int, noun: str) -> str:
    """`1 commit`, `1,200 commits`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
