"""Examples of mutations: an object that is created, what else exists, what is filled in. They are docs and tests.

A file beside a mutation's module holds themes, as cases have them, each with `mutation` instead of `rule`; a row has
`new`, `because`, perhaps `context`, and `fills`: field → value, {} where the object is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from stateward.policies import cases, data
from stateward.policies.jsonpatch import Operation
from stateward.policies.mutate import fill
from stateward.policies.mutation import Filled, Mutation
from stateward.policies.paths import render
from stateward.policies.policy import DEFAULT
from stateward.policies.view import MemoryView


@dataclass(frozen=True, slots=True)
class Example:
    """One example, ready to run."""

    case: cases.Case
    fills: Mapping[str, Any] = field(default_factory=dict)
    """Field → value that is filled in."""


def read(mutation: Mutation) -> Iterator[Example]:
    """The examples of a mutation. Raises CaseError."""
    for theme in data.examples(mutation.module):
        rows = [{"operation": "CREATE", "expect": "allow", **row} for row in theme["cases"]]
        whole = {**theme, "rule": mutation.id, "cases": rows}
        for row, case in zip(rows, cases.read(mutation.id, whole), strict=True):
            if not isinstance(row.get("fills"), dict):
                raise cases.CaseError(f"{mutation.id}: {case.name}: fills is missing; write field: value, or {{}}")
            yield Example(case, row["fills"])


def run(mutation: Mutation, example: Example) -> tuple[list[Operation], tuple[Filled, ...]]:
    """What this mutation alone fills in: (steps of the patch, the fields)."""
    view = MemoryView(example.case.context)
    _, operations, filled = fill(example.case.request, view, DEFAULT, example.case.now, (mutation,))
    return operations, filled


def shown(filled: tuple[Filled, ...]) -> list[str]:
    """The fields as a person reads them."""
    return [render(one.path) for one in filled]
