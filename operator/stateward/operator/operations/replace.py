"""A member whose volume is gone is made anew: out of the engine's list, into it again, and onto an empty volume (`anew`).

That its volume is gone is decided once, and noted on its claim (LOST): from then on it goes on, whatever comes back. The
others have to be enough for it (`others`), and one member is made anew at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stateward.operator.losses import Loss, losses
from stateward.operator.observe import LOST, PARKED, claim_name
from stateward.operator.operations.anew import Anew, step
from stateward.operator.operations.others import Others
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.view import Object, mapping_of, metadata_of


def replace(turn: Turn) -> Step | None:
    """The next step; None where no member is lost, or nothing can be done about it now (`lost` says why)."""
    return _replacing(turn).next() if _has_members(turn) else None


def lost(turn: Turn) -> Step | None:
    """What is waited for by members that are away: word that their node is gone, or the others."""
    return _replacing(turn).waits() if _has_members(turn) else None


def _has_members(turn: Turn) -> bool:
    """Whether there are members to be lost: before they have founded, and while they stop by our doing, there are none."""
    return turn.stand.exists and turn.stand.formed and PARKED not in turn.stand.running.notes


def _replacing(turn: Turn) -> Replacing:
    others = Others(turn)
    return Replacing(turn, others, Anew(turn, others))


@dataclass(frozen=True, slots=True)
class Replacing:
    """Decides the next step of one service."""

    turn: Turn
    _others: Others
    _anew: Anew

    def next(self) -> Step | None:
        """The next step."""
        begun = self._begun()
        if begun is not None:
            return self._anew.go_on(*begun) if self._others.rest_serves(begun[0]) else None
        if bereft := self._anew.without_its_claim():
            return bereft
        found = losses(self.turn.service, self.turn.stand, self.turn.look)
        for one in found:
            if one.fate == "release" and one.pod is not None:
                return self._anew.release(one, one.pod)
        loss = next((one for one in found if one.fate == "replace"), None) or self._without_its_data()
        if loss is None or loss.claim is None or not self._others.rest_serves(loss.member):
            return self._counts()
        return self._one_at_a_time(loss.member, found) or self._anew.begin(loss, loss.claim)

    def waits(self) -> Step | None:
        """What is waited for; None where nobody is away."""
        begun = self._begun()
        if begun is not None and not self._others.rest_serves(begun[0]):
            return step("wait", begun[0], f"its volume is gone; {self._needs(begun[0])}")
        found = losses(self.turn.service, self.turn.stand, self.turn.look)
        gone = [one for one in found if one.fate == "replace"]
        if gone and len(gone) > self._others.spare():
            several = "; ".join(f"{one.member}: {one.why}" for one in gone)
            why = f"{several}: what is left cannot make it anew; restore a backup into a new service"
            return step("wait", gone[0].member, why, blocked="DataLost")
        away = [one for one in found if one.fate == "await"]
        if gone:
            beside = f"; {self._word(away)}" if away else ""
            return step("wait", gone[0].member, f"{gone[0].why}; {self._needs(gone[0].member)}{beside}")
        if away:
            return step("wait", away[0].member, self._word(away), blocked="NodeAway")
        return None

    # --- whether -------------------------------------------------------------------------------------------------

    def _begun(self) -> tuple[str, Object] | None:
        """The member that is being made anew, and its old claim."""
        service, stand = self.turn.service, self.turn.stand
        for ordinal in range(min(stand.replicas, service.members)):
            claim = self.turn.look.get("PersistentVolumeClaim", service.namespace, claim_name(service, ordinal))
            if claim is not None and LOST in mapping_of(metadata_of(claim), "annotations"):
                return service.member(ordinal), claim
        return None

    def _one_at_a_time(self, member: str, found: Sequence[Loss]) -> Step | None:
        """Whom is waited for before a member is made anew; None where no other one is on its way."""
        if not self.turn.driver.listed:
            away = sorted({*self.turn.away(self._others.of(member))} - {one.member for one in found})
            why = f"{', '.join(away)} must serve before {member} is made anew: one member at a time"
            return step("wait", away[0], why) if away else None
        peers = self._others.peers(member)
        if peers is None:
            return step("wait", member, "no member gives the engine's list of members")
        learner = next((peer.name for peer in peers if peer.learner and peer.name != member), "")
        return self._anew.promote(learner) if learner else None

    def _without_its_data(self) -> Loss | None:
        """A member that runs and is another one than the list has: it has lost what it was, and cannot know it."""
        service, stand, driver = self.turn.service, self.turn.stand, self.turn.driver
        strange = [seen for seen in stand.seen.values() if seen.healthy is False and seen.identity] if driver.listed else []
        for seen in strange:
            if seen.name not in service.names(min(stand.replicas, service.members)) or not self._others.rest_serves(
                seen.name
            ):
                continue
            entry = next((one for one in self._others.peers(seen.name) or () if one.name == seen.name), None)
            if entry is None or not entry.identity or entry.identity == seen.identity:
                continue
            ordinal = service.names(stand.replicas).index(seen.name)
            claim = self.turn.look.get("PersistentVolumeClaim", service.namespace, claim_name(service, ordinal))
            why = f"it runs without its data: it is {seen.identity}, and the engine's list has {entry.identity}"
            return Loss(seen.name, ordinal, "replace", why, claim=claim, pod=stand.pods.get(seen.name))
        return None

    def _counts(self) -> Step | None:
        """A member that was made anew gets its vote as one that is added does; it is said what for."""
        before = self.turn.status.operation
        if before is None or before.kind != "Replace" or not before.member or not self.turn.driver.listed:
            return None
        entry = next((peer for peer in self._others.peers(before.member) or () if peer.name == before.member), None)
        return self._anew.promote(before.member) if entry is not None and entry.learner else None

    # --- words ---------------------------------------------------------------------------------------------------

    def _needs(self, member: str) -> str:
        serving, count = len(self._others.serving(member)), len(self._others.of(member))
        lead = ", one of them leading" if not self.turn.driver.listed and self.turn.driver.leaders else ""
        return f"it is made anew from the others once {self._others.least(member)} of {count} serve{lead}; {serving} do"

    def _word(self, away: Sequence[Loss]) -> str:
        several = "; ".join(f"{one.member}: {one.why}" for one in away)
        commands = "; ".join(dict.fromkeys(one.command for one in away))
        return f"{several}: nothing is touched while it may come back; {self._then(away)}: {commands}"

    def _then(self, away: Sequence[Loss]) -> str:
        if len(away) > self._others.spare():
            return "if it never does its data is lost, and a backup has to be restored into a new service; to say so"
        return "if it never does, say so, and its member is made anew"
