"""More members and fewer: one at a time, the engine's list first, the pods after it. Each step is seen from the facts.

Up: the next member is added to the engine's list without a vote, then its pod is made, then it gets its vote. Down: the
last member leaves the list, then its pod goes. Whoever takes over after a crash finds in the list and in the
StatefulSet how far it was; nothing else has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from stateward.operator.drivers.protocol import Driver, Peer, Place, Result
from stateward.operator.informer import Informers
from stateward.operator.objects.quorum import quorum
from stateward.operator.observe import LEFT, Stand, claim_name, place_of, strangers
from stateward.operator.service import Service
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

SOON: Final = 2.0
"""Seconds until the next look while something is being done."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step that is to be taken, or what is waited for."""

    kind: str
    """`ScaleUp` or `ScaleDown`."""
    name: str
    member: str
    message: str
    replicas: int | None = None
    """The StatefulSet is to have so many from now on."""
    clear: Object | None = None
    """A claim of a member that has left: its data is no use to anybody, and would keep a new member from joining."""
    mark: Object | None = None
    """The claim of a member that has left just now."""
    tell: Callable[[], Result] | None = None
    """A command of the engine."""
    blocked: str = ""
    """A reason why nothing can be done, as one word."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """Decides the next step of one service. Reads; changes nothing."""

    service: Service
    stand: Stand
    driver: Driver
    look: Informers

    def next(self) -> Step | None:
        """The next step; None where there are as many members as wanted, all with a vote."""
        service, stand = self.service, self.stand
        peers = self.driver.peers(stand.targets, self._place(stand.replicas))
        steady = stand.replicas == service.members
        if peers is None:
            if steady:
                return None
            return self._step("wait", "", "no member gives the engine's list of members")
        learner = next((peer.name for peer in peers if peer.learner and peer.name in service.names(stand.replicas)), "")
        if learner and learner == service.member(stand.replicas - 1) and service.members < stand.replicas:
            return self._down(peers)  # it need not catch up to leave
        if learner:
            return self._promote(learner)
        ahead = service.member(stand.replicas)
        alien = [peer for peer in strangers(service, peers, stand.replicas) if peer.name != ahead]
        if alien:
            return self._alien(alien)
        if any(peer.name == ahead for peer in peers):
            return self._made(ahead, peers)
        last = service.member(stand.replicas - 1)
        if service.members >= stand.replicas > 1 and not any(peer.name == last for peer in peers):
            return self._gone(last)
        if steady:
            return None
        return self._up(ahead) if service.members > stand.replicas else self._down(peers)

    def _up(self, member: str) -> Step:
        service, stand = self.service, self.stand
        away = self._away(service.names(stand.replicas))
        if away:
            return self._step("wait", away[0], f"{', '.join(away)} must serve before another member is added")
        claim = self.look.get("PersistentVolumeClaim", service.namespace, claim_name(service, stand.replicas))
        if claim is not None:
            return self._claim(member, claim)
        place = self._place(stand.replicas + 1)
        return self._step(
            "join",
            member,
            "it is added to the engine's list of members, without a vote yet",
            tell=lambda: self.driver.join(member, self._voters(), place),
        )

    def _claim(self, member: str, claim: Object) -> Step:
        metadata = metadata_of(claim)
        name = text_of(metadata, "name")
        if "deletionTimestamp" in metadata:
            return self._step("clear", member, f"its old claim {name} is being deleted")
        if LEFT in mapping_of(metadata, "annotations"):
            return self._step("clear", member, f"the claim {name} of a member that has left is deleted", clear=claim)
        why = f"claim {name}: not of a member that left by our doing; keep what is on it elsewhere, then delete it"
        return replace(self._step("wait", member, why), blocked="ClaimInTheWay")

    def _made(self, member: str, peers: Sequence[Peer]) -> Step:
        """A member is in the list and has no pod: one that is being added gets it, one that is leaving is gone next."""
        if self.service.members > self.stand.replicas:
            count = self.stand.replicas + 1
            return self._step("start", member, "its pod is made", replicas=count)
        place = self._place(self.stand.replicas + 1)
        return self._step(
            "leave",
            member,
            "it has no pod, and leaves the engine's list of members",
            tell=lambda: self.driver.leave(member, self._voters(without=member), place),
        )

    def _gone(self, member: str) -> Step:
        """The last member is not in the list, and more are wanted: it was on its way out."""
        ordinal = self.stand.replicas - 1
        claim = self.look.get("PersistentVolumeClaim", self.service.namespace, claim_name(self.service, ordinal))
        if claim is not None and LEFT in mapping_of(metadata_of(claim), "annotations"):
            return self._step("stop", member, "it has left: its pod goes before it comes again", replicas=ordinal)
        why = f"{member}: not in the engine's list of members; set members to {ordinal} to let it go, then up again"
        return replace(self._step("wait", member, why), blocked="MemberNotListed")

    def _promote(self, member: str) -> Step:
        place = self._place(self.stand.replicas)
        return self._step(
            "promote",
            member,
            "it gets its vote once it has caught up",
            tell=lambda: self.driver.promote(member, self._voters(without=member), place),
        )

    def _down(self, peers: Sequence[Peer]) -> Step:
        service, stand = self.service, self.stand
        last = stand.replicas - 1
        member = service.member(last)
        if not any(peer.name == member for peer in peers):
            claim = self.look.get("PersistentVolumeClaim", service.namespace, claim_name(service, last))
            if claim is not None and LEFT not in mapping_of(metadata_of(claim), "annotations"):
                return self._step("note", member, "its claim is marked: the member has left", mark=claim)
            return self._step("stop", member, "its pod goes", replicas=last)
        rest = service.names(last)
        if len(self.stand.healthy(rest)) < quorum(len(rest)) or self._away(rest):
            away = ", ".join(self._away(rest))
            return self._step("wait", member, f"{away} must serve before a member leaves: the others have to be whole")
        place = self._place(stand.replicas)
        return self._step(
            "leave",
            member,
            "it leaves the engine's list of members",
            tell=lambda: self.driver.leave(member, self._voters(without=member), place),
        )

    def _alien(self, alien: Sequence[Peer]) -> Step:
        several = ", ".join(peer.name or peer.identity for peer in alien)
        why = (
            f"members {several}: in the engine's list, and none of this service's pods; take them out by the engine's own "
            "tool if they are nobody's"
        )
        return replace(self._step("wait", "", why), blocked="UnknownMember")

    def _away(self, names: Sequence[str]) -> list[str]:
        healthy = set(self.stand.healthy(names))
        return [name for name in names if name not in healthy]

    def _voters(self, without: str = "") -> list[Any]:
        """Whom to tell: members that serve, the leader first."""
        serving = [
            target
            for target in self.stand.targets
            if target.name != without and self.stand.seen[target.name].healthy is True
        ]
        return sorted(serving, key=lambda target: self.stand.seen[target.name].role != "leader")

    def _place(self, members: int) -> Place:
        return place_of(self.service, replace(self.stand.running, replicas=members), self.stand.formed)

    def _step(self, name: str, member: str, message: str, **more: Any) -> Step:
        kind = "ScaleDown" if self.service.members < self.stand.replicas else "ScaleUp"
        return Step(kind, name, member, message, **more)
