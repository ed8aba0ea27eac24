"""The API server dies and comes back, and the way to it breaks: the door judges on, and catches up by itself."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import control_plane as control
import pytest
from cluster_kit import Cluster, Door, Item, Kubectl, eventually, own_plane, stateful_set, with_image

ORDERS = stateful_set("orders", "postgres:16.4")
OLDER = with_image(ORDERS, "postgres:15.3")
DRY = "--dry-run=server"


class Way:
    """A way to a port of this machine that can be broken: a TCP relay."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._broken = threading.Event()
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """What is under way ends in the middle."""
        with self._lock:
            ending, self._open = self._open, []
        for one in ending:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def broken(self, yes: bool) -> None:
        """Nothing gets through, and whoever tries is told so."""
        (self._broken.set if yes else self._broken.clear)()
        if yes:
            self.cut()

    def close(self) -> None:
        self._broken.set()
        self._listening.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listening.accept()
            except OSError:
                return
            if self._broken.is_set():
                one.close()
                continue
            try:
                other = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                one.close()
                continue
            with self._lock:
                self._open += [one, other]
            for source, sink in ((one, other), (other, one)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    @staticmethod
    def _relay(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def own() -> Iterator[tuple[control.ControlPlane, Cluster]]:
    """A control plane of its own, for it dies."""
    with own_plane() as made:
        yield made


@pytest.fixture
def plane(own: tuple[control.ControlPlane, Cluster]) -> control.ControlPlane:
    return own[0]


@pytest.fixture
def way(plane: control.ControlPlane) -> Iterator[Way]:
    made = Way(plane.port)
    yield made
    made.close()


@pytest.fixture
def kubectl(own: tuple[control.ControlPlane, Cluster]) -> Kubectl:
    """As the administrator, by the straight way."""
    straight = own[1].kubectl.at(f"sw-{uuid.uuid4().hex[:8]}")
    straight.must("create", "namespace", straight.namespace)
    return straight


@pytest.fixture
def door(plane: control.ControlPlane, way: Way, kubectl: Kubectl, tmp_path: Path) -> Iterator[Door]:
    """A door that reaches the API server by the way that breaks."""
    config = json.loads(plane.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{way.port}"
    own = tmp_path / "kubeconfig"
    own.write_text(json.dumps(config))
    opened = Door(Kubectl(kubectl.program, own, kubectl.cache), tmp_path)
    opened.start("--fail-policy", "Fail")
    yield opened
    way.broken(False)
    if opened.process is not None:
        opened.stop(signal.SIGTERM)
    kubectl("delete", "validatingwebhookconfigurations", "--all")


def claim_of(item: Item) -> Item:
    """What the controllers would make for its first member; none run here."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": f"data-{item['metadata']['name']}-0", "labels": {"app": item["metadata"]["name"]}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }


def test_a_door_judges_again_once_a_killed_api_server_is_back(
    plane: control.ControlPlane, door: Door, kubectl: Kubectl
) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    assert kubectl("apply", "-f", "-", DRY, stdin=OLDER).refused

    plane.kill("kube-apiserver")
    plane.again("kube-apiserver")

    # failurePolicy Fail: an API server that cannot reach the door would refuse too, but in other words.
    done = eventually(lambda: (d := kubectl("apply", "-f", "-", DRY, stdin=OLDER)).refused and d, "it is refused again")
    assert done.rules == ["SW301"]
    # What came after the restart is seen: the watch goes on.
    kubectl.must("create", "-f", "-", stdin=claim_of(ORDERS))
    kubectl.refused("delete", "statefulset", "orders", DRY)
    assert door.process is not None
    assert door.process.poll() is None


def test_a_door_that_is_cut_off_judges_on_and_catches_up(way: Way, door: Door, kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)

    way.broken(True)
    blind = kubectl("apply", "-f", "-", DRY, stdin=OLDER)
    kubectl.must("create", "-f", "-", stdin=claim_of(ORDERS))
    way.broken(False)

    assert blind.refused, str(blind)
    kubectl.refused("delete", "statefulset", "orders", DRY, seconds=60)


def test_watches_that_are_cut_again_and_again_lose_nothing(way: Way, door: Door, kubectl: Kubectl) -> None:
    ended = threading.Event()

    def cutting() -> None:
        while not ended.wait(0.3):
            way.cut()

    thread = threading.Thread(target=cutting)
    thread.start()
    try:
        names = [f"orders-{number}" for number in range(8)]
        for name in names:
            item = stateful_set(name, "postgres:16.4")
            kubectl.must("create", "-f", "-", stdin=item)
            kubectl.must("create", "-f", "-", stdin=claim_of(item))
    finally:
        ended.set()
        thread.join()

    for name in names:
        kubectl.refused("delete", "statefulset", name, DRY, seconds=60)
