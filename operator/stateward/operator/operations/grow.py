"""Larger volumes: the claims first, one member's after the other's, then the StatefulSet around its pods.

A StatefulSet's claim templates cannot be edited. It is deleted with its pods and claims left as they are, and made again
with the larger size: what it was is kept meanwhile in the ConfigMap (`workload.KEPT`), and what it is to be in its note.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stateward.operator.drivers.protocol import Result
from stateward.operator.objects.common import config
from stateward.operator.objects.workload import KEPT, recalled
from stateward.operator.observe import PARKED
from stateward.operator.operations.growing import Growing, Volume, volumes_of
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.view import mapping_of, metadata_of, text_of


def grow(turn: Turn) -> Step | None:
    """The next step; None where all volumes are as large as wanted."""
    stand = turn.stand
    if not stand.exists or not stand.formed or PARKED in stand.running.notes:
        return None
    volumes = volumes_of(turn)
    found = [step for volume in volumes if (step := Growing(turn, volume).next()) is not None]
    # A volume that cannot grow does not hold up the other one.
    first = next((step for step in found if not step.blocked), None) or next(iter(found), None)
    larger = [volume for volume in volumes if volume.grows]
    return first or (Recreating(turn, larger).next() if larger else None)


@dataclass(frozen=True, slots=True)
class Recreating:
    """Makes the StatefulSet anew around its pods, so that it gives new members these volumes."""

    turn: Turn
    larger: list[Volume]

    def next(self) -> Step:
        """The next step."""
        service, stand = self.turn.service, self.turn.stand
        item = self.turn.look.get("StatefulSet.apps", *service.key)
        if item is None or "deletionTimestamp" in metadata_of(item):
            return self._step("recreate", "", "the StatefulSet is made anew around its pods")
        notes = {one.note: one.asked for one in self.larger}
        if any(stand.running.notes.get(name) != size for name, size in notes.items()):
            why = f"its StatefulSet is to be made anew with {' and '.join(notes.values())}"
            return self._step("note", "", why, lambda: self.turn.hand.note(notes))
        if not self._is_kept():
            return self._step("note", "", "what the StatefulSet is gets written down before it is made anew")
        why = "the StatefulSet is deleted around its pods, which run on, and made anew: no claim template can be changed"
        return self._step("recreate", "", why, lambda: self.turn.hand.orphan(item))

    def _is_kept(self) -> bool:
        """Whether the ConfigMap has what the StatefulSet is now: it is all that is left of it for a moment."""
        found = self.turn.look.get("ConfigMap", self.turn.service.namespace, config(self.turn.service))
        running = self.turn.stand.running
        text = text_of(mapping_of(metadata_of(found), "annotations"), KEPT) if found is not None else ""
        return recalled(text, running) == running

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None) -> Step:
        return Step("Grow", name, member, message, act, (self.larger[0].has, self.larger[0].asked))
