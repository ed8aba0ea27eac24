"""The built-in adapters on objects written by hand: members, volumes, versions, claims, places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import pytest

from stateward.policies import cases, data
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS, with_scale
from stateward.policies.adapters.transforms import TRANSFORMS
from stateward.policies.model import Archive, Service
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, MemoryView, Object

GI = 2**30


def service(item: Object, *others: Object) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], item, MemoryView(others) if others else EMPTY_VIEW)


def merged(item: Object, patch: Mapping[str, Any]) -> Object:
    found: Object = cases.merge(item, patch)
    return found


def claim(name: str, **labels: str) -> Object:
    labels = {key.replace("__", "/"): value for key, value in labels.items()}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "shop", "labels": labels},
        "spec": {"volumeName": f"pv-{name}"},
    }


SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "wiki", "namespace": "shop", "labels": {"tier": "gold"}},
    "spec": {
        "replicas": 2,
        "template": {
            "spec": {
                "nodeSelector": {"disk": "ssd"},
                "containers": [
                    {"name": "exporter", "image": "quay.io/tools/postgres-exporter:0.15"},
                    {
                        "name": "postgres",
                        "image": "postgres:16.9",
                        "args": ["-c", "wal_level=logical"],
                        "env": [{"name": "PGDATA", "value": "/data/pg"}, {"name": "SECRET", "valueFrom": {}}],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}, {"name": "tmp", "mountPath": "/scratch"}],
                    },
                ],
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            }
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data", "labels": {"keep": "yes"}},
                "spec": {
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "fast",
                    "resources": {"requests": {"storage": "10Gi"}},
                },
            }
        ],
    },
    "status": {"readyReplicas": 1},
}

CLUSTER: Object = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "orders", "namespace": "shop"},
    "spec": {
        "instances": 3,
        "imageName": "ghcr.io/cloudnative-pg/postgresql:17.5-bookworm",
        "minSyncReplicas": 1,
        "storage": {"storageClass": "fast", "size": "50Gi"},
        "walStorage": {"pvcTemplate": {"storageClassName": "faster", "resources": {"requests": {"storage": "10Gi"}}}},
        "tablespaces": [{"name": "archive", "storage": {"size": "100Gi", "storageClass": "slow"}}],
        "affinity": {"podAntiAffinityType": "required", "nodeSelector": {"disk": "ssd"}},
        "backup": {"barmanObjectStore": {"destinationPath": "s3://backups/"}},
        "bootstrap": {"recovery": {"source": "old"}},
        "externalClusters": [
            {"name": "old", "barmanObjectStore": {"destinationPath": "s3://backups/", "serverName": "orders-2025"}},
            {"name": "other", "barmanObjectStore": {"destinationPath": "s3://other/"}},
        ],
    },
    "status": {"readyInstances": 2, "pgDataImageInfo": {"majorVersion": 17}},
}

RABBIT: Object = {
    "apiVersion": "rabbitmq.com/v1beta1",
    "kind": "RabbitmqCluster",
    "metadata": {"name": "mail", "namespace": "shop"},
    "spec": {
        "image": "rabbitmq:4.1.2-management",
        "replicas": 3,
        "persistence": {"storageClassName": "fast", "storage": "20Gi"},
    },
}

ZOOKEEPER: Object = {
    "apiVersion": "kafka.strimzi.io/v1beta2",
    "kind": "Kafka",
    "metadata": {"name": "events", "namespace": "shop"},
    "spec": {
        "kafka": {
            "version": "3.7.0",
            "replicas": 4,
            "config": {
                "default.replication.factor": 3,
                "min.insync.replicas": 2,
                "inter.broker.protocol.version": "3.6-IV2",
            },
            "storage": {
                "type": "jbod",
                "volumes": [
                    {"id": 0, "type": "persistent-claim", "size": "100Gi", "class": "fast"},
                    {"id": 1, "type": "ephemeral"},
                ],
            },
        },
        "zookeeper": {"replicas": 3, "storage": {"type": "persistent-claim", "size": "10Gi", "class": "slow"}},
    },
    "status": {"kafkaVersion": "3.6.1"},
}

HUB: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "Kafka",
    "metadata": {"name": "clicks", "namespace": "shop"},
    "spec": {"kafka": {"version": "4.1.0", "metadataVersion": "4.1-IV1"}},
    "status": {"kafkaMetadataVersion": "4.0-IV3"},
}


def pool(name: str, replicas: int, *roles: str, cluster: str = "clicks", storage: Any = None) -> Object:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaNodePool",
        "metadata": {"name": name, "namespace": "shop", "labels": {"strimzi.io/cluster": cluster}},
        "spec": {
            "replicas": replicas,
            "roles": list(roles),
            "storage": storage or {"type": "persistent-claim", "size": "10Gi", "class": "fast"},
        },
    }


# --- StatefulSet -----------------------------------------------------------------------------------------------------


def test_a_statefulset_has_one_group_with_its_templates_as_volumes() -> None:
    found = service(SET)
    (group,) = found.groups
    (volume,) = group.volumes
    assert (group.name, group.members, group.ready.value) == ("members", (2, ("spec", "replicas")), 1)
    assert (volume.name, volume.storage_class.value, volume.bytes) == ("data", "fast", Fraction(10 * GI))
    assert volume.size.path == ("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage")
    assert (volume.modes.value, volume.labels.value, volume.ephemeral.value) == (["ReadWriteOnce"], {"keep": "yes"}, None)
    assert found.title == "StatefulSet shop/wiki"
    assert found.labels == {"tier": "gold"}


def test_a_statefulset_is_the_engine_that_its_container_runs() -> None:
    found = service(SET)
    assert found.engine is not None
    assert (found.engine.name, found.engine_certain, found.container_index) == ("postgresql", True, 1)
    assert (found.version.state, found.version.text) == ("known", "16.9")
    assert found.version.path == ("spec", "template", "spec", "containers", 1, "image")
    assert found.environment == {"PGDATA": "/data/pg"}
    assert found.persistent_mounts == ["/data"]
    assert found.words == ["-c", "wal_level=logical"]
    assert found.flag("-c") == "wal_level=logical"
    assert found.flag("-d") is None


def test_a_statefulset_without_replicas_has_one_member() -> None:
    assert service(merged(SET, {"spec": {"replicas": None}})).members == 1


@pytest.mark.parametrize(
    ("policy", "deletes"),
    [(None, False), ({}, False), ({"whenDeleted": "Retain"}, False), ({"whenDeleted": "Delete"}, True)],
)
def test_a_statefulset_deletes_its_claims_only_where_it_says_so(policy: Any, deletes: bool) -> None:
    found = service(merged(SET, {"spec": {"persistentVolumeClaimRetentionPolicy": policy}}))
    assert found.deletes_claims is deletes


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [
        ("data-wiki-0", 0),
        ("data-wiki-12", 12),
        ("data-wiki-", None),
        ("data-wiki-x", None),
        ("data-wiki-1-0", None),
        ("data-wiki-123456", None),
        ("data-wiki-²", None),
        ("index-wiki-0", None),
        ("data-wikis-0", None),
        ("", None),
    ],
)
def test_a_claim_of_a_statefulset_is_known_by_its_name(name: str, ordinal: int | None) -> None:
    found = service(SET)
    assert found.adapter.ordinal(found, "members", "data", claim(name)) == ordinal
    assert found.adapter.owns_claim(found, claim(name)) is (ordinal is not None)


def test_the_revision_that_is_still_current_tells_what_runs() -> None:
    revision = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "wiki-1", "namespace": "shop"},
        "data": {"spec": {"template": {"spec": {"containers": [{"image": "postgres:15.4"}]}}}},
    }
    rolling = merged(SET, {"status": {"currentRevision": "wiki-1", "updateRevision": "wiki-2"}})
    running = service(rolling, revision).running
    assert running is not None
    assert running.text == "15.4"
    assert service(rolling).running is None
    assert service(merged(rolling, {"status": {"updateRevision": "wiki-1"}}), revision).running is None


def test_the_placement_of_a_statefulset_is_that_of_its_pod() -> None:
    spread = {
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "kubernetes.io/hostname"}],
                "preferredDuringSchedulingIgnoredDuringExecution": [{"podAffinityTerm": {"topologyKey": "zone"}}],
            },
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}},
        },
        "topologySpreadConstraints": [
            {"topologyKey": "rack"},
            {"topologyKey": "room", "whenUnsatisfiable": "ScheduleAnyway"},
        ],
    }
    placement = service(merged(SET, {"spec": {"template": {"spec": spread}}})).placement
    assert placement.node_selector == {"disk": "ssd"}
    assert placement.required == ("kubernetes.io/hostname", "rack")
    assert placement.preferred == ("zone", "room")
    assert placement.selector_path == ("spec", "template", "spec", "nodeSelector")


MODES = [
    ({"image": "mariadb:11.4.5"}, ""),
    ({"image": "bitnami/mariadb-galera:11.4.5"}, "galera"),
    ({"image": "mariadb:11.4.5", "env": [{"name": "MARIADB_GALERA_CLUSTER_NAME", "value": "x"}]}, "galera"),
    ({"image": "mariadb:11.4.5", "args": ["--wsrep-on=ON"]}, "galera"),
    ({"image": "kafka:3.9.1", "env": [{"name": "KAFKA_PROCESS_ROLES", "value": "broker"}]}, "kraft"),
    ({"image": "kafka:3.9.1", "env": [{"name": "KAFKA_ZOOKEEPER_CONNECT", "value": "z:2181"}]}, "zookeeper"),
    ({"image": "kafka:3.9.1", "env": [{"name": "KAFKA_ENABLE_KRAFT", "value": "yes"}]}, "kraft"),
    ({"image": "kafka:3.9.1", "env": [{"name": "KAFKA_ENABLE_KRAFT", "value": "no"}]}, ""),
    ({"image": "kafka:3.9.1"}, ""),
    ({"image": "registry.example/shop/catalog:1"}, ""),
]


@pytest.mark.parametrize(("container", "mode"), MODES)
def test_the_mode_of_a_statefulset_shows_in_its_container(container: dict[str, Any], mode: str) -> None:
    item = merged(SET, {"spec": {"template": {"spec": {"containers": [container]}}}})
    assert service(item).mode == mode


# --- CloudNativePG ---------------------------------------------------------------------------------------------------


def test_a_cluster_has_a_volume_for_data_wal_and_each_tablespace() -> None:
    found = service(CLUSTER)
    (group,) = found.groups
    assert (group.name, found.members, group.ready.value, group.voters) == ("instances", 3, 2, False)
    assert [(volume.name, volume.storage_class.value, volume.bytes) for volume in group.volumes] == [
        ("pgdata", "fast", 50 * GI),
        ("wal", "faster", 10 * GI),
        ("archive", "slow", 100 * GI),
    ]
    assert group.volumes[0].size.path == ("spec", "storage", "size")
    assert group.volumes[1].size.path == ("spec", "walStorage", "pvcTemplate", "resources", "requests", "storage")
    assert group.volumes[2].size.path == ("spec", "tablespaces", 0, "storage", "size")


def test_a_cluster_is_postgresql_and_its_operator_carries_majors_over() -> None:
    found = service(CLUSTER)
    assert found.engine is not None
    assert (found.engine.name, found.engine_certain, found.adapter.carries_majors) == ("postgresql", True, "operator")
    assert (found.version.text, found.version.path) == ("17.5-bookworm", ("spec", "imageName"))
    assert found.running is not None
    assert found.running.text == "17"
    assert found.deletes_claims is True
    assert found.field("syncStandbys") == (1, ("spec", "minSyncReplicas"))
    assert found.pod == {}


def test_what_runs_falls_back_to_the_image_in_the_status() -> None:
    item = merged(CLUSTER, {"status": {"pgDataImageInfo": None, "image": "ghcr.io/cloudnative-pg/postgresql:16.9"}})
    running = service(item).running
    assert running is not None
    assert running.text == "16.9"


@pytest.mark.parametrize(
    ("item", "volume", "owned"),
    [
        (claim("orders-1", **{"cnpg.io__cluster": "orders", "cnpg.io__pvcRole": "PG_DATA"}), "pgdata", True),
        (claim("orders-1", **{"cnpg.io__cluster": "orders"}), "pgdata", True),
        (claim("orders-1-wal", **{"cnpg.io__cluster": "orders", "cnpg.io__pvcRole": "PG_WAL"}), "wal", True),
        (claim("orders-1-wal", **{"cnpg.io__cluster": "orders", "cnpg.io__pvcRole": "PG_WAL"}), "pgdata", False),
        (claim("orders-1-t", **{"cnpg.io__cluster": "orders", "cnpg.io__pvcRole": "PG_TABLESPACE"}), "archive", True),
        (claim("carts-1", **{"cnpg.io__cluster": "carts", "cnpg.io__pvcRole": "PG_DATA"}), "pgdata", False),
        (claim("orders-1"), "pgdata", False),
    ],
)
def test_a_claim_of_a_cluster_is_known_by_cluster_and_role(item: Object, volume: str, owned: bool) -> None:
    found = service(CLUSTER)
    by_name = {one.name: one for one in found.groups[0].volumes}
    assert found.adapter.claim_is_of(found, found.groups[0], by_name[volume], item) is owned


def test_a_cluster_says_where_its_backups_go_and_what_it_came_from() -> None:
    found = service(CLUSTER)
    assert found.archives == (
        Archive("s3://backups/", "orders", ("spec", "backup", "barmanObjectStore", "destinationPath")),
    )
    assert found.sources == (
        Archive("s3://backups/", "orders-2025", ("spec", "externalClusters", 0, "barmanObjectStore", "destinationPath")),
    )


def test_a_plugin_names_store_and_server() -> None:
    plugin = {"name": "barman-cloud", "parameters": {"barmanObjectName": "nightly", "serverName": "orders-2"}}
    found = service(merged(CLUSTER, {"spec": {"backup": None, "plugins": [plugin, {"name": "other"}]}}))
    assert found.archives == (Archive("nightly", "orders-2", ("spec", "plugins", 0, "parameters", "barmanObjectName")),)


def test_the_placement_of_a_cluster_is_its_affinity() -> None:
    placement = service(CLUSTER).placement
    assert (placement.required, placement.preferred) == (("kubernetes.io/hostname",), ())
    assert placement.selector_path == ("spec", "affinity", "nodeSelector")
    soft = service(merged(CLUSTER, {"spec": {"affinity": {"podAntiAffinityType": None, "topologyKey": "zone"}}})).placement
    assert (soft.required, soft.preferred) == ((), ("zone",))
    off = service(merged(CLUSTER, {"spec": {"affinity": {"enablePodAntiAffinity": False}}})).placement
    assert (off.required, off.preferred) == ((), ())


CATALOG: Object = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "ImageCatalog",
    "metadata": {"name": "blessed", "namespace": "shop"},
    "spec": {
        "images": [
            {"major": 17, "image": "registry.example/postgresql:17.5"},
            {"major": 16, "image": "registry.example/postgresql:3.2-pg16"},
        ]
    },
}


@pytest.mark.parametrize(
    ("major", "others", "state", "parts"),
    [
        (17, (CATALOG,), "known", (17, 5)),
        (16, (CATALOG,), "opaque", None),
        (15, (CATALOG,), "opaque", None),
        (17, (), "known", (17,)),
        ("17", (), "opaque", None),
        (True, (), "opaque", None),
    ],
)
def test_a_catalogue_names_the_image_of_a_major(
    major: Any, others: Sequence[Object], state: str, parts: tuple[int, ...] | None
) -> None:
    reference = {"apiGroup": "postgresql.cnpg.io", "kind": "ImageCatalog", "name": "blessed", "major": major}
    item = merged(CLUSTER, {"spec": {"imageName": None, "imageCatalogRef": reference}})
    version = service(item, *others).version
    assert version.state == state
    assert (version.version.parts if version.version else None) == parts


# --- RabbitMQ --------------------------------------------------------------------------------------------------------


def test_a_rabbitmq_cluster_is_a_group_of_voters() -> None:
    found = service(RABBIT)
    (group,) = found.groups
    assert (group.name, found.members, group.voters) == ("server", 3, True)
    assert (group.volumes[0].name, group.volumes[0].bytes, group.volumes[0].ephemeral.value) == (
        "persistence",
        20 * GI,
        False,
    )
    assert found.adapter.owns_claim(found, claim("persistence-mail-server-0"))
    assert not found.adapter.owns_claim(found, claim("persistence-news-server-0"))
    assert (found.version.text, found.deletes_claims) == ("4.1.2-management", True)


def test_the_overrides_of_a_rabbitmq_cluster_win() -> None:
    override = {"statefulSet": {"spec": {"replicas": 5, "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain"}}}}
    found = service(merged(RABBIT, {"spec": {"override": override, "persistence": {"storage": "0"}}}))
    assert found.members == 5
    assert found.groups[0].members.path == ("spec", "override", "statefulSet", "spec", "replicas")
    assert (found.deletes_claims, found.groups[0].volumes[0].ephemeral.value) == (False, True)


def test_a_rabbitmq_cluster_of_few_words_has_the_operators_defaults() -> None:
    found = service(merged(RABBIT, {"spec": {"image": None, "replicas": None, "persistence": None}}))
    assert (found.members, found.groups[0].volumes[0].size.value, found.version.state) == (1, "10Gi", "unset")


# --- Strimzi ---------------------------------------------------------------------------------------------------------


def test_a_kafka_with_zookeeper_has_two_groups() -> None:
    found = service(ZOOKEEPER)
    assert [(group.name, group.members.value, group.voters) for group in found.groups] == [
        ("kafka", 4, False),
        ("zookeeper", 3, True),
    ]
    kafka, zookeeper = found.groups
    assert [(one.name, one.bytes, one.ephemeral.value) for one in kafka.volumes] == [
        ("0", 100 * GI, False),
        ("1", None, True),
    ]
    assert [(one.name, one.storage_class.value) for one in zookeeper.volumes] == [("data", "slow")]
    assert (found.mode, found.members) == ("zookeeper", 7)
    assert found.field("replicationFactor").value == 3
    assert found.field("minInsync").path == ("spec", "kafka", "config", "min.insync.replicas")


def test_a_kafka_says_what_it_asks_for_what_runs_and_what_its_data_is_finalised_at() -> None:
    found = service(ZOOKEEPER)
    assert found.running is not None
    assert found.finalised is not None
    assert (found.version.text, found.running.text, found.finalised.text) == ("3.7.0", "3.6.1", "3.6")
    hub = service(HUB)
    assert hub.finalised is not None
    assert hub.finalised.text == "4.0"


def test_the_groups_of_a_kafka_are_its_node_pools() -> None:
    found = service(
        HUB,
        pool("brokers", 3, "broker", storage={"type": "jbod", "volumes": [{"id": 7, "type": "ephemeral"}]}),
        pool("controllers", 5, "controller"),
        pool("brokers", 9, "broker", cluster="other"),
    )
    assert [(group.name, group.members.value, group.voters) for group in found.groups] == [("controllers", 5, True)]


def test_node_pools_of_another_cluster_or_namespace_are_none_of_its_own() -> None:
    elsewhere = merged(pool("far", 3, "broker"), {"metadata": {"namespace": "bank"}})
    found = service(HUB, pool("brokers", 3, "broker"), pool("others", 9, "broker", cluster="other"), elsewhere)
    (group,) = found.groups
    assert (group.name, group.roles.value, group.voters) == ("brokers", ["broker"], False)
    assert group.on["metadata"]["name"] == "brokers"
    assert group.members.path == ("spec", "replicas")


def test_where_node_pools_are_unknown_so_are_the_groups() -> None:
    found = service(HUB)
    assert found.joined("pools") is UNKNOWN
    assert (found.groups, found.members) == ((), None)


def test_a_node_pool_by_itself_is_one_group() -> None:
    found = service(pool("brokers", 3, "broker", "controller"))
    (group,) = found.groups
    assert (group.name, group.members.value, group.voters) == ("brokers", 3, True)
    assert [(one.name, one.storage_class.value, one.bytes) for one in group.volumes] == [("data", "fast", 10 * GI)]
    assert found.adapter.hub_name(found.object) == "clicks"


@pytest.mark.parametrize(
    ("item", "others", "mode"),
    [
        (ZOOKEEPER, (), "zookeeper"),
        (HUB, (), "kraft"),
        (merged(ZOOKEEPER, {"metadata": {"annotations": {"strimzi.io/kraft": "enabled"}}}), (), "kraft"),
        (merged(ZOOKEEPER, {"metadata": {"annotations": {"strimzi.io/kraft": "disabled"}}}), (), "zookeeper"),
        (
            ZOOKEEPER,
            (
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": "strimzi-cluster-operator", "namespace": "operators"},
                    "spec": {
                        "template": {
                            "spec": {"containers": [{"env": [{"name": "STRIMZI_FEATURE_GATES", "value": "+UseKRaft"}]}]}
                        }
                    },
                },
            ),
            "kraft",
        ),
    ],
)
def test_the_mode_of_a_kafka_is_told_by_annotation_operator_or_what_is_missing(
    item: Object, others: Sequence[Object], mode: str
) -> None:
    assert service(item, *others).mode == mode


@pytest.mark.parametrize(
    ("name", "group", "volume", "owned"),
    [
        ("data-0-clicks-brokers-0", "brokers", "0", True),
        ("data-clicks-brokers-11", "brokers", "data", True),
        ("data-0-clicks-brokers-0", "controllers", "0", False),
        ("data-1-clicks-brokers-0", "brokers", "0", False),
    ],
)
def test_a_claim_of_a_kafka_is_known_by_its_name(name: str, group: str, volume: str, owned: bool) -> None:
    found = service(HUB)
    assert (found.adapter.ordinal(found, group, volume, claim(name)) is not None) is owned


# --- wrong types -----------------------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (None, True, 5, -1, 2.5, "text", [], ["x"], [5], {}, {"a": 1}, [{}], [None])


def touch_everything(found: Service) -> None:
    """Reads every part of a service."""
    assert found.title
    for group in found.groups:
        assert group.members.value is None or group.members.value is UNKNOWN or type(group.members.value) is int
        assert group.voters in (True, False, None)
        assert group.roles.value is None or group.roles.value is UNKNOWN or type(group.roles.value) is list
        assert group.ready.path is not None
        for volume in group.volumes:
            assert type(volume.name) is str
            assert volume.storage_class.value in (None, UNKNOWN) or type(volume.storage_class.value) is str
            assert volume.bytes is None or type(volume.bytes) is Fraction
            assert volume.ephemeral.value in (None, True, False, UNKNOWN)
            for item in (claim("data-wiki-0"), claim("orders-1", **{"cnpg.io__cluster": "orders"})):
                assert found.adapter.claim_is_of(found, group, volume, item) in (True, False)
    assert found.members is None or type(found.members) is int
    assert found.version.state in ("known", "opaque", "unset")
    assert (found.version.version is not None) is (found.version.state == "known")
    assert all(type(word) is str for word in found.words)
    assert all(type(value) is str for value in found.environment.values())
    assert all(type(mount) is str for mount in found.persistent_mounts)
    assert found.mode in ("", "kraft", "zookeeper", "galera")
    assert found.deletes_claims in (True, False)
    assert type(found.placement.required) is tuple
    assert found.running is None or found.running.parts
    assert found.finalised is None or found.finalised.parts
    assert all(type(one.store) is str for one in (*found.archives, *found.sources))


def paths_in(item: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    steps = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, inner in steps:
        found += paths_in(inner, (*at, key))
    return found


def replaced(item: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(item) if isinstance(item, dict) else list(item)
    copy[path[0]] = replaced(item[path[0]], path[1:], value)
    return copy


@pytest.mark.parametrize(
    "item", [SET, CLUSTER, RABBIT, ZOOKEEPER, HUB, pool("brokers", 3, "broker")], ids=lambda one: one["kind"]
)
def test_no_value_of_another_type_anywhere_makes_an_adapter_stumble(item: Object) -> None:
    for path in paths_in(item):
        if path[0] in ("kind", "apiVersion"):
            continue
        for wrong in WRONG:
            broken = replaced(item, path, wrong)
            adapter = ADAPTERS[f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"]
            touch_everything(Service(adapter, broken, MemoryView([broken, pool("controllers", 3, "controller")])))


@pytest.mark.parametrize(
    ("item", "patch", "read"),
    [
        (SET, {"spec": {"replicas": "2"}}, lambda one: one.groups[0].members.value),
        (SET, {"spec": {"replicas": True}}, lambda one: one.groups[0].members.value),
        (SET, {"spec": {"template": {"spec": []}}}, lambda one: one.field("pod").value),
        (CLUSTER, {"spec": {"storage": {"storageClass": 5}}}, lambda one: one.groups[0].volumes[0].storage_class.value),
        (RABBIT, {"spec": {"replicas": 3.5}}, lambda one: one.groups[0].members.value),
    ],
)
def test_a_value_of_another_type_is_unknown_and_not_its_default(item: Object, patch: dict[str, Any], read: Any) -> None:
    found = service(merged(item, patch))
    assert read(found) is UNKNOWN


def test_one_group_of_unknown_size_makes_the_number_of_members_unknown() -> None:
    assert service(merged(ZOOKEEPER, {"spec": {"zookeeper": {"replicas": "three"}}})).members is None


# --- the catalogue ---------------------------------------------------------------------------------------------------


def test_the_catalogue_has_one_adapter_for_each_file() -> None:
    files = data.folder("adapters/data")
    assert sorted({adapter.source for adapter in ADAPTERS.values()}) == [name for name, _ in files]
    assert all(kind == adapter.kind for kind, adapter in ADAPTERS.items())
    assert {adapter.name for adapter in with_scale()} >= {"statefulset", "cloudnative-pg", "strimzi-node-pool"}


NOT_READ = {
    "ot-redis": {"members"},
    "ot-redis-sentinel": {"volumes"},
    "nats-operator": {"volumes"},
    "tidb-v2-cluster": {"members", "volumes"},
}


@pytest.mark.parametrize("adapter", list(ADAPTERS.values()), ids=lambda one: one.name)
def test_every_adapter_says_which_paths_its_parts_are_read_from(adapter: Adapter) -> None:
    parts = {part for _, parts in adapter.compared for part in parts}
    assert {"members", "volumes"} - NOT_READ.get(adapter.name, set()) <= parts
    for path, _ in adapter.compared:
        assert path
        assert all(type(step) is str for step in path)
    assert len({path for path, _ in adapter.compared}) == len(adapter.compared)


@pytest.mark.parametrize("adapter", list(ADAPTERS.values()), ids=lambda one: one.name)
def test_a_joined_kind_belongs_to_a_hub_that_joins_it(adapter: Adapter) -> None:
    if adapter.hub is None:
        return
    hub = ADAPTERS[adapter.hub["kind"]]
    assert any(look.kind == adapter.kind for look in hub.looks_at)


@pytest.mark.parametrize(
    ("name", "given", "made"),
    [
        ("kafka-release", "3.9-IV0", "3.9"),
        ("kafka-release", "3.9", "3.9"),
        ("kafka-release", 5, 5),
        ("text", 17, "17"),
        ("text", 17.5, "17.5"),
        ("text", True, True),
        ("text", ["x"], ["x"]),
        ("not", True, False),
        ("not", "true", "true"),
        ("count", ["a", "b"], 2),
        ("count", "ab", "ab"),
        ("first", ["a", "b"], "a"),
        ("first", [], None),
        ("first", "ab", "ab"),
        ("highest-version", ["4.0.12", "4.1.5", "3.11"], "4.1.5"),
        ("highest-version", ["4.0.12", "main"], None),
        ("highest-version", ["4.0.12", 5], None),
        ("highest-version", "4.0", "4.0"),
        ("all-stopped", [{"stopped": True}, {"stop": True}], True),
        ("all-stopped", [{"stopped": True}, {}], False),
        ("all-stopped", [], False),
        ("all-stopped", "yes", "yes"),
        ("engine-of-definition", "apecloud-mysql", "mysql"),
        ("engine-of-definition", "redis-7-1.0.0", "redis"),
        ("engine-of-definition", "postgresql16", "postgresql"),
        ("engine-of-definition", ["pulsar-proxy", "zookeeper-3.8"], "zookeeper"),
        ("engine-of-definition", "pgbouncer", None),
        ("engine-of-definition", 5, None),
        ("nonzero", 0, None),
        ("nonzero", "", None),
        ("nonzero", [], None),
        ("nonzero", 17, 17),
        ("nonzero", False, False),
        (
            "percona-image",
            "perconalab/percona-server-mongodb-operator:main-mongod8.0",
            "perconalab/percona-server-mongodb-operator:8.0",
        ),
        ("percona-image", "percona/percona-server:8.4.6-6.1", "percona/percona-server:8.4.6-6.1"),
        ("percona-image", 8, 8),
        ("feature-version", "8.0.4-1", "8.0"),
        ("feature-version", "8", "8"),
        ("feature-version", 8, 8),
        ("applied-feature-version", '{"members":3,"featureCompatibilityVersion":"7.0"}', "7.0"),
        ("applied-feature-version", '{"members":3}', None),
        ("applied-feature-version", '{"featureCompatibilityVersion":7}', None),
        ("applied-feature-version", "[]", None),
        ("applied-feature-version", "{", None),
        ("applied-feature-version", 7, None),
        ("mongodb-nonvoters", [{"votes": 0}, {"votes": "0"}], [0, 1]),
        ("mongodb-nonvoters", [{}, {"votes": 1}, {"votes": 0}], [2]),
        ("mongodb-nonvoters", [], []),
        ("mongodb-nonvoters", "3", None),
        ("key-range", {"end": "80"}, "x-80"),
        ("key-range", {"start": "80", "end": ""}, "80-x"),
        ("key-range", "80", None),
        ("vitess-image", "vitess/lite:v22.0.0-mysql84", "mysql:8.4"),
        ("vitess-image", "docker.io/vitess/lite:mysql80", "mysql:8.0"),
        ("vitess-image", "vitess/lite:v22.0.0", "vitess/lite:v22.0.0"),
        ("vitess-image", None, None),
        ("etcd-of-endpoints", ["http://10.0.0.1:2379", "https://my-keys-client.shop.svc:2379"], "my-keys"),
        ("etcd-of-endpoints", ["keys-client:2379"], "keys"),
        ("etcd-of-endpoints", ["http://keys:2379"], None),
        ("etcd-of-endpoints", 5, None),
    ],
)
def test_a_transform_leaves_what_it_does_not_understand(name: str, given: Any, made: Any) -> None:
    assert TRANSFORMS[name](given) == made
    assert type(TRANSFORMS[name](given)) is type(made)
