"""ValkeyCluster (valkey-io) and Valkey (Hyperspike) read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30

CLUSTER: Object = {
    "apiVersion": "valkey.io/v1alpha1",
    "kind": "ValkeyCluster",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {
        "image": "valkey/valkey:8.1.3",
        "shards": 3,
        "replicas": 2,
        "persistence": {"size": "10Gi", "storageClassName": "fast"},
        "users": [{"name": "app", "passwordSecret": {"name": "words", "keys": ["app"]}}, {"name": "open", "nopass": True}],
    },
    "status": {"readyShards": 2},
}

VALKEY: Object = {
    "apiVersion": "hyperspike.io/v1",
    "kind": "Valkey",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {
        "image": "ghcr.io/hyperspike/valkey:8.0.2",
        "storage": {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "10Gi"}}}},
    },
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), EMPTY_VIEW)


def test_a_cluster_has_shards_and_the_replicas_of_each() -> None:
    found = service(CLUSTER)
    assert [(one.name, one.members.value, one.ready.value, one.voters) for one in found.groups] == [
        ("shards", 3, 2, False),
        ("replicas", 2, None, False),
    ]
    (disk,) = found.groups[0].volumes
    assert (disk.storage_class.value, disk.bytes, disk.ephemeral.value) == ("fast", 10 * GI, False)
    assert found.engine is not None
    assert (found.engine.name, found.version.text, found.deletes_claims) == ("valkey", "8.1.3", False)
    assert [one.name for one in found.secrets] == ["words"]


def test_a_cluster_without_persistence_keeps_nothing() -> None:
    found = service(CLUSTER, {"spec": {"persistence": None}})
    assert found.groups[0].volumes[0].ephemeral.value is True
    assert [one.value for one in found.fixed.values()] == [False, "StatefulSet"]
    assert [one.value for one in service(CLUSTER).fixed.values()] == [True, "StatefulSet"]


@pytest.mark.parametrize(
    ("patch", "denies"),
    [({"persistence": {"reclaimPolicy": "Delete"}}, True), ({"podDisruptionBudget": {"mode": "Disabled"}}, False)],
)
def test_a_safeguard_of_a_cluster_that_is_off_is_told(patch: dict[str, Any], denies: bool) -> None:
    assert service(CLUSTER).unsafe == ()
    found = service(CLUSTER, {"spec": patch})
    assert [one.denies for one in found.unsafe] == [denies]
    assert found.deletes_claims is denies


@pytest.mark.parametrize(("cluster", "owned"), [("cart", True), ("other", False)])
def test_a_claim_of_a_cluster_is_known_by_its_label(cluster: str, owned: bool) -> None:
    found = service(CLUSTER)
    item: Object = {"metadata": {"name": "valkey-cart-0-1-data", "labels": {"valkey.io/cluster": cluster}}}
    group = found.groups[0]
    assert found.adapter.claim_is_of(found, group, group.volumes[0], item) is owned


def test_a_valkey_of_few_words_has_three_nodes() -> None:
    found = service(VALKEY)
    assert [(one.name, one.members.value) for one in found.groups] == [("nodes", 3), ("replicas", 0)]
    (disk,) = found.groups[0].volumes
    assert (disk.name, disk.storage_class.value, disk.bytes) == ("valkey-data", "fast", 10 * GI)
    assert found.adapter.ordinal(found, "nodes", "valkey-data", {"metadata": {"name": "valkey-data-cart-2"}}) == 2
    assert service(VALKEY, {"spec": {"storage": None}}).groups[0].volumes[0].ephemeral.value is True


@pytest.mark.parametrize(
    ("patch", "names"),
    [({}, ["cart"]), ({"servicePassword": {"name": "word", "key": "it"}}, ["word"]), ({"anonymousAuth": True}, [])],
)
def test_a_valkey_has_the_password_that_is_given_or_made(patch: dict[str, Any], names: list[str]) -> None:
    assert [one.name for one in service(VALKEY, {"spec": patch}).secrets] == names
