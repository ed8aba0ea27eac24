"""What breaks under a service on real nodes: its volumes run full, and one of its nodes dies."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator

import control_plane as control
import pytest
from cluster_kit import eventually
from etcd_kit import Writer, ask, text
from operated import KIND, Operated, given, operated

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


def capacities(service: Operated) -> set[str]:
    return {one["status"]["capacity"]["storage"] for one in service.kubectl.get("persistentvolumeclaims")["items"]}


def fill(host: str) -> dict[str, str]:
    """Writes large values until none is taken any more; those that were acknowledged."""
    found: dict[str, str] = {}
    failures = 0
    until = time.monotonic() + 240
    while failures < 20:
        assert time.monotonic() < until, "the volumes do not fill"
        key, value = f"fill/{len(found):06}", base64.b64encode(os.urandom(VALUE)).decode()
        try:
            ask(host, "/v3/kv/put", {"key": text(key), "value": value}, 10)
        except (OSError, ValueError):
            failures += 1
            time.sleep(0.5)
            continue
        failures, found[key] = 0, value[:40]
    return found


def kept(host: str, key: str) -> str:
    rows = ask(host, "/v3/kv/range", {"key": text(key)}, 30).get("kvs", [])
    return str(rows[0]["value"])[:40] if rows else ""


def test_full_volumes_are_grown_around_the_pods_and_nothing_is_lost(service: Operated, say: Say) -> None:
    host, pods = service.address(), uids(service, "pods")
    written = fill(host)
    eventually(lambda: service.condition("Ready").get("status") != "True", "nothing is served any more", 60)
    began = time.monotonic()
    service.change(storage={"size": LARGE})
    eventually(lambda: capacities(service) == {LARGE}, "all volumes are larger", 120)
    say(f"etcd: three full volumes of {SMALL} grown to {LARGE} in {time.monotonic() - began:.1f} s")
    service.settle(3, 300)
    say(f"etcd: all three serve again {time.monotonic() - began:.0f} s after growth was asked for")
    assert uids(service, "pods") == pods
    template = service.kubectl.get("statefulset", NAME)["spec"]["volumeClaimTemplates"][0]
    assert template["spec"]["resources"]["requests"]["storage"] == LARGE
    lost = [key for key, value in written.items() if kept(host, key) != value]
    say(f"etcd: {len(written)} acknowledged writes filled the volumes: {len(lost)} lost")
    assert lost == []
    with Writer(host) as writer:
        eventually(lambda: len(writer.acknowledged) > 300, "writes go on")
    assert writer.lost() == []


def test_a_member_of_a_dead_node_is_made_anew_once_that_is_said_and_not_before(service: Operated, say: Say) -> None:
    if given():
        pytest.skip("a node is killed here: the cluster has to be the test's own")
    service.settle(3)
    members = service.status()["members"]
    member = next(one for one in members if one["role"] != "leader")
    name, node = member["name"], member["node"]
    claims = uids(service, "persistentvolumeclaims")
    number = node.rpartition("-")[2]
    with Writer(service.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > 300, "writes are acknowledged")
        control.shared("stop-node", number)
        died = time.monotonic()
        try:
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
            after = len(writer.acknowledged)
            eventually(lambda: len(writer.acknowledged) > after + 300, "writes go on")
        finally:
            service.kubectl("taint", "nodes", node, "node.kubernetes.io/out-of-service-")
            control.shared("start-node", number)
    lost = writer.lost()
    say(f"etcd: a node was lost under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost; {writer.pace}")
    assert lost == []
    eventually(lambda: service.condition("Degraded").get("status") == "False", "all is well", 120)


def test_the_service_goes_with_its_volumes(service: Operated) -> None:
    service.delete()
    assert service.kubectl.names(KIND) == []
