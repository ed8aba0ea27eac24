"""What a service may ask of an engine: versions, and parameters with their values."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from stateward.operator.drivers.schema import Engine, Parameter


def problems(data: Engine, version: str, parameters: Mapping[str, Any]) -> list[str]:
    """Why this version or these parameters cannot be run."""
    found = []
    oldest = data.versions.removeprefix(">=")
    if not _at_least(version, oldest):
        found.append(f"version {version}: {data.title} {oldest} is the oldest that is run; name that or a later one")
    for name, value in parameters.items():
        known = data.parameters.get(name)
        if known is None:
            several = ", ".join(sorted(data.parameters))
            found.append(f"parameters.{name}: no parameter of {data.title} that can be given; known are {several}")
        elif problem := _problem(known, value):
            found.append(f"parameters.{name}: {problem}")
    return found


def _at_least(version: str, oldest: str) -> bool:
    """By numbers; a version that says less than the floor (`3.4` against 3.4.29) is taken as its latest patch."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("-")[0])]
    wanted = [int(part) for part in oldest.split(".")]
    return bool(numbers) and numbers[: len(wanted)] >= wanted[: len(numbers)]


def _problem(known: Parameter, value: Any) -> str:
    """What is wrong with a parameter's value; "" if nothing is. The value itself is not repeated."""
    if known.type == "boolean":
        return "" if isinstance(value, bool) else "true or false is wanted"
    if known.type == "integer":
        if isinstance(value, bool) or not isinstance(value, int):
            return "a whole number is wanted"
        least = known.minimum if known.minimum is not None else value
        most = known.maximum if known.maximum is not None else value
        return "" if least <= value <= most else f"a number from {known.minimum} to {known.maximum} is wanted"
    if known.type == "choice":
        return "" if value in known.choices else f"one of {', '.join(known.choices)} is wanted"
    if known.type == "text":
        return "" if isinstance(value, str) else "a text is wanted"
    if known.type == "words":
        return _words(value)
    good = isinstance(value, str) and re.fullmatch(known.pattern, value) is not None
    return "" if good else f"a text that matches {known.pattern} is wanted"


def _words(value: Any) -> str:
    try:
        return "" if isinstance(value, str) and shlex.split(value) else "a program and its arguments are wanted"
    except ValueError as error:
        return f"it cannot be split into words: {str(error).lower()}"
