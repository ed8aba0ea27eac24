"""Stateward as it is installed: its own image, its own manifests, two replicas on three real nodes.

Needs `../shared/cluster/cluster` (root, Linux) and takes minutes, so `make e2e` runs it, the gate does not.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "cluster"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import control_plane as control
from cluster_kit import Kubectl, eventually
from installation import NODES, SYSTEM, Installed, image, install, uninstall

from stateward.kube.client import Cluster


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tells what was measured: on the terminal, and in the file of STATEWARD_E2E_REPORT."""
    capture = request.config.pluginmanager.get_plugin("capturemanager")
    told_where = os.environ.get("STATEWARD_E2E_REPORT")

    def told(text: str) -> None:
        with capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext():
            print(f"\n  {text}", flush=True)
        if told_where:
            with Path(told_where).open("a") as report:
                report.write(f"{text}\n")

    return told


@pytest.fixture(scope="session")
def installed() -> Iterator[Installed]:
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
        install(kubectl, folder)
        stack.callback(uninstall, kubectl)
        cluster = Cluster.from_kubeconfig(kubeconfig, None)
        stack.callback(cluster.close)
        one = Installed(kubectl, cluster, folder)
        one.settle()
        eventually(lambda: kubectl.get("validatingwebhookconfigurations", "stateward"), "the door is registered", 60)
        yield one
