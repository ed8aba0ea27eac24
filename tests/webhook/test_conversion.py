"""One version of a StatefulService into the other and back: nothing is lost, whatever was in it."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook import convert_route
from stateward.webhook.app import App, build
from stateward.webhook.conversion import convert, to_v1alpha1, to_v1beta1

ALPHA, BETA = "stateward.dev/v1alpha1", "stateward.dev/v1beta1"
Item = dict[str, Any]

scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def items(words: list[str], retention: list[str]) -> st.SearchStrategy[Item]:
    """Objects of which anything may be anything, with these words below `backup` and `backup.retention`.

    None has a word that the other version alone has: those the API server has pruned.
    """
    retentions = st.dictionaries(st.sampled_from([*retention, "someday"]), anything, max_size=3)
    backups = st.dictionaries(st.sampled_from([*words, "schedule", "someday"]), anything, max_size=4)
    both = st.builds(lambda one, other: {**one, "retention": other}, backups, retentions | scalars | st.lists(scalars))
    spec = st.builds(lambda one, other: {**one, "backup": other}, st.dictionaries(st.text(), anything), backups | both)
    more = st.dictionaries(st.sampled_from(["status", "someday"]), anything, max_size=2)
    return st.builds(
        lambda spec, metadata, others: {**others, "kind": "StatefulService", "metadata": metadata, "spec": spec},
        spec | anything,
        anything,
        more,
    )


alphas = items(["retentionDays", "retentionCopies"], [])
betas = items([], ["days", "copies"])


def service(version: str, **backup: Any) -> Item:
    return {
        "apiVersion": f"stateward.dev/{version}",
        "kind": "StatefulService",
        "metadata": {"name": "orders", "namespace": "shop", "uid": "u", "managedFields": [{"manager": "m"}]},
        "spec": {"engine": "etcd", "backup": {"schedule": "@daily", **backup}},
        "status": {"readyMembers": 3},
    }


def review(wanted: str, *objects: Any, **more: Any) -> bytes:
    request = {"uid": "uid-1", "desiredAPIVersion": wanted, "objects": list(objects), **more}
    return orjson.dumps({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": request})


def answered(body: bytes) -> Item:
    found = orjson.loads(convert(body))
    assert (found["apiVersion"], found["kind"], list(found)) == (
        "apiextensions.k8s.io/v1",
        "ConversionReview",
        ["apiVersion", "kind", "response"],
    )
    return found["response"]


def test_days_and_copies_become_retention() -> None:
    found = to_v1beta1(service("v1alpha1", retentionDays=7, retentionCopies=2))
    assert found["spec"]["backup"] == {"schedule": "@daily", "retention": {"days": 7, "copies": 2}}


def test_retention_becomes_days_and_copies() -> None:
    found = to_v1alpha1(service("v1beta1", retention={"days": 7, "copies": 2}))
    assert found["spec"]["backup"] == {"schedule": "@daily", "retentionDays": 7, "retentionCopies": 2}


def test_a_part_of_it_stays_a_part() -> None:
    assert to_v1beta1(service("v1alpha1", retentionDays=7))["spec"]["backup"]["retention"] == {"days": 7}
    assert to_v1alpha1(service("v1beta1", retention={"copies": 7}))["spec"]["backup"] == {
        "schedule": "@daily",
        "retentionCopies": 7,
    }


@given(alphas)
def test_to_v1beta1_and_back_loses_nothing(item: Item) -> None:
    before = copy.deepcopy(item)
    assert to_v1alpha1(to_v1beta1(item)) == before
    assert item == before


@given(betas)
def test_to_v1alpha1_and_back_loses_nothing(item: Item) -> None:
    before = copy.deepcopy(item)
    assert to_v1beta1(to_v1alpha1(item)) == before
    assert item == before


@given(st.lists(alphas | betas, max_size=4), st.sampled_from([(ALPHA, BETA), (BETA, ALPHA)]))
def test_a_list_keeps_its_order_and_what_is_not_spec(found: list[Item], versions: tuple[str, str]) -> None:
    given_, wanted = versions
    answer = answered(review(wanted, *({**item, "apiVersion": given_} for item in found)))
    assert answer["uid"] == "uid-1"
    assert answer["result"] == {"status": "Success"}
    assert [one["apiVersion"] for one in answer["convertedObjects"]] == [wanted] * len(found)
    for before, after in zip(found, answer["convertedObjects"], strict=True):
        assert after["metadata"] == before["metadata"]
        assert after.keys() == {*before, "apiVersion"}


def test_what_is_in_the_wanted_version_already_stays() -> None:
    item = service("v1beta1", retention={"days": 7})
    assert answered(review(BETA, item, service("v1alpha1", retentionDays=7)))["convertedObjects"] == [item, item]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "no JSON"),
        (b"[]", "no ConversionReview"),
        (b"\xff", "no JSON"),
        (orjson.dumps({"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "ConversionReview", "request": {}}), "name v1"),
        (review(BETA, objects={}), "request.objects"),
        (review(BETA, 7), "request.objects[0]: an object is wanted"),
        (review("stateward.dev/v2", service("v1beta1")), "StatefulService stateward.dev/v1beta1 → stateward.dev/v2"),
        (review(BETA, {**service("v1alpha1"), "kind": "ServiceBackup"}), "ServiceBackup stateward.dev/v1alpha1"),
        (review(BETA, service("v1alpha1"), {**service("v1alpha1"), "apiVersion": "a.example/v1alpha1"}), "objects[1]"),
        (review(BETA, {**service("v1alpha1"), "apiVersion": 7}), "no such conversion"),
    ],
)
def test_what_cannot_be_converted_is_a_failure_that_says_what(body: bytes, said: str) -> None:
    answer = answered(body)
    assert answer["result"]["status"] == "Failure"
    assert said in answer["result"]["message"]
    assert answer["convertedObjects"] == []


@given(st.binary(max_size=64) | anything.map(orjson.dumps) | st.builds(review, st.text(max_size=8), anything))
def test_nothing_makes_it_raise(body: bytes) -> None:
    assert answered(body)["result"]["status"] in ("Success", "Failure")


def test_what_is_nested_too_deep_is_a_failure_too() -> None:
    deep: Any = 1
    for _ in range(250):
        deep = [deep]
    body = review(BETA, service("v1alpha1")).replace(b'"etcd"', orjson.dumps(deep))
    assert "too deep" in answered(body)["result"]["message"]


# --- the route -----------------------------------------------------------------------------------------------------


@pytest.fixture
def unsynced() -> App:
    """A door whose caches have seen nothing yet."""
    return build(EMPTY_VIEW, DEFAULT, ready=lambda: (False, "nothing is read yet"))


def test_the_route_answers_before_anything_is_read(ask: Any, unsynced: App) -> None:
    answer = ask(unsynced, review(BETA, service("v1alpha1", retentionDays=7)), path="/convert")
    assert answer.status == 200
    (found,) = orjson.loads(answer.body)["response"]["convertedObjects"]
    assert found["spec"]["backup"]["retention"] == {"days": 7}


def test_the_route_takes_a_body_in_pieces(ask: Any, app: App) -> None:
    whole = review(BETA, *(service("v1alpha1", retentionDays=one) for one in range(200)))
    answer = ask(app, *(whole[at : at + 1000] for at in range(0, len(whole), 1000)), path="/convert")
    assert answer.status == 200
    assert len(orjson.loads(answer.body)["response"]["convertedObjects"]) == 200


def test_what_is_no_review_is_a_failure_with_200(ask: Any, app: App) -> None:
    answer = ask(app, b"nonsense", path="/convert")
    assert answer.status == 200
    assert orjson.loads(answer.body)["response"]["result"]["status"] == "Failure"


def test_another_method_is_refused(ask: Any, app: App) -> None:
    answer = ask(app, b"", path="/convert", method="GET")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


def test_a_body_that_is_too_large_is_refused_while_it_is_read(ask: Any, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert_route, "LIMIT", 100)
    answer = ask(app, b"x" * 60, b"x" * 60, b"x" * 60, path="/convert")
    assert answer.status == 413
    assert len(answer.left) == 1


def test_a_caller_that_has_gone_is_not_answered(ask: Any, app: App) -> None:
    assert ask(app, b"{", path="/convert", then=[{"type": "http.disconnect"}]) is None


def test_a_fault_of_ours_is_500(ask: Any, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes) -> bytes:
        raise RuntimeError

    monkeypatch.setattr(convert_route, "convert", broken)
    assert ask(app, b"{}", path="/convert").status == 500


def test_one_that_leaves_closes_its_connections(ask: Any, app: App) -> None:
    assert "connection" not in ask(app, review(BETA), path="/convert").headers
    app.leave()
    assert ask(app, review(BETA), path="/convert").headers["connection"] == "close"
