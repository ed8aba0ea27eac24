"""Operators' custom resources, edited as people edit them: what hurts is refused by every way, its neighbour passes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cluster_kit import Done, Item, Kubectl, merged, postgres_cluster

DRY = "--dry-run=server"


def elasticsearch(name: str) -> Item:
    claim = {
        "metadata": {"name": "elasticsearch-data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "standard",
            "resources": {"requests": {"storage": "10Gi"}},
        },
    }
    return {
        "apiVersion": "elasticsearch.k8s.elastic.co/v1",
        "kind": "Elasticsearch",
        "metadata": {"name": name},
        "spec": {
            "version": "8.17.1",
            "volumeClaimDeletePolicy": "DeleteOnScaledownOnly",
            "nodeSets": [{"name": "masters", "count": 3, "config": {}, "volumeClaimTemplates": [claim]}],
        },
    }


def rabbitmq(name: str) -> Item:
    return {
        "apiVersion": "rabbitmq.com/v1beta1",
        "kind": "RabbitmqCluster",
        "metadata": {"name": name},
        "spec": {
            "replicas": 3,
            "image": "docker.io/library/rabbitmq:4.0.5-management",
            "persistence": {"storageClassName": "standard", "storage": "10Gi"},
        },
    }


def mariadb(name: str) -> Item:
    return {
        "apiVersion": "k8s.mariadb.com/v1alpha1",
        "kind": "MariaDB",
        "metadata": {"name": name},
        "spec": {
            "image": "docker-registry1.mariadb.com/library/mariadb:11.4.4",
            "replicas": 3,
            "galera": {"enabled": True},
            "rootPasswordSecretKeyRef": {"name": "root", "key": "password"},
            "storage": {"size": "10Gi", "storageClassName": "standard"},
        },
    }


def cassandra(name: str) -> Item:
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "standard",
        "resources": {"requests": {"storage": "10Gi"}},
    }
    return {
        "apiVersion": "cassandra.datastax.com/v1beta1",
        "kind": "CassandraDatacenter",
        "metadata": {"name": name},
        "spec": {
            "clusterName": "shop",
            "serverType": "cassandra",
            "serverVersion": "4.1.7",
            "size": 3,
            "racks": [{"name": "r1"}, {"name": "r2"}, {"name": "r3"}],
            "storageConfig": {"cassandraDataVolumeClaimSpec": claim},
        },
    }


@dataclass(frozen=True)
class Operated:
    """A kind, an edit of it that hurts, the rule that says so, and a neighbour that is right."""

    resource: str
    make: Callable[[str], Item]
    bad: dict[str, Any]
    rule: str
    good: dict[str, Any]


KINDS = {
    "CloudNativePG, a downgrade": Operated(
        "clusters.postgresql.cnpg.io",
        postgres_cluster,
        {"spec": {"imageName": "ghcr.io/cloudnative-pg/postgresql:15.3"}},
        "SW301",
        {"spec": {"imageName": "ghcr.io/cloudnative-pg/postgresql:16.6"}},
    ),
    "ECK, a major back": Operated(
        "elasticsearches.elasticsearch.k8s.elastic.co",
        elasticsearch,
        {"spec": {"version": "7.17.0"}},
        "SW301",
        {"spec": {"version": "8.17.2"}},
    ),
    "RabbitMQ, members taken away": Operated(
        "rabbitmqclusters.rabbitmq.com", rabbitmq, {"spec": {"replicas": 1}}, "SW201", {"spec": {"replicas": 5}}
    ),
    "RabbitMQ, a smaller disk": Operated(
        "rabbitmqclusters.rabbitmq.com",
        rabbitmq,
        {"spec": {"persistence": {"storage": "5Gi"}}},
        "SW102",
        {"spec": {"persistence": {"storage": "20Gi"}}},
    ),
    "MariaDB, one member of three": Operated(
        "mariadbs.k8s.mariadb.com", mariadb, {"spec": {"replicas": 1}}, "SW201", {"spec": {"replicas": 5}}
    ),
    "MariaDB, a major back": Operated(
        "mariadbs.k8s.mariadb.com",
        mariadb,
        {"spec": {"image": "docker-registry1.mariadb.com/library/mariadb:10.11.8"}},
        "SW301",
        {"spec": {"image": "docker-registry1.mariadb.com/library/mariadb:11.4.5"}},
    ),
    "cass-operator, another cluster name": Operated(
        "cassandradatacenters.cassandra.datastax.com",
        cassandra,
        {"spec": {"clusterName": "store"}},
        "SW810",
        {"spec": {"serverVersion": "4.1.8"}},
    ),
    "cass-operator, a major back": Operated(
        "cassandradatacenters.cassandra.datastax.com",
        cassandra,
        {"spec": {"serverVersion": "3.11.17"}},
        "SW301",
        {"spec": {"size": 6}},
    ),
}


def by_apply(kubectl: Kubectl, one: Operated, item: Item, patch: dict[str, Any], *more: str) -> Done:
    return kubectl("apply", "-f", "-", *more, stdin=merged(item, patch))


def by_server_side_apply(kubectl: Kubectl, one: Operated, item: Item, patch: dict[str, Any], *more: str) -> Done:
    asked = ("apply", "--server-side", "--force-conflicts", "--field-manager=ci", "-f", "-")
    return kubectl(*asked, *more, stdin=merged(item, patch))


def by_patch(kubectl: Kubectl, one: Operated, item: Item, patch: dict[str, Any], *more: str) -> Done:
    return kubectl("patch", one.resource, item["metadata"]["name"], "--type=merge", "-p", json.dumps(patch), *more)


def by_replace(kubectl: Kubectl, one: Operated, item: Item, patch: dict[str, Any], *more: str) -> Done:
    return kubectl("replace", "-f", "-", *more, stdin=merged(item, patch))


WAYS = (by_apply, by_server_side_apply, by_patch, by_replace)


@pytest.mark.parametrize("name", KINDS)
def test_an_edit_that_hurts_is_refused_by_every_way_and_its_neighbour_passes(kubectl: Kubectl, name: str) -> None:
    one = KINDS[name]
    item = one.make("main")
    kubectl.must("apply", "-f", "-", stdin=item)
    # The first request about a kind may meet a door that has not yet heard of the object.
    kubectl.refused("patch", one.resource, "main", "--type=merge", "-p", json.dumps(one.bad), DRY)
    before = kubectl.get(one.resource, "main")["spec"]
    for way in WAYS:
        for dry in ((DRY,), ()):
            done = way(kubectl, one, item, one.bad, *dry)
            assert done.refused, f"{way.__name__}: {done}"
            assert one.rule in done.rules, f"{way.__name__}: {done}"
    assert kubectl.get(one.resource, "main")["spec"] == before

    for way in WAYS:
        done = way(kubectl, one, item, one.good, DRY)
        assert done.passed, f"{way.__name__}: {done}"
    assert by_apply(kubectl, one, item, one.good).passed


@pytest.mark.parametrize("make", [elasticsearch, rabbitmq, mariadb, cassandra])
def test_labels_pass_and_a_deletion_is_refused_until_it_is_confirmed(kubectl: Kubectl, make: Callable[[str], Item]) -> None:
    item = make("main")
    kubectl.must("apply", "-f", "-", stdin=item)
    resource = next(one.resource for one in KINDS.values() if one.make is make)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIMS[resource]["name"], "labels": CLAIMS[resource]["labels"]},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    }
    kubectl.must("create", "-f", "-", stdin=claim)
    kubectl.must("label", resource, "main", "team=shop")

    refused = kubectl.refused("delete", resource, "main", DRY)
    everything = kubectl("delete", resource, "--all")
    kubectl.must("annotate", resource, "main", "stateward.dev/confirm-delete=main")
    passed = kubectl.passes("delete", resource, "main", DRY)

    assert "SW401" in refused.rules, str(refused)
    assert everything.refused, str(everything)
    assert passed.passed


CLAIMS: dict[str, dict[str, Any]] = {
    "elasticsearches.elasticsearch.k8s.elastic.co": {
        "name": "elasticsearch-data-main-es-masters-0",
        "labels": {"elasticsearch.k8s.elastic.co/cluster-name": "main"},
    },
    "rabbitmqclusters.rabbitmq.com": {"name": "persistence-main-server-0", "labels": {}},
    "mariadbs.k8s.mariadb.com": {"name": "storage-main-0", "labels": {}},
    "cassandradatacenters.cassandra.datastax.com": {
        "name": "server-data-shop-main-r1-sts-0",
        "labels": {"cassandra.datastax.com/datacenter": "main"},
    },
}
"""The first claim that each operator makes for a service called main."""


def test_a_scale_of_galera_is_judged_through_its_subresource(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=mariadb("main"))

    last = kubectl.refused("scale", "mariadbs.k8s.mariadb.com/main", "--replicas=1", DRY)
    more = kubectl("scale", "mariadbs.k8s.mariadb.com/main", "--replicas=5", DRY)

    assert "SW201" in last.rules
    assert more.passed, str(more)


def test_an_older_version_of_a_kind_is_judged_as_the_stored_one(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=elasticsearch("main"))
    asked = "elasticsearches.v1beta1.elasticsearch.k8s.elastic.co/main"
    older = json.dumps({"spec": {"version": "7.17.0"}})

    done = kubectl.refused("patch", asked, "--type=merge", "-p", older, DRY)

    assert "SW301" in done.rules


def test_a_crd_whose_objects_live_is_not_deleted(kubectl: Kubectl) -> None:
    kubectl.must("apply", "-f", "-", stdin=rabbitmq("main"))

    done = kubectl.refused("delete", "crd", "rabbitmqclusters.rabbitmq.com", DRY)

    assert done.rules == ["SW404"], str(done)
