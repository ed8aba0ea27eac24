"""A member whose volume is gone is made anew: out of the engine's list, into it again, and onto an empty volume.

That its volume is gone is decided once, and noted on its claim (LOST): from then on it goes on, whatever comes back. That
it has left the list is noted there, too (LEFT): the entry that is in the list afterwards is the new member's. Only then do
its claim and its pod go, so that its new pod finds itself in the list and never starts on what nobody counts any more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stateward.operator.apply import RESOURCES
from stateward.operator.drivers.protocol import Peer, Result
from stateward.operator.losses import Loss, confirmed, confirmed_gone, is_gone, losses
from stateward.operator.objects.quorum import quorum, spare
from stateward.operator.observe import LEFT, LOST, PARKED, claim_name, claim_names
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def replace(turn: Turn) -> Step | None:
    """The next step; None where no member is lost, or nothing can be done about it now (`lost` says why)."""
    return Replacing(turn).next() if _has_members(turn) else None


def lost(turn: Turn) -> Step | None:
    """What is waited for by members that are away: word that their node is gone, or the others."""
    return Replacing(turn).waits() if _has_members(turn) else None


def _has_members(turn: Turn) -> bool:
    """Whether there are members to be lost: before they have founded, and while they stop by our doing, there are none."""
    return turn.stand.exists and turn.stand.formed and PARKED not in turn.stand.running.notes


@dataclass(frozen=True, slots=True)
class Replacing:
    """Decides the next step of one service."""

    turn: Turn

    def next(self) -> Step | None:
        """The next step."""
        begun = self._begun()
        if begun is not None:
            return self._go_on(*begun) if self._rest_serves(begun[0]) else None
        if bereft := self._without_its_claim():
            return bereft
        found = losses(self.turn.service, self.turn.stand, self.turn.look)
        for one in found:
            if one.fate == "release" and one.pod is not None:
                return self._release(one, one.pod)
        loss = next((one for one in found if one.fate == "replace"), None) or self._without_its_data()
        if loss is None or loss.claim is None or not self._rest_serves(loss.member):
            return self._counts()
        return self._one_at_a_time(loss.member, found) or self._begin(loss, loss.claim)

    def waits(self) -> Step | None:
        """What is waited for; None where nobody is away."""
        begun = self._begun()
        if begun is not None and not self._rest_serves(begun[0]):
            return self._step("wait", begun[0], f"its volume is gone; {self._needs(begun[0])}")
        found = losses(self.turn.service, self.turn.stand, self.turn.look)
        gone = [one for one in found if one.fate == "replace"]
        if gone and len(gone) > self._spare():
            several = "; ".join(f"{one.member}: {one.why}" for one in gone)
            why = f"{several}: what is left cannot make it anew; restore a backup into a new service"
            return self._step("wait", gone[0].member, why, blocked="DataLost")
        away = [one for one in found if one.fate == "await"]
        if gone:
            beside = f"; {self._word(away)}" if away else ""
            return self._step("wait", gone[0].member, f"{gone[0].why}; {self._needs(gone[0].member)}{beside}")
        if away:
            return self._step("wait", away[0].member, self._word(away), blocked="NodeAway")
        return None

    # --- whether -------------------------------------------------------------------------------------------------

    def _begun(self) -> tuple[str, Object] | None:
        """The member that is being made anew, and its old claim."""
        service, stand = self.turn.service, self.turn.stand
        for ordinal in range(min(stand.replicas, service.members)):
            claim = self.turn.look.get("PersistentVolumeClaim", service.namespace, claim_name(service, ordinal))
            if claim is not None and _marked(claim, LOST):
                return service.member(ordinal), claim
        return None

    def _others(self, member: str) -> list[str]:
        return [name for name in self.turn.service.names(self.turn.stand.replicas) if name != member]

    def _serving(self, member: str) -> list[str]:
        return self.turn.stand.healthy(self._others(member))

    def _rest_serves(self, member: str) -> bool:
        """Whether enough of the others serve to take its place: those with a list must agree by a majority of all."""
        stand, driver = self.turn.stand, self.turn.driver
        serving = self._serving(member)
        if len(serving) < self._least(member):
            return False
        return driver.listed or not driver.leaders or any(stand.seen[name].role in driver.leaders for name in serving)

    def _least(self, member: str) -> int:
        """How many of the others must serve; where there is no list, those that are lost themselves do not count."""
        if self.turn.driver.listed:
            return quorum(self.turn.stand.replicas)
        found = losses(self.turn.service, self.turn.stand, self.turn.look)
        gone = {one.member for one in found if one.fate == "replace"}
        return max(1, quorum(len([name for name in self._others(member) if name not in gone])))

    def _one_at_a_time(self, member: str, found: Sequence[Loss]) -> Step | None:
        """Whom is waited for before a member is made anew; None where no other one is on its way."""
        if not self.turn.driver.listed:
            away = sorted({*self.turn.away(self._others(member))} - {one.member for one in found})
            why = f"{', '.join(away)} must serve before {member} is made anew: one member at a time"
            return self._step("wait", away[0], why) if away else None
        peers = self._peers(member)
        if peers is None:
            return self._step("wait", member, "no member gives the engine's list of members")
        learner = next((peer.name for peer in peers if peer.learner and peer.name != member), "")
        return self._promote(learner) if learner else None

    def _spare(self) -> int:
        """How many may lose their data for good, and can be made anew from the others."""
        members = self.turn.stand.replicas
        return spare(members) if self.turn.driver.listed else members - 1

    def _without_its_data(self) -> Loss | None:
        """A member that runs and is another one than the list has: it has lost what it was, and cannot know it."""
        service, stand, driver = self.turn.service, self.turn.stand, self.turn.driver
        strange = [seen for seen in stand.seen.values() if seen.healthy is False and seen.identity] if driver.listed else []
        for seen in strange:
            if seen.name not in service.names(min(stand.replicas, service.members)) or not self._rest_serves(seen.name):
                continue
            entry = next((one for one in self._peers(seen.name) or () if one.name == seen.name), None)
            if entry is None or not entry.identity or entry.identity == seen.identity:
                continue
            ordinal = service.names(stand.replicas).index(seen.name)
            claim = self.turn.look.get("PersistentVolumeClaim", service.namespace, claim_name(service, ordinal))
            why = f"it runs without its data: it is {seen.identity}, and the engine's list has {entry.identity}"
            return Loss(seen.name, ordinal, "replace", why, claim=claim, pod=stand.pods.get(seen.name))
        return None

    def _peers(self, member: str) -> list[Peer] | None:
        """The list as the others have it."""
        peers = self.turn.driver.peers(self.turn.serving(without=member), self.turn.place())
        return None if peers is None else list(peers)

    # --- step by step --------------------------------------------------------------------------------------------

    def _release(self, loss: Loss, pod: Object) -> Step:
        why = f"{loss.why}: its pod is let go of"
        return self._step("release", loss.member, why, lambda: self._let_go(pod, loss.nodes[0]))

    def _begin(self, loss: Loss, claim: Object) -> Step:
        why = f"{loss.why}: it is made anew from the others"
        by_engine = not loss.uids
        note = {LOST: loss.member}

        def act() -> Result:
            return self.turn.hand.annotate(claim, note)

        return self._step("note", loss.member, why, act if by_engine else lambda: self._if_so(loss, act))

    def _go_on(self, member: str, claim: Object) -> Step:
        """From the note to the day that the claim is gone."""
        if "deletionTimestamp" in metadata_of(claim):
            return self._clear(member, claim)
        if self.turn.driver.listed:
            peers = self._peers(member)
            if peers is None:
                return self._step("wait", member, "no member gives the engine's list of members")
            there = any(peer.name == member for peer in peers)
            if waits := self._out_and_in(member, claim, there):
                return waits
        # That of its data is the last: what is decided is noted on it.
        old = self._second(member) or claim
        why = f"its old claim {text_of(metadata_of(old), 'name')} is deleted"
        return self._step("clear", member, why, lambda: self.turn.hand.take("PersistentVolumeClaim", old))

    def _second(self, member: str) -> Object | None:
        """The claim of its second volume, where it has one that is not being deleted yet."""
        service, stand = self.turn.service, self.turn.stand
        names = claim_names(service, stand.running, service.names(stand.replicas).index(member))[1:]
        several = (self.turn.look.get("PersistentVolumeClaim", service.namespace, name) for name in names)
        return next((one for one in several if one is not None and "deletionTimestamp" not in metadata_of(one)), None)

    def _out_and_in(self, member: str, claim: Object, there: bool) -> Step | None:
        """Out of the list and into it again; None where that is done."""
        driver, place, hand = self.turn.driver, self.turn.place(), self.turn.hand
        others = self.turn.serving(without=member)
        left = _marked(claim, LEFT)
        if not left and there and self.turn.stand.healthy([member]):
            why = "it serves again: nothing is made anew"
            return self._step("keep", member, why, lambda: hand.annotate(claim, {LOST: None}))
        if not left and there:
            why = "it leaves the engine's list of members: what it had is gone"
            return self._step("leave", member, why, lambda: driver.leave(member, others, place))
        if not left:
            why = "its claim is marked: the member that it was has left"
            return self._step("note", member, why, lambda: hand.mark(claim, member))
        if not there:
            why = "it is added to the engine's list of members, without a vote yet"
            return self._step("join", member, why, lambda: driver.join(member, others, place))
        return None

    def _clear(self, member: str, claim: Object) -> Step:
        """A claim that is deleted stays until no pod of a node holds on to it."""
        pod, name = self.turn.stand.pods.get(member), text_of(metadata_of(claim), "name")
        node = text_of(mapping_of(pod, "spec"), "nodeName") if pod is not None else ""
        if pod is None or not node:
            return self._step("clear", member, f"its old claim {name} is being deleted")
        if is_gone(self.turn.look, node):
            why = f"its pod on {node} is let go of: nothing runs there any more"
            return self._step("release", member, why, lambda: self._let_go(pod, node))
        if "deletionTimestamp" in metadata_of(pod):
            return self._step("clear", member, f"its pod on {node} ends, and its old claim {name} goes with it")
        why = f"its pod goes, and its old claim {name} with it"
        return self._step("clear", member, why, lambda: self.turn.hand.take("Pod", pod))

    def _without_its_claim(self) -> Step | None:
        """A pod that was made while its old claim went waits for ever: a StatefulSet makes claims as it makes pods."""
        service, stand = self.turn.service, self.turn.stand
        for member, pod in stand.pods.items():
            names = service.names(stand.replicas)
            if (
                member not in names
                or text_of(mapping_of(pod, "spec"), "nodeName")
                or "deletionTimestamp" in metadata_of(pod)
            ):
                continue
            claims = claim_names(service, stand.running, names.index(member))
            gone = [one for one in claims if self.turn.look.get("PersistentVolumeClaim", service.namespace, one) is None]
            if not gone or not self._rest_serves(member) or not self._starts_empty(member):
                continue
            claim = gone[0]
            path = RESOURCES["PersistentVolumeClaim"].path_to(service.namespace, claim)
            why = f"its pod waits for the claim {claim}, which is gone: both are made anew"
            return self._step("clear", member, why, lambda pod=pod, path=path: self._take_bereft(pod, path))  # type: ignore[misc]
        return None

    def _take_bereft(self, pod: Object, claim: str) -> Result:
        if self.turn.hand.cluster.find(claim) is not None:
            return Result("unknown", "its claim is there by now")
        return self.turn.hand.take("Pod", pod)

    def _starts_empty(self, member: str) -> bool:
        """Whether a member may start without data: one that has a vote would have forgotten what it voted for."""
        if not self.turn.driver.listed:
            return True
        return any(peer.name == member and peer.learner for peer in self._peers(member) or ())

    def _counts(self) -> Step | None:
        """A member that was made anew gets its vote as one that is added does; it is said what for."""
        before = self.turn.status.operation
        if before is None or before.kind != "Replace" or not before.member or not self.turn.driver.listed:
            return None
        entry = next((peer for peer in self._peers(before.member) or () if peer.name == before.member), None)
        return self._promote(before.member) if entry is not None and entry.learner else None

    def _promote(self, member: str) -> Step:
        others, place = self.turn.serving(without=member), self.turn.place()
        why = "it fills its new volume from the others, and gets its vote once it has caught up"
        return self._step("promote", member, why, lambda: self.turn.driver.promote(member, others, place))

    def _if_so(self, loss: Loss, act: Callable[[], Result]) -> Result:
        """Asks the API server itself first: what is done now is never taken back."""
        if not confirmed(self.turn.hand.cluster, self.turn.service, self.turn.stand, loss, self.turn.look):
            return Result("unknown", "the API server does not say so any more")
        return act()

    def _let_go(self, pod: Object, node: str) -> Result:
        if not confirmed_gone(self.turn.hand.cluster, node):
            return Result("unknown", f"node {node} is there again")
        return self.turn.hand.release(pod)

    # --- words ---------------------------------------------------------------------------------------------------

    def _needs(self, member: str) -> str:
        serving, count = len(self._serving(member)), len(self._others(member))
        lead = ", one of them leading" if not self.turn.driver.listed and self.turn.driver.leaders else ""
        return f"it is made anew from the others once {self._least(member)} of {count} serve{lead}; {serving} do"

    def _word(self, away: Sequence[Loss]) -> str:
        several = "; ".join(f"{one.member}: {one.why}" for one in away)
        commands = "; ".join(dict.fromkeys(one.command for one in away))
        return f"{several}: nothing is touched while it may come back; {self._then(away)}: {commands}"

    def _then(self, away: Sequence[Loss]) -> str:
        if len(away) > self._spare():
            return "if it never does its data is lost, and a backup has to be restored into a new service; to say so"
        return "if it never does, say so, and its member is made anew"

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        return Step("Replace", name, member, message, act, ("", member), **more)


def _marked(claim: Object, mark: str) -> bool:
    return mark in mapping_of(metadata_of(claim), "annotations")
