"""A real API server, the door as a process of its own, and kubectl as a user has it.

Where the API server comes from, the first of these that there is:

1. STATEWARD_TEST_KUBECONFIG names a kubeconfig. Said on purpose: the cluster that kubectl happens to point at is never used.
2. `../shared/cluster/cluster` is beside the repository, on Linux, as root: one node with pods, volumes and controllers.
3. KUBEBUILDER_ASSETS holds etcd and kube-apiserver: a control plane in a temporary folder, with controllers where
   kube-controller-manager is there too.

Else everything here is skipped, with one line that says so.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

import control_plane as control
from cluster_kit import REGISTERED, Cluster, Door, Kubectl, eventually, kubectl_of

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs an API server."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skipped from here, so that all of them are one line in the summary."""
    if {"cluster", "assets"} & set(getattr(item, "fixturenames", ())) and not _sources():
        pytest.skip(
            "no API server: run as root where ../shared/cluster/cluster is, or name a cluster in "
            "STATEWARD_TEST_KUBECONFIG, or the folder of etcd and kube-apiserver in KUBEBUILDER_ASSETS"
        )


def _sources() -> bool:
    named = os.environ.get("STATEWARD_TEST_KUBECONFIG") or os.environ.get("KUBEBUILDER_ASSETS")
    return bool(named) or control.may_use_shared() or shutil.which("kube-apiserver") is not None


# --- the cluster ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stateward-tests-")))
        yield _cluster(folder, stack, _say(request))


def _say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")

    def say(text: str) -> None:
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(text)

    return say


def _cluster(folder: Path, stack: contextlib.ExitStack, say: Callable[[str], None]) -> Cluster:
    named = os.environ.get("STATEWARD_TEST_KUBECONFIG")
    can_import = False
    assets: Path | None = None
    if named:
        kubeconfig = Path(named)
        if not kubeconfig.exists():
            pytest.fail(f"STATEWARD_TEST_KUBECONFIG={named}: no such file")
    elif control.may_use_shared() and (found_there := _shared(stack, say)):
        kubeconfig, assets = found_there
        can_import = True
    else:
        try:
            assets = control.programs(say)
            plane = control.ControlPlane(assets, folder, controllers=True)
            stack.enter_context(plane)
        except (control.MissingError, control.BrokenError) as error:
            pytest.fail(str(error))
        kubeconfig = plane.kubeconfig
    found = Cluster(kubeconfig, kubectl_of(assets), folder, False, [], can_import)
    kubectl = found.kubectl
    found.nodes = [
        node["metadata"]["name"]
        for node in kubectl.get("nodes").get("items", ())
        if any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions", ()))
    ]
    found.controllers = _has_controllers(kubectl)
    return found


def _shared(stack: contextlib.ExitStack, say: Callable[[str], None]) -> tuple[Path, Path] | None:
    """(kubeconfig, programs); None where nodes cannot be had here, so that a control plane alone has to do."""
    environment = control.shared_environment()
    kubeconfig, assets = Path(environment["KUBECONFIG"]), Path(environment["KUBEBUILDER_ASSETS"])
    built = (assets / "kube-apiserver").exists()
    was_up = False
    if kubeconfig.exists() and built:
        asked = [str(assets / "kubectl"), "--kubeconfig", str(kubeconfig), "get", "--raw", "/readyz"]
        was_up = subprocess.run(asked, capture_output=True, check=False, timeout=30).returncode == 0
    if not was_up:
        say("bringing a cluster up" + ("" if built else "; Kubernetes is built first, once: some minutes"))
        stack.callback(control.shared, "down")
    try:
        control.shared("up", "--nodes", "1")
    except control.BrokenError as error:
        say(f"no node can be had here ({error}); going on with a control plane alone")
        return None
    return kubeconfig, assets


def _has_controllers(kubectl: Kubectl) -> bool:
    """Whether somebody gives a new namespace its service account."""
    name = f"sw-{uuid.uuid4().hex[:8]}"
    kubectl.must("create", "namespace", name)
    until = time.monotonic() + 10
    found = False
    while not found and time.monotonic() < until:
        found = bool(kubectl.at(name).get("serviceaccount", "default"))
    kubectl.must("delete", "namespace", name, "--wait=false")
    return found


@pytest.fixture(scope="session")
def crds(cluster: Cluster) -> Iterator[None]:
    """The operators' kinds; what was there before stays what it is."""
    kubectl = cluster.kubectl
    made = []
    for path in sorted((HERE / "crds").glob("*.yaml")):
        name = yaml.safe_load(path.read_text())["metadata"]["name"]
        if not kubectl.get("crd", name):
            kubectl.must("create", "-f", str(path))
            made.append(name)
    for name in made:
        kubectl.must("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
    for name in made:
        eventually(lambda name=name: kubectl("get", name).passed, f"{name} is served")
    yield
    for name in made:
        kubectl("delete", "crd", name, "--wait=false")


@pytest.fixture(scope="session")
def the_door(cluster: Cluster, crds: None) -> Iterator[Door]:
    door = Door(cluster.kubectl, cluster.folder)
    leftover = cluster.kubectl.get("validatingwebhookconfigurations", REGISTERED)
    if leftover:
        cluster.kubectl.must("delete", "validatingwebhookconfiguration", REGISTERED)  # of a run that was killed
    door.start()
    try:
        yield door
    finally:
        if door.process is not None:
            door.stop()


@pytest.fixture
def door(the_door: Door) -> Door:
    """The door, open: a test that has ended it is no reason for the next to fail."""
    if the_door.process is None or the_door.process.poll() is not None:
        the_door.process = None
        the_door.start()
    return the_door


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own. It is cleared away past the door, whatever it holds."""
    name = f"sw-{uuid.uuid4().hex[:8]}"
    past = cluster.kubectl.past
    past.must("create", "namespace", name)
    yield name
    past("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def kubectl(cluster: Cluster, door: Door, namespace: str) -> Kubectl:
    """kubectl as an administrator, in the test's namespace, with the door open."""
    return cluster.kubectl.at(namespace)
