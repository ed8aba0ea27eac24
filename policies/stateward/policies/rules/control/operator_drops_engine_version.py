"""SW705: a release of an operator that cannot run what its operands are."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import version
from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, is_live, labels_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.operators.catalogue import Supports
from stateward.policies.operators.move import OPERANDS, UPDATES, Move, Operand, engine_versions, move, operands
from stateward.policies.rule import rule
from stateward.policies.structs import dataclass
from stateward.policies.version import Version
from stateward.policies.view import UNKNOWN, Look, Sight, accuses, metadata_of, text_of

PODS: Look = accuses("Pod", "status.phase")


@rule(
    id="SW705",
    name="operator-drops-engine-version",
    summary="An operator's new release cannot run what its operands are",
    why="An operator stops reconciling a cluster whose engine version or form it does not know: no failover, no "
    "certificates, no scaling, and the way back is the old operator.",
    remedy="Bring the operands to what both releases support first, wait until they run it, then change the operator.",
    source="Strimzi documentation, Supported versions; strimzi/strimzi-kafka-operator issue 8869",
    nature="transition",
    judges=UPDATES,
    about=("version",),
    looks_at=(*OPERANDS, PODS),
)
def operator_drops_engine_version(change: Change, see: Sight) -> Iterator[Finding]:
    """The operator's own list of versions, and forms of operands that a release has given up."""
    step = move(change)
    if step is None:
        return
    for dropped in drops(step, change, see):
        yield Finding(
            field=step.after.path,
            text=f"{step.operator.title} {step.new.text} does not run {dropped.operand.where}: {dropped.what}",
            why=dropped.why,
            remedy=dropped.remedy,
            subject=dropped.operand.where,
            weak=not dropped.denies,
        )


@dataclass(frozen=True, slots=True)
class Dropped:
    """An operand that the new release does not run."""

    operand: Operand
    what: str
    why: str
    remedy: str
    denies: bool = True


def drops(step: Move, change: Change, see: Sight) -> Iterator[Dropped]:
    """The operands that the new release does not run, each once."""
    seen: set[str] = set()
    for row in step.operator.refuses:
        if not row.step.holds(step.old, step.new) or (row.step.after is not None and row.step.after.holds(step.old)):
            continue
        for operand in operands(step.after, change, see, row.kind):
            if row.when(operand.item, (), operand.item).value is True and operand.where not in seen:
                seen.add(operand.where)
                yield Dropped(operand, row.step.why, "the operator would not reconcile it", row.remedy, row.step.denies)
    listed, supports = engine_versions(step.after), step.operator.supports
    if listed is None or supports is None:
        return
    known = [found for found in map(version.parse, sorted(listed)) if found is not None]
    for operand in operands(step.after, change, see, supports.kind):
        if operand.where in seen or supports.own_image(operand.item, (), operand.item).value is not None:
            continue
        for verb, wanted in _versions(operand, supports, see):
            if not any(wanted.same_release(one) for one in known):
                yield Dropped(
                    operand,
                    f"it {verb} {supports.title} {wanted.text}",
                    f"the list of the new release has {', '.join(one.text for one in known)}; an operator that "
                    "does not know the version of a cluster stops reconciling it",
                    "bring it to a version that both releases list, wait until all of it runs that, then go on",
                )
                break


def _versions(operand: Operand, supports: Supports, see: Sight) -> Iterator[tuple[str, Version]]:
    running = running_version(operand, supports, see)
    if running is not None:
        yield "runs", running
    asked = version.parse(str(supports.asks(operand.item, (), operand.item).value or ""))
    if asked is not None:
        yield "asks for", asked


def running_version(operand: Operand, supports: Supports, see: Sight) -> Version | None:
    """What runs: as the pods say, the highest where they differ; else as the status says; None where neither does."""
    if supports.pods is not None:
        label, annotation = supports.pods
        pods = see.select("Pod", text_of(metadata_of(operand.item), "namespace"))
        found = [
            version.parse(text_of(annotations_of(pod), annotation))
            for pod in (pods if pods is not UNKNOWN else ())
            if labels_of(pod).get(label) == name_of(operand.item) and is_live(pod)
        ]
        known = [one for one in found if one is not None]
        if known:
            return max(known, key=Version.key)
    return version.parse(str(supports.runs(operand.item, (), operand.item).value or ""))
