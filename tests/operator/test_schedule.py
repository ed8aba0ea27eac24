"""Schedules, windows and durations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.operator import schedule
from stateward.operator.schedule import ScheduleError


@dataclass
class Window:
    schedule: str
    duration: str
    time_zone: str = "UTC"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "now", "wanted"),
    [
        ("30 2 * * *", "UTC", "2026-03-01T02:29:59", "2026-03-01T02:30"),
        ("30 2 * * *", "UTC", "2026-03-01T02:30", "2026-03-02T02:30"),
        ("@daily", "UTC", "2026-03-01T00:00", "2026-03-02T00:00"),
        ("@hourly", "UTC", "2026-03-01T00:00:01", "2026-03-01T01:00"),
        ("0 3 * * 0", "Europe/Berlin", "2026-07-01T00:00", "2026-07-05T01:00"),
        # 02:30 does not exist on that day in Berlin: it runs right after the hour that is left out.
        ("30 2 29 3 *", "Europe/Berlin", "2026-03-28T12:00", "2026-03-29T01:00"),
        # 02:30 comes twice on that day: once is enough.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:31", "2026-10-26T01:30"),
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00", "2028-02-29T00:00"),
    ],
)
def test_the_next_time_is_after_the_moment(cron: str, zone: str, now: str, wanted: str) -> None:
    assert schedule.next_after(cron, zone, at(now)) == at(wanted)


@pytest.mark.parametrize(
    ("now", "wanted"),
    [
        ("2026-03-01T02:30", "2026-03-01T02:30"),
        ("2026-03-01T02:30:30", "2026-03-01T02:30"),
        ("2026-03-01T02:29:59", "2026-02-28T02:30"),
    ],
)
def test_the_last_time_may_be_the_moment_itself(now: str, wanted: str) -> None:
    assert schedule.last_until("30 2 * * *", "UTC", at(now)) == at(wanted)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.sampled_from(["UTC", "America/New_York"]))
def test_no_time_lies_between_the_last_and_the_next(moment: datetime, zone: str) -> None:
    now = moment.replace(tzinfo=UTC)
    last, following = (found("15 */4 * * *", zone, now) for found in (schedule.last_until, schedule.next_after))
    assert last <= now < following
    assert schedule.next_after("15 */4 * * *", zone, last) == following


@pytest.mark.parametrize("cron", ["", "* * * *", "61 * * * *", "0 0 31 2 *", "@often"])
def test_what_names_no_time_is_said_with_what_would(cron: str) -> None:
    assert "minute, hour, day of the month" in schedule.problem(cron)


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "Europe"])
def test_an_unknown_time_zone_is_said(zone: str) -> None:
    assert schedule.problem("@daily", zone) == (
        f'time zone "{zone}": unknown; give a name of the IANA database such as Europe/Berlin'
    )


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800)])
def test_a_duration_is_a_number_of_seconds(text: str, seconds: int) -> None:
    assert schedule.seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "1h-2m", "1w"])
def test_what_is_no_duration_is_said(text: str) -> None:
    with pytest.raises(ScheduleError, match="a duration is written"):
        schedule.seconds_of(text)


def test_a_window_is_open_from_its_schedule_for_its_duration() -> None:
    nightly = [Window("0 2 * * *", "2h")]
    assert schedule.closes(nightly, at("2026-03-01T02:00")) == at("2026-03-01T04:00")
    assert schedule.closes(nightly, at("2026-03-01T03:59:59")) == at("2026-03-01T04:00")
    assert schedule.closes(nightly, at("2026-03-01T04:00")) is None
    assert schedule.opens(nightly, at("2026-03-01T02:00")) == at("2026-03-02T02:00")


def test_of_several_windows_the_one_that_stays_open_longest_counts() -> None:
    two = [Window("0 2 * * *", "1h"), Window("30 2 * * *", "3h")]
    assert schedule.closes(two, at("2026-03-01T02:40")) == at("2026-03-01T05:30")
    assert schedule.closes(two, at("2026-03-01T02:40")) - at("2026-03-01T02:40") < timedelta(hours=3)  # type: ignore[operator]
    assert schedule.opens([], at("2026-03-01T02:40")) is None
