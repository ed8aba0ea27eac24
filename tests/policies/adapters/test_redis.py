"""RedisCluster, RedisReplication, Redis, RedisSentinel (OT) and RedisFailover (Spotahome) read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30


def claim_of(class_name: str, size: str) -> Object:
    return {
        "spec": {
            "storageClassName": class_name,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        }
    }


def made(kind: str, **spec: Any) -> Object:
    return {
        "apiVersion": "redis.redis.opstreelabs.in/v1beta2",
        "kind": kind,
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "kubernetesConfig": {"image": "quay.io/opstree/redis:v7.0.15", "redisSecret": {"name": "word", "key": "it"}},
            "storage": {"keepAfterDelete": True, "volumeClaimTemplate": claim_of("fast", "10Gi")},
            "TLS": {"secret": {"secretName": "cert"}},
            **spec,
        },
    }


CLUSTER = made("RedisCluster", clusterSize=3, redisFollower={"replicas": 6})
CLUSTER["spec"]["storage"].update(nodeConfVolume=True, nodeConfVolumeClaimTemplate=claim_of("slow", "1Gi"))
CLUSTER["status"] = {"readyLeaderReplicas": 2, "readyFollowerReplicas": 6}

FAILOVER: Object = {
    "apiVersion": "databases.spotahome.com/v1",
    "kind": "RedisFailover",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {
        "redis": {
            "image": "redis:7.2.5-alpine",
            "replicas": 3,
            "storage": {
                "keepAfterDeletion": True,
                "persistentVolumeClaim": {"metadata": {"name": "redis-disk"}, **claim_of("fast", "10Gi")},
            },
        },
        "sentinel": {"replicas": 5},
        "auth": {"secretPath": "word"},
    },
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), EMPTY_VIEW)


def test_a_redis_cluster_has_leaders_and_followers() -> None:
    found = service(CLUSTER)
    assert [(one.name, one.members.value, one.ready.value, one.voters) for one in found.groups] == [
        ("leader", 3, 2, False),
        ("follower", 6, 6, False),
    ]
    assert [(one.name, one.storage_class.value, one.bytes) for group in found.groups for one in group.volumes] == [
        ("cart-leader", "fast", 10 * GI),
        ("node-conf", "slow", GI),
        ("cart-follower", "fast", 10 * GI),
        ("node-conf", "slow", GI),
    ]
    assert found.engine is not None
    assert (found.engine.name, found.version.text, found.deletes_claims) == ("redis", "v7.0.15", False)


@pytest.mark.parametrize(
    ("name", "group", "volume"),
    [
        ("cart-leader-cart-leader-2", 0, 0),
        ("node-conf-cart-leader-0", 0, 1),
        ("cart-follower-cart-follower-1", 1, 0),
        ("node-conf-cart-follower-0", 1, 1),
    ],
)
def test_a_claim_of_a_redis_cluster_is_of_one_volume_of_one_group(name: str, group: int, volume: int) -> None:
    found = service(CLUSTER)
    item: Object = {"metadata": {"name": name}}
    owned = [
        (at, place)
        for at, one in enumerate(found.groups)
        for place, disk in enumerate(one.volumes)
        if found.adapter.claim_is_of(found, one, disk, item)
    ]
    assert owned == [(group, volume)]


@pytest.mark.parametrize("kind", ["RedisCluster", "RedisReplication", "Redis"])
def test_claims_go_with_the_object_unless_they_are_kept(kind: str) -> None:
    kept = made(kind, clusterSize=3)
    assert service(kept).deletes_claims is False
    assert service(kept).unsafe == ()
    gone = service(kept, {"spec": {"storage": {"keepAfterDelete": None}}})
    assert gone.deletes_claims is True
    assert [one.denies for one in gone.unsafe] == [True]
    recreated = {"metadata": {"annotations": {"redis.opstreelabs.in/recreate-statefulset": "true"}}}
    assert [one.denies for one in service(kept, recreated).unsafe] == [False]


@pytest.mark.parametrize("kind", ["RedisCluster", "RedisReplication", "Redis"])
def test_a_redis_without_a_claim_template_keeps_nothing(kind: str) -> None:
    found = service(made(kind, clusterSize=3), {"spec": {"storage": None}})
    assert {one.ephemeral.value for group in found.groups for one in group.volumes} == {True}
    assert {one.name for one in found.secrets} == {"word", "cert"}


@pytest.mark.parametrize("kind", ["RedisCluster", "RedisReplication", "Redis", "RedisSentinel"])
def test_a_redis_is_paused_by_the_annotation_of_its_kind(kind: str) -> None:
    def paused(annotation: str) -> Any:
        patch = {"metadata": {"annotations": {f"{annotation}.opstreelabs.in/skip-reconcile": "true"}}}
        return service(made(kind, clusterSize=3), patch).field("paused").value

    assert (paused(kind.lower()), paused("other")) == (True, False)


def test_a_replication_may_have_sentinels_that_vote() -> None:
    found = service(made("RedisReplication", clusterSize=3, sentinel={"size": 5, "redisSecret": {"name": "other"}}))
    assert [(one.name, one.members.value, one.voters) for one in found.groups] == [
        ("redis", 3, False),
        ("sentinel", 5, True),
    ]
    assert [one.name for one in found.groups[0].volumes] == ["cart"]
    assert found.adapter.ordinal(found, "redis", "cart", {"metadata": {"name": "cart-cart-2"}}) == 2
    assert "other" in {one.name for one in found.secrets}


def test_sentinels_vote_and_keep_nothing() -> None:
    found = service(made("RedisSentinel"))
    assert [(one.name, one.members.value, one.voters, one.volumes) for one in found.groups] == [("sentinel", 3, True, ())]
    assert found.deletes_claims is False


def test_a_failover_has_servers_and_sentinels() -> None:
    found = service(FAILOVER)
    assert [(one.name, one.members.value, one.voters) for one in found.groups] == [
        ("redis", 3, False),
        ("sentinel", 5, True),
    ]
    (disk,) = found.groups[0].volumes
    assert (disk.name, disk.storage_class.value, disk.bytes, disk.ephemeral.value) == ("redis-disk", "fast", 10 * GI, False)
    assert found.adapter.ordinal(found, "redis", "redis-disk", {"metadata": {"name": "redis-disk-rfr-cart-1"}}) == 1
    assert (found.version.state, found.deletes_claims) == ("known", False)
    assert [one.name for one in found.secrets] == ["word"]
    few = service(FAILOVER, {"spec": {"redis": None, "sentinel": None}})
    assert [one.members.value for one in few.groups] == [3, 3]
    assert (few.groups[0].volumes[0].name, few.groups[0].volumes[0].ephemeral.value) == ("redis-data", True)


@pytest.mark.parametrize(
    "patch", [{"redis": {"storage": {"keepAfterDeletion": False}}}, {"bootstrapNode": {"host": "10.0.0.9"}}]
)
def test_a_failover_that_may_lose_its_data_is_unsafe(patch: dict[str, Any]) -> None:
    assert service(FAILOVER).unsafe == ()
    assert [one.denies for one in service(FAILOVER, {"spec": patch}).unsafe] == [True]
