"""The steps by which a lost member is made anew.

That it has left the engine's list is noted on its claim (LEFT): the entry that is in the list afterwards is the new
member's. Only then do its claims and its pod go, so that its new pod finds itself in the list and never starts on what
nobody counts any more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stateward.operator.apply import RESOURCES
from stateward.operator.drivers.protocol import Result
from stateward.operator.losses import Loss, confirmed, confirmed_gone, is_gone
from stateward.operator.observe import LEFT, LOST, claim_names
from stateward.operator.operations.others import Others
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def step(name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
    """One of them."""
    return Step("Replace", name, member, message, act, ("", member), **more)


@dataclass(frozen=True, slots=True)
class Anew:
    """Each function is the next step of something that was decided."""

    turn: Turn
    others: Others

    def release(self, loss: Loss, pod: Object) -> Step:
        """Only the pod is gone: its volume goes to another node."""
        why = f"{loss.why}: its pod is let go of"
        return step("release", loss.member, why, lambda: self._let_go(pod, loss.nodes[0]))

    def begin(self, loss: Loss, claim: Object) -> Step:
        """The note on its claim that what it had is gone."""
        why = f"{loss.why}: it is made anew from the others"
        by_engine = not loss.uids
        note = {LOST: loss.member}

        def act() -> Result:
            return self.turn.hand.annotate(claim, note)

        return step("note", loss.member, why, act if by_engine else lambda: self._if_so(loss, act))

    def go_on(self, member: str, claim: Object) -> Step:
        """From the note to the day that the claim is gone."""
        if "deletionTimestamp" in metadata_of(claim):
            return self._clear(member, claim)
        if self.turn.driver.listed:
            peers = self.others.peers(member)
            if peers is None:
                return step("wait", member, "no member gives the engine's list of members")
            there = any(peer.name == member for peer in peers)
            if waits := self._out_and_in(member, claim, there):
                return waits
        # That of its data is the last: what is decided is noted on it.
        old = self._second(member) or claim
        why = f"its old claim {text_of(metadata_of(old), 'name')} is deleted"
        return step("clear", member, why, lambda: self.turn.hand.take("PersistentVolumeClaim", old))

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
        left = LEFT in mapping_of(metadata_of(claim), "annotations")
        if not left and there and self.turn.stand.healthy([member]):
            why = "it serves again: nothing is made anew"
            return step("keep", member, why, lambda: hand.annotate(claim, {LOST: None}))
        if not left and there:
            why = "it leaves the engine's list of members: what it had is gone"
            return step("leave", member, why, lambda: driver.leave(member, others, place))
        if not left:
            why = "its claim is marked: the member that it was has left"
            return step("note", member, why, lambda: hand.mark(claim, member))
        if not there:
            why = "it is added to the engine's list of members, without a vote yet"
            return step("join", member, why, lambda: driver.join(member, others, place))
        return None

    def _clear(self, member: str, claim: Object) -> Step:
        """A claim that is deleted stays until no pod of a node holds on to it."""
        pod, name = self.turn.stand.pods.get(member), text_of(metadata_of(claim), "name")
        node = text_of(mapping_of(pod, "spec"), "nodeName") if pod is not None else ""
        if pod is None or not node:
            return step("clear", member, f"its old claim {name} is being deleted")
        if is_gone(self.turn.look, node):
            why = f"its pod on {node} is let go of: nothing runs there any more"
            return step("release", member, why, lambda: self._let_go(pod, node))
        if "deletionTimestamp" in metadata_of(pod):
            return step("clear", member, f"its pod on {node} ends, and its old claim {name} goes with it")
        why = f"its pod goes, and its old claim {name} with it"
        return step("clear", member, why, lambda: self.turn.hand.take("Pod", pod))

    def without_its_claim(self) -> Step | None:
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
            if not gone or not self.others.rest_serves(member) or not self._starts_empty(member):
                continue
            claim = gone[0]
            path = RESOURCES["PersistentVolumeClaim"].path_to(service.namespace, claim)
            why = f"its pod waits for the claim {claim}, which is gone: both are made anew"
            return step("clear", member, why, lambda pod=pod, path=path: self._take_bereft(pod, path))  # type: ignore[misc]
        return None

    def _take_bereft(self, pod: Object, claim: str) -> Result:
        if self.turn.hand.cluster.find(claim) is not None:
            return Result("unknown", "its claim is there by now")
        return self.turn.hand.take("Pod", pod)

    def _starts_empty(self, member: str) -> bool:
        """Whether a member may start without data: one that has a vote would have forgotten what it voted for."""
        if not self.turn.driver.listed:
            return True
        return any(peer.name == member and peer.learner for peer in self.others.peers(member) or ())

    def promote(self, member: str) -> Step:
        """Its vote, once it has caught up."""
        others, place = self.turn.serving(without=member), self.turn.place()
        why = "it fills its new volume from the others, and gets its vote once it has caught up"
        return step("promote", member, why, lambda: self.turn.driver.promote(member, others, place))

    def _if_so(self, loss: Loss, act: Callable[[], Result]) -> Result:
        """Asks the API server itself first: what is done now is never taken back."""
        if not confirmed(self.turn.hand.cluster, self.turn.service, self.turn.stand, loss, self.turn.look):
            return Result("unknown", "the API server does not say so any more")
        return act()

    def _let_go(self, pod: Object, node: str) -> Result:
        if not confirmed_gone(self.turn.hand.cluster, node):
            return Result("unknown", f"node {node} is there again")
        return self.turn.hand.release(pod)
