"""How deep a document and how large a file with its aliases may be."""

from __future__ import annotations

from typing import Final

from stateward.cli.scalars import Fault, Json

MAX_DEPTH: Final = 100
"""Mappings and lists inside each other."""
MAX_VALUES: Final = 200_000
"""Values of one file with its aliases written out; more are refused if they are also MAX_GROWTH times those written."""
MAX_GROWTH: Final = 10


class Budget:
    """Counts the values of one file, as written and with every alias written out, against an expansion bomb."""

    __slots__ = ("_plain", "total", "written")

    def __init__(self) -> None:
        self.written = 0
        self.total = 0
        self._plain: list[Json] = []

    def add(self, value: Json) -> None:
        """Take into account a document that another reader has read; its values are counted once that matters."""
        self._plain.append(value)

    def settle(self) -> None:
        """Count what was added, before a document that may have aliases."""
        count = sum(map(_values_in, self._plain))
        self.written += count
        self.total += count
        self._plain.clear()

    def spend(self, size: int, index: int) -> None:
        """Count an alias to `size` values; raises Fault where the file then grows beyond the limits."""
        self.total += size
        if self.total > MAX_VALUES and self.total > MAX_GROWTH * self.written:
            raise Fault(
                f"the aliases of this file expand {self.written:,} values to more than {MAX_VALUES:,}; Kubernetes"
                " refuses that as an expansion bomb. Write the repeated parts out.",
                index,
            )


def _values_in(value: Json) -> int:
    """How many values and keys a document has, as its events would count them."""
    if type(value) is dict:
        return 1 + len(value) + sum(map(_values_in, value.values()))
    if type(value) is list:
        return 1 + sum(map(_values_in, value))
    return 1
