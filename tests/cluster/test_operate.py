"""The operator before a real API server; kubelet and etcd are stood in for."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import control_plane as control
import pytest
from cluster_kit import Cluster, Door, Kubectl, eventually, own_plane
from standin_etcd import StandIn

from stateward.kube.client import Cluster as Client
from stateward.kube.events import Happening
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


def test_a_service_is_made_scaled_and_deleted_and_says_how_it_stands(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl, deletionPolicy={"claims": "Delete"})
    settle(kubectl, 3)
    now = status(kubectl)
    assert now["observedGeneration"] == 1
    assert [one["role"] for one in now["members"]] == ["leader", "follower", "follower"]
    assert now["primary"] == "db-0"
    assert now["runningVersion"] == "3.5.16"
    assert any("is founded" in one["message"] for one in now["decisions"])
    for members in (5, 3, 5):
        scale(kubectl, members)
        settle(kubectl, members)
        assert standin.engine.voters() == [f"db-{number}" for number in range(members)]
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)
    kinds = "statefulsets,pods,persistentvolumeclaims"
    assert kubectl.names(kinds, "-l", "stateward.dev/service=db") == []


def test_the_operator_passes_the_door_as_anybody_would(
    door: Door, kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl, deletionPolicy={"claims": "Delete"})
    for members in (3, 5, 3):
        scale(kubectl, members)
        settle(kubectl, members)
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)
    assert kubectl.names("statefulsets,pods,persistentvolumeclaims", "-l", "stateward.dev/service=db") == []


def test_claims_stay_with_a_deleted_service_and_a_new_one_takes_them_on(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    claims = {one["metadata"]["uid"] for one in kubectl.get("persistentvolumeclaims")["items"]}
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--timeout=60s", seconds=90)
    assert {one["metadata"]["uid"] for one in kubectl.get("persistentvolumeclaims")["items"]} == claims
    identities = dict(standin.engine.data)
    standin.engine.deleting = False
    create(kubectl)
    settle(kubectl, 3)
    assert standin.engine.data == identities


def test_what_somebody_writes_over_is_set_back_and_an_event_names_who(
    kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    kubectl.must("patch", "poddisruptionbudget", NAME, "--type=merge", "-p", '{"spec":{"maxUnavailable":3}}')
    eventually(lambda: kubectl.get("poddisruptionbudget", NAME)["spec"]["maxUnavailable"] == 1, "it is set back")
    kubectl.must("delete", "service", NAME)
    eventually(lambda: kubectl.get("service", NAME), "it is made again")
    kubectl.must("scale", "statefulset", NAME, "--replicas=2")
    eventually(lambda: kubectl.get("statefulset", NAME)["spec"]["replicas"] == 3, "replicas are set back")
    said = eventually(lambda: [one for one in events(kubectl, "Reverted") if "PodDisruptionBudget" in one], "an event")
    assert "kubectl-patch" in said[0]
    assert "stateward.dev/paused=true" in said[0]


def events(kubectl: Kubectl, reason: str) -> list[str]:
    return [one["message"] for one in kubectl.get("events")["items"] if one["reason"] == reason]


def test_a_paused_service_is_let_be_until_it_is_not(kubectl: Kubectl, operator: object, standin: StandIn) -> None:
    create(kubectl)
    settle(kubectl, 3)
    annotate(kubectl, "stateward.dev/paused=true")
    eventually(lambda: condition(kubectl, "Progressing").get("reason") == "Paused", "it says so")
    kubectl.must("delete", "poddisruptionbudget", NAME)
    scale(kubectl, 5)
    eventually(lambda: condition(kubectl, "Ready").get("observedGeneration") == 2, "it has seen that")
    assert kubectl.get("poddisruptionbudget", NAME) == {}
    assert kubectl.get("statefulset", NAME)["spec"]["replicas"] == 3
    annotate(kubectl, "stateward.dev/paused-")
    settle(kubectl, 5)
    assert kubectl.get("poddisruptionbudget", NAME)


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(kubectl: Kubectl, operator: object) -> None:
    item = wanted()
    item["metadata"]["annotations"] = {"stateward.dev/dry-run": "true"}
    kubectl.must("apply", "-f", "-", stdin=item)
    (said,) = eventually(lambda: [one["message"] for one in status(kubectl).get("decisions", ())], "it decides")
    assert said.startswith("would be created: ServiceAccount db, ConfigMap db-config")
    assert kubectl.names("statefulsets,configmaps", "-l", "stateward.dev/service=db") == []
    assert "finalizers" not in kubectl.get(KIND, NAME)["metadata"]


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"tls": {"enabled": True, "authority": "nobodys"}}, "AuthorityUnusable", "Secret nobodys: there is none"),
        ({"engine": "oracle"}, "UnknownEngine", "known are etcd"),
        ({"version": "3.3.1"}, "UnsupportedSpec", "3.4 is the oldest"),
        ({"parameters": {"force-new-cluster": "true"}}, "UnsupportedSpec", "parameters.force-new-cluster"),
    ],
)
def test_what_cannot_be_carried_out_is_said_and_nothing_is_made(
    kubectl: Kubectl, operator: object, spec: dict[str, Any], reason: str, said: str
) -> None:
    create(kubectl, **spec)
    blocked = eventually(lambda: one if (one := condition(kubectl, "Blocked")).get("status") == "True" else None, "it is")
    assert blocked["reason"] == reason
    assert said in blocked["message"]
    assert kubectl.names("statefulsets,configmaps", "-l", "stateward.dev/service=db") == []
    eventually(lambda: [one for one in events(kubectl, reason) if said in one], "an event")


def test_an_object_of_somebody_else_is_not_touched(kubectl: Kubectl, operator: object) -> None:
    kubectl.must("create", "serviceaccount", NAME)
    before = kubectl.get("serviceaccount", NAME)["metadata"]["resourceVersion"]
    create(kubectl)
    blocked = eventually(lambda: one if (one := condition(kubectl, "Blocked")).get("status") == "True" else None, "it is")
    assert blocked["reason"] == "NotOurs"
    assert kubectl.get("serviceaccount", NAME)["metadata"]["resourceVersion"] == before
    assert kubectl.get("statefulset", NAME) == {}


# --- crashes -------------------------------------------------------------------------------------------------------


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


def life(kubeconfig: Path, key: tuple[str, str], over: Callable[[], bool], seconds: float) -> bool:
    """One process from its start until it dies of its first write or command; False where there was nothing left to do."""
    mortal = Mortal.from_kubeconfig(kubeconfig)
    with contextlib.closing(Client.from_kubeconfig(kubeconfig)) as reading, contextlib.closing(mortal):
        woken = threading.Event()
        look = Informers(reading, lambda _: woken.set()).start()
        try:
            eventually(lambda: not look.unsynced(), "everything is known")
            reconcile = Reconcile(mortal, look, Metrics(), ignore, find=mortal_driver)
            until = time.monotonic() + seconds
            while not over():
                assert time.monotonic() < until, "it neither goes on nor ends"
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


def lives(kubeconfig: Path, key: tuple[str, str], over: Callable[[], bool]) -> int:
    """Process after process, each dead after one write, until nothing is left to do; how many died."""
    died = 0
    while life(kubeconfig, key, over, 60):
        died += 1
        assert died < 100, "it makes no headway"
    return died


def test_a_process_that_dies_after_each_single_write_and_command_comes_to_the_same_end(
    served: Cluster, kubectl: Kubectl, standin: StandIn
) -> None:
    key = (kubectl.namespace, NAME)
    create(kubectl, deletionPolicy={"claims": "Delete"})
    deaths = [lives(served.kubeconfig, key, lambda: settled(kubectl, 3))]
    for members in (5, 3):
        scale(kubectl, members)
        deaths.append(lives(served.kubeconfig, key, lambda members=members: settled(kubectl, members)))  # type: ignore[misc]
        assert standin.engine.voters() == [f"db-{number}" for number in range(members)]
        assert standin.engine.wrongs == []
    standin.engine.deleting = True
    kubectl.must("delete", KIND, NAME, "--wait=false")
    deaths.append(lives(served.kubeconfig, key, lambda: kubectl.get(KIND, NAME) == {}))
    assert kubectl.names("statefulsets,pods,persistentvolumeclaims", "-l", "stateward.dev/service=db") == []
    # Otherwise nothing was tried: each of these takes more than a write or two.
    assert all(one >= least for one, least in zip(deaths, (9, 9, 8, 3), strict=True)), deaths
    assert commands(standin) == ["add", "promote"] * 2 + ["remove"] * 2, standin.engine.told


def commands(standin: StandIn) -> Sequence[str]:
    """What the engine was told, each once."""
    return [text.partition(" ")[0] for text in standin.engine.told]
