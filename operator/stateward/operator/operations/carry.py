"""Another major by stages that the engine's driver knows, while no member runs: each is Jobs on the volumes of members.

How far it is stands in one note (CARRY), which is written when a stage has come to its end; what a Job has done it finds
done when it is made again. The data that was there stays until the upgrade is final, and as long as no member has run with
the new one all of it is taken back by setting the version back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from stateward.operator.drivers.protocol import Place, Result, Stage
from stateward.operator.objects import chores
from stateward.operator.objects.common import VERSION
from stateward.operator.observe import CARRY, IMAGE, PARKED, PREVIOUS, PREVIOUS_IMAGE, claim_name, claim_names
from stateward.operator.operations.steer import Steering
from stateward.operator.operations.upgrading import Upgrading
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

_UNDONE: Final[tuple[Stage, ...]] = ("look", "carry", "swap")
_BACK: Final = ("back", "undo", "undone")
_SAYING: Final = {
    "look": "how far the data of each member reaches is read",
    "carry": "its data is carried over: new data is made beside it, on its volume",
    "swap": "the new data takes the place of the old, which stays beside it; other members will start from its member",
    "back": "the old data takes its place again",
    "tidy": "the old data goes",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """What the note says."""

    attempt: str
    stage: Stage | str
    """`kept`: members run with the new data, and the old is there still. `undo`: back from there. `undone`, `clear`: only
    Jobs are left."""
    member: str = ""
    """Whose data is carried over."""
    old: str = ""
    new: str = ""
    """What the engine calls the data of before and after."""

    @property
    def text(self) -> str:
        """As it is noted."""
        return " ".join((self.attempt, self.stage, self.member, self.old, self.new)).strip()


def progress(text: str) -> Progress | None:
    """What is noted; None where nothing is."""
    words = text.split()
    return Progress(*words[:5]) if len(words) > 1 else None


def carry(turn: Turn) -> Step | None:
    """The next step while no member runs; None where no data is being carried over, or members run still."""
    noted = progress(turn.stand.running.notes.get(CARRY, ""))
    if noted is None or PARKED not in turn.stand.running.notes or turn.stand.pods:
        return None
    carrying = Carrying(turn, noted)
    return carrying.next() if turn.hand.rests() else carrying.waits()


def tidy(turn: Turn) -> Step | None:
    """The next step of letting the old data go, as the upgrade is made final; None where it is gone."""
    noted = progress(turn.stand.running.notes.get(CARRY, ""))
    return Carrying(turn, noted).tidied() if noted is not None else None


@dataclass(frozen=True, slots=True)
class Carrying:
    """Decides the next step of one service."""

    turn: Turn
    noted: Progress

    def next(self) -> Step | None:
        """The next step."""
        stage = self.noted.stage
        if stage == "undo" and not self.turn.hand.stored(self.turn.driver.unled(self._place())):
            return self._onwards()
        if stage in ("back", "undo"):
            return self._back()
        if stage == "undone":
            return self._cleared(("back",)) or self._restart()
        if stage == "look":
            return self._work("look", self._members()) or self._source()
        if stage == "carry":
            return self._work("carry", [self.noted.member]) or self._carried()
        if stage == "swap":
            return self._work("swap", self._members()) or self._stored(self.noted.new) or self._start()
        return None

    def waits(self) -> Step:
        """Before anything is done to a volume."""
        return self._step("stop", "", "no member may run while its volume is worked on")

    def tidied(self) -> Step | None:
        """The next step of the end."""
        if self.noted.stage == "clear":
            return self._cleared((*_UNDONE, "tidy"))
        noted = replace(self.noted, stage="clear")
        return self._work("tidy", self._members()) or self._note("tidied", "", "the old data is gone", noted)

    # --- what stages come to -------------------------------------------------------------------------------------

    def _source(self) -> Step:
        said = {member: self._said("look", member) for member in self._members()}
        if lost := next((member for member, text in said.items() if not text), ""):
            return self._again("look", lost)
        found = self.turn.driver.source(said)
        if not found.member:
            return self._failed("", found.reason)
        noted = replace(self.noted, stage="carry", member=found.member, old=found.word)
        return self._note("chosen", found.member, "its data is the latest: it is carried over", noted)

    def _carried(self) -> Step:
        word = self._said("carry", self.noted.member).strip()
        if not word or " " in word:
            return self._again("carry", self.noted.member)
        noted = replace(self.noted, stage="swap", new=word)
        return self._note("carried", self.noted.member, "all of its data is carried over, and compared", noted)

    def _start(self) -> Step:
        noted = replace(self.noted, stage="kept")
        why = f"all members start, with {self.turn.stand.running.image}"
        return self._step("start", "", why, lambda: self.turn.hand.note({PARKED: None, CARRY: noted.text}))

    def _back(self) -> Step | None:
        hand = self.turn.hand
        for stage in _UNDONE:
            for member in self._members():
                job = hand.job(self._name(stage, member))
                if job is not None:
                    gone = "deletionTimestamp" in metadata_of(job)
                    why = "what was begun with its volume ends first"
                    return self._step("stop", member, why, None if gone else lambda job=job: hand.drop(job))  # type: ignore[misc]
        if step := self._work("back", self._members()):
            return step
        if self.noted.old and (step := self._stored(self.noted.old)):
            return step
        return self._note("undone", "", "all data is as it was", replace(self.noted, stage="undone"))

    def _restart(self) -> Step:
        why = f"all members start again, with {self.turn.stand.running.image}"
        return self._step("start", "", why, lambda: self.turn.hand.note({PARKED: None, CARRY: None}))

    def _cleared(self, stages: tuple[Stage, ...]) -> Step | None:
        """Jobs that are done go: as long as their pods are there, no claim that they used can go. None where they have."""
        hand = self.turn.hand
        found = (hand.job(self._name(stage, member)) for stage in stages for member in self._members())
        jobs = [job for job in found if job is not None and "deletionTimestamp" not in metadata_of(job)]

        def act() -> Result:
            for job in jobs:
                hand.drop(job)
            return Result("done")

        return self._step("clear", "", f"{len(jobs)} Jobs that are done go", act) if jobs else None

    def _onwards(self) -> Step:
        """A member has led with the new data since it was told to go back: what was written then is there alone."""
        (old, old_image), (new, image) = self._versions()
        notes = {
            VERSION: new,
            IMAGE: image,
            PREVIOUS: old,
            PREVIOUS_IMAGE: old_image,
            PARKED: None,
            CARRY: replace(self.noted, stage="kept").text,
        }
        why = f"a member has led with {new} meanwhile: nothing goes back, for what was written since would be lost"
        return self._step("onwards", "", why, lambda: self.turn.hand.note(notes))

    def _stored(self, word: str) -> Step | None:
        """What the engine has noted of itself is exchanged; None where it is."""
        for store in self.turn.driver.stores(self._place(), word):
            if not self.turn.hand.stored(store):
                why = f"ConfigMap {store.name} is to tell of the data that there is now"
                return self._step("store", "", why, lambda store=store: self.turn.hand.store(store))  # type: ignore[misc]
        return None

    # --- Jobs ----------------------------------------------------------------------------------------------------

    def _work(self, stage: Stage, members: list[str]) -> Step | None:
        """Has the Jobs of a stage done; None where all are."""
        jobs = []
        for member in members:
            job = self.turn.hand.job(self._name(stage, member))
            if job is None:
                return self._step(stage, member, _SAYING[stage], lambda member=member: self._make(stage, member))  # type: ignore[misc]
            jobs.append((member, job))
        first: Step | None = None
        for member, job in jobs:
            ended = self.turn.hand.ended(job)
            if ended.state == "failed":
                return self._failed(member, ended.reason, self._name(stage, member))
            if ended.state == "running":
                first = first or self._step(stage, member, f"{_SAYING[stage]} ({member}: {ended.reason})")
        return first

    def _said(self, stage: Stage, member: str) -> str:
        """The word of a Job's last container; "" where it is gone."""
        job = self.turn.hand.job(self._name(stage, member))
        pod = mapping_of(mapping_of(mapping_of(job, "spec"), "template"), "spec") if job is not None else {}
        last = [text_of(one, "name") for one in items_of(pod, "containers")][-1:]
        return self.turn.hand.ended(job).said.get(last[0], "") if job is not None and last else ""

    def _make(self, stage: Stage, member: str) -> Result:
        turn, (old, new) = self.turn, self._versions()
        place, leads = self._place(), member == self.noted.member
        chore = turn.driver.chore(stage, place, old[0], leads, self.noted.attempt)
        container = turn.driver.container(new[0], turn.stand.running.tls)
        beside = member if member in turn.stand.pods else ""
        claims = claim_names(turn.service, turn.stand.running, self._ordinal(member))
        name = self._name(stage, member)
        return turn.hand.begin(chores.job(turn.service, container, chore, (old[1], new[1]), name, claims, beside))

    def _again(self, stage: Stage, member: str) -> Step:
        """What a Job has said is gone with its pod: it is made again, and finds its work done."""
        job: Object | None = self.turn.hand.job(self._name(stage, member))
        why = "what its Job has said is gone with its pod; it is made again"
        act: Callable[[], Result] | None = None
        if job is not None and "deletionTimestamp" not in metadata_of(job):
            act = lambda: self.turn.hand.drop(job)  # noqa: E731
        return self._step(stage, member, why, act)

    def _failed(self, member: str, reason: str, job: str = "") -> Step:
        turn, previous = self.turn, self.turn.stand.running.notes.get(PREVIOUS, "")
        where = f"{member}: " if member else ""
        if self.noted.stage in _UNDONE and turn.service.upgrade.on_failure == "Rollback":
            return Steering(turn).back(f"{where}{reason}: back to {previous} (upgrade.onFailure: Rollback)", failed=True)
        again = f"mend it and delete Job {job}" if job else "mend it"
        way = f"set version back to {previous}, or {again}" if self.noted.stage in _UNDONE else again
        why = f"{where}{reason}; the data of before is as it was; {way}"
        return self._step(str(self.noted.stage), member, why, blocked="CarryFailed")

    # --- its parts -----------------------------------------------------------------------------------------------

    def _versions(self) -> tuple[tuple[str, str], tuple[str, str]]:
        """(version, image) of before and after, whichever way it goes now."""
        running, notes = self.turn.stand.running, self.turn.stand.running.notes
        now, other = (running.version, running.image), (notes.get(PREVIOUS, ""), notes.get(PREVIOUS_IMAGE, ""))
        return (now, other) if self.noted.stage in _BACK else (other, now)

    def _place(self) -> Place:
        return replace(self.turn.place(), version=self._versions()[1][0])

    def _members(self) -> list[str]:
        """Those that have a volume."""
        turn = self.turn
        return [
            member
            for ordinal, member in enumerate(turn.members())
            if turn.look.get("PersistentVolumeClaim", turn.service.namespace, claim_name(turn.service, ordinal)) is not None
        ]

    def _ordinal(self, member: str) -> int:
        return self.turn.members().index(member)

    def _name(self, stage: str, member: str) -> str:
        return f"{self.turn.service.name[:30].rstrip('-.')}-{self.noted.attempt}-{stage}-{self._ordinal(member)}"

    def _note(self, name: str, member: str, why: str, noted: Progress) -> Step:
        return self._step(name, member, why, lambda: self.turn.hand.note({CARRY: noted.text}))

    def _step(
        self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, blocked: str = ""
    ) -> Step:
        more = {"kind": "Finalise", "change": self._ends()} if self.noted.stage in ("kept", "clear") else {}
        return Upgrading(self.turn).step(name, member, message, act, blocked=blocked, **more)

    def _ends(self) -> tuple[str, str]:
        (old, _), (new, _) = self._versions()
        return old, new
