"""What tests of backups before a real API server share: the kubelet, an engine and restic are stood in for."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import control_plane as control
from cluster_kit import Cluster, Kubectl, eventually, own_plane
from operate_kit import CrashError, Mortal

from stateward.kube.client import Cluster as Client
from stateward.kube.client import path_of
from stateward.kube.errors import ClusterError
from stateward.operator.backup import kinds, metadata
from stateward.operator.backup.desk import Desk
from stateward.operator.backup.hub import Hub
from stateward.operator.drivers import catalogue, folder
from stateward.operator.drivers.protocol import Access, Extent, Peer, Place, Result, Seen, Target
from stateward.operator.drivers.schema import Engine
from stateward.operator.informer import Informers
from stateward.operator.metrics import Metrics
from stateward.operator.reconcile import Reconcile

CRDS = [
    control.ROOT / "manifests" / "crds" / f"{name}.yaml"
    for name in ("statefulservices", "servicebackups", "servicerestores")
]
SERVICES, BACKUPS, RESTORES = (f"{one}.stateward.dev" for one in ("statefulservices", "servicebackups", "servicerestores"))
NOWHERE = {"nodeSelector": {"stateward.test/nowhere": "true"}}
CLAIM = {"claim": {"name": "archive"}}
SECONDS = 300.0


def service(name: str = "db", **spec: Any) -> dict[str, Any]:
    made = {"engine": "etcd", "version": "3.5.16", "members": 1, "storage": {"size": "1Gi"}, "tls": {"enabled": False}}
    policy = {"placement": NOWHERE, "deletionPolicy": {"claims": "Delete"}}
    return {
        "apiVersion": "stateward.dev/v1beta1",
        "kind": "StatefulService",
        "metadata": {"name": name},
        "spec": {**made, **policy, **spec},
    }


def asked(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "stateward.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}


class Machine(folder.FolderDriver):
    """An engine whose members serve as soon as they run; it knows how many keys are on each claim."""

    def __init__(self, keys: dict[str, int]) -> None:
        import yaml

        super().__init__(Engine.model_validate(yaml.safe_load((catalogue.FOLDER / "etcd" / "engine.yaml").read_text())))
        self.keys = keys
        self.listed = False

    def see(self, target: Target) -> Seen:
        return Seen(target.name, True, role="leader", version="3.5.16", identity=target.name)

    def peers(self, targets: Any, place: Place) -> list[Peer] | None:
        return []

    def extent(self, target: Target) -> Extent | None:
        count = self.keys.get(target.name, 0)
        return Extent(str(count + 1), count, "keys")

    def proves(self, target: Target, wanted: Extent) -> Result:
        found = self.keys.get(target.name, 0)
        return Result("done") if found == wanted.count else Result("refused", f"{found} keys: the backup has {wanted.count}")

    def secret_files(self, place: Place, access: Access) -> dict[str, str]:
        return {}


class Machines:
    """A kubelet for members and for Jobs: what their containers would have done is done to books."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.keys: dict[str, int] = {}
        """Member → how many keys it has."""
        self.archive: dict[str, tuple[str, str]] = {}
        """Snapshot → the tag of its backup, and its metadata."""
        self.fails: dict[str, tuple[int, str]] = {}
        """Container → the exit code and message that it ends with."""
        self.wrongs: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Machines:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(ClusterError, KeyError):  # changed meanwhile: again
                for pod in self.client.get(path_of("api", "v1", "namespaces", self.namespace, "pods"))["items"]:
                    self._tend(pod)
            self._stopping.wait(0.1)

    def _tend(self, pod: Mapping[str, Any]) -> None:
        name, phase = pod["metadata"]["name"], pod.get("status", {}).get("phase", "Pending")
        if "deletionTimestamp" in pod["metadata"]:
            path = path_of("api", "v1", "namespaces", self.namespace, "pods", name)
            self.client.delete(path, {"gracePeriodSeconds": 0})
        elif "batch.kubernetes.io/job-name" in pod["metadata"]["labels"]:
            if phase == "Pending":
                self._status(pod, self._worked(pod))
        elif phase == "Pending":
            good = [{"type": one, "status": "True"} for one in ("Ready", "ContainersReady")]
            self.keys.setdefault(name, 0)
            self._status(
                pod, {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}], "conditions": good}
            )

    def _status(self, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        path = path_of("api", "v1", "namespaces", self.namespace, "pods", pod["metadata"]["name"], "status")
        self.client.patch(path, {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status})

    def _worked(self, pod: Mapping[str, Any]) -> dict[str, Any]:
        """What the containers of a Job's pod did, one after the other until one fails."""
        spec = pod["spec"]
        found: dict[str, list[dict[str, Any]]] = {"initContainerStatuses": [], "containerStatuses": []}
        several = [("initContainerStatuses", one) for one in spec.get("initContainers", ())]
        for where, one in [*several, *(("containerStatuses", one) for one in spec["containers"])]:
            told = {each["name"]: each.get("value", "") for each in one.get("env", ())}
            code, said = self.fails.get(one["name"]) or (0, self._does(one["name"], told, spec))
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            ended = {"exitCode": code, "message": said, "reason": "Error" if code else "Completed"}
            ended |= {"startedAt": now, "finishedAt": now, "containerID": "test://x"}
            state = {"name": one["name"], "image": one["image"], "imageID": "", "ready": False, "restartCount": 0}
            found[where].append({**state, "state": {"terminated": ended}})
            if code:
                return {"phase": "Failed", **found}
        return {"phase": "Succeeded", **found}

    def _does(self, name: str, told: Mapping[str, str], spec: Mapping[str, Any]) -> str:
        if name == "store":
            snapshot = next((each for each, (tag, _) in self.archive.items() if tag == told["TAG"]), "")
            if not snapshot:
                snapshot = uuid.uuid4().hex * 2
                self.archive[snapshot] = told["TAG"], told["METADATA"].replace("$$(", "$(")
            return f'{{"snapshot":"{snapshot}","size":42}}'
        if name == "inspect":
            wanted = told["SNAPSHOT"]
            snapshot = list(self.archive)[-1] if wanted == "latest" else wanted
            return metadata.packed(snapshot, self.archive[snapshot][1])
        if name == "fetch":
            claim = next(one for one in spec["volumes"] if one["name"] == "data")["persistentVolumeClaim"]["claimName"]
            member = claim.removeprefix("data-")
            if member in self.keys:
                self.wrongs.append(f"{member} runs while its claim is filled")
            told_of = metadata.made(self.archive[told["SNAPSHOT"]][1])
            assert told_of is not None
            self.keys[member] = told_of.count or 0
        if name == "forget":
            for snapshot in [each for each, (tag, _) in self.archive.items() if tag == told["TAG"]]:
                del self.archive[snapshot]
        return ""


@contextlib.contextmanager
def serving(*more: Mapping[str, Any]) -> Iterator[Cluster]:
    """An API server of its own, with our kinds: no scheduler and no kubelet must have a hand in what is stood in for.

    `more`: definitions of other kinds.
    """
    with own_plane(controllers=True) as (_, cluster):
        cluster.needs_controllers()
        past = cluster.kubectl.past
        for crd in CRDS:
            past.must("apply", "--server-side", "-f", str(crd))
        for one in more:
            past.must("apply", "-f", "-", stdin=one)
        for kind in (SERVICES, BACKUPS, RESTORES, *(one["metadata"]["name"] for one in more)):
            eventually(lambda kind=kind: past("get", kind, "-A").passed, "the kind is served")  # type: ignore[misc]
        yield cluster


@contextlib.contextmanager
def namespaced(cluster: Cluster) -> Iterator[Kubectl]:
    """An administrator in a namespace of the test's own; what would hold it up at the end is let go."""
    name = f"sw-{uuid.uuid4().hex[:8]}"
    past = cluster.kubectl.past
    past.must("create", "namespace", name)
    here = past.at(name)
    yield here
    for kind in (SERVICES, BACKUPS):
        for one in here.names(kind):
            here("patch", kind, one, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    past("delete", "namespace", name, "--wait=false", "--ignore-not-found")


class Operator:
    """One process of the operator after the other, for one namespace."""

    def __init__(self, kubeconfig: Path, machines: Machines) -> None:
        self.kubeconfig = kubeconfig
        self.machines = machines
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)

    def until(self, over: Callable[[], bool]) -> None:
        """A process that lives until then."""
        assert self._life(Client, over) is False

    def dying_until(self, over: Callable[[], bool]) -> int:
        """Processes that each die of their first write, until nothing is left to do; how many."""
        died = 0
        while self._life(Mortal, over):
            died += 1
            assert died < 150, "it makes no headway"
        return died

    def _life(self, kind: type[Client], over: Callable[[], bool]) -> bool:
        client = kind.from_kubeconfig(self.kubeconfig)
        with contextlib.closing(Client.from_kubeconfig(self.kubeconfig)) as reading, contextlib.closing(client):
            where = self.machines.namespace
            look = Informers(reading, lambda _: None, namespace=where).start()
            archives = Informers(reading, lambda _: None, kinds=kinds.WATCHED, namespace=where).start()
            metrics, driver = Metrics(), Machine(self.machines.keys)
            hub = Hub(client, look, archives, metrics, find=lambda _: driver, now=self.now)
            find, now = (lambda _: driver), self.now
            desk = Desk(hub, Reconcile(client, look, metrics, lambda _: None, find=find, now=now, hub=hub))
            try:
                eventually(lambda: not look.unsynced() and not archives.unsynced(), "everything is known")
                until = time.monotonic() + SECONDS
                while not over():
                    assert time.monotonic() < until, "it neither goes on nor ends"
                    for key in sorted({*look.services(), *archives.keys()}):
                        with contextlib.suppress(ClusterError):  # changed meanwhile: again
                            desk(key)
                    time.sleep(0.1)
            except CrashError:
                return True
            finally:
                look.stop()
                archives.stop()
        return False


def phase(kubectl: Kubectl, kind: str, name: str) -> str:
    return str(kubectl.get(kind, name).get("status", {}).get("phase", ""))


def ready(kubectl: Kubectl, name: str = "db") -> bool:
    conditions = kubectl.get(SERVICES, name).get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["reason"] == "AllMembersServe" for one in conditions)


def gone(kubectl: Kubectl, kind: str, name: str) -> bool:
    return kubectl.get(kind, name) == {}
