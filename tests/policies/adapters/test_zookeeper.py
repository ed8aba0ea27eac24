"""ZookeeperCluster (pravega) read as a service."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30

CLUSTER: Object = {
    "apiVersion": "zookeeper.pravega.io/v1beta1",
    "kind": "ZookeeperCluster",
    "metadata": {"name": "keeper", "namespace": "shop"},
    "spec": {
        "replicas": 5,
        "image": {"repository": "pravega/zookeeper", "tag": "0.2.15"},
        "persistence": {"spec": {"storageClassName": "fast", "resources": {"requests": {"storage": "30Gi"}}}},
        "pod": {"nodeSelector": {"disk": "ssd"}},
    },
    "status": {"readyReplicas": 4},
}


def service(patch: dict[str, Any] | None = None) -> Service:
    return Service(ADAPTERS["ZookeeperCluster.zookeeper.pravega.io"], cases.merge(CLUSTER, patch or {}), EMPTY_VIEW)


def test_a_cluster_is_one_group_of_voters() -> None:
    found = service()
    (group,) = found.groups
    assert (group.members.value, group.ready.value, group.voters) == (5, 4, True)
    (disk,) = group.volumes
    assert (disk.storage_class.value, disk.bytes, disk.ephemeral.value) == ("fast", 30 * GI, False)
    assert found.placement.node_selector == {"disk": "ssd"}
    assert found.adapter.ordinal(found, "servers", "data", {"metadata": {"name": "data-keeper-4"}}) == 4


def test_the_tag_of_the_operators_image_is_no_version_of_zookeeper() -> None:
    assert service().version.state == "opaque"
    assert service({"spec": {"image": None}}).version.state == "unset"


def test_a_cluster_of_few_words_has_the_operators_defaults() -> None:
    found = service({"spec": {"replicas": None, "persistence": None}})
    assert (found.members, found.groups[0].volumes[0].bytes, found.deletes_claims) == (3, 20 * GI, False)
    assert service({"spec": {"storageType": "ephemeral"}}).groups[0].volumes[0].ephemeral.value is True


@pytest.mark.parametrize(("policy", "deletes"), [(None, False), ("Retain", False), ("Delete", True)])
def test_claims_go_where_the_reclaim_policy_says_so(policy: str | None, deletes: bool) -> None:
    found = service({"spec": {"persistence": {"reclaimPolicy": policy}}})
    assert (found.deletes_claims, [one.denies for one in found.unsafe]) == (deletes, [True] if deletes else [])


def test_servers_prefer_to_be_apart_unless_an_affinity_is_given() -> None:
    assert service().placement.preferred == ("kubernetes.io/hostname",)
    assert service({"spec": {"pod": {"affinity": {}}}}).placement.preferred == ()
