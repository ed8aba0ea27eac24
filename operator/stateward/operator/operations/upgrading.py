"""What the operations that change a version share.

A hop is a note on the StatefulSet (VERSION): from then on its template is of the new version, and `rolling` replaces the
members. The note PREVIOUS stands as long as the hop is not finished, and says where the way back leads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from stateward.operator import schedule
from stateward.operator.drivers.protocol import Result
from stateward.operator.observe import CARRY, PARKED, PREVIOUS, UPGRADED
from stateward.operator.operations.hops import forward, same
from stateward.operator.step import Step
from stateward.operator.turn import Turn
from stateward.policies import times


@dataclass(frozen=True, slots=True)
class Upgrading:
    """The version of one service: where it is, where it comes from, where it is to go."""

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

    def soaks(self) -> datetime | None:
        """Until when the version that all members run is only watched; None where that is over."""
        since = times.parse(self.note(UPGRADED))
        if since is None:
            return None
        until = datetime.fromtimestamp(since, UTC) + timedelta(seconds=schedule.seconds_of(self.turn.service.upgrade.soak))
        return until if until > self.turn.now else None

    def parking(self) -> dict[str, str | None]:
        """With `Recreate` all members stop first."""
        if self.turn.service.upgrade.strategy != "Recreate":
            return {}
        return {PARKED: "true"}

    def carrying_back(self) -> dict[str, str | None]:
        """Where data was carried over to another major, that of before takes its place again while no member runs."""
        attempt, stage, *rest = self.note(CARRY).split() or ["", ""]
        if not attempt:
            return {}
        return {PARKED: "true", CARRY: " ".join((attempt, "undo" if stage == "kept" else "back", *rest))}

    def image(self, version: str) -> str:
        """The image of a version: the one that is asked for, where that is its own."""
        service = self.turn.service
        asked = service.image if same(version, service.version) else ""
        return asked or self.turn.driver.container(version).image

    def attempt(self) -> str:
        """What is tried, in one word: with another image it is another attempt."""
        return f"{self.wanted} {self.turn.service.image}".strip()

    def step(self, name: str, member: str, message: str, act: Callable[[], Result] | None = None, **more: Any) -> Step:
        """A step on the way from where it comes from to where it goes."""
        start = self.previous or self.running
        target = self.running if self.previous else self.wanted
        more.setdefault("kind", "Upgrade" if forward(start, target) or start == target else "Rollback")
        more.setdefault("change", (start, target))
        return Step(name=name, member=member, message=message, act=act, **more)

    def no_way_back(self, unsafe: str) -> Step:
        """Why it stays where it is."""
        why = f"version: {self.wanted}: there is no safe way back from {self.running}: {unsafe}; set it to {self.running}"
        return self.step("back", "", why, blocked="DowngradeRefused", yields=True)
