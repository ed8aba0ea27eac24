"""MongoDBCommunity, MongoDB and MongoDBMultiCluster read as services."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30
G = 10**9
COMMUNITY = "MongoDBCommunity.mongodbcommunity.mongodb.com"
MCK = "MongoDB.mongodb.com"
MULTI = "MongoDBMultiCluster.mongodb.com"
APPLIED = "mongodb.com/v1.lastSuccessfulConfiguration"


def template(name: str, class_name: str, size: str) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {"storageClassName": class_name, "resources": {"requests": {"storage": size}}},
    }


SPECS: dict[str, Object] = {
    COMMUNITY: {
        "type": "ReplicaSet",
        "members": 3,
        "version": "7.0.12",
        "users": [{"name": "app", "passwordSecretRef": {"name": "app-password"}}],
        "security": {"tls": {"enabled": True, "certificateKeySecretRef": {"name": "tls"}}},
        "statefulSet": {"spec": {"volumeClaimTemplates": [template("data-volume", "fast", "50Gi")]}},
    },
    MCK: {
        "type": "ReplicaSet",
        "members": 3,
        "version": "7.0.12-ent",
        "credentials": "organization",
        "security": {"certsSecretPrefix": "mdb"},
        "podSpec": {"persistence": {"single": {"storage": "50Gi", "storageClass": "fast"}}},
    },
    MULTI: {
        "type": "ReplicaSet",
        "version": "7.0.12-ent",
        "credentials": "organization",
        "clusterSpecList": [
            {
                "clusterName": "eu",
                "members": 2,
                "statefulSet": {"spec": {"volumeClaimTemplates": [template("data", "fast", "50Gi")]}},
            },
            {"clusterName": "us", "members": 1},
        ],
    },
}
SHARDED: Object = {
    "type": "ShardedCluster",
    "members": None,
    "shardCount": 2,
    "mongodsPerShardCount": 3,
    "configServerCount": 3,
    "mongosCount": 2,
    "shardPodSpec": {"persistence": {"single": {"storage": "100Gi", "storageClass": "fast"}}},
}


def made(kind: str, *, annotations: Any = None, status: Any = None, **patch: Any) -> Service:
    name, _, group = kind.partition(".")
    item: Object = {"apiVersion": f"{group}/v1", "kind": name, "metadata": {"name": "orders", "namespace": "shop"}}
    patched = cases.merge(
        {**item, "spec": SPECS[kind]}, {"metadata": {"annotations": annotations}, "spec": patch, "status": status or {}}
    )
    return Service(ADAPTERS[kind], patched, EMPTY_VIEW)


def claim(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}}


def groups(one: Service) -> list[Any]:
    return [
        (g.name, g.members.value, g.voters, [(v.name, v.storage_class.value, v.bytes) for v in g.volumes])
        for g in one.groups
    ]


@pytest.mark.parametrize("kind", list(SPECS))
def test_engine_version_and_what_stays(kind: str) -> None:
    one = made(kind)
    assert one.engine is PROFILES["mongodb"]
    assert one.version.version is not None
    assert one.version.version.text == "7.0.12"
    assert not one.deletes_claims


def test_members_and_volumes_of_a_community_set() -> None:
    assert groups(made(COMMUNITY)) == [
        ("members", 3, True, [("data-volume", "fast", 50 * GI), ("logs-volume", None, 2 * G)])
    ]
    assert groups(made(COMMUNITY, statefulSet=None, arbiters=1)) == [
        ("members", 3, True, [("data-volume", None, 10 * G), ("logs-volume", None, 2 * G)]),
        ("arbiters", 1, True, []),
    ]


def test_members_and_volumes_of_mck() -> None:
    assert groups(made(MCK)) == [("members", 3, True, [("data", "fast", 50 * GI)])]
    assert groups(made(MCK, type="Standalone", members=None, podSpec=None)) == [
        ("members", 1, True, [("data", None, 16 * G)])
    ]
    assert groups(made(MCK, **SHARDED)) == [
        ("config", 3, True, [("data", None, 5 * G)]),
        ("shards", 3, True, [("data", "fast", 100 * GI)]),
    ]
    several = {"single": None, "multiple": {"data": {"storage": "50Gi", "storageClass": "fast"}, "logs": {"storage": "2Gi"}}}
    assert groups(made(MCK, podSpec={"persistence": several})) == [
        ("members", 3, True, [("data", "fast", 50 * GI), ("journal", None, G), ("logs", None, 2 * GI)])
    ]
    assert made(MCK, persistent=False).groups[0].volumes[0].ephemeral.value is True


def test_members_of_several_clusters_vote_together() -> None:
    assert groups(made(MULTI)) == [
        ("eu", 2, True, [("data", "fast", 50 * GI)]),
        ("us", 1, True, [("data", None, 16 * G)]),
    ]


@pytest.mark.parametrize("kind", [COMMUNITY, MCK])
def test_members_without_a_vote_do_not_count(kind: str) -> None:
    assert made(kind).groups[0].voting == 3
    assert made(kind, memberConfig=[{"votes": 0}, {"votes": 0}]).groups[0].voting == 1


@pytest.mark.parametrize(
    ("kind", "patch", "name", "of"),
    [
        (COMMUNITY, {}, "data-volume-orders-0", ("members", "data-volume")),
        (COMMUNITY, {}, "logs-volume-orders-2", ("members", "logs-volume")),
        (COMMUNITY, {"arbiters": 1}, "data-volume-orders-arb-0", None),
        (MCK, {}, "data-orders-1", ("members", "data")),
        (MCK, SHARDED, "data-orders-config-1", ("config", "data")),
        (MCK, SHARDED, "data-orders-0-1", ("shards", "data")),
        (MCK, SHARDED, "data-orders-12-0", ("shards", "data")),
        (MCK, SHARDED, "data-orders-1", None),
        (MCK, {}, "data-orders-next-1", None),
    ],
)
def test_a_claim_is_of_one_group(kind: str, patch: Any, name: str, of: tuple[str, str] | None) -> None:
    one = made(kind, **patch)
    found = [(g.name, v.name) for g in one.groups for v in g.volumes if one.adapter.claim_is_of(one, g, v, claim(name))]
    assert found == ([of] if of is not None else [])
    assert one.adapter.owns_claim(one, claim(name)) is (of is not None)


@pytest.mark.parametrize(
    ("applied", "asked", "level"),
    [
        ({"featureCompatibilityVersion": "6.0"}, "7.0", "6.0"),
        ({"members": 3}, "7.0", "7.0"),
        ({"members": 3}, None, None),
        (None, None, None),
    ],
)
def test_the_level_that_was_applied_decides(applied: Any, asked: str | None, level: str | None) -> None:
    kept = {APPLIED: orjson.dumps(applied).decode()} if applied is not None else None
    found = made(COMMUNITY, annotations=kept, featureCompatibilityVersion=asked).finalised
    assert (found.text if found is not None else None) == level


@pytest.mark.parametrize("kind", [MCK, MULTI])
def test_the_status_tells_version_and_level(kind: str) -> None:
    one = made(
        kind, featureCompatibilityVersion="7.0", status={"version": "6.0.9-ent", "featureCompatibilityVersion": "6.0"}
    )
    assert one.running is not None
    assert one.finalised is not None
    assert (one.running.text, one.finalised.text) == ("6.0.9", "6.0")
    assert made(kind, status={"version": ""}).running is None


@pytest.mark.parametrize(("mode", "asked"), [("enabled", True), ("disabled", False), (None, False)])
def test_the_mode_asks_for_backups(mode: str | None, asked: bool) -> None:
    assert made(MCK, backup={"mode": mode}).backed_up is asked


@pytest.mark.parametrize("backup", [{"mode": "terminated"}, {"autoTerminateOnDeletion": True}])
def test_what_ends_the_snapshots_is_unsafe(backup: Any) -> None:
    (row,) = made(MCK, backup=backup).unsafe
    assert row.denies
    assert made(MCK, backup={"mode": "disabled", "autoTerminateOnDeletion": False}).unsafe == ()


def test_secrets() -> None:
    assert {(ref.name, ref.role) for ref in made(COMMUNITY).secrets} == {
        ("orders-keyfile", "cluster"),
        ("orders-agent-password", "credentials"),
        ("orders-config", "cluster"),
        ("app-password", "credentials"),
        ("tls", "certificate"),
    }
    assert {(ref.name, ref.role) for ref in made(MCK).secrets} == {
        ("organization", "credentials"),
        ("mdb-orders-cert", "certificate"),
    }
    assert {ref.name for ref in made(MCK, security=None).secrets} == {"organization"}


def test_tls_of_a_community_set_may_be_switched_on_only() -> None:
    (on,), (off,) = made(COMMUNITY).fixed.values(), made(COMMUNITY, security={"tls": {"enabled": False}}).fixed.values()
    assert (on.value, off.value, on.once_set) == (True, None, True)


def test_the_type_of_a_deployment_is_fixed() -> None:
    before, after = made(MCK).fixed, made(MCK, **SHARDED).fixed
    assert [one.what for key, one in before.items() if one.value != after[key].value] == ["the type of the deployment"]
