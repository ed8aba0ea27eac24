"""Edits that operators let through, and harmless neighbours of them: `vectors/<operator>.yaml` in the form of docs/cases.md.

A case with `pending: true` is not judged as expected yet; it fails here as soon as it is.
"""

from __future__ import annotations

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


def test_every_operator_has_harmless_neighbours() -> None:
    for path in FOLDER.glob("*.yaml"):
        harmless = [case for case in cases.read(path.name, data.read(path)) if not case.harmful]
        assert len(harmless) >= 2, path.name
