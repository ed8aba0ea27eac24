"""SW704: an operator leaves out releases that its operands should have passed through."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.operators.catalogue import Step
from stateward.policies.operators.move import OPERANDS, UPDATES, Move, counted, engine_versions, move, operands
from stateward.policies.rule import rule
from stateward.policies.view import Sight


@rule(
    id="SW704",
    name="operator-skips-releases",
    summary="An operator leaves out releases under what it runs",
    why="A release carries over what the one before it wrote: names, labels, API versions, the version that runs. One that "
    "comes from further back finds what it does not know, and makes a second set of members or a downgrade of it.",
    remedy="Go from release line to release line, and wait until every operand is ready on each.",
    source="strimzi/strimzi-kafka-operator issue 1397; Percona documentation, Upgrading the Operator and CRD",
    nature="transition",
    action="deny",
    judges=UPDATES,
    about=("version",),
    looks_at=OPERANDS,
)
def operator_skips_releases(change: Change, see: Sight) -> Iterator[Finding]:
    """What the operator's own documentation forbids is refused, what it does not describe warns."""
    step = move(change)
    if step is None:
        return
    known, left = broken_step(step), skipped(step)
    if known is None and left is None:
        return
    found = operands(step.after, change, see)
    if not found:
        return
    over = f"{step.operator.title} goes from {step.old.text} to {step.new.text}"
    if known is not None:
        yield Finding(
            field=step.after.path,
            text=f"{over} over {counted(found)}, which does not work in one step",
            why=known.why,
            remedy=f"go over {', '.join(known.via)} first" if known.via else "migrate the operands by hand first",
            subject=step.operator.name,
            weak=not known.denies,
        )
        return
    between = "into another major release" if not left else f"and leaves out {left} release line{'s' if left > 1 else ''}"
    unproven = _no_common_version(step)
    yield Finding(
        field=step.after.path,
        text=f"{over} {between}, over {counted(found)}",
        why=unproven
        or step.operator.skip_why
        or "nobody tests this jump, and the notes of every release between hold for it",
        remedy="go from release line to release line and wait until all are ready; read the notes of each",
        subject=step.operator.name,
        weak=not unproven and (step.operator.skip != "deny" or not left),
    )


def broken_step(step: Move) -> Step | None:
    """The row of the operator's catalogue that says that this hop does not work."""
    if step.downwards:
        return None
    return next((row for row in step.operator.steps if row.holds(step.old, step.new)), None)


def skipped(step: Move) -> int | None:
    """How many release lines are left out (0: another major); None where that is fine."""
    if step.downwards or step.operator.skip == "ok":
        return None
    return step.operator.skipped(step.old, step.new) or (0 if step.old.parts[0] != step.new.parts[0] else None)


def _no_common_version(step: Move) -> str:
    after = engine_versions(step.after)
    if after is None or step.operator.supports is None:
        return ""
    before = engine_versions(step.before)
    if before is None or before.isdisjoint(after):
        return (
            f"no version of {step.operator.supports.engine} is on the lists of both releases, "
            "so whatever runs now the new release cannot run"
        )
    return ""
