"""What an API server really sends, seen by a webhook that writes everything down and allows it."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cluster_kit import Cluster, Item, Kubectl, eventually, postgres_cluster, stateful_set

from stateward.certs.folder import CertificateFolder
from stateward.policies.request import Request, from_review
from stateward.policies.review import review
from stateward.policies.view import EMPTY_VIEW

NAME = "stateward-test-recorder"


class Recorder:
    """A webhook that allows everything and keeps what it was sent."""

    def __init__(self) -> None:
        self.reviews: list[Item] = []

    def of(self, resource: str, operation: str, subresource: str = "") -> list[Item]:
        """The requests about a resource, those of real accounts."""
        return [
            one["request"]
            for one in list(self.reviews)
            if one["request"]["resource"]["resource"] == resource
            and one["request"]["operation"] == operation
            and one["request"].get("subResource", "") == subresource
        ]


@pytest.fixture
def recorder(kubectl: Kubectl, cluster: Cluster, tmp_path: Path) -> Iterator[Recorder]:
    """Asked about everything in the test's namespace, beside the door."""
    kept = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            kept.reviews.append(asked)
            response = {"uid": asked["request"]["uid"], "allowed": True}
            answer = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = CertificateFolder(tmp_path).ensure(["127.0.0.1"], datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": NAME},
        "webhooks": [
            {
                "name": "recorder.stateward.test",
                "clientConfig": {
                    "url": f"https://127.0.0.1:{server.server_port}/",
                    "caBundle": base64.b64encode(served.bundle).decode(),
                },
                "rules": [
                    {
                        "apiGroups": ["*"],
                        "apiVersions": ["*"],
                        "operations": ["CREATE", "UPDATE", "DELETE"],
                        "resources": ["*/*"],
                        "scope": "Namespaced",
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": kubectl.namespace}},
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    kubectl("delete", "validatingwebhookconfiguration", NAME, "--ignore-not-found")
    kubectl.must("create", "-f", "-", stdin=configuration)
    try:
        eventually(
            lambda: kubectl("create", "configmap", "probe", "--dry-run=server").passed and kept.reviews,
            "the recorder is asked",
        )
        kept.reviews.clear()
        yield kept
    finally:
        kubectl("delete", "validatingwebhookconfiguration", NAME)
        server.shutdown()
        server.server_close()
        thread.join(5)


def answer(request: Item) -> Item:
    """What the door answers, as far as it looks at the request alone."""
    body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()
    found: Item = json.loads(review(body, EMPTY_VIEW, now=1_800_000_000.0).body)["response"]
    return found


def decoded(request: Item) -> Request:
    """As the door reads it."""
    return from_review({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def test_a_scale_comes_without_labels_and_says_whose_it_is_by_resource_alone(kubectl: Kubectl, recorder: Recorder) -> None:
    kubectl.must("apply", "-f", "-", stdin=[stateful_set("members", "etcd:3.5.17", replicas=3), postgres_cluster("pg")])

    kubectl.must("scale", "statefulset/members", "--replicas=3")
    kubectl.must("scale", "clusters.postgresql.cnpg.io/pg", "--replicas=2")

    for resource in ("statefulsets", "clusters"):
        # kubectl asks again where a controller has written in between.
        request = recorder.of(resource, "UPDATE", "scale")[-1]
        assert request["kind"] == {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        assert "labels" not in request["object"]["metadata"]
        assert request["resource"]["resource"] == resource
        read = decoded(request)
        assert (read.kind, read.subresource, read.resource) == ("Scale.autoscaling", "scale", resource)


def test_the_items_of_a_deleted_collection_come_without_a_name(kubectl: Kubectl, recorder: Recorder) -> None:
    kubectl.must("create", "configmap", "one")
    kubectl.must("create", "configmap", "two")

    kubectl.must("delete", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/configmaps")

    deleted = [one for one in recorder.of("configmaps", "DELETE") if one["oldObject"]["metadata"]["name"] in ("one", "two")]
    assert len(deleted) == 2
    assert all(not one.get("name") for one in deleted)
    assert all(one["object"] is None for one in deleted)
    assert {decoded(one).name for one in deleted} == {"one", "two"}


def test_a_pod_is_deleted_twice_and_both_are_let_through(kubectl: Kubectl, recorder: Recorder, cluster: Cluster) -> None:
    cluster.needs_pods()
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "brief"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "main", "image": cluster.image("web:1"), "imagePullPolicy": "Never"}],
        },
    }
    kubectl.must("create", "-f", "-", stdin=pod)
    kubectl.must("wait", "--for=condition=Ready", "pod/brief", "--timeout=30s")

    kubectl.must("delete", "pod", "brief", "--timeout=30s")

    first, *later = recorder.of("pods", "DELETE")
    assert "deletionTimestamp" not in first["oldObject"]["metadata"]
    assert later
    assert all(one["oldObject"]["metadata"]["deletionTimestamp"] for one in later)
    assert later[-1]["userInfo"]["username"].startswith("system:node:")
    assert all(answer(one)["allowed"] for one in (first, *later))


def test_a_review_that_comes_twice_is_answered_twice_in_the_same_way(kubectl: Kubectl, recorder: Recorder) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4"))
    kubectl.refused("delete", "statefulset", "orders", "--dry-run=server")  # once its claim is there
    request = recorder.of("statefulsets", "DELETE")[-1]

    answers = [answer(request) for _ in range(2)]

    assert answers[0] == answers[1]
    assert answers[0]["allowed"] is False


def test_fields_that_nobody_knows_reach_us_as_they_were_sent(kubectl: Kubectl, recorder: Recorder) -> None:
    crd = "kafkas.kafka.strimzi.io"
    item = {
        "apiVersion": "kafka.strimzi.io/v1beta2",
        "kind": "Kafka",
        "metadata": {"name": "events", "annotations": {"example.com/note": "ünïcödé → ✓"}},
        "spec": {
            "kafka": {
                "listeners": [{"name": "plain", "port": 9092, "tls": False, "type": "internal"}],
                "config": {"some.future.setting": {"deep": [1, 2.5, None, True]}},
                "notInTheSchema": "pruned before anybody is asked",
            }
        },
    }

    kubectl.must("create", "--validate=ignore", "-f", "-", stdin=item)

    [request] = recorder.of(crd.partition(".")[0], "CREATE")
    read = decoded(request).object or {}
    assert read["spec"]["kafka"]["config"]["some.future.setting"] == {"deep": [1, 2.5, None, True]}
    assert read["metadata"]["annotations"]["example.com/note"] == "ünïcödé → ✓"
    assert "notInTheSchema" not in read["spec"]["kafka"]


def test_a_dry_run_says_that_it_is_one(kubectl: Kubectl, recorder: Recorder) -> None:
    kubectl.must("create", "configmap", "one", "--dry-run=server")
    kubectl.must("create", "configmap", "one")

    assert [one["dryRun"] for one in recorder.of("configmaps", "CREATE")] == [True, False]


def test_who_asks_is_who_was_impersonated(kubectl: Kubectl, recorder: Recorder) -> None:
    kubectl.as_user("anna", "system:masters", "team-blue").must("create", "configmap", "one")

    [request] = recorder.of("configmaps", "CREATE")
    read = decoded(request)
    assert read.user.name == "anna"
    assert "team-blue" in read.user.groups


def test_controllers_come_with_accounts_of_their_own(kubectl: Kubectl, recorder: Recorder, cluster: Cluster) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4"))
    eventually(lambda: recorder.of("pods", "CREATE"), "the controller makes a pod")
    kubectl.must("annotate", "statefulset", "orders", "stateward.dev/confirm-delete=orders")

    kubectl.must("delete", "statefulset", "orders", "--timeout=30s")

    [made] = recorder.of("pods", "CREATE")
    assert made["userInfo"]["username"] == "system:serviceaccount:kube-system:statefulset-controller"
    collected = eventually(lambda: recorder.of("pods", "DELETE"), "the pod is collected")
    assert collected[0]["userInfo"]["username"] == "system:serviceaccount:kube-system:generic-garbage-collector"
    assert collected[0]["options"]["preconditions"]["uid"]
