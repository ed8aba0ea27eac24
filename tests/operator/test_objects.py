"""What a service is made of, and what counts as a difference."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import owned, settled, stamped
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Container
from stateward.operator.informer import keys_of
from stateward.operator.objects import network, quorum, workload
from stateward.operator.objects.common import owner
from stateward.operator.objects.workload import Running
from stateward.operator.service import Service, not_carried_out, read

RUNNING = Running(3, "3.5.16", "registry.test/etcd:x", "fast", "1Gi", {"stateward.dev/formed": "true"})


def service(**spec: Any) -> Service:
    return read(model(**spec))


def model(**spec: Any) -> StatefulService:
    return StatefulService.model_validate(
        {
            "apiVersion": "stateward.dev/v1beta1",
            "kind": "StatefulService",
            "metadata": {"name": "db", "namespace": "prod", "uid": "u1"},
            "spec": {
                "engine": "etcd",
                "version": "3.5.16",
                "members": 3,
                "storage": {"size": "1Gi"},
                "tls": {"enabled": False},
                **spec,
            },
        }
    )


def container() -> Container:
    driver = catalogue.find("etcd")
    assert driver is not None
    return driver.container("3.5.16")


def pod(**spec: Any) -> dict[str, Any]:
    return workload.pod(service(**spec), container(), RUNNING)


@pytest.mark.parametrize(("voters", "needed", "spare"), [(1, 1, 0), (2, 2, 0), (3, 2, 1), (4, 3, 1), (5, 3, 2), (7, 4, 3)])
def test_a_majority_is_more_than_half(voters: int, needed: int, spare: int) -> None:
    assert (quorum.quorum(voters), quorum.spare(voters)) == (needed, spare)


@given(st.integers(1, 99), st.integers(0, 16))
def test_a_budget_never_gives_more_than_the_majority_can_spare(members: int, asked: int) -> None:
    one = service(availability={"disruption": {"maxUnavailable": asked}})
    given_away = quorum.budget(one, members)["spec"]["maxUnavailable"]
    assert given_away <= asked
    assert members - given_away >= quorum.quorum(members)


def test_pods_are_of_the_restricted_profile() -> None:
    made = pod()
    assert made["securityContext"]["runAsNonRoot"] is True
    assert made["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    only = made["containers"][0]["securityContext"]
    assert only["allowPrivilegeEscalation"] is False
    assert only["readOnlyRootFilesystem"] is True
    assert only["capabilities"] == {"drop": ["ALL"]}
    assert made["automountServiceAccountToken"] is False


def test_a_member_without_a_quorum_is_not_ready_but_is_let_live() -> None:
    only = pod()["containers"][0]
    assert only["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert only["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_members_keep_apart_as_strictly_as_is_asked_for() -> None:
    strict = pod(availability={"zones": ["a", "b"], "spread": {"nodes": "Required", "zones": "Required"}})
    anti = strict["affinity"]["podAntiAffinity"]
    assert anti["requiredDuringSchedulingIgnoredDuringExecution"][0]["topologyKey"] == "kubernetes.io/hostname"
    assert strict["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"
    terms = strict["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert terms[0]["matchExpressions"][0]["values"] == ["a", "b"]
    loose = pod(availability={"spread": {"nodes": "Preferred"}})
    assert "requiredDuringSchedulingIgnoredDuringExecution" not in loose["affinity"]["podAntiAffinity"]
    assert loose["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "ScheduleAnyway"


def test_pods_are_replaced_by_the_loop_alone_and_claims_outlive_their_set() -> None:
    spec = workload.stateful_set(service(), container(), RUNNING)["spec"]
    assert spec["updateStrategy"] == {"type": "OnDelete"}
    assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert spec["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"


def test_the_image_is_what_runs_and_resources_are_what_is_asked_for() -> None:
    only = pod(image="registry.test/etcd:y", resources={"requests": {"cpu": 1}})["containers"][0]
    assert only["image"] == "registry.test/etcd:x"
    assert only["resources"] == {"requests": {"cpu": 1}}
    assert container().image == "quay.io/coreos/etcd:v3.5.16"
    assert pod()["containers"][0]["resources"] == {"requests": {"cpu": "100m", "memory": "128Mi"}}


def test_only_members_and_the_operator_reach_the_port_that_is_for_members() -> None:
    ingress = network.policy(service(), container(), "stateward")["spec"]["ingress"]
    clients, members = ingress
    assert [one["port"] for one in clients["ports"]] == [2379]
    assert {"podSelector": {}} in clients["from"]
    assert [one["port"] for one in members["ports"]] == [2380, 2381]
    operator = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "stateward"}}}
    assert members["from"] == [{"podSelector": {"matchLabels": {"stateward.dev/service": "db"}}}, operator]


def test_members_find_each_other_before_they_are_ready_and_clients_find_ready_ones_alone() -> None:
    headless, clients = network.services(service(), container(), False)
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert headless["spec"]["clusterIP"] == "None"
    assert "publishNotReadyAddresses" not in clients["spec"]


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({}, ""),
        ({"tls": {"enabled": True, "authority": "ca"}}, ""),
        ({"storage": {"size": "1Gi", "wal": {"size": "1Gi"}}}, "storage.wal"),
        ({"tls": {"enabled": False, "authority": "ca"}}, "tls.authority"),
    ],
)
def test_what_is_asked_for_and_not_carried_out_is_named(spec: dict[str, Any], said: str) -> None:
    assert not_carried_out(model(**spec), wal=False).startswith(said)
    assert bool(not_carried_out(model(**spec), wal=False)) == bool(said)


# --- differences -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "live", "same"),
    [
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {"a": 2}, False),
        ({"a": 1}, {}, False),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, False),
        ({"a": True}, {"a": 1}, False),
        ({"cpu": "0.5"}, {"cpu": "500m"}, True),
        ({"cpu": 1}, {"cpu": "1"}, True),
        ({"cpu": "1Gi"}, {"cpu": "1G"}, False),
        ({"a": {}}, {"a": {"b": 1}}, True),
    ],
)
def test_what_the_server_or_others_add_is_no_difference(wanted: Any, live: Any, same: bool) -> None:
    assert settled(wanted, live) is same


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), JSON, max_size=3), st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_an_object_has_all_that_is_wanted_of_itself_whatever_is_added(wanted: dict[str, Any], more: dict[str, Any]) -> None:
    assert settled(wanted, {**more, **wanted})


def test_another_wanted_object_has_another_mark() -> None:
    one = workload.stateful_set(service(), container(), RUNNING)
    other = workload.stateful_set(service(members=5), container(), Running(5, "3.5.16", "x", "fast", "1Gi", {}))
    marks = {stamped(item)["metadata"]["annotations"]["stateward.dev/applied"] for item in (one, one, other)}
    assert len(marks) == 2


def test_an_object_of_an_earlier_service_of_the_same_name_is_not_ours() -> None:
    one = service()
    theirs = {**owner(one), "uid": "earlier"}
    assert owned({"metadata": {"ownerReferences": [owner(one)]}}, one)
    assert not owned({"metadata": {"ownerReferences": [theirs]}}, one)
    assert not owned({"metadata": {"ownerReferences": [{**owner(one), "controller": False}]}}, one)
    assert not owned({"metadata": {}}, one)


def test_objects_lead_to_their_service_by_owner_and_pods_and_claims_by_label() -> None:
    one = service()
    by_owner = workload.stateful_set(one, container(), RUNNING)
    by_label = {"kind": "Pod", "metadata": {"namespace": "prod", "name": "x", "labels": {"stateward.dev/service": "db"}}}
    itself = {"apiVersion": "stateward.dev/v1beta1", "kind": "StatefulService", "metadata": by_owner["metadata"]}
    assert keys_of(by_owner) == keys_of(by_label) == keys_of(itself) == [("prod", "db")]
    assert keys_of({"kind": "Pod", "metadata": {"namespace": "prod", "name": "x"}}) == []


def test_clients_of_an_engine_with_a_primary_reach_it_by_a_service_of_its_own() -> None:
    _, primary, replicas = network.services(service(), container(), True)
    assert (primary["metadata"]["name"], replicas["metadata"]["name"]) == ("db", "db-replicas")
    assert primary["spec"]["selector"] == {"stateward.dev/service": "db", "stateward.dev/role": "primary"}
    assert replicas["spec"]["selector"] == {"stateward.dev/service": "db", "stateward.dev/role": "replica"}
