"""Values of an engine's answer, by the paths of its folder. What is not there is "", never an error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stateward.operator.drivers.schema import Case, When


def value_at(answer: Any, path: str) -> Any:
    """The value at `header.member_id` or `peerURLs.0`; None if there is none."""
    at = answer
    for step in path.split("."):
        if isinstance(at, dict):
            at = at.get(step)
        elif isinstance(at, list) and step.isdecimal() and int(step) < len(at):
            at = at[int(step)]
        else:
            return None
    return at


def text_at(answer: Any, path: str) -> str:
    """The same as a text: a number as it is written, "" for anything that is neither."""
    value = value_at(answer, path)
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def holds(answer: Any, when: When) -> bool:
    """Whether a condition holds. A missing value equals nothing, not even another missing one."""
    value = value_at(answer, when.path)
    if value is None:
        return False
    other = when.equals if when.same is None else value_at(answer, when.same)
    return type(value) is type(other) and bool(value == other)


def word_of(answer: Any, cases: Sequence[Case]) -> str:
    """The word of the first case that holds; "" if none does."""
    return next((case.word for case in cases if case.when is None or holds(answer, case.when)), "")
