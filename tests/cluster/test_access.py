"""Who may ask the policy API, said by a real API server: tokens of service accounts, rights by plain RBAC."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cluster_kit import Cluster as Known
from cluster_kit import Item, Kubectl, eventually

from stateward.kube.client import Cluster
from stateward.kube.reviews import Reviews
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import build
from stateward.webhook.auth import KEPT_NO, Guard
from stateward.webhook.certificates import Certificates
from stateward.webhook.server import Server, listen

Ask = Callable[..., httpx.Response]


class Clock:
    """So that no test waits for what is kept."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def past(cluster: Known, namespace: str) -> Kubectl:
    """An administrator, in the test's namespace."""
    return cluster.kubectl.past.at(namespace)


@pytest.fixture
def door(cluster: Known, tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Ask]:
    """`door(path, token)`: asks a door that knows its callers by this API server alone."""
    api = Cluster.from_kubeconfig(cluster.kubeconfig)
    guard = Guard(Reviews(api), local=False, clock=clock)
    app = build(EMPTY_VIEW, DEFAULT, guard=guard)
    with Certificates(tmp_path_factory.mktemp("certs"), ["127.0.0.1"]) as certificates:
        trust = ssl.create_default_context(cadata=certificates.bundle.decode())
        with Server(app, listen("127.0.0.1", 0), context=certificates.hot.context) as server:
            base = f"https://127.0.0.1:{server.port}"

            def ask(path: str, token: str = "", header: str = "Authorization") -> httpx.Response:
                headers = {header: f"Bearer {token}"} if token else {}
                with httpx.Client(base_url=base, verify=trust, trust_env=False, timeout=30) as client:
                    return client.get(path, headers=headers)

            yield ask
    guard.close()
    api.close()


@pytest.fixture
def reader(past: Kubectl) -> Iterator[Callable[[str], str]]:
    """`reader(name)`: the token of a new service account that may read the API, and nothing else."""
    role = f"{past.namespace}-reader"
    past.must("create", "clusterrole", role, "--verb=get", "--non-resource-url=/v1/*")

    def make(name: str) -> str:
        past.must("create", "serviceaccount", name)
        past.must("create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount={past.namespace}:{name}")
        return past.must("create", "token", name, "--duration=10m").out.strip()

    yield make
    past("delete", "clusterrolebinding", role)
    past("delete", "clusterrole", role)


def test_a_service_account_with_the_right_reads(door: Ask, reader: Callable[[str], str], clock: Clock) -> None:
    token = reader("good")

    def granted() -> bool:
        clock.now += KEPT_NO + 1  # RBAC's own caches are behind for a moment
        return door("/v1/status", token).status_code == 200

    eventually(granted, "the right that was granted counts")
    assert door("/v1/decisions", token, "X-Stateward-Authorization").status_code == 200
    assert door("/metrics", token).status_code == 403
    assert door("/v1/rules").status_code == 401


def test_a_service_account_without_it_is_told_what_to_grant(door: Ask, past: Kubectl) -> None:
    past.must("create", "serviceaccount", "poor")
    answer = door("/v1/status", past.must("create", "token", "poor").out.strip())
    assert answer.status_code == 403
    who = f"system:serviceaccount:{past.namespace}:poor"
    told = f'{who} may not get /v1/status; grant it by a ClusterRole with nonResourceURLs: ["/v1/status"], verbs: [get]'
    assert answer.json() == {"error": told}


def test_a_token_for_somebody_else_and_one_that_is_made_up_are_nobodys(door: Ask, past: Kubectl) -> None:
    past.must("create", "serviceaccount", "other")
    other = past.must("create", "token", "other", "--audience=vault").out.strip()
    assert door("/v1/status", other).status_code == 401
    assert door("/v1/status", "made-up").status_code == 401


def test_a_token_that_is_taken_back_is_worth_nothing_once_it_is_asked_again(
    door: Ask, past: Kubectl, reader: Callable[[str], str], clock: Clock
) -> None:
    token = reader("gone")

    def status() -> int:
        clock.now += 100.0
        return door("/v1/status", token).status_code

    eventually(lambda: status() == 200, "the right that was granted counts")
    past.must("delete", "serviceaccount", "gone")
    eventually(lambda: status() == 401, "the token of an account that is gone is nobody's")


def test_an_audience_is_asked_for_where_one_is_wanted(cluster: Known, past: Kubectl) -> None:
    past.must("create", "serviceaccount", "special")
    token = past.must("create", "token", "special", "--audience=stateward").out.strip()
    api = Cluster.from_kubeconfig(cluster.kubeconfig)
    try:
        account = Reviews(api, ["stateward"]).account(token)
        assert account is not None
        assert account.name == f"system:serviceaccount:{past.namespace}:special"
        assert Reviews(api).account(token) is None
    finally:
        api.close()


@pytest.fixture
def address() -> str:
    """An address of this machine that an API server proxies to: not the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: this only chooses a route
        except OSError:
            pytest.skip("this machine has no address but the loopback")
        found: str = probe.getsockname()[0]
    return found


def test_every_replica_is_asked_through_the_api_servers_proxy(
    cluster: Known, past: Kubectl, address: str, tmp_path: Path, clock: Clock
) -> None:
    """A pod that is no more than an address: the door on this machine."""
    api = Cluster.from_kubeconfig(cluster.kubeconfig)
    guard = Guard(Reviews(api), local=False, clock=clock)
    app = build(EMPTY_VIEW, DEFAULT, guard=guard)
    role = f"{past.namespace}-reader"
    past.must("create", "clusterrole", role, "--verb=get", "--non-resource-url=/v1/*")
    past.must("create", "serviceaccount", "stateward-reader")
    past.must(
        "create", "clusterrolebinding", role, f"--clusterrole={role}", f"--serviceaccount={past.namespace}:stateward-reader"
    )
    try:
        with (
            Certificates(tmp_path, [address]) as certificates,
            Server(app, listen(address, 0), context=certificates.hot.context) as server,
        ):
            past.must("create", "-f", "-", stdin=_pod(server.port))
            status = {"status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running", "conditions": _READY}}
            past.must("patch", "pod", "door", "--subresource=status", "--type=merge", "-p", json.dumps(status))

            def told() -> subprocess.CompletedProcess[str] | None:
                clock.now += 100.0
                arguments = ["--kubeconfig", str(cluster.kubeconfig), "--installed-in", past.namespace]
                done = _stateward("status", "-f", "json", *arguments)
                return done if done.returncode == 0 else None

            done = eventually(told, "the door answers through the API server", 30)
            [replica] = json.loads(done.stdout)["replicas"]
            assert (replica["name"], replica["ready"], replica["mode"]) == ("door", True, "deny")
            why = _stateward("why", "prod/db", "--kubeconfig", str(cluster.kubeconfig), "--installed-in", past.namespace)
            assert "prod/db: nothing was refused, warned of or waived since " in why.stdout, why.stderr
            assert guard.counts[("allowed",)] >= 2
    finally:
        guard.close()
        api.close()
        past("delete", "clusterrolebinding", role)
        past("delete", "clusterrole", role)


_READY = [{"type": "Ready", "status": "True"}]


def _pod(port: int) -> Item:
    container = {"name": "stateward", "image": "stateward", "ports": [{"name": "https", "containerPort": port}]}
    labels = {"app.kubernetes.io/name": "stateward", "app.kubernetes.io/component": "door"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "door", "labels": labels},
        "spec": {"schedulerName": "nobody", "containers": [container]},
    }


def _stateward(*arguments: str) -> subprocess.CompletedProcess[str]:
    beside = Path(sys.executable).parent / "stateward"
    program = [str(beside)] if beside.exists() else [sys.executable, "-m", "stateward.cli.main"]
    return subprocess.run([*program, *arguments], capture_output=True, text=True, check=False, timeout=60)
