"""A whole run as plain data: what was judged, what was found, what went wrong. Every format is written from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from stateward.policies import finding
from stateward.policies.structs import dataclass, field

State = Literal["new", "known", "waived"]
"""A finding that counts, one that the baseline accepts, one that a waiver lets pass."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a manifest as it may be shown; `number` counts from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a finding points: line and columns from 1, in characters of the file; `end_column` is the first behind it.

    `lines` are the line itself and its neighbours; `mark` is where the place is in the line that is shown, from 0.
    """

    file: str
    line: int
    column: int
    end_column: int
    lines: tuple[Line, ...] = ()
    mark: tuple[int, int] = (0, 1)

    @property
    def text(self) -> str:
        """The line as it may be shown."""
        return next((line.text for line in self.lines if line.number == self.line), "")


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that was judged; `kind` with its group, `title` as a person calls it."""

    kind: str
    namespace: str
    name: str
    title: str

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}"


@dataclass(slots=True)
class Finding:
    """One thing that is wrong with one object. `action` is what the policy does about it."""

    rule: str
    name: str
    action: Literal["deny", "warn", "audit"]
    place: Place
    subject: Subject
    operation: str
    field: str
    headline: str
    why: str
    remedy: str
    waive: str
    """The command that waives it for an hour; "" where it is waived, or nothing is refused."""
    about: str = ""
    """What part of the object it is about (a volume, a group)."""
    unknown: tuple[str, ...] = ()
    """Kinds that might have excused it and were not given."""
    would: str = ""
    """What it would do in mode `deny`, "" where that is what it does."""
    state: State = "new"
    until: str = ""
    reason: str = ""
    """Of a waiver."""

    @property
    def fingerprint(self) -> str:
        """What makes it the same in two runs."""
        return fingerprint(self.rule, self.subject, self.field, self.about)

    @property
    def shown(self) -> str:
        """One word for what comes of it: deny, warn, audit, waived, known."""
        return self.action if self.state == "new" else self.state

    @property
    def counts(self) -> bool:
        """Whether a person has to look at it: it refuses or warns, and nothing accepts it."""
        return self.state == "new" and self.action in ("deny", "warn")


@dataclass(slots=True)
class Item:
    """One object that was judged, and what came of it."""

    subject: Subject
    operation: str
    file: str
    line: int
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    """Rules that failed on it → the type of the exception."""
    unjudged: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Rules that could not see what they need → the kinds that were not given."""
    passed: str = ""
    """Why nothing was judged, "" where it was."""

    @property
    def verdict(self) -> str:
        """deny, warn or allow."""
        return next((action for action in ("deny", "warn") if any(f.shown == action for f in self.findings)), "allow")


@dataclass(frozen=True, slots=True)
class Problem:
    """An input that cannot be used; line and column from 1, None where there is no place."""

    file: str
    line: int | None
    column: int | None
    message: str

    @property
    def where(self) -> str:
        """`file:line:column` as far as it is known."""
        return ":".join([self.file, *(str(part) for part in (self.line, self.column) if part is not None)])


@dataclass(slots=True)
class Accepted:
    """What a baseline did to a run."""

    file: str
    findings: int = 0
    stale: list[str] = field(default_factory=list)
    """Entries that did not occur."""


@dataclass(slots=True)
class Totals:
    """How many of each."""

    files: int = 0
    objects: int = 0
    denied: int = 0
    warned: int = 0
    audited: int = 0
    waived: int = 0
    known: int = 0
    errors: int = 0
    faults: int = 0


@dataclass(slots=True)
class Report:
    """A run."""

    judged_at: str
    profile: str
    items: list[Item] = field(default_factory=list)
    """What was judged; in a format that shows findings alone only what there is something to say about."""
    problems: list[Problem] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What should be known about the input as a whole."""
    baseline: Accepted | None = None
    exit_code: int = 0
    sources: list[str] | None = None
    """The file of each object that was judged; None: those of the items."""

    @property
    def version(self) -> str:
        """The version of Stateward; asked for late, for it takes a while to find."""
        from importlib import metadata

        return metadata.version("stateward")

    def findings(self) -> Iterator[Finding]:
        """All findings, in the order of the objects."""
        for item in self.items:
            yield from item.findings

    def totals(self) -> Totals:
        """How many of each."""
        sources = [item.file for item in self.items] if self.sources is None else self.sources
        total = Totals(
            files=len(set(sources)),
            objects=len(sources),
            errors=len(self.problems),
            faults=sum(len(item.faults) for item in self.items),
        )
        names = {"deny": "denied", "warn": "warned", "audit": "audited", "waived": "waived", "known": "known"}
        for one in self.findings():
            name = names[one.shown]
            setattr(total, name, getattr(total, name) + 1)
        return total


def fingerprint(rule: str, subject: Subject, field_path: str, about: str) -> str:
    """What makes a finding the same in two runs."""
    return finding.fingerprint(rule, subject.kind, subject.namespace, subject.name, field_path, about)
