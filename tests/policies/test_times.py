"""Times: RFC 3339 in, seconds out, and back."""

from __future__ import annotations

import pytest

from stateward.policies.times import ago, parse, render

NOON = 1795262400.0

READ = [
    ("2026-11-21T12:00:00Z", NOON),
    ("2026-11-21t12:00:00z", NOON),
    ("2026-11-21T12:00:00+00:00", NOON),
    ("2026-11-21T14:00:00+02:00", NOON),
    ("2026-11-21T06:30:00-05:30", NOON),
    ("2026-11-21T12:00:00.5Z", NOON + 0.5),
    ("2026-11-21T12:00:00.123456Z", NOON + 0.123456),
    ("1970-01-01T00:00:00Z", 0.0),
    ("2026-11-21T12:00:00", None),
    ("2026-11-21", None),
    ("2026-11-21 12:00:00Z", None),
    ("2026-13-01T00:00:00Z", None),
    ("2026-02-30T00:00:00Z", None),
    ("2026-11-21T25:00:00Z", None),
    ("tomorrow", None),
    ("T", None),
    ("", None),
    ("2026-11-21T12:00:00Z" + " " * 40, None),
    (None, None),
    (1795262400, None),
    (["2026-11-21T12:00:00Z"], None),
]


@pytest.mark.parametrize(("text", "seconds"), READ, ids=repr)
def test_a_time_is_read_or_is_none(text: object, seconds: float | None) -> None:
    assert parse(text) == seconds


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_outside_the_calendar_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "2026-11-21T12:00:00+02:00"])
def test_whatever_is_read_can_be_written(text: str) -> None:
    moment = parse(text)
    assert moment is not None
    assert parse(render(moment).rjust(20, "0")) == moment


def test_a_time_is_written_to_the_second_in_utc() -> None:
    assert render(NOON) == "2026-11-21T12:00:00Z"
    assert render(NOON + 0.999) == "2026-11-21T12:00:00Z"


AGES = [
    (0, "less than a minute"),
    (59.9, "less than a minute"),
    (60, "1 minute"),
    (2400, "40 minutes"),
    (3599, "59 minutes"),
    (3600, "1 hour"),
    (3 * 3600 + 5, "3 hours"),
    (86399, "23 hours"),
    (86400, "1 day"),
    (12 * 86400, "12 days"),
]


@pytest.mark.parametrize(("seconds", "text"), AGES)
def test_an_age_is_written_in_its_largest_unit(seconds: float, text: str) -> None:
    assert ago(seconds) == text
