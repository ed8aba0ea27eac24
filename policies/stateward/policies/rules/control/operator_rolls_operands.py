"""SW707: a new release of an operator restarts what it runs."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, UPDATES, Move, counted, move, operands
from stateward.policies.rule import rule
from stateward.policies.rules.control.data_plane_left_behind import left_behind
from stateward.policies.rules.control.operator_drops_engine_version import PODS, drops
from stateward.policies.rules.control.operator_skips_releases import broken_step, skipped
from stateward.policies.rules.control.unpinned_engine_follows_operator import followers
from stateward.policies.view import Sight


@rule(
    id="SW707",
    name="operator-rolls-operands",
    summary="A new release of an operator restarts what it runs",
    why="Sidecars, scripts and rendered pods come with the operator: soon after it starts, every cluster of every "
    "namespace is rolled, whatever hour it is.",
    remedy="Choose a window; pause the operands and release them one by one.",
    source="CloudNativePG documentation, Upgrades; cloudnative-pg/cloudnative-pg issue 5950",
    nature="transition",
    action="warn",
    judges=UPDATES,
    about=("version",),
    looks_at=(*OPERANDS, PODS),
)
def operator_rolls_operands(change: Change, see: Sight) -> Iterator[Finding]:
    """Not where another rule says something worse of the same step, nor of what is stopped or paused."""
    step = move(change)
    if step is None or step.downwards or not step.operator.rolls_on(step.new):
        return
    if broken_step(step) is not None or skipped(step) is not None:
        return
    accused = _accused(step, change, see)
    found = [operand for operand in operands(step.after, change, see) if not operand.idle and operand.where not in accused]
    if not found:
        return
    verb = "restarts" if step.operator.rolls == "always" else "may restart"
    yield Finding(
        field=step.after.path,
        text=f"{step.title} {verb} {counted(found)}",
        why=step.operator.rolls_why,
        remedy="apply it in a window in which they may restart"
        + (f"; to hold some back, {step.operator.hold}" if step.operator.hold else ""),
        subject=step.operator.name,
    )


def _accused(step: Move, change: Change, see: Sight) -> set[str]:
    supports = step.operator.supports
    found = {one.operand.where for one in drops(step, change, see)}
    found |= {one.operand.where for one in left_behind(step, change, see)}
    if supports is not None:
        found |= {one.operand.where for one in followers(step, supports, change, see)}
    return found
