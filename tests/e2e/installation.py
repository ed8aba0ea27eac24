"""An installed Stateward: how it is brought into a cluster, and what is asked of it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import control_plane as control
import pytest
import yaml
from cluster_kit import Kubectl, eventually

from stateward.kube.client import Cluster

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "stateward.test/stateward:e2e"
NODES = 3
SYSTEM = "stateward"


@dataclass
class Installed:
    """A cluster with an installed Stateward."""

    kubectl: Kubectl
    """At the namespace of the installation."""
    cluster: Cluster
    folder: Path

    def replicas(self, component: str = "door") -> list[dict[str, Any]]:
        """Its pods."""
        found = self.kubectl.get("pods", "-l", f"app.kubernetes.io/name=stateward,app.kubernetes.io/component={component}")
        return list(found.get("items", ()))

    def settled(self, component: str = "door") -> bool:
        """Whether two replicas are ready and none is on its way in or out."""
        pods = self.replicas(component)
        return len(pods) == 2 and all(
            "deletionTimestamp" not in pod["metadata"]
            and any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ()))
            for pod in pods
        )

    def settle(self, seconds: float = 120) -> None:
        """Waits until they are as they should be, and everybody has heard of it."""
        eventually(self.settled, "two replicas are ready", seconds)
        time.sleep(2)

    def stateward(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The command line, as the administrator."""
        program = Path(sys.executable).parent / "stateward"
        environment = {**os.environ, "KUBECONFIG": str(self.kubectl.kubeconfig)}
        return subprocess.run(
            [str(program), *arguments], capture_output=True, text=True, check=False, timeout=120, env=environment
        )


def image(folder: Path) -> None:
    """The image, by the steps that the Dockerfile takes too."""
    root = folder / "root"
    subprocess.run(["make", "-s", "image-root", f"FOLDER={root}"], cwd=ROOT, check=True, timeout=600)
    control.shared("image", str(root), IMAGE, "--on", "python:3.11", "--entrypoint", '["/opt/stateward/bin/stateward"]')


def install(kubectl: Kubectl, folder: Path, what: str = "base") -> None:
    """A folder of manifests/, with the image under its name here; the door refuses, and has two replicas."""
    overlay = folder / "overlay"
    overlay.mkdir()
    name, _, tag = IMAGE.rpartition(":")
    patch = [
        {"op": "replace", "path": "/spec/template/spec/containers/0/args/4", "value": "--mode=deny"},
    ]
    (overlay / "kustomization.yaml").write_text(
        yaml.safe_dump(
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": [os.path.relpath(ROOT / "manifests" / what, overlay)],
                "images": [{"name": "stateward", "newName": name, "newTag": tag}],
                "replicas": [{"name": "stateward", "count": 2}],
                "patches": [{"target": {"kind": "Deployment", "name": "stateward"}, "patch": yaml.safe_dump(patch)}],
            }
        )
    )
    applied = kubectl("apply", "-k", str(overlay))
    assert applied.passed, str(applied)


def uninstall(kubectl: Kubectl, what: str = "base") -> None:
    for kind in ("validatingwebhookconfiguration", "mutatingwebhookconfiguration"):
        kubectl("delete", kind, "stateward", "--ignore-not-found")
    kubectl("delete", "-k", str(ROOT / "manifests" / what), "--ignore-not-found", "--wait=false")
    # What comes after it begins anew.
    eventually(lambda: not kubectl.get("namespace", SYSTEM), "the namespace of the installation is gone", 120)


@contextlib.contextmanager
def installation(what: str = "base") -> Iterator[Installed]:
    """A cluster with what a folder of manifests/ installs."""
    if not control.may_use_shared():
        pytest.skip("nodes are needed: run as root where ../shared/cluster/cluster is")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stateward-e2e-")))
        environment = control.shared_environment()
        if not Path(environment["KUBECONFIG"]).exists():
            stack.callback(control.shared, "down")
        control.shared("up", "--nodes", str(NODES))
        kubeconfig = Path(environment["KUBECONFIG"])
        kubectl = Kubectl(str(Path(environment["KUBEBUILDER_ASSETS"]) / "kubectl"), kubeconfig, folder / "cache", SYSTEM)
        image(folder)
        install(kubectl, folder, what)
        stack.callback(uninstall, kubectl, what)
        cluster = Cluster.from_kubeconfig(kubeconfig, None)
        stack.callback(cluster.close)
        one = Installed(kubectl, cluster, folder)
        one.settle()
        eventually(lambda: kubectl.get("validatingwebhookconfigurations", "stateward"), "the door is registered", 60)
        yield one
