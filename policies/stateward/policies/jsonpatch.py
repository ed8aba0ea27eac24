"""JSON patches (RFC 6902) that fill in what is absent. Each step is sure to apply to the object that it was made for.

A patch that does not apply fails the user's request even where failurePolicy is Ignore, so a value is added at the first
key on its path that is missing, with everything below it in one piece: no step needs another's parent but one that an
earlier step made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stateward.policies.view import Object

Operation = dict[str, Any]


def pointer(path: Sequence[str]) -> str:
    """A JSON pointer (RFC 6901): `("a/b", "c~d")` → `/a~1b/c~0d`."""
    return "".join("/" + key.replace("~", "~0").replace("/", "~1") for key in path)


def added(item: Object, path: tuple[str, ...], value: Any) -> tuple[Operation, Object] | None:
    """(the step that puts a value where nothing stands, the object as it is then); None where it cannot be put there.

    Null counts as nothing. Something else there, or no mapping on the way, is left as it is. Only the mappings on the
    way are copied.
    """
    copy = dict(item)
    holder = copy
    for depth, key in enumerate(path):
        inner = holder.get(key)
        if inner is None:
            whole = value
            for below in reversed(path[depth + 1 :]):
                whole = {below: whole}
            holder[key] = whole
            return {"op": "add", "path": pointer(path[: depth + 1]), "value": whole}, copy
        if type(inner) is not dict:
            return None
        holder[key] = holder = dict(inner)
    return None
