"""What the API server is told not to ask about: nothing that would have been judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stateward.kube.conditions import CONDITIONS, Condition, match_conditions
from stateward.kube.declared import needed
from stateward.kube.trim import trimmer
from stateward.policies import cases, cel, data
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import evaluate
from stateward.policies.request import Request, User
from stateward.policies.rule import Rule, objects, rule
from stateward.policies.rules import BY_ID, RULES
from stateward.policies.view import MemoryView, kind_of_object

KEPT = {kind: trimmer(kind, fields) for kind, fields in needed(RULES, ADAPTERS).items()}
BY_NAME = {one.name: one for one in CONDITIONS}


# kind → group and resource of a request about it.
RESOURCES = {
    "ConfigMap": ("", "configmaps"),
    "Deployment.apps": ("apps", "deployments"),
    "Eviction.policy": ("", "pods"),
    "PersistentVolumeClaim": ("", "persistentvolumeclaims"),
    "PersistentVolume": ("", "persistentvolumes"),
    "Pod": ("", "pods"),
    "ReplicaSet.apps": ("apps", "replicasets"),
    "Secret": ("", "secrets"),
    "StatefulSet.apps": ("apps", "statefulsets"),
}


def values(request: Request) -> dict[str, Any]:
    """What the API server has in its expressions: what is empty is absent, objects that are not there are null."""
    group, resource = RESOURCES.get(request.kind, (request.kind.partition(".")[2], request.resource or "others"))
    if request.subresource == "scale":
        group, resource = "apps", request.resource or "statefulsets"
    asked: dict[str, Any] = {
        "operation": request.operation,
        "resource": {"group": group, "version": "v1", "resource": resource},
        "userInfo": {
            key: value for key, value in (("username", request.user.name), ("groups", list(request.user.groups))) if value
        },
    }
    asked |= {key: value for key, value in _named(request) if value}
    return {"object": whole(request.object), "oldObject": whole(request.old), "request": asked}


def _named(request: Request) -> tuple[tuple[str, str], ...]:
    return ("name", request.name), ("namespace", request.namespace), ("subResource", request.subresource)


def whole(item: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """An API server knows no object without metadata, and leaves out what is null."""
    if item is None:
        return None
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if value not in (None, [])}
    return {**item, "metadata": metadata}


PROGRAMS = {one.name: cel.Scope({}).compile(one.drops) for one in CONDITIONS}


def dropped_by(request: Request) -> list[str]:
    activation = cel.activation(values(request))
    return [name for name, program in PROGRAMS.items() if program.evaluate(activation) is True]


def examples() -> Iterator[cases.Case]:
    for one in RULES:
        yield from cases.read(one.id, data.examples(one.module))


EXAMPLES = list(examples())


def at_the_door(case: cases.Case) -> Any:
    """The verdict with what a door keeps of the objects."""
    everything = [*case.context, *([case.request.old] if case.request.old is not None else [])]
    kept = [KEPT[kind_of_object(one)](one) for one in everything if kind_of_object(one) in KEPT]
    return evaluate(case.request, MemoryView(kept, lambda _: True), now=case.now)


def test_no_example_of_a_rule_that_is_judged_is_left_out() -> None:
    dropped = 0
    for case in EXAMPLES:
        names = [name for name in dropped_by(case.request) if name != "not-break-glass"]
        if names:
            dropped += 1
            verdict = at_the_door(case)
            # What the API server refuses by itself is asked in /mutate, under conditions of its own.
            assert not [one for one in verdict.judged if not BY_ID[one.rule].forestalls], f"{case.name}: {names}"
            assert not verdict.unjudged, f"{case.name}: {names}"
    assert dropped


def test_every_expression_is_true_or_false_of_every_example() -> None:
    for case in EXAMPLES:
        activation = cel.activation(values(case.request))
        for name, program in PROGRAMS.items():
            assert program.evaluate(activation) in (True, False), f"{name}: {case.name}"


# --- each of them ----------------------------------------------------------------------------------------------------

OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "1", "controller": True}
NAMESPACES = "system:serviceaccount:kube-system:namespace-controller"
GC = "system:serviceaccount:kube-system:generic-garbage-collector"
SET = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "2", "controller": True}


def item(api_version: str, kind: str, more: Mapping[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "one", "namespace": "shop", **metadata},
        **(more or {}),
    }


def request(operation: str, old: dict[str, Any] | None, new: dict[str, Any] | None, user: str = "ann") -> Request:
    subject = new or old or {}
    return Request(
        kind=kind_of_object(subject),
        operation=operation,
        name="one",
        namespace="shop",
        object=new,
        old=old,
        user=User(user, ()),
        options={},
    )


def config(data: Mapping[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return item("v1", "ConfigMap", {"data": dict(data)} if data is not None else None, **metadata)


def secret(type_: str = "Opaque", **metadata: Any) -> dict[str, Any]:
    return item("v1", "Secret", {"type": type_, "data": {"release": "eA=="}}, **metadata)


def pod(*owners: Mapping[str, Any], **metadata: Any) -> dict[str, Any]:
    return item("v1", "Pod", {"spec": {}}, **({"ownerReferences": list(owners)} if owners else {}), **metadata)


def replicas(*owners: Mapping[str, Any]) -> dict[str, Any]:
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    template = {"spec": {"containers": [{"name": "db", "image": "postgres:16.4"}], "volumes": volumes}}
    return item("apps/v1", "ReplicaSet", {"spec": {"replicas": 2, "template": template}}, ownerReferences=list(owners))


def claim(**metadata: Any) -> dict[str, Any]:
    return item("v1", "PersistentVolumeClaim", {"spec": {"volumeName": "pv-1"}}, **metadata)


def volume(phase: str, policy: str) -> dict[str, Any]:
    spec = {"persistentVolumeReclaimPolicy": policy, "claimRef": {"namespace": "shop", "name": "data-db-0"}}
    return item("v1", "PersistentVolume", {"spec": spec, **({"status": {"phase": phase}} if phase else {})})


ENDING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
HELM = "helm.sh/release.v1"
JOB = {"apiVersion": "batch/v1", "kind": "Job", "name": "night", "uid": "3", "controller": True}
KAFKA = {"apiVersion": "kafka.strimzi.io/v1beta2", "kind": "StrimziPodSet", "name": "k", "uid": "4", "controller": True}
OTHER_SET = {**SET, "apiVersion": "apps.kruise.io/v1"}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("not-already-deleted", request("DELETE", pod(SET, **ENDING), None)),
        ("not-already-deleted", request("UPDATE", claim(**ENDING), claim(**ENDING))),
        ("not-garbage-collection", request("DELETE", pod(SET), None, GC)),
        ("not-garbage-collection", request("DELETE", claim(ownerReferences=[SET]), None, "system:kube-controller-manager")),
        ("not-of-a-deleted-namespace", request("DELETE", claim(), None, NAMESPACES)),
        ("not-of-a-deleted-namespace", request("DELETE", secret(), None, NAMESPACES)),
        ("not-released-volume", request("DELETE", volume("Released", "Delete"), None)),
        ("not-of-a-deployment", request("CREATE", None, replicas(OWNER))),
        ("not-of-a-deployment", request("UPDATE", replicas(OWNER), replicas(OWNER))),
        ("not-of-a-deployment", request("DELETE", replicas(OWNER), None)),
        ("not-secret-of-nobody", request("CREATE", None, secret())),
        ("not-claim-of-nobody", request("CREATE", None, claim())),
        ("not-claim-of-nobody", request("UPDATE", item("v1", "PersistentVolumeClaim", {"spec": {}}), claim())),
        ("not-config-of-nobody", request("CREATE", None, config({"ca.crt": "x"}))),
        ("not-config-of-nobody", request("CREATE", None, config())),
        ("not-config-unchanged", request("UPDATE", config({"a": "b"}), config({"a": "b"}, annotations={"leader": "x"}))),
        ("not-config-unchanged", request("UPDATE", config(), config(annotations={"leader": "x"}))),
        ("not-release-of-helm", request("UPDATE", secret(HELM), secret(HELM))),
        ("not-release-of-helm", request("DELETE", secret(HELM), None)),
        ("not-pod-of-no-service", request("DELETE", pod(), None)),
        ("not-pod-of-no-service", request("DELETE", pod(JOB), None)),
        ("not-pod-of-no-service", request("DELETE", pod({**OWNER, "kind": "ReplicaSet"}), None)),
    ],
)
def test_what_is_left_out(name: str, asked: Request) -> None:
    assert name in dropped_by(asked)
    case = cases.Case(file="", name="", request=asked, context=(), expect="allow")
    assert not at_the_door(case).judged


@pytest.mark.parametrize(
    "asked",
    [
        request("DELETE", pod(SET), None),
        request("DELETE", pod(KAFKA), None),
        request("DELETE", pod(OTHER_SET), None),
        request("DELETE", pod(JOB, SET), None),
        request("DELETE", claim(), None),
        request("DELETE", claim(), None, GC),
        request("UPDATE", claim(), claim(ownerReferences=[SET]), NAMESPACES),
        request("DELETE", volume("Bound", "Delete"), None),
        request("DELETE", volume("Released", "Retain"), None),
        request("DELETE", volume("", "Delete"), None),
        request("CREATE", None, claim(ownerReferences=[SET])),
        request("CREATE", None, secret(ownerReferences=[SET])),
        request("CREATE", None, secret(HELM, ownerReferences=[SET])),
        request("UPDATE", secret(HELM), secret(HELM, ownerReferences=[SET])),
        request("UPDATE", secret(), secret()),
        request("DELETE", secret("kubernetes.io/service-account-token"), None),
        request("CREATE", None, config({"WALG_S3_PREFIX": "s3://one"})),
        request("CREATE", None, config({}, ownerReferences=[SET])),
        request("UPDATE", config({"a": "b"}), config({"a": "c"})),
        request("UPDATE", config({"a": "b"}), config()),
        request("UPDATE", config(), config({"a": "b"})),
        request("CREATE", None, replicas()),
        request("CREATE", None, replicas(SET)),
        request("CREATE", None, replicas({**OWNER, "controller": False})),
        request("UPDATE", replicas(), replicas(OWNER)),
    ],
)
def test_what_is_asked(asked: Request) -> None:
    assert dropped_by(asked) == []


# --- other rules -----------------------------------------------------------------------------------------------------


def own(*kinds: str, on: tuple[str, ...], id: str = "SW901") -> Rule:  # noqa: A002 - the field's own word
    return rule(
        id=id,
        name="some-rule",
        summary="Something",
        why="because",
        remedy="do",
        source="here",
        nature="transition",
        judges=objects(*kinds, on=on),
    )(lambda change, see: iter(()))


def names(*more: Rule) -> set[str]:
    return {one["name"] for one in match_conditions([*RULES, *more])}


def test_all_of_them_hold_for_the_rules_that_are_here() -> None:
    assert names() == set(BY_NAME)


@pytest.mark.parametrize("condition", [one for one in CONDITIONS if one.about], ids=lambda one: one.name)
def test_a_rule_that_is_asked_the_same_has_the_api_server_ask_again(condition: Condition) -> None:
    for kind, operation in condition.about:
        assert condition.name not in names(own(kind, on=(operation,)))


def test_consequences_are_left_out_whoever_is_asked() -> None:
    everything = own("Pod", "ReplicaSet.apps", "ConfigMap", "Secret", on=("CREATE", "UPDATE", "DELETE"))

    assert {"not-already-deleted", "not-garbage-collection", "not-of-a-deployment"} <= names(everything)


def test_a_condition_names_rules_that_are_there() -> None:
    ids = {one.id for one in RULES}
    for condition in CONDITIONS:
        assert condition.rules <= ids, condition.name
        assert bool(condition.rules) == bool(condition.about), condition.name
