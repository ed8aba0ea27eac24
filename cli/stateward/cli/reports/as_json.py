"""A report as one JSON object: the form is documented in docs/formats.md and changes only with its version."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import orjson

from stateward.cli.reports.report import Finding, Item, Report, Subject

FORMAT: Final = "stateward-lint/v1"


def write(report: Report) -> str:
    """The whole report."""
    return dumps(document(report))


def dumps(content: Any) -> str:
    """JSON for people and programs: two spaces, a line end."""
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()


def document(report: Report) -> dict[str, Any]:
    """The report as JSON values."""
    baseline = report.baseline
    return {
        "format": FORMAT,
        "tool": {"name": "stateward", "version": report.version},
        "judgedAt": report.judged_at,
        "profile": report.profile,
        "exitCode": report.exit_code,
        "totals": asdict(report.totals()),
        "findings": [finding(one) for one in report.findings()],
        "objects": [_item(one) for one in report.items],
        "inputErrors": [asdict(one) for one in report.problems],
        "skipped": report.skipped,
        "notes": report.notes,
        "baseline": None
        if baseline is None
        else {"file": baseline.file, "accepted": baseline.findings, "stale": baseline.stale},
    }


def finding(one: Finding) -> dict[str, Any]:
    """One finding as JSON values."""
    place = one.place
    return {
        "rule": one.rule,
        "name": one.name,
        "action": one.action,
        "would": one.would,
        "state": one.state,
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "endColumn": place.end_column,
        "excerpt": place.text[:500],
        "field": one.field,
        "object": _object(one.subject),
        "operation": one.operation,
        "message": one.headline,
        "why": one.why,
        "remedy": one.remedy,
        "waive": one.waive,
        "unknownKinds": list(one.unknown),
        "waiver": {"until": one.until, "reason": one.reason} if one.state == "waived" else None,
        "fingerprint": one.fingerprint,
    }


def _object(subject: Subject) -> dict[str, str]:
    return {"kind": subject.kind, "namespace": subject.namespace, "name": subject.name, "title": subject.title}


def _item(one: Item) -> dict[str, Any]:
    return {
        "object": _object(one.subject),
        "operation": one.operation,
        "file": one.file,
        "line": one.line,
        "verdict": one.verdict,
        "notes": one.notes,
        "passed": one.passed,
        "notJudged": {rule: list(kinds) for rule, kinds in one.unjudged.items()},
        "faults": one.faults,
    }
