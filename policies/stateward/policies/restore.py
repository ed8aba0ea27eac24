"""Ready patches that put back what was there."""

from __future__ import annotations

from stateward.policies.finding import REMOVE, SetField
from stateward.policies.model import Field, Volume
from stateward.policies.paths import Path, dig


def restored(was: Volume, now: Volume, before: Field, after: Field) -> tuple[SetField, ...]:
    """The patch that gives a field of a volume its value of before; empty where it is no plain value of the object."""
    old, new = dig(was.on, before.path), dig(now.on, after.path)
    if old is None:
        return (SetField(after.path, REMOVE),) if new is not None else ()
    if type(old) not in (str, int, float, bool):
        return ()
    return (SetField(after.path if new is not None else _moved(before.path, was.path, now.path), old),)


def _moved(path: Path, was: Path, now: Path) -> Path:
    """The same place below a volume that stands elsewhere now: lists are reordered."""
    return (*now, *path[len(was) :]) if path[: len(was)] == was else path
