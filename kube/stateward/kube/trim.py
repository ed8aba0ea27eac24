"""Trimming: what is kept of an object in memory. A cluster's pods are hundreds of megabytes; what rules read is little."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Union

from stateward.policies import paths
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.paths import Path
from stateward.policies.view import Kind, Object

SECRET: Final = "Secret"  # noqa: S105 - the kind
LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_SECRET_DATA: Final = frozenset({"data", "stringData"})
_ALWAYS: Final = frozenset({"apiVersion", "kind", "metadata"})
_BOOKKEEPING: Final = frozenset({"managedFields", "selfLink"})  # resourceVersion tells a write from what was seen
"""Of metadata: what changes with each write, or is a third of the object, and tells nothing of it."""

Tree = dict[str, Union["Tree", None]]
"""Keys to keep; None: everything below."""


def trimmer(kind: Kind, prefixes: Iterable[str] | None) -> Callable[[Object], Object]:
    """Object → its trimmed copy (leaves are shared, the object given stays as it is).

    `prefixes` are dotted fields (a key with dots in brackets: `data[my.cnf]`), applied to every item of a list on the
    way; None keeps all. metadata is always kept, without its bookkeeping and the last-applied annotation. The data of a
    Secret never is.
    """
    if prefixes is None:
        tree: Tree | None = None
    else:
        tree = _tree(paths.parse(prefix) for prefix in prefixes)
    secret = kind == SECRET

    def trim(item: Object) -> Object:
        kept: Object = {}
        for key, value in item.items():
            if key == "metadata":
                kept[key] = _metadata(value)
            elif secret and key in _SECRET_DATA:
                continue
            elif tree is None or key in _ALWAYS:
                kept[key] = value
            elif key in tree:
                below = tree[key]
                kept[key] = value if below is None else _cut(value, below)
        return kept

    return trim


def shaped(adapter: Adapter) -> Callable[[Object], Object]:
    """The same for a kind that nobody declares and that is judged by its shape: `spec` only of what keeps data."""

    def trim(item: Object) -> Object:
        kept: Object = {key: item[key] for key in _ALWAYS if key in item}
        if "metadata" in kept:
            kept["metadata"] = _metadata(kept["metadata"])
        if "spec" in item and adapter.applies(item):
            kept["spec"] = item["spec"]
        return kept

    return trim


def normalised(kind: Kind, prefixes: Iterable[str]) -> frozenset[str]:
    """The same fields said shortest: none below another, none of metadata (always kept), none of a Secret's data."""
    parsed = {paths.parse(prefix): prefix for prefix in prefixes}
    dropped = {"metadata"} | (_SECRET_DATA if kind == SECRET else frozenset())
    return frozenset(
        prefix
        for steps, prefix in parsed.items()
        if steps and steps[0] not in dropped and not any(steps[:end] in parsed for end in range(1, len(steps)))
    )


def _tree(prefixes: Iterable[Path]) -> Tree:
    root: Tree = {}
    for steps in sorted(prefixes, key=len):
        at = root
        for step in steps[:-1]:
            below = at.setdefault(str(step), {})
            if below is None:
                break
            at = below
        else:
            if steps:
                at.setdefault(str(steps[-1]), None)
    return root


def _cut(value: Any, tree: Tree) -> Any:
    if type(value) is list:
        return [_cut(one, tree) for one in value]
    if type(value) is not dict:
        return value  # not the shape that was declared: whoever reads it shall see that
    kept = {}
    for key, below in tree.items():
        if key in value:
            kept[key] = value[key] if below is None else _cut(value[key], below)
    return kept


def _metadata(metadata: Any) -> Any:
    if type(metadata) is not dict:
        return metadata
    kept = {key: value for key, value in metadata.items() if key not in _BOOKKEEPING}
    annotations = kept.get("annotations")
    if isinstance(annotations, Mapping) and LAST_APPLIED in annotations:
        kept["annotations"] = {key: value for key, value in annotations.items() if key != LAST_APPLIED}
    return kept
