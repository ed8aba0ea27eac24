"""SW310: two fields that must not change in one edit."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding, shown
from stateward.policies.paths import render
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW310",
    name="changed-together",
    summary="Two fields change in one edit that have to change one after the other",
    why="The operator carries out both at once: it restarts what protects each other together, or starts the second step "
    "while the first still rolls.",
    remedy="Make two edits, and wait between them until all members are ready.",
    source="the operators' documentation; each row of an adapter's `apart` says why",
    nature="transition",
    judges=services("UPDATE"),
    about=("pairs",),
)
def changed_together(change: Change, see: Sight) -> Iterator[Finding]:
    """The rows of the adapter."""
    old, new = change.old, change.new
    if old is None or new is None or old.adapter is not new.adapter or old.members == 0:
        return
    for position, pair in enumerate(new.adapter.apart):
        before, after = pair.read(old), pair.read(new)
        if any(was.value == now.value for was, now in zip(before, after, strict=True)):
            continue
        yield Finding(
            field=after[1].path,
            text=f"{shown(after[1].value)} comes together with a change of {render(after[0].path)}: {pair.what}",
            why=pair.why,
            remedy=pair.do,
            subject=str(position),
        )
