"""A folder whose holes a service's parameters fill: an engine that a user describes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any, Final

_HOLE: Final = re.compile(r"\{parameters\.([a-z][a-z0-9-]*)\}")
LATER: Final = ("files", "secret_files", "parameters")
"""What is not filled here: files are templates, and what a user wrote into one must not be read as one."""


def values_of(data: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Every parameter of a folder → what it is for this service: given, else its default, else None."""
    found: dict[str, Any] = {}
    for name, known in (data.get("parameters") or {}).items():
        value = given.get(name, known.get("default"))
        found[name] = shlex.split(value) if known.get("type") == "words" and isinstance(value, str) else value
    return found


def has_holes(data: Mapping[str, Any]) -> bool:
    """Whether a folder leaves anything open outside of its files."""
    return _HOLE.search(repr({name: value for name, value in data.items() if name not in LATER})) is not None


def filled(data: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The folder's content without holes. A key whose hole stays empty is left out, and its default holds."""
    return {name: value if name in LATER else _fill(value, values) for name, value in data.items()}


def _fill(part: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(part, str):
        whole = _HOLE.fullmatch(part)
        return values.get(whole[1], part) if whole is not None else part
    if isinstance(part, list):
        return [_fill(one, values) for one in part]
    if isinstance(part, dict):
        made = {name: _fill(value, values) for name, value in part.items()}
        return {name: value for name, value in made.items() if value is not None}
    return part
