"""What an operation decides from, and the only hands that it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from stateward.kube.client import Cluster
from stateward.operator import deletion
from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.drivers.protocol import Driver, Place, Result, Target
from stateward.operator.informer import Informers
from stateward.operator.observe import LEFT, Stand, place_of
from stateward.operator.service import Service
from stateward.operator.step import Step
from stateward.policies.view import Object, metadata_of, text_of

DONE = Result("done")


class Operation(Protocol):
    """One kind of work on a service. Reads, and changes nothing: what is to be done it hands back."""

    def __call__(self, turn: Turn, /) -> Step | None:
        """The next step; None where nothing of this kind is to be done."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What an operation may write, each a single write that can be made twice. All raise ClusterError."""

    cluster: Cluster
    service: Service
    note: Callable[[Mapping[str, str]], Result]
    """Writes notes onto the StatefulSet and nothing else: what follows from them is written by the next look."""

    def take(self, kind: str, item: Object) -> Result:
        """Deletes this very object, a pod or a claim."""
        deletion.delete(self.cluster, kind, item, "Background")
        return DONE

    def mark(self, claim: Object, member: str) -> Result:
        """Notes on a claim that its member has left, so that nothing is lost with what is on it."""
        path = RESOURCES["PersistentVolumeClaim"].path_to(self.service.namespace, text_of(metadata_of(claim), "name"))
        self.cluster.patch(path, {"metadata": {"annotations": {LEFT: member}}}, field_manager=MANAGER)
        return DONE


@dataclass(frozen=True, slots=True)
class Turn:
    """One look at one service, by the facts of this moment."""

    service: Service
    """What is asked for."""
    stand: Stand
    """What there is."""
    driver: Driver
    look: Informers
    hand: Hand
    status: StatefulServiceStatus
    """As it was last written: for when something began, never for what is so."""
    now: datetime

    def place(self, members: int | None = None) -> Place:
        """Where the service is, with so many members; without a number those that it has."""
        return place_of(self.service, self.stand.running, self.stand.formed, members)

    def away(self, names: Sequence[str]) -> list[str]:
        """Those of these members that do not say that they serve."""
        healthy = set(self.stand.healthy(names))
        return [name for name in names if name not in healthy]

    def serving(self, without: str = "") -> list[Target]:
        """Whom to tell: members that serve, the leader first."""
        stand = self.stand
        found = [one for one in stand.targets if one.name != without and stand.seen[one.name].healthy is True]
        return sorted(found, key=lambda one: stand.seen[one.name].role not in self.driver.leaders)
