"""Another version: one hop of the engine's own path at a time, then a soak, then what makes it final.

A hop is a note on the StatefulSet (`observe.VERSION`): from then on its template is of the new version, and `rolling`
replaces the members. The note PREVIOUS stands as long as the hop is not finished, and says where the way back leads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from stateward.operator import schedule
from stateward.operator.drivers.protocol import Result
from stateward.operator.objects.common import VERSION
from stateward.operator.observe import FAILED, FINALISED, IMAGE, PARKED, PREVIOUS, PREVIOUS_IMAGE, UPGRADED
from stateward.operator.operations import members
from stateward.operator.operations.hops import Leg, NoWayError, forward, major, next_hop, same, series, why_not_back
from stateward.operator.operations.rolling import Rolling, stuck, window
from stateward.operator.step import Kind, Step
from stateward.operator.turn import Turn
from stateward.policies import times

BACKUP_AGE: Final = timedelta(days=1)
"""How old a backup may be that is the only way back."""
_LATEST: Final = 60.0


def steer(turn: Turn) -> Step | None:
    """Changes the course of what is under way: back to what members run still, or on to a later patch of the same series.

    A service that was never founded takes another version at once: there is nothing yet that could be lost.
    """
    upgrading = Upgrading(turn)
    if not turn.stand.formed:
        return upgrading.unfounded()
    return upgrading.steered() if upgrading.previous else None


def upgrade(turn: Turn) -> Step | None:
    """Ends a hop that all members have made, and begins the next; None where all run what is wanted, for good."""
    upgrading = Upgrading(turn)
    return (upgrading.ended() or upgrading.finalised() or upgrading.begun()) if turn.stand.formed else None


@dataclass(frozen=True, slots=True)
class Upgrading:
    """Decides the next step of one service."""

    turn: Turn

    @property
    def running(self) -> str:
        """The version that pods are made with now."""
        return self.turn.stand.running.version

    @property
    def wanted(self) -> str:
        """The version that is asked for."""
        return self.turn.service.version

    @property
    def previous(self) -> str:
        """The version that it comes from, as long as the change is not finished."""
        return self.turn.stand.running.notes.get(PREVIOUS, "")

    def note(self, name: str) -> str:
        """What is noted on the StatefulSet; "" for nothing."""
        return self.turn.stand.running.notes.get(name, "")

    # --- on the way ----------------------------------------------------------------------------------------------

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
        notes = {VERSION: self.wanted, IMAGE: self._image(self.wanted)}
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
        if upwards and not same(self.wanted, self.running) and same(self.wanted, previous):
            if unsafe := why_not_back(turn, previous):
                return self._no_way_back(unsafe)
            return self._back(f"version: {self.wanted}: the upgrade to {self.running} is taken back", {FAILED: None})
        if self._other_patch(upwards):
            why = f"version: {self.wanted}: members go there instead of {self.running}"
            notes = {VERSION: self.wanted, IMAGE: self._image(self.wanted), UPGRADED: None}
            return self._step("version", "", why, lambda: turn.hand.note(notes))
        if upwards and turn.service.upgrade.on_failure == "Rollback" and (member := stuck(turn)):
            if why_not_back(turn, previous):
                return None  # it stays where it is, and says so
            why = f"{member}: {members.why_away(turn, member)}: back to {previous} (upgrade.onFailure: Rollback)"
            return self._back(why, {FAILED: self._attempt()})
        return None

    def _other_patch(self, upwards: bool) -> bool:
        """Whether another release of the series that members are on their way to is wanted by now."""
        engine = self.turn.service.engine
        return (
            upwards
            and not same(self.wanted, self.running)
            and series(engine, self.wanted) == series(engine, self.running)
            and forward(self.previous, self.wanted)
        )

    def _back(self, why: str, notes: dict[str, str | None]) -> Step:
        turn, previous = self.turn, self.previous
        image = self.note(PREVIOUS_IMAGE) or turn.driver.container(previous).image
        going: dict[str, str | None] = {
            VERSION: previous,
            IMAGE: image,
            PREVIOUS: self.running,
            PREVIOUS_IMAGE: turn.stand.running.image,
            UPGRADED: None,
            **self._parking(),
            **notes,
        }
        return self._step("back", "", why, lambda: turn.hand.note(going), kind="Rollback", change=(self.running, previous))

    def _no_way_back(self, unsafe: str) -> Step:
        why = f"version: {self.wanted}: there is no safe way back from {self.running}: {unsafe}; set it to {self.running}"
        return self._step("back", "", why, blocked="DowngradeRefused", yields=True)

    # --- the end of a hop ----------------------------------------------------------------------------------------

    def ended(self) -> Step | None:
        """All members run the version that the hop leads to: that is noted, and what follows from it."""
        turn, stand = self.turn, self.turn.stand
        if not self.previous or self.note(UPGRADED) or Rolling(turn).stale:
            return None
        names = turn.service.names(stand.replicas)
        away = [name for name in names if not members.serves(turn, name)]
        if away:
            return self._step("wait", away[0], f"{', '.join(away)} must serve before it is done")
        why = f"all members run {self.running}"
        now = f"{turn.now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        upwards = forward(self.previous, self.running)
        notes: dict[str, str | None] = {UPGRADED: now if upwards else None}
        if not (upwards and turn.driver.finalises and self._rises()):
            # Nothing is to be made final: the engine takes the data over by itself, or did not change it.
            notes |= {PREVIOUS: None, PREVIOUS_IMAGE: None, FINALISED: self._level()}
        return self._step("done", "", why, lambda: turn.hand.note(notes))

    def _level(self) -> str:
        """What the data is finalised at by now: never less than before."""
        before, now = self.note(FINALISED), series(self.turn.service.engine, self.running)
        return before if before and forward(now, before) else now

    def _rises(self) -> bool:
        return self.note(FINALISED) != series(self.turn.service.engine, self.running)

    def finalised(self) -> Step | None:
        """The soak, and the command that makes the new version final."""
        turn = self.turn
        if not self.previous or not self.note(UPGRADED):
            return None
        level, change = series(turn.service.engine, self.running), (self.previous, self.running)
        if left := self._soaks():
            why = f"{self.running} runs on all members; it is finalised at {left:%Y-%m-%dT%H:%M:%SZ}, or goes back before"
            again = max(1.0, min(_LATEST, (left - turn.now).total_seconds()))
            return self._step("soak", "", why, kind="Finalise", change=change, yields=True, again=again)
        if turn.service.upgrade.finalise == "Manual":
            why = f"{self.running} has run on all members; it is finalised once upgrade.finalise says Automatic"
            return self._step("confirm", "", why, kind="Finalise", change=change, yields=True, again=_LATEST)
        if away := turn.away(turn.service.names(turn.stand.replicas)):
            why = f"{', '.join(away)} must serve before it is finalised"
            return self._step("wait", away[0], why, kind="Finalise", change=change)
        place = turn.place()

        def act() -> Result:
            result = turn.driver.finalise(self.running, turn.serving(), place)
            notes = {FINALISED: level, PREVIOUS: None, PREVIOUS_IMAGE: None}
            return turn.hand.note(notes) if result.outcome == "done" else result

        why = f"the data becomes that of {level} for good: older members cannot read it any more"
        return self._step("finalise", "", why, act, kind="Finalise", change=change)

    def _soaks(self) -> datetime | None:
        """Until when the version that all members run is only watched; None where that is over."""
        since = times.parse(self.note(UPGRADED))
        if since is None:
            return None
        until = datetime.fromtimestamp(since, UTC) + timedelta(seconds=schedule.seconds_of(self.turn.service.upgrade.soak))
        return until if until > self.turn.now else None

    # --- the beginning of one ------------------------------------------------------------------------------------

    def begun(self) -> Step | None:
        """The next hop, if it may begin now."""
        turn = self.turn
        if same(self.wanted, self.running):
            return self._settled()
        if self.note(FAILED) == self._attempt():
            why = (
                f"version: {self.wanted}: its members did not come up, and all are back at {self.running}; "
                f"set version to another one, or to {self.running} and then here again"
            )
            return self._step("wait", "", why, blocked="UpgradeRolledBack", yields=True)
        if not forward(self.running, self.wanted):
            return self._downwards()
        try:
            leg = next_hop(turn)
        except NoWayError as error:
            return self._step("wait", "", str(error), blocked="NoWay", yields=True)
        if refused := self._refused(leg):
            return self._step("wait", "", refused[1], blocked=refused[0], yields=True)
        if (until := self._soaks()) and series(turn.service.engine, leg.target) != self.note(FINALISED):
            why = f"{self.running} runs on all members until {until:%Y-%m-%dT%H:%M:%SZ}, before it goes on: {leg.way}"
            return self._step("soak", "", why, yields=True, change=(self.running, self.wanted))
        return self._go(leg.target, f"the hop to {leg.target} begins ({leg.way})", "Upgrade")

    def _settled(self) -> Step | None:
        """It runs what is wanted: that an attempt failed once is forgotten, so that it may be tried again."""
        if not self.note(FAILED):
            return None
        why = f"version: {self.wanted} is what runs: the failed upgrade is forgotten"
        return self._step("forget", "", why, lambda: self.turn.hand.note({FAILED: None}))

    def _downwards(self) -> Step:
        if unsafe := why_not_back(self.turn, self.wanted):
            return self._no_way_back(unsafe)
        return self._go(self.wanted, f"back from {self.running}, which reads and writes the same data", "Rollback")

    def _refused(self, leg: Leg) -> tuple[str, str] | None:
        """Why a hop that leads there may not begin, and what to do."""
        turn, majors = self.turn, self.turn.service.upgrade.majors
        hop = f"version: {self.wanted}: {self.running} → {leg.target}"
        is_major = major(self.running, leg.target)
        if is_major and majors == "Refuse":
            why = f"{hop} is another major, and upgrade.majors says Refuse"
            return "MajorRefused", f"{why}; take a backup, then set upgrade.majors to InPlace, or set version back"
        if is_major and majors == "DumpAndRestore":
            why = f"{hop}: upgrade.majors: DumpAndRestore: nobody here does that for {turn.service.engine}"
            return "NotCarriedOut", f"{why}; set it to InPlace, or restore a backup into a new service"
        rises = series(turn.service.engine, self.running) != series(turn.service.engine, leg.target)
        if (is_major or (leg.row.one_way and rises)) and (missing := self._no_backup()):
            why = f"{hop} cannot be undone, and {missing}"
            return "NoFreshBackup", f"{why}; make a ServiceBackup of {turn.service.name} and wait until it is complete"
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
        return ""

    def _go(self, target: str, why: str, kind: Kind) -> Step:
        """Begins a hop, where nothing has to be waited for."""
        turn, stand = self.turn, self.turn.stand
        change = (self.running, target)
        if turn.service.upgrade.paused:
            why = f"upgrade.paused: true; set it to false to begin: {why}"
            return self._step("paused", "", why, kind=kind, change=change, yields=True)
        wait = window(turn)
        if wait is not None:
            blocked = "BadWindow" if wait[1] < 0 else ""
            message = f"{wait[0]}; then {why}"
            return self._step(
                "window", "", message, kind=kind, change=change, blocked=blocked, yields=True, again=abs(wait[1])
            )
        away = [name for name in turn.service.names(stand.replicas) if not members.serves(turn, name)]
        if away:
            why = f"{', '.join(away)} must serve before the version is changed"
            return self._step("wait", away[0], why, kind=kind, change=change)
        notes: dict[str, str | None] = {
            VERSION: target,
            IMAGE: self._image(target),
            PREVIOUS: self.running,
            PREVIOUS_IMAGE: stand.running.image,
            UPGRADED: None,
            FAILED: None,
            **self._parking(),
        }
        return self._step("begin", "", why, lambda: turn.hand.note(notes), kind=kind, change=change)

    # --- both ----------------------------------------------------------------------------------------------------

    def _parking(self) -> dict[str, str | None]:
        """With `Recreate` all members stop first."""
        if self.turn.service.upgrade.strategy != "Recreate":
            return {}
        return {PARKED: "true"}

    def _image(self, version: str) -> str:
        service = self.turn.service
        asked = service.image if same(version, service.version) else ""
        return asked or self.turn.driver.container(version).image

    def _attempt(self) -> str:
        """What is tried, in one word: with another image it is another attempt."""
        return f"{self.wanted} {self.turn.service.image}".strip()

    def _step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        start = self.previous or self.running
        target = self.running if self.previous else self.wanted
        more.setdefault("kind", "Upgrade" if forward(start, target) or start == target else "Rollback")
        more.setdefault("change", (start, target))
        return Step(name=name, member=member, message=message, act=act, **more)
