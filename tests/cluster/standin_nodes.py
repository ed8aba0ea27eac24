"""Nodes, a scheduler, volumes of one node each, and their kubelets, stood in for: beside `standin_etcd`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from standin_etcd import LABEL, StandIn

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.policies import quantity

GROWS, FIXED = "grows", "fixed"
HOSTNAME = "kubernetes.io/hostname"
_BEAT = 5.0


def nodes_path(*steps: str) -> str:
    return path_of("api", "v1", "nodes", *steps)


class OnNodes(StandIn):
    """Runs a service's pods on nodes that may die. A volume is of the node that its first pod was put on."""

    def __init__(self, cluster: Cluster, namespace: str, service: str, nodes: int = 4) -> None:
        super().__init__(cluster, namespace, service)
        self.nodes = [f"{namespace}-{number}" for number in range(nodes)]
        self.dead: set[str] = set()
        self.moves = False
        """Whether volumes that are made from now on can go to any node."""
        self._beat = 0.0
        for name in self.nodes:
            labels = {HOSTNAME: name}
            cluster.create(nodes_path(), {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        for name in (GROWS, FIXED):
            made = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
            with contextlib.suppress(ClusterError):  # of a test before
                cluster.create(
                    path_of("apis", "storage.k8s.io", "v1", "storageclasses"),
                    {**made, "provisioner": "stateward.test/none", "allowVolumeExpansion": name == GROWS},
                )

    def __exit__(self, *_: object) -> None:
        super().__exit__()
        for name in self.nodes:
            with contextlib.suppress(ClusterError):
                self._cluster.delete(nodes_path(name))

    # --- what befalls it -----------------------------------------------------------------------------------------

    def node_of(self, member: str) -> str:
        pod = self._cluster.get(self._path("pods", member))
        return str(pod["spec"]["nodeName"])

    def dies(self, node: str) -> None:
        """At once, and nobody says so: its kubelet is not heard any more."""
        self.dead.add(node)

    def says_gone(self, node: str) -> None:
        """What an administrator does."""
        taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        found = self._cluster.get(nodes_path(node))["spec"].get("taints", [])
        self._cluster.patch(nodes_path(node), {"spec": {"taints": [*found, taint]}})

    # --- what nodes and storage do -------------------------------------------------------------------------------

    def _look(self) -> None:
        self._beats()
        for claim in self._items("persistentvolumeclaims"):
            with contextlib.suppress(ClusterError):
                self._store(claim)
        pods = self._items("pods")
        for pod in pods:
            with contextlib.suppress(ClusterError):
                self._place(pod)
        alive = {pod["metadata"]["name"]: pod for pod in pods if self._runs(pod)}
        for member in list(self.engine.running):
            if member not in alive or self.engine.pods.get(member) != alive[member]["metadata"]["uid"]:
                self.engine.ends(member)
        for pod in alive.values():
            with contextlib.suppress(ClusterError):
                self._tend(pod)

    def _runs(self, pod: Mapping[str, Any]) -> bool:
        node = pod["spec"].get("nodeName", "")
        return bool(node) and node not in self.dead and "deletionTimestamp" not in pod["metadata"]

    def _beats(self) -> None:
        """Kubelets say that they live; of a dead one nobody knows, as its controller says in a minute."""
        if time.monotonic() - self._beat < _BEAT and not self.dead:
            return
        self._beat = time.monotonic()
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        for name in self.nodes:
            ready = {"type": "Ready", "status": "Unknown" if name in self.dead else "True", "lastHeartbeatTime": now}
            with contextlib.suppress(ClusterError):
                self._cluster.patch(nodes_path(name, "status"), {"status": {"conditions": [ready]}})

    def _place(self, pod: Mapping[str, Any]) -> None:
        """The scheduler puts a pod where its volume is; the kubelet ends one that is to go."""
        name, node = pod["metadata"]["name"], pod["spec"].get("nodeName", "")
        if node:
            if "deletionTimestamp" in pod["metadata"] and node not in self.dead:
                exactly = {"preconditions": {"uid": pod["metadata"]["uid"]}, "gracePeriodSeconds": 0}
                self._cluster.delete(self._path("pods", name), exactly)
            return
        names = [
            one["persistentVolumeClaim"]["claimName"] for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one
        ]
        claims = {one: self._cluster.get(self._path("persistentvolumeclaims", one)) for one in names}
        if any(one["status"].get("phase") != "Bound" or "deletionTimestamp" in one["metadata"] for one in claims.values()):
            return
        volume = claims[f"data-{name}"]["spec"].get("volumeName", "")
        affinity = self._cluster.get(path_of("api", "v1", "persistentvolumes", volume))["spec"].get("nodeAffinity")
        home = affinity["required"]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"][0] if affinity else ""
        target = home or self._free()
        if target in self.dead:
            return
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name, "uid": pod["metadata"]["uid"]}}
        binding["target"] = {"apiVersion": "v1", "kind": "Node", "name": target}
        self._cluster.create(self._path("pods", name, "binding"), binding)

    def _free(self) -> str:
        used = [pod["spec"].get("nodeName") for pod in self._items("pods")]
        volumes = self._cluster.get(path_of("api", "v1", "persistentvolumes"))["items"]
        ours = [one for one in volumes if one["spec"]["claimRef"]["namespace"] == self._namespace]
        used += [one["metadata"]["labels"]["node"] for one in ours if one["status"].get("phase") != "Released"]
        alive = [name for name in self.nodes if name not in self.dead]
        return min(alive, key=used.count)

    def _store(self, claim: Mapping[str, Any]) -> None:
        """The provisioner makes a volume, the resizer makes it larger."""
        metadata, spec = claim["metadata"], claim["spec"]
        asked = spec["resources"]["requests"]["storage"]
        if not spec.get("volumeName") and "deletionTimestamp" not in metadata:
            self._provision(metadata, spec, asked)
            return
        has = claim["status"].get("capacity", {}).get("storage")
        if has is not None and (quantity.parse(asked) or 0) > (quantity.parse(has) or 0):
            larger = {"capacity": {"storage": asked}}
            self._cluster.patch(path_of("api", "v1", "persistentvolumes", spec["volumeName"]), {"spec": larger})
            self._cluster.patch(self._path("persistentvolumeclaims", metadata["name"], "status"), {"status": larger})

    def _provision(self, metadata: Mapping[str, Any], spec: Mapping[str, Any], asked: str) -> None:
        kind, _, member = str(metadata["name"]).partition("-")
        # A pod's volumes are made where it is to run: a second one beside the first.
        node = self._free() if kind == "data" else self._home(f"data-{member}")
        if not node:
            return
        terms = [{"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": [node]}]}]
        where = {} if self.moves else {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
        reference = {name: metadata[name] for name in ("name", "namespace", "uid")}
        volume = {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": f"pv-{metadata['uid']}", "labels": {"node": node}},
            "spec": {
                "capacity": {"storage": asked},
                "accessModes": ["ReadWriteOnce"],
                "persistentVolumeReclaimPolicy": "Retain",
                "storageClassName": spec.get("storageClassName", ""),
                "csi": {"driver": "stateward.test", "volumeHandle": metadata["uid"]},
                "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
                **where,
            },
        }
        with contextlib.suppress(ClusterError):  # made a moment ago
            self._cluster.create(path_of("api", "v1", "persistentvolumes"), volume)

    def _home(self, claim: str) -> str:
        """The node of a claim's volume; "" as long as there is none."""
        found = self._cluster.find(self._path("persistentvolumeclaims", claim))
        if found is None or found["status"].get("phase") != "Bound" or "deletionTimestamp" in found["metadata"]:
            return ""
        volume = self._cluster.get(path_of("api", "v1", "persistentvolumes", found["spec"]["volumeName"]))
        return str(volume["metadata"]["labels"]["node"])

    def _items(self, plural: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._cluster.get(self._path(plural), {"labelSelector": LABEL})["items"]
        return found

    def _path(self, *steps: str) -> str:
        return path_of("api", "v1", "namespaces", self._namespace, *steps)
