"""Versions: read from text, ordered, compared as far as they are precise, matched by ranges."""

from __future__ import annotations

import itertools

import pytest

from stateward.policies.version import Version, parse, parse_range


def read(text: str) -> Version:
    found = parse(text)
    assert found is not None, text
    return found


READ = [
    ("17", (17,), "17"),
    ("17.6", (17, 6), "17.6"),
    ("17.6-system-trixie", (17, 6), "17.6"),
    ("v3.5.17", (3, 5, 17), "3.5.17"),
    ("8.0.36-28.1", (8, 0, 36), "8.0.36"),
    ("16.4.0-debian-12-r14", (16, 4, 0), "16.4.0"),
    ("2.8.2.0", (2, 8, 2, 0), "2.8.2.0"),
    ("RELEASE.2022-07-30T05-21-40Z", (2022, 7, 30, 5, 21, 40), "RELEASE.2022-07-30T05-21-40Z"),
    ("RELEASE.2022-07-30T05-21-40Z.hotfix", (2022, 7, 30, 5, 21, 40), "RELEASE.2022-07-30T05-21-40Z"),
    ("4.1-IV2", (4, 1), "4.1"),
    ("19beta3", (19,), "19beta3"),
    ("19beta3-trixie", (19,), "19beta3"),
    ("7.0-rc1", (7, 0), "7.0-rc1"),
    ("7.0.0.alpha2", (7, 0, 0), "7.0.0.alpha2"),
    ("6.0.0-m1", (6, 0, 0), "6.0.0-m1"),
    ("3.0.0-SNAPSHOT", (3, 0, 0), "3.0.0-SNAPSHOT"),
    ("7.2.5-alpine3.20", (7, 2, 5), "7.2.5"),
    ("5.0-mariadb", (5, 0), "5.0"),
]


@pytest.mark.parametrize(("text", "parts", "shown"), READ)
def test_a_version_is_read_from_a_tag(text: str, parts: tuple[int, ...], shown: str) -> None:
    found = read(text)
    assert (found.parts, found.text) == (parts, shown)


@pytest.mark.parametrize(
    "text",
    ["", "latest", "main", "alpine", "stable-8", "-1", ".5", "x17", "17x", "17th", "v", "vv1", "sha256", "RELEASE.2022",
     "1234567890"],
)  # fmt: skip
def test_what_is_no_version_is_none(text: str) -> None:
    assert parse(text) is None


ORDER = [
    "0.9", "1.0-snapshot", "1.0-alpha1", "1.0-alpha2", "1.0-beta1", "1.0-rc1", "1.0-rc2", "1.0", "1.0.1", "1.9", "1.10",
    "2", "2.0.1", "10.0", "RELEASE.2022-07-30T05-21-40Z", "RELEASE.2025-04-22T22-12-26Z",
]  # fmt: skip


@pytest.mark.parametrize(("older", "newer"), list(itertools.combinations(ORDER, 2)))
def test_versions_are_ordered_by_number_and_candidates_come_before(older: str, newer: str) -> None:
    assert read(older) < read(newer)
    assert not read(newer) < read(older)


def test_missing_parts_count_as_nought_in_the_order() -> None:
    assert read("17").key() == read("17.0").key() == read("17.0.0").key()
    assert not read("17") < read("17.0")


SAME = [
    ("17", "17.11", True),
    ("17.11", "17", True),
    ("17.11", "17.11.0-r3", True),
    ("17.2", "17.11", False),
    ("17", "18", False),
    ("1.0-rc1", "1.0", False),
    ("1.0-rc1", "1.0-rc1", True),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME)
def test_two_versions_are_the_same_release_as_far_as_both_are_precise(one: str, other: str, same: bool) -> None:
    assert read(one).same_release(read(other)) is same


HOLDS = [
    (">=3.3 <4.0", "3.3", True),
    (">=3.3 <4.0", "3.9.2", True),
    (">=3.3 <4.0", "4.0", False),
    (">=3.3 <4.0", "3.2.9", False),
    ("<=3.9", "3.9.2", True),
    ("<=3.9", "3.10", False),
    (">3.9", "3.9.2", False),
    (">3.9", "3.10", True),
    ("==3.5", "3.5.17", True),
    ("==3.5", "3.50", False),
    ("3.5", "3.5.1", True),
    (">=3.5.1", "3.5", False),
    ("<4", "4.0-rc1", False),
    ("", "1.0", True),
]


@pytest.mark.parametrize(("text", "version", "holds"), HOLDS)
def test_a_range_compares_as_many_parts_as_its_bound_names(text: str, version: str, holds: bool) -> None:
    assert parse_range(text).holds(read(version)) is holds


CERTAIN = [
    (">=3.11.18", "3.11", False),
    (">=3.11.18", "3.11.2", True),
    (">=3.11.18", "3.12", True),
    (">=3.11.0", "3.11", True),
    ("<3.11.18", "3.11", False),
    ("==3.11.0", "3.11", False),
    ("<=3.11.0", "3.11", False),
    (">3.11.0", "3.11", False),
    ("==3.11", "3.11.4", True),
    ("<4.0", "4", True),
]


@pytest.mark.parametrize(("text", "version", "certain"), CERTAIN)
def test_a_range_knows_where_a_version_is_not_precise_enough(text: str, version: str, certain: bool) -> None:
    assert parse_range(text).certain(read(version)) is certain


@pytest.mark.parametrize("text", ["~3.5", ">=x", ">= ", "3.5.x", "=>3", ">=3.5,<4"])
def test_a_broken_range_is_refused_with_the_word_that_is_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no bound such as >=3\.3 or <4\.0") as caught:
        parse_range(text)
    assert f'version range "{text}"' in str(caught.value)
