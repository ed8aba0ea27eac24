"""Whom a request is about: its own object, the parent of a scale, the hub of a pool, the set of an evicted pod."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from stateward.policies import cases
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.request import Request
from stateward.policies.resolve import parent_of_scale, resolve
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, MemoryView, Object, kind_of_object, nothing_complete

SET: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "locks", "namespace": "platform", "uid": "set-1"},
    "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "zookeeper", "image": "zookeeper:3.9.3"}]}}},
}
CLUSTER: Object = {
    "apiVersion": "postgresql.cnpg.io/v1",
    "kind": "Cluster",
    "metadata": {"name": "ledger", "namespace": "platform"},
    "spec": {"instances": 3},
}
HUB: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "Kafka",
    "metadata": {"name": "clicks", "namespace": "platform"},
    "spec": {"kafka": {"version": "4.1.0"}},
}


def pool(name: str, replicas: int, cluster: str = "clicks") -> Object:
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaNodePool",
        "metadata": {"name": name, "namespace": "platform", "labels": {"strimzi.io/cluster": cluster}},
        "spec": {"replicas": replicas, "roles": ["broker"]},
    }


def scale(name: str, replicas: int | None) -> Object:
    spec = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": name, "namespace": "platform"},
        "spec": spec,
    }


def asked(operation: str, old: Object | None, new: Object | None, subresource: str = "", **further: Any) -> Request:
    subject = new or old or {}
    kind = {"scale": "Scale.autoscaling", "eviction": "Eviction.policy"}.get(subresource, kind_of_object(subject))
    metadata: Mapping[str, Any] = subject["metadata"]
    return Request(
        kind=kind,
        operation=operation,
        name=metadata.get("name", ""),
        namespace=metadata.get("namespace", ""),
        object=new,
        old=old,
        subresource=subresource,
        **further,
    )


# --- objects themselves ----------------------------------------------------------------------------------------------


def test_an_object_with_an_adapter_is_its_own_service() -> None:
    new = cases.merge(SET, {"spec": {"replicas": 5}})
    (change,) = resolve(asked("UPDATE", SET, new), EMPTY_VIEW)
    assert change.old is not None
    assert change.new is not None
    assert (change.old.members, change.new.members, change.via) == (3, 5, "")
    assert change.subject is new


@pytest.mark.parametrize(("operation", "old", "new"), [("CREATE", None, SET), ("DELETE", SET, None)])
def test_what_is_not_there_is_none(operation: str, old: Object | None, new: Object | None) -> None:
    (change,) = resolve(asked(operation, old, new), EMPTY_VIEW)
    assert (change.old is None, change.new is None) == (old is None, new is None)
    assert change.subject is SET


def test_an_object_without_an_adapter_is_no_service() -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}}
    (change,) = resolve(asked("DELETE", namespace, None), EMPTY_VIEW)
    assert (change.service, change.old_object, change.subject) == (None, namespace, namespace)


def test_another_subresource_is_no_service() -> None:
    (change,) = resolve(asked("UPDATE", SET, SET, "status"), EMPTY_VIEW)
    assert (change.service, change.via) == (None, "status")


# --- scale -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parent", [SET, CLUSTER], ids=lambda one: one["kind"])
@pytest.mark.parametrize(("old", "new"), [(3, 1), (3, 0), (1, 5)])
def test_a_scale_is_its_parent_with_another_number(parent: Object, old: int, new: int) -> None:
    name = parent["metadata"]["name"]
    (change,) = resolve(asked("UPDATE", scale(name, old), scale(name, new), "scale"), MemoryView([parent]))
    assert change.old is not None
    assert change.new is not None
    assert (change.old.members, change.new.members, change.via) == (old, new, "scale")
    assert change.new.kind == kind_of_object(parent)
    assert change.subject["metadata"] == parent["metadata"]


def test_a_scale_without_a_number_means_none() -> None:
    (change,) = resolve(asked("UPDATE", scale("locks", 3), scale("locks", None), "scale"), MemoryView([SET]))
    assert change.new is not None
    assert change.new.members == 0


def test_the_parent_of_a_scale_is_not_changed_by_looking() -> None:
    resolve(asked("UPDATE", scale("locks", 3), scale("locks", 9), "scale"), MemoryView([SET]))
    assert SET["spec"]["replicas"] == 3


def test_the_resource_of_the_request_tells_which_parent_is_meant() -> None:
    twin = cases.merge(CLUSTER, {"metadata": {"name": "locks"}})
    view = MemoryView([SET, twin])
    for resource, kind in (("clusters", "Cluster.postgresql.cnpg.io"), ("statefulsets", "StatefulSet.apps")):
        request = asked("UPDATE", scale("locks", 3), scale("locks", 1), "scale", resource=resource)
        found = parent_of_scale(request, view)
        assert found is not None
        assert found[0].kind == kind


@pytest.mark.parametrize("view", [EMPTY_VIEW, MemoryView([cases.merge(SET, {"metadata": {"name": "others"}})])])
def test_a_scale_whose_parent_is_not_there_is_no_service(view: MemoryView) -> None:
    request = asked("UPDATE", scale("locks", 3), scale("locks", 1), "scale")
    assert parent_of_scale(request, view) is None
    (change,) = resolve(request, view)
    assert (change.service, change.via, change.new_object) == (None, "scale", request.object)


def test_a_scale_of_a_kind_that_cannot_scale_has_no_parent() -> None:
    request = asked("UPDATE", scale("clicks", 3), scale("clicks", 1), "scale", resource="kafkas")
    assert parent_of_scale(request, MemoryView([HUB])) is None


@pytest.mark.parametrize("spec", [None, [], "three", {"instances": 3}])
def test_a_parent_of_another_shape_still_gets_the_number(spec: Any) -> None:
    parent = {**SET, "spec": spec}
    (change,) = resolve(asked("UPDATE", scale("locks", 3), scale("locks", 1), "scale"), MemoryView([parent]))
    assert change.new is not None
    assert change.new.members == 1


# --- pools -----------------------------------------------------------------------------------------------------------


def test_a_pool_is_its_kafka_with_this_pool_replaced() -> None:
    view = MemoryView([HUB, pool("a", 3), pool("b", 2), pool("c", 7, "others")])
    (change,) = resolve(asked("UPDATE", pool("a", 3), pool("a", 5)), view)
    assert change.old is not None
    assert change.new is not None
    assert (change.old.kind, change.via) == ("Kafka.kafka.strimzi.io", "pool")
    assert (change.old.members, change.new.members) == (5, 7)
    assert {name: group.members.value for name, group in change.new.groups_by_name.items()} == {"a": 5, "b": 2}


def test_a_new_pool_joins_and_a_deleted_one_leaves() -> None:
    view = MemoryView([HUB, pool("a", 3), pool("b", 2)])
    (joins,) = resolve(asked("CREATE", None, pool("c", 4)), view)
    assert joins.old is not None
    assert joins.new is not None
    assert (joins.old.members, joins.new.members) == (5, 9)
    (leaves,) = resolve(asked("DELETE", pool("b", 2), None), view)
    assert leaves.old is not None
    assert leaves.new is not None
    assert (leaves.old.members, leaves.new.members) == (5, 3)


def test_a_scale_of_a_pool_is_its_kafka() -> None:
    view = MemoryView([HUB, pool("a", 3), pool("b", 2)])
    request = asked("UPDATE", scale("a", 3), scale("a", 1), "scale", resource="kafkanodepools")
    (change,) = resolve(request, view)
    assert change.old is not None
    assert change.new is not None
    assert (change.old.members, change.new.members, change.via) == (5, 3, "pool")
    assert change.request is request


@pytest.mark.parametrize(
    ("item", "view"),
    [
        (pool("a", 3), EMPTY_VIEW),
        (pool("a", 3), MemoryView([cases.merge(HUB, {"metadata": {"name": "others"}})])),
        (cases.merge(pool("a", 3), {"metadata": {"labels": None}}), MemoryView([HUB])),
        (cases.merge(pool("a", 3), {"metadata": {"labels": {"strimzi.io/cluster": 5}}}), MemoryView([HUB])),
    ],
    ids=["unknown", "absent", "unlabelled", "wrong type"],
)
def test_a_pool_without_its_kafka_speaks_for_itself(item: Object, view: MemoryView) -> None:
    (change,) = resolve(asked("UPDATE", item, cases.merge(item, {"spec": {"replicas": 5}})), view)
    assert change.old is not None
    assert change.new is not None
    assert (change.new.kind, change.via) == ("KafkaNodePool.kafka.strimzi.io", "pool")
    assert (change.old.members, change.new.members) == (3, 5)


def test_where_other_pools_are_unknown_only_this_one_is_compared() -> None:
    (change,) = resolve(asked("UPDATE", pool("a", 3), pool("a", 5)), MemoryView([HUB], nothing_complete))
    assert change.old is not None
    assert change.new is not None
    assert (change.old.members, change.new.members) == (3, 5)


# --- evictions -------------------------------------------------------------------------------------------------------

EVICTION: Object = {
    "apiVersion": "policy/v1",
    "kind": "Eviction",
    "metadata": {"name": "locks-0", "namespace": "platform"},
}


def pod(**owner: Any) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "locks", "controller": True, **owner}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "locks-0", "namespace": "platform", "ownerReferences": [reference]},
    }


@pytest.mark.parametrize("owner", [{}, {"uid": "set-1"}])
def test_an_eviction_is_about_the_set_of_its_pod(owner: dict[str, Any]) -> None:
    (change,) = resolve(asked("CREATE", None, EVICTION, "eviction"), MemoryView([SET, pod(**owner)]))
    assert change.service is not None
    assert (change.service.title, change.via) == ("StatefulSet platform/locks", "eviction")


@pytest.mark.parametrize(
    "owner", [{"uid": "set-2"}, {"controller": False}, {"name": "others"}, {"kind": "ReplicaSet"}, {"apiVersion": 5}]
)
def test_an_eviction_of_a_pod_of_no_set_is_no_service(owner: dict[str, Any]) -> None:
    (change,) = resolve(asked("CREATE", None, EVICTION, "eviction"), MemoryView([SET, pod(**owner)]))
    assert (change.service, change.via) == (None, "eviction")


def test_an_eviction_of_an_unknown_pod_is_no_service() -> None:
    (change,) = resolve(asked("CREATE", None, EVICTION, "eviction"), EMPTY_VIEW)
    assert (change.service, change.new_object) == (None, EVICTION)


# --- changes ---------------------------------------------------------------------------------------------------------


def touched(old: Object, patch: Mapping[str, Any]) -> frozenset[str] | None:
    (change,) = resolve(asked("UPDATE", old, cases.merge(old, patch)), EMPTY_VIEW)
    return change.touched


CONTAINERS = SET["spec"]["template"]["spec"]["containers"]
TOUCHED: list[tuple[str, Object, dict[str, Any], set[str]]] = [
    ("labels", SET, {"metadata": {"labels": {"a": "b"}}}, set()),
    ("status", SET, {"status": {"readyReplicas": 1}}, set()),
    ("replicas", SET, {"spec": {"replicas": 5}}, {"members"}),
    ("storage", CLUSTER, {"spec": {"storage": {"size": "1Gi"}}}, {"volumes"}),
    ("image", CLUSTER, {"spec": {"imageName": "postgresql:17.5"}}, {"version"}),
    ("another field", CLUSTER, {"spec": {"logLevel": "debug"}}, set()),
]


@pytest.mark.parametrize(("old", "patch", "parts"), [row[1:] for row in TOUCHED], ids=[row[0] for row in TOUCHED])
def test_a_change_knows_which_parts_it_touches(old: Object, patch: dict[str, Any], parts: set[str]) -> None:
    assert touched(old, patch) == parts


POD_PARTS = [
    ({"image": "zookeeper:3.9.4"}, "version"),
    ({"args": ["--fast"]}, "settings"),
    ({"command": ["zk"]}, "settings"),
    ({"env": [{"name": "A", "value": "b"}]}, "settings"),
    ({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}, "mounts"),
    ({"resources": {"limits": {"memory": "1Gi"}}}, "resources"),
]


@pytest.mark.parametrize(("container", "part"), POD_PARTS, ids=[part for _, part in POD_PARTS])
def test_an_edit_of_a_container_touches_one_part_of_the_pod(container: dict[str, Any], part: str) -> None:
    found = touched(SET, {"spec": {"template": {"spec": {"containers": [{**CONTAINERS[0], **container}]}}}})
    assert found == {"pod", "template", part}


def test_another_container_touches_everything_that_containers_say() -> None:
    for containers in ([*CONTAINERS, {"name": "exporter"}], [{**CONTAINERS[0], "name": "zk"}]):
        found = touched(SET, {"spec": {"template": {"spec": {"containers": containers}}}})
        assert found == {"pod", "template", "version", "settings", "mounts", "resources"}


@pytest.mark.parametrize("affinity", ["affinity", "nodeSelector", "tolerations", "topologySpreadConstraints"])
def test_where_pods_run_is_their_placement(affinity: str) -> None:
    found = touched(SET, {"spec": {"template": {"spec": {affinity: {"x": "y"}}}}})
    assert found == {"pod", "template", "placement"}


@pytest.mark.parametrize("operation", ["CREATE", "DELETE"])
def test_a_creation_and_a_deletion_touch_everything(operation: str) -> None:
    old, new = (None, SET) if operation == "CREATE" else (SET, None)
    (change,) = resolve(asked(operation, old, new), EMPTY_VIEW)
    assert change.touched is None
    assert change.spec_changed


def test_the_change_before_asks_about_the_old_object_alone() -> None:
    (change,) = resolve(asked("UPDATE", SET, cases.merge(SET, {"spec": {"replicas": 5}})), EMPTY_VIEW)
    before = change.before()
    assert before.old is None
    assert before.new is change.old
    assert before.new_object is SET


# --- views -----------------------------------------------------------------------------------------------------------


def test_a_view_in_memory_knows_a_kind_in_full_once_it_has_one_object_of_it() -> None:
    view = MemoryView([SET])
    assert view.get("StatefulSet.apps", "platform", "locks") is SET
    assert view.get("StatefulSet.apps", "platform", "others") is None
    assert view.get("StatefulSet.apps", "elsewhere", "locks") is None
    assert view.get("Pod", "platform", "locks-0") is UNKNOWN
    assert view.select("StatefulSet.apps", "platform") == [SET]
    assert view.select("StatefulSet.apps", "elsewhere") == []
    assert view.select("Pod") is UNKNOWN
    assert list(view.kinds()) == ["StatefulSet.apps"]


def test_backups_that_are_not_given_were_not_taken() -> None:
    assert MemoryView([]).select("VolumeSnapshot.snapshot.storage.k8s.io") == []
    assert MemoryView([]).get("Backup.postgresql.cnpg.io", "bank", "ledger") is None


def test_a_view_of_files_knows_no_kind_in_full() -> None:
    view = MemoryView([SET], nothing_complete)
    assert view.get("StatefulSet.apps", "platform", "locks") is SET
    assert view.get("StatefulSet.apps", "platform", "others") is UNKNOWN
    assert view.select("VolumeSnapshot.snapshot.storage.k8s.io") is UNKNOWN
    assert not UNKNOWN


def test_the_same_adapters_serve_every_request() -> None:
    (one,) = resolve(asked("CREATE", None, SET), EMPTY_VIEW)
    assert one.new is not None
    assert one.new.adapter is ADAPTERS["StatefulSet.apps"]
