"""The route /mutate: beside /validate, with the same manners."""

import base64
import copy

import orjson
import pytest

from stateward.policies.mutate import mutate
from stateward.policies.policy import DEFAULT
from stateward.policies.view import MemoryView
from stateward.webhook.app import MUTATE, build

NAMESPACE = {"kind": "Namespace", "metadata": {"name": "prod", "labels": {"stateward.dev/defaults": "on"}}}


@pytest.fixture
def app():
    """An application that sees one namespace, which asks for defaults, and knows that there is nothing else."""
    return build(MemoryView([NAMESPACE], lambda _: True), DEFAULT, clock=lambda: 1_800_000_000.0, mutate=mutate)


def etcd(reviews):
    """A creation of an etcd."""
    review = orjson.loads(reviews.of(operation="CREATE"))
    item = copy.deepcopy(review["request"]["object"])
    item["spec"]["template"]["spec"]["containers"][0]["image"] = "etcd:3.5.17"
    review["request"] |= {"object": item, "oldObject": None}
    return orjson.dumps(review)


def test_a_creation_is_filled_in_there_and_nowhere_else(app, ask, reviews):
    body = etcd(reviews)
    said = orjson.loads(ask(app, body, path="/mutate").body)["response"]
    assert said["uid"] == "uid-1"
    assert said["patchType"] == "JSONPatch"
    assert len(orjson.loads(base64.b64decode(said["patch"]))) == 2
    assert "patch" not in orjson.loads(ask(app, body).body)["response"]


def test_what_can_never_change_is_refused_with_200(app, ask, reviews):
    answer = ask(app, reviews.harmful(), path="/mutate")
    assert answer.status == 200
    said = orjson.loads(answer.body)["response"]
    assert said["allowed"] is False
    assert "so no waiver helps" in said["status"]["message"]


def test_a_fault_is_500_and_says_no_review(app, ask, reviews, monkeypatch):
    def crash(*_, **__):
        raise RuntimeError

    monkeypatch.setattr(app.admissions[MUTATE], "judge", crash)
    answer = ask(app, reviews.harmless(), path="/mutate")
    assert answer.status == 500
    assert b"AdmissionReview" not in answer.body
    assert "retry-after" not in answer.headers


def test_whoever_leaves_closes_connections_here_too(app, ask, reviews):
    assert "connection" not in ask(app, reviews.harmless(), path="/mutate").headers
    app.leave()
    assert ask(app, reviews.harmless(), path="/mutate").headers["connection"] == "close"


def test_without_somebody_who_judges_there_is_no_such_path(ask, reviews):
    assert ask(build(MemoryView([]), DEFAULT), reviews.harmless(), path="/mutate").status == 404
