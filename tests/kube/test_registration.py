from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from stateward.kube.client import APPLY, Cluster
from stateward.kube.conditions import CONDITIONS
from stateward.kube.errors import ClusterError
from stateward.kube.registration import configuration, register, unregister, webhook_rules
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.policy import parse
from stateward.policies.rota import ANY_SERVICE, dispatch
from stateward.policies.rule import SCALE, Judges, Rule, objects, rule, services
from stateward.policies.rules import RULES
from stateward.policies.webhooks import CONFIGURATIONS

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
URL = "https://localhost:9443/validate"
PATH = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/stateward"


def a_rule(judges: Judges, id: str = "SW999") -> Rule:  # noqa: A002 - the field's own word
    return rule(
        id=id,
        name="some-rule",
        summary="Something",
        why="because",
        remedy="do",
        source="here",
        nature="transition",
        judges=judges,
    )(lambda change, see: iter(()))


ADAPTER = {
    "StatefulSet.apps": Adapter(
        "test",
        {
            "adapter": "set",
            "match": {"group": "apps", "kind": "StatefulSet"},
            "resource": "statefulsets",
            "scale": "spec.replicas",
        },
    ),
    "Cache.example.com": Adapter(
        "test", {"adapter": "cache", "match": {"group": "example.com", "kind": "Cache"}, "resource": "caches"}
    ),
}


def matches(entries: list[dict[str, Any]], group: str, resource: str, operation: str) -> bool:
    """As the API server matches: exactly, since nothing generated is a wildcard."""
    return any(
        group in entry["apiGroups"] and resource in entry["resources"] and operation in entry["operations"]
        for entry in entries
    )


# --- the whole object ------------------------------------------------------------------------------------------------


def test_the_configuration_is_what_the_api_server_wants() -> None:
    found = configuration(
        [a_rule(services("UPDATE", "DELETE")), a_rule(objects("Namespace", on=("DELETE",)))],
        ADAPTER,
        service={"namespace": "stateward", "name": "webhook"},
        ca_bundle=PEM,
        failure_policy="Ignore",
    )
    assert found == {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {
            "name": "stateward",
            "labels": {"app.kubernetes.io/managed-by": "stateward", "app.kubernetes.io/name": "stateward"},
        },
        "webhooks": [
            {
                "name": "validate.stateward.dev",
                "clientConfig": {
                    "service": {"namespace": "stateward", "name": "webhook", "path": "/validate", "port": 443},
                    "caBundle": base64.b64encode(PEM).decode(),
                },
                "rules": [
                    _entry("", ["DELETE"], ["namespaces"], "Cluster"),
                    _entry("apps", ["UPDATE"], ["statefulsets/scale"], "Namespaced"),
                    _entry("apps", ["UPDATE", "DELETE"], ["statefulsets"], "Namespaced"),
                    _entry("example.com", ["UPDATE", "DELETE"], ["caches"], "Namespaced"),
                ],
                "matchPolicy": "Equivalent",
                "matchConditions": [
                    {"name": one.name, "expression": f"!({one.drops})"} for one in CONDITIONS if not one.about
                ],
                "failurePolicy": "Ignore",
                "sideEffects": "None",
                "timeoutSeconds": 3,
                "admissionReviewVersions": ["v1"],
            }
        ],
    }
    assert json.loads(json.dumps(found)) == found


def _entry(group: str, operations: list[str], resources: list[str], scope: str) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": ["*"],
        "operations": operations,
        "resources": resources,
        "scope": scope,
    }


def test_it_is_the_same_each_time() -> None:
    first = configuration(RULES, ADAPTERS, url=URL)
    assert configuration(tuple(reversed(RULES)), dict(reversed(list(ADAPTERS.items()))), url=URL) == first


# --- its rules -------------------------------------------------------------------------------------------------------


def test_rules_of_one_group_are_joined() -> None:
    entries = webhook_rules(
        [
            a_rule(objects("PersistentVolumeClaim", on=("DELETE",))),
            a_rule(objects("Pod", on=("DELETE",))),
            a_rule(objects("PersistentVolume", on=("DELETE",))),
            a_rule(objects("Pod", on=("DELETE",))),
        ],
        {},
    )
    assert entries == [
        _entry("", ["DELETE"], ["persistentvolumes"], "Cluster"),
        _entry("", ["DELETE"], ["persistentvolumeclaims", "pods"], "Namespaced"),
    ]


def test_an_eviction_is_a_subresource_of_its_pod() -> None:
    entries = webhook_rules([a_rule(objects("Eviction.policy", on=("CREATE",), subresource="eviction"))], {})
    assert entries == [_entry("", ["CREATE"], ["pods/eviction"], "Namespaced")]


def test_scale_is_registered_for_updates_of_scalable_kinds_alone() -> None:
    entries = webhook_rules([a_rule(services("CREATE", "UPDATE", "DELETE"))], ADAPTER)
    assert [one for one in entries if one["resources"] != ["statefulsets"] and one["resources"] != ["caches"]] == [
        _entry("apps", ["UPDATE"], ["statefulsets/scale"], "Namespaced")
    ]


def test_a_kind_without_a_known_resource_is_an_error_that_names_the_rule() -> None:
    with pytest.raises(ValueError, match=r'rule SW899 judges "Widget.example.com"'):
        webhook_rules([a_rule(objects("Widget.example.com", on=("DELETE",)), "SW899")], ADAPTERS)


def test_every_rule_can_be_registered() -> None:
    for one in RULES:
        never = not one.judges.services and set(one.judges.kinds) <= set(CONFIGURATIONS)
        assert bool(webhook_rules([one], ADAPTERS)) != never, one.id


def test_nothing_is_a_wildcard_and_no_status_is_asked_about() -> None:
    for entry in webhook_rules(RULES, ADAPTERS):
        for resource in entry["resources"]:
            assert "*" not in resource
            assert not resource.endswith("/status")
        assert "*" not in (*entry["apiGroups"], *entry["operations"], entry["scope"])


def test_whatever_the_engine_dispatches_on_is_sent_to_it() -> None:
    entries = webhook_rules(RULES, ADAPTERS)
    core = {
        "PersistentVolumeClaim": "persistentvolumeclaims",
        "Namespace": "namespaces",
        "CustomResourceDefinition.apiextensions.k8s.io": "customresourcedefinitions",
        "ClusterPolicy.kyverno.io": "clusterpolicies",
        "Policy.kyverno.io": "policies",
        "PriorityClass.scheduling.k8s.io": "priorityclasses",
        "StorageClass.storage.k8s.io": "storageclasses",
        "OpensearchSnapshotPolicy.opensearch.org": "opensearchsnapshotpolicies",
    }
    for kind, operation, subresource in dispatch(RULES):
        if kind == ANY_SERVICE:
            continue  # a kind without an adapter has no resource that could be named
        if kind == SCALE:
            if operation != "UPDATE":
                continue  # no API server creates or deletes a scale
            for adapter in ADAPTERS.values():
                scalable = adapter.scale_path is not None
                assert matches(entries, adapter.group, f"{adapter.resource}/scale", operation) == scalable
        elif kind in CONFIGURATIONS:
            assert not matches(entries, kind.partition(".")[2], f"{kind.partition('.')[0].lower()}s", operation)
        elif kind == "Eviction.policy":
            assert matches(entries, "", "pods/eviction", operation)
        elif kind in ADAPTERS:
            adapter = ADAPTERS[kind]
            assert matches(entries, adapter.group, adapter.resource, operation), (kind, operation)
        else:
            group = kind.partition(".")[2]
            plural = core.get(kind, kind.partition(".")[0].lower() + "s")
            assert matches(entries, group, plural + (f"/{subresource}" if subresource else ""), operation), kind


def test_nothing_is_sent_that_the_engine_does_not_dispatch_on() -> None:
    asked = dispatch(RULES)
    by_resource = {(adapter.group, adapter.resource): kind for kind, adapter in ADAPTERS.items()}
    for entry in webhook_rules(RULES, ADAPTERS):
        for resource in entry["resources"]:
            plural, _, subresource = resource.partition("/")
            kind = SCALE if subresource == "scale" else by_resource.get((entry["apiGroups"][0], plural))
            for operation in entry["operations"]:
                if kind is not None:
                    assert (kind, operation, subresource) in asked


# --- what the API server would refuse --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": URL, "timeout_seconds": 0}, "timeout_seconds 0"),
        ({"url": URL, "timeout_seconds": 31}, "timeout_seconds 31"),
        ({"url": URL, "failure_policy": "Maybe"}, "Maybe"),
        ({}, "either url or service"),
        ({"url": URL, "service": {"namespace": "a", "name": "b"}}, "either url or service"),
        ({"url": "http://localhost/validate"}, "https"),
        ({"url": "https://"}, "https"),
        ({"url": "https://me:pw@host/validate"}, "without user"),
        ({"url": "https://host/validate?x=1"}, "query"),
        ({"url": "https://host/validate#x"}, "fragment"),
        ({"service": {"name": "b"}}, "service.namespace"),
        ({"service": {"namespace": "a"}}, "service.name"),
        ({"service": {"namespace": "a", "name": "b", "path": "validate"}}, "service.path"),
        ({"service": {"namespace": "a", "name": "b", "path": "/Validate_It"}}, "service.path"),
        ({"url": URL, "ca_bundle": b"-----BEGIN PRIVATE KEY-----"}, "no PEM certificate"),
    ],
)
def test_what_the_api_server_would_refuse_is_refused_here_with_the_field(more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        configuration(RULES, ADAPTERS, **more)


# --- registering -----------------------------------------------------------------------------------------------------


def test_registering_applies_by_force_under_our_name(api: Any, cluster: Cluster) -> None:
    api.always(f"PATCH {PATH}", lambda to, asked: to.send(200, json.loads(asked.body)))
    wanted = configuration(RULES, ADAPTERS, url=URL)
    assert register(cluster, wanted) == wanted
    asked = api.asked[0]
    assert (asked.method, asked.path, asked.query) == ("PATCH", PATH, {"fieldManager": "stateward", "force": "true"})
    assert asked.headers["content-type"] == APPLY


def _there(api: Any, labels: Any) -> None:
    api.documents[PATH] = {"metadata": {"name": "stateward", "uid": "u1", "labels": labels}}
    api.always(f"DELETE {PATH}", lambda to, asked: to.send(200, {"kind": "Status", "status": "Success"}))


def test_unregistering_deletes_what_is_ours_and_nothing_put_there_meanwhile(api: Any, cluster: Cluster) -> None:
    _there(api, {"app.kubernetes.io/managed-by": "stateward"})
    assert unregister(cluster)
    deleted = api.asked[-1]
    assert (deleted.method, json.loads(deleted.body)) == ("DELETE", {"preconditions": {"uid": "u1"}})


@pytest.mark.parametrize("labels", [None, {}, {"app.kubernetes.io/managed-by": "Helm"}])
def test_unregistering_leaves_what_is_not_ours(api: Any, cluster: Cluster, labels: Any) -> None:
    _there(api, labels)
    with pytest.raises(ClusterError, match="left as it is") as caught:
        unregister(cluster)
    assert caught.value.reason == "NotOurs"
    assert [one.method for one in api.asked] == ["GET"]


def test_unregistering_what_is_absent_is_fine(api: Any, cluster: Cluster, kit: Any) -> None:
    assert not unregister(cluster)
    _there(api, {"app.kubernetes.io/managed-by": "stateward"})
    api.next(f"DELETE {PATH}", kit.refuse(404, "NotFound"))
    assert not unregister(cluster), "somebody was faster"


def test_unregistering_reports_a_refusal(api: Any, cluster: Cluster, kit: Any) -> None:
    api.next(f"GET {PATH}", kit.refuse(403, "Forbidden"))
    with pytest.raises(ClusterError, match="403 Forbidden"):
        unregister(cluster)


# --- a policy's own rules --------------------------------------------------------------------------------------------


def own(kinds: list[str], **match: Any) -> list[Rule]:
    row = {"id": "SW901", "name": "mine", "match": {"kinds": kinds, **match}, "validations": [{"expression": "true"}]}
    content = {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "spec": {"userRules": [row]}}
    return list(parse(content, RULES).user_rules)


def test_what_a_policys_rules_judge_is_asked_about() -> None:
    entries = webhook_rules([*RULES, *own(["Job.batch", "ConfigMap"])], ADAPTERS)
    for operation, asked in (("CREATE", True), ("UPDATE", True), ("DELETE", False)):
        assert matches(entries, "batch", "jobs", operation) is asked
        assert matches(entries, "", "configmaps", operation) or not asked
    assert not matches(webhook_rules(RULES, ADAPTERS), "batch", "jobs", "CREATE")


def test_a_scale_is_asked_about_where_the_kind_has_one() -> None:
    entries = webhook_rules(own(["StatefulSet.apps", "ConfigMap"]), ADAPTERS)
    assert matches(entries, "apps", "statefulsets/scale", "UPDATE")
    assert not any("configmaps/scale" in entry["resources"] for entry in entries)


def test_a_kind_that_only_the_policy_names_is_asked_of_the_cluster() -> None:
    rules = own(["Cache.example.org"])
    entries = webhook_rules(rules, ADAPTERS, lambda kind: ("example.org", "caches", "Cluster") if kind else None)
    assert matches(entries, "example.org", "caches", "CREATE")
    assert entries[0]["scope"] == "Cluster"
    with pytest.raises(ValueError, match=r'rule SW901 of the policy judges "Cache\.example\.org", which this cluster'):
        webhook_rules(rules, ADAPTERS)
