"""The defaults: their register, what they say of themselves, and their examples, each of which is a test."""

from __future__ import annotations

import re
from pathlib import Path

import jsonpatch
import pytest

from stateward.policies import data, mutations
from stateward.policies.engine import evaluate
from stateward.policies.jsonpatch import pointer
from stateward.policies.mutation import Mutation, mutation
from stateward.policies.mutation_examples import Example, read, run, shown
from stateward.policies.mutations import MUTATIONS, find
from stateward.policies.paths import dig, parse
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView

FOLDER = Path(str(mutations.__file__)).parent
SHARED = {"pods"}
"""Modules that hold no mutation."""

every_mutation = pytest.mark.parametrize("one", MUTATIONS, ids=lambda one: one.id)
EXAMPLES = [(one, example) for one in MUTATIONS for example in read(one)]


def each(pairs: list[tuple[Mutation, Example]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("one", "example"), pairs, ids=[f"{one.id} {e.case.name}" for one, e in pairs])


def test_every_module_is_registered_once_and_nothing_else_is() -> None:
    written = {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} - SHARED
    assert sorted(one.module for one in MUTATIONS) == sorted(f"{mutations.__name__}.{name}" for name in written)


def test_ids_and_names_are_unique_ordered_and_none_of_a_rule() -> None:
    ids = [one.id for one in MUTATIONS]
    assert ids == sorted(set(ids))
    named = [one.name for one in (*MUTATIONS, *RULES)]
    assert len(set(named)) == len(named)
    assert not {rule.id for rule in RULES} & set(ids)


@every_mutation
def test_it_is_found_by_id_and_name(one: Mutation) -> None:
    assert find(one.id) is find(one.id.lower()) is find(one.name) is one
    assert find("SW099") is None


@every_mutation
def test_it_says_what_why_and_why_it_is_safe_in_sentences(one: Mutation) -> None:
    assert one.summary[0].isupper()
    assert not one.summary.endswith(".")
    assert len(one.summary) <= 110
    for text in (one.why, one.safe):
        assert text[0].isupper()
        assert text.endswith(".")
    assert one.judges.operations == {"CREATE"}
    assert one.judges.subresources == {""}


@pytest.mark.parametrize("id", ["SW000", "SW100", "SW901", "M001", "SW01"])
def test_an_id_is_sw001_to_sw099(id: str) -> None:  # noqa: A002
    with pytest.raises(ValueError, match="SW001 to SW099"):
        mutation(id=id, name="some-default", summary="S", why="W", safe="S", source="S", kinds=("Pod",))


@every_mutation
def test_it_has_two_examples_that_it_fills_in_and_two_that_it_leaves(one: Mutation) -> None:
    found = list(read(one))
    assert sum(bool(example.fills) for example in found) >= 2
    assert sum(not example.fills for example in found) >= 2
    for theme in data.examples(one.module):
        assert theme["mutation"] == one.id
        for row in theme["cases"]:
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", row["name"]), row["name"]
            assert 10 <= len(row["because"]) <= 140, row["because"]
            assert not row["because"].endswith(".")


@each(EXAMPLES)
def test_an_example_is_filled_in_as_it_says(one: Mutation, example: Example) -> None:
    operations, filled = run(one, example)
    assert shown(filled) == list(example.fills)
    item = example.case.request.object
    after = jsonpatch.apply_patch(item, operations)
    for path, value in example.fills.items():
        assert dig(item, parse(path)) is None
        assert dig(after, parse(path)) == value


@each([(one, example) for one, example in EXAMPLES if example.fills])
def test_what_was_filled_in_is_not_filled_in_again(one: Mutation, example: Example) -> None:
    operations, _ = run(one, example)
    request = example.case.request
    request.object = jsonpatch.apply_patch(request.object, operations)
    assert run(one, example) == ([], ())


@each([(one, example) for one, example in EXAMPLES if example.fills])
def test_what_was_filled_in_breaks_no_rule(one: Mutation, example: Example) -> None:
    operations, _ = run(one, example)
    request = example.case.request
    view = MemoryView(example.case.context)
    before = evaluate(request, view, now=example.case.now)
    request.object = jsonpatch.apply_patch(request.object, operations)
    after = evaluate(request, view, now=example.case.now)
    assert {found.rule for found in after.judged} <= {found.rule for found in before.judged}


@each(EXAMPLES)
def test_claim_templates_and_metadata_are_never_touched(one: Mutation, example: Example) -> None:
    for operation in run(one, example)[0]:
        assert operation["op"] == "add"
        assert operation["path"].startswith("/spec/")
        assert not operation["path"].startswith(pointer(("spec", "volumeClaimTemplates")))


def test_nothing_that_is_filled_in_can_leave_a_pod_pending() -> None:
    for one, example in EXAMPLES:
        text = str(run(one, example)[0])
        assert "DoNotSchedule" not in text
        assert "requiredDuringScheduling" not in text
