"""Cases: the form of examples and of a user's own tests, and what a mistake in one is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stateward.policies import cases, data
from stateward.policies.cases import CaseError, as_expected, merge, outcome, read, run
from stateward.policies.policy import Policy
from stateward.policies.request import User
from stateward.policies.view import Object

SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "locks", "namespace": "platform"},
    "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "zk", "image": "zookeeper:3.9.3"}]}}},
}


def row(**further: Any) -> dict[str, Any]:
    return {
        "name": "a-case",
        "operation": "UPDATE",
        "old": SET,
        "patch": {"spec": {"replicas": 1}},
        "expect": "deny",
        **further,
    }


def one(content: Any) -> cases.Case:
    (found,) = read("file.yaml", content)
    return found


def test_a_case_is_a_request_with_what_else_exists() -> None:
    found = one({"title": "A theme", "rule": "SW201", "context": [SET], "cases": [row(because="it hurts")]})
    assert (found.name, found.rule, found.expect, found.because) == ("A theme a-case", "SW201", "deny", "it hurts")
    assert (found.request.name, found.request.namespace, found.request.kind) == ("locks", "platform", "StatefulSet.apps")
    assert found.request.object is not None
    assert found.request.object["spec"]["replicas"] == 1
    assert found.request.user == User("alice", ("system:authenticated",))
    assert (found.context, found.harmful) == ((SET,), True)
    assert run(found).denied[0].rule == "SW201"


def test_a_case_may_say_who_asks_when_and_how() -> None:
    found = one(
        {
            "now": "2027-01-01T00:00:00Z",
            "cases": [
                row(
                    operation="DELETE",
                    user={"username": "bob", "groups": ["dev"]},
                    options={"propagationPolicy": "Orphan"},
                    expect="allow",
                )
            ],
        }
    )
    assert found.request.user == User("bob", ("dev",))
    assert found.request.options == {"propagationPolicy": "Orphan"}
    assert (found.request.object, found.request.old, found.now) == (None, SET, 1798761600.0)
    assert one({"cases": [row(now="2026-11-21T12:00:00Z")]}).now == 1795262400.0


def test_a_context_of_its_own_replaces_the_shared_one() -> None:
    first, second = read("f", {"context": [SET], "cases": [row(), row(context=[])]})
    assert (first.context, second.context) == ((SET,), ())


@pytest.mark.parametrize(
    ("subresource", "kind"), [("scale", "Scale.autoscaling"), ("eviction", "Eviction.policy"), ("", "StatefulSet.apps")]
)
def test_a_subresource_has_a_kind_of_its_own(subresource: str, kind: str) -> None:
    assert one({"cases": [row(subResource=subresource)]}).request.kind == kind


def test_a_namespace_is_in_itself() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bank"}}
    assert one({"cases": [row(operation="DELETE", old=namespace)]}).request.namespace == "bank"


def test_a_file_may_hold_several_themes() -> None:
    assert [found.name for found in read("f", [{"id": "I1", "cases": [row()]}, {"cases": [row(name="b")]}])] == [
        "I1 a-case",
        "f b",
    ]


MERGED = [
    ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
    ({"a": 1}, {"a": None}, {}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"b": None}}, {"a": {"c": 2}}),
    ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
    ({"a": {"b": 1}}, {"a": "text"}, {"a": "text"}),
    ({"a": "text"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ({}, {"a": {"b": None}}, {"a": {}}),
    ({"a": 1}, {"b": None}, {"a": 1}),
    ([1], {"a": 1}, {"a": 1}),
    ({"a": 1}, [1], [1]),
]


@pytest.mark.parametrize(("old", "patch", "merged"), MERGED)
def test_a_patch_is_merged_as_rfc_7386_says(old: Any, patch: Any, merged: Any) -> None:
    assert merge(old, patch) == merged


def test_merging_leaves_the_old_object_alone() -> None:
    merge(SET, {"spec": {"replicas": None}, "metadata": {"labels": {"a": "b"}}})
    assert SET["spec"]["replicas"] == 3
    assert "labels" not in SET["metadata"]


@pytest.mark.parametrize(
    ("expect", "outcomes"),
    [
        ("deny", {"deny"}),
        ("warn", {"warn"}),
        ("allow", {"allow"}),
        ("warn-or-deny", {"warn", "deny"}),
        ("allow-or-warn", {"allow", "warn"}),
    ],
)
def test_an_expectation_accepts_one_outcome_or_two(expect: str, outcomes: set[str]) -> None:
    assert {got for got in ("deny", "warn", "allow") if as_expected(expect, got)} == outcomes


@pytest.mark.parametrize(("replicas", "wanted"), [(1, "deny"), (2, "warn"), (5, "allow")])
def test_the_outcome_is_what_a_client_sees(replicas: int, wanted: str) -> None:
    assert outcome(run(one({"cases": [row(patch={"spec": {"replicas": replicas}})]}))) == wanted


def test_a_case_may_be_run_under_another_policy() -> None:
    found = one({"cases": [row()]})
    assert outcome(run(found, Policy(profile="baseline"))) == "warn"


BROKEN: list[tuple[Any, str]] = [
    (None, "file.yaml: no cases; write a mapping with a list named cases"),
    ("text", "file.yaml: no cases; write a mapping with a list named cases"),
    ({}, "file.yaml: no cases; write a mapping with a list named cases"),
    ({"cases": {}}, "file.yaml: no cases; write a mapping with a list named cases"),
    ([{"cases": []}, 5], "file.yaml: no cases; write a mapping with a list named cases"),
    ({"id": "I1", "cases": ["a"]}, "file.yaml: I1: a case is a mapping"),
    (
        {"id": "I1", "cases": [row(operation="PATCH")]},
        "file.yaml: I1 a-case: operation 'PATCH' is none of CREATE, UPDATE, DELETE",
    ),
    ({"id": "I1", "cases": [row(operation=None)]}, "file.yaml: I1 a-case: operation None is none of"),
    (
        {"id": "I1", "cases": [row(expect="refuse")]},
        "file.yaml: I1 a-case: expect 'refuse' is none of deny, warn, warn-or-deny, allow, allow-or-warn",
    ),
    ({"id": "I1", "cases": [row(patch=None)]}, "file.yaml: I1 a-case: an UPDATE needs old, and patch or new"),
    ({"id": "I1", "cases": [row(old=None)]}, "file.yaml: I1 a-case: an UPDATE needs old, and patch or new"),
    ({"id": "I1", "cases": [row(operation="CREATE")]}, "file.yaml: I1 a-case: new is missing"),
    ({"id": "I1", "cases": [row(operation="CREATE", new=[])]}, "file.yaml: I1 a-case: new is missing"),
    ({"id": "I1", "cases": [row(operation="DELETE", old=None)]}, "file.yaml: I1 a-case: old is missing"),
    ({"id": "I1", "cases": [row(context={"a": 1})]}, "file.yaml: I1 a-case: context is a list of objects"),
    ({"id": "I1", "cases": [row(context=["a"])]}, "file.yaml: I1 a-case: context is a list of objects"),
    ({"id": "I1", "cases": [row(now="noon")]}, "file.yaml: I1 a-case: now is no time such as 2026-11-21T12:00:00Z"),
]


@pytest.mark.parametrize(("content", "told"), BROKEN, ids=[told for _, told in BROKEN])
def test_a_mistake_is_told_with_file_case_and_field(content: Any, told: str) -> None:
    with pytest.raises(CaseError) as caught:
        list(read("file.yaml", content))
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "further",
    [
        {"user": "alice"},
        {"user": {"groups": None}},
        {"user": {"groups": "dev"}},
        {"options": [1]},
        {"subResource": ["scale"]},
        {"old": None, "new": SET, "patch": None},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_field_of_another_type_is_told(further: dict[str, Any]) -> None:
    with pytest.raises(CaseError, match=r"^file\.yaml: I1 a-case: "):
        list(read("file.yaml", {"id": "I1", "cases": [row(**further)]}))


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_time_in_a_file_stays_text(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("at: 2026-11-21T12:00:00Z\non: 2026-11-21\n")
    assert data.read(file) == {"at": "2026-11-21T12:00:00Z", True: "2026-11-21"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1", "case.yaml:2:1: "),
        ("a: b: c", "case.yaml:1:5: mapping values are not allowed in this context"),
        ("a: *b", "case.yaml:1:4: found undefined alias"),
        ("a: !!python/object:os.system {}", "case.yaml:1:4: a tag or a key that is not of plain data"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_line_and_reason(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "case.yaml"
    file.write_text(text)
    with pytest.raises(data.DataError) as caught:
        data.read(file)
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(data.DataError, match=r"none\.yaml: cannot be read: No such file or directory"):
        data.read(tmp_path / "none.yaml")


def test_a_file_of_a_user_is_not_followed_into_any_depth(tmp_path: Path) -> None:
    file = tmp_path / "deep.yaml"
    file.write_text("[" * 5000 + "]" * 5000)
    with pytest.raises(data.DataError, match=r"deep\.yaml:1: nested more than 200 levels deep"):
        data.read(file, theirs=True)


def test_a_rule_without_examples_is_told_what_to_write() -> None:
    with pytest.raises(data.DataError, match=r"write nowhere\.yaml with cases to deny and allow"):
        data.examples("stateward.policies.rules.storage.nowhere")
