"""The admission route alone, called as ASGI."""

import logging

import orjson
import pytest

from stateward.policies.policy import DEFAULT
from stateward.policies.review import review
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook import admission
from stateward.webhook.admission import LIMIT

NOW = 1_800_000_000.0


def error_of(answer):
    found = orjson.loads(answer.body)
    assert list(found) == ["error"]
    return found["error"]


def test_a_harmless_change_is_allowed_and_its_uid_comes_back(app, ask, reviews):
    answer = ask(app, reviews.harmless("uid-7"))
    assert answer.status == 200
    assert answer.headers == {"content-type": "application/json", "content-length": str(len(answer.body))}
    response = orjson.loads(answer.body)["response"]
    assert response["uid"] == "uid-7"
    assert response["allowed"] is True


def test_a_harmful_change_is_refused_with_exactly_what_the_engine_says(app, ask, reviews):
    body = reviews.harmful("uid-8")
    answer = ask(app, body)
    assert answer.status == 200  # a denial is an answer, no error
    assert answer.body == review(body, EMPTY_VIEW, DEFAULT, now=NOW, unknown="warn").body
    response = orjson.loads(answer.body)["response"]
    assert (response["uid"], response["allowed"], response["status"]["code"]) == ("uid-8", False, 403)
    assert "SW103" in response["status"]["message"]


def test_a_dry_run_is_judged_like_any_other(app, ask, reviews):
    plain, dry = ask(app, reviews.harmful()), ask(app, reviews.harmful(dryRun=True))
    assert dry.body == plain.body


def test_a_body_in_pieces_is_judged_as_a_whole(app, ask, reviews):
    body = reviews.harmful()
    pieces = [body[at : at + 7] for at in range(0, len(body), 7)]
    assert ask(app, *pieces).body == ask(app, body).body


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "an AdmissionReview object is wanted"),
        (b"{}", "admission.k8s.io/v1"),
    ],
)
def test_what_is_no_review_is_answered_400_with_the_reason(app, ask, body, said):
    answer = ask(app, body)
    assert answer.status == 400
    assert said in error_of(answer)


def test_a_review_of_another_version_is_answered_400(app, ask, reviews):
    answer = ask(app, reviews.harmless().replace(b"admission.k8s.io/v1", b"admission.k8s.io/v1beta1"))
    assert answer.status == 400
    assert "v1beta1" in error_of(answer)


@pytest.mark.parametrize("method", ["GET", "PUT", "HEAD", "DELETE"])
def test_other_methods_than_post_are_answered_405(app, ask, reviews, method):
    answer = ask(app, reviews.harmless(), method=method)
    assert answer.status == 405
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("given", ["application/json; charset=utf-8", "Application/JSON", "application/json ;charset=utf-8"])
def test_json_is_json_however_it_is_written(app, ask, reviews, given):
    assert ask(app, reviews.harmless(), headers={"content-type": given}).status == 200


@pytest.mark.parametrize("headers", [{}, {"content-type": "text/plain"}, {"content-type": "application/jsonp"}])
def test_other_content_types_are_answered_415_without_reading_the_body(app, ask, reviews, headers):
    answer = ask(app, reviews.harmless(), headers=headers)
    assert answer.status == 415
    assert len(answer.left) == 1


def test_a_length_over_the_limit_is_answered_413_without_reading_the_body(app, ask):
    for length in (LIMIT + 1, 10**30):
        answer = ask(app, b"x", headers={"content-type": "application/json", "content-length": str(length)})
        assert answer.status == 413
        assert len(answer.left) == 1
        assert answer.headers["connection"] == "close"


def test_a_body_that_grows_over_the_limit_is_answered_413_at_once(app, ask):
    part = b" " * (1024 * 1024)
    answer = ask(app, *[part] * 7, b" ", *[part] * 20)
    assert answer.status == 413
    assert len(answer.left) == 20


def test_a_body_of_exactly_the_limit_is_read(app, ask, reviews):
    body = reviews.harmless()
    padded = body + b" " * (LIMIT - len(body))
    headers = {"content-type": "application/json", "content-length": str(LIMIT)}
    assert ask(app, padded[:1000], padded[1000:], headers=headers).status == 200


@pytest.mark.parametrize("parts", [[], [b"{"], [b"{", b"}"]])
def test_a_client_that_goes_away_gets_no_answer_and_is_counted(app, ask, parts):
    assert ask(app, *parts, then=[{"type": "http.disconnect"}]) is None
    assert b'stateward_bad_reviews_total{reason="disconnected"} 1.0' in app.metrics.exposition()[0]


def test_a_body_that_is_late_is_answered_504_and_not_judged(app, ask, reviews, monkeypatch):
    monkeypatch.setattr(app.admission, "judge", None)
    assert ask(app, b"{", then=[], query=b"timeout=50ms").status == 504
    answer = ask(app, reviews.harmless(), query=b"timeout=0s")
    assert answer.status == 504
    assert "retry-after" not in answer.headers


def test_a_fault_of_ours_is_answered_500_and_explained_in_the_log_alone(app, ask, reviews, monkeypatch, caplog):
    def crash(*_, **__):
        raise RuntimeError("hunter" + str(2))

    monkeypatch.setattr(app.admission, "judge", crash)
    answer = ask(app, reviews.harmless("uid-9"))
    assert answer.status == 500
    assert "retry-after" not in answer.headers  # it would make the API server ask again
    assert "fault in Stateward" in error_of(answer)
    assert b"RuntimeError" not in answer.body
    assert b"Traceback" not in answer.body
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    said = record.getMessage()
    assert said.startswith("fault uid=uid-9 operation=UPDATE kind=StatefulSet.apps error=RuntimeError\n")
    assert "in crash" in said
    assert "hunter2" not in caplog.text
    exposed = app.metrics.exposition()[0]
    assert b"stateward_faults_total 1.0" in exposed
    assert b'stateward_requests_total{kind="StatefulSet.apps",operation="UPDATE",outcome="fault"} 1.0' in exposed


def test_a_fault_in_reading_the_request_is_answered_500_too(app, ask, reviews, monkeypatch, caplog):
    def crash(*_, **__):
        raise RecursionError

    monkeypatch.setattr(app.admission, "judge", crash)
    monkeypatch.setattr(admission, "decode", crash)
    assert ask(app, reviews.harmless()).status == 500
    assert "fault error=RecursionError" in caplog.text


def test_a_denial_is_one_line_in_the_log_without_what_the_object_holds(app, ask, reviews, caplog):
    caplog.set_level(logging.INFO, "stateward")
    ask(app, reviews.harmless())
    assert not caplog.records
    ask(app, reviews.harmful("uid-3", userInfo={"username": "jane\ndenied uid=forged"}))
    [record] = caplog.records
    assert record.getMessage() == (
        'denied uid=uid-3 user="jane\\ndenied uid=forged" operation=UPDATE kind=StatefulSet.apps object=prod/db rules=SW103'
    )
    assert "hunter2" not in caplog.text


def test_what_is_no_review_is_logged_without_what_was_sent(app, ask, caplog):
    body = b'{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": ["hunter2"]}'
    assert ask(app, body).status == 400
    assert "bad-review" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_rule_that_crashes_is_logged_and_the_request_judged_by_the_others(app, ask, reviews, monkeypatch, caplog):
    judge = app.admission.judge

    def with_fault(*args, **more):
        answer = judge(*args, **more)
        answer.verdict.faults["SW103"] = "KeyError"
        return answer

    monkeypatch.setattr(app.admission, "judge", with_fault)
    assert ask(app, reviews.harmless("uid-4")).status == 200
    assert "rule-fault uid=uid-4 rule=SW103 error=KeyError" in caplog.text
    assert b'stateward_rule_faults_total{rule="SW103"} 1.0' in app.metrics.exposition()[0]


def test_a_new_policy_holds_from_the_next_request_on(app, ask, reviews):
    from stateward.policies.policy import parse
    from stateward.policies.rules import RULES

    spec = {"rules": {"SW103": "off"}}
    app.admission.policy = parse({"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "spec": spec}, RULES)
    assert orjson.loads(ask(app, reviews.harmful()).body)["response"]["allowed"] is True


def test_while_it_leaves_every_answer_closes_its_connection(app, ask, reviews):
    app.leave()
    assert ask(app, reviews.harmless()).headers["connection"] == "close"
    assert ask(app, b"{").headers["connection"] == "close"
