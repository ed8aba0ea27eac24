"""A report as JUnit XML: a suite for each file, a case for each object that was judged, passing ones too."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from stateward.cli.reports.report import Finding, Item, Problem, Report

_FORBIDDEN: Final = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no way to write, not even escaped (Char, section 2.2)."""


def write(report: Report) -> str:
    """The whole report."""
    files: dict[str, tuple[list[Item], list[Problem]]] = {}
    for item in report.items:
        files.setdefault(item.file, ([], []))[0].append(item)
    for problem in report.problems:
        files.setdefault(problem.file, ([], []))[1].append(problem)
    return document(suite(file, [*map(_case, items), *map(_error, problems)]) for file, (items, problems) in files.items())


class Case:
    """A test case: its attributes, and its children as XML."""

    def __init__(self, attributes: dict[str, str], outcome: str = "", children: str = "") -> None:
        """`outcome`: "" (passed), failure or error."""
        self.outcome = outcome
        self.text = f"    <testcase{_attributes(attributes)}" + (f">\n{children}    </testcase>\n" if children else "/>\n")


class Suite:
    """A test suite as XML, with its sums."""

    def __init__(self, name: str, cases: list[Case]) -> None:
        self.tests = len(cases)
        self.failures = sum(case.outcome == "failure" for case in cases)
        self.errors = sum(case.outcome == "error" for case in cases)
        sums = {"tests": str(self.tests), "failures": str(self.failures), "errors": str(self.errors), "skipped": "0"}
        self.text = (
            f"  <testsuite{_attributes({'name': name, **sums})}>\n{''.join(case.text for case in cases)}  </testsuite>\n"
        )


def suite(name: str, cases: list[Case]) -> Suite:
    """The cases of one file."""
    return Suite(name, cases)


def document(suites: Iterable[Suite]) -> str:
    """The whole document."""
    found = list(suites)
    sums = {
        "name": "stateward",
        "tests": str(sum(one.tests for one in found)),
        "failures": str(sum(one.failures for one in found)),
        "errors": str(sum(one.errors for one in found)),
    }
    body = "".join(one.text for one in found)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites{_attributes(sums)}>\n{body}</testsuites>\n'


def element(name: str, text: str, **attributes: str) -> str:
    """An element inside a case."""
    return f"      <{name}{_attributes(attributes)}>{clean(text)}</{name}>\n"


def _case(item: Item) -> Case:
    attributes = {
        "name": f"{item.operation} {item.subject}",
        "classname": item.file,
        "file": item.file,
        "line": str(item.line),
    }
    denied = [one for one in item.findings if one.shown == "deny"]
    rest = [one for one in item.findings if one.shown != "deny"]
    children = ""
    if denied:
        first = f"{denied[0].rule} {denied[0].name}: {denied[0].headline}"
        more = f" (and {len(denied) - 1} more)" if len(denied) > 1 else ""
        text = "\n\n".join(map(_words, denied))
        children += element("failure", text, message=first + more, type=denied[0].rule)
    said = [_words(one) for one in rest]
    said += [f"note: {note}" for note in item.notes]
    if said:
        children += element("system-out", "\n\n".join(said))
    if item.faults:
        faults = (f"{rule} could not judge this object ({fault}); please report it" for rule, fault in item.faults.items())
        children += element("system-err", "\n".join(faults))
    return Case(attributes, "failure" if denied else "", children)


def _error(problem: Problem) -> Case:
    place = problem.where.removeprefix(problem.file).lstrip(":")
    attributes = {"name": f"can be read{f' ({place})' if place else ''}", "classname": problem.file, "file": problem.file}
    if problem.line is not None:
        attributes["line"] = str(problem.line)
    children = element("error", f"{problem.where}: {problem.message}", message=problem.message, type="input")
    return Case(attributes, "error", children)


def _words(one: Finding) -> str:
    place = one.place
    lines = [f"{place.file}:{place.line}:{place.column}: {one.rule} {one.shown} {one.name}: {one.headline}"]
    lines += [f"why: {one.why}"] if one.why else []
    lines += [f"note: {', '.join(one.unknown)} not given; what is there might excuse this"] if one.unknown else []
    if one.state == "waived":
        lines.append(f"waived until {one.until}: {one.reason}")
    elif one.remedy:
        lines.append(f"do: {one.remedy}")
    if one.waive and one.state == "new":
        lines.append(f"or: {one.waive} (waives this rule here, for an hour)")
    return "\n".join(lines)


def clean(text: str) -> str:
    """Text as XML can carry it."""
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _attributes(attributes: dict[str, str]) -> str:
    return "".join(f" {name}={quoteattr(_FORBIDDEN.sub(chr(0xFFFD), value))}" for name, value in attributes.items())
