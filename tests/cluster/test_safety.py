"""The door is no danger to the cluster: it comes, goes and dies, and the cluster goes on."""

from __future__ import annotations

import base64
import contextlib
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_kit import REGISTERED, Door, Kubectl, eventually, stateful_set, with_image
from control_plane import BREAK_GLASS

ORDERS = stateful_set("orders", "postgres:16.4")
OLDER = with_image(ORDERS, "postgres:15.3")
DRY = "--dry-run=server"


def test_a_door_that_was_killed_lets_everything_pass_at_once(kubectl: Kubectl, door: Door) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    assert kubectl("apply", "-f", "-", DRY, stdin=OLDER).refused
    assert door.process is not None

    door.stop(signal.SIGKILL)
    started = time.monotonic()
    done = kubectl("apply", "-f", "-", stdin=OLDER)

    assert done.passed, str(done)
    assert time.monotonic() - started < 3
    # It could say nothing: the registration is still there.
    assert [one["metadata"]["name"] for one in door.configurations()] == [REGISTERED]


def test_a_door_that_comes_back_replaces_its_registration(kubectl: Kubectl, door: Door) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    [before] = door.configurations()

    door.stop(signal.SIGKILL)
    door.start()

    [after] = door.configurations()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert len(after["webhooks"]) == 1
    assert after["webhooks"][0]["clientConfig"]["url"] != before["webhooks"][0]["clientConfig"]["url"]
    assert kubectl("apply", "-f", "-", DRY, stdin=OLDER).refused


def test_a_door_that_is_asked_to_end_takes_its_registration_along(kubectl: Kubectl, door: Door) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    assert len(door.configurations()) == 1

    code = door.stop(signal.SIGTERM)

    assert code == 0, door.log()[-2000:]
    assert door.configurations() == []
    done = kubectl("apply", "-f", "-", stdin=OLDER)
    assert done.passed, str(done)


def test_no_edit_fails_while_the_door_ends(kubectl: Kubectl, door: Door) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    assert door.process is not None

    door.process.send_signal(signal.SIGTERM)
    answers = []
    while door.process.poll() is None:
        answers.append(kubectl("apply", "-f", "-", DRY, stdin=with_image(ORDERS, "postgres:16.6")))
    door.process = None

    assert answers
    assert [str(one) for one in answers if not one.passed] == []


def test_the_registration_asks_about_what_rules_judge_and_fails_open(door: Door) -> None:
    [found] = door.configurations()
    [hook] = found["webhooks"]

    assert hook["failurePolicy"] == "Ignore"
    assert hook["sideEffects"] == "None"
    assert hook["timeoutSeconds"] <= 10
    assert "objectSelector" not in hook or hook["objectSelector"] == {}
    asked = {(group, resource) for rule in hook["rules"] for group in rule["apiGroups"] for resource in rule["resources"]}
    assert {
        ("apps", "statefulsets"),
        ("apps", "statefulsets/scale"),
        ("", "persistentvolumeclaims"),
        ("", "pods/eviction"),
        ("", "namespaces"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("postgresql.cnpg.io", "clusters"),
        ("postgresql.cnpg.io", "clusters/scale"),
        ("kafka.strimzi.io", "kafkas"),
        ("kafka.strimzi.io", "kafkanodepools"),
        ("kafka.strimzi.io", "kafkanodepools/scale"),
    } <= asked
    assert not any(resource.startswith(("leases", "events", "endpointslices")) for _, resource in asked)
    assert "*" not in {part for rule in hook["rules"] for part in (*rule["apiGroups"], *rule["resources"])}


def test_the_break_glass_group_is_not_asked(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    assert kubectl("apply", "-f", "-", DRY, stdin=OLDER).refused

    done = kubectl.as_user("anna", BREAK_GLASS, "system:masters")("apply", "-f", "-", stdin=OLDER)

    assert done.passed, str(done)


def test_another_group_opens_nothing(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=ORDERS)

    done = kubectl.as_user("anna", "system:masters", "cluster-admins")("apply", "-f", "-", stdin=OLDER)

    assert done.refused, str(done)


def test_the_door_sees_kinds_that_come_later(kubectl: Kubectl, door: Door) -> None:
    """A CRD that is installed while the door runs is watched without a restart."""
    group = f"{kubectl.namespace}.stateward.test"
    name = f"vaults.{group}"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {
            "group": group,
            "names": {"kind": "Vault", "plural": "vaults"},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    kubectl.must("create", "-f", "-", stdin=crd)
    try:
        vault = {
            "apiVersion": f"{group}/v1",
            "kind": "Vault",
            "metadata": {"name": "main"},
            "spec": {"storage": {"size": "1Gi"}},
        }
        eventually(lambda: kubectl("create", "-f", "-", stdin=vault).passed, "the kind is served")
        done = kubectl.refused("delete", "crd", name, DRY)
        assert "Vault" in done.err
    finally:
        kubectl.past("delete", "crd", name, "--wait=false", "--ignore-not-found")


def test_a_kind_without_an_adapter_is_judged_by_its_shape_as_soon_as_it_comes(kubectl: Kubectl) -> None:
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "depots.stateward.test"},
        "spec": {
            "group": "stateward.test",
            "names": {"kind": "Depot", "plural": "depots", "singular": "depot"},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {
                                        "storage": {
                                            "type": "object",
                                            "properties": {"size": {"type": "string"}, "storageClass": {"type": "string"}},
                                        }
                                    },
                                }
                            },
                        }
                    },
                }
            ],
        },
    }
    depot = {
        "apiVersion": "stateward.test/v1",
        "kind": "Depot",
        "metadata": {"name": "one"},
        "spec": {"storage": {"size": "10Gi", "storageClass": "slow"}},
    }
    kubectl.must("create", "-f", "-", stdin=crd)
    try:
        kubectl.must("wait", "--for=condition=Established", "crd/depots.stateward.test", "--timeout=30s")
        eventually(lambda: kubectl("create", "-f", "-", stdin=depot).passed, "a depot is created")

        done = kubectl.refused(
            "patch",
            "depot",
            "one",
            "--type=merge",
            "-p",
            '{"spec": {"storage": {"storageClass": "fast"}}}',
            "--dry-run=server",
        )

        assert done.rules == ["SW101"], str(done)
    finally:
        kubectl.past("delete", "crd", "depots.stateward.test", "--wait=false")


def memory_of(process: int) -> Iterator[bytes]:
    """What a process holds, region by region. Linux; whoever started it may look."""
    with Path(f"/proc/{process}/maps").open() as maps, Path(f"/proc/{process}/mem").open("rb", 0) as memory:
        for line in maps:
            where, rights = line.split()[:2]
            start, end = (int(part, 16) for part in where.split("-"))
            if rights.startswith("rw"):
                with contextlib.suppress(OSError, ValueError, OverflowError):
                    memory.seek(start)
                    yield memory.read(end - start)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_no_value_of_a_secret_is_in_the_memory_of_the_door(kubectl: Kubectl, door: Door) -> None:
    value = f"canary-{uuid.uuid4().hex}-of-a-secret"
    kubectl.must("apply", "-f", "-", stdin=ORDERS)
    kubectl.must("create", "secret", "generic", "orders", f"--from-literal=password={value}")
    kubectl.must("create", "configmap", f"orders-{value[7:20]}")  # what is read comes after it
    kubectl.refused("apply", "-f", "-", DRY, stdin=OLDER)
    time.sleep(1)  # the watch of ConfigMaps is another one
    assert door.process is not None
    held = list(memory_of(door.process.pid))

    seen = [needle for needle in (value.encode(), base64.b64encode(value.encode())) if any(needle in part for part in held)]

    assert any(f"orders-{value[7:20]}".encode() in part for part in held), "what is read is found there"
    assert seen == []
