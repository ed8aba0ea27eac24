"""The rules: their register, what they say of themselves, and their examples, each of which is a test."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from stateward.policies import cases, change, data, message, rules
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.paths import dig, render
from stateward.policies.resolve import resolve
from stateward.policies.review import encode
from stateward.policies.rota import Rota, dispatch
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES, find
from stateward.policies.view import EMPTY_VIEW, MemoryView, Sight, nothing_complete

AREAS = {
    "SW1": "storage",
    "SW2": "quorum",
    "SW3": "upgrades",
    "SW4": "deletion",
    "SW5": "backup",
    "SW6": "credentials",
    "SW7": "control",
    "SW8": "geometry",
}
FOLDER = Path(str(rules.__file__)).parent
MODULES = sorted(path for path in FOLDER.glob("*/*.py") if path.name != "__init__.py")
every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda one: one.id)


def examples(rule: Rule) -> list[cases.Case]:
    """The examples of a rule; none where its file is missing or cannot be read (a test of its own says so)."""
    try:
        return list(cases.read(rule.id, data.examples(rule.module)))
    except (data.DataError, cases.CaseError):
        return []


EXAMPLES = [(rule, case) for rule in RULES for case in examples(rule)]
BAD = [(rule, case) for rule, case in EXAMPLES if case.harmful]
GOOD = [(rule, case) for rule, case in EXAMPLES if not case.harmful]


def each(pairs: list[tuple[Rule, cases.Case]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("rule", "case"), pairs, ids=[f"{rule.id} {case.name}" for rule, case in pairs])


# --- the register ----------------------------------------------------------------------------------------------------


def test_every_module_in_a_folder_of_rules_is_registered_once_and_nothing_else_is() -> None:
    written = [f"{rules.__name__}.{path.parent.name}.{path.stem}" for path in MODULES]
    assert sorted(rule.module for rule in RULES) == written


def test_ids_and_names_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


def test_rules_are_registered_in_the_order_of_their_ids() -> None:
    assert [rule.id for rule in RULES] == sorted(rule.id for rule in RULES)


@every_rule
def test_an_id_belongs_to_the_area_of_its_folder(rule: Rule) -> None:
    assert re.fullmatch(r"SW[1-8]\d\d", rule.id)
    assert rule.module.split(".")[-2] == AREAS[rule.id[:3]]


@every_rule
def test_a_name_reads_well_after_allow(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", rule.name)
    assert not rule.name.startswith(("no-", "not-", "disallow", "forbid", "deny", "prevent", "avoid"))
    assert len(rule.name) <= 40


@every_rule
def test_a_rule_is_found_by_id_and_name(rule: Rule) -> None:
    assert find(rule.id) is find(rule.id.lower()) is find(rule.name) is rule


def test_what_is_no_rule_is_not_found() -> None:
    assert find("SW999") is find("nonsense") is find("") is None


# --- what a rule says of itself --------------------------------------------------------------------------------------


@every_rule
def test_a_rule_says_what_why_and_what_instead_in_sentences(rule: Rule) -> None:
    assert rule.summary[0].isupper()
    assert not rule.summary.endswith(".")
    assert len(rule.summary) <= 110
    for text in (rule.why, rule.remedy):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
    assert re.fullmatch(r"\d+\.\d+\.\d+", rule.since)


PARTS = (
    {part for adapter in ADAPTERS.values() for _, parts in adapter.compared for part in parts}
    | set(change._PARTS_OF_POD.values())
    | set(change._PARTS_OF_CONTAINER.values())
    | {"template"}
)


@every_rule
def test_the_parts_that_a_rule_depends_on_exist(rule: Rule) -> None:
    assert rule.about <= PARTS
    assert rule.judges.operations <= {"CREATE", "UPDATE", "DELETE"}
    assert rule.judges.operations
    assert rule.judges.services or rule.judges.kinds


@every_rule
def test_declared_looks_are_kinds_with_fields_below_the_object(rule: Rule) -> None:
    for kind, look in rule.looks_at.items():
        assert look.kind == kind
        assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]+(\.[a-z0-9.-]+)?", kind)
        assert all(re.fullmatch(r"[a-zA-Z]+(\.[a-zA-Z]+)*", field) for field in look.fields)


IMPURE = {"asyncio", "datetime", "os", "pathlib", "random", "socket", "subprocess", "sys", "threading", "time", "urllib"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_rule_imports_nothing_but_the_engine_and_the_standard_library(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert name.startswith("stateward.policies") or top in sys.stdlib_module_names, name
            assert top not in IMPURE, name


# --- the examples ----------------------------------------------------------------------------------------------------


@every_rule
def test_a_rule_has_at_least_two_bad_examples_and_two_good_ones(rule: Rule) -> None:
    found = list(cases.read(rule.id, data.examples(rule.module)))
    assert sum(case.harmful for case in found) >= 2
    assert sum(not case.harmful for case in found) >= 2


@every_rule
def test_examples_read_as_documentation(rule: Rule) -> None:
    titles = [theme["title"] for theme in data.examples(rule.module)]
    assert len(set(titles)) == len(titles)
    for theme in data.examples(rule.module):
        assert theme["rule"] == rule.id
        names = [row["name"] for row in theme["cases"]]
        assert len(set(names)) == len(names)
        for row in theme["cases"]:
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", row["name"]), row["name"]
            because = row["because"]
            assert 10 <= len(because) <= 140, because
            assert not because.endswith("."), because


@each(EXAMPLES)
def test_an_example_has_the_outcome_that_it_says(rule: Rule, case: cases.Case) -> None:
    verdict = cases.run(case)
    assert cases.outcome(verdict) == case.expect
    assert verdict.faults == {}
    assert case.rule == rule.id


@each(BAD)
def test_a_bad_example_is_caught_by_its_rule_alone(rule: Rule, case: cases.Case) -> None:
    assert {one.rule for one in cases.run(case).judged} == {rule.id}


@each(GOOD)
def test_a_good_example_is_silent_for_all_rules(rule: Rule, case: cases.Case) -> None:
    verdict = cases.run(case)
    assert verdict.judged == []
    assert message.warnings(verdict) == []


def asked_about_the_old_object(rule: Rule, case: cases.Case) -> list[Any]:
    view = MemoryView(case.context)
    (one,) = resolve(case.request, view)
    return list(rule.check(one.before(), Sight(view, rule.looks_at, rule.params, case.now)))


@pytest.mark.parametrize(
    "rule", [one for one in RULES if one.nature == "state" and "UPDATE" in one.judges.operations], ids=lambda one: one.id
)
def test_a_state_rule_shows_an_old_sin_that_passes(rule: Rule) -> None:
    old_sins = [
        case
        for case in examples(rule)
        if case.expect == "allow" and case.request.operation == "UPDATE" and asked_about_the_old_object(rule, case)
    ]
    assert old_sins


# --- the messages of the bad examples --------------------------------------------------------------------------------


def refused(pairs: list[tuple[Rule, cases.Case]]) -> list[tuple[Rule, cases.Case]]:
    return [(rule, case) for rule, case in pairs if case.expect == "deny"]


@each(refused(BAD))
def test_a_refusal_says_where_what_why_what_instead_and_how_to_waive_it(rule: Rule, case: cases.Case) -> None:
    verdict = cases.run(case)
    status = orjson.loads(encode(verdict, case.now))["response"]["status"]
    text = status["message"]
    first, rest = text.split("\n", 1)
    assert first.startswith("Stateward refuses this ")
    assert case.request.name in first or verdict.service in first
    for one in verdict.denied:
        finding = one.finding
        assert f"{rule.id} {rule.name}\n  {finding.headline}" in rest
        assert f"\n  why  {finding.why}" in rest
        assert f"\n  do   {finding.remedy}" in rest
        for said in (finding.text, finding.why, finding.remedy):
            assert said.strip() == said
            assert not said.endswith("."), said
            assert not re.search(r"\b(None|UNKNOWN|Fraction|<\w+)\b", said), said
        if finding.field:
            assert finding.headline.startswith(f"{render(finding.field)}: ")
    assert re.search(
        rf"\n  or   kubectl annotate \S.* stateward\.dev/waive='{rule.id} until=2026-11-21T13:00:00Z reason=\"…\"'", text
    )
    assert [cause["reason"] for cause in status["details"]["causes"]] == [f"{rule.id} {rule.name}"] * len(verdict.denied)


def shown(value: object) -> Iterator[str]:
    """The forms in which a message may show a value."""
    text = str(value)
    yield text
    yield text.rpartition(":")[2].removeprefix("v")  # the version in an image


@each(refused(BAD))
def test_a_refusal_shows_the_value_that_its_field_has(rule: Rule, case: cases.Case) -> None:
    for one in cases.run(case).judged:
        if case.request.kind == "Secret" and one.finding.field[:1] == ("data",):
            continue  # a Secret's values are never shown
        on = one.finding.on or case.request.object
        value = dig(on, one.finding.field) if one.finding.field else None
        if case.request.subresource or isinstance(value, dict | list | bool) or value in (None, "", 0):
            continue
        assert any(form in one.finding.text for form in shown(value)), (one.finding.headline, value)


@each(BAD)
def test_a_warning_of_a_finding_keeps_its_point_in_one_line(rule: Rule, case: cases.Case) -> None:
    for one in cases.run(case).judged:
        line = message.clean(f"{one.rule} {one.name}: {one.finding.headline}")
        assert line.isprintable()
        assert len(line) <= message.WARNING_LENGTH


# --- look-ups --------------------------------------------------------------------------------------------------------

VIEWS = {
    "nothing is known": lambda case: EMPTY_VIEW,
    "some is known": lambda case: MemoryView(case.context, nothing_complete),
    "all is known": lambda case: MemoryView(case.context, lambda kind: True),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_no_rule_looks_at_what_it_did_not_declare(view: Any) -> None:
    for _, case in EXAMPLES:
        verdict = evaluate(case.request, view(case), now=case.now)
        assert verdict.faults == {}, case.name


def test_every_rule_can_be_asked_about_every_example_of_another() -> None:
    """A rule whose look-ups depend on what it meets is not caught by its own examples."""
    for _, case in EXAMPLES:
        everything = {
            (case.request.kind, case.request.operation, case.request.subresource): Rota(
                rule for rule in RULES if rule.judges.services or case.request.kind in rule.judges.kinds
            )
        }
        verdict = evaluate(case.request, MemoryView(case.context, lambda kind: True), now=case.now, asked=everything)
        assert verdict.faults == {}, case.name


class Whole(Rota):
    """A rota that asks every rule, whatever parts a change touches."""

    def concerned(self, touched: frozenset[str] | None, operator: bool = True) -> tuple[Rule, ...]:
        return self.rules


WHOLE = {key: Whole(rota.rules) for key, rota in dispatch(RULES).items()}


def refusals(verdict: Verdict) -> list[tuple[str, str]]:
    return sorted((one.rule, one.finding.headline) for one in verdict.denied)


def test_asking_only_about_the_parts_that_are_touched_misses_no_refusal() -> None:
    for _, case in EXAMPLES:
        view = MemoryView(case.context)
        asked = evaluate(case.request, view, now=case.now, asked=WHOLE)
        assert refusals(evaluate(case.request, view, now=case.now)) == refusals(asked), case.name
