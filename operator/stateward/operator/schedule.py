"""Times by schedule: cron expressions in a time zone, windows, durations. Instants are UTC, as the API server's are.

Daylight saving is as in Debian's cron (cronsim): what falls into the hour that is left out runs right after it, and what
falls into the hour that comes twice runs once. https://manpages.debian.org/bookworm/cron/cron.8.en.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_NAMED: Final[Mapping[str, str]] = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class ScheduleError(ValueError):
    """A schedule that means nothing; the message names its value, why, and what would be one."""


class Window(Protocol):
    """When something may start: `api.spec.Window` is one."""

    @property
    def schedule(self) -> str:
        """When it opens."""

    @property
    def duration(self) -> str:
        """How long it stays open."""

    @property
    def time_zone(self) -> str:
        """Of the schedule."""


def problem(schedule: str, zone: str = "UTC") -> str:
    """Why a schedule means nothing; "" where it means something."""
    try:
        next_after(schedule, zone, datetime(2026, 1, 1, tzinfo=UTC))
    except ScheduleError as error:
        return str(error)
    return ""


def next_after(schedule: str, zone: str, moment: datetime) -> datetime:
    """The first time after a moment. Raises ScheduleError."""
    return _times(schedule, zone, moment)


def last_until(schedule: str, zone: str, moment: datetime) -> datetime:
    """The last time that is not after a moment. Raises ScheduleError."""
    # Backwards from the next minute, since the moment itself counts.
    return _times(schedule, zone, moment.replace(second=0, microsecond=0) + timedelta(minutes=1), reverse=True)


def seconds_of(duration: str) -> int:
    """`1h30m` as seconds. Raises ScheduleError."""
    parts = re.findall(r"([0-9]+)([dhms])", duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise ScheduleError(f'"{duration}": a duration is written 90s, 15m, 1h30m or 2d')
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def closes(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the window that is open now closes, the last of several; None where none is open. Raises ScheduleError."""
    ends = [last_until(one.schedule, one.time_zone, now) + timedelta(seconds=seconds_of(one.duration)) for one in windows]
    return max((end for end in ends if end > now), default=None)


def opens(windows: Iterable[Window], now: datetime) -> datetime | None:
    """When the next window opens; None where there are none. Raises ScheduleError."""
    return min((next_after(one.schedule, one.time_zone, now) for one in windows), default=None)


def _times(schedule: str, zone: str, moment: datetime, *, reverse: bool = False) -> datetime:
    try:
        where = ZoneInfo(zone)
    except (KeyError, ValueError, OSError):  # unknown, no key at all, a folder of the database
        raise ScheduleError(f'time zone "{zone}": unknown; give a name of the IANA database such as Europe/Berlin') from None
    try:
        found = CronSim(_NAMED.get(schedule, schedule), moment.astimezone(where), reverse=reverse)
        return next(found).astimezone(UTC)
    except (CronSimError, StopIteration):
        raise ScheduleError(
            f'schedule "{schedule}": it names no time; five fields are wanted: minute, hour, day of the month, month, '
            "day of the week (30 2 * * *)"
        ) from None
