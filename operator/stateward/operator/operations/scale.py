"""More members and fewer: one at a time, each step seen from the facts.

Up: the next member is added to the engine's list without a vote, its pod is made, then it gets its vote. Down: the last
member leaves the list, then its pod goes. Where the engine keeps no list, members come and go with their pods, and the
one that leads hands over first. Whoever takes over after a crash finds in the list and in the StatefulSet how far it
was; nothing else has to be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stateward.operator.drivers.protocol import Peer, Result
from stateward.operator.objects.quorum import quorum
from stateward.operator.observe import LEFT, MEMBERS, claim_names, strangers
from stateward.operator.operations import members
from stateward.operator.step import Kind, Step
from stateward.operator.turn import Turn
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def scale(turn: Turn) -> Step | None:
    """The next step; None where there are as many members as wanted, all with a vote."""
    scaling = Scaling(turn)
    return scaling.listed() if turn.driver.listed else scaling.unlisted()


@dataclass(frozen=True, slots=True)
class Scaling:
    """Decides the next step of one service."""

    turn: Turn

    def listed(self) -> Step | None:
        """Where the engine keeps a list of its members."""
        service, stand = self.turn.service, self.turn.stand
        peers = self.turn.driver.peers(self.turn.asked(), self.turn.place())
        steady = stand.replicas == service.members
        if peers is None:
            return None if steady else self._step("wait", "", "no member gives the engine's list of members")
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
            return self._made(ahead)
        last = service.member(stand.replicas - 1)
        if service.members >= stand.replicas > 1 and not any(peer.name == last for peer in peers):
            return self._gone(last)
        if steady:
            return None
        return self._up(ahead) if service.members > stand.replicas else self._down(peers)

    def unlisted(self) -> Step | None:
        """Where members find each other by themselves."""
        service, stand = self.turn.service, self.turn.stand
        if service.members > stand.replicas:
            return self._up(service.member(stand.replicas))
        if service.members == stand.replicas:
            return None
        member = service.member(stand.replicas - 1)
        if waits := self._rest_serves(member):
            return waits
        seen = stand.seen.get(member)
        if seen is not None and seen.role in self.turn.driver.leaders:
            return self._hand_over(member)
        return self._goes(member, "its pod goes")

    # --- up ------------------------------------------------------------------------------------------------------

    def _up(self, member: str) -> Step:
        service, stand = self.turn.service, self.turn.stand
        away = self.turn.away(service.names(stand.replicas))
        if away:
            return self._step("wait", away[0], f"{', '.join(away)} must serve before another member is added")
        claim = next(iter(self._claims_of(stand.replicas)), None)
        if claim is not None:
            return self._claim(member, claim)
        if not self.turn.driver.listed:
            return self._resize("start", member, "its pod is made", stand.replicas + 1)
        place = self.turn.place(stand.replicas + 1)
        return self._step(
            "join",
            member,
            "it is added to the engine's list of members, without a vote yet",
            lambda: self.turn.driver.join(member, self.turn.serving(), place),
        )

    def _claim(self, member: str, claim: Object) -> Step:
        metadata = metadata_of(claim)
        name = text_of(metadata, "name")
        if "deletionTimestamp" in metadata:
            return self._step("clear", member, f"its old claim {name} is being deleted")
        if LEFT in mapping_of(metadata, "annotations"):
            # Its data is no use to anybody, and would keep a new member from joining.
            why = f"the claim {name} of a member that has left is deleted"
            return self._step("clear", member, why, lambda: self.turn.hand.take("PersistentVolumeClaim", claim))
        why = f"claim {name}: not of a member that left by our doing; keep what is on it elsewhere, then delete it"
        return self._step("wait", member, why, blocked="ClaimInTheWay")

    def _made(self, member: str) -> Step:
        """A member is in the list and has no pod: one that is being added gets it, one that is leaving is gone next."""
        if self.turn.service.members > self.turn.stand.replicas:
            return self._resize("start", member, "its pod is made", self.turn.stand.replicas + 1)
        return self._leave(member, "it has no pod, and leaves the engine's list of members", self.turn.stand.replicas + 1)

    def _promote(self, member: str) -> Step:
        turn = self.turn
        seen = turn.stand.seen.get(member)
        if seen is None or seen.healthy is None:
            long = turn.now - members.away_since(turn, member) > members.bound(turn, member)
            why = f"it gets its vote once it answers: {members.why_away(turn, member)}"
            return self._step("wait", member, why, blocked="MemberNotUp" if long else "")
        place = turn.place()
        return self._step(
            "promote",
            member,
            "it gets its vote once it has caught up",
            lambda: self.turn.driver.promote(member, self.turn.serving(without=member), place),
        )

    # --- down ----------------------------------------------------------------------------------------------------

    def _down(self, peers: Sequence[Peer]) -> Step:
        member = self.turn.service.member(self.turn.stand.replicas - 1)
        if not any(peer.name == member for peer in peers):
            return self._goes(member, "its pod goes")
        return self._rest_serves(member) or self._leave(
            member, "it leaves the engine's list of members", self.turn.stand.replicas
        )

    def _rest_serves(self, member: str) -> Step | None:
        """Whom is waited for before a member goes; None where all that stay serve."""
        rest = self.turn.service.names(self.turn.stand.replicas - 1)
        away = self.turn.away(rest)
        if not away and len(rest) - len(away) >= quorum(len(rest)):
            return None
        return self._step(
            "wait", member, f"{', '.join(away)} must serve before a member leaves: the others have to be whole"
        )

    def _hand_over(self, member: str) -> Step:
        place = self.turn.place()
        return self._step(
            "switchover",
            member,
            "it leads, and hands over before it goes",
            lambda: self.turn.driver.switchover(member, self.turn.serving(), place),
        )

    def _leave(self, member: str, message: str, members: int) -> Step:
        place = self.turn.place(members)
        return self._step(
            "leave",
            member,
            message,
            lambda: self.turn.driver.leave(member, self.turn.serving(without=member), place),
        )

    def _goes(self, member: str, message: str) -> Step:
        """Its claim is marked first: once its pod is gone nobody could tell any more that it went by our doing."""
        last = self.turn.stand.replicas - 1
        unmarked = [one for one in self._claims_of(last) if LEFT not in mapping_of(metadata_of(one), "annotations")]
        if unmarked:
            why = "its claim is marked: the member has left"
            return self._step("note", member, why, lambda: self.turn.hand.mark(unmarked[0], member))
        return self._resize("stop", member, message, last)

    def _gone(self, member: str) -> Step:
        """The last member is not in the list, and more are wanted: it was on its way out."""
        ordinal = self.turn.stand.replicas - 1
        claim = next(iter(self._claims_of(ordinal)), None)
        if claim is not None and LEFT in mapping_of(metadata_of(claim), "annotations"):
            return self._resize("stop", member, "it has left: its pod goes before it comes again", ordinal)
        why = f"{member}: not in the engine's list of members; set members to {ordinal} to let it go, then up again"
        return self._step("wait", member, why, blocked="MemberNotListed")

    # --- both ----------------------------------------------------------------------------------------------------

    def _alien(self, alien: Sequence[Peer]) -> Step:
        several = ", ".join(peer.name or peer.identity for peer in alien)
        why = (
            f"members {several}: in the engine's list, and none of this service's pods; take them out by the engine's own "
            "tool if they are nobody's"
        )
        return self._step("wait", "", why, blocked="UnknownMember")

    def _claims_of(self, ordinal: int) -> list[Object]:
        """Those that are there of a member's, that of its data first."""
        service = self.turn.service
        names = claim_names(service, self.turn.stand.running, ordinal)
        several = (self.turn.look.get("PersistentVolumeClaim", service.namespace, name) for name in names)
        return [one for one in several if one is not None]

    def _resize(self, name: str, member: str, message: str, replicas: int) -> Step:
        return self._step(name, member, message, lambda: self.turn.hand.note({MEMBERS: str(replicas)}))

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        kind: Kind = "ScaleDown" if self.turn.service.members < self.turn.stand.replicas else "ScaleUp"
        change = (f"{len(self.turn.stand.pods)} members", f"{self.turn.service.members} members")
        return Step(kind, name, member, message, act, change, **more)
