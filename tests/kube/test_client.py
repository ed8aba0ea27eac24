from __future__ import annotations

import os
import pickle
import time
from pathlib import Path
from typing import Any

import pytest

from stateward.kube import configure
from stateward.kube.client import APPLY, MERGE, Cluster, path_of
from stateward.kube.discovery import Discovery
from stateward.kube.errors import ClusterError, ConfigError, UnreachableError

# --- configuration ---------------------------------------------------------------------------------------------------


def test_the_token_of_the_kubeconfig_is_sent(api: Any, cluster: Cluster) -> None:
    api.documents["/version"] = {"major": "1"}
    assert cluster.get("/version") == {"major": "1"}
    assert api.asked[0].headers["authorization"] == "Bearer sesame"
    assert api.asked[0].headers["user-agent"] == "stateward"


def test_another_context_is_another_user(api: Any, kubeconfig: Path) -> None:
    api.documents["/version"] = {}
    cluster = Cluster.from_kubeconfig(kubeconfig, "nobody")
    cluster.get("/version")
    cluster.close()
    assert "authorization" not in api.asked[0].headers


def test_connect_takes_the_kubeconfig_of_the_environment(
    api: Any, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", f"/nowhere/at/all{os.pathsep}{kubeconfig}")
    cluster = Cluster.connect()
    cluster.close()
    assert cluster.host == api.url


def test_connect_in_a_pod_takes_the_service_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(ConfigError, match=r"service account of this pod: .*; outside a pod use --kubeconfig"):
        Cluster.connect()


def test_the_namespace_of_a_context_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = """
apiVersion: v1
kind: Config
current-context: one
clusters: [{name: c, cluster: {server: "http://127.0.0.1:1"}}]
users: [{name: u, user: {}}]
contexts:
- {name: one, context: {cluster: c, user: u, namespace: books}}
- {name: two, context: {cluster: c, user: u}}
"""
    (tmp_path / "config").write_text(content)
    assert configure.namespace(tmp_path / "config", None) == "books"
    assert configure.namespace(tmp_path / "config", "two") == "default"
    monkeypatch.setenv("KUBECONFIG", f"/no/such:{tmp_path / 'config'}")
    assert configure.namespace(None, None) == "books"
    monkeypatch.setenv("KUBECONFIG", "/no/such")
    monkeypatch.setattr(configure, "_OWN_NAMESPACE", tmp_path / "namespace")
    assert configure.namespace(None, None) == "default"
    (tmp_path / "namespace").write_text("mine\n")
    assert configure.namespace(None, None) == "mine"


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kubeconfig .*/absent: no such file; name one with --kubeconfig"):
        Cluster.from_kubeconfig(tmp_path / "absent")


def test_a_context_that_is_not_there_is_named(kubeconfig: Path) -> None:
    with pytest.raises(ConfigError, match=r"context elsewhere: .*elsewhere.*get-contexts"):
        Cluster.from_kubeconfig(kubeconfig, "elsewhere")


@pytest.mark.parametrize("content", ["", "[", "a: b", "- 1", "current-context: x\ncontexts: []\n"])
def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"kubeconfig .*/broken: ") as caught:
        Cluster.from_kubeconfig(file)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_kubeconfig_is_named(kubeconfig: Path) -> None:
    kubeconfig.chmod(0)
    with pytest.raises(ConfigError, match="cannot be read"):
        Cluster.from_kubeconfig(kubeconfig)


def test_a_folder_is_no_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        Cluster.from_kubeconfig(tmp_path)


# --- calls -----------------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path, kubeconfig: Path) -> None:
    text = kubeconfig.read_text()
    start = text.index("http://")
    kubeconfig.write_text(text[:start] + "http://127.0.0.1:1" + text[text.index('"', start) :])
    cluster = Cluster.from_kubeconfig(kubeconfig, connect_seconds=1.0)
    with pytest.raises(UnreachableError, match=r"GET /version: http://127.0.0.1:1 does not answer .*/readyz") as caught:
        cluster.get("/version")
    cluster.close()
    assert (caught.value.status, caught.value.reason) == (0, "Unreachable")


def test_a_server_that_is_not_trusted_is_not_talked_to(secure: Any, kit: Any) -> None:
    api, kubeconfig = secure
    text = kubeconfig.read_text()
    start = text.index(", certificate-authority")
    kubeconfig.write_text(text[:start] + text[text.index("}", start) :])
    cluster = Cluster.from_kubeconfig(kubeconfig)
    with pytest.raises(UnreachableError, match="certificate"):
        cluster.get("/version")
    cluster.close()
    assert api.asked == []


def test_a_server_that_never_answers_times_out(api: Any, kubeconfig: Path) -> None:
    api.always("GET /version", lambda to, asked: api.sleep(20))
    cluster = Cluster.from_kubeconfig(kubeconfig, read_seconds=0.2)
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        cluster.get("/version")
    cluster.close()
    assert time.monotonic() - began < 2


def test_an_answer_that_drips_is_not_waited_for_without_end(api: Any, kubeconfig: Path) -> None:
    def drip(to: Any, asked: Any) -> None:
        to.begin()
        while not api.closing:
            to.chunk(b" ")
            api.sleep(0.02)

    api.always("GET /version", drip)
    cluster = Cluster.from_kubeconfig(kubeconfig, read_seconds=1.0, total_seconds=0.3)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="not complete"):
        cluster.get("/version")
    cluster.close()
    assert time.monotonic() - began < 2


def test_a_refusal_says_status_reason_and_next_step(api: Any, cluster: Cluster, kit: Any) -> None:
    api.next("GET /api/v1/pods", kit.refuse(403, "Forbidden", "User me cannot list pods"))
    with pytest.raises(ClusterError) as caught:
        cluster.get("/api/v1/pods")
    error = caught.value
    assert (error.status, error.reason) == (403, "Forbidden")
    assert str(error) == (
        "GET /api/v1/pods: 403 Forbidden: User me cannot list pods; "
        "grant the account this verb on this resource, or use another account (--context)"
    )


def test_what_is_not_there_is_none_and_a_refusal_stays_one(api: Any, cluster: Cluster, kit: Any) -> None:
    api.always("GET /api/v1/namespaces/prod/configmaps/gone", kit.refuse(404, "NotFound", "not found"))
    api.always("GET /api/v1/namespaces/prod/configmaps/secret", kit.refuse(403, "Forbidden", "no"))
    assert cluster.find("/api/v1/namespaces/prod/configmaps/gone") is None
    with pytest.raises(ClusterError, match="403"):
        cluster.find("/api/v1/namespaces/prod/configmaps/secret")


def test_a_page_of_a_proxy_is_an_error_too(api: Any, cluster: Cluster) -> None:
    api.next("GET /version", lambda to, asked: to.send(502, b"<html>Bad Gateway</html>"))
    with pytest.raises(ClusterError, match="502 error: <html>Bad Gateway") as caught:
        cluster.get("/version")
    assert caught.value.status == 502


@pytest.mark.parametrize("body", [b"<html>", b"[]", b'"x"', b"", b'{"a": NaN}', b"\xff"])
def test_a_success_that_is_no_object_is_broken(api: Any, cluster: Cluster, body: bytes) -> None:
    api.next("GET /version", lambda to, asked: to.send(200, body))
    with pytest.raises(ClusterError, match="JSON") as caught:
        cluster.get("/version")
    assert caught.value.reason == "Broken"


def test_a_redirect_is_not_followed(api: Any, cluster: Cluster) -> None:
    api.next("GET /version", lambda to, asked: to.send(302, b"", {"Location": "http://127.0.0.1:1/steal"}))
    with pytest.raises(ClusterError) as caught:
        cluster.get("/version")
    assert caught.value.status == 302
    assert len(api.asked) == 1


def test_retry_after_is_reported(api: Any, cluster: Cluster, kit: Any) -> None:
    api.next("GET /version", kit.refuse(429, "TooManyRequests", "slow down", {"Retry-After": "7"}))
    with pytest.raises(ClusterError) as caught:
        cluster.get("/version")
    assert caught.value.retry_after == 7.0


def test_what_a_command_reads_is_asked_for_again_while_the_server_sheds_load(
    api: Any, kubeconfig: Path, kit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr("stateward.kube.client.time.sleep", waited.append)
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    api.documents["/version"] = {"major": "1"}
    cluster = Cluster.connect()
    try:
        for seconds in ("1", "60"):
            api.next(
                "GET /version", kit.refuse(429, "TooManyRequests", "storage is (re)initializing", {"Retry-After": seconds})
            )
        assert cluster.get("/version") == {"major": "1"}
        assert waited == [1.0, 2.0]
        # An eviction that a budget forbids is refused with the same status: nobody asks again unasked.
        api.next("POST /version", kit.refuse(429, "TooManyRequests", "budget", {"Retry-After": "1"}))
        with pytest.raises(ClusterError, match="budget"):
            cluster.create("/version", {})
        assert len(waited) == 2
    finally:
        cluster.close()


def test_errors_survive_pickling() -> None:
    for error in (ClusterError(403, "Forbidden", "no", 2.0), ConfigError("where"), UnreachableError("what")):
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
        assert (type(copy), copy.status, copy.reason, str(copy), copy.retry_after) == (
            type(error),
            error.status,
            error.reason,
            str(error),
            error.retry_after,
        )


def test_writes_say_who_writes_and_how(api: Any, cluster: Cluster) -> None:
    for method in ("POST", "PATCH", "DELETE"):
        api.always(f"{method} /api/v1/x", lambda to, asked: to.send(200, {"kind": "X"}))
    cluster.create("/api/v1/x", {"a": 1})
    cluster.patch("/api/v1/x", {"a": None}, dry_run=True)
    cluster.apply("/api/v1/x", {"a": 2})
    cluster.delete("/api/v1/x", {"propagationPolicy": "Orphan"})
    create, merge, apply, delete = api.asked
    assert (create.method, create.body, create.query) == ("POST", b'{"a":1}', {"fieldManager": "stateward"})
    assert (merge.headers["content-type"], merge.query["dryRun"]) == (MERGE, "All")
    assert merge.body == b'{"a":null}'
    assert (apply.headers["content-type"], apply.query) == (APPLY, {"fieldManager": "stateward", "force": "true"})
    assert (delete.method, delete.body) == ("DELETE", b'{"propagationPolicy":"Orphan"}')


def test_a_list_is_read_page_by_page(api: Any, cluster: Cluster, kit: Any) -> None:
    for number in range(3):
        api.put(kit.pods, f"db-{number}")
    first = cluster.list_page(kit.pods.path, limit=2)
    rest = cluster.list_page(kit.pods.path, limit=2, token=first["metadata"]["continue"])
    assert [item["metadata"]["name"] for item in first["items"] + rest["items"]] == ["db-0", "db-1", "db-2"]
    assert "continue" not in rest["metadata"]


def test_a_watch_gives_lines_as_they_come(api: Any, cluster: Cluster, kit: Any) -> None:
    api.serve(kit.pods)
    with cluster.watch(kit.pods.path, "100", seconds=20) as answer:
        lines = answer.lines()
        for name in ("a", "b"):
            api.put(kit.pods, name)
            assert f'"name": "{name}"'.encode() in next(lines)
        answer.close()
        assert list(lines) == []


def test_steps_of_a_path_are_quoted() -> None:
    assert path_of("api", "v1", "namespaces", "a/../b", "pods", "x?y") == "/api/v1/namespaces/a%2F..%2Fb/pods/x%3Fy"


# --- discovery -------------------------------------------------------------------------------------------------------


@pytest.fixture
def documents(api: Any) -> dict[str, Any]:
    api.documents.update(
        {
            "/api/v1": {
                "resources": [
                    {"name": "pods/status", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
                    {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "list", "watch"]},
                    {"name": "namespaces", "kind": "Namespace", "namespaced": False, "verbs": ["list", "watch"]},
                    {"name": "bindings", "kind": "Binding", "namespaced": True, "verbs": ["create"]},
                ]
            },
            "/apis": {
                "groups": [
                    {
                        "name": "kafka.strimzi.io",
                        "versions": [{"version": "v1beta2"}, {"version": "v1"}],
                        "preferredVersion": {"version": "v1"},
                    },
                    {"name": "broken.example.com", "versions": [{"version": "v1"}]},
                ]
            },
            "/apis/kafka.strimzi.io/v1": {
                "resources": [{"name": "kafkas", "kind": "Kafka", "namespaced": True, "verbs": ["list"]}]
            },
            "/apis/kafka.strimzi.io/v1beta2": {
                "resources": [
                    {"name": "kafkas", "kind": "Kafka", "namespaced": True, "verbs": ["list"]},
                    {"name": "kafkatopics", "kind": "KafkaTopic", "namespaced": True, "verbs": ["list"]},
                ]
            },
        }
    )
    return api.documents  # type: ignore[no-any-return]


def test_discovery_finds_core_kinds_and_not_their_subresources(
    documents: dict[str, Any], api: Any, cluster: Cluster
) -> None:
    found = Discovery(cluster).resource("Pod")
    assert found is not None
    assert (found.path, found.api_version, found.kind_name, found.readable) == ("/api/v1/pods", "v1", "Pod", True)
    assert found.path_to("prod", "db-0", "eviction") == "/api/v1/namespaces/prod/pods/db-0/eviction"
    assert [one.path for one in api.asked] == ["/api/v1"], "nothing is read that was not asked for"


def test_discovery_knows_cluster_scope_and_what_cannot_be_listed(documents: dict[str, Any], cluster: Cluster) -> None:
    discovery = Discovery(cluster)
    namespace, binding = discovery.resource("Namespace"), discovery.resource("Binding")
    assert namespace is not None
    assert namespace.path_to("", "prod") == "/api/v1/namespaces/prod"
    assert binding is not None
    assert not binding.readable


def test_discovery_prefers_the_servers_version_and_falls_back_where_it_lacks_the_kind(
    documents: dict[str, Any], api: Any, cluster: Cluster
) -> None:
    discovery = Discovery(cluster)
    kafka, topic = discovery.resource("Kafka.kafka.strimzi.io"), discovery.resource("KafkaTopic.kafka.strimzi.io")
    assert kafka is not None
    assert topic is not None
    assert kafka.path == "/apis/kafka.strimzi.io/v1/kafkas"
    assert topic.path == "/apis/kafka.strimzi.io/v1beta2/kafkatopics"
    assert len(api.asked) == 3, "each document once"


def test_a_kind_is_found_in_the_version_that_is_asked_for(documents: dict[str, Any], cluster: Cluster) -> None:
    discovery = Discovery(cluster)
    older = discovery.served("kafka.strimzi.io/v1beta2", "Kafka")
    pod = discovery.served("v1", "Pod")
    assert older is not None
    assert (older.kind, older.path) == ("Kafka.kafka.strimzi.io", "/apis/kafka.strimzi.io/v1beta2/kafkas")
    assert pod is not None
    assert pod.kind == "Pod"
    for api_version, name in (
        ("kafka.strimzi.io/v1", "KafkaTopic"),
        ("kafka.strimzi.io/v9", "Kafka"),
        ("v2", "Pod"),
        ("", "Pod"),
        ("v1", "Widget"),
        ("/", "Pod"),
    ):
        assert discovery.served(api_version, name) is None


def test_a_kind_that_is_not_served_is_none(documents: dict[str, Any], cluster: Cluster) -> None:
    discovery = Discovery(cluster)
    assert discovery.resource("Widget") is None
    assert discovery.resource("Widget.kafka.strimzi.io") is None
    assert discovery.resource("Widget.example.com") is None
    assert discovery.resource("Widget.broken.example.com") is None, "a group that vanished since it was named"


@pytest.mark.parametrize("document", [{}, {"groups": None}, {"groups": {}}, None])
def test_what_is_no_discovery_document_is_not_taken_for_an_empty_one(
    documents: dict[str, Any], api: Any, cluster: Cluster, kit: Any, document: Any
) -> None:
    if document is None:
        del documents["/apis"]
    else:
        documents["/apis"] = document
    with pytest.raises(ClusterError, match="GET /apis: "):
        Discovery(cluster).resource("Kafka.kafka.strimzi.io")


def test_a_server_that_does_not_answer_discovery_is_asked_once(
    documents: dict[str, Any], api: Any, kubeconfig: Path
) -> None:
    api.always("GET /api/v1", lambda to, asked: api.sleep(20))
    cluster = Cluster.from_kubeconfig(kubeconfig, read_seconds=0.1)
    discovery = Discovery(cluster)
    for kind in ("Pod", "Namespace", "Kafka.kafka.strimzi.io"):
        with pytest.raises(UnreachableError):
            discovery.resource(kind)
    cluster.close()
    assert len(api.asked) == 1


def test_discovery_that_fails_knows_nothing(documents: dict[str, Any], api: Any, cluster: Cluster, kit: Any) -> None:
    api.always("GET /apis/broken.example.com/v1", kit.refuse(503, "ServiceUnavailable", "no endpoints"))
    discovery = Discovery(cluster)
    with pytest.raises(ClusterError, match="no endpoints"):
        discovery.resource("Widget.broken.example.com")
    assert discovery.resource("Pod") is not None, "the others are still found"
