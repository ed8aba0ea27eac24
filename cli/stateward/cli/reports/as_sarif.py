"""A report as SARIF 2.1.0 (OASIS), for code scanning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from stateward.cli.reports.as_json import dumps
from stateward.cli.reports.report import Finding, Problem, Report
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES

SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
ROOT: Final = "%SRCROOT%"
FINGERPRINT: Final = "stateward/v1"
_LEVELS: Final = {"deny": "error", "warn": "warning", "audit": "note"}


def write(report: Report) -> str:
    """The whole report."""
    return dumps(document(report))


def document(report: Report) -> dict[str, Any]:
    """The report as a SARIF log."""
    described = [_rule(rule) for rule in sorted(RULES, key=lambda one: one.id)]
    index = {row["id"]: number for number, row in enumerate(described)}
    for finding in report.findings():  # a user's own rule is described by what it found
        if finding.rule not in index:
            index[finding.rule] = len(described)
            described.append({"id": finding.rule, "name": finding.name})
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "Stateward", "version": report.version, "rules": described}},
                "invocations": [_invocation(report)],
                "originalUriBaseIds": {ROOT: {"description": {"text": "The folder that stateward was run in."}}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(one, index[one.rule], report) for one in report.findings()],
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    waive = f"stateward.dev/waive: '{rule.id} until=<RFC 3339 time> reason=\"…\"'"
    return {
        "id": rule.id,
        "name": rule.name,
        "shortDescription": {"text": f"{rule.summary}."},
        "fullDescription": {"text": rule.why},
        "help": {
            "text": f"{rule.summary}.\n\nWhy: {rule.why}\n\nInstead: {rule.remedy}\n\nTo let it pass on one object, "
            f"annotate it before the edit: {waive}",
            "markdown": f"**{_markdown(rule.summary)}.**\n\n**Why**: {_markdown(rule.why)}\n\n"
            f"**Instead**: {_markdown(rule.remedy)}\n\n**To let it pass** on one object, for a time, annotate it in an edit "
            f"of its own before:\n\n```yaml\nmetadata:\n  annotations:\n    {waive}\n```\n\n"
            f"Source: {_markdown(rule.source)}",
        },
        "defaultConfiguration": {"level": _LEVELS.get(rule.action, "none"), "enabled": rule.action != "off"},
        "properties": {"tags": ["kubernetes", "reliability"], "nature": rule.nature, "since": rule.since},
    }


def _markdown(text: str) -> str:
    """Words that are no markup, whatever they hold; a command in backticks stays one."""
    return "".join(f"\\{letter}" if letter in "*_<>[]#" else letter for letter in text)


def _invocation(report: Report) -> dict[str, Any]:
    notes = [_problem(problem) for problem in report.problems]
    notes += [{"level": "note", "message": {"text": note}} for note in report.notes]
    for item in report.items:
        notes += [_notification("note", note, item.file, item.line) for note in item.notes]
        notes += [
            {
                **_notification("warning", f"{rule} could not judge {item.subject}: {fault}", item.file, item.line),
                "associatedRule": {"id": rule},
            }
            for rule, fault in item.faults.items()
        ]
    return {
        "executionSuccessful": not report.problems,
        "exitCode": report.exit_code,
        "toolExecutionNotifications": notes,
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return _notification("error", problem.message, problem.file, problem.line, problem.column)


def _notification(level: str, text: str, file: str, line: int | None, column: int | None = None) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _artifact(file)}
    if line is not None:
        place["region"] = {"startLine": line, **({"startColumn": column} if column is not None else {})}
    return {"level": level, "message": {"text": text}, "locations": [{"physicalLocation": place}]}


def _result(one: Finding, index: int, report: Report) -> dict[str, Any]:
    place = one.place
    parts = [one.headline, one.why and f"Why: {one.why}", one.remedy and f"Instead: {one.remedy}"]
    if one.unknown:
        parts.append(f"Not given: {', '.join(one.unknown)}; what is there might excuse this.")
    result: dict[str, Any] = {
        "ruleId": one.rule,
        "ruleIndex": index,
        "level": _LEVELS[one.action],
        "message": {"text": "\n".join(part for part in parts if part)},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(place.file),
                    "region": {
                        "startLine": place.line,
                        "startColumn": place.column,
                        "endColumn": max(place.end_column, place.column + 1),
                    },
                },
                "logicalLocations": [
                    {"name": one.subject.name, "fullyQualifiedName": f"{one.subject}: {one.field}", "kind": "resource"}
                ],
            }
        ],
        "partialFingerprints": {FINGERPRINT: one.fingerprint},
        "suppressions": _suppressions(one, report),
        "properties": {"operation": one.operation, "object": one.subject.title, "field": one.field},
    }
    if report.baseline is not None:
        result["baselineState"] = "unchanged" if one.state == "known" else "new"
    return result


def _suppressions(one: Finding, report: Report) -> list[dict[str, Any]]:
    """SARIF wants the list on every result or on none; an empty one says that it counts."""
    if one.state == "waived":
        return [{"kind": "inSource", "status": "accepted", "justification": f"waived until {one.until}: {one.reason}"}]
    if one.state == "known" and report.baseline is not None:
        return [{"kind": "external", "status": "accepted", "justification": f"accepted by {report.baseline.file}"}]
    return []


def _artifact(file: str) -> dict[str, Any]:
    """A file as SARIF names it: relative to the folder of the run where it lies below it, percent-encoded."""
    if file.startswith("<"):  # <stdin>
        return {"uri": quote(file.strip("<>"), safe="/"), "uriBaseId": ROOT}
    relative = os.path.relpath(file) if os.path.isabs(file) else os.path.normpath(file)
    if relative.startswith(os.pardir):
        return {"uri": Path(os.path.abspath(file)).as_uri()}
    return {"uri": quote(relative.replace(os.sep, "/"), safe="/"), "uriBaseId": ROOT}
