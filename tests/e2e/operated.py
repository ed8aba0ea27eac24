"""One service that Stateward runs on real nodes: how it is brought there, and what is asked of it.

A cluster that is there already is used as it is where STATEWARD_E2E_KUBECONFIG names its kubeconfig; STATEWARD_E2E_KUBECTL
is its kubectl, and STATEWARD_E2E_IMAGES says what the images are called there: "etcd:3.5=quay.io/coreos/etcd:v3.5.16 …".
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import control_plane as control
import pytest
from cluster_kit import Kubectl, eventually
from installation import NODES, ROOT

KIND = "statefulservices.stateward.dev"
RUNS = "stateward.dev/runs"


@dataclass
class Operated:
    """A cluster with the operator, and one service in it."""

    kubectl: Kubectl
    log: Path
    name: str
    roles: frozenset[str]
    """What a member that takes part may be."""
    manifest: dict[str, Any]

    def create(self) -> None:
        self.kubectl.must("apply", "-f", "-", stdin=self.manifest)

    def other(self, name: str, image: str, **spec: Any) -> Operated:
        """Another service beside it, of the same engine, not made yet."""
        manifest = {
            **self.manifest,
            "metadata": {"name": name},
            "spec": {**self.manifest["spec"], "version": version_of(image), "image": image, **spec},
        }
        return replace(self, name=name, manifest=manifest)

    def service(self) -> dict[str, Any]:
        return self.kubectl.get(KIND, self.name)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = self.service().get("status", {})
        return found

    def secret(self, name: str) -> dict[str, str]:
        """What a Secret holds."""
        data = self.kubectl.get("secret", name)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def condition(self, kind: str) -> dict[str, Any]:
        found = self.status().get("conditions", ())
        return next((one for one in found if one["type"] == kind), {})

    def pods(self) -> list[dict[str, Any]]:
        """Those of its members."""
        found = self.kubectl.get("pods", "-l", f"stateward.dev/service={self.name}").get("items", ())
        return [pod for pod in found if RUNS in pod["metadata"].get("annotations", ())]

    def uids(self) -> set[str]:
        """Of its pods."""
        return {pod["metadata"]["uid"] for pod in self.pods()}

    def runs(self, version: str, members: int = 3) -> bool:
        """Whether all members run a version, in pods of one template, and nothing is left to do."""
        return (
            self.settled(members)
            and {one["version"] for one in self.status()["members"]} == {version}
            and len({pod["metadata"]["annotations"][RUNS] for pod in self.pods()}) == 1
        )

    def settled(self, members: int) -> bool:
        """Whether all members serve and take part, and nothing is being done."""
        time.sleep(0.5)  # kubectl itself is work for a small machine
        status = self.status()
        progressing = next((one for one in status.get("conditions", ()) if one["type"] == "Progressing"), {})
        return (
            status.get("readyMembers") == members == status.get("currentMembers") == len(status.get("members", ()))
            and all(one["ready"] and one["role"] in self.roles for one in status["members"])
            and progressing.get("status") == "False"
            and "operation" not in status
        )

    def settle(self, members: int, seconds: float = 180) -> None:
        eventually(lambda: self.settled(members), f"{members} members serve", seconds)

    def stands(self) -> str:
        """How it stands, for whoever reads why a test failed."""
        seen = self.kubectl("get", "pods,pvc,statefulsets,jobs", "-o", "wide").out
        return "\n".join((json.dumps(self.status(), indent=1), seen, self.log.read_text()[-6000:]))

    def address(self) -> str:
        """Of the Service that clients use."""
        return str(self.kubectl.get("service", self.name)["spec"]["clusterIP"])

    def capacities(self) -> set[str]:
        """Of its members' volumes."""
        claims = self.kubectl.get("persistentvolumeclaims", "-l", f"stateward.dev/service={self.name}")["items"]
        return {claim["status"]["capacity"]["storage"] for claim in claims}

    def change(self, **spec: Any) -> None:
        """A merge patch of its spec."""
        self.kubectl.must("patch", KIND, self.name, "--type=merge", "-p", json.dumps({"spec": spec}))

    def switch_over(self, request: str, members: int = 3) -> None:
        """Has whoever leads hand over, as a user asks for it."""
        before = self.status()["primary"]
        self.kubectl.must("annotate", KIND, self.name, f"stateward.dev/switchover={request}", "--overwrite")
        eventually(lambda: self.status().get("primary") not in (None, "", before), f"another leads than {before}", 90)
        said = f"instead of {before}: what {request} asked for is done"
        eventually(lambda: any(said in one["message"] for one in self.status()["decisions"]), "it says so", 30)
        self.settle(members)

    def kill(self, member: str) -> None:
        """Takes a member's pod away, as if its node were gone, and waits for the next one of that name."""
        uid = self.kubectl.get("pod", member)["metadata"]["uid"]
        self.kubectl.must("delete", "pod", member, "--grace-period=0", "--force")
        eventually(lambda: self.kubectl.get("pod", member).get("metadata", {}).get("uid", uid) != uid, "a new pod", 60)

    def left(self) -> list[str]:
        """What is there of the service and its kinds of objects."""
        kinds = (
            "statefulsets,pods,persistentvolumeclaims,services,configmaps,secrets,poddisruptionbudgets,roles,rolebindings"
        )
        return self.kubectl.names(kinds, "-l", f"stateward.dev/service={self.name}")

    def delete(self) -> None:
        self.kubectl.must("delete", KIND, self.name, "--timeout=150s", seconds=180)


def manifest(engine: str, image: str, name: str, **spec: Any) -> dict[str, Any]:
    """A service of three small members, as a user writes it."""
    return {
        "apiVersion": "stateward.dev/v1beta1",
        "kind": "StatefulService",
        "metadata": {"name": name},
        "spec": {
            "engine": engine,
            "version": version_of(image),
            "image": image,
            "members": 3,
            "storage": {"size": "256Mi"},
            "availability": {"spread": {"nodes": "Preferred"}},
            "tls": {"enabled": False},
            "deletionPolicy": {"claims": "Delete"},
            **spec,
        },
    }


@contextlib.contextmanager
def operated(
    engine: str,
    image: str,
    name: str,
    roles: frozenset[str],
    namespace: str = "",
    arguments: Callable[[], Sequence[str]] = tuple,
    **spec: Any,
) -> Iterator[Operated]:
    """A cluster with a service of three members of this engine, in a namespace of its own.

    `arguments`: more of them for the operator, asked for once the cluster is there.
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"stateward-{engine}-")))
        kubeconfig, program = _cluster(stack)
        image = built(image)
        namespace = namespace or f"{engine}-e2e"
        kubectl = Kubectl(program, kubeconfig, folder / "cache", namespace)
        if not (given() and kubectl("get", "crd", KIND).passed):
            for plural in ("statefulservices", "servicebackups", "servicerestores"):
                file = ROOT / "manifests" / "crds" / f"{plural}.yaml"
                kubectl.must("apply", "--server-side", "--force-conflicts", "-f", str(file))
        kubectl.must("create", "namespace", namespace)
        kubectl.must("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
        stack.callback(kubectl, "delete", "namespace", namespace, "--wait=false")
        log = folder / "operator.log"
        stack.enter_context(operator(kubeconfig, log, namespace, *arguments()))
        service = manifest(engine, image, name, **spec)
        eventually(lambda: kubectl("apply", "-f", "-", stdin=service).passed, "the kind is served", 30)
        yield Operated(kubectl, log, name, roles, service)
        # Whatever a test left: the operator has to be there to let go of it.
        kubectl("delete", KIND, name, "--ignore-not-found", "--timeout=60s", seconds=90)


@contextlib.contextmanager
def operator(kubeconfig: Path, log: Path, namespace: str, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`stateward operate`, as a user runs it."""
    with log.open("ab") as written:
        arguments = [
            str(Path(sys.executable).parent / "stateward"),
            "operate",
            "--kubeconfig",
            str(kubeconfig),
            "--watch",
            namespace,
            "--port",
            "0",
            *more,
        ]
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        process = subprocess.Popen(arguments, stdout=written, stderr=subprocess.STDOUT, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def given() -> str:
    """The kubeconfig of a cluster that is not the test's own; "" where it is."""
    return os.environ.get("STATEWARD_E2E_KUBECONFIG", "")


@contextlib.contextmanager
def dead(node: str) -> Iterator[None]:
    """A node that loses its power, until the end of the `with`."""
    number = node.rpartition("-")[2]
    control.shared("stop-node", number)
    try:
        yield
    finally:
        control.shared("start-node", number)


def built(image: str) -> str:
    """What an image is called in the cluster, once it is there."""
    if not given():
        return control.shared("build-image", image).split()[-1]
    called = dict(one.split("=", 1) for one in os.environ.get("STATEWARD_E2E_IMAGES", "").split())
    if image not in called:
        pytest.skip(f"STATEWARD_E2E_IMAGES does not say what {image} is called in this cluster")
    return called[image]


def version_of(image: str) -> str:
    """What its tag says: v3.5.16, pg17.11-ts2.30.1."""
    found = re.search(r"\d+(\.\d+)*", image.rpartition(":")[2])
    assert found is not None, f"{image}: its tag names no version"
    return found[0]


def _cluster(stack: contextlib.ExitStack) -> tuple[Path, str]:
    """(kubeconfig, kubectl)"""
    if given():
        return Path(given()), os.environ.get("STATEWARD_E2E_KUBECTL", "kubectl")
    if not control.may_use_shared():
        pytest.skip("nodes are needed: run as root where ../shared/cluster/cluster is")
    environment = control.shared_environment()
    if not Path(environment["KUBECONFIG"]).exists():
        stack.callback(control.shared, "down")
    control.shared("up", "--nodes", str(NODES))
    return Path(environment["KUBECONFIG"]), str(Path(environment["KUBEBUILDER_ASSETS"]) / "kubectl")
