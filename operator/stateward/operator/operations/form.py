"""The members found their cluster. Once they have, that is noted before anything else is done."""

from __future__ import annotations

from stateward.operator.observe import FINALISED, FORMED
from stateward.operator.operations.hops import series
from stateward.operator.step import Step
from stateward.operator.turn import Turn


def form(turn: Turn) -> Step | None:
    """Waits until all members serve, then notes it; None where they have founded it long ago."""
    stand, service = turn.stand, turn.service
    if stand.formed:
        return None
    count = f"{stand.replicas} members"
    change = ("", f"{service.engine} {stand.running.version}, {count}")
    names = service.names(stand.replicas)
    healthy = stand.healthy(names)
    if len(healthy) < len(names):
        return Step("Create", "form", "", f"{len(healthy)} of {count} serve", change=change)
    founded = f"{service.engine} {stand.running.version} is founded: all of {count} serve"
    notes = {FORMED: "true", FINALISED: series(service.engine, stand.running.version)}
    return Step("Create", "form", "", founded, lambda: turn.hand.note(notes), change)
