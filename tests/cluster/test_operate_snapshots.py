"""Backups by VolumeSnapshots before a real API server; the kubelet, etcd and the storage are stood in for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from cluster_kit import Cluster, Kubectl, eventually
from operate_kit import client  # noqa: F401 - a fixture
from standin_machines import (
    BACKUPS,
    RESTORES,
    SERVICES,
    Machines,
    Operator,
    asked,
    gone,
    namespaced,
    phase,
    ready,
    service,
    serving,
)

from stateward.kube.client import Cluster as Client
from stateward.kube.client import path_of
from stateward.kube.errors import ClusterError
from stateward.operator.backup import metadata

SNAPSHOTS = "volumesnapshots.snapshot.storage.k8s.io"
PLACE = {"snapshot": {"class": "standard"}}


def crd(kind: str, plural: str, scope: str) -> dict[str, Any]:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}}}
    group = "snapshot.storage.k8s.io"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, stood in for"},
        },
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{**version, "schema": {"openAPIV3Schema": schema}}],
        },
    }


class Storage(Machines):
    """The same with a snapshot controller, and a class whose volumes are where they are asked for."""

    def __init__(self, client: Client, namespace: str) -> None:  # noqa: F811
        super().__init__(client, namespace)
        self.images: dict[str, int] = {}
        """VolumeSnapshot → how many keys it holds."""
        self.broken = ""
        """Why the storage makes none."""

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(ClusterError, KeyError):
                for pod in self.client.get(self._path("api", "v1", "pods"))["items"]:
                    self._tend(pod)
                for claim in self.client.get(self._path("api", "v1", "persistentvolumeclaims"))["items"]:
                    if "deletionTimestamp" not in claim["metadata"] and claim["status"].get("phase") != "Bound":
                        status = {"phase": "Bound", "capacity": claim["spec"]["resources"]["requests"]}
                        self._say("api", "v1", "persistentvolumeclaims", claim, status)
                for snapshot in self._snapshots():
                    self._copy(snapshot)
            self._stopping.wait(0.1)

    def _snapshots(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(self._path("apis", "snapshot.storage.k8s.io/v1", "volumesnapshots"))[
            "items"
        ]
        live = {one["metadata"]["name"] for one in found}
        self.images = {name: keys for name, keys in self.images.items() if name in live}
        return found

    def _copy(self, snapshot: Mapping[str, Any]) -> None:
        if snapshot.get("status", {}).get("readyToUse"):
            return
        if self.broken:
            status: dict[str, Any] = {"readyToUse": False, "error": {"message": self.broken}}
            if snapshot.get("status") != status:
                self._say("apis", "snapshot.storage.k8s.io/v1", "volumesnapshots", snapshot, status)
            return
        name, claim = snapshot["metadata"]["name"], snapshot["spec"]["source"]["persistentVolumeClaimName"]
        self.images[name] = self.keys[claim.removeprefix("data-")]
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        status = {"readyToUse": True, "creationTime": now, "restoreSize": "1Gi"}
        self._say("apis", "snapshot.storage.k8s.io/v1", "volumesnapshots", snapshot, status)

    def _path(self, root: str, version: str, plural: str, *name: str) -> str:
        return path_of(root, *version.split("/"), "namespaces", self.namespace, plural, *name)

    def _say(self, root: str, version: str, plural: str, item: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        path = self._path(root, version, plural, item["metadata"]["name"], "status")
        self.client.patch(path, {"metadata": {"uid": item["metadata"]["uid"]}, "status": status})

    def _does(self, name: str, told: Mapping[str, str], spec: Mapping[str, Any]) -> str:
        volumes = {one["name"]: one for one in spec["volumes"]}
        if not name.startswith("restore-") or "image" not in volumes:
            return super()._does(name, told, spec)
        source = volumes["image"]["persistentVolumeClaim"]["claimName"]
        claim = self.client.get(self._path("api", "v1", "persistentvolumeclaims", source))
        keys = self.images[claim["spec"]["dataSource"]["name"]]
        if "persistentVolumeClaim" in volumes["data"]:
            member = volumes["data"]["persistentVolumeClaim"]["claimName"].removeprefix("data-")
            if member in self.keys:
                self.wrongs.append(f"{member} runs while its claim is filled")
            self.keys[member] = keys
        return ""


@pytest.fixture(scope="module")
def served() -> Iterator[Cluster]:
    """With one class of snapshots."""
    kinds = (
        crd("VolumeSnapshot", "volumesnapshots", "Namespaced"),
        crd("VolumeSnapshotClass", "volumesnapshotclasses", "Cluster"),
    )
    with serving(*kinds) as cluster:
        made = {"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass", "metadata": {"name": "standard"}}
        cluster.kubectl.past.must("apply", "-f", "-", stdin={**made, "driver": "stood.in", "deletionPolicy": "Delete"})
        yield cluster


@pytest.fixture
def kubectl(served: Cluster) -> Iterator[Kubectl]:
    with namespaced(served) as here:
        yield here


@pytest.fixture
def storage(client: Client, kubectl: Kubectl) -> Iterator[Storage]:  # noqa: F811
    with Storage(client, kubectl.namespace) as one:
        yield one
    assert one.wrongs == []


@pytest.fixture
def operator(served: Cluster, storage: Storage) -> Operator:
    return Operator(served.kubeconfig, storage)


def message(kubectl: Kubectl, kind: str, name: str) -> str:
    return str(kubectl.get(kind, name).get("status", {}).get("message", ""))


def test_a_process_that_dies_after_each_write_copies_restores_and_deletes_all_the_same(
    kubectl: Kubectl, operator: Operator, storage: Storage
) -> None:
    kubectl.must("apply", "-f", "-", stdin=service())
    operator.until(lambda: ready(kubectl))
    storage.keys["db-0"] = 1000
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "first", service="db", destination=PLACE))
    deaths = [operator.dying_until(lambda: phase(kubectl, BACKUPS, "first") == "Complete")]
    status = kubectl.get(BACKUPS, "first")["status"]
    (snapshot,) = kubectl.names(SNAPSHOTS)
    assert (status["position"], status["snapshots"], status["size"]) == ("1001", [snapshot], 1 << 30)
    assert status["verified"]
    assert "encrypted" not in status
    copied = kubectl.get(SNAPSHOTS, snapshot)["metadata"]
    assert copied["labels"]["stateward.dev/servicebackup"] == "first"
    told = metadata.made(copied["annotations"]["stateward.dev/metadata"])
    assert told is not None
    assert told.count == 1000
    eventually(lambda: kubectl.names("persistentvolumeclaims") == ["data-db-0"], "what it was read back with is gone")
    assert kubectl.names("jobs") == []
    storage.keys["db-0"] = 2000
    kubectl.must("delete", SERVICES, "db", "--wait=false")
    operator.until(lambda: gone(kubectl, SERVICES, "db"))
    restore = asked("ServiceRestore", "again", service="back", source={"backup": {"name": "first"}})
    kubectl.must("apply", "-f", "-", stdin=restore)
    deaths.append(operator.dying_until(lambda: phase(kubectl, RESTORES, "again") == "Complete"))
    assert storage.keys["back-0"] == 1000
    operator.until(lambda: ready(kubectl, "back"))
    eventually(lambda: kubectl.names("persistentvolumeclaims") == ["data-back-0"], "what was read is gone")
    kubectl.must("delete", BACKUPS, "first", "--wait=false")
    deaths.append(operator.dying_until(lambda: gone(kubectl, BACKUPS, "first")))
    assert kubectl.names(SNAPSHOTS) == []
    assert all(one >= least for one, least in zip(deaths, (8, 7, 2), strict=True)), deaths


def test_what_the_storage_says_is_told_and_a_snapshot_that_is_kept_is_restored_without_its_backup(
    kubectl: Kubectl, operator: Operator, storage: Storage
) -> None:
    storage.broken = "rpc error: quota of snapshots is used up"
    kubectl.must("apply", "-f", "-", stdin=service())
    operator.until(lambda: ready(kubectl))
    storage.keys["db-0"] = 10
    kept = asked("ServiceBackup", "kept", service="db", destination=PLACE, deletionPolicy="Retain")
    kubectl.must("apply", "-f", "-", stdin=kept)
    operator.until(lambda: "quota of snapshots is used up" in message(kubectl, BACKUPS, "kept"))
    storage.broken = ""
    operator.until(lambda: phase(kubectl, BACKUPS, "kept") == "Complete")
    location = kubectl.get(BACKUPS, "kept")["status"]["location"]
    kubectl.must("delete", BACKUPS, "kept", "--wait=false")
    operator.until(lambda: gone(kubectl, BACKUPS, "kept"))
    (snapshot,) = kubectl.names(SNAPSHOTS)
    assert location == f"{kubectl.namespace}/db#{snapshot}"
    source = {"archive": {"destination": PLACE, "location": location}}
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceRestore", "later", service="later", source=source))
    operator.until(lambda: phase(kubectl, RESTORES, "later") == "Complete")
    assert storage.keys["later-0"] == 10


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"encryption": {"secret": "key"}}, "encryption: a VolumeSnapshot is encrypted by its storage"),
        ({"destination": {"snapshot": {"class": "none"}}}, "destination.snapshot.class: none: there is no such"),
    ],
)
def test_what_cannot_be_is_said(kubectl: Kubectl, operator: Operator, spec: dict[str, Any], why: str) -> None:
    kubectl.must("apply", "-f", "-", stdin=service())
    operator.until(lambda: ready(kubectl))
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceBackup", "odd", service="db", **{"destination": PLACE, **spec}))
    operator.until(lambda: why in message(kubectl, BACKUPS, "odd"))
    assert kubectl.names(SNAPSHOTS) == []


def test_a_snapshot_is_restored_in_its_own_namespace_alone(kubectl: Kubectl, operator: Operator) -> None:
    source = {"archive": {"destination": PLACE, "location": "elsewhere/db#snapshot"}}
    kubectl.must("apply", "-f", "-", stdin=asked("ServiceRestore", "far", service="far", source=source))
    operator.until(lambda: phase(kubectl, RESTORES, "far") == "Refused")
    assert "none is restored in another namespace" in message(kubectl, RESTORES, "far")
