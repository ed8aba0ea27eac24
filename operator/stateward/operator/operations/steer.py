"""Changes the course of a change of version that is under way: back, or on to another patch of the same series."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from stateward.operator.objects.common import VERSION
from stateward.operator.observe import BEGUN, FAILED, IMAGE, PREVIOUS, PREVIOUS_IMAGE, UPGRADED
from stateward.operator.operations import members
from stateward.operator.operations.hops import NoWayError, forward, next_hop, same, series, why_not_back
from stateward.operator.operations.rolling import stuck
from stateward.operator.operations.upgrading import Upgrading
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies.waiver import WAIVE

_WAIVED: Final = timedelta(minutes=15)


def steer(turn: Turn) -> Step | None:
    """Back to what members run still, or on to a later patch of the same series.

    A service that was never founded takes another version at once: there is nothing yet that could be lost.
    """
    steering = Steering(turn)
    if not turn.stand.formed:
        return steering.unfounded()
    return steering.steered() if steering.previous else None


@dataclass(frozen=True, slots=True)
class Steering(Upgrading):
    """Decides the next step of one service."""

    def unfounded(self) -> Step | None:
        """Before the members have founded their cluster."""
        turn, running = self.turn, self.running
        if self.wanted == running or not turn.stand.exists:
            return None
        pods = turn.stand.pods.values()
        change = ("", f"{turn.service.engine} {self.wanted}")
        if any(members.started(pod) for pod in pods) or any(one.healthy is not None for one in turn.stand.seen.values()):
            unsafe = self._why_not_at_once()
            if unsafe:
                why = f"version: {self.wanted}: members have begun with {running}: {unsafe}; set it back until they serve"
                return Step("Create", "version", "", why, change=change, blocked="NoWay")
        why = f"{self.wanted} instead of {running}: no member has founded anything yet"
        notes = {VERSION: self.wanted, IMAGE: self.image(self.wanted)}
        return Step("Create", "version", "", why, lambda: turn.hand.note(notes), change)

    def _why_not_at_once(self) -> str:
        """Why members that have written something cannot go on with the version that is wanted."""
        if forward(self.wanted, self.running):
            return why_not_back(self.turn, self.wanted)
        try:
            leg = next_hop(self.turn)
        except NoWayError as error:
            return str(error)
        return "" if leg.target == self.wanted else f"{leg.way} is more than one hop"

    def steered(self) -> Step | None:
        """While members are between two versions."""
        turn, previous = self.turn, self.previous
        upwards = forward(previous, self.running)
        if upwards and self._past():
            why = f"members have run {self.running}, and none runs {previous} any more"
            return self.step("begun", "", why, lambda: turn.hand.note({BEGUN: "true"}))
        if upwards and not same(self.wanted, self.running) and same(self.wanted, previous):
            if unsafe := why_not_back(turn, previous):
                return self.no_way_back(unsafe)
            return self.back(f"version: {self.wanted}: the upgrade to {self.running} is taken back")
        if self._other_patch(upwards):
            why = f"version: {self.wanted}: members go there instead of {self.running}"
            notes = {VERSION: self.wanted, IMAGE: self.image(self.wanted), UPGRADED: None}
            return self.step("version", "", why, lambda: turn.hand.note(notes))
        if upwards and turn.service.upgrade.on_failure == "Rollback" and (member := stuck(turn)):
            if why_not_back(turn, previous):
                return None  # it stays where it is, and says so
            why = f"{member}: {members.why_away(turn, member)}: back to {previous} (upgrade.onFailure: Rollback)"
            return self.back(why, failed=True)
        return None

    def _past(self) -> bool:
        """Whether members have run the newer version by now, and none of the older one is left: it is noted once."""
        turn = self.turn
        made = {name: turn.made_with(name) for name in turn.service.names(turn.stand.replicas) if name in turn.stand.pods}
        if self.note(BEGUN) or any(same(version, self.previous) for version in made.values()):
            return False
        return any(members.ran(turn.stand.pods[name]) for name, version in made.items() if same(version, self.running))

    def _other_patch(self, upwards: bool) -> bool:
        """Whether another release of the series that members are on their way to is wanted by now."""
        engine = self.turn.service.engine
        return (
            upwards
            and not same(self.wanted, self.running)
            and series(engine, self.wanted) == series(engine, self.running)
            and forward(self.previous, self.wanted)
        )

    def back(self, why: str, failed: bool = False) -> Step:
        """To the version that it comes from. `failed`: by itself, and it is not tried again."""
        turn, previous = self.turn, self.previous
        image = self.note(PREVIOUS_IMAGE) or turn.driver.container(previous).image
        going: dict[str, str | None] = {
            VERSION: previous,
            IMAGE: image,
            PREVIOUS: self.running,
            PREVIOUS_IMAGE: turn.stand.running.image,
            UPGRADED: None,
            BEGUN: None,
            # The door knows the service alone, which asks for the newer version still.
            WAIVE: f'SW301 until={turn.now + _WAIVED:%Y-%m-%dT%H:%M:%SZ} reason="back from {self.running}"',
            **self.parking(),
            **self.carrying_back(),
            FAILED: self.attempt() if failed else None,
        }
        return self.step("back", "", why, lambda: turn.hand.note(going), kind="Rollback", change=(self.running, previous))
