"""An installed Stateward: how it is brought into a cluster, and what is asked of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import control_plane as control
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

    def replicas(self) -> list[dict[str, Any]]:
        """The pods of the door."""
        found = self.kubectl.get("pods", "-l", "app.kubernetes.io/name=stateward,app.kubernetes.io/component=door")
        return list(found.get("items", ()))

    def settled(self) -> bool:
        """Whether two replicas are ready and none is on its way in or out."""
        pods = self.replicas()
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


def install(kubectl: Kubectl, folder: Path) -> None:
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
                "resources": [os.path.relpath(ROOT / "manifests" / "base", overlay)],
                "images": [{"name": "stateward", "newName": name, "newTag": tag}],
                "patches": [{"target": {"kind": "Deployment", "name": "stateward"}, "patch": yaml.safe_dump(patch)}],
            }
        )
    )
    applied = kubectl("apply", "-k", str(overlay))
    assert applied.passed, str(applied)


def uninstall(kubectl: Kubectl) -> None:
    for kind in ("validatingwebhookconfiguration", "mutatingwebhookconfiguration"):
        kubectl("delete", kind, "stateward", "--ignore-not-found")
    kubectl("delete", "-k", str(ROOT / "manifests" / "base"), "--ignore-not-found", "--wait=false")
