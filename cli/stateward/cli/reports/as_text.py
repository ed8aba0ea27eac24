"""A report as text: the file, the line, the finding under it, why, what to do."""

from __future__ import annotations

import textwrap
from typing import Final

import click

from stateward.cli.reports.report import Finding, Item, Report

COLOURS: Final = {"deny": "red", "warn": "yellow", "waived": "blue", "audit": "blue", "known": "blue"}
WIDTH: Final = 118


def item(one: Item) -> str:
    """All that is to be read about one object, "" where there is nothing; colours are for click to strip."""
    parts = [finding(found) for found in one.findings if found.shown in ("deny", "warn", "waived")]
    parts += [f"{one.file}: note: {note}" for note in one.notes]
    return "".join(f"{part}\n\n" for part in parts)


def finding(one: Finding) -> str:
    """One finding, in several lines."""
    lines = lines_at(one)
    lines += labelled("why", one.why)
    if one.unknown:
        lines += labelled("note", f"{', '.join(one.unknown)} not given: what is there might excuse this")
    if one.state == "waived":
        lines += labelled("note", f"waived until {one.until}: {one.reason}")
        return "\n".join(lines)
    lines += labelled("do", one.remedy)
    if one.waive:
        lines.append(f"   {click.style('or  ', dim=True)} {one.waive}   (waives this rule here, for an hour)")
    return "\n".join(lines)


def lines_at(one: Finding) -> list[str]:
    """The first lines of a finding: where it is and what, the line that it points at, what is wrong there."""
    place = one.place
    number = str(place.line)
    gutter = " " * (3 + len(number))
    colour = COLOURS[one.shown]
    head = f"{place.file}:{place.line}:{place.column}: "
    # A line as long as one-line JSON is cut around the place; marks never outgrow what is shown of it.
    shown, column = _window(place.text, place.mark[0] + 1)
    marks = "^" * max(1, min(place.mark[1] - place.mark[0], len(shown) - column + 1))
    indent = " " * (column - 1)
    bar = click.style("│", dim=True)
    action = click.style(one.shown, fg=colour, bold=True)
    lines = [
        f"{click.style(head, bold=True)}{one.rule} {action} {one.name} · {one.subject.title}",
        f"   {click.style(number, dim=True)} {bar} {shown}",
    ]
    pointer = f"{gutter} {bar} {indent}{click.style(marks, fg=colour, bold=True)}"
    beside = WIDTH - len(gutter) - 3 - len(indent) - len(marks)
    if beside >= max(60, min(len(one.headline), WIDTH // 2)) or len(one.headline) <= beside:
        first, *more = textwrap.wrap(one.headline, beside) or [""]
        lines.append(f"{pointer} {click.style(first, fg=colour)}")
        further = f"{gutter} {bar} {indent}{' ' * len(marks)} "
    else:
        more = textwrap.wrap(one.headline, WIDTH - len(gutter) - 6)
        lines.append(pointer)
        further = f"{gutter} {bar}    "
    return [*lines, *(f"{further}{click.style(line, fg=colour)}" for line in more)]


def summary(report: Report) -> str:
    """The last line: what was judged and what came of it."""
    total = report.totals()
    parts = [f"{_count(total.objects, 'object')} in {_count(total.files, 'file')}"]
    parts.append(click.style(f"{total.denied} refused", fg="red" if total.denied else "green"))
    if total.warned:
        parts.append(click.style(f"{total.warned} warned", fg="yellow"))
    if total.waived:
        parts.append(f"{total.waived} waived")
    if total.known and report.baseline is not None:
        parts.append(f"{_count(total.known, 'known finding')} accepted by {report.baseline.file}")
    if total.errors:
        parts.append(click.style(_count(total.errors, "input error"), fg="red"))
    if report.skipped:
        parts.append(f"{_count(len(report.skipped), 'file')} without objects passed over")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _window(line: str, column: int) -> tuple[str, int]:
    """A line, cut to what fits around a column: (text, where the column is in it)."""
    room = WIDTH - 10
    if len(line) <= room:
        return line, column
    start = max(0, min(column - 1 - room // 3, len(line) - room))
    text = line[start : start + room]
    if start:
        text = f"…{text[1:]}"
    if start + room < len(line):
        text = f"{text[:-1]}…"
    return text, column - start


def labelled(label: str, text: str) -> list[str]:
    """Lines of text under a label; none where there is no text."""
    if not text:
        return []
    first, *more = textwrap.wrap(text, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    return [f"   {click.style(label.ljust(4), dim=True)} {first}", *(f"        {line}" for line in more)]
