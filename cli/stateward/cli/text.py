"""Findings as text: the file, the line, the finding under it, why, what to do."""

from __future__ import annotations

import textwrap
from typing import Final

import click

from stateward.cli.manifests import Document
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged
from stateward.policies.message import waive_command

_COLOURS: Final = {"deny": "red", "warn": "yellow", "audit": "blue"}
WIDTH: Final = 118


def finding(one: Judged, verdict: Verdict, document: Document, now: float) -> str:
    """One finding, in several lines; colours are for click to strip where nobody sees them."""
    path = one.finding.field or ("metadata", "name")
    span = document.locate(path)
    number = str(span.line)
    gutter = " " * (3 + len(number))
    colour = _COLOURS[one.action]
    head = f"{document.source}:{span.line}:{span.column}: "
    action = "waived" if one.waiver is not None else one.action
    # A line as long as one-line JSON is cut around the place; marks never outgrow what is shown of it.
    shown, column = _window(span.text, span.column)
    marks = "^" * max(1, min(span.end_column - span.column, len(shown) - column + 1))
    indent = " " * (column - 1)
    bar = click.style("│", dim=True)
    lines = [
        f"{click.style(head, bold=True)}{one.rule} {click.style(action, fg=colour, bold=True)} {one.name} · {verdict.about}",
        f"   {click.style(number, dim=True)} {bar} {shown}",
    ]
    pointer = f"{gutter} {bar} {indent}{click.style(marks, fg=colour, bold=True)}"
    beside = WIDTH - len(gutter) - 3 - len(indent) - len(marks)
    if beside >= max(60, min(len(one.finding.headline), WIDTH // 2)) or len(one.finding.headline) <= beside:
        first, *more = textwrap.wrap(one.finding.headline, beside) or [""]
        lines.append(f"{pointer} {click.style(first, fg=colour)}")
        further = f"{gutter} {bar} {indent}{' ' * len(marks)} "
    else:
        more = textwrap.wrap(one.finding.headline, WIDTH - len(gutter) - 6)
        lines.append(pointer)
        further = f"{gutter} {bar}    "
    lines += [f"{further}{click.style(line, fg=colour)}" for line in more]
    lines += _labelled("why", one.finding.why)
    if one.unknown:
        lines += _labelled("note", f"{', '.join(one.unknown)} not given: what is there might excuse this")
    if one.waiver is not None:
        lines += _labelled("note", f"waived until {one.waiver.until}: {one.waiver.reason}")
        return "\n".join(lines)
    lines += _labelled("do", one.finding.remedy)
    if one.action == "deny":
        command = waive_command(verdict, one.rule, now)
        lines.append(f"   {click.style('or  ', dim=True)} {command}   (waives this rule here, for an hour)")
    return "\n".join(lines)


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


def _labelled(label: str, text: str) -> list[str]:
    if not text:
        return []
    first, *more = textwrap.wrap(text, WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    return [f"   {click.style(label.ljust(4), dim=True)} {first}", *(f"        {line}" for line in more)]
