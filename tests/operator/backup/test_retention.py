"""Retention: what is newest and good stays, whatever the days say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stateward.operator.backup.retention import Kept, expired

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def kept(name: str, days: float, good: bool = True, needed: bool = False) -> Kept:
    return Kept(name, NOW - timedelta(days=days), good, needed)


@pytest.mark.parametrize(
    ("backups", "days", "copies", "gone"),
    [
        ([], 1, 1, []),
        ([kept("a", 100)], 1, 1, []),
        ([kept("a", 0.5), kept("b", 0.6), kept("c", 0.7)], 1, 1, []),
        ([kept("a", 1.5), kept("b", 2), kept("c", 3)], 1, 2, ["c"]),
        ([kept("c", 3), kept("a", 1.5), kept("b", 2)], 1, 1, ["c", "b"]),
        # One that has failed says why, until a newer one is good.
        ([kept("bad", 2, good=False), kept("a", 3)], 1, 1, []),
        ([kept("a", 1.5), kept("bad", 2, good=False), kept("b", 3)], 1, 1, ["b", "bad"]),
        # Those that have failed count as no copies.
        ([kept("x", 0.1, good=False), kept("y", 0.2, good=False), kept("a", 5), kept("b", 6)], 1, 1, ["b"]),
        # What a restore reads stays until it has read it.
        ([kept("a", 2), kept("b", 3, needed=True), kept("c", 4)], 1, 1, ["c"]),
    ],
)
def test_what_may_go(backups: list[Kept], days: int, copies: int, gone: list[str]) -> None:
    assert expired(backups, days, copies, NOW) == gone


several = st.lists(st.tuples(st.floats(0, 60), st.booleans(), st.booleans()), max_size=12).map(
    lambda rows: [kept(f"backup-{place}", *row) for place, row in enumerate(rows)]
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(several, st.integers(1, 30), st.integers(1, 5))
def test_the_newest_good_ones_are_never_deleted(backups: list[Kept], days: int, copies: int) -> None:
    gone = set(expired(backups, days, copies, NOW))
    good = sorted((one for one in backups if one.good), key=lambda one: (one.time, one.name), reverse=True)
    assert not gone & {one.name for one in good[:copies]}
    by_name = {one.name: one for one in backups}
    assert all(by_name[name].time < NOW - timedelta(days=days) and not by_name[name].needed for name in gone)
    # As long as there was a good one there is one.
    assert not good or any(one.name not in gone for one in good)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(several, st.integers(1, 30), st.integers(1, 5))
def test_deleting_them_one_at_a_time_ends_with_the_same_ones(backups: list[Kept], days: int, copies: int) -> None:
    at_once = set(expired(backups, days, copies, NOW))
    rest = list(backups)
    while gone := expired(rest, days, copies, NOW):
        rest = [one for one in rest if one.name != gone[0]]
    assert {one.name for one in backups} - {one.name for one in rest} == at_once
