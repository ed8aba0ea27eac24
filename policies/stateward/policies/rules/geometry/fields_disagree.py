"""SW812: two fields of a resource that must say the same."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding, shown
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW812",
    name="fields-disagree",
    summary="Two fields of a resource that must say the same say different things",
    why="The operator follows one of them and waits for the other: it never becomes ready, and later edits are not done.",
    remedy="Take the override out, or write the same value in both places.",
    source="the operators' CRDs; each row of an adapter's `agree` says why",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("pairs",),
)
def fields_disagree(change: Change, see: Sight) -> Iterator[Finding]:
    """The rows of the adapter; a field that is not written agrees with everything."""
    new = change.new
    if new is None:
        return
    for position, pair in enumerate(new.adapter.agree):
        one, other = pair.read(new)
        if one.value is None or other.value is None or one.value == other.value:
            continue
        yield Finding(
            field=other.path,
            text=f"{shown(other.value)} here, {shown(one.value)} in {'.'.join(map(str, one.path))}: {pair.what}",
            why=pair.why,
            remedy=pair.do,
            subject=f"{position}: {one.value} {other.value}",
        )
