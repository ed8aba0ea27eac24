"""An engine that does what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stateward.certs.authority import Leaf
from stateward.operator.drivers.protocol import (
    Driver,
    Log,
    Peer,
    Place,
    Repository,
    Result,
    Seen,
    Shake,
    Source,
    Store,
    Target,
)
from stateward.operator.rehearsal.world import World
from stateward.operator.tls import SERVER, fingerprint

DONE: Final = Result("done")


class Obedient:
    """An engine's driver whose members do what they are told, at once. All else is the engine's own."""

    def __init__(self, real: Driver, world: World) -> None:
        self._real = real
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def of(self, parameters: Mapping[str, Any]) -> Obedient:
        """The same for a service of these parameters."""
        return Obedient(self._real.of(parameters), self._world)

    def archiving(self, repository: Repository | None) -> Obedient:
        """The same with its log archived there."""
        return Obedient(self._real.archiving(repository), self._world)

    def log(self, target: Target) -> Log | None:
        """All of it is archived."""
        return Log(0, 0)

    def see(self, target: Target) -> Seen:
        """A member that is there serves, unless it is known not to."""
        world = self._world
        if target.name in world.away:
            return Seen(target.name, False, reason="it does not serve now")
        return Seen(target.name, True, self._role(target.name), world.version_of(target.name), target.name)

    def _role(self, name: str) -> str:
        if name == self._world.leader and self._real.leaders:
            return min(self._real.leaders)
        if self._world.listed.get(name):
            return "learner"
        return "follower" if self._real.listed else "replica" if self._real.leaders else ""

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        """The list; whoever founds the cluster is in it."""
        if not self._world.listed and self._real.listed:
            self._world.listed.update(dict.fromkeys(place.members, False))
        return [Peer(name, name, learner) for name, learner in self._world.listed.items()]

    def join(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """In the list, without a vote."""
        self._world.listed.setdefault(member, True)
        return DONE

    def promote(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """With a vote, once it is there to catch up."""
        if member not in self._world.serving():
            return Result("refused", "it has not caught up yet")
        self._world.listed[member] = False
        return DONE

    def leave(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Out of the list; whoever leads and leaves leads no more."""
        self._world.listed.pop(member, None)
        if member == self._world.leader:
            return self.switchover(member, targets, place)
        return DONE

    def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Another one leads."""
        others = [name for name in self._world.serving() if name != member and not self._world.listed.get(name)]
        if member == self._world.leader and others:
            self._world.leader = others[0]
        return DONE

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str]:
        """Settings that all members share are taken to be as they should."""
        return []

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        """They are."""
        return DONE

    def shake(self, target: Target, leaf: Leaf | None = None) -> Shake:
        """It shows the certificate that there is now, and takes any."""
        tls = target.access.tls
        shown = tls.held.leaves.get(SERVER) if tls is not None else None
        return Shake(True, fingerprint(shown) if shown is not None else b"")

    def set_passwords(self, passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place) -> Result:
        """It takes them."""
        return DONE

    def source(self, said: Mapping[str, str]) -> Source:
        """Whoever led last."""
        return Source(self._world.leader or min(said), "1")

    def stores(self, place: Place, word: str) -> Sequence[Store]:
        """What the engine keeps by itself is not rehearsed."""
        return ()

    def unled(self, place: Place) -> Store:
        """The same: somebody always has led."""
        return Store("never", {"led": None, "by": "nobody"})

    def finalise(self, version: str, targets: Sequence[Target], place: Place) -> Result:
        """The data is of this version."""
        return DONE
