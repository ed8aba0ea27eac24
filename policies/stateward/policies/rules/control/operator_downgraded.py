"""SW703: an operator goes back to an older release while what it runs stays."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, UPDATES, counted, move, operands
from stateward.policies.rule import rule
from stateward.policies.view import Sight


@rule(
    id="SW703",
    name="operator-downgraded",
    summary="An operator goes back to an older release under what it runs",
    why="The older release does not know what the newer one wrote: fields of the custom resources, formats of status and "
    "Secrets, engine versions. It acts on the rest.",
    remedy="Repair forward with a patch release. Where there is no other way, take backups and pause the operands first.",
    source="Strimzi documentation, Downgrading Strimzi",
    nature="transition",
    action="warn",
    judges=UPDATES,
    about=("version",),
    looks_at=OPERANDS,
)
def operator_downgraded(change: Change, see: Sight) -> Iterator[Finding]:
    """Any step down, with operands that exist: a stopped one too is read by the older release."""
    step = move(change)
    if step is None or not step.downwards:
        return
    found = operands(step.after, change, see)
    if found:
        yield Finding(
            field=step.after.path,
            text=f"{step.operator.title} goes back from {step.old.text} to {step.new.text} over {counted(found)}",
            why="the older release does not know what the newer one wrote into resources and status, and acts on the rest",
            remedy="repair forward with a patch release; else take backups and pause the operands before going back",
            subject=step.operator.name,
        )
