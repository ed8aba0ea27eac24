"""What breaks under a service on real nodes: its volumes run full, and one of its nodes dies."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import pytest
from cluster_kit import eventually
from etcd_kit import Writer, ask, text
from filling import BEGINNING, fill
from operated import KIND, Operated, dead, given, operated

NAME = "orders"
ROLES = frozenset({"leader", "follower"})
SMALL, LARGE = "192Mi", "1Gi"
VALUE = 700_000
Say = Callable[[str], None]


@pytest.fixture(scope="module")
def service() -> Iterator[Operated]:
    """Volumes that etcd fills before it reaches its own limit."""
    with operated(
        "etcd",
        "etcd:3.5",
        NAME,
        ROLES,
        namespace="repair-e2e",
        storage={"size": SMALL},
        parameters={"quota-backend-bytes": 4 << 30},
    ) as one:
        one.settle(3)
        yield one


def uids(service: Operated, kind: str) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in service.kubectl.get(kind)["items"]}


def kept(host: str, number: int) -> str:
    rows = ask(host, "/v3/kv/range", {"key": text(f"fill/{number}")}, 30).get("kvs", [])
    return str(rows[0]["value"])[:BEGINNING] if rows else ""


def test_full_volumes_are_grown_around_the_pods_and_nothing_is_lost(service: Operated, say: Say) -> None:
    host, pods = service.address(), uids(service, "pods")
    written = fill(
        lambda number, value: ask(host, "/v3/kv/put", {"key": text(f"fill/{number}"), "value": value}, 10),
        VALUE,
        OSError,
        ValueError,
    )
    eventually(lambda: service.condition("Ready").get("status") != "True", "nothing is served any more", 60)
    began = time.monotonic()
    service.change(storage={"size": LARGE})
    eventually(lambda: service.capacities() == {LARGE}, "all volumes are larger", 120)
    say(f"etcd: three full volumes of {SMALL} grown to {LARGE} in {time.monotonic() - began:.1f} s")
    service.settle(3, 300)
    say(f"etcd: all three serve again {time.monotonic() - began:.0f} s after growth was asked for")
    assert uids(service, "pods") == pods
    template = service.kubectl.get("statefulset", NAME)["spec"]["volumeClaimTemplates"][0]
    assert template["spec"]["resources"]["requests"]["storage"] == LARGE
    lost = [number for number, value in written.items() if kept(host, number) != value]
    say(f"etcd: {len(written)} acknowledged writes filled the volumes: {len(lost)} lost")
    assert lost == []
    with Writer(host) as writer:
        writer.more()
    assert writer.lost() == []


@contextlib.contextmanager
def untainted(service: Operated, node: str) -> Iterator[None]:
    try:
        yield
    finally:
        service.kubectl("taint", "nodes", node, "node.kubernetes.io/out-of-service-")


def test_a_member_of_a_dead_node_is_made_anew_once_that_is_said_and_not_before(service: Operated, say: Say) -> None:
    if given():
        pytest.skip("a node is killed here: the cluster has to be the test's own")
    service.settle(3)
    members = service.status()["members"]
    member = next(one for one in members if one["role"] != "leader")
    name, node = member["name"], member["node"]
    claims = uids(service, "persistentvolumeclaims")
    with Writer(service.address()) as writer:
        writer.more()
        died = time.monotonic()
        with dead(node), untainted(service, node):
            eventually(lambda: service.condition("Blocked").get("reason") == "NodeAway", "it says what it waits for", 180)
            say(f"etcd: {node} died; {time.monotonic() - died:.0f} s later the condition Blocked says so")
            command = f"kubectl taint nodes {node} node.kubernetes.io/out-of-service=nodeshutdown:NoExecute"
            assert command in service.condition("Blocked")["message"]
            time.sleep(20)
            assert uids(service, "persistentvolumeclaims") == claims

            began = time.monotonic()
            service.kubectl.must(*command.split()[1:])
            eventually(
                lambda: uids(service, "persistentvolumeclaims").get(f"data-{name}") != claims[f"data-{name}"], "", 120
            )
            service.settle(3, 300)
            say(f"etcd: {name} serves from a new volume {time.monotonic() - began:.0f} s after its node was said to be gone")
            now = {one["name"]: one for one in service.status()["members"]}
            assert now[name]["node"] != node
            writer.more()
    lost = writer.lost()
    say(f"etcd: a node was lost under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost; {writer.pace}")
    assert lost == []
    eventually(lambda: service.condition("Degraded").get("status") == "False", "all is well", 120)


def test_the_service_goes_with_its_volumes(service: Operated) -> None:
    service.delete()
    assert service.kubectl.names(KIND) == []
