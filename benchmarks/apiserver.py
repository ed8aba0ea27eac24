"""A stand-in for an API server, for measurements: `python benchmarks/apiserver.py PODS KUBECONFIG`.

Serves the objects of a cluster with so many pods, page by page, and watches that it fills with changes of pods. Writes a
kubeconfig that leads to it and prints a line when it is ready. `POST /-/rate?n=500` sets the changes a second,
`POST /-/expire` ends the watch of pods with 410 (they are then listed again), `GET /-/listed` counts complete lists of
pods and how long the last took.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
from review import stateful_set

GROUPS = {
    "": {"pods": "Pod", "nodes": "Node", "namespaces": "Namespace", "persistentvolumeclaims": "PersistentVolumeClaim"},
    "apps": {"statefulsets": "StatefulSet", "deployments": "Deployment"},
    "storage.k8s.io": {"storageclasses": "StorageClass"},
    "apiextensions.k8s.io": {"customresourcedefinitions": "CustomResourceDefinition"},
}
SCOPED = frozenset({"nodes", "namespaces", "storageclasses", "customresourcedefinitions"})
PODS = "/api/v1/pods"


def pod(number: int, version: int = 1) -> dict[str, Any]:
    """A pod of about 5 KB, one of ten of its workload, as a node and its controller leave it."""
    workload, name = f"worker-{number // 10}", f"worker-{number // 10}-{number % 10}"
    uid = f"{number:08x}-5a4e-4f7e-9a8b-0c5f7bb7d501"
    seen = f"2026-11-{1 + number % 20:02}T10:{number % 60:02}:00Z"
    fields = {"f:metadata": {f"f:label{n}": {} for n in range(12)}, "f:spec": {f"f:setting{n}": {} for n in range(20)}}
    return {
        "metadata": {
            "name": name,
            "generateName": f"{workload}-",
            "namespace": f"team-{number // 10 % 50}",
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": seen,
            "labels": {
                "app.kubernetes.io/name": "worker",
                "app.kubernetes.io/instance": workload,
                "controller-revision-hash": f"{workload}-7d4b9",
                "statefulset.kubernetes.io/pod-name": name,
                "apps.kubernetes.io/pod-index": str(number % 10),
            },
            "annotations": {"checksum/config": "9f2c" * 16, "cni.example/podIP": f"10.{number >> 8}.{number & 255}.7/32"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": workload, "uid": f"w{workload}", "controller": True}
            ],
            "managedFields": [
                {"manager": f"manager-{n}", "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}
                for n in range(2)
            ],
        },
        "spec": {
            "nodeName": f"node-{number % 20}",
            "priority": 0,
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": f"data-{name}"}},
                {"name": f"kube-api-access-{number:05x}", "projected": {"defaultMode": 420, "sources": []}},
            ],
            "containers": [
                {
                    "name": "worker",
                    "image": "registry.example/worker:1.2.3",
                    "env": [{"name": f"SETTING_{n}", "value": f"the value of setting {n}"} for n in range(24)],
                    "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}},
                }
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": f"10.{number >> 8}.{number & 255}.7",
            "conditions": [
                {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": seen}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [
                {"name": "worker", "ready": True, "restartCount": 0, "containerID": f"containerd://{uid}{uid}"}
            ],
        },
    }


def etcd_pod(number: int) -> dict[str, Any]:
    """A member of the service that the benchmark's review is about."""
    item = pod(number)
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "etcd", "controller": True}
    owner["uid"] = stateful_set()["metadata"]["uid"]
    item["metadata"] |= {"name": f"etcd-{number}", "namespace": "platform", "ownerReferences": [owner]}
    return item


def objects(pods: int) -> dict[str, list[bytes]]:
    """What is served: path → objects."""
    labels = {"kubernetes.io/os": "linux"}
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    found: dict[str, list[dict[str, Any]]] = {
        PODS: [*(etcd_pod(n) for n in range(3)), *(pod(n) for n in range(3, pods))],
        "/api/v1/nodes": [{"metadata": {"name": f"node-{n}", "labels": labels}, "status": ready} for n in range(20)],
        "/api/v1/namespaces": [{"metadata": {"name": f"team-{n}"}} for n in range(50)],
        "/apis/apps/v1/statefulsets": [stateful_set()],
        "/apis/storage.k8s.io/v1/storageclasses": [
            {"metadata": {"name": "premium-rwo"}, "provisioner": "pd.csi.example", "allowVolumeExpansion": True}
        ],
    }
    for group, kinds in GROUPS.items():
        for plural in kinds:
            found.setdefault(f"{_root(group)}/{plural}", [])
    return {path: [orjson.dumps(item) for item in items] for path, items in found.items()}


def _root(group: str) -> str:
    return f"/apis/{group}/v1" if group else "/api/v1"


def documents() -> dict[str, Any]:
    """Discovery."""
    found: dict[str, Any] = {"/version": {"major": "1", "minor": "36"}}
    for group, kinds in GROUPS.items():
        verbs = ["get", "list", "watch"]
        found[_root(group)] = {
            "resources": [
                {"name": plural, "kind": kind, "namespaced": plural not in SCOPED, "verbs": verbs}
                for plural, kind in kinds.items()
            ]
        }
    version = {"version": "v1"}
    found["/apis"] = {
        "groups": [{"name": group, "versions": [version], "preferredVersion": version} for group in GROUPS if group]
    }
    return found


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: dict[str, list[bytes]]
    documents: dict[str, Any]
    rate = 0
    version = 1000
    expired = 0
    listed = 0
    took = 0.0
    began = 0.0

    def handle(self) -> None:
        """Until the other end hangs up."""
        with suppress(OSError):
            super().handle()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_POST(self) -> None:
        """Commands."""
        parts = urlsplit(self.path)
        if parts.path == "/-/rate":
            Handler.rate = int(dict(parse_qsl(parts.query))["n"])
        elif parts.path == "/-/expire":
            Handler.expired += 1
        self._send(b"{}")

    def do_GET(self) -> None:
        """Lists, watches, discovery."""
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        if parts.path == "/-/listed":
            self._send(orjson.dumps({"listed": Handler.listed, "took": Handler.took}))
        elif parts.path in self.documents:
            self._send(orjson.dumps(self.documents[parts.path]))
        elif parts.path not in self.objects:
            self._send(b'{"kind":"Status","code":404,"reason":"NotFound"}', 404)
        elif query.get("watch"):
            with suppress(OSError):
                self._watch(parts.path, int(query["timeoutSeconds"]))
        else:
            self._list(parts.path, int(query.get("continue", 0)), int(query.get("limit", 0)))

    def _list(self, path: str, start: int, limit: int) -> None:
        if path == PODS and not start:
            Handler.began = time.monotonic()
        items = self.objects[path]
        end = start + limit if limit else len(items)
        following = b',"continue":"%d"' % end if end < len(items) else b""
        head = b'{"kind":"List","metadata":{"resourceVersion":"%d"%s},"items":[' % (Handler.version, following)
        self._send(head + b",".join(items[start:end]) + b"]}")
        if path == PODS and not following:
            Handler.listed += 1
            Handler.took = time.monotonic() - Handler.began

    def _watch(self, path: str, seconds: int) -> None:
        until, expired, sent = time.monotonic() + seconds, Handler.expired, 0
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        began, rate = time.monotonic(), 0
        while time.monotonic() < until:
            if path == PODS and expired != Handler.expired:
                self._event({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
                break
            if path == PODS and rate != Handler.rate:
                began, sent, rate = time.monotonic(), 0, Handler.rate
            count = len(self.objects[PODS])
            while path == PODS and sent < (time.monotonic() - began) * rate:
                sent += 1
                Handler.version += 1
                number = 3 + sent * 7919 % (count - 3)
                item = pod(number, Handler.version)
                item["status"]["conditions"][1]["status"] = "False" if sent % 2 else "True"
                self._event({"type": "MODIFIED", "object": item})
            time.sleep(0.005)
        self.wfile.write(b"0\r\n\r\n")

    def _event(self, event: dict[str, Any]) -> None:
        line = orjson.dumps(event) + b"\n"
        self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))

    def _send(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


def main() -> None:
    """Serves until it is ended."""
    Handler.objects, Handler.documents = objects(int(sys.argv[1])), documents()
    server = _Server(("127.0.0.1", 0), Handler)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    Path(sys.argv[2]).write_text(
        f"{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], "
        f'clusters: [{{name: c, cluster: {{server: "{url}"}}}}], users: [{{name: u, user: {{}}}}]}}\n'
    )
    print(url, flush=True)
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
