"""SW706: an engine whose version nobody wrote down moves with its operator."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import version
from stateward.policies.change import Change
from stateward.policies.engines.profile import Hop, judge
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.finding import Finding
from stateward.policies.operators.catalogue import Supports
from stateward.policies.operators.move import OPERANDS, UPDATES, Manager, Move, Operand, engine_versions, move, operands
from stateward.policies.rule import rule
from stateward.policies.rules.control.operator_drops_engine_version import PODS, running_version
from stateward.policies.structs import dataclass
from stateward.policies.version import Version
from stateward.policies.view import Sight


@rule(
    id="SW706",
    name="unpinned-engine-follows-operator",
    summary="A new operator brings its own engine version to operands that name none",
    why="An operand without a version runs what its operator takes for the default. A new operator then upgrades, or "
    "downgrades, the engine in the same step, unplanned and without a backup.",
    remedy="Write the version that runs into the operand first, then change the operator, then raise the version.",
    source="Strimzi documentation, spec.kafka.version; strimzi/strimzi-kafka-operator issue 2426",
    nature="transition",
    judges=UPDATES,
    about=("version",),
    looks_at=(*OPERANDS, PODS),
)
def unpinned_engine_follows_operator(change: Change, see: Sight) -> Iterator[Finding]:
    """Refused where the engine's own table refuses the hop, else told."""
    step = move(change)
    supports = step.operator.supports if step is not None else None
    if step is None or supports is None:
        return
    for one in followers(step, supports, change, see):
        hop = f"{supports.title} {one.running.text} to {one.default.text}"
        yield Finding(
            field=step.after.path,
            text=f"with {step.operator.title} {step.new.text} {one.operand.where} names no version and goes from {hop}",
            why=one.hop.reason or "the default of the new release is another, so operator and engine change in one step",
            remedy=f"write {one.running.text} into {one.operand.where} first, then change the operator",
            subject=one.operand.where,
            weak=one.hop.verdict != "deny",
        )


@dataclass(frozen=True, slots=True)
class Follower:
    """An operand whose engine becomes another with its operator."""

    operand: Operand
    running: Version
    default: Version
    hop: Hop


def followers(step: Move, supports: Supports, change: Change, see: Sight) -> Iterator[Follower]:
    """The operands that name no version and run another than the new release's default."""
    default = default_version(step.after, supports)
    if default is None:
        return
    for operand in operands(step.after, change, see, supports.kind):
        if any(reader(operand.item, (), operand.item).value is not None for reader in (supports.asks, supports.own_image)):
            continue
        running = running_version(operand, supports, see) or default_version(step.before, supports)
        if running is None or running.same_release(default):
            continue
        profile = PROFILES.get(supports.engine)
        hop = judge(profile, running, default, {"by": "operator", "rolling": "yes"}) if profile is not None else Hop("allow")
        yield Follower(operand, running, default, hop)


def default_version(manager: Manager, supports: Supports) -> Version | None:
    """The engine version that operands without one get: as a variable says, else the highest of the operator's list."""
    if supports.list == "":
        return None
    named = manager.env(supports.default) if supports.default else None
    if named:
        return version.parse(named)
    known = [found for found in map(version.parse, engine_versions(manager) or ()) if found is not None]
    return max(known, key=Version.key) if known else None
