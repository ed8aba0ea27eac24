"""The member that leads hands over to another because somebody asks for it: before its node is drained, or to try it.

Who led when it was asked is noted before anything is done: whoever takes over after a crash then sees whether it was
done, and nobody hands over twice for one request.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from stateward.operator.drivers.protocol import Result
from stateward.operator.observe import SWITCHED, SWITCHING
from stateward.operator.operations import members
from stateward.operator.step import Step
from stateward.operator.turn import Turn

PATIENCE: Final = timedelta(minutes=5)
"""How long it is waited for that a member hands over."""


def switchover(turn: Turn) -> Step | None:
    """What was asked for, until another member leads."""
    value = turn.service.switchover
    if not value or value == turn.stand.running.notes.get(SWITCHED, "") or not turn.stand.formed:
        return None
    return Switching(turn, value).next()


@dataclass(frozen=True, slots=True)
class Switching:
    """Decides the next step of one request."""

    turn: Turn
    value: str

    def next(self) -> Step:
        """The next step."""
        turn = self.turn
        if why := self._never():
            return self._ends(f"{self.value} asked for another to lead, and nothing is done: {why}")
        leading = [name for name in turn.members() if self._leads(name)]
        if len(leading) != 1:
            several = f"{' and '.join(leading)} say that they lead" if leading else "no member says that it leads"
            return self._step("wait", "", f"{several}; one has to, before it hands over", yields=True)
        before, leader = self._noted(), leading[0]
        if before and leader != before:
            return self._ends(f"{leader} leads instead of {before}: what {self.value} asked for is done")
        if why := self._alone(leader):
            return self._step("wait", leader, f"it leads, and nobody can take over yet: {why}", yields=True)
        if not before:
            why = f"it leads, and is to hand over: {self.value} asks for it"
            return self._step("note", leader, why, lambda: turn.hand.note({SWITCHING: f"{leader} {self.value}"}))
        return self._hand_over(leader)

    def _never(self) -> str:
        """Why nobody can ever hand over; "" where that can be."""
        if not self.turn.driver.hands_over:
            return f"no member of {self.turn.service.engine} leads the others by its own word"
        return "there is no other member" if len(self.turn.members()) < 2 else ""

    def _leads(self, member: str) -> bool:
        seen = self.turn.stand.seen.get(member)
        return seen is not None and seen.healthy is True and seen.role in self.turn.driver.leaders

    def _noted(self) -> str:
        """The member that led when this request was taken up; "" where it was not yet."""
        member, _, value = self.turn.stand.running.notes.get(SWITCHING, "").partition(" ")
        return member if value == self.value else ""

    def _alone(self, leader: str) -> str:
        """Why none of the others can take over; "" where one serves and is near enough."""
        found = {name: self._unfit(name) for name in self.turn.members() if name != leader}
        return "" if not all(found.values()) else ", ".join(f"{name} ({why})" for name, why in found.items())

    def _unfit(self, member: str) -> str:
        if not members.serves(self.turn, member):
            return members.why_away(self.turn, member)
        return members.behind(self.turn, member)

    def _hand_over(self, leader: str) -> Step:
        turn = self.turn
        place, long = turn.place(), turn.since("switchover", leader) > PATIENCE
        why = "it leads, and hands over"
        if long:
            minutes = int(PATIENCE.total_seconds() // 60)
            why = (
                f"{leader}: it leads, and has not handed over for {minutes} minutes; it is told again; "
                "take the annotation stateward.dev/switchover off to let it be"
            )
        return self._step(
            "switchover",
            leader,
            why,
            lambda: turn.driver.switchover(leader, turn.serving(), place),
            blocked="SwitchoverFailed" if long else "",
        )

    def _ends(self, message: str) -> Step:
        return self._step("finish", "", message, lambda: self.turn.hand.note({SWITCHED: self.value, SWITCHING: None}))

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        return Step("Switchover", name, member, message, act, ("", self.value), **more)
