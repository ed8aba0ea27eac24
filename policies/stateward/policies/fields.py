"""Reading a policy's fields: every mistake names field, value, reason and next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class PolicyError(ValueError):
    """A policy that cannot be used. The message names field, value, reason and next step."""


def known(mapping: Mapping[str, Any], where: str, names: Sequence[str]) -> None:
    """Refuses a field that is none of `names`."""
    for name in mapping:
        if name not in names:
            raise PolicyError(f'{where}: unknown field "{name}"; there are {", ".join(names)}')


def choice(mapping: Mapping[str, Any], name: str, choices: Sequence[str], where: str) -> Any:
    """One of `choices`, or None where nothing is written."""
    value = mapping.get(name)
    if value is not None and value not in choices:
        raise PolicyError(f"{where}.{name}: {value!r} is none of {', '.join(choices)}")
    return value


def texts(value: Any, where: str) -> tuple[str, ...]:
    """A list of strings, empty where nothing is written."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise PolicyError(f"{where}: a list of strings is wanted")
    return tuple(value)


def text(mapping: Mapping[str, Any], name: str, where: str, *, needed: bool = False) -> str:
    """A string, "" where nothing is written (an error where it is `needed`)."""
    value = mapping.get(name)
    if value is None and not needed:
        return ""
    if not isinstance(value, str) or not value.strip():
        raise PolicyError(f"{where}.{name}: {'it is missing' if value is None else f'{value!r} is no text'}; write a string")
    return value.strip()


def rows(mapping: Mapping[str, Any], name: str, where: str) -> list[Mapping[str, Any]]:
    """A list of mappings, empty where nothing is written."""
    value = mapping.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, Mapping) for one in value):
        raise PolicyError(f"{where}.{name}: a list of mappings is wanted")
    return value


def off(value: Any) -> Any:
    """YAML 1.1 reads a bare `off` as false."""
    return "off" if value is False else value
