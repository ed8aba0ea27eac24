"""The operator does its work with the rights of its manifests, and none of them is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import control_plane as control
import pytest
from cluster_kit import Cluster, Kubectl, eventually
from operate_kit import KIND, NAME, client, create, kubectl, scale, served, settle, standin
from standin_etcd import StandIn

__all__ = ["client", "kubectl", "served", "standin"]

MANIFESTS = control.ROOT / "manifests"
NAMESPACE = "stateward"


@pytest.fixture
def limited(served: Cluster, tmp_path: Path) -> Iterator[Path]:
    """The log of an operator that runs as the ServiceAccount of its manifests."""
    past = served.kubectl.past
    for name in ("base/namespace.yaml", "operator/service.yaml", "operator/rights.yaml"):
        past.must("apply", "--server-side", "-f", str(MANIFESTS / name))
    for name in ("servicebackups", "servicerestores", "wardpolicies"):
        past.must("apply", "--server-side", "-f", str(MANIFESTS / "crds" / f"{name}.yaml"))
    token = past.must("create", "token", "stateward-operator", "-n", NAMESPACE).out.strip()
    known = json.loads(served.kubeconfig.read_text())
    known["users"][0]["user"] = {"token": token}
    kubeconfig, log = tmp_path / "kubeconfig", tmp_path / "operator.log"
    kubeconfig.write_text(json.dumps(known))
    program = str(Path(sys.executable).parent / "stateward")
    command = [program, "operate", "--kubeconfig", str(kubeconfig), "--port", "0", "--namespace", NAMESPACE]
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    with log.open("wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT, env=environment)
        yield log
        process.terminate()
        process.wait(30)


def test_a_service_is_made_scaled_and_deleted_with_the_rights_of_the_manifests(
    limited: Path, standin: StandIn, kubectl: Kubectl
) -> None:
    create(kubectl)
    settle(kubectl, 3, 120)
    scale(kubectl, 5)
    settle(kubectl, 5, 180)
    scale(kubectl, 3)
    settle(kubectl, 3, 180)
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--wait=false")
    # Nobody runs here that ends pods; what the operator does of it is seen in the set that goes.
    eventually(
        lambda: "deletionTimestamp" in str(kubectl("get", "statefulset", NAME, "-o", "yaml").out) or gone(kubectl), "it goes"
    )
    said = limited.read_text()
    assert "forbidden" not in said.lower(), said
    assert "403" not in said, said


def gone(kubectl: Kubectl) -> bool:
    return not kubectl("get", "statefulset", NAME).passed
