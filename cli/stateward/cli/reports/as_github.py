"""A report as workflow commands of GitHub Actions, which show beside the lines of a pull request.

Source of the escapes: actions/toolkit, packages/core/src/command.ts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from stateward.cli.reports.report import Finding, Report

_LEVELS: Final = {"deny": "error", "warn": "warning", "waived": "notice"}


def write(report: Report) -> str:
    """A command for each finding that counts or is waived, each note, each input that cannot be used."""
    return "".join(f"{line}\n" for line in _commands(report))


def _commands(report: Report) -> Iterator[str]:
    for item in report.items:
        for finding in item.findings:
            if finding.shown in _LEVELS:
                yield _finding(finding)
        for note in item.notes:
            yield _command("notice", {"file": item.file, "line": item.line, "title": item.subject.title}, note)
        for rule, fault in item.faults.items():
            where = {"file": item.file, "line": item.line, "title": f"{rule} failed"}
            yield _command("warning", where, f"{rule} could not judge {item.subject.title} ({fault}); please report it")
    for note in report.notes:
        yield _command("notice", {"title": "stateward lint"}, note)
    for problem in report.problems:
        where = {"file": problem.file, "line": problem.line, "col": problem.column, "title": "Input that cannot be used"}
        yield _command("error", where, problem.message)


def _finding(one: Finding) -> str:
    place = one.place
    where = {
        "file": place.file,
        "line": place.line,
        "endLine": place.line,
        "col": place.column,
        "endColumn": place.end_column,
        "title": f"{one.rule} {one.name} · {one.subject.title}",
    }
    parts = [one.headline, one.why and f"why: {one.why}"]
    if one.unknown:
        parts.append(f"note: {', '.join(one.unknown)} not given; what is there might excuse this")
    if one.state == "waived":
        parts.append(f"waived until {one.until}: {one.reason}")
    else:
        parts += [one.remedy and f"do: {one.remedy}", one.waive and f"or: {one.waive} (waives this rule here, for an hour)"]
    return _command(_LEVELS[one.shown], where, "\n".join(part for part in parts if part))


def _command(level: str, where: Mapping[str, object], message: str) -> str:
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in where.items() if value is not None)
    return f"::{level} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
