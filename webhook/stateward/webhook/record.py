"""What becomes of a verdict once its answer is sent: a decision that is kept, and an Event on the object."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from stateward.kube.events import About, Happening
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged
from stateward.policies.wording import text
from stateward.webhook.decisions import Decisions
from stateward.webhook.logs import frames, line

_log = logging.getLogger("stateward.webhook")


class Teller(Protocol):
    """What is needed of `stateward.kube.events.Events`."""

    def tell(self, happening: Happening) -> None:
        """Takes one; returns at once."""
        ...


class Record:
    """The `decided` of an Admission. `only_refusals`: of what `/mutate` lets pass `/validate` says the rest."""

    def __init__(
        self,
        decisions: Decisions,
        events: Teller | None = None,
        *,
        clock: Callable[[], float] = time.time,
        only_refusals: bool = False,
    ) -> None:
        self._decisions = decisions
        self._events = events
        self._clock = clock
        self._only_refusals = only_refusals

    def __call__(self, verdict: Verdict, seconds: float) -> None:
        """A verdict was answered after `seconds`."""
        try:
            self._take(verdict, seconds)
        except Exception as fault:  # noqa: BLE001,RUF100 - the answer is sent; what is kept of it is worth no connection
            _log.error("%s\n%s", line("not-recorded", uid=verdict.request.uid, error=type(fault).__name__), frames(fault))

    def _take(self, verdict: Verdict, seconds: float) -> None:
        if self._only_refusals and verdict.allowed and not verdict.faults:
            return
        self._decisions.add(verdict, seconds)
        if self._events is not None and not verdict.request.dry_run:
            for one in verdict.judged:
                reason = _reason(one)
                if reason:
                    self._events.tell(_happening(verdict, one, reason, self._clock()))


def _reason(one: Judged) -> str:
    """Why there is an Event, "" where there is none: in mode `audit` nobody but the audit trail hears of it."""
    if one.action == "deny":
        return "EditRefused"
    return "EditWouldBeRefused" if one.action == "warn" and one.would == "deny" else ""


def _happening(verdict: Verdict, one: Judged, reason: str, now: float) -> Happening:
    request = verdict.request
    about = About.of(verdict.subject or request.subject, "" if request.kind == "Namespace" else request.namespace)
    who = f" by {request.user.name}" if request.user.name else ""
    what = f"{request.operation.lower()} of {request.subresource}" if request.subresource else request.operation.lower()
    does = "refuses" if one.action == "deny" else "would refuse"
    message = f"{one.rule} {one.name} {does} this {what}{who}: {one.finding.headline}"
    if one.finding.remedy:
        message = f"{message}. Instead: {one.finding.remedy}"
    return Happening(about, one.rule, reason, " ".join(text(message).split()), now)
