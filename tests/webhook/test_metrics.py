"""Health and metrics, called as ASGI."""

import math
from dataclasses import replace
from importlib.metadata import version

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stateward.policies.policy import API_VERSION, DEFAULT, KIND, parse
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import build
from stateward.webhook.metrics import KINDS
from stateward.webhook.probes import Probes


def samples(app, ask):
    answer = ask(app, b"", path="/metrics", method="GET", headers={})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }


def test_a_request_is_counted_by_operation_kind_and_outcome(app, ask, reviews):
    for body in (reviews.harmless(), reviews.harmless(), reviews.harmful()):
        ask(app, body)
    found = samples(app, ask)
    labels = [("kind", "StatefulSet.apps"), ("operation", "UPDATE")]
    assert found[("stateward_requests_total", *labels, ("outcome", "allow"))] == 2
    assert found[("stateward_requests_total", *labels, ("outcome", "deny"))] == 1
    assert found[("stateward_findings_total", ("action", "deny"), *labels, ("rule", "SW103"))] == 1


def test_rules_of_a_policy_are_counted_by_their_ids(ask, reviews):
    rows = [
        {"id": "SW901", "name": "mine", "nature": "transition", "validations": [{"expression": "false"}]},
        {"id": "SW902", "name": "fails", "nature": "transition", "validations": [{"expression": "object.nope == 1"}]},
    ]
    held = parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"userRules": rows}}, RULES)
    app = build(EMPTY_VIEW, held)
    answer = ask(app, reviews.harmless())
    assert orjson.loads(answer.body)["response"]["allowed"] is False
    found = samples(app, ask)
    labels = [("kind", "StatefulSet.apps"), ("operation", "UPDATE")]
    assert found[("stateward_findings_total", ("action", "deny"), *labels, ("rule", "SW901"))] == 1
    assert found[("stateward_rule_faults_total", ("rule", "SW902"))] == 1


def test_durations_are_a_histogram_from_a_tenth_of_a_millisecond(app, ask, reviews):
    for _ in range(3):
        ask(app, reviews.harmless())
    found = samples(app, ask)
    buckets = {
        float(key[1][1]): value for key, value in found.items() if key[0] == "stateward_request_duration_seconds_bucket"
    }
    assert min(buckets) == 0.0001
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets[math.inf] == found[("stateward_request_duration_seconds_count",)] == 3
    assert 0 < found[("stateward_request_duration_seconds_sum",)] < 5


def test_labels_are_bounded_whatever_callers_make_up(app, ask, reviews):
    for number in range(50):
        made_up = {"group": f"g{number}.example", "version": "v1", "kind": f"Kind{number}"}
        ask(app, reviews.harmless(kind=made_up))
    requests = {key: value for key, value in samples(app, ask).items() if key[0] == "stateward_requests_total"}
    key = ("stateward_requests_total", ("kind", "other"), ("operation", "UPDATE"), ("outcome", "allow"))
    assert requests == {key: 50}
    assert {"StatefulSet.apps", "Scale.autoscaling", "Eviction.policy", "Namespace"} <= KINDS


def test_calls_that_are_no_reviews_are_counted_by_reason(app, ask, reviews):
    ask(app, b"{")
    ask(app, b"x", headers={"content-type": "text/plain"})
    ask(app, b"x", method="GET")
    found = samples(app, ask)
    for reason in ("unreadable", "content-type", "method"):
        assert found[("stateward_bad_reviews_total", ("reason", reason))] == 1


def test_the_age_of_the_view_is_given_for_each_kind_and_the_oldest_of_the_rest(ask):
    ages = {"StatefulSet.apps": 3.0, "Namespace": math.inf, "A.example": 5.0, "B.example": 7.0}
    found = samples(build(EMPTY_VIEW, DEFAULT, ages=lambda: ages), ask)
    given = {key[1][1]: value for key, value in found.items() if key[0] == "stateward_view_age_seconds"}
    assert given == {"StatefulSet.apps": 3.0, "Namespace": math.inf, "other": 7.0}


def test_an_openmetrics_scraper_gets_openmetrics(app, ask):
    answer = ask(app, b"", path="/metrics", method="GET", headers={"accept": "application/openmetrics-text"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.body.endswith(b"# EOF\n")


def test_two_applications_count_apart(ask, reviews):
    one, other = build(EMPTY_VIEW, DEFAULT), build(EMPTY_VIEW, DEFAULT)
    ask(one, reviews.harmless())
    assert not [key for key in samples(other, ask) if key[0] == "stateward_requests_total"]


def test_it_says_who_it_is_and_that_it_lives(app, ask):
    about = orjson.loads(ask(app, b"", path="/", method="GET", headers={}).body)
    assert about["name"] == "stateward"
    assert about["version"]
    assert ask(app, b"", path="/livez", method="GET", headers={}).status == 200


@pytest.mark.parametrize("path", ["/validate/", "/Validate", "/nothing"])
def test_other_paths_are_not_there(app, ask, reviews, path):
    assert ask(app, reviews.harmless(), path=path).status in (307, 404)


def test_readiness_follows_what_it_is_told_and_ends_with_the_service(ask):
    told = [(False, "not known yet: Pod")]
    app = build(EMPTY_VIEW, DEFAULT, ready=lambda: told[0])

    def readyz():
        answer = ask(app, b"", path="/readyz", method="GET", headers={})
        return answer.status, orjson.loads(answer.body)

    assert readyz() == (503, {"ready": False, "reason": "not known yet: Pod"})
    told[0] = (True, "")
    assert readyz() == (200, {"ready": True})
    app.leave()
    assert readyz() == (503, {"ready": False, "reason": "shutting down"})
    assert ask(app, b"", path="/livez", method="GET", headers={}).status == 200


def test_what_a_mode_lets_pass_is_counted_as_what_it_would_have_been(ask, reviews):
    app = build(EMPTY_VIEW, replace(DEFAULT, mode="audit"))
    assert orjson.loads(ask(app, reviews.harmful()).body)["response"]["allowed"] is True
    found = samples(app, ask)
    labels = [("kind", "StatefulSet.apps"), ("operation", "UPDATE")]
    assert found[("stateward_requests_total", *labels, ("outcome", "would-deny"))] == 1
    assert found[("stateward_findings_total", ("action", "would-deny"), *labels, ("rule", "SW103"))] == 1
    assert found[("stateward_info", ("mode", "audit"), ("profile", "production@1"), ("version", version("stateward")))] == 1


def test_gauges_say_what_the_parts_of_the_process_know(ask):
    probes = Probes(
        unknown=lambda: {"Pod": "no right"},
        certificates=lambda: {"authority": 2e9, "serving": 1.9e9},
        registered=lambda: False,
        leader=lambda: True,
        policy_errors=lambda: ["spec: wrong"],
    )
    found = samples(build(EMPTY_VIEW, DEFAULT, probes=probes), ask)
    assert found[("stateward_unknown_kinds",)] == 1
    assert found[("stateward_configuration_missing",)] == 1
    assert found[("stateward_leader",)] == 1
    assert found[("stateward_policy_errors",)] == 1
    assert found[("stateward_certificate_expiry_timestamp_seconds", ("certificate", "serving"))] == 1.9e9


def test_what_does_not_apply_is_no_gauge(app, ask):
    names = {key[0] for key in samples(app, ask)}
    assert not names & {"stateward_configuration_missing", "stateward_leader", "stateward_events_total"}
