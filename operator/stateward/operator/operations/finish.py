"""The end of a hop: all members run its version, it soaks, it is made final."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Final

from stateward.operator.drivers.protocol import Result
from stateward.operator.observe import BEGUN, CARRY, FINALISED, PREVIOUS, PREVIOUS_IMAGE, UPGRADED
from stateward.operator.operations import members
from stateward.operator.operations.carry import tidy
from stateward.operator.operations.hops import forward, series
from stateward.operator.operations.rolling import Rolling
from stateward.operator.operations.upgrading import Upgrading
from stateward.operator.step import Step
from stateward.operator.turn import Turn

_LATEST: Final = 60.0


def finish(turn: Turn) -> Step | None:
    """Ends a hop that all members have made; None where none is under way."""
    finishing = Finishing(turn)
    if not turn.stand.formed or not finishing.previous:
        return None
    return finishing.finalised() if finishing.note(UPGRADED) else finishing.ended()


@dataclass(frozen=True, slots=True)
class Finishing(Upgrading):
    """Decides the next step of one service."""

    def ended(self) -> Step | None:
        """All members run the version that the hop leads to: that is noted, and what follows from it."""
        turn, stand = self.turn, self.turn.stand
        if Rolling(turn).stale:
            return None
        names = turn.service.names(stand.replicas)
        away = [name for name in names if not members.serves(turn, name)]
        if away:
            return self.step("wait", away[0], f"{', '.join(away)} must serve before it is done")
        why = f"all members run {self.running}"
        now = f"{turn.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        upwards = forward(self.previous, self.running)
        notes: dict[str, str | None] = {UPGRADED: now if upwards else None}
        if not (upwards and (turn.driver.finalises or self.note(CARRY)) and self._rises()):
            # Nothing is to be made final: the engine takes the data over by itself, or did not change it.
            notes |= {PREVIOUS: None, PREVIOUS_IMAGE: None, BEGUN: None, FINALISED: self._level()}
        return self.step("done", "", why, lambda: turn.hand.note(notes))

    def _level(self) -> str:
        """What the data is finalised at by now: never less than before."""
        before, now = self.note(FINALISED), series(self.turn.service.engine, self.running)
        return before if before and forward(now, before) else now

    def _rises(self) -> bool:
        return self.note(FINALISED) != series(self.turn.service.engine, self.running)

    def finalised(self) -> Step | None:
        """The soak, and the command that makes the new version final."""
        turn = self.turn
        level, change = series(turn.service.engine, self.running), (self.previous, self.running)
        if left := self.soaks():
            until = "the data of before is kept until then" if self.note(CARRY) else "or goes back before"
            why = f"{self.running} runs on all members; it is finalised at {left:%Y-%m-%dT%H:%M:%SZ}, {until}"
            again = max(1.0, min(_LATEST, (left - turn.now).total_seconds()))
            return self.step("soak", "", why, kind="Finalise", change=change, yields=True, again=again)
        if turn.service.upgrade.finalise == "Manual":
            why = f"{self.running} has run on all members; it is finalised once upgrade.finalise says Automatic"
            return self.step("confirm", "", why, kind="Finalise", change=change, yields=True, again=_LATEST)
        if away := turn.away(turn.service.names(turn.stand.replicas)):
            why = f"{', '.join(away)} must serve before it is finalised"
            return self.step("wait", away[0], why, kind="Finalise", change=change)
        if going := tidy(turn):
            return going
        place = turn.place()

        def act() -> Result:
            result = turn.driver.finalise(self.running, turn.serving(), place)
            notes = {FINALISED: level, PREVIOUS: None, PREVIOUS_IMAGE: None, BEGUN: None}
            if self.note(CARRY):
                notes[CARRY] = None
            return turn.hand.note(notes) if result.outcome == "done" else result

        why = f"the data becomes that of {level} for good: older members cannot read it any more"
        return self.step("finalise", "", why, act, kind="Finalise", change=change)
