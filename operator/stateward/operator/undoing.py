"""How a step is undone, and which cannot be: for plans, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stateward.operator.step import Step
from stateward.policies import ways
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.version import parse

_KINDS: Final[Mapping[str, str]] = {
    "Create": "yes: delete it; its claims stay",
    "Configure": "yes: set it back, members restart once more",
    "Rollback": "yes: ask for the newer version again",
    "Switchover": "yes: any member may lead",
    "Finalise": "no: older versions do not read the data any more; only a backup leads back",
    "Grow": "no: a volume never shrinks",
    "Replace": "no: what the member had is gone already",
    "Rotate": "no: what was valid before is not any more",
    "Delete": "no: only a backup leads back",
    "Restore": "yes: the new service may be deleted",
}
_STEPS: Final[Mapping[str, str]] = {
    "clear": "no: what is on the old claim is gone",
    "switchover": "yes: any member may lead",
    "stop": "yes, with a new member that starts empty: ask for as many as before",
    "leave": "yes, with a new member that starts empty: ask for as many as before",
}

_CARRYING: Final = frozenset({"look", "chosen", "carry", "carried", "swap", "store"})
"""Steps by which data is carried over to another major: what was there stays as it is."""


def undoing(step: Step, engine: str, members: int, finalises: bool) -> str:
    """How this step is undone; "" where nobody has to ask.

    `members`: how many there were before. `finalises`: whether the data stays that of the older series until it is told
    otherwise (`Driver.finalises`).
    """
    if step.kind == "Upgrade":
        return _upgrade(step, engine, finalises)
    if step.kind == "ScaleUp":
        return _STEPS["clear"] if step.name == "clear" else f"yes: ask for {members} again"
    if step.kind in ("ScaleDown", "Configure") and step.name in _STEPS:
        return _STEPS[step.name]
    return "" if step.kind == "ScaleDown" else _KINDS.get(step.kind, "")


def _upgrade(step: Step, engine: str, finalises: bool) -> str:
    if step.name == "switchover":
        return _STEPS["switchover"]
    if step.name in _CARRYING:
        return f"yes: set version back to {step.change[0]}, as long as no member has led with {step.change[1]}"
    profile, old, new = PROFILES.get(engine), parse(step.change[0]), parse(step.change[1])
    if profile is None or old is None or new is None:
        return ""
    hop = ways.find(profile, old, new, ways.facts_of(None, by_operator=True)).hop
    if hop.one_way:
        return f"no: once a member runs {new.text} only a backup leads back to {old.text}"
    if step.name == "done" and not finalises and profile.series_of(old) != profile.series_of(new):
        return f"no: all members run {new.text}, and take the data over; only a backup leads back to {old.text}"
    return f"yes: set version back to {old.text}, as long as {new.text} is not final"
