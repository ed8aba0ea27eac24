"""Edits that operators let through, and harmless neighbours of them: `vectors/<operator>.yaml` in the form of docs/cases.md.

A case with `pending: true` is not judged as expected yet; it fails here as soon as it is. `row` is the number of one of the
50 edits that vectors/README.md lists; STATEWARD_WRITE=1 writes its table anew.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from stateward.policies import cases, data

FOLDER = Path(__file__).resolve().parent / "vectors"


def rows() -> list[Any]:
    found = []
    for path in sorted(FOLDER.glob("*.yaml")):
        content = data.read(path)
        whole = content if isinstance(content, list) else [content]
        given = [row for one in whole for row in one["cases"]]
        for case, row in zip(cases.read(path.name, content), given, strict=True):
            marks = [pytest.mark.xfail(strict=True, reason="pending")] if row.get("pending") else []
            found.append(pytest.param(case, id=f"{path.stem}: {row['name']}", marks=marks))
    return found


@pytest.mark.parametrize("case", rows())
def test_an_edit_is_judged_as_its_vector_says(case: cases.Case) -> None:
    verdict = cases.run(case)
    spoke = {one.rule for one in (*verdict.denied, *verdict.warned)}
    assert cases.as_expected(case.expect, cases.outcome(verdict)), f"{cases.outcome(verdict)}: {sorted(spoke)}"
    if case.rule and case.harmful:
        assert case.rule in spoke


def table() -> str:
    """The rows with their cases, what became of each, and the rules that refused it."""
    found: dict[int, list[str]] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        content = data.read(path)
        for case, row in zip(cases.read(path.name, content), content["cases"], strict=True):
            if "row" in row:
                verdict = cases.run(case)
                rules = ", ".join(dict.fromkeys(f"{one.rule} `{one.name}`" for one in verdict.denied))
                found.setdefault(row["row"], []).append(
                    f"| {row['row']} | {path.stem} | {row['name']} | {cases.outcome(verdict)} | {rules} |"
                )
    lines = ["| row | file | case | verdict | rules that refuse it |", "|---|---|---|---|---|"]
    return "\n".join([*lines, *(line for row in sorted(found) for line in found[row])]) + "\n"


def test_all_fifty_rows_are_refused() -> None:
    expected: dict[int, list[str]] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for row in data.read(path)["cases"]:
            if "row" in row:
                expected.setdefault(row["row"], []).append(row["expect"])
    assert sorted(expected) == list(range(1, 51))
    assert {one for every in expected.values() for one in every} == {"deny"}


def test_the_table_of_the_rows_is_up_to_date() -> None:
    page = FOLDER / "README.md"
    head, _, found = page.read_text().partition("| row |")
    if os.environ.get("STATEWARD_WRITE"):
        page.write_text(head + table())
    else:
        assert "| row |" + found == table()


def test_every_operator_has_harmless_neighbours() -> None:
    for path in FOLDER.glob("*.yaml"):
        harmless = [case for case in cases.read(path.name, data.read(path)) if not case.harmful]
        assert len(harmless) >= 2, path.name
