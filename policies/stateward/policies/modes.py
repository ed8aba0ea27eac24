"""Modes: whether a denial refuses, only warns, or is only told. Of the policy, and of a namespace by its label.

    kubectl label namespace shop stateward.dev/mode=deny

The label is read from the namespace as it was before the request: no edit lets itself pass. A finding that a mode makes
less of keeps what it would have been, so that counts of what would have been refused are exact.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, cast

from stateward.policies.finding import Judged
from stateward.policies.request import Request
from stateward.policies.view import UNKNOWN, Object, View, mapping_of, metadata_of

Mode = Literal["deny", "warn", "audit"]

LABEL: Final = "stateward.dev/mode"
MODES: Final = ("deny", "warn", "audit")


def namespace_of(request: Request, view: View) -> Object | None:
    """The namespace that a request is in (of a Namespace's request itself) as it was; None where none is known."""
    if request.kind == "Namespace":
        return request.old
    if not request.namespace:
        return None
    found = view.get("Namespace", "", request.namespace)
    return None if found is UNKNOWN else found


def read(namespace: Object | None, otherwise: Mode) -> tuple[Mode, str]:
    """(the mode in a namespace, what is wrong with its label). `otherwise`: the policy's, where no label says another."""
    if namespace is None:
        return otherwise, ""
    metadata = metadata_of(namespace)
    value = mapping_of(metadata, "labels").get(LABEL)
    if value is None:
        return otherwise, ""
    if value not in MODES:
        text = value[:63] if isinstance(value, str) else type(value).__name__
        problem = f'{LABEL}: "{text}" on namespace {metadata.get("name")} is none of {", ".join(MODES)}'
        return otherwise, f"{problem}; the policy's holds, {otherwise}"
    return cast("Mode", value), ""


def soften(judged: Iterable[Judged], mode: Mode) -> None:
    """Makes of findings what a mode makes of them: in `warn` a denial warns, in `audit` nothing is said to the caller."""
    if mode == "deny":
        return
    for one in judged:
        if one.action == "deny" or (one.action == "warn" and mode == "audit"):
            one.would = one.action
            one.action = mode
