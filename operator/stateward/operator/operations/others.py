"""The members beside the one that is lost: whether they are enough to make it anew."""

from __future__ import annotations

from dataclasses import dataclass

from stateward.operator.drivers.protocol import Peer
from stateward.operator.losses import losses
from stateward.operator.objects.quorum import quorum, spare
from stateward.operator.turn import Turn


@dataclass(frozen=True, slots=True)
class Others:
    """Of one service."""

    turn: Turn

    def of(self, member: str) -> list[str]:
        """All that there are to be."""
        return [name for name in self.turn.service.names(self.turn.stand.replicas) if name != member]

    def serving(self, member: str) -> list[str]:
        """Those that say that they serve."""
        return self.turn.stand.healthy(self.of(member))

    def rest_serves(self, member: str) -> bool:
        """Whether enough of the others serve to take its place: those with a list must agree by a majority of all."""
        stand, driver = self.turn.stand, self.turn.driver
        serving = self.serving(member)
        if len(serving) < self.least(member):
            return False
        return driver.listed or not driver.leaders or any(stand.seen[name].role in driver.leaders for name in serving)

    def least(self, member: str) -> int:
        """How many of the others must serve; where there is no list, those that are lost themselves do not count."""
        if self.turn.driver.listed:
            return quorum(self.turn.stand.replicas)
        found = losses(self.turn.service, self.turn.stand, self.turn.look)
        gone = {one.member for one in found if one.fate == "replace"}
        return max(1, quorum(len([name for name in self.of(member) if name not in gone])))

    def peers(self, member: str) -> list[Peer] | None:
        """The list as the others have it."""
        peers = self.turn.driver.peers(self.turn.serving(without=member), self.turn.place())
        return None if peers is None else list(peers)

    def spare(self) -> int:
        """How many may lose their data for good, and can be made anew from the others."""
        members = self.turn.stand.replicas
        return spare(members) if self.turn.driver.listed else members - 1
