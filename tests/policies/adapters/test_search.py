"""Elasticsearch (ECK) and OpenSearchCluster read as services."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Archive, Service
from stateward.policies.view import EMPTY_VIEW, Object

GI = 2**30


def template(class_name: str, size: str, name: str = "elasticsearch-data") -> Object:
    return {
        "metadata": {"name": name},
        "spec": {
            "storageClassName": class_name,
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": size}},
        },
    }


ELASTIC: Object = {
    "apiVersion": "elasticsearch.k8s.elastic.co/v1",
    "kind": "Elasticsearch",
    "metadata": {"name": "logs", "namespace": "shop"},
    "spec": {
        "version": "8.17.1",
        "nodeSets": [
            {"name": "masters", "count": 3, "config": {"node.roles": ["master"]}},
            {
                "name": "hot",
                "count": 5,
                "config": {"node.roles": ["data_hot", "ingest"]},
                "volumeClaimTemplates": [template("fast", "500Gi")],
            },
        ],
    },
    "status": {"version": "8.16.2"},
}

OPENSEARCH: Object = {
    "apiVersion": "opensearch.org/v1",
    "kind": "OpenSearchCluster",
    "metadata": {"name": "logs", "namespace": "shop"},
    "spec": {
        "general": {
            "version": "2.19.1",
            "serviceName": "logs",
            "drainDataNodes": True,
            "snapshotRepositories": [
                {"name": "nightly", "type": "s3", "settings": {"bucket": "copies", "base_path": "logs"}}
            ],
        },
        "security": {"tls": {"transport": {"generate": True}, "http": {"secret": {"name": "front"}}}},
        "nodePools": [
            {
                "component": "managers",
                "replicas": 3,
                "roles": ["cluster_manager"],
                "persistence": {"pvc": {"storageClass": "fast", "accessModes": ["ReadWriteOnce"]}},
                "pdb": {"enable": True, "maxUnavailable": 1},
            },
            {"component": "data", "replicas": 4, "roles": ["data"], "diskSize": "200Gi", "pdb": {"enable": True}},
        ],
    },
    "status": {"version": "2.18.0"},
}


def service(item: Object, patch: dict[str, Any] | None = None) -> Service:
    kind = f"{item['kind']}.{item['apiVersion'].partition('/')[0]}"
    return Service(ADAPTERS[kind], cases.merge(item, patch or {}), EMPTY_VIEW)


def node_set(**given: Any) -> Service:
    return service(ELASTIC, {"spec": {"nodeSets": [{"name": "one", "count": 1, **given}]}})


# --- ECK -------------------------------------------------------------------------------------------------------------


def test_node_sets_are_the_groups_of_an_elasticsearch() -> None:
    found = service(ELASTIC)
    assert [(group.name, group.members.value, group.voters) for group in found.groups] == [
        ("masters", 3, True),
        ("hot", 5, False),
    ]
    assert found.groups[1].roles.value == ["data_hot", "ingest"]
    assert found.running is not None
    assert (found.version.text, found.running.text, found.deletes_claims) == ("8.17.1", "8.16.2", True)


@pytest.mark.parametrize(
    ("config", "voters"),
    [
        (None, True),
        ({}, True),
        ({"node.roles": ["master", "voting_only"]}, True),
        ({"node.roles": []}, False),
        ({"node": {"roles": ["data"]}}, False),
        ({"node": {"roles": ["master", "data"]}}, True),
        ({"node.master": False}, False),
        ({"node": {"master": True}}, True),
    ],
)
def test_a_node_may_become_master_unless_its_roles_say_otherwise(config: Any, voters: bool) -> None:
    assert node_set(config=config).groups[0].voters is voters


@pytest.mark.parametrize(
    ("given", "volumes"),
    [
        ({}, [("elasticsearch-data", None, GI, None)]),
        ({"volumeClaimTemplates": [template("fast", "5Gi")]}, [("elasticsearch-data", "fast", 5 * GI, None)]),
        (
            {"volumeClaimTemplates": [template("fast", "5Gi", "archive")]},
            [("archive", "fast", 5 * GI, None), ("elasticsearch-data", None, GI, None)],
        ),
        (
            {"podTemplate": {"spec": {"volumes": [{"name": "elasticsearch-data", "emptyDir": {}}]}}},
            [("elasticsearch-data", None, None, True)],
        ),
        (
            {"podTemplate": {"spec": {"volumes": [{"name": "keys", "emptyDir": {}}]}}},
            [("elasticsearch-data", None, GI, None)],
        ),
    ],
)
def test_a_node_set_without_a_data_volume_gets_the_one_of_the_operator(given: Any, volumes: Any) -> None:
    found = node_set(**given).groups[0].volumes
    assert [(one.name, one.storage_class.value, one.bytes, one.ephemeral.value) for one in found] == volumes


def test_claims_of_an_elasticsearch_are_known_by_name() -> None:
    found = service(ELASTIC)
    item: Object = {"metadata": {"name": "elasticsearch-data-logs-es-hot-2"}}
    assert [found.adapter.claim_is_of(found, group, group.volumes[0], item) for group in found.groups] == [False, True]


@pytest.mark.parametrize(
    ("policy", "deletes"), [("DeleteOnScaledownOnly", False), ("DeleteOnScaledownAndClusterDeletion", True), (None, True)]
)
def test_claims_of_an_elasticsearch_go_unless_only_scaling_deletes_them(policy: str | None, deletes: bool) -> None:
    found = service(ELASTIC, {"spec": {"volumeClaimDeletePolicy": policy}})
    assert found.deletes_claims is deletes
    assert any(one.denies and "claims are deleted" in one.what for one in found.unsafe) is deletes


@pytest.mark.parametrize(
    ("patch", "what", "denies"),
    [
        ({"metadata": {"annotations": {"eck.k8s.elastic.co/disable-downgrade-validation": "true"}}}, "downgrades", True),
        ({"metadata": {"annotations": {"eck.k8s.elastic.co/disable-upgrade-predicates": "*"}}}, "restarted", True),
        ({"spec": {"podDisruptionBudget": {}}}, "PodDisruptionBudget", False),
        ({"spec": {"updateStrategy": {"changeBudget": {"maxUnavailable": -1}}}}, "any number", False),
    ],
)
def test_a_safeguard_of_an_elasticsearch_that_is_off_is_told(patch: dict[str, Any], what: str, denies: bool) -> None:
    kept = {"spec": {"volumeClaimDeletePolicy": "DeleteOnScaledownOnly"}}
    assert service(cases.merge(ELASTIC, kept)).unsafe == ()
    (one,) = service(cases.merge(ELASTIC, kept), patch).unsafe
    assert what in one.what
    assert one.denies is denies


def test_the_secrets_of_an_elasticsearch_follow_its_name_or_its_fields() -> None:
    made = {one.name: (one.role, one.made) for one in service(ELASTIC).secrets}
    assert made["logs-es-elastic-user"] == ("credentials", "operator")
    assert made["logs-es-transport-ca-internal"] == ("ca", "operator")
    own = {
        "spec": {
            "transport": {"tls": {"certificate": {"secretName": "root"}}},
            "secureSettings": [{"secretName": "s3-keys"}],
            "auth": {"fileRealm": [{"secretName": "people"}]},
        }
    }
    given = {one.name: (one.role, one.made) for one in service(ELASTIC, own).secrets}
    assert "logs-es-transport-ca-internal" not in given
    assert (given["root"], given["s3-keys"], given["people"]) == (("ca", "user"), ("key", "user"), ("credentials", "user"))


@pytest.mark.parametrize(
    ("annotations", "paused"),
    [({"managed": "false"}, True), ({"pause-orchestration": "true"}, True), ({"managed": "true"}, False)],
)
def test_an_elasticsearch_is_paused_by_annotation(annotations: dict[str, str], paused: bool) -> None:
    given = {f"eck.k8s.elastic.co/{key}": value for key, value in annotations.items()}
    assert service(ELASTIC, {"metadata": {"annotations": given}}).field("paused").value is paused


# --- OpenSearch ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", ["opensearch.org", "opensearch.opster.io"])
def test_node_pools_are_the_groups_of_an_opensearch_cluster(group: str) -> None:
    found = service({**OPENSEARCH, "apiVersion": f"{group}/v1"})
    assert [(one.name, one.members.value, one.voters) for one in found.groups] == [("managers", 3, True), ("data", 4, False)]
    managers, nodes = (one.volumes[0] for one in found.groups)
    assert (managers.storage_class.value, managers.bytes, managers.ephemeral.value) == ("fast", 30 * GI, False)
    assert (nodes.storage_class.value, nodes.bytes) == (None, 200 * GI)
    assert found.running is not None
    assert (found.version.text, found.running.text, found.deletes_claims) == ("2.19.1", "2.18.0", False)
    assert found.archives == (
        Archive("copies", "logs", ("spec", "general", "snapshotRepositories", 0, "settings", "bucket")),
    )


@pytest.mark.parametrize(
    ("persistence", "volumes"),
    [({"emptyDir": {}}, [("data", True)]), ({"hostPath": {"path": "/x"}}, []), (None, [("data", False)])],
)
def test_a_node_pool_may_keep_nothing(persistence: Any, volumes: list[tuple[str, bool]]) -> None:
    pool = {"component": "all", "replicas": 3, "roles": ["master", "data"], "persistence": persistence}
    (group,) = service(OPENSEARCH, {"spec": {"nodePools": [pool]}}).groups
    assert [(one.name, one.ephemeral.value) for one in group.volumes] == volumes
    assert group.voters is True


def test_claims_of_an_opensearch_cluster_are_known_by_name() -> None:
    found = service(OPENSEARCH)
    item: Object = {"metadata": {"name": "data-logs-data-0"}}
    assert [found.adapter.claim_is_of(found, group, group.volumes[0], item) for group in found.groups] == [False, True]


def test_the_secrets_of_an_opensearch_cluster_are_those_made_and_those_named() -> None:
    assert [(one.name, one.made) for one in service(OPENSEARCH).secrets] == [
        ("front", "user"),
        ("logs-transport-cert", "operator"),
        ("logs-admin-cert", "operator"),
    ]


@pytest.mark.parametrize(
    "patch",
    [
        {"spec": {"general": {"drainDataNodes": None}}},
        {"spec": {"nodePools": [{"component": "managers", "replicas": 3, "roles": ["cluster_manager"]}]}},
    ],
)
def test_a_safeguard_of_an_opensearch_cluster_that_is_off_is_told(patch: dict[str, Any]) -> None:
    assert service(OPENSEARCH).unsafe == ()
    assert [one.denies for one in service(OPENSEARCH, patch).unsafe] == [False]
