"""`stateward status NAMESPACE/NAME`: one service drawn from its object."""

from __future__ import annotations

import copy
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from stateward.cli import picture, standing
from stateward.cli.main import cli
from stateward.policies.times import render

NOW = 1_790_000_000.0


def ago(seconds: float) -> str:
    return render(NOW - seconds)


def member(number: int, role: str, **more: Any) -> dict[str, Any]:
    zone = f"eu-1{'abc'[number]}"
    return {"name": f"orders-{number}", "role": role, "version": "3.5.33", "ready": True, "zone": zone, **more}


WHOLE: dict[str, Any] = {
    "apiVersion": "stateward.dev/v1beta1",
    "kind": "StatefulService",
    "metadata": {
        "name": "orders",
        "namespace": "prod",
        "generation": 7,
        "creationTimestamp": ago(42 * 86400),
        "annotations": {},
    },
    "spec": {"engine": "etcd", "version": "3.5.33", "members": 3, "backup": {"schedule": "0 2 * * *"}},
    "status": {
        "observedGeneration": 7,
        "readyMembers": 3,
        "runningVersion": "3.5.33",
        "finalisedVersion": "3.5",
        "volumes": [{"name": "data", "class": "standard", "size": "8Gi"}],
        "members": [
            member(0, "leader", node="node-1"),
            member(1, "follower", node="node-2", lag=0, lagUnit="entries"),
            member(2, "follower", node="node-3", lag=12, lagUnit="entries"),
        ],
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "AllMembersServe", "message": "", "lastTransitionTime": ago(9000)},
            {
                "type": "Degraded",
                "status": "False",
                "reason": "AllMembersServe",
                "message": "",
                "lastTransitionTime": ago(9),
            },
            {"type": "Blocked", "status": "False", "reason": "Free", "message": "", "lastTransitionTime": ago(9000)},
        ],
        "backup": {
            "last": {"name": "orders-1", "time": ago(11100), "size": 1288490188, "version": "3.5.21"},
            "next": render(NOW + 75600),
        },
        "drill": {"time": ago(172810), "succeeded": True, "rpoSeconds": 40, "rtoSeconds": 133, "message": "whole"},
        "decisions": [
            {"time": ago(3600), "message": "Upgrade: restart orders-0: it is done"},
            {"time": ago(3 * 86400), "message": "accepted: version: 3.5.21 → 3.5.33"},
        ],
    },
}

IN_TROUBLE = copy.deepcopy(WHOLE)
IN_TROUBLE["metadata"]["generation"] = 8
IN_TROUBLE["status"] |= {
    "observedGeneration": 8,
    "readyMembers": 2,
    "runningVersion": "3.5.21",
    "members": [
        *WHOLE["status"]["members"][:2],
        {"name": "orders-2", "version": "3.5.21", "ready": False, "message": "its pod waits: ImagePullBackOff"},
    ],
    "operation": {
        "kind": "Upgrade",
        "from": "3.5.21",
        "to": "3.5.33",
        "step": "restart",
        "member": "orders-2",
        "started": ago(250),
        "stepStarted": ago(40),
        "message": "waits until it serves again before orders-0, which leads, hands over and goes",
    },
    "conditions": [
        {"type": "Ready", "status": "True", "reason": "QuorumServes", "message": "", "lastTransitionTime": ago(9000)},
        {
            "type": "Degraded",
            "status": "True",
            "reason": "MembersAway",
            "message": "orders-2",
            "lastTransitionTime": ago(40),
        },
        {
            "type": "Blocked",
            "status": "True",
            "reason": "Denied",
            "message": 'SW102 volume-shrink: spec.storage.size: "8Gi" → "4Gi" shrinks a volume; keep 8Gi',
            "lastTransitionTime": ago(130),
        },
    ],
}


def drawn(item: dict[str, Any], width: int = 100) -> str:
    used = {"orders-0": 1288490188, "orders-1": 644245094}
    return click.unstyle(picture.drawn(standing.document(item, used, {}, NOW), NOW, width))


def test_a_service_that_is_as_it_should_be() -> None:
    assert drawn(WHOLE).splitlines() == [
        "prod/orders   etcd 3.5.33                                     made 42 days ago, 8Gi each of standard",
        "● 3 of 3 serve, 2 must; one more may go",
        "",
        "  MEMBER    ROLE      VERSION  LAG         NODE    ZONE   VOLUME",
        "● orders-0  leader    3.5.33               node-1  eu-1a  1.2 GiB, 15 %",
        "● orders-1  follower  3.5.33   0 entries   node-2  eu-1b  614 MiB, 7 %",
        "● orders-2  follower  3.5.33   12 entries  node-3  eu-1c",
        "",
        "now        nothing is being done: all is as wanted",
        "backup     3 h 5 min ago (orders-1, 1.2 GiB, 3.5.21); next in 21 h",
        "drill      passed 2 days ago, 40 s of the past missing, back after 2 min",
        "decided       1 h ago  Upgrade: restart orders-0: it is done",
        "           3 days ago  accepted: version: 3.5.21 → 3.5.33",
    ]


def test_a_service_that_is_in_trouble_says_what_to_do() -> None:
    assert drawn(IN_TROUBLE).splitlines() == [
        "prod/orders   etcd 3.5.21 → 3.5.33                            made 42 days ago, 8Gi each of standard",
        "● 2 of 3 serve, 2 must; none may go",
        "",
        "  MEMBER    ROLE      VERSION  LAG        NODE    ZONE   VOLUME",
        "● orders-0  leader    3.5.33              node-1  eu-1a  1.2 GiB, 15 %",
        "● orders-1  follower  3.5.33   0 entries  node-2  eu-1b  614 MiB, 7 %",
        "○ orders-2  away      3.5.21",
        "    its pod waits: ImagePullBackOff",
        "",
        "now        Upgrade 3.5.21 → 3.5.33, for 4 min",
        "           restart orders-2, for 40 s: waits until it serves again before orders-0, which leads,",
        "           hands over and goes",
        "blocked    Denied, for 2 min",
        '           SW102 volume-shrink: spec.storage.size: "8Gi" → "4Gi" shrinks a volume; keep 8Gi',
        "backup     3 h 5 min ago (orders-1, 1.2 GiB, 3.5.21); next in 21 h",
        "drill      passed 2 days ago, 40 s of the past missing, back after 2 min",
        "decided       1 h ago  Upgrade: restart orders-0: it is done",
        "           3 days ago  accepted: version: 3.5.21 → 3.5.33",
        "next       kubectl edit -n prod statefulservice/orders   (set the change back, or do it as the",
        "           message says)",
        "           kubectl describe -n prod pod/orders-2   (events say why it does not serve)",
    ]


@pytest.mark.parametrize("item", [WHOLE, IN_TROUBLE], ids=["whole", "in trouble"])
@pytest.mark.parametrize("width", [20, 80, 97, 120, 300])
def test_it_is_as_wide_as_the_terminal_between_80_and_120(item: dict[str, Any], width: int) -> None:
    long = copy.deepcopy(item)
    long["status"]["members"][0]["node"] = "ip-10-12-155-201.eu-central-1.compute.internal.of.a.large.cloud.example"
    lines = drawn(long, width).splitlines()
    assert max(len(line) for line in lines) <= min(120, max(80, width))


def changed(status: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    item = copy.deepcopy(WHOLE)
    item["status"] |= status or {}
    for name, value in more.items():
        item[name] = {**item[name], **value} if value else {}
    return item


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (changed({"members": []}), "no members yet, 3 are wanted"),
        (changed({"readyMembers": 1}), "1 of 3 serve, 2 must; 1 must come back before it serves"),
        (changed({"readyMembers": 2}), "none may go"),
        (changed(metadata={"generation": 8}), "its last change has not been looked at yet"),
        (changed(metadata={"deletionTimestamp": ago(3)}), "it is being deleted"),
        (changed(metadata={"annotations": {"stateward.dev/paused": "true"}}), "paused: nothing is touched"),
        (
            changed(metadata={"annotations": {"stateward.dev/paused": "true"}}),
            "kubectl annotate -n prod statefulservice/orders stateward.dev/paused-   (go on)",
        ),
        (changed(spec={"backup": {}}) | {"status": {}}, "nobody has looked at it yet"),
        (changed({"backup": {}}), "none yet"),
        (changed({"backup": {"lastFailure": "no space"}}), "the last one failed: no space"),
        (changed({"backup": {"next": ago(5)}}), "the next is due"),
        (changed({"drill": {"time": ago(7200), "succeeded": False, "message": "3 rows lack"}}), "failed 2 h ago"),
        (changed({"finalisedVersion": "3"}), "● 3 of 3 serve, 2 must; one more may go\n\n"),
        (changed({"finalisedVersion": "3.4"}), "its data is finalised at 3.4: until it is at 3.5.33 there is a way back"),
    ],
)
def test_what_is_unusual_is_said(item: dict[str, Any], said: str) -> None:
    assert said in drawn(item)


def test_without_backups_that_is_said() -> None:
    item = changed()
    del item["spec"]["backup"], item["status"]["backup"]
    assert "none is taken: spec.backup is not set" in drawn(item)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3600, "1 h"),
        (12_000, "3 h 20 min"),
        (90_000, "25 h"),
        (172_800, "2 days"),
    ],
)
def test_lengths_are_short_and_plain(seconds: float, text: str) -> None:
    assert standing.length(seconds) == text


NODE = {"metadata": {"name": "node-1", "labels": {"topology.kubernetes.io/zone": "eu-1a"}}}
SUMMARY = {
    "pods": [
        {
            "podRef": {"name": "orders-0", "namespace": "prod"},
            "volume": [
                {"name": "data", "pvcRef": {"name": "data-orders-0"}, "usedBytes": 1 << 30, "capacityBytes": 8 << 30},
                {"name": "config"},
            ],
        },
        {
            # A folder of the node's disk.
            "podRef": {"name": "orders-1", "namespace": "prod"},
            "volume": [
                {"name": "data", "pvcRef": {"name": "data-orders-1"}, "usedBytes": 1 << 40, "capacityBytes": 2 << 40}
            ],
        },
        {"podRef": {"name": "orders-0", "namespace": "other"}, "volume": [{"name": "data", "pvcRef": {}, "usedBytes": 1}]},
    ]
}


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """An API server that has what it is given, and the kubeconfig for it."""
    objects: dict[str, Any] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

        def do_GET(self) -> None:
            found = objects.get(self.path)
            status = {"kind": "Status", "reason": "NotFound", "code": 404, "message": "not found"}
            body = json.dumps(found if found is not None else status).encode()
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kubeconfig = tmp_path / "kubeconfig"
    one = {"cluster": {"server": f"http://127.0.0.1:{server.server_address[1]}"}, "name": "c"}
    context = {"context": {"cluster": "c", "user": "u", "namespace": "prod"}, "name": "x"}
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [one],
                "contexts": [context],
                "users": [{"name": "u", "user": {}}],
                "current-context": "x",
            }
        )
    )
    yield kubeconfig, objects
    server.shutdown()
    server.server_close()
    thread.join()


WHERE = "/apis/stateward.dev/v1beta1/namespaces/prod/statefulservices/orders"


def test_it_is_read_from_the_api_server_with_zones_and_volumes_where_they_may_be_seen(
    served: tuple[Path, dict[str, Any]],
) -> None:
    kubeconfig, objects = served
    item = copy.deepcopy(WHOLE)
    for one in item["status"]["members"]:
        del one["zone"]
    objects[WHERE] = item
    objects["/api/v1/nodes/node-1"] = NODE
    objects["/api/v1/nodes/node-1/proxy/stats/summary"] = SUMMARY
    for named in (["prod/orders"], ["orders", "-n", "prod"], ["orders"]):
        result = CliRunner().invoke(cli, ["status", *named, "--kubeconfig", str(kubeconfig)])
        assert result.exit_code == 0, result.output
        assert "orders-0  leader    3.5.33               node-1  eu-1a  1.0 GiB, 12 %" in result.output
        assert "\x1b" not in result.output
    result = CliRunner().invoke(cli, ["status", "prod/orders", "--kubeconfig", str(kubeconfig), "-f", "json"])
    told = json.loads(result.output)
    assert told["format"] == "stateward-service/v1"
    assert told["quorum"] == {"wanted": 3, "present": 3, "ready": 3, "must": 2, "spare": 1}
    assert [one["used"] for one in told["members"]] == [1 << 30, None, None]
    assert told["wrong"] == told["next"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prod/nothing"], "prod/nothing: there is no such StatefulService"),
        (["a/b/c"], "a service is named NAMESPACE/NAME"),
        (["prod/orders", "-n", "other"], "a service is named NAMESPACE/NAME"),
        (["--watch"], "--watch and --namespace are about one service"),
        (["prod/orders", "--url", "https://127.0.0.1:1"], "leave it out"),
    ],
)
def test_what_cannot_be_shown_is_one_clear_line(served: tuple[Path, dict[str, Any]], words: list[str], said: str) -> None:
    result = CliRunner().invoke(cli, ["status", *words, "--kubeconfig", str(served[0])])
    assert result.exit_code == 2
    assert said in result.output
    assert result.output.startswith("error: ")


def test_a_second_volume_is_told_beside_the_first() -> None:
    both = [{"name": "data", "class": "standard", "size": "8Gi"}, {"name": "wal", "class": "fast", "size": "2Gi"}]
    item = {**WHOLE, "status": {**WHOLE["status"], "volumes": both}}
    assert drawn(item).splitlines()[0].endswith("8Gi each of standard, log 2Gi of fast")
    assert standing.document(item, {}, {}, NOW)["wal"] == {"class": "fast", "size": "2Gi"}
