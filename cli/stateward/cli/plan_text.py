"""Plans as text for people and as JSON for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import click

from stateward.cli.standing import length
from stateward.operator.plan import Plan, Planned
from stateward.policies import message
from stateward.policies.engine import Verdict
from stateward.policies.paths import render

WIDTH: Final = 110
_LABEL: Final = 9


@dataclass(slots=True)
class Told:
    """What is said of one service."""

    plan: Plan
    verdict: Verdict
    now: float
    notes: list[str] = field(default_factory=list)

    @property
    def possible(self) -> bool:
        """Whether it is let, and can be done to its end."""
        return self.verdict.allowed and self.plan.done


def drawn(told: Told) -> str:
    """The findings of the rules first, then the steps, then how it ends."""
    found = told.plan
    lines = [click.style(found.service, bold=True) + f"   {found.engine}   {_headline(found)}"]
    lines += [line for note in told.notes for line in _wrapped("note", note)]
    if told.verdict.denied:
        denial = message.denial(told.verdict, told.now)
        lines += ["", *(click.style(line, fg="red") if line.startswith("SW") else line for line in denial.splitlines())]
        lines += ["", "nothing of it would be carried out: the operator asks the same rules"]
        return "\n".join(lines)
    warnings = message.warnings(told.verdict)
    lines += [line for text in warnings for line in _wrapped("warning", text, "yellow")] or _wrapped(
        "rules", "none refuses it"
    )
    lines += [line for text in found.objects for line in _wrapped("first", text)]
    lines += ["", *_steps(found)] if found.steps else []
    lines += ["", *_end(found)]
    return "\n".join(lines)


def _headline(found: Plan) -> str:
    if found.creation:
        return "it is made"
    return found.changes or "nothing changes"


def _steps(found: Plan) -> Iterator[str]:
    several = [f"{one.name} {one.member}".strip() for one in found.steps]
    kind, step = max(len(one.kind) for one in found.steps), max(len(text) for text in several)
    number = len(str(len(found.steps)))
    lead = " " * (number + 2 + kind + 2 + step + 2)
    undo = ""
    for place, (one, what) in enumerate(zip(found.steps, several, strict=True), 1):
        if one.waited:
            yield from textwrap.wrap(
                _waits(one), WIDTH, initial_indent=" " * (number + 2), subsequent_indent=" " * (number + 2)
            )
        head = f"{place:>{number}}  {one.kind.ljust(kind)}  {what.ljust(step)}  "
        first, *rest = textwrap.wrap(one.message, WIDTH - len(head)) or [""]
        yield f"{head}{first}".rstrip()
        yield from (lead + line for line in rest)
        yield lead + click.style(_risk(one), fg=_colour(one))
        if one.undo and one.undo != undo:
            undo = one.undo
            yield from (click.style(lead + line, dim=True) for line in textwrap.wrap(f"back? {undo}", WIDTH - len(lead)))


def _waits(one: Planned) -> str:
    begins = one.at.strftime("%a %Y-%m-%d %H:%M UTC")
    return f"waits {length(one.waited.total_seconds())}, until {begins}: {one.reason}"


def _risk(one: Planned) -> str:
    if not one.voters:
        return ""
    without = f" without {', '.join(one.away)}" if one.away else ""
    if one.spare < 0:
        return f"{one.serve} of {one.voters} serve{without}: nothing is served meanwhile"
    more = {0: "none may fail", 1: "one may fail"}.get(one.spare, f"{one.spare} may fail")
    return f"{one.serve} of {one.voters} serve{without}, {more}"


def _colour(one: Planned) -> str:
    return "red" if one.spare < 0 else "yellow" if one.away or one.spare == 0 else "green"


def _end(found: Plan) -> Iterator[str]:
    lowest = found.lowest
    if lowest is not None:
        place = found.steps.index(lowest) + 1
        away = any(one.away for one in found.steps)
        words = f"at its lowest {_risk(lowest)} (step {place})" if away else f"no member goes away: {_risk(lowest)}"
        yield from _wrapped("risk", words, _colour(lowest))
    last = next((place for place, one in enumerate(found.steps, 1) if one.undo.startswith("no")), None)
    if last is not None:
        yield from _wrapped(
            "back", f"there is no way back from step {last} on: {found.steps[last - 1].undo.removeprefix('no: ')}"
        )
    if found.blocked is not None:
        reason, why = found.blocked
        yield from _wrapped("ends", f"it cannot be done: {reason}: {why}", "red")
    elif found.waits:
        yield from _wrapped("ends", f"it waits: {found.waits}", "yellow")
    else:
        nothing = not found.steps and not found.objects
        yield from _wrapped("ends", "nothing has to be done" if nothing else "all is as wanted", "green")


def _wrapped(label: str, text: str, colour: str | None = None) -> list[str]:
    further = " " * _LABEL
    lines = textwrap.wrap(text, WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False) or [""]
    return [
        (click.style(label.ljust(_LABEL), dim=True) if not place else further) + click.style(line, fg=colour)
        for place, line in enumerate(lines)
    ]


# --- for programs --------------------------------------------------------------------------------------------------


def document(told: Told) -> dict[str, Any]:
    """A plan as JSON values."""
    found = told.plan
    denied = bool(told.verdict.denied)
    return {
        "service": found.service,
        "engine": found.engine,
        "creation": found.creation,
        "changes": found.changes,
        "allowed": not denied,
        "possible": told.possible,
        "findings": [
            {
                "rule": one.rule,
                "name": one.name,
                "action": one.action,
                "field": render(one.finding.field),
                "text": one.finding.text,
                "why": one.finding.why,
                "remedy": one.finding.remedy,
            }
            for one in told.verdict.judged
        ],
        "notes": [*told.notes, *told.verdict.notes],
        "first": [] if denied else list(found.objects),
        "steps": [] if denied else [_step(place, one) for place, one in enumerate(found.steps, 1)],
        "blocked": None if found.blocked is None or denied else {"reason": found.blocked[0], "message": found.blocked[1]},
        "waits": None if denied else found.waits or None,
    }


def _step(place: int, one: Planned) -> dict[str, Any]:
    return {
        "number": place,
        "kind": one.kind,
        "step": one.name,
        "member": one.member or None,
        "message": one.message,
        "from": one.change[0] or None,
        "to": one.change[1] or None,
        "waited": int(one.waited.total_seconds()) if one.waited > timedelta() else 0,
        "waitedFor": one.reason or None,
        "away": list(one.away),
        "serve": one.serve,
        "voters": one.voters,
        "spare": one.spare,
        "undo": one.undo or None,
    }
