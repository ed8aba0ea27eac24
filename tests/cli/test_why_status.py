"""`stateward why` and `stateward status`: an installation asked through the API server, a door asked directly.

The API server is a stand-in that proxies to replicas of our own; tests/cluster has the real one.
"""

from __future__ import annotations

import http.server
import json
import threading
from urllib.parse import parse_qs, urlsplit

import pytest
from click.testing import CliRunner

from stateward.cli import installed
from stateward.cli.commands import why
from stateward.cli.main import cli

CONFIG = """\
apiVersion: v1
kind: Config
current-context: one
contexts: [{{name: one, context: {{cluster: one, user: one}}}}]
clusters: [{{name: one, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: one, user: {{token: own-token}}}}]
"""
PODS = "/api/v1/namespaces/stateward/pods"
TOKEN = "/api/v1/namespaces/stateward/serviceaccounts/stateward-reader/token"
VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


def pod(name, ready=True):
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"ports": [{"name": "https", "containerPort": 9443}]}]},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]},
    }


def decision(moment="2026-11-21T10:00:00Z", outcome="denied", kind="StatefulSet.apps", name="db", **more):
    named = {"kind": kind, "namespace": "prod", "name": name}
    finding = {"rule": "SW201", "name": "quorum-lost", "outcome": outcome, "message": "spec.replicas: 3 → 1"}
    return {
        "time": moment,
        "first": moment,
        "count": 1,
        "outcome": outcome,
        "mode": "deny",
        "operation": "UPDATE",
        "subresource": "",
        "object": named,
        "about": {**named, "title": f"StatefulSet prod/{name}"},
        "user": "jane",
        "dryRun": False,
        "findings": [{**finding, "why": "two of three are gone", "remedy": "one at a time", "waiver": ""}],
        "notes": [],
        "uid": "u",
        "seconds": 0.0002,
        **more,
    }


def decisions(*found):
    return {"format": "stateward-decisions/v1", "since": "2026-11-21T09:00:00Z", "dropped": 0, "decisions": list(found)}


def state(mode="audit", ready=True, started="2026-11-21T09:00:00Z", findings=(), requests=(), **more):
    return {
        "format": "stateward-status/v1",
        "version": "0.1.0",
        "started": started,
        "ready": ready,
        "reason": "",
        "mode": mode,
        "policy": {"name": "stateward", "profile": "production@1", "userRules": 0, "errors": []},
        "registered": True,
        "leader": False,
        "certificates": {"serving": "2036-11-21T09:00:00Z"},
        "views": {"ages": {"Pod": 1.0, "Node": None}, "unknown": {}},
        "counts": {"since": started, "requests": list(requests), "findings": list(findings)},
        "decisions": {"kept": 0, "dropped": 0},
        **more,
    }


class Api:
    """Answers by path; keeps what was asked."""

    def __init__(self):
        self.answers = {
            PODS: {"items": [pod("one"), pod("two")]},
            TOKEN: {"status": {"token": "reader-token"}},
            VALIDATING: {"items": []},
            MUTATING: {"items": []},
            "/api/v1/namespaces": {"items": []},
        }
        self.asked = []
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                parts = urlsplit(self.path)
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                api.asked.append((self.command, parts.path, parse_qs(parts.query), dict(self.headers)))
                found = api.answers.get(parts.path, (404, {"kind": "Status", "reason": "NotFound", "message": "not found"}))
                code, content = found if isinstance(found, tuple) else (200, found)
                body = json.dumps(content).encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815 - http.server's name

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def replica(self, name, path, answer):
        self.answers[f"{PODS}/https%3A{name}%3A9443/proxy{path}"] = answer

    def tokens(self):
        return [headers["X-Stateward-Authorization"] for _, path, _, headers in self.asked if "/proxy/" in path]

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def api():
    api = Api()
    yield api
    api.close()


@pytest.fixture
def run(api, tmp_path, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "STATEWARD_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    config = tmp_path / "config"
    config.write_text(CONFIG.format(port=api.server.server_address[1]))

    def run(*arguments):
        return CliRunner().invoke(cli, [*arguments, "--kubeconfig", str(config)])

    return run


# --- why -----------------------------------------------------------------------------------------------------------


def test_the_last_five_decisions_of_all_replicas_are_shown_newest_first(api, run):
    api.replica("one", "/v1/decisions", decisions(*[decision(f"2026-11-21T10:00:0{n}Z") for n in (7, 3, 1)]))
    api.replica("two", "/v1/decisions", decisions(*[decision(f"2026-11-21T10:00:0{n}Z") for n in (6, 4, 2)]))
    done = run("why", "prod/db")
    assert done.exit_code == 0, done.output
    assert "prod/db: the last 5 decisions" in done.stdout
    shown = [line[17:19] for line in done.stdout.splitlines() if line.startswith("2026-")]
    assert shown == ["07", "06", "04", "03", "02"]
    told = json.loads(run("why", "prod/db", "--last", "1", "-f", "json").stdout)["decisions"]
    assert [one["replica"] for one in told] == ["one"]


def test_a_decision_is_told_in_plain_words(api, run):
    api.answers[PODS] = {"items": [pod("one")]}
    api.replica("one", "/v1/decisions", decisions(decision(count=4, first="2026-11-21T09:00:00Z", dryRun=True)))
    lines = run("why", "prod/db").stdout.splitlines()
    assert lines[2].startswith("2026-11-21T10:00:00Z (")
    assert lines[2].endswith("dry run, refused, 4 times since 2026-11-21T09:00:00Z")
    assert lines[3:] == [
        "  update of StatefulSet prod/db by jane",
        "  SW201 quorum-lost",
        "    spec.replicas: 3 → 1",
        "    why  two of three are gone",
        "    do   one at a time",
    ]


def test_a_replica_is_asked_with_a_token_that_may_only_read(api, run):
    for name in ("one", "two"):
        api.replica(name, "/v1/decisions", decisions())
    done = run("why", "prod/db")
    assert api.tokens() == ["Bearer reader-token"] * 2
    assert "nothing was refused, warned of or waived since 2026-11-21T09:00:00Z (2 replicas asked)" in done.stdout


def test_without_the_right_to_ask_for_one_it_is_the_users_own(api, run):
    api.answers[TOKEN] = (403, {"kind": "Status", "reason": "Forbidden", "message": "no"})
    api.replica("one", "/v1/decisions", decisions())
    run("why", "prod/db")
    assert set(api.tokens()) == {"Bearer own-token"}


def test_a_token_that_is_refused_is_followed_by_the_next(api, run):
    for name in ("one", "two"):
        api.replica(name, "/v1/decisions", (403, {"error": "no"}))
    done = run("why", "prod/db")
    assert sorted(set(api.tokens())) == ["Bearer own-token", "Bearer reader-token"]
    assert "one: 403, none of 2 tokens may read /v1/decisions there" in done.stderr


def test_a_replica_that_is_gone_is_told_and_the_other_answers(api, run):
    api.replica("two", "/v1/decisions", decisions(decision()))
    done = run("why", "prod/db")
    assert done.exit_code == 0
    assert "the last decision" in done.stdout
    assert "warning: one: GET" in done.stderr


def test_where_no_replica_answers_events_are_shown(api, run):
    ours = {
        "involvedObject": {"kind": "StatefulSet"},
        "reportingComponent": "stateward.dev/door",
        "lastTimestamp": "2026-11-21T10:00:00Z",
        "firstTimestamp": "2026-11-21T09:00:00Z",
        "count": 3,
        "reason": "EditRefused",
        "message": "SW201 quorum-lost refuses this",
    }
    api.answers["/api/v1/namespaces/prod/events"] = {
        "items": [ours, {**ours, "reportingComponent": "kubelet", "message": "x"}]
    }
    done = run("why", "prod/db")
    assert done.exit_code == 0
    assert "prod/db: no replica answers; its Events say" in done.stdout
    assert "StatefulSet db, 3 times since 2026-11-21T09:00:00Z\n  SW201 quorum-lost refuses this" in done.stdout
    api.answers[PODS] = {"items": []}
    assert "no replica runs in namespace stateward" in run("why", "prod/db").stdout


@pytest.mark.parametrize(
    ("arguments", "query", "shown"),
    [
        (("prod/db",), {"namespace": ["prod"], "name": ["db"]}, 2),
        (("sts/db", "-n", "prod"), {"namespace": ["prod"], "name": ["db"]}, 1),
        (("StatefulSets.apps/db", "-n", "prod"), {"namespace": ["prod"], "name": ["db"]}, 1),
        (("statefulset.other/db", "-n", "prod"), {"namespace": ["prod"], "name": ["db"]}, 0),
        (("pvc/db", "-n", "prod"), {"namespace": ["prod"], "name": ["db"]}, 1),
        (("pv/db",), {"name": ["db"]}, 0),
    ],
)
def test_objects_are_named_as_kubectl_names_them(api, run, arguments, query, shown):
    api.answers[PODS] = {"items": [pod("one")]}
    api.replica("one", "/v1/decisions", decisions(decision(), decision(kind="PersistentVolumeClaim")))
    told = json.loads(run("why", *arguments, "-f", "json").stdout)
    assert len(told["decisions"]) == shown
    assert {key: value for key, value in api.asked[-1][2].items() if key != "limit"} == query


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("sts", "statefulset"),
        ("StatefulSet.apps", "statefulset"),
        ("storageclasses", "storageclass"),
        ("storageclass", "storageclass"),
        ("kafkas.kafka.strimzi.io", "kafka"),
        ("networkpolicies", "networkpolicy"),
        ("Ingress", "ingress"),
    ],
)
def test_kinds_are_compared_in_one_form(text, kind):
    assert why._kind(text) == kind


@pytest.mark.parametrize("what", ["db", "/db", "prod/", "a/b/c"])
def test_what_names_no_object_ends_with_two(run, what):
    done = run("why", what)
    assert done.exit_code == 2
    assert "write NAMESPACE/NAME, or KIND/NAME with -n NAMESPACE" in done.stderr


# --- status --------------------------------------------------------------------------------------------------------


def row(rule, namespace, **counts):
    return {"rule": rule, "name": f"name-of-{rule}", "namespace": namespace, **counts}


def test_the_counts_of_all_replicas_are_one(api, run):
    one = state(
        findings=[row("SW201", "prod", wouldBeDenied=3), row("SW103", "dev", wouldBeDenied=1)],
        requests=[{"namespace": "prod", "wouldBeDenied": 3}, {"namespace": "dev", "wouldBeDenied": 1}],
    )
    two = state(
        started="2026-11-21T08:00:00Z",
        findings=[row("SW201", "prod", wouldBeDenied=2, waived=1)],
        requests=[{"namespace": "prod", "wouldBeDenied": 2, "waived": 1}],
    )
    api.replica("one", "/v1/status", one)
    api.replica("two", "/v1/status", two)
    done = run("status")
    assert done.exit_code == 0, done.output
    assert "Going to deny would have refused 6 requests in the last " in done.stdout
    assert "most by SW201 name-of-SW201 (5), most in prod (5)." in done.stdout
    counts = json.loads(run("status", "-f", "json").stdout)["counts"]
    assert counts["since"] == "2026-11-21T08:00:00Z"
    assert counts["findings"][1] == row("SW201", "prod", wouldBeDenied=5, waived=1)


def test_it_shows_mode_replicas_registration_and_certificates(api, run):
    api.replica("one", "/v1/status", state(leader=True))
    api.answers[PODS] = {"items": [pod("one"), pod("two", ready=False)]}
    api.answers["/api/v1/namespaces"] = {
        "items": [
            {"metadata": {"name": name, "labels": {"stateward.dev/mode": mode}}}
            for name, mode in (("shop", "deny"), ("pay", "deny"), ("typo", "enforce"))
        ]
    }
    service = {"service": {"namespace": "stateward", "name": "stateward", "path": "/validate"}}
    webhook = {"name": "guard.stateward.dev", "failurePolicy": "Ignore", "rules": [{}, {}], "clientConfig": service}
    api.answers[VALIDATING] = {"items": [{"metadata": {"name": "stateward"}, "webhooks": [webhook]}]}
    done = run("status")
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert "mode audit: nothing is refused, nobody is warned" in lines
    assert "deny in pay, shop" in lines
    assert "no mode: typo (enforce); write deny, warn, audit" in lines
    assert "policy production@1, stateward" in lines
    assert "replicas 1 of 2 ready" in lines
    assert "one 0.1.0 ready, writes, since 2026-11-21T09:00:00Z" in lines
    assert any(line.startswith("two not ready") for line in lines)
    asks = "asks stateward/stateward/validate, 2 rules, failurePolicy Ignore"
    assert f"registered stateward (validating) guard.stateward.dev {asks}" in lines
    assert any(line.startswith("certificates serving until 2036-11-21T09:00:00Z (") for line in lines)
    assert "warning: two: " in done.stderr


def test_what_is_not_registered_is_said_loudly(api, run):
    for name in ("one", "two"):
        api.replica(name, "/v1/status", state())
    assert "no: the API server asks nobody, nothing is judged" in run("status").stdout
    api.answers[VALIDATING] = (403, {"kind": "Status", "reason": "Forbidden", "message": "no right"})
    shown = run("status").stdout
    assert "asks nobody" not in shown
    assert "ValidatingWebhookConfiguration: unknown: " in shown


def test_a_policy_that_is_not_in_force_and_kinds_that_are_unknown_are_said(api, run):
    policy = {"name": "stateward", "profile": "production@1", "userRules": 2, "errors": ["spec.mode: 'x' is none of …"]}
    views = {"ages": {"Pod": 1.0, "Node": None}, "unknown": {"Node": "no right to list"}}
    for name in ("one", "two"):
        api.replica(name, "/v1/status", state(mode="deny", policy=policy, views=views))
    shown = run("status").stdout
    assert "2 rules of its own; NOT IN FORCE: spec.mode: 'x' is none of …" in shown
    assert "2 kinds, 1 of them unknown now:" in shown
    assert "Node: no right to list" in shown
    assert "Refused no request in the last " in shown
    assert "Going to deny" not in shown


def test_where_nobody_answers_it_ends_with_two(api, run):
    api.answers[PODS] = {"items": []}
    done = run("status")
    assert done.exit_code == 2
    assert "no replica in namespace stateward; see --installed-in" in done.stdout


def test_an_address_where_nobody_listens_is_one_clear_line():
    for arguments in (("status",), ("why", "a/b")):
        done = CliRunner().invoke(cli, [*arguments, "--url", "https://127.0.0.1:1"])
        assert done.exit_code == 2
        assert "warning: https://127.0.0.1:1: " in done.stderr
        assert "see whether it runs there, and --ca" in done.stderr
    done = CliRunner().invoke(cli, ["status", "--url", "http://127.0.0.1:1"])
    assert "no https URL" in done.stderr


def test_counts_of_nobody_are_none():
    assert installed.merged([]) == {"since": None, "requests": [], "findings": []}
