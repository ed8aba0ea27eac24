"""Another version: one hop of the engine's own path at a time, begun where nothing has to be waited for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final

from stateward.operator.objects.common import VERSION
from stateward.operator.observe import BEGUN, CARRY, FAILED, FINALISED, IMAGE, PARKED, PREVIOUS, PREVIOUS_IMAGE, UPGRADED
from stateward.operator.operations import members
from stateward.operator.operations.hops import Leg, NoWayError, forward, major, next_hop, same, series, why_not_back
from stateward.operator.operations.rolling import window
from stateward.operator.operations.upgrading import Upgrading
from stateward.operator.step import Kind, Step
from stateward.operator.turn import Turn
from stateward.policies import times

BACKUP_AGE: Final = timedelta(days=1)
"""How old a backup may be that is the only way back."""


def upgrade(turn: Turn) -> Step | None:
    """Begins the next hop; None where what is wanted runs, or the last one is not finished."""
    beginning = Beginning(turn)
    return beginning.begun() if turn.stand.formed and not beginning.previous else None


@dataclass(frozen=True, slots=True)
class Beginning(Upgrading):
    """Decides the next step of one service."""

    def begun(self) -> Step | None:
        """The next hop, if it may begin now."""
        turn = self.turn
        if same(self.wanted, self.running):
            return self._settled()
        if self.note(FAILED) == self.attempt():
            why = (
                f"version: {self.wanted}: its members did not come up, and all are back at {self.running}; "
                f"set version to another one, or to {self.running} and then here again"
            )
            return self.step("wait", "", why, blocked="UpgradeRolledBack", yields=True)
        if not forward(self.running, self.wanted):
            return self._downwards()
        try:
            leg = next_hop(turn)
        except NoWayError as error:
            return self.step("wait", "", str(error), blocked="NoWay", yields=True)
        if refused := self._refused(leg):
            return self.step("wait", "", refused[1], blocked=refused[0], yields=True)
        if (until := self.soaks()) and series(turn.service.engine, leg.target) != self.note(FINALISED):
            why = f"{self.running} runs on all members until {until:%Y-%m-%dT%H:%M:%SZ}, before it goes on: {leg.way}"
            return self.step("soak", "", why, yields=True, change=(self.running, self.wanted))
        return self._go(leg.target, f"the hop to {leg.target} begins ({leg.way})", "Upgrade")

    def _settled(self) -> Step | None:
        """It runs what is wanted: that an attempt failed once is forgotten, so that it may be tried again."""
        if not self.note(FAILED):
            return None
        why = f"version: {self.wanted} is what runs: the failed upgrade is forgotten"
        return self.step("forget", "", why, lambda: self.turn.hand.note({FAILED: None}))

    def _downwards(self) -> Step:
        if unsafe := why_not_back(self.turn, self.wanted):
            return self.no_way_back(unsafe)
        return self._go(self.wanted, f"back from {self.running}, which reads and writes the same data", "Rollback")

    def _refused(self, leg: Leg) -> tuple[str, str] | None:
        """Why a hop that leads there may not begin, and what to do."""
        turn, majors = self.turn, self.turn.service.upgrade.majors
        hop = f"version: {self.wanted}: {self.running} → {leg.target}"
        is_major = major(self.running, leg.target)
        ways = sorted(turn.driver.carries) or ["InPlace"]
        if is_major and majors == "Refuse":
            why = f"{hop} is another major, and upgrade.majors says Refuse"
            return "MajorRefused", f"{why}; take a backup, then set upgrade.majors to {ways[0]}, or set version back"
        if is_major and majors not in ways:
            why = f"{hop}: upgrade.majors: {majors}: nobody here does that for {turn.service.engine}"
            return "NotCarriedOut", f"{why}; set it to {ways[0]}, or restore a backup into a new service"
        rises = series(turn.service.engine, self.running) != series(turn.service.engine, leg.target)
        if (is_major or (leg.row.one_way and rises)) and (missing := self._no_backup()):
            why = f"{hop} cannot be undone, and {missing}"
            return (
                "NoFreshBackup",
                f"{why}; make a ServiceBackup of {turn.service.name} and wait until its condition Verified is True",
            )
        return None

    def _no_backup(self) -> str:
        """What is wrong with the last backup; "" where it is one that leads back."""
        backup = self.turn.status.backup
        last = backup.last if backup is not None else None
        if last is None:
            return "there is no backup"
        age = self.turn.now - last.time
        if age > BACKUP_AGE:
            return f"the last backup, {last.name}, is {times.ago(age.total_seconds())} old"
        engine = self.turn.service.engine
        if last.version and series(engine, last.version) != series(engine, self.running):
            return f"the last backup, {last.name}, is of {last.version}"
        return "" if last.verified is not None else f"the last backup, {last.name}, was never read back and checked"

    def _go(self, target: str, why: str, kind: Kind) -> Step:
        """Begins a hop, where nothing has to be waited for."""
        turn, stand = self.turn, self.turn.stand
        change = (self.running, target)
        if turn.service.upgrade.paused:
            why = f"upgrade.paused: true; set it to false to begin: {why}"
            return self.step("paused", "", why, kind=kind, change=change, yields=True)
        wait = window(turn)
        if wait is not None:
            blocked = "BadWindow" if wait[1] < 0 else ""
            message = f"{wait[0]}; then {why}"
            return self.step(
                "window", "", message, kind=kind, change=change, blocked=blocked, yields=True, again=abs(wait[1])
            )
        away = [name for name in turn.service.names(stand.replicas) if not members.serves(turn, name)]
        if away:
            why = f"{', '.join(away)} must serve before the version is changed"
            return self.step("wait", away[0], why, kind=kind, change=change)
        notes: dict[str, str | None] = {
            VERSION: target,
            IMAGE: self.image(target),
            PREVIOUS: self.running,
            PREVIOUS_IMAGE: stand.running.image,
            UPGRADED: None,
            FAILED: None,
            BEGUN: None,
            **self.parking(),
            **self._carrying(target),
        }
        return self.step("begin", "", why, lambda: turn.hand.note(notes), kind=kind, change=change)

    def _carrying(self, target: str) -> dict[str, str | None]:
        """Where the driver carries the data over to another major, all members stop for it."""
        turn = self.turn
        if not major(self.running, target) or turn.service.upgrade.majors not in turn.driver.carries:
            return {}
        return {PARKED: "true", CARRY: f"{turn.now.astimezone(UTC):%y%m%d%H%M%S} look"}
