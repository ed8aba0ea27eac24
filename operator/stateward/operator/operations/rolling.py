"""Rolling restarts: members whose pods are made from an earlier template are replaced, one at a time.

Those that do not lead come first; the one that leads hands over before its turn. Before each all members serve, so that
never more than one is away by our doing. Whatever a member runs with is in the template (`fingerprint`), so one look at
the pods says who is left, whoever looks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from stateward.operator import schedule
from stateward.operator.drivers.protocol import Result
from stateward.operator.objects.common import RUNS
from stateward.operator.objects.quorum import quorum, spare
from stateward.operator.observe import PARKED, PREVIOUS, is_ready
from stateward.operator.operations import members
from stateward.operator.operations.hops import forward, same
from stateward.operator.step import Kind, Step
from stateward.operator.turn import Turn

_SETTLED: Final = timedelta(minutes=1)
"""How long a member that once started has to be away before it is replaced out of turn."""
_HANDOVER: Final = timedelta(minutes=5)
"""How long it is waited for that a member hands over, or that one says that it leads."""
_LATEST: Final = 60.0


def mend(turn: Turn) -> Step | None:
    """A pod of an earlier template that does not serve is replaced at once: nothing is lost with it.

    So a template that no member starts with is mended by setting it back. One that once started is given a minute: it may
    be away for reasons of its own.
    """
    rolling = Rolling(turn)
    if PARKED in turn.stand.running.notes or turn.service.upgrade.paused:
        return None
    for member in rolling.stale:
        pod = members.pod_of(turn, member)
        if pod is None or is_ready(pod) or turn.stand.healthy([member]):
            continue
        since = turn.now - members.away_since(turn, member)
        if turn.stand.formed and members.started(pod) and since < _SETTLED:
            continue
        why = f"it does not serve ({members.why_away(turn, member)}), and is made anew as it is wanted now"
        return rolling.step("mend", member, why, lambda pod=pod: turn.hand.restart(pod, turn.stand.pods, budget=False))  # type: ignore[misc]
    return None


def rolling(turn: Turn) -> Step | None:
    """The next step; None where all pods are made from the template that there is, or are not to be touched yet."""
    return Rolling(turn).next()


def stuck(turn: Turn) -> str:
    """The member of the present template that does not come back in time; "" where there is none."""
    wanted = turn.runs()
    for member in turn.service.names(turn.stand.replicas):
        pod = turn.stand.pods.get(member)
        ours = pod is None or members.pod_of(turn, member) is None or turn.said_of(member, RUNS) == wanted
        late = turn.now - members.away_since(turn, member) > members.bound(turn, member)
        if ours and not members.serves(turn, member) and late:
            return member
    return ""


@dataclass(frozen=True, slots=True)
class Rolling:
    """Decides the next step of one service."""

    turn: Turn

    @property
    def names(self) -> list[str]:
        """All members."""
        return self.turn.service.names(self.turn.stand.replicas)

    @property
    def stale(self) -> list[str]:
        """Members whose pods are of an earlier template."""
        wanted = self.turn.runs()
        pods = self.turn.stand.pods
        return [name for name in self.names if name in pods and self.turn.said_of(name, RUNS) != wanted]

    @property
    def previous(self) -> str:
        """The version that it comes from; "" where its version does not change."""
        return self.turn.stand.running.notes.get(PREVIOUS, "")

    def next(self) -> Step | None:
        """The next step."""
        turn = self.turn
        if PARKED in turn.stand.running.notes:
            return self._parked()
        stale = self.stale
        away = [name for name in self.names if not members.serves(turn, name)]
        if not stale and not (away and self._under_way()):
            return None
        if stale and self._resizes():
            return None
        if away:
            return self._waits(away)
        if late := self._late():
            return late
        if other := self._other_version(stale) or self._leaderless():
            return other
        return self._held(stale) or self._turn_of(stale)

    def step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        """A step of the kind that this is: with another version an upgrade, or the way back from one."""
        running, kind = self.turn.stand.running.version, "Configure"
        if self.previous:
            kind = "Upgrade" if forward(self.previous, running) else "Rollback"
        change = (self.previous, running) if self.previous else ("", f"{len(self.names)} members restarted")
        known: Kind = kind  # type: ignore[assignment]
        return Step(known, name, member, message, act, change, **more)

    # --- what is waited for --------------------------------------------------------------------------------------

    def _under_way(self) -> bool:
        begun = self.turn.status.operation
        return bool(self.previous) or (begun is not None and begun.kind == "Configure")

    def _resizes(self) -> bool:
        """Whether a member is on its way in or out: that comes to its end first."""
        if not self.turn.driver.listed:
            return False
        peers = self.turn.driver.peers(self.turn.asked(), self.turn.place())
        return peers is not None and sorted(peer.name for peer in peers if not peer.learner) != sorted(self.names)

    def _waits(self, away: list[str]) -> Step:
        turn = self.turn
        if member := stuck(turn):
            since = turn.now - members.away_since(turn, member)
            running = turn.stand.running
            how = (
                f"set version back to {self.previous}, or mend what keeps it" if self.previous else "set it back, or mend it"
            )
            why = (
                f"{member}: {members.why_away(turn, member)}; it was made anew with {running.image} and has not served for "
                f"{int(since.total_seconds() // 60)} minutes; no other member is touched; {how}"
            )
            return self.step("wait", member, why, blocked="MemberNotBack")
        why = ", ".join(f"{name} ({members.why_away(turn, name)})" for name in away)
        held = "; upgrade.paused: true keeps it from being made anew" if turn.service.upgrade.paused else ""
        held = held if set(away) & set(self.stale) else ""
        until = "before another member is restarted" if set(self.stale) - set(away) else "again before this has ended"
        return self.step("wait", away[0], f"{why} must serve {until}{held}")

    def _late(self) -> Step | None:
        for name in self.names:
            if behind := members.behind(self.turn, name):
                return self.step("wait", name, f"{behind}, and has to catch up before another member is restarted")
        return None

    def _other_version(self, stale: list[str]) -> Step | None:
        """A member that says that it runs another version than it was made with: its image is not what version says."""
        running = self.turn.stand.running
        if not self.previous:
            return None
        for name in self.names:
            said = self.turn.stand.seen[name].version
            if name not in stale and said and not same(said, running.version):
                why = f"{name}: it says that it runs {said}, and image {running.image} was to be {running.version}"
                return self.step("wait", name, f"{why}; give the image of that version", blocked="AnotherVersionRuns")
        return None

    def _leaderless(self) -> Step | None:
        """Nobody says that it leads, or several do: whose turn is the last cannot be told. It is not waited for for ever."""
        leaders = self.turn.driver.leaders
        leading = [name for name in self.names if self.turn.stand.seen[name].role in leaders]
        if not leaders or len(self.names) == 1 or len(leading) == 1 or self.turn.since("leader") > _HANDOVER:
            return None
        several = f"{', '.join(leading)} say that they lead" if leading else "no member says that it leads"
        return self.step("leader", "", f"{several}; the one that does is restarted last")

    def _held(self, stale: list[str]) -> Step | None:
        """Why no further member is begun with now, though one could be."""
        mixed = bool(self.previous)
        due = f"{len(stale)} of {len(self.names)} members are to be restarted"
        if self.turn.service.upgrade.paused:
            return self.step("paused", "", f"{due}; upgrade.paused: true; set it to false to go on", yields=not mixed)
        wait = window(self.turn) if not self._back() else None
        if wait is None:
            return None
        blocked = "BadWindow" if wait[1] < 0 else ""
        return self.step("window", "", f"{due}; {wait[0]}", yields=not mixed, blocked=blocked, again=abs(wait[1]))

    def _back(self) -> bool:
        """Whether it goes back: that waits for no window."""
        return bool(self.previous) and forward(self.turn.stand.running.version, self.previous)

    # --- what is done --------------------------------------------------------------------------------------------

    def _turn_of(self, stale: list[str]) -> Step:
        turn = self.turn
        leading = [name for name in stale if turn.stand.seen[name].role in turn.driver.leaders]
        rest = [name for name in stale if name not in leading]
        if rest:
            return self._restart(rest[-1], len(stale))
        if turn.driver.hands_over and len(self.names) > 1:
            return self._hand_over(leading[0])
        return self._restart(leading[0], len(stale))

    def _restart(self, member: str, left: int) -> Step:
        turn = self.turn
        count = len(self.names)
        budget = min(turn.service.unavailable, spare(count)) > 0
        done = count - left + 1
        risk = "" if count - 1 >= quorum(count) else "; nothing is served meanwhile, so few members spare none"
        why = f"its pod is made anew, {done} of {count}, with {turn.stand.running.image}{risk}"
        pod = turn.stand.pods[member]
        return self.step("restart", member, why, lambda: turn.hand.restart(pod, turn.stand.pods, budget))

    def _hand_over(self, member: str) -> Step:
        turn = self.turn
        place, long = turn.place(), turn.since("switchover", member) > _HANDOVER
        why = "it leads, and hands over before its pod is made anew"
        if long:
            minutes = int(_HANDOVER.total_seconds() // 60)
            why = f"{member}: it leads, and has not handed over for {minutes} minutes; it is told again"
        return self.step(
            "switchover",
            member,
            why,
            lambda: turn.driver.switchover(member, turn.serving(), place),
            blocked="SwitchoverFailed" if long else "",
        )

    def _parked(self) -> Step:
        """All members go before the first of them comes again: their versions never mix."""
        turn = self.turn
        left = [name for name in self.names if name in turn.stand.pods]
        if left:
            return self.step("stop", "", f"all members stop before they start with another version; {len(left)} are left")
        why = f"all members start, with {turn.stand.running.image}"
        return self.step("start", "", why, lambda: turn.hand.note({PARKED: None}))


def window(turn: Turn) -> tuple[str, float] | None:
    """What is waited for, and seconds until the next look (negative: for ever); None where members may be restarted now."""
    windows = turn.service.upgrade.windows
    try:
        if not windows or schedule.closes(windows, turn.now) is not None:
            return None
        opens = schedule.opens(windows, turn.now)
    except schedule.ScheduleError as error:
        return f"upgrade.windows: {error}", -_LATEST
    if opens is None:
        return None
    seconds = max(1.0, min(_LATEST, (opens - turn.now).total_seconds()))
    return f"the next window opens at {opens:%Y-%m-%dT%H:%MZ}", seconds
