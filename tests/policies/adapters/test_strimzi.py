"""What the Strimzi adapters say of deletions, Secrets and safeguards; their groups are tested with the others."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.view import EMPTY_VIEW, Object

DISK: Object = {"type": "persistent-claim", "size": "100Gi"}

KAFKA: Object = {
    "apiVersion": "kafka.strimzi.io/v1beta2",
    "kind": "Kafka",
    "metadata": {"name": "events", "namespace": "shop"},
    "spec": {
        "kafka": {
            "version": "3.9.0",
            "replicas": 3,
            "storage": DISK,
            "listeners": [
                {"name": "tls", "configuration": {"brokerCertChainAndKey": {"secretName": "front"}}},
                {"name": "plain"},
            ],
        },
        "zookeeper": {"replicas": 3, "storage": DISK},
    },
}

POOL: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "KafkaNodePool",
    "metadata": {"name": "brokers", "namespace": "shop", "labels": {"strimzi.io/cluster": "events"}},
    "spec": {"replicas": 3, "roles": ["broker"], "storage": DISK},
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    return Service(ADAPTERS[f"{item['kind']}.kafka.strimzi.io"], cases.merge(item, patch or {}), EMPTY_VIEW)


def jbod(*deletes: bool | None) -> Object:
    volumes = [{**DISK, "id": at, **({} if one is None else {"deleteClaim": one})} for at, one in enumerate(deletes)]
    return {"type": "jbod", "volumes": volumes}


@pytest.mark.parametrize(
    ("storage", "unsafe"),
    [
        (DISK, 0),
        ({**DISK, "deleteClaim": False}, 0),
        ({**DISK, "deleteClaim": True}, 1),
        (jbod(None, False), 0),
        (jbod(False, True), 1),
        (jbod(True, True), 2),
        ({"type": "ephemeral"}, 0),
    ],
)
def test_claims_go_with_the_brokers_where_any_of_their_volumes_says_so(storage: Object, unsafe: int) -> None:
    for found in (service(KAFKA, {"spec": {"kafka": {"storage": storage}}}), service(POOL, {"spec": {"storage": storage}})):
        assert found.deletes_claims is bool(unsafe)
        assert [one.denies for one in found.unsafe] == [True] * unsafe
        assert len({one.key for one in found.unsafe}) == unsafe


def test_claims_of_zookeeper_count_too() -> None:
    found = service(KAFKA, {"spec": {"zookeeper": {"storage": {"deleteClaim": True}}}})
    assert (found.deletes_claims, [one.denies for one in found.unsafe]) == (True, [True])
    assert found.unsafe[0].path == ("spec", "zookeeper", "storage", "deleteClaim")


def test_brokers_that_go_unchecked_are_unsafe() -> None:
    skipped = {"metadata": {"annotations": {"strimzi.io/skip-broker-scaledown-check": "true"}}}
    assert service(KAFKA).unsafe == ()
    assert [one.denies for one in service(KAFKA, skipped).unsafe] == [True]


def test_a_kafka_lives_by_its_authorities_and_the_certificates_of_its_listeners() -> None:
    assert [(one.name, one.role, one.made) for one in service(KAFKA).secrets] == [
        ("events-cluster-ca-cert", "ca", "operator"),
        ("events-cluster-ca", "ca", "operator"),
        ("events-clients-ca-cert", "ca", "operator"),
        ("events-clients-ca", "ca", "operator"),
        ("front", "certificate", "user"),
    ]


@pytest.mark.parametrize(("value", "paused"), [("true", True), ("false", False), (None, False)])
def test_a_kafka_is_paused_by_annotation(value: str | None, paused: bool) -> None:
    patch = {"metadata": {"annotations": {"strimzi.io/pause-reconciliation": value}}}
    assert service(KAFKA, patch).field("paused").value is paused
