"""Field paths: tuples of keys and indexes, made text only where a person reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Path = tuple[str | int, ...]


def render(path: Sequence[str | int]) -> str:
    """`("spec", "config", "min.insync.replicas", 0)` → `spec.config."min.insync.replicas"[0]`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
            continue
        text = f'"{step}"' if "." in step or "/" in step or not step else step
        parts.append(f".{text}" if parts else text)
    return "".join(parts)


def parse(text: str) -> Path:
    """`spec.plugins.parameters` → its keys; a key with dots or slashes stands in brackets: `metadata.labels[a.b/c]`."""
    steps: list[str | int] = []
    rest = text
    while rest:
        if rest.startswith("["):
            key, closed, rest = rest[1:].partition("]")
            if not closed:
                raise ValueError(f'path "{text}": a bracket is not closed')
            steps.append(key)
            rest = rest.removeprefix(".")
            continue
        end = min((position for position in (rest.find("."), rest.find("[")) if position >= 0), default=len(rest))
        key, rest = rest[:end], rest[end:].removeprefix(".")
        if not key:
            raise ValueError(f'path "{text}": an empty key')
        steps.append(key)
    return tuple(steps)


def differs(one: Any, another: Any) -> bool:
    """Whether two values differ. Deeper nested than Python compares, they count as different: they are judged then."""
    try:
        return bool(one != another)
    except RecursionError:
        return True


def dig(item: Any, path: Sequence[str | int]) -> Any:
    """What stands at a path; None where a step is missing or of another type."""
    try:
        for step in path:
            item = item[step]
    except (KeyError, IndexError, TypeError):
        return None
    return item
