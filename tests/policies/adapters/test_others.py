"""CrdbCluster, NatsCluster and Koperator's KafkaCluster read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30


def claim_of(class_name: str, size: str) -> Object:
    return {"storageClassName": class_name, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}


CRDB: Object = {
    "apiVersion": "crdb.cockroachlabs.com/v1alpha1",
    "kind": "CrdbCluster",
    "metadata": {"name": "ledger", "namespace": "shop"},
    "spec": {
        "nodes": 3,
        "tlsEnabled": True,
        "image": {"name": "cockroachdb/cockroach:v25.4.1"},
        "dataStore": {"pvc": {"spec": claim_of("fast", "60Gi")}},
        "nodeSelector": {"disk": "ssd"},
    },
    "status": {"version": "v25.2.3"},
}

NATS: Object = {
    "apiVersion": "nats.io/v1alpha2",
    "kind": "NatsCluster",
    "metadata": {"name": "bus", "namespace": "shop"},
    "spec": {"size": 3, "version": "2.10.4", "tls": {"serverSecret": "front"}, "auth": {"clientsAuthSecret": "people"}},
}

KAFKA: Object = {
    "apiVersion": "kafka.banzaicloud.io/v1beta1",
    "kind": "KafkaCluster",
    "metadata": {"name": "events", "namespace": "shop"},
    "spec": {
        "zkAddresses": ["zookeeper:2181"],
        "clusterImage": "ghcr.io/banzaicloud/kafka:2.13-3.4.1",
        "brokers": [
            {"id": 0, "brokerConfigGroup": "default"},
            {"id": 1, "brokerConfig": {"storageConfigs": [{"mountPath": "/own", "pvcSpec": claim_of("slow", "50Gi")}]}},
        ],
        "brokerConfigGroups": {
            "default": {
                "storageConfigs": [
                    {"mountPath": "/logs", "pvcSpec": claim_of("fast", "130Gi")},
                    {"mountPath": "/cache", "emptyDir": {}},
                ]
            }
        },
    },
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), EMPTY_VIEW)


def test_nodes_of_cockroachdb_are_one_group() -> None:
    found = service(CRDB)
    (group,) = found.groups
    assert (group.members.value, group.voters, found.deletes_claims) == (3, False, False)
    assert [(one.name, one.storage_class.value, one.bytes) for one in group.volumes] == [("datadir", "fast", 60 * GI)]
    assert found.engine is not None
    assert found.running is not None
    assert (found.engine.name, found.version.text, found.running.text) == ("cockroachdb", "v25.4.1", "25.2.3")
    assert found.placement.node_selector == {"disk": "ssd"}
    assert found.adapter.ordinal(found, "nodes", "datadir", {"metadata": {"name": "datadir-ledger-2"}}) == 2
    assert service(CRDB, {"spec": {"cockroachDBVersion": "v25.4.2", "image": None}}).version.text == "v25.4.2"


@pytest.mark.parametrize(
    ("patch", "names"),
    [
        ({}, ["ledger-ca", "ledger-node", "ledger-root"]),
        ({"tlsEnabled": None}, []),
        ({"nodeTLSSecret": "nodes", "clientTLSSecret": "client"}, ["nodes", "client"]),
    ],
)
def test_cockroachdb_has_the_certificates_that_are_given_or_made(patch: dict[str, Any], names: list[str]) -> None:
    assert [one.name for one in service(CRDB, {"spec": patch}).secrets] == names


def test_servers_of_nats_keep_nothing() -> None:
    found = service(NATS)
    assert [(one.name, one.members.value, one.voters, one.volumes) for one in found.groups] == [("servers", 3, False, ())]
    assert (found.version.text, found.deletes_claims) == ("2.10.4", False)
    assert [(one.name, one.role) for one in found.secrets] == [("front", "certificate"), ("people", "credentials")]


def test_brokers_of_koperator_are_one_group_with_the_volumes_of_all_its_configurations() -> None:
    found = service(KAFKA)
    (group,) = found.groups
    assert (group.members.value, group.voters, found.mode, found.deletes_claims) == (2, False, "zookeeper", True)
    assert [(one.name, one.storage_class.value, one.bytes, one.ephemeral.value) for one in group.volumes] == [
        ("/logs", "fast", 130 * GI, False),
        ("/cache", None, None, True),
        ("/own", "slow", 50 * GI, False),
    ]
    assert group.volumes[0].path == ("spec", "brokerConfigGroups", "default", "storageConfigs", 0)


@pytest.mark.parametrize(
    ("image", "state", "parts"),
    [
        ("ghcr.io/banzaicloud/kafka:2.13-3.4.1", "known", (3, 4, 1)),
        ("banzaicloud/kafka:2.13-2.6.0-bzc.1", "known", (2, 6, 0)),
        (None, "unset", None),
    ],
)
def test_the_tag_of_koperators_kafka_begins_with_the_version_of_scala(
    image: str | None, state: str, parts: tuple[int, ...] | None
) -> None:
    version = service(KAFKA, {"spec": {"clusterImage": image}}).version
    assert (version.state, version.version.parts if version.version else None) == (state, parts)
