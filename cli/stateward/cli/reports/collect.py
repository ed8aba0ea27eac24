"""From verdicts to a report: each finding with its place in the manifest and nothing in it that is secret."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Final

from stateward.cli import files, masking
from stateward.cli.edits import Edit, key
from stateward.cli.manifests import Document
from stateward.cli.reports.report import Finding, Item, Line, Place, Problem, Subject
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged
from stateward.policies.message import waive_command
from stateward.policies.paths import render

AROUND: Final = 2
"""Lines shown before and behind the one that a finding points into."""
_LINE_END: Final = re.compile(r"\r\n?|\n")
_HEAD: Final = re.compile(r"(?:---(?=[ \t\r\n])|[ \t\r\n]|#[^\r\n]*)*")
"""What stands before an object: the mark of a document, blank lines, comments."""


class Collector:
    """Makes the items of a report. `home`: id of an object → the document that it stands in."""

    def __init__(
        self, home: Mapping[int, Document], now: float, wanted: frozenset[str] | None = None, every: bool = True
    ) -> None:
        """`wanted`: the rules that are reported, None for all. `every`: whether every object is shown, with its line."""
        self._every = every
        self._home = home
        self._now = now
        self._wanted = wanted
        self._lines: tuple[Document, masking.Lines] | None = None
        self._starts: tuple[str, list[int]] = ("", [0])

    def told(self, edit: Edit, verdict: Verdict) -> Item | None:
        """The same; None where nothing was found and only that is shown."""
        quiet = not (self._every or verdict.judged or verdict.notes or verdict.faults)
        return None if quiet else self.item(edit, verdict)

    def item(self, edit: Edit, verdict: Verdict) -> Item:
        """One object and what was found."""
        document = edit.document
        kind, namespace, name = key(document)
        subject = Subject(*map(masking.readable, (kind, namespace, name, verdict.about)))
        return Item(
            subject=subject,
            operation=verdict.request.operation,
            file=masking.readable(document.source),
            line=self._line(document) if self._every or verdict.judged else 0,
            findings=[self._finding(one, verdict, document, subject) for one in verdict.judged if self._wants(one.rule)],
            notes=[masking.text(note) for note in verdict.notes],
            faults={rule: fault for rule, fault in verdict.faults.items() if self._wants(rule)},
            unjudged={rule: kinds for rule, kinds in verdict.unjudged.items() if self._wants(rule)},
            passed=masking.text(verdict.passed),
        )

    def _wants(self, rule: str) -> bool:
        return self._wanted is None or rule in self._wanted

    def _finding(self, one: Judged, verdict: Verdict, document: Document, subject: Subject) -> Finding:
        finding = one.finding
        waived = one.waiver
        return Finding(
            rule=one.rule,
            name=one.name,
            action="audit" if one.action == "off" else one.action,
            place=self._place(self._home.get(id(finding.on), document), finding.field or ("metadata", "name")),
            subject=subject,
            operation=verdict.request.operation,
            field=render(finding.field),
            headline=masking.text(finding.headline),
            why=masking.text(finding.why),
            remedy=masking.text(finding.remedy),
            waive=waive_command(verdict, one.rule, now=self._now) if one.action == "deny" else "",
            about=finding.subject,
            unknown=one.unknown,
            would=one.would or "",
            state="waived" if waived is not None else "new",
            until=waived.until if waived is not None else "",
            reason=masking.text(waived.reason) if waived is not None else "",
        )

    def _place(self, document: Document, path: Sequence[str | int]) -> Place:
        span = document.locate(path)
        if self._lines is None or self._lines[0] is not document:
            self._lines = (document, masking.Lines(document))
        lines = self._lines[1]
        starts = self._line_starts(document.text)
        shown: list[Line] = []
        mark = (0, 1)
        for number in range(max(1, span.line - AROUND), min(len(starts), span.line + AROUND) + 1):
            start = starts[number - 1]
            ending = _LINE_END.search(document.text, start)
            end = ending.start() if ending else len(document.text)
            if number != span.line and not lines.holds(start, end):
                continue
            line = lines.line(start, end)
            shown.append(Line(number, line.text))
            if number == span.line:
                first = line.column(span.column - 1)
                mark = (first, max(line.column(span.end_column - 1), first + 1))
        file = masking.readable(document.source)
        return Place(file, span.line, span.column, span.end_column, tuple(shown), mark)

    def _line(self, document: Document) -> int:
        """The line that an object begins in: found without a tree where it is a document of its own."""
        if document.prefix:
            return document.locate(("kind",)).line
        match = _HEAD.match(document.text, document.start)
        return bisect_right(self._line_starts(document.text), match.end() if match else document.start)

    def _line_starts(self, raw: str) -> list[int]:
        if self._starts[0] is not raw:  # a file's findings come together
            self._starts = (raw, [0, *(match.end() for match in _LINE_END.finditer(raw))])
        return self._starts[1]


def problem(found: files.Problem) -> Problem:
    """A problem of the input, as reports show it."""
    return Problem(masking.readable(found.source), found.line, found.column, masking.text(found.message))
