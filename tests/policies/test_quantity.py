"""Quantities: exact numbers, as apimachinery reads them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from stateward.policies.quantity import bytes_text, parse

READ = [
    ("5", Fraction(5)),
    (" 5", None),
    ("5 ", None),
    ("10Gi", Fraction(10 * 2**30)),
    ("1.5G", Fraction(1_500_000_000)),
    (".5", Fraction(1, 2)),
    ("5.", Fraction(5)),
    ("+5Mi", Fraction(5 * 2**20)),
    ("-1Ki", Fraction(-1024)),
    ("100m", Fraction(1, 10)),
    ("7u", Fraction(7, 10**6)),
    ("9n", Fraction(9, 10**9)),
    ("1k", Fraction(1000)),
    ("1K", None),
    ("1Ki", Fraction(1024)),
    ("2M", Fraction(2 * 10**6)),
    ("3T", Fraction(3 * 10**12)),
    ("3Ti", Fraction(3 * 2**40)),
    ("4P", Fraction(4 * 10**15)),
    ("4Pi", Fraction(4 * 2**50)),
    ("1E", Fraction(10**18)),
    ("1Ei", Fraction(2**60)),
    ("12e6", Fraction(12 * 10**6)),
    ("12E6", Fraction(12 * 10**6)),
    ("1e-3", Fraction(1, 1000)),
    ("0", Fraction(0)),
    ("", None),
    ("ten", None),
    ("1Gib", None),
    ("1 Gi", None),
    ("1,5Gi", None),
    ("0x10", None),
    ("1mi", None),
    ("1ni", None),
    ("1" * 81, None),
    ("1e9999", None),
    (20, Fraction(20)),
    (0.1, Fraction(1, 10)),
    (float("nan"), None),
    (float("inf"), None),
    (float("-inf"), None),
    (True, None),
    (False, None),
    (None, None),
    (["1Gi"], None),
    ({"storage": "1Gi"}, None),
]


@pytest.mark.parametrize(("given", "number"), READ, ids=repr)
def test_a_quantity_is_read_exactly_or_not_at_all(given: object, number: Fraction | None) -> None:
    assert parse(given) == number


def test_two_spellings_of_one_size_are_equal() -> None:
    assert parse("1Gi") == parse("1024Mi") == parse(2**30) == parse("1073741824")
    assert parse("1G") != parse("1Gi")


def test_a_large_number_is_not_rounded() -> None:
    assert parse("9007199254740993") == 2**53 + 1


SHOWN = [
    (75 * 2**30, "75Gi"),
    (600 * 2**20, "600Mi"),
    (2**60, "1Ei"),
    (2**50, "1Pi"),
    (3 * 2**40, "3Ti"),
    (1024, "1Ki"),
    (1023, "1023"),
    (0, "0"),
    (1536 * 2**20, "1536Mi"),
    (2 * 10**9, "1953125Ki"),
    (2**30 + 1, "1.0Gi"),
    (2**20 + 1, "1.0Mi"),
    (2**10 + 1, "1.0Ki"),
    (Fraction(3, 2), "1"),
]


@pytest.mark.parametrize(("amount", "text"), SHOWN, ids=str)
def test_bytes_are_written_in_the_largest_unit_that_fits(amount: int, text: str) -> None:
    assert bytes_text(Fraction(amount)) == text
