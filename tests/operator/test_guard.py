"""The rules inside the operator: what they refuse is not carried out, what was accepted stays so."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.kube.errors import ClusterError
from stateward.operator import refusals
from stateward.operator.accepted import changed
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.apply import NotOursError
from stateward.operator.context import ClusterContext
from stateward.operator.drivers import catalogue
from stateward.operator.guard import Guard, Ruling, judge, told
from stateward.operator.service import read
from stateward.policies import review
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.view import EMPTY_VIEW

NOW = 1_790_000_000.0
NAME = "db-accepted"
WHERE = f"/api/v1/namespaces/prod/configmaps/{NAME}"
POLICY = "/apis/stateward.dev/v1alpha1/wardpolicies/stateward"
SPEC: dict[str, Any] = {
    "engine": "etcd",
    "version": "3.5.21",
    "members": 3,
    "storage": {"class": "fast", "size": "8Gi"},
    "tls": {"enabled": False},
}


def service(generation: int = 1, *, ready: int = 3, annotations: dict[str, str] | None = None, **spec: Any) -> Any:
    return {
        "apiVersion": "stateward.dev/v1beta1",
        "kind": "StatefulService",
        "metadata": {
            "name": "db",
            "namespace": "prod",
            "uid": "u-1",
            "generation": generation,
            "annotations": annotations or {},
        },
        "spec": {**copy.deepcopy(SPEC), **spec},
        "status": {"readyMembers": ready, "currentMembers": 3, "runningVersion": "3.5.21"},
    }


class Cluster:
    """An API server that has what it is given, and may refuse."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.error: ClusterError | None = None
        self.asked: list[str] = []

    def get(self, path: str, query: Any = None) -> Any:
        self.asked.append(path)
        if self.error is not None and path == POLICY:
            raise self.error
        if path not in self.objects:
            raise ClusterError(404, "NotFound", f"{path}: not found")
        return self.objects[path]

    def find(self, path: str) -> Any:
        self.asked.append(path)
        return self.objects.get(path)

    def apply(self, path: str, item: Any, *, field_manager: str) -> Any:
        self.objects[path] = orjson.loads(orjson.dumps(item))
        return self.objects[path]


class Cache:
    """What the informers have heard of; it may be behind."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.behind: Any = "not"

    def get(self, kind: str, namespace: str, name: str) -> Any:
        if kind != "ConfigMap":
            return None
        return self.cluster.objects.get(WHERE) if self.behind == "not" else self.behind

    def of(self, kind: str, key: tuple[str, str]) -> list[Any]:
        return []


def guard(cluster: Cluster, cache: Cache | None = None) -> Guard:
    look = cache or Cache(cluster)
    context = ClusterContext(cluster, look, frozenset({"ConfigMap", "Pod", "PersistentVolumeClaim"}))  # type: ignore[arg-type]
    return Guard(cluster, look.get, context, refused)  # type: ignore[arg-type]


def refused(model: StatefulService) -> Any:
    return refusals.of_spec(model, read(model), catalogue.find(model.spec.engine))


def ask(one: Guard, item: Any, found: Any = None, *, write: bool = True, now: float = NOW) -> Ruling:
    return one(item, StatefulService.model_validate(item), found, write=write, now=now)


def member_set(version: str = "3.5.21") -> dict[str, Any]:
    return {
        "metadata": {
            "labels": {"app.kubernetes.io/name": "etcd"},
            "annotations": {"stateward.dev/version": version, "stateward.dev/members": "3"},
        },
        "spec": {
            "volumeClaimTemplates": [
                {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "8Gi"}}}},
            ]
        },
    }


@pytest.fixture
def cluster() -> Cluster:
    """One in which the first spec was accepted."""
    one = Cluster()
    ask(guard(one), service(), member_set())
    assert WHERE in one.objects
    return one


def test_until_something_runs_a_service_is_judged_as_one_that_is_made() -> None:
    one = Cluster()
    assert ask(guard(one), service()).blocked is None
    assert one.objects == {}
    assert ask(guard(one), service(2, members=1)).blocked is None
    refused = ask(guard(one), service(3, members=4))
    assert refused.model is None
    assert refused.blocked is not None
    assert "SW215" in refused.blocked[1]


def carried_out(ruling: Ruling) -> tuple[str, int, str]:
    assert ruling.model is not None
    spec = ruling.model.spec
    return spec.version, spec.members, spec.storage.size


@pytest.mark.parametrize(
    ("spec", "reason", "said"),
    [
        ({"version": "3.4.30"}, "Denied", "SW301"),
        ({"members": 1}, "Denied", "SW201"),
        ({"storage": {"class": "fast", "size": "4Gi"}}, "Denied", "SW102"),
        ({"storage": {"class": "slow", "size": "8Gi"}}, "Denied", "SW101"),
        ({"engine": "oracle"}, "UnknownEngine", "oracle"),
        ({"parameters": {"force-new-cluster": 1}}, "UnsupportedSpec", "force-new-cluster"),
    ],
)
def test_what_was_accepted_goes_on_while_a_change_is_refused(
    cluster: Cluster, spec: dict[str, Any], reason: str, said: str
) -> None:
    ruling = ask(guard(cluster), service(2, **spec))
    assert ruling.blocked is not None
    assert ruling.blocked[0] == reason
    assert said in ruling.blocked[1]
    assert carried_out(ruling) == ("3.5.21", 3, "8Gi")
    assert orjson.loads(cluster.objects[WHERE]["data"]["spec.json"]) == SPEC


def test_the_message_names_rule_field_value_reason_and_next_step(cluster: Cluster) -> None:
    ruling = ask(guard(cluster), service(2, members=1))
    assert ruling.blocked is not None
    message = ruling.blocked[1]
    assert message.startswith("SW201 quorum-lost: spec.members: 3 → 1 leaves less than the majority of 3 (2); etcd still")
    assert "scale by one each time" in message
    assert message.endswith(
        "Set it back, or waive it: kubectl annotate -n prod statefulservices.stateward.dev/db "
        "stateward.dev/waive='SW201 until=TIME reason=\"…\"'"
    )
    assert ask(guard(cluster), service(2, members=1), now=NOW + 3600).blocked == ruling.blocked


def test_a_change_that_passes_is_kept_and_told(cluster: Cluster) -> None:
    ruling = ask(guard(cluster), service(2, members=5, parameters={"snapshot-count": 5000}))
    assert ruling.blocked is None
    assert ruling.decisions == ("accepted: members: 3 → 5, parameters",)
    assert orjson.loads(cluster.objects[WHERE]["data"]["spec.json"])["members"] == 5


def test_what_the_rules_warn_of_is_told_with_what_was_accepted(cluster: Cluster) -> None:
    (told,) = ask(guard(cluster), service(2, members=5, version="3.5.33")).decisions
    assert told.startswith("accepted: members: 3 → 5, version: 3.5.21 → 3.5.33; SW307 changes-at-once warns: spec.version:")


def test_what_was_accepted_is_not_judged_again_whatever_happens(cluster: Cluster) -> None:
    ask(guard(cluster), service(2, version="3.5.33"))
    after_a_restart = guard(cluster)
    ruling = ask(after_a_restart, service(2, version="3.5.33", ready=2))
    assert ruling.blocked is None
    assert carried_out(ruling)[0] == "3.5.33"
    # A new edit of this kind would not pass now.
    blocked = ask(after_a_restart, service(3, version="3.5.40", ready=2)).blocked
    assert blocked is not None
    assert "SW209" in blocked[1]


def test_setting_a_refused_change_back_needs_no_judgement(cluster: Cluster) -> None:
    one = guard(cluster)
    assert ask(one, service(2, members=1)).blocked is not None
    cluster.error = ClusterError(500, "Internal", "no policy can be read")
    ruling = ask(one, service(3, ready=0))
    assert ruling.blocked is None
    assert ruling.decisions == ()


@pytest.mark.parametrize(("running", "passes"), [("3.4.30", True), ("3.5.21", False)], ids=["on the way", "arrived"])
def test_the_way_back_is_open_as_long_as_a_member_runs_the_older_version(running: str, passes: bool) -> None:
    one = Cluster()
    ask(guard(one), service(version="3.4.30"), member_set("3.4.30"))
    wanted = service(2, version="3.5.21")
    wanted["status"]["runningVersion"] = "3.4.30"
    assert ask(guard(one), wanted).blocked is None
    back = service(3, version="3.4.30", ready=2)
    back["status"]["runningVersion"] = running
    assert (ask(guard(one), back).blocked is None) is passes


def test_a_cache_that_is_behind_takes_no_approval_back(cluster: Cluster) -> None:
    cache = Cache(cluster)
    cache.behind = copy.deepcopy(cluster.objects[WHERE])
    one = guard(cluster, cache)
    assert ask(one, service(2, version="3.5.33")).blocked is None
    ruling = ask(one, service(2, version="3.5.33", ready=1))
    assert ruling.blocked is None
    assert carried_out(ruling)[0] == "3.5.33"


def test_an_object_older_than_what_was_accepted_decides_nothing(cluster: Cluster) -> None:
    ask(guard(cluster), service(2, members=5))
    assert ask(guard(cluster), service(1)).behind


def test_a_dry_run_judges_and_keeps_nothing(cluster: Cluster) -> None:
    assert ask(guard(cluster), service(2, members=5), write=False).blocked is None
    assert orjson.loads(cluster.objects[WHERE]["data"]["spec.json"])["members"] == 3


def test_a_waiver_on_the_object_lets_its_rule_pass_until_it_ends(cluster: Cluster) -> None:
    waiver = {"stateward.dev/waive": 'SW201 until=2026-09-22T00:00:00Z reason="one is enough"'}
    assert ask(guard(cluster), service(2, members=1, annotations=waiver), now=NOW + 86400 * 90).blocked is not None
    assert ask(guard(cluster), service(2, members=1, annotations=waiver), now=1_790_000_000 - 86400).blocked is None


def ward_policy(**rules: str) -> dict[str, Any]:
    return {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "metadata": {}, "spec": {"rules": rules}}


def test_the_policy_of_the_cluster_says_what_is_refused(cluster: Cluster) -> None:
    cluster.objects[POLICY] = ward_policy(SW201="warn")
    assert ask(guard(cluster), service(2, members=1)).blocked is None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_without_a_policy_that_may_be_read_the_built_in_one_is_in_force(cluster: Cluster, status: int) -> None:
    cluster.error = ClusterError(status, "No", "no")
    assert ask(guard(cluster), service(2, members=1)).blocked is not None


def test_a_policy_that_means_nothing_leaves_the_built_in_one_in_force(cluster: Cluster) -> None:
    cluster.objects[POLICY] = ward_policy(SW999="off")
    assert ask(guard(cluster), service(2, members=1)).blocked is not None


def test_a_policy_that_may_be_read_in_a_moment_is_waited_for(cluster: Cluster) -> None:
    cluster.error = ClusterError(503, "Unavailable", "later")
    with pytest.raises(ClusterError):
        ask(guard(cluster), service(2, members=5))


def test_a_namespace_in_a_softer_mode_refuses_nothing_inside_either(cluster: Cluster) -> None:
    cluster.objects["/api/v1/namespaces/prod"] = {"metadata": {"name": "prod", "labels": {"stateward.dev/mode": "warn"}}}
    cluster.objects["/api/v1"] = {
        "resources": [{"kind": "Namespace", "name": "namespaces", "namespaced": False, "verbs": []}]
    }
    assert ask(guard(cluster), service(2, members=1)).blocked is None


def test_without_a_record_what_runs_is_what_was_accepted() -> None:
    found = member_set()
    for spec in ({"members": 1}, {"version": "3.4.30"}, {"storage": {"class": "fast", "size": "1Gi"}}):
        ruling = ask(guard(Cluster()), service(1, **spec), found)
        assert ruling.blocked is not None
        assert carried_out(ruling) == ("3.5.21", 3, "8Gi")
    assert ask(guard(Cluster()), service(1), found).blocked is None


def test_a_record_that_cannot_be_read_counts_as_none(cluster: Cluster) -> None:
    cluster.objects[WHERE]["data"]["spec.json"] = "{"
    assert ask(guard(cluster), service(2, members=5)).blocked is None


def test_a_record_of_somebody_else_is_not_touched(cluster: Cluster) -> None:
    cluster.objects[WHERE]["metadata"]["ownerReferences"] = []
    with pytest.raises(NotOursError, match="db-accepted"):
        ask(guard(cluster), service(2, members=5))


def test_a_brake_is_heeded_whatever_is_asked_for_with_it(cluster: Cluster) -> None:
    ruling = ask(guard(cluster), service(2, members=1, upgrade={"paused": True}))
    assert ruling.blocked is not None
    assert ruling.model is not None
    assert ruling.model.spec.upgrade.paused


def test_defaults_that_are_written_out_are_no_change(cluster: Cluster) -> None:
    cluster.error = ClusterError(500, "Internal", "nothing is judged")
    assert ask(guard(cluster), service(2, upgrade={"paused": False})).blocked is None


def test_values_of_parameters_are_not_told() -> None:
    assert changed({"parameters": {"a": 1}}, {"parameters": {"a": 2, "b": "x"}}) == "parameters.a, parameters.b"


changes = st.fixed_dictionaries(
    {},
    optional={
        "engine": st.sampled_from(["etcd", "redis"]),
        "version": st.sampled_from(["3.4.30", "3.5.21", "3.5.33", "3.6.4", "3.7.0", "2.3.8"]),
        "members": st.integers(0, 7),
        "storage": st.fixed_dictionaries(
            {"class": st.sampled_from(["fast", "slow"]), "size": st.sampled_from(["1Gi", "8Gi", "16Gi"])}
        ),
        "deletionPolicy": st.fixed_dictionaries({"claims": st.sampled_from(["Retain", "Delete"])}),
        "tls": st.fixed_dictionaries({"enabled": st.booleans()}),
    },
)


@given(before=changes, after=changes, ready=st.integers(0, 5), policy=st.sampled_from(["production", "baseline", "strict"]))
def test_the_operator_comes_to_the_verdict_that_the_door_came_to(
    before: dict[str, Any], after: dict[str, Any], ready: int, policy: str
) -> None:
    old, new = service(1, ready=ready, **before), service(2, ready=ready, **after)
    profile = Policy(profile=policy) if policy != "production" else DEFAULT
    asked = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "1",
            "operation": "UPDATE",
            "kind": {"group": "stateward.dev", "version": "v1beta1", "kind": "StatefulService"},
            "resource": {"group": "stateward.dev", "version": "v1beta1", "resource": "statefulservices"},
            "namespace": "prod",
            "name": "db",
            "object": new,
            "oldObject": old,
        },
    }
    door = review.review(orjson.dumps(asked), EMPTY_VIEW, profile, now=NOW).verdict
    inside = judge(new, old["spec"], EMPTY_VIEW, profile, NOW)
    assert [(one.rule, one.action) for one in inside.judged] == [(one.rule, one.action) for one in door.judged]
    assert all(one.rule in told(inside) for one in inside.denied[:3])
