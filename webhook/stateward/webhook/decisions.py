"""The decisions of this process that said something: kept for a while, bounded, and counted exactly.

Everything here is called on the event loop's thread: no locks. Nothing is kept of an object but its name, and of a
finding but its words, which name fields and no secret's value.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from stateward.policies import times
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged
from stateward.policies.message import fault_text
from stateward.policies.view import Kind, kind_of_object, metadata_of, text_of
from stateward.policies.wording import text

Outcome = Literal["denied", "wouldBeDenied", "warned", "waived", "audited", "fault"]
OUTCOMES: Final[tuple[Outcome, ...]] = ("denied", "wouldBeDenied", "warned", "waived", "audited", "fault")

PER_NAMESPACE: Final = 100
NAMESPACES: Final = 100
"""The namespaces that were heard of last; the decisions of any other go first, whoever is noisy."""
COUNTED: Final = 2_000
"""Namespaces that are counted apart; what comes then is counted as `OTHER`."""
OTHER: Final = "(other)"
_TEXT: Final = 400
_NAME: Final = 253
"""Characters: the longest name of a Kubernetes object."""
_FINDINGS: Final = 8


@dataclass(frozen=True, slots=True)
class Named:
    """An object by its name."""

    kind: Kind
    namespace: str
    name: str

    def document(self) -> dict[str, str]:
        """As JSON values."""
        return {"kind": self.kind, "namespace": self.namespace, "name": self.name}


@dataclass(slots=True)
class Decision:
    """One decision, or as many in a row as were the same: `count` of them, the first at `first`, the last at `last`."""

    outcome: Outcome
    object: Named
    """What the request names."""
    about: Named
    """What was judged: of a scale the parent, of a Secret the service that reads it."""
    title: str
    """`Kafka prod/events`."""
    operation: str
    subresource: str
    user: str
    mode: str
    dry_run: bool
    findings: tuple[dict[str, str], ...]
    notes: tuple[str, ...]
    first: float
    last: float
    uid: str
    seconds: float
    count: int = 1

    def concerns(self, namespace: str | None, name: str | None, kind: str | None) -> bool:
        """Whether it is about such an object; None is any. `kind` with its group or without, in any case."""
        for one in (self.object, self.about):
            if (namespace is None or one.namespace == namespace) and (name is None or one.name == name):
                known = one.kind.lower()
                if kind is None or kind.lower() in (known, known.partition(".")[0]):
                    return True
        return False

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "time": times.render(self.last),
            "first": times.render(self.first),
            "count": self.count,
            "outcome": self.outcome,
            "mode": self.mode,
            "operation": self.operation,
            "subresource": self.subresource,
            "object": self.object.document(),
            "about": {**self.about.document(), "title": self.title},
            "user": self.user,
            "dryRun": self.dry_run,
            "findings": list(self.findings),
            "notes": list(self.notes),
            "uid": self.uid,
            "seconds": round(self.seconds, 6),
        }


@dataclass(slots=True)
class Counts:
    """How many requests, and how many findings of each rule, by namespace. Dry runs do not count: nothing came of them."""

    requests: dict[str, dict[str, int]] = field(default_factory=dict)
    """Namespace → outcome → requests."""
    findings: dict[tuple[str, str, str], dict[str, int]] = field(default_factory=dict)
    """(namespace, rule, name) → outcome → findings."""

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "requests": [{"namespace": namespace, **row} for namespace, row in sorted(self.requests.items())],
            "findings": [
                {"namespace": namespace, "rule": rule, "name": name, **row}
                for (namespace, rule, name), row in sorted(self.findings.items())
            ],
        }


Key = tuple[object, ...]


class Decisions:
    """What was decided, the newest last. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        *,
        per_namespace: int = PER_NAMESPACE,
        namespaces: int = NAMESPACES,
        counted: int = COUNTED,
    ) -> None:
        self._clock = clock
        self._per_namespace = per_namespace
        self._namespaces = namespaces
        self._counted = counted
        self._kept: OrderedDict[str, OrderedDict[Key, Decision]] = OrderedDict()
        self.since = clock()
        self.counts = Counts()
        self.dropped = 0
        """Decisions that are no longer kept."""

    def __len__(self) -> int:
        return sum(map(len, self._kept.values()))

    def add(self, verdict: Verdict, seconds: float) -> None:
        """A verdict with findings, notes or faults was answered."""
        decision = _decision(verdict, self._clock(), seconds)
        if not decision.dry_run:
            self._count(verdict, decision)
        namespace = decision.object.namespace
        kept = self._kept.get(namespace)
        if kept is None:
            kept = self._kept[namespace] = OrderedDict()
            if len(self._kept) > self._namespaces:
                self.dropped += len(self._kept.popitem(last=False)[1])
        self._kept.move_to_end(namespace)
        key = _key(decision)
        known = kept.pop(key, None)
        if known is not None:
            # A controller that tries again and again must not push out what others did.
            decision.first, decision.count = known.first, known.count + 1
        kept[key] = decision
        if len(kept) > self._per_namespace:
            kept.popitem(last=False)
            self.dropped += 1

    def find(
        self,
        namespace: str | None = None,
        name: str | None = None,
        kind: str | None = None,
        outcome: Outcome | None = None,
        limit: int = 100,
    ) -> list[Decision]:
        """Those that are asked for, the newest first, `limit` at most."""
        found = [one for one in self._all() if (outcome is None or one.outcome == outcome)]
        found = [one for one in found if one.concerns(namespace, name, kind)]
        found.sort(key=lambda one: one.last, reverse=True)
        return found[:limit]

    def _all(self) -> Iterator[Decision]:
        for kept in self._kept.values():
            yield from kept.values()

    def _count(self, verdict: Verdict, decision: Decision) -> None:
        namespace = decision.object.namespace
        if namespace not in self.counts.requests and len(self.counts.requests) >= self._counted:
            namespace = OTHER
        row = self.counts.requests.setdefault(namespace, {})
        row[decision.outcome] = row.get(decision.outcome, 0) + 1
        for one in verdict.judged:
            found = self.counts.findings.setdefault((namespace, one.rule, one.name), {})
            outcome = _outcome_of(one)
            found[outcome] = found.get(outcome, 0) + 1


def outcome_of(verdict: Verdict) -> Outcome:
    """What came of a verdict: the gravest thing that is in it."""
    found = {_outcome_of(one) for one in verdict.judged}
    for outcome in OUTCOMES[:3]:
        if outcome in found:
            return outcome
    if verdict.faults:
        return "fault"
    return "waived" if "waived" in found else "audited"


def _outcome_of(one: Judged) -> Outcome:
    if one.waiver is not None:
        return "waived"
    if one.would == "deny":
        return "wouldBeDenied"
    if one.action == "deny":
        return "denied"
    return "warned" if one.action == "warn" else "audited"


def _decision(verdict: Verdict, now: float, seconds: float) -> Decision:
    request = verdict.request
    named = Named(request.kind[:_NAME], request.namespace[:_NAME], request.name[:_NAME])
    metadata = metadata_of(verdict.subject)
    about = named
    if verdict.subject:
        about = Named(
            kind_of_object(verdict.subject)[:_NAME],
            text_of(metadata, "namespace")[:_NAME] or named.namespace,
            text_of(metadata, "name")[:_NAME] or named.name,
        )
    # The gravest first: the others may not be kept.
    judged = sorted(verdict.judged, key=lambda one: OUTCOMES.index(_outcome_of(one)))
    return Decision(
        outcome=outcome_of(verdict),
        object=named,
        about=about,
        title=_short(verdict.about),
        operation=request.operation,
        subresource=request.subresource[:_NAME],
        user=request.user.name[:_NAME],
        mode=verdict.mode,
        dry_run=request.dry_run,
        findings=tuple(_finding(one) for one in judged[:_FINDINGS])
        + tuple(_fault(rule, fault) for rule, fault in list(verdict.faults.items())[:_FINDINGS]),
        notes=tuple(_short(note) for note in verdict.notes[:_FINDINGS]),
        first=now,
        last=now,
        uid=request.uid[:_NAME],
        seconds=seconds,
    )


def _finding(one: Judged) -> dict[str, str]:
    return {
        "rule": one.rule,
        "name": one.name,
        "outcome": _outcome_of(one),
        "message": _short(one.finding.headline),
        "why": _short(one.finding.why),
        "remedy": _short(one.finding.remedy),
        "waiver": _short(f"until {one.waiver.until}: {one.waiver.reason}") if one.waiver is not None else "",
    }


def _fault(rule: str, fault: str) -> dict[str, str]:
    message = _short(fault_text(rule, fault))
    return {"rule": rule, "name": "", "outcome": "fault", "message": message, "why": "", "remedy": "", "waiver": ""}


def _short(words: str) -> str:
    words = text(words)
    return words if len(words) <= _TEXT else f"{words[: _TEXT - 1]}…"


def _key(one: Decision) -> Key:
    """What makes two decisions the same."""
    said = tuple((row["rule"], row["outcome"], row["message"]) for row in one.findings)
    return (one.object, one.about, one.operation, one.subresource, one.user, one.outcome, one.mode, one.dry_run, said)
