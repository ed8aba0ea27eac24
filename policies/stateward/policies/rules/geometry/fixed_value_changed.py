"""SW810: a value that was decided when the service was created."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW810",
    name="fixed-value-changed",
    summary="A value that is decided when the service is created is changed",
    why="Names, layouts and modes are written to every disk and into the cluster's own records at the first start. A "
    "running service does not take another: members refuse to start or found a cluster of their own.",
    remedy="Take the old value back. For another one build a second service beside it and move the data.",
    source="the operators' CRDs and documentation; each row of an adapter's `fixed` says why",
    nature="transition",
    judges=services("UPDATE"),
    about=("fixed",),
)
def fixed_value_changed(change: Change, see: Sight) -> Iterator[Finding]:
    """The rows of the adapter. What may be set once passes while it was not set."""
    old, new = change.old, change.new
    if old is None or new is None or old.adapter is not new.adapter:
        return
    for key, before in old.fixed.items():
        after = new.fixed.get(key)
        if after is None and before.may_go:
            continue
        value = after.value if after is not None else None
        if value == before.value or (before.once_set and before.value is None):
            continue
        yield Finding(
            field=after.path if after is not None else before.path,
            text=f"{before.what} cannot change: {_shown(before.value)} was set when the service was created"
            + ("" if value is None else f", {_shown(value)} is asked now"),
            why=before.why,
            remedy=f"take {_shown(before.value)} back; for another value build a second service and move the data",
            subject=key,
        )


def _shown(value: object) -> str:
    """A short value as it stands; what is large is only named."""
    if value is None:
        return "no value"
    if isinstance(value, str | int | float) and len(str(value)) <= 60:
        return f'"{value}"' if isinstance(value, str) else str(value).lower()
    return "the old value" if not isinstance(value, list) else f"a list of {len(value)}"
