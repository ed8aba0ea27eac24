"""The ways in which data is copied and comes back. An engine, or a destination, with another way has its entry here.

`beginning` notes on each ServiceBackup by which way it is made (`Record.way`), and it is asked from then on: whoever adds
one chooses it there and writes the four functions of a `Way` in modules of its own; `taking` and `restoring` stay as they
are. What all have in common: `order` (word of a backup), `subject` (the member that is copied), `request` (word of a
restore), `source` (which backup), `vacancy` (the claim that is filled), `successor` (the service that is made of it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup import adopting, fetching, forgetting, imaging, storing
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import RESTIC, SNAPSHOT, Record
from stateward.operator.backup.request import Request
from stateward.operator.backup.source import Source
from stateward.operator.drivers.protocol import Driver
from stateward.policies.view import Object


@dataclass(frozen=True, slots=True)
class Way:
    """One of them. Each call takes at most one step, which can be taken twice. All raise ClusterError."""

    take: Callable[[Order, Record], float | None]
    """Goes on with a backup, and says how far it is; seconds until the next look, None where it has ended."""
    forget: Callable[[Order, Record], str]
    """Deletes what was written, where that is asked for: what is waited for, "" where nothing is left."""
    inspect: Callable[[Request, Source], Metadata]
    """What a backup says of itself. Raises StopError as long as that is not known."""
    fill: Callable[[Request, Source, Metadata, StatefulService, Driver, Object], None]
    """Puts it onto the claim of the first member, and notes FILLED on that. Raises StopError until it is there."""
    clear: Callable[[Request], None] = lambda _: None
    """Lets go of what was needed for that."""


WAYS: Final[Mapping[str, Way]] = {
    RESTIC: Way(storing.take, forgetting.forget, fetching.inspect, fetching.fill),
    SNAPSHOT: Way(imaging.take, imaging.forget, adopting.inspect, adopting.fill, adopting.clear),
}
