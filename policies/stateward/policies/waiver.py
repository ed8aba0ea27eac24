"""Waivers: `stateward.dev/waive` on an object lets a named rule pass there, for a stated reason, until a stated time.

    stateward.dev/waive: 'SW302 until=2026-11-21T13:00:00Z reason="migrating, ticket 4711"'

Several are separated by `;`. A waiver that cannot be read waives nothing and is reported; it is never ignored silently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from stateward.policies import times
from stateward.policies.view import Object, mapping_of, metadata_of

WAIVE: Final = "stateward.dev/waive"
CONFIRM_DELETE: Final = "stateward.dev/confirm-delete"
DISPOSABLE: Final = "stateward.dev/disposable"

_ONE: Final = re.compile(
    r"\s*(?P<rule>[A-Za-z0-9-]+)"
    r"(?:\s+until=(?P<until>[^\s;\"]+))?"
    r"(?:\s+reason=(?:\"(?P<reason>[^\"]*)\"|(?P<word>[^\s;\"]+)))?"
    r"(?:\s+until=(?P<until2>[^\s;\"]+))?\s*(?:;|$)"
)
LONGEST: Final = 90 * 86400
"""Seconds. A waiver that outlives a quarter is a policy; write it as one."""


@dataclass(frozen=True, slots=True)
class Waiver:
    """One readable waiver."""

    rule: str
    until: float
    reason: str


@dataclass(frozen=True, slots=True)
class Waivers:
    """What an annotation says: what is waived, and what could not be read."""

    waivers: tuple[Waiver, ...] = ()
    problems: tuple[str, ...] = ()

    def find(self, rule: str, name: str, now: float) -> Waiver | None:
        """The waiver of a rule that holds now."""
        for waiver in self.waivers:
            if waiver.rule in (rule, name) and now < waiver.until <= now + LONGEST:
                return waiver
        return None

    def stale(self, rule: str, name: str, now: float) -> str | None:
        """Why a waiver of this rule does not hold, None where there is none."""
        for waiver in self.waivers:
            if waiver.rule in (rule, name):
                if waiver.until <= now:
                    return f"its waiver ended at {times.render(waiver.until)}"
                if waiver.until > now + LONGEST:
                    return f"its waiver runs until {times.render(waiver.until)}, longer than 90 days, and does not hold"
        return None


NONE: Final = Waivers()


def read(item: Object | None) -> Waivers:
    """The waivers on an object."""
    if item is None:
        return NONE
    annotations = mapping_of(metadata_of(item), "annotations")
    text = annotations.get(WAIVE)
    return parse(text) if isinstance(text, str) else NONE


def parse(text: str) -> Waivers:
    """The waivers of an annotation's text."""
    waivers: list[Waiver] = []
    problems: list[str] = []
    position = 0
    while position < len(text):
        match = _ONE.match(text, position)
        if match is None or match.end() == position:
            problems.append(
                f'{WAIVE}: "{text[position : position + 60]}" cannot be read; '
                'write: SW302 until=2026-11-21T13:00:00Z reason="…"'
            )
            break
        position = match.end()
        rule = match["rule"]
        until_text = match["until"] or match["until2"]
        until = times.parse(until_text)
        reason = (match["reason"] if match["reason"] is not None else match["word"]) or ""
        if until is None:
            problems.append(
                f"{WAIVE}: {rule} has {'no end' if not until_text else f'the end {until_text!r}, which is no time'}; "
                "add until=2026-11-21T13:00:00Z"
            )
        elif not reason.strip():
            problems.append(f'{WAIVE}: {rule} has no reason; add reason="…"')
        else:
            # An id in any case; names are lower-case words.
            waivers.append(
                Waiver(rule.upper() if rule[:2].upper() == "SW" and rule[2:].isdigit() else rule, until, reason.strip())
            )
    return Waivers(tuple(waivers), tuple(problems))
