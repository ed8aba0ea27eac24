"""Operators as data: whose image it is, of which release, what it looks after, which hops it knows."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import version
from stateward.policies.change import Change
from stateward.policies.engine import evaluate
from stateward.policies.operators import catalogue
from stateward.policies.operators.catalogue import identify, operators, parse_operator
from stateward.policies.operators.move import counted, engine_versions, managers, move, operands, twin
from stateward.policies.request import Request
from stateward.policies.rules import find
from stateward.policies.version import Version
from stateward.policies.view import MemoryView, Sight, accuses

every_operator = pytest.mark.parametrize("operator", operators(), ids=lambda one: one.name)

IMAGES = [
    ("quay.io/strimzi/operator:0.45.1", "strimzi", "0.45.1"),
    ("strimzi/cluster-operator:0.8.2", "strimzi", "0.8.2"),
    ("ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0", "cloudnative-pg", "1.27.0"),
    ("registry.example:5000/mirror/cloudnative-pg/cloudnative-pg:1.27.0-ubi9", "cloudnative-pg", "1.27.0"),
    ("registry.developers.crunchydata.com/crunchydata/postgres-operator:ubi8-5.7.2-0", "crunchy-pgo", "5.7.2"),
    ("registry.opensource.zalan.do/acid/postgres-operator:v1.10.1", "zalando-postgres", "1.10.1"),
    ("percona/percona-xtradb-cluster-operator:1.19.0", "percona-xtradb-cluster", "1.19.0"),
    ("percona/percona-postgresql-operator:1.4.0-pgo-apiserver", "percona-postgresql", "1.4.0"),
    ("container-registry.oracle.com/mysql/community-operator:9.1.0-2.2.2", "oracle-mysql", "2.2.2"),
    ("docker.elastic.co/eck/eck-operator:3.1.0", "eck", "3.1.0"),
    ("minio/operator:v5.0.15", "minio", "5.0.15"),
    ("quay.io/minio/operator:latest", "minio", None),
    ("rook/ceph@sha256:0123", "rook-ceph", None),
    ("docker.io/apecloud/kubeblocks:0.9.1", "kubeblocks", "0.9.1"),
]


@pytest.mark.parametrize(("image", "name", "release"), IMAGES)
def test_an_operator_is_known_by_the_last_parts_of_its_repository(image: str, name: str, release: str | None) -> None:
    operator = identify(image)
    assert operator is not None
    assert operator.name == name
    found = operator.version(image)
    assert (found.text if found is not None else None) == release


@pytest.mark.parametrize(
    "image",
    [
        "",
        "nginx:1.27",
        "operator:1.0",
        "example/strimzi-operator-metrics:1",
        "minio/minio:latest",
        "quay.io/strimzi/kafka:1",
    ],
)
def test_what_is_no_operator_is_none(image: str) -> None:
    assert identify(image) is None


@every_operator
def test_an_operator_runs_kinds_and_says_why_it_restarts_them(operator: catalogue.Operator) -> None:
    assert operator.runs
    assert operator.rolls_source.startswith("https://")
    assert bool(operator.rolls_why) == (operator.rolls != "never")
    assert operator.skip != "deny" or operator.skip_source
    for text in (operator.rolls_why, operator.hold, operator.skip_why, *(row.why for row in operator.steps)):
        assert text == text.strip().rstrip(".")
    for row in (*operator.refuses, *operator.pins):
        assert row.kind in operator.runs


def test_no_two_operators_share_a_name() -> None:
    assert len({operator.name for operator in operators()}) == len(operators())


def release(text: str) -> Version:
    found = version.parse(text)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "old", "new", "left"),
    [
        ("strimzi", "0.44.0", "0.45.1", 0),
        ("strimzi", "0.41.0", "0.45.0", 3),
        ("strimzi", "0.51.0", "1.0.0", None),
        ("mariadb", "0.38.1", "25.8.4", 0),
        ("mariadb", "0.36.0", "25.10.4", 3),
        ("mariadb", "25.8.4", "25.8.5", 0),
        ("cloudnative-pg", "1.25.1", "1.25.3", 0),
    ],
)
def test_the_release_lines_between_two_releases_are_counted(name: str, old: str, new: str, left: int | None) -> None:
    (operator,) = (one for one in operators() if one.name == name)
    assert operator.skipped(release(old), release(new)) == left


def workload(image: str, *env: dict[str, Any], kind: str = "Deployment") -> dict[str, Any]:
    containers = [{"name": "proxy", "image": "envoy:1"}, {"name": "operator", "image": image, "env": list(env)}]
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "operator", "namespace": "ops"},
        "spec": {"replicas": 1, "template": {"spec": {"containers": containers}}},
    }


def changed(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Change:
    request = Request("Deployment.apps", "UPDATE", "operator", "ops", new, old)
    return Change(request, old_object=old, new_object=new)


def test_a_move_is_a_change_of_release_and_nothing_else() -> None:
    old, new = workload("strimzi/operator:0.44.0"), workload("strimzi/operator:0.45.0")
    step = move(changed(old, new))
    assert step is not None
    assert (step.old.text, step.new.text, step.downwards) == ("0.44.0", "0.45.0", False)
    assert step.after.path == ("spec", "template", "spec", "containers", 1, "image")
    assert move(changed(old, workload("mirror.example/strimzi/operator:0.44.0"))) is None
    assert move(changed(old, workload("strimzi/operator:latest"))) is None
    assert move(changed(old, workload("minio/operator:v5.0.15"))) is None
    assert move(changed(None, new)) is None
    assert move(changed(workload("nginx:1"), workload("nginx:2"))) is None


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        (None, None),
        ({"name": "STRIMZI_NAMESPACE", "value": "*"}, None),
        ({"name": "STRIMZI_NAMESPACE", "value": ""}, None),
        ({"name": "STRIMZI_NAMESPACE", "value": "a, b"}, {"a", "b"}),
        ({"name": "STRIMZI_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}, {"ops"}),
        ({"name": "STRIMZI_NAMESPACE", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}, None),
    ],
)
def test_an_operator_looks_after_the_namespaces_that_its_variable_names(entry: Any, wanted: Any) -> None:
    item = workload("strimzi/operator:0.45.0", *([entry] if entry else []))
    (manager,) = managers(item).values()
    assert manager.watches("ops") == wanted


def kafka(name: str, namespace: str, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "Kafka",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"kafka": {}},
    }


def test_operands_are_those_of_its_namespaces_that_are_not_on_their_way_out() -> None:
    objects = [
        kafka("one", "a"),
        kafka("two", "b"),
        kafka("gone", "a", deletionTimestamp="2026-11-21T11:00:00Z"),
        kafka("more", "a"),
    ]
    rule = find("SW707")
    assert rule is not None
    see = Sight(MemoryView(objects), rule.looks_at, {}, 0.0)
    item = workload("strimzi/operator:0.45.0", {"name": "STRIMZI_NAMESPACE", "value": "a"})
    (manager,) = managers(item).values()
    found = operands(manager, changed(item, item), see)
    assert [one.where for one in found] == ["Kafka a/more", "Kafka a/one"]
    assert counted(found) == "2 Kafkas (a/more, a/one)"
    assert counted(found, shown=1) == "2 Kafkas (a/more, …)"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("3.8.0=a\n3.9.0=b\n", {"3.8.0", "3.9.0"}),
        ("3.8.0=a, 3.9.0=b", {"3.8.0", "3.9.0"}),
        ("", None),
        ("nonsense", None),
    ],
)
def test_the_engine_versions_of_a_list_are_read(value: str, wanted: set[str] | None) -> None:
    item = workload("strimzi/operator:0.45.0", {"name": "STRIMZI_KAFKA_IMAGES", "value": value})
    (manager,) = managers(item).values()
    assert engine_versions(manager) == wanted


def test_the_engine_versions_in_names_of_variables_are_read() -> None:
    names = ["RELATED_IMAGE_POSTGRES_16", "RELATED_IMAGE_POSTGRES_17", "RELATED_IMAGE_PGBACKREST"]
    item = workload("crunchydata/postgres-operator:ubi8-5.7.2-0", *({"name": name, "value": "x"} for name in names))
    (manager,) = managers(item).values()
    assert engine_versions(manager) == {"16", "17"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([], "a mapping is wanted"),
        ({"nonsense": 1}, 'unknown field "nonsense"'),
        ({"operator": "x", "title": "X", "images": ["x"], "runs": ["X.x"], "rolls": {"verdict": "yes"}}, "rolls.verdict"),
        ({"operator": "x", "title": "X", "images": ["x"], "runs": ["X.x"], "skip": {"verdict": "no"}}, "skip.verdict"),
        (
            {"operator": "x", "title": "X", "images": ["x"], "runs": ["X.x"], "steps": [{"verdict": "deny"}]},
            "why and source",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_why(content: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_operator("x.yaml", content)


@pytest.mark.parametrize(
    ("name", "image", "owner", "args", "runs"),
    [
        ("strimzi-cluster-operator", "quay.io/strimzi/operator:0.48.0", None, [], True),
        ("events-entity-operator", "quay.io/strimzi/operator:0.48.0", ("kafka.strimzi.io/v1", "Kafka"), [], False),
        (
            "strimzi-cluster-operator-v0.48.0",
            "quay.io/strimzi/operator:0.48.0",
            ("operators.coreos.com/v1alpha1", "ClusterServiceVersion"),
            [],
            True,
        ),
        ("mariadb-operator", "ghcr.io/mariadb-operator/mariadb-operator:26.3.0", None, ["--log-level=info"], True),
        ("mariadb-operator-webhook", "ghcr.io/mariadb-operator/mariadb-operator:26.3.0", None, ["webhook"], False),
        ("scylla-operator", "scylladb/scylla-operator:1.18.0", None, ["operator", "--loglevel=2"], True),
        ("webhook-server", "scylladb/scylla-operator:1.18.0", None, ["webhook-server"], False),
    ],
)
def test_companions_of_an_operator_are_none_though_they_run_its_image(
    name: str, image: str, owner: tuple[str, str] | None, args: list[str], runs: bool
) -> None:
    item = workload(image)
    item["metadata"]["name"] = name
    if owner is not None:
        item["metadata"]["ownerReferences"] = [{"apiVersion": owner[0], "kind": owner[1], "name": "events"}]
    item["spec"]["template"]["spec"]["containers"][1]["args"] = args
    assert bool(managers(item)) is runs


@pytest.mark.parametrize(
    ("own", "theirs", "some", "every"),
    [
        (None, None, True, True),
        ("bank", None, True, True),
        (None, "bank", True, False),
        ("bank", "bank,shop", True, True),
        ("bank,shop", "bank", True, False),
        ("bank", "shop", False, False),
    ],
)
def test_a_twin_takes_over_what_it_looks_after_itself(own: str | None, theirs: str | None, some: bool, every: bool) -> None:
    image = "quay.io/strimzi/operator:0.48.0"

    def named(name: str, watched: str | None) -> dict[str, Any]:
        item = workload(image, *([{"name": "STRIMZI_NAMESPACE", "value": watched}] if watched is not None else []))
        item["metadata"] = {"name": name, "namespace": "platform"}
        return item

    item, other = named("one", own), named("two", theirs)
    looks = {kind: accuses(kind) for kind in ("Deployment.apps", "StatefulSet.apps")}
    see = Sight(MemoryView([item, other]), looks, {}, 0.0)
    manager = managers(item)["strimzi"]
    assert (twin(item, manager, "platform", see) is not None) is some
    assert (twin(item, manager, "platform", see, whole=True) is not None) is every


def test_an_operator_and_its_webhook_are_told_apart_in_one_answer() -> None:
    gone = workload("ghcr.io/cloudnative-pg/cloudnative-pg:1.27.0")
    gone["metadata"] = {"name": "cnpg-controller-manager", "namespace": "cnpg-system"}
    gone["spec"]["template"]["metadata"] = {"labels": {"app": "cnpg"}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cnpg-webhook", "namespace": "cnpg-system"}}
    service["spec"] = {"selector": {"app": "cnpg"}}
    client = {"service": {"namespace": "cnpg-system", "name": "cnpg-webhook"}}
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "cnpg"},
        "webhooks": [{"name": "vcluster.cnpg.io", "failurePolicy": "Fail", "clientConfig": client}],
    }
    cluster = {
        "apiVersion": "postgresql.cnpg.io/v1",
        "kind": "Cluster",
        "metadata": {"name": "ledger", "namespace": "bank"},
        "spec": {"instances": 3, "imageName": "ghcr.io/cloudnative-pg/postgresql:17.6", "storage": {"size": "50Gi"}},
    }
    request = Request("Deployment.apps", "DELETE", "cnpg-controller-manager", "cnpg-system", None, gone)
    verdict = evaluate(request, MemoryView([gone, service, hook, cluster]), now=0.0)
    said = {one.rule: one.finding.headline for one in verdict.judged}
    assert said == {
        "SW702": "webhook vcluster.cnpg.io fails closed, and its server is this (validatingwebhookconfiguration/cnpg)",
        "SW725": "leaves 1 Cluster (bank/ledger) without its operator, CloudNativePG",
    }
    assert verdict.allowed
