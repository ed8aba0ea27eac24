"""`stateward uninstall` where there are StatefulServices: they run on, or end only where that is said twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from cluster_kit import Cluster, Kubectl, eventually
from operate_kit import CRD, KIND, NAME, client, kubectl, served, wanted

from stateward.operator.service import FINALIZER

__all__ = ["client", "kubectl", "served"]


def uninstall(served: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = str(Path(sys.executable).parent / "stateward")
    environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
    command = [program, "uninstall", "--kubeconfig", str(served.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def service(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get(KIND, NAME)
    return found


def test_services_outlive_the_operator_and_end_only_where_that_is_said_twice(served: Cluster, kubectl: Kubectl) -> None:
    held = wanted()
    held["metadata"]["finalizers"] = [FINALIZER]
    kubectl.must("apply", "-f", "-", stdin=held)
    title = f"{kubectl.namespace}/{NAME}"

    left = uninstall(served)
    assert left.returncode == 0, left.stderr
    assert f"1 StatefulService ({title}): they run on" in left.stdout
    assert "deletionTimestamp" not in service(kubectl)["metadata"]

    refused = uninstall(served, "--crds")
    assert refused.returncode == 2
    assert title in refused.stderr
    assert "nothing was removed" in refused.stderr
    assert "deletionTimestamp" not in service(kubectl)["metadata"]

    would = uninstall(served, "--crds", "--services", "--dry-run")
    assert would.returncode == 0, would.stderr
    assert f"would remove customresourcedefinition/{KIND}" in would.stdout
    assert service(kubectl)["metadata"]["finalizers"] == [FINALIZER]

    done = uninstall(served, "--crds", "--services")
    assert done.returncode == 0, done.stderr
    eventually(
        lambda: not served.kubectl.past("get", "crd", KIND).passed, "the kind is gone, whoever held on to its objects"
    )
    served.kubectl.past.must("apply", "--server-side", "-f", str(CRD))
