"""Waivers: `stateward.dev/waive` on an object lets a named rule pass there, for a stated reason, until a stated time.

    stateward.dev/waive: 'SW302 until=2026-11-21T13:00:00Z reason="migrating, ticket 4711"'

Several are separated by `;`. The same as an object of its own, in the namespace of what it is about:

    apiVersion: stateward.dev/v1alpha1
    kind: WardWaiver
    metadata: {name: move-events, namespace: prod}
    spec:
      rules: [SW302]
      target: {kind: Kafka, name: events}      # or selector: {kind: Kafka, matchLabels: {team: shop}}
      until: 2026-11-21T13:00:00Z
      reason: migrating, ticket 4711

A waiver that cannot be read waives nothing and is reported; it is never ignored silently.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from stateward.policies import times
from stateward.policies.structs import dataclass
from stateward.policies.view import Kind, Object, kind_of_object, mapping_of, metadata_of, text_of, texts_of

WAIVE: Final = "stateward.dev/waive"
CONFIRM_DELETE: Final = "stateward.dev/confirm-delete"
DISPOSABLE: Final = "stateward.dev/disposable"
KIND: Final[Kind] = "WardWaiver.stateward.dev"

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
    """What an annotation or a WardWaiver says: what is waived, and what could not be read."""

    waivers: tuple[Waiver, ...] = ()
    problems: tuple[str, ...] = ()
    source: str = WAIVE
    """What says it, for messages."""

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
            waivers.append(Waiver(_rule(rule), until, reason.strip()))
    return Waivers(tuple(waivers), tuple(problems))


def _rule(text: str) -> str:
    return text.upper() if text[:2].upper() == "SW" and text[2:].isdigit() else text


_FIELDS: Final = ("rules", "target", "selector", "until", "reason")


def granted(item: Object, subjects: Iterable[Object]) -> Waivers:
    """What a WardWaiver waives of what a request is about: nothing where it is about something else."""
    metadata = metadata_of(item)
    source = f"WardWaiver {text_of(metadata, 'namespace')}/{text_of(metadata, 'name')}"
    spec = mapping_of(item, "spec")
    problem = _mistargeted(spec)
    if problem:
        return Waivers((), (f"{source}: {problem}",), source)
    if not any(_aims(spec, subject) for subject in subjects):
        return NONE
    rules, reason = texts_of(spec, "rules"), text_of(spec, "reason").strip()
    until = times.parse(spec.get("until"))
    stray = next((name for name in spec if name not in _FIELDS), None)
    if stray is not None:
        problem = f'spec: unknown field "{stray}"; there are {", ".join(_FIELDS)}'
    elif not rules:
        problem = "spec.rules: no rule is named; write [SW302]"
    elif until is None:
        said = "it is missing" if "until" not in spec else "it is no time"
        problem = f"spec.until: {said}; write one such as 2026-11-21T13:00:00Z"
    elif not reason:
        problem = "spec.reason: it is missing; say why"
    if problem or until is None:
        return Waivers((), (f"{source}: {problem}",), source)
    return Waivers(tuple(Waiver(_rule(rule), until, reason) for rule in rules), (), source)


def _mistargeted(spec: Mapping[str, Any]) -> str:
    """Why a WardWaiver is about nothing at all, "" where it is about something."""
    target, selector = mapping_of(spec, "target"), mapping_of(spec, "selector")
    if ("target" in spec) == ("selector" in spec):
        return "spec: either target or selector is wanted; write target: {kind: StatefulSet, name: orders}"
    if "target" in spec and not (text_of(target, "kind") and text_of(target, "name")):
        return "spec.target: kind and name are wanted; write {kind: StatefulSet, name: orders}"
    if "selector" in spec and not mapping_of(selector, "matchLabels"):
        return "spec.selector.matchLabels: no label is named; for everything in a namespace write a policy"
    return ""


def _aims(spec: Mapping[str, Any], subject: Object) -> bool:
    aim = mapping_of(spec, "target" if "target" in spec else "selector")
    kind = aim.get("kind")
    if kind is not None and kind not in (kind_of_object(subject), kind_of_object(subject).partition(".")[0]):
        return False
    metadata = metadata_of(subject)
    if "target" in spec:
        return metadata.get("name") == aim.get("name")
    labels = mapping_of(metadata, "labels")
    return all(labels.get(key) == value for key, value in mapping_of(aim, "matchLabels").items())
