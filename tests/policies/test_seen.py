"""Reviews that an API server really sent while an operator ran under the door: `seen/*.json`, see docs/operators-seen.md.

Each file is one review with the objects that it is judged with, as they were then, trimmed: no managed fields, of a status
what rules read, of a Secret the keys alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stateward.policies import cases, times
from stateward.policies.review import review
from stateward.policies.view import MemoryView

FOLDER = Path(__file__).resolve().parent / "seen"
FILES = sorted(FOLDER.glob("*.json"))


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_review_that_came_is_judged_as_it_should_be(path: Path) -> None:
    seen = read(path)
    answer = review(orjson.dumps(seen["review"]), MemoryView(seen["context"]), now=times.parse(seen["now"]) or 0.0)
    spoke = [f"{one.rule}: {one.finding.headline}" for one in answer.verdict.judged]
    assert cases.outcome(answer.verdict) == seen["expect"], spoke
    assert not answer.verdict.faults


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_no_edit_of_a_person_passes_in_silence(path: Path) -> None:
    seen = read(path)
    person = seen["review"]["request"]["userInfo"]["username"] == "admin"
    assert person == path.stem.startswith("user-")
    assert person or seen["expect"] == "allow"


def test_no_value_of_a_secret_is_kept() -> None:
    for path in FILES:
        seen = read(path)
        request = seen["review"]["request"]
        for item in (request.get("object"), request.get("oldObject"), *seen["context"]):
            if item and item["kind"] == "Secret":
                assert set(item.get("data", {}).values()) <= {"eA==", "eQ=="}
