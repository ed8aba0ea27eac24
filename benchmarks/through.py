"""What the door adds to a write through a real API server: `python benchmarks/through.py KUBECONFIG`.

Creates of a StatefulSet of 4 KB with `dryRun=All` (all of admission, nothing stored) into three namespaces in turn: one
where nothing is asked, one where the echo is, one where the door is. Both are registered by URL for that namespace alone,
for as long as this runs. The differences are those of the percentiles.
"""

from __future__ import annotations

import base64
import copy
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson
from load import Target, cpu_seconds, percentile
from review import stateful_set
from servers import CLIENT, door, echoing, pin

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError

WRITES = 150
ROUNDS = 10
HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@contextmanager
def registered(cluster: Cluster, name: str, target: Target) -> Iterator[None]:
    """The API server asks there about StatefulSets of the namespace of that name."""
    configuration = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{name}.stateward.dev",
                "clientConfig": {
                    "url": f"https://localhost:{target.port}/validate",
                    "caBundle": base64.b64encode(target.authority.read_bytes()).decode(),
                },
                "rules": [
                    {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["statefulsets"]}
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Fail",
                "timeoutSeconds": 3,
            }
        ],
    }
    with suppress(ClusterError):
        cluster.delete(f"{HOOKS}/{name}")
    cluster.create(HOOKS, configuration)
    try:
        yield
    finally:
        cluster.delete(f"{HOOKS}/{name}")


@contextmanager
def namespace(cluster: Cluster, name: str) -> Iterator[None]:
    """A namespace of that name."""
    with suppress(ClusterError):
        cluster.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    try:
        yield
    finally:
        cluster.delete(f"/api/v1/namespaces/{name}")


def manifest() -> dict[str, object]:
    """The set of the other benchmarks, as a person applies it."""
    item = copy.deepcopy(stateful_set())
    del item["status"], item["metadata"]["managedFields"]
    item["metadata"] = {"name": "etcd", "labels": item["metadata"]["labels"]}
    for container in item["spec"]["template"]["spec"]["containers"]:
        container["env"] = container["env"][:12]
    return item


def writes(cluster: Cluster, into: str, item: dict[str, object], count: int) -> list[float]:
    """Seconds of each write, one after the other."""
    path = f"/apis/apps/v1/namespaces/{into}/statefulsets"
    found = []
    for _ in range(count):
        began = time.perf_counter()
        cluster.call("POST", path, {"dryRun": "All"}, body=item)
        found.append(time.perf_counter() - began)
    return found


def main() -> None:
    """Prints the percentiles."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    pin(CLIENT)
    # Names of its own: those of a run before may still be going.
    names = tuple(f"bench-{os.getpid()}-{what}" for what in ("none", "echo", "door"))
    item = manifest()
    kubeconfig = Path(sys.argv[1])
    cluster = Cluster.from_kubeconfig(kubeconfig)
    with (
        tempfile.TemporaryDirectory() as folder,
        door(kubeconfig, Path(folder)) as one,
        echoing(Path(folder)) as other,
        namespace(cluster, names[0]),
        namespace(cluster, names[1]),
        namespace(cluster, names[2]),
        registered(cluster, names[1], other),
        registered(cluster, names[2], one),
    ):
        time.sleep(3)  # until the API server has both
        took: dict[str, list[float]] = {name: [] for name in names}
        for name in names:
            writes(cluster, name, item, WRITES)
        before = [cpu_seconds(each.pid) for each in (one, other)]
        for _ in range(ROUNDS):
            for name in names:
                took[name] += writes(cluster, name, item, WRITES)
        after = [cpu_seconds(each.pid) for each in (one, other)]
    spent = [(end - start) / (WRITES * ROUNDS) * 1000 for start, end in zip(before, after, strict=True)]
    print(f"{WRITES * ROUNDS} creates each of {len(orjson.dumps(item)) / 1024:.1f} KB, one after the other, in turn")
    for name in names:
        found = took[name]
        middle, high = percentile(found, 0.5) * 1000, percentile(found, 0.99) * 1000
        best = min(statistics.median(found[n : n + WRITES]) for n in range(0, len(found), WRITES)) * 1000
        print(f"{name.rpartition('-')[2]:<6} p50 {middle:.2f}  p99 {high:.2f}  best round's p50 {best:.2f} ms")
    print(f"processor time a review: door {spent[0]:.2f} ms, echo {spent[1]:.2f} ms")


if __name__ == "__main__":
    main()
