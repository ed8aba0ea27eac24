"""The words of a verdict: one text for kubectl, the command line and the audit trail."""

from __future__ import annotations

from typing import Final

from stateward.policies import times, waiver
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import OWN

HOUR: Final = 3600
WARNING_LENGTH: Final = 120
"""Characters. The API server's own advice (Kubernetes API, admission/v1 `warnings`)."""
WARNING_COUNT: Final = 16


def waive_command(verdict: Verdict, *rules: str, now: float) -> str:
    """The command that waives rules here for an hour. What is waived already, by the same annotation, stays so."""
    until = times.render(now + HOUR)
    asked = [f'{rule} until={until} reason="…"' for rule in rules]
    request = verdict.request
    if request.operation == "CREATE" and request.subresource != "eviction" and request.namespace:
        return f"kubectl annotate namespace/{request.namespace} {waiver.WAIVE}='{'; '.join(asked)}'"
    there = waiver.read(verdict.subject)
    kept = [
        f'{one.rule} until={times.render(one.until)} reason="{one.reason}"'
        for one in there.waivers
        if one.until > now and one.rule not in rules and one.reason.isprintable() and "'" not in one.reason
    ]
    # kubectl refuses to change an annotation that is there, unless it is told to.
    replaced = "--overwrite " if there.waivers or there.problems else ""
    return f"kubectl annotate {kubectl_name(verdict.subject)} {replaced}{waiver.WAIVE}='{'; '.join([*kept, *asked])}'"


def denial(verdict: Verdict, now: float, final: str = "") -> str:
    """The whole message of a refusal. `final`: why no waiver helps, instead of the command that waives."""
    request = verdict.request
    denied = verdict.denied
    rules = list(dict.fromkeys(one.rule for one in denied))
    verb = "eviction" if request.subresource == "eviction" else request.operation
    lines = [f"Stateward refuses this {verb} of {_asked(verdict)}:"]
    for one in denied:
        lines += ["", f"{one.rule} {one.name}", f"  {one.finding.headline}"]
        lines += _indented("why", one.finding.why)
        if one.unknown:
            lines += _indented("note", f"{', '.join(one.unknown)} could not be seen; nothing there could excuse it")
        lines += _indented("do", one.finding.remedy)
        if len(rules) == 1 and one is denied[-1] and not final:
            lines += _indented("or", f"{waive_command(verdict, *rules, now=now)}   (waives this rule here, for an hour)")
    if final:
        lines += ["", f"note: {final}"]
    elif len(rules) > 1:
        lines += ["", f"or {waive_command(verdict, *rules, now=now)}   (waives these rules here, for an hour)"]
    lines += [f"note: {note}" for note in verdict.notes]
    return "\n".join(lines)


def _asked(verdict: Verdict) -> str:
    """What the request names, and (a Secret, a node pool) whose it is. Scales and evictions are of their service."""
    request = verdict.request
    own = f"{request.kind.partition('.')[0]} {request.where}"
    if request.subresource or verdict.about.partition(" ")[0] == own.partition(" ")[0]:
        return verdict.about
    return f"{own} ({verdict.about})"


def _indented(label: str, text: str) -> list[str]:
    if not text:
        return []
    first, *rest = text.split("\n")
    return [f"  {label:<4} {first}", *(f"       {line}" for line in rest)]


def warnings(verdict: Verdict, unknown: bool = False) -> list[str]:
    """The warnings that a client shows, bounded and free of what the API server drops (newlines, control characters).

    `unknown`: also those of rules that could not see what they need.
    """
    if verdict.mode == "audit":
        return []  # nothing is said to callers
    found = [_warning(one) for one in verdict.warned]
    found += verdict.notes
    found += [fault_text(rule, fault) for rule, fault in verdict.faults.items()]
    if unknown:
        kinds = sorted({kind for unseen in verdict.unjudged.values() for kind in unseen})
        if kinds:
            found.append(f"{', '.join(verdict.unjudged)} not judged: {', '.join(kinds)} not known yet")
    cleaned = [clean(text) for text in dict.fromkeys(found)]
    if len(cleaned) > WARNING_COUNT:
        left = len(cleaned) - WARNING_COUNT + 1
        cleaned = [*cleaned[: WARNING_COUNT - 1], f"and {left} more; see the audit log"]
    return cleaned


def _warning(one: Judged) -> str:
    """In mode `warn` a denial says that it would be one. A field that leaves no room for the rest is left out."""
    start = f"{one.rule} {one.name}{' would refuse this' if one.would == 'deny' else ''}: "
    fits = len(start) + len(one.finding.headline) <= WARNING_LENGTH
    return start + (one.finding.headline if fits else one.finding.text)


def fault_text(rule: str, fault: str) -> str:
    """What a fault of a rule is called: of a user's own rule it is the rule's, of any other Stateward's."""
    if rule.startswith(OWN):
        return f"{rule} could not be judged: a fault in this rule of the policy ({fault})"
    return f"{rule} could not be judged: a fault in Stateward ({fault})"


def clean(text: str) -> str:
    """One line of at most 120 characters without control characters."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= WARNING_LENGTH else f"{line[: WARNING_LENGTH - 1]}…"


def audit(verdict: Verdict) -> dict[str, str]:
    """Audit annotations: keys are qualified-name parts, values one line."""
    found: dict[str, str] = {}
    if verdict.judged:
        found["findings"] = ", ".join(_audited(one) for one in verdict.judged)
    waived = [one for one in verdict.judged if one.waiver is not None]
    if waived:
        found["waived"] = "; ".join(
            clean(f"{one.rule} until {one.waiver.until}: {one.waiver.reason}") for one in waived if one.waiver
        )
    if verdict.judged and verdict.mode != "deny":
        found["mode"] = verdict.mode
    if verdict.notes and verdict.mode == "audit":  # elsewhere they are warnings
        found["notes"] = "; ".join(clean(note) for note in verdict.notes)
    if verdict.passed:
        found["passed"] = clean(verdict.passed)
    if verdict.faults:
        found["faults"] = ", ".join(sorted(verdict.faults))
    if verdict.unjudged:
        found["unknown"] = ", ".join(sorted(verdict.unjudged))
    return found


def _audited(one: Judged) -> str:
    return f"{one.rule} {'waived' if one.waiver is not None else f'would {one.would}' if one.would else one.action}"
