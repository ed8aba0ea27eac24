"""The policy API, called as ASGI: judging without doing, looking up, decisions, status."""

import copy
import threading
import time
from dataclasses import replace

import orjson
import pytest

from stateward.cli.reports import as_json
from stateward.policies.policy import API_VERSION, DEFAULT, KIND, parse
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW, MemoryView, nothing_complete
from stateward.webhook import api
from stateward.webhook.app import build
from stateward.webhook.probes import Probes

JSON = {"content-type": "application/json"}


@pytest.fixture
def post(app, ask):
    """`post(body)`: what POST /v1/evaluate answers, as (status, values)."""

    def post(content, app=app, headers=JSON, **more):
        body = content if isinstance(content, bytes) else orjson.dumps(content)
        answer = ask(app, body, path="/v1/evaluate", headers=headers, **more)
        return answer.status, orjson.loads(answer.body)

    return post


@pytest.fixture
def get(app, ask):
    """`get(path, query)`: (status, values)."""

    def get(path, query="", app=app):
        answer = ask(app, b"", path=path, method="GET", headers={}, query=query.encode())
        return answer.status, orjson.loads(answer.body)

    return get


def etcd(members, name="locks", namespace="shop"):
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": members,
            "serviceName": name,
            "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.17"}]}},
        },
    }


def rules(report):
    return {one["rule"] for one in report["findings"] if one["action"] == "deny"}


def test_a_change_is_judged_as_the_door_would(post):
    status, report = post({"pairs": [{"old": etcd(3), "new": etcd(1)}]})
    assert status == 200
    assert rules(report) == {"SW201"}
    [one] = [one for one in report["findings"] if one["rule"] == "SW201"]
    assert one["file"] == "pairs[0]"
    assert one["object"] == {
        "kind": "StatefulSet.apps",
        "namespace": "shop",
        "name": "locks",
        "title": "StatefulSet shop/locks",
    }
    assert one["waive"].startswith("kubectl annotate -n shop statefulset/locks stateward.dev/waive=")
    assert report["exitCode"] == 1
    assert report["totals"]["denied"] == 1


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda item: item,
        lambda item: [item],
        lambda item: {"objects": [item]},
        lambda item: {"kind": "List", "apiVersion": "v1", "items": [item]},
        lambda item: {"pairs": [{"new": item}]},
    ],
)
def test_objects_are_taken_alone_in_a_list_or_by_name(post, wrapped):
    status, report = post(wrapped(etcd(2)))
    assert status == 200
    [one] = report["objects"]
    assert one["operation"] == "CREATE"
    assert one["object"]["name"] == "locks"


def test_a_deletion_is_an_old_object_without_a_new_one(post):
    status, report = post({"pairs": [{"old": etcd(3), "new": None}]})
    assert status == 200
    assert report["objects"][0]["operation"] == "DELETE"


def test_a_review_is_judged_as_it_stands(post, reviews):
    status, report = post(reviews.harmful())
    assert status == 200
    assert rules(report) == {"SW103"}
    assert report["findings"][0]["file"] == "request"


def test_the_form_is_the_one_of_lint(post, tmp_path):
    from click.testing import CliRunner

    from stateward.cli.commands.lint import command

    for folder, members in (("old", 3), ("new", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "locks.json").write_bytes(orjson.dumps(etcd(members)))
    arguments = ["--old", str(tmp_path / "old"), str(tmp_path / "new"), "-f", "json"]
    linted = orjson.loads(CliRunner().invoke(command, arguments).stdout)
    _, report = post({"pairs": [{"old": etcd(3), "new": etcd(1)}]})
    assert report["format"] == as_json.FORMAT
    assert report.keys() == linted.keys()
    assert report["totals"].keys() == linted["totals"].keys()
    assert report["objects"][0].keys() - linted["objects"][0].keys() == {"mode"}
    place = {"file", "line", "column", "endColumn", "excerpt", "waive"}
    ours, theirs = report["findings"][0], linted["findings"][0]
    assert ours.keys() == theirs.keys()
    assert {key: ours[key] for key in ours.keys() - place} == {key: theirs[key] for key in theirs.keys() - place}


def test_what_is_proposed_together_is_seen_together(post):
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "locks", "namespace": "shop"},
        "spec": {"minAvailable": 5, "selector": {"matchLabels": {"app": "locks"}}},
    }
    item = etcd(3)
    item["spec"]["selector"] = {"matchLabels": {"app": "locks"}}
    item["spec"]["template"]["metadata"] = {"labels": {"app": "locks"}}

    def found(*objects, **more):
        return {(one["rule"], one["object"]["kind"]) for one in post({"objects": objects, **more})[1]["findings"]}

    assert found(item, budget) != found(item) | found(budget)
    assert ("PodDisruptionBudget" in str(found(item, budget))) or found(budget, context=[item]) != found(budget)


def test_the_mode_of_a_namespace_that_the_door_sees_counts(post):
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": {"stateward.dev/mode": "warn"}},
    }
    app = build(MemoryView([namespace], nothing_complete), DEFAULT)
    _, report = post({"pairs": [{"old": etcd(3), "new": etcd(1)}]}, app=app)
    [one] = [one for one in report["findings"] if one["rule"] == "SW201"]
    assert (one["action"], one["would"]) == ("warn", "deny")
    assert report["objects"][0]["mode"] == "warn"


def test_nothing_is_counted_or_kept(app, post, get):
    post({"pairs": [{"old": etcd(3), "new": etcd(1)}]})
    assert len(app.decisions) == 0
    assert get("/v1/status")[1]["counts"]["requests"] == []


BAD = [
    (b"{", 400, "the body is not JSON"),
    (b"", 400, "the body is not JSON"),
    (b"3", 400, "no JSON object or list"),
    ({}, 400, "nothing to judge"),
    ({"objects": []}, 400, "nothing to judge"),
    ({"objects": {}}, 400, "objects: a list is wanted"),
    ({"objcts": []}, 400, '"objcts": unknown field'),
    ({"objects": [etcd(1)], "context": [3]}, 400, "context[0]: this is no object"),
    ({"objects": [etcd(1)], "user": 3}, 400, "user: an object with name"),
    ({"objects": [etcd(1)], "user": {"name": "a", "groups": [1]}}, 400, "user.groups"),
    ({"objects": [etcd(1)] * (api.OBJECTS + 1)}, 413, "at most 500"),
    ({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"}, 400, "cannot be judged"),
]


@pytest.mark.parametrize(("content", "status", "told"), BAD, ids=[row[2] for row in BAD])
def test_a_body_that_asks_nothing_is_told_why(post, content, status, told):
    got, answer = post(content)
    assert got == status
    assert told in answer["error"]
    assert answer.keys() == {"error"}


@pytest.mark.parametrize(
    ("item", "told"),
    [
        ({"objects": [3]}, "this is no object"),
        ({"objects": [{}]}, "apiVersion and kind are wanted"),
        ({"objects": [{"apiVersion": "v1", "kind": "Secret"}]}, "metadata.name of this Secret is missing"),
        ({"pairs": [3]}, "an object with old and new is wanted"),
        ({"pairs": [{}]}, "neither old nor new is there"),
        ({"pairs": [{"old": etcd(1), "new": 3}]}, "new: this is no object"),
        ({"pairs": [{"old": etcd(1), "new": etcd(1, "other")}]}, "old and new are two objects"),
    ],
)
def test_what_cannot_be_judged_is_an_input_error_and_the_others_are_judged(post, item, told):
    item = {"objects": [], "pairs": [], **item}
    item["pairs"] = [*item["pairs"], {"old": etcd(3), "new": etcd(1)}]
    status, report = post(item)
    assert status == 200
    assert told in report["inputErrors"][0]["message"]
    assert report["totals"]["errors"] == 1
    assert report["exitCode"] == 2
    assert rules(report) == {"SW201"}


def test_a_body_of_another_type_or_too_large_is_turned_away(post, ask, app):
    assert post(b"a: b", headers={"content-type": "application/yaml"})[0] == 415
    assert post(b" " * (api.LIMIT + 1))[0] == 413
    assert post(b"{}", headers={**JSON, "content-length": "99999999999"})[0] == 413
    assert ask(app, b" " * api.LIMIT, b" ", path="/v1/evaluate").status == 413


def test_many_objects_do_not_keep_the_event_loop(serving, tmp_path, reviews):
    many = orjson.dumps({"pairs": [{"old": etcd(3, f"db-{n}"), "new": etcd(1, f"db-{n}")} for n in range(400)]})
    with serving(tmp_path) as door, door.client() as client:
        client.post("/validate", content=reviews.harmless(), headers=JSON)
        done = []

        def judge():
            done.append(door.post(many, path="/v1/evaluate"))

        thread = threading.Thread(target=judge)
        thread.start()
        times = []
        while thread.is_alive():
            started = time.perf_counter()
            assert client.post("/validate", content=reviews.harmless(), headers=JSON).status_code == 200
            times.append(time.perf_counter() - started)
        assert done[0].json()["totals"]["denied"] == 400
        # Generous, for the machine is shared: judging all at once would hold it up for a large part of a second.
        assert sorted(times)[len(times) // 2] < 0.05


def test_rules_are_told_with_what_they_do_by_the_policy(ask, get):
    spec = {
        "rules": {"SW201": "warn"},
        "userRules": [{"id": "SW901", "name": "mine", "validations": [{"expression": "true"}]}],
    }
    app = build(EMPTY_VIEW, parse({"apiVersion": API_VERSION, "kind": KIND, "spec": spec}, RULES))
    _, found = get("/v1/rules", app=app)
    assert len(found["rules"]) == len(RULES) + 1
    assert {one["id"]: one["action"] for one in found["rules"]}["SW201"] == "warn"
    status, one = get("/v1/rules/sw201", app=app)
    assert (status, one["name"], one["action"]) == (200, "quorum-lost", "warn")
    assert one["examples"]
    assert get("/v1/rules/quorum-lost", app=app)[1] == one
    assert get("/v1/rules/SW901", app=app)[1]["examples"] == []
    assert get("/v1/rules/SW000", app=app) == (404, {"error": '"SW000" is no rule; GET /v1/rules lists them'})


def test_the_way_is_the_one_that_the_command_shows(get):
    from click.testing import CliRunner

    from stateward.cli.commands.path import command

    shown = CliRunner().invoke(command, ["kafka", "3.6.2", "4.1.0", "--mode", "zookeeper", "-f", "json"]).stdout
    assert get("/v1/path", "engine=kafka&from=3.6.2&to=4.1.0&mode=zookeeper") == (200, orjson.loads(shown))


@pytest.mark.parametrize(
    ("query", "status", "told"),
    [
        ("", 400, "engine: field required"),
        ("engine=oracle&from=1&to=2", 404, '"oracle" is no engine; there are'),
        ("engine=kafka&from=x&to=2", 400, 'from: "x" is no version'),
        (f"engine=kafka&from=1&to={'9' * 99}", 400, "to: "),
    ],
)
def test_a_way_that_cannot_be_looked_for_is_told_why(get, query, status, told):
    got, answer = get("/v1/path", query)
    assert got == status
    assert told in answer["error"]


def test_engines_are_told_as_the_command_tells_them(get):
    from click.testing import CliRunner

    from stateward.cli.commands.engines import command

    assert get("/v1/engines")[1] == orjson.loads(CliRunner().invoke(command, ["-f", "json"]).stdout)


def test_decisions_are_found_by_object_and_outcome(app, ask, get, reviews):
    ask(app, reviews.harmful())
    ask(app, reviews.harmful("uid-2"))
    ask(app, reviews.harmful("uid-3", dryRun=True))
    ask(app, reviews.harmless())
    _, found = get("/v1/decisions", "namespace=prod&name=db&kind=statefulset&outcome=denied")
    dry, real = sorted(found["decisions"], key=lambda one: one["dryRun"], reverse=True)
    assert (dry["count"], real["count"], real["uid"]) == (1, 2, "uid-2")
    assert real["findings"][0]["rule"] == "SW103"
    assert "hunter2" not in str(found)
    assert get("/v1/decisions", "namespace=dev")[1]["decisions"] == []
    assert len(get("/v1/decisions", "limit=1")[1]["decisions"]) == 1
    assert get("/v1/decisions", "limit=0")[0] == get("/v1/decisions", "outcome=x")[0] == 400


def test_status_says_what_going_to_deny_would_have_refused(ask, get, reviews):
    probes = Probes(
        ages=lambda: {"Pod": 3.0, "Node": float("inf")},
        unknown=lambda: {"Node": "no right"},
        certificates=lambda: {"serving": 1.9e9},
        registered=lambda: True,
        policy_name=lambda: "default",
    )
    app = build(EMPTY_VIEW, replace(DEFAULT, mode="audit"), probes=probes, clock=lambda: 1.8e9)
    for _ in range(3):
        ask(app, reviews.harmful())
    _, found = get("/v1/status", app=app)
    assert found["mode"] == "audit"
    assert found["policy"] == {"name": "default", "profile": "production@1", "userRules": 0, "errors": []}
    assert found["counts"]["since"] == "2027-01-15T08:00:00Z"
    assert found["counts"]["requests"] == [{"namespace": "prod", "wouldBeDenied": 3}]
    assert {"namespace": "prod", "rule": "SW103", "name": "claim-template-change", "wouldBeDenied": 3} in found["counts"][
        "findings"
    ]
    assert found["views"] == {"ages": {"Pod": 3.0, "Node": None}, "unknown": {"Node": "no right"}}
    assert (found["registered"], found["leader"], found["certificates"]) == (True, None, {"serving": "2030-03-17T17:46:40Z"})


def test_what_mutate_refuses_is_a_decision_and_what_it_lets_pass_is_left_to_validate(ask, reviews):
    from stateward.policies.review import review

    app = build(EMPTY_VIEW, DEFAULT, mutate=review)
    assert orjson.loads(ask(app, reviews.harmful(), path="/mutate").body)["response"]["allowed"] is False
    assert len(app.decisions) == 1
    audited = build(EMPTY_VIEW, replace(DEFAULT, mode="audit"), mutate=review)
    assert orjson.loads(ask(audited, reviews.harmful(), path="/mutate").body)["response"]["allowed"] is True
    assert len(audited.decisions) == 0


def test_without_a_judge_there_is_no_mutation(app, ask, reviews):
    assert ask(app, reviews.harmless(), path="/mutate").status == 404


def test_a_fault_of_ours_is_a_decision_too(app, ask, get, reviews):
    def fails(*_, **__):
        raise RuntimeError("hunter2")

    app.admission.judge = fails
    assert ask(app, reviews.harmless()).status == 500
    [one] = get("/v1/decisions")[1]["decisions"]
    assert one["outcome"] == "fault"
    assert "hunter2" not in str(one)


def test_a_fault_in_the_api_is_one_line_of_json(ask, caplog):
    def fails(secret="hunter" + str(2)):
        raise RuntimeError(secret)

    app = build(EMPTY_VIEW, DEFAULT, probes=Probes(registered=fails))
    answer = ask(app, b"", path="/v1/status", method="GET", headers={})
    assert answer.status == 500
    assert orjson.loads(answer.body) == {"error": "a fault in Stateward; see its log"}
    assert "api-fault" in caplog.text
    assert "hunter2" not in caplog.text


def test_the_documents_load_nothing_from_anybody_else(app, ask):
    page = ask(app, b"", path="/docs", method="GET", headers={})
    assert page.status == 200
    assert b"<script" not in page.body
    assert b"http" not in page.body
    assert b"/v1/evaluate" in page.body
    document = orjson.loads(ask(app, b"", path="/openapi.json", method="GET", headers={}).body)
    assert {"/v1/evaluate", "/v1/rules", "/v1/path", "/v1/engines", "/v1/decisions", "/v1/status"} <= document[
        "paths"
    ].keys()
    body = document["paths"]["/v1/evaluate"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert {"objects", "pairs", "context", "user"} == body["properties"].keys()
    assert "$ref" not in str(body)


@pytest.mark.parametrize("path", ["/v1", "/v1/nothing", "/v2/rules"])
def test_what_is_not_there_is_one_line_of_json(get, path):
    status, answer = get(path)
    assert status == 404
    assert answer.keys() == {"error"}


def test_answers_are_what_the_document_promises(app, ask, reviews):
    from stateward.webhook import models

    ask(app, reviews.harmful())
    bodies = {
        models.Report: ask(app, reviews.harmful(), path="/v1/evaluate").body,
        models.Rules: ask(app, b"", path="/v1/rules", method="GET", headers={}).body,
        models.Rule: ask(app, b"", path="/v1/rules/SW201", method="GET", headers={}).body,
        models.Engines: ask(app, b"", path="/v1/engines", method="GET", headers={}).body,
        models.Decisions: ask(app, b"", path="/v1/decisions", method="GET", headers={}).body,
        models.Status: ask(app, b"", path="/v1/status", method="GET", headers={}).body,
    }
    for model, body in bodies.items():
        model.model_validate_json(body)


def test_the_object_that_is_judged_is_not_changed(post):
    pair = {"old": etcd(3), "new": etcd(1)}
    before = copy.deepcopy(pair)
    post({"pairs": [pair]})
    assert pair == before
