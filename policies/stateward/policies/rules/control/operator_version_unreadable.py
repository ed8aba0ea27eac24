"""SW710: an operator of a release that nobody can read."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import images
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.operators.move import OPERANDS, STARTS, counted, managers, operands
from stateward.policies.rule import rule
from stateward.policies.view import Sight


@rule(
    id="SW710",
    name="operator-version-unreadable",
    summary="An operator with operands gets an image whose tag names no release",
    why="With latest, a branch or a digest alone the next restart of its pod may bring any release: clusters are rolled, or "
    "a release is left out, without an edit that anybody could have judged.",
    remedy="Name the release in the tag, with a digest beside it if you like.",
    source="Kubernetes documentation, Images: avoid the latest tag in production",
    nature="state",
    action="warn",
    judges=STARTS,
    about=("version",),
    looks_at=OPERANDS,
)
def operator_version_unreadable(change: Change, see: Sight) -> Iterator[Finding]:
    """Known operators alone, and only where something of theirs exists."""
    for manager in managers(change.new_object).values():
        if manager.version is not None:
            continue
        found = operands(manager, change, see)
        if found:
            image = images.parse(manager.image)
            shown = image.tag or image.digest[:19] or "latest"
            yield Finding(
                field=manager.path,
                text=f'"{shown}" names no release of {manager.operator.title}, which runs {counted(found)}',
                why="whatever the next pull brings takes over all of them, older, newer by several releases, or broken",
                remedy=f"name the release in the tag ({image.name}:1.2.3), with a digest beside it if you like",
                subject=manager.operator.name,
            )
