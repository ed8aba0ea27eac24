"""What tests of the operator before a real API server share; kubelet and etcd are stood in for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import control_plane as control
import pytest
from cluster_kit import Cluster, Door, Kubectl, eventually, own_plane
from standin_etcd import StandIn

from stateward.kube.client import Cluster as Client
from stateward.kube.events import Happening
from stateward.operator import service
from stateward.operator.drivers import catalogue, folder
from stateward.operator.drivers.protocol import Driver, Result
from stateward.operator.informer import Informers
from stateward.operator.metrics import Metrics
from stateward.operator.reconcile import Reconcile

CRD = control.ROOT / "manifests" / "crds" / "statefulservices.yaml"
KIND = "statefulservices.stateward.dev"
NAME = "db"
UNSCHEDULABLE = {"nodeSelector": {"stateward.test/nowhere": "true"}}
"""Where there are nodes, their kubelets must not run what is stood in for."""


def wanted(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "stateward.dev/v1beta1",
        "kind": "StatefulService",
        "metadata": {"name": NAME},
        "spec": {
            "engine": "etcd",
            "version": "3.5.16",
            "members": 3,
            "storage": {"size": "1Gi"},
            "tls": {"enabled": False},
            "placement": UNSCHEDULABLE,
            **spec,
        },
    }


@pytest.fixture(scope="module")
def served() -> Iterator[Cluster]:
    """An API server of its own, with the kind: no scheduler and no kubelet must have a hand in what is stood in for."""
    with own_plane(controllers=True) as (_, cluster):
        cluster.needs_controllers()
        cluster.kubectl.past.must("apply", "--server-side", "-f", str(CRD))
        eventually(lambda: cluster.kubectl.past("get", KIND, "-A").passed, "the kind is served")
        yield cluster


@pytest.fixture
def door(served: Cluster, tmp_path: Path) -> Iterator[Door]:
    """A door before this API server."""
    opened = Door(served.kubectl, tmp_path)
    opened.start()
    yield opened
    if opened.process is not None:
        opened.stop()


@pytest.fixture
def kubectl(served: Cluster) -> Iterator[Kubectl]:
    """An administrator in a namespace of the test's own."""
    name = f"sw-{uuid.uuid4().hex[:8]}"
    past = served.kubectl.past
    past.must("create", "namespace", name)
    yield past.at(name)
    past.at(name)("patch", KIND, NAME, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    past("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def client(served: Cluster) -> Iterator[Client]:
    one = Client.from_kubeconfig(served.kubeconfig)
    yield one
    one.close()


@pytest.fixture
def standin(client: Client, kubectl: Kubectl) -> Iterator[StandIn]:
    with StandIn(client, kubectl.namespace, NAME) as one:
        yield one
    assert one.engine.wrongs == []


@pytest.fixture
def operator(served: Cluster, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`stateward operate`, as a user runs it."""
    log = tmp_path / "operator.log"
    environment = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "POD_NAMESPACE")}
    program = str(Path(sys.executable).parent / "stateward")
    arguments = [program, "operate", "--kubeconfig", str(served.kubeconfig), "--port", "0"]
    with log.open("wb") as written:
        process = subprocess.Popen(arguments, stdout=written, stderr=subprocess.STDOUT, env=environment)
        yield process
        process.terminate()
        code = process.wait(30)
    said = log.read_text()
    assert code == 0, said
    assert "Traceback" not in said
    assert "a fault" not in said


def status(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = kubectl.get(KIND, NAME).get("status", {})
    return found


def condition(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    return next((one for one in status(kubectl).get("conditions", ()) if one["type"] == kind), {})


def settled(kubectl: Kubectl, members: int) -> bool:
    now = status(kubectl)
    return (
        now.get("readyMembers") == now.get("currentMembers") == members
        and condition(kubectl, "Ready").get("reason") == "AllMembersServe"
        and "operation" not in now
    )


def settle(kubectl: Kubectl, members: int, seconds: float = 60) -> None:
    eventually(lambda: settled(kubectl, members), f"{members} members serve", seconds)


def create(kubectl: Kubectl, **spec: Any) -> None:
    kubectl.must("apply", "-f", "-", stdin=wanted(**spec))


def scale(kubectl: Kubectl, members: int) -> None:
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", f'{{"spec":{{"members":{members}}}}}')


def annotate(kubectl: Kubectl, text: str) -> None:
    kubectl.must("annotate", KIND, NAME, text, "--overwrite")


def events(kubectl: Kubectl, reason: str) -> list[str]:
    return [one["message"] for one in kubectl.get("events")["items"] if one["reason"] == reason]


# --- crashes ---


class CrashError(BaseException):
    """The process ends here."""


class Mortal(Client):
    """An API server's client whose process dies right after its first write, before it has heard that it was done."""

    def open(self, method: str, *arguments: Any, **more: Any) -> Any:
        answer = super().open(method, *arguments, **more)
        if method != "GET":
            answer.close()
            raise CrashError
        return answer


class MortalDriver(folder.FolderDriver):
    """A driver whose process dies right after it has given a command."""

    def _give(self, *arguments: Any) -> Result:
        super()._give(*arguments)
        raise CrashError


def life(
    kubeconfig: Path,
    key: tuple[str, str],
    over: Callable[[], bool],
    seconds: float,
    later: timedelta = timedelta(),
    find: Callable[[str], Driver | None] | None = None,
) -> bool:
    """One process from its start until it dies of its first write or command; False where there was nothing left to do.

    `later`: its clock is ahead by so much.
    """
    mortal = Mortal.from_kubeconfig(kubeconfig)
    with contextlib.closing(Client.from_kubeconfig(kubeconfig)) as reading, contextlib.closing(mortal):
        woken = threading.Event()
        look = Informers(reading, lambda _: woken.set()).start()
        try:
            eventually(lambda: not look.unsynced(), "everything is known")
            clock = {"now": lambda: datetime.now(UTC) + later}
            reconcile = Reconcile(mortal, look, Metrics(), ignore, find=find or mortal_driver, **clock)
            until = time.monotonic() + seconds
            while not over():
                assert time.monotonic() < until, (
                    f"it neither goes on nor ends: {(look.get(service.KIND, *key) or {}).get('status')}"
                )
                woken.clear()
                reconcile(key)
                woken.wait(0.3)
        except CrashError:
            return True
        finally:
            look.stop()
    return False


def ignore(_: Happening) -> None:
    """Events are not what is looked at here."""


def mortal_driver(name: str) -> Driver | None:
    import yaml

    from stateward.operator.drivers.schema import Engine

    return MortalDriver(Engine.model_validate(yaml.safe_load((catalogue.FOLDER / name / "engine.yaml").read_text())))


def lives(
    kubeconfig: Path,
    key: tuple[str, str],
    over: Callable[[], bool],
    later: timedelta = timedelta(),
    find: Callable[[str], Driver | None] | None = None,
) -> int:
    """Process after process, each dead after one write, until nothing is left to do; how many died.

    `find`: the drivers, where others than those that die after each command are wanted.
    """
    died = 0
    while life(kubeconfig, key, over, 60, later, find):
        died += 1
        assert died < 100, "it makes no headway"
    return died


def commands(standin: StandIn) -> Sequence[str]:
    """What the engine was told, each once."""
    return [text.partition(" ")[0] for text in standin.engine.told]
