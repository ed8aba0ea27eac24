"""SW708: an operator moves on, and the part of it that lives in its operands' pods is pinned to the old release."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.operators.catalogue import Pin, pinned_release
from stateward.policies.operators.move import OPERANDS, UPDATES, Move, Operand, move, operands
from stateward.policies.paths import Path, render
from stateward.policies.rule import rule
from stateward.policies.structs import dataclass
from stateward.policies.version import Version
from stateward.policies.view import Sight


@rule(
    id="SW708",
    name="data-plane-left-behind",
    summary="An operator changes while an operand pins an image of its old release",
    why="The operator starts its agents, sidecars and images with the flags and scripts of its own release. One of another "
    "release does not know them, and the pods crash on their next start.",
    remedy="Let the operand follow the operator, or change the pinned image in the same step.",
    source="mariadb-operator/mariadb-operator issue 1145; mariadb-operator documentation, Galera: data-plane",
    nature="transition",
    action="warn",
    judges=UPDATES,
    about=("version",),
    looks_at=OPERANDS,
)
def data_plane_left_behind(change: Change, see: Sight) -> Iterator[Finding]:
    """Fields that name an image of the operator's release, where nothing keeps them up to date."""
    step = move(change)
    if step is None:
        return
    for one in left_behind(step, change, see):
        yield Finding(
            field=step.after.path,
            text=f"{step.operator.title} becomes {step.new.text}, but {one.operand.where} pins {one.release.text} "
            f"in {render(one.path)}",
            why=one.pin.why,
            remedy=one.pin.remedy,
            subject=one.operand.where,
        )


@dataclass(frozen=True, slots=True)
class Left:
    """A pinned image of another release than the operator's."""

    operand: Operand
    pin: Pin
    path: Path
    release: Version


def left_behind(step: Move, change: Change, see: Sight) -> Iterator[Left]:
    """The operands that pin another release, each once."""
    seen: set[str] = set()
    for pin in step.operator.pins:
        for operand in operands(step.after, change, see, pin.kind):
            if operand.where in seen or pin.follows(operand.item, (), operand.item).value is True:
                continue
            image, path = pin.image(operand.item, (), operand.item)
            release = pinned_release(pin, step.operator, image) if isinstance(image, str) else None
            if release is not None and not release.same_release(step.new):
                seen.add(operand.where)
                yield Left(operand, pin, path, release)
