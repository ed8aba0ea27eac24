"""Configurations of webhooks: what one is asked about, whom it leaves out, who answers for it."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies.rules import find
from stateward.policies.view import MemoryView, Sight, nothing_complete
from stateward.policies.webhooks import Asked, asked_in, backend, hooks, selects


def configuration(version: str = "v1", **hook: Any) -> dict[str, Any]:
    return {
        "apiVersion": f"admissionregistration.k8s.io/{version}",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "x"},
        "webhooks": [{"name": "a.b.c", **hook}],
    }


@pytest.mark.parametrize(
    ("version", "policy", "closed"),
    [("v1", None, True), ("v1", "Fail", True), ("v1", "Ignore", False), ("v1beta1", None, False), ("v1beta1", "Fail", True)],
)
def test_a_webhook_fails_closed_by_default_since_v1(version: str, policy: str | None, closed: bool) -> None:
    given = {"failurePolicy": policy} if policy else {}
    (hook,) = hooks(configuration(version, **given))
    assert hook.closed == closed


@pytest.mark.parametrize(
    ("groups", "resources", "named"),
    [
        ([""], ["pods"], True),
        (["*"], ["*"], True),
        ([""], ["pods/*"], True),
        ([""], ["*/*"], True),
        ([""], ["pods/status"], False),
        ([""], ["*/status"], False),
        (["apps"], ["pods"], False),
        ([], [], False),
    ],
)
def test_a_resource_is_named_as_the_api_server_reads_it(groups: list[str], resources: list[str], named: bool) -> None:
    assert Asked({"apiGroups": groups, "resources": resources}, ()).names("", "pods") == named


@pytest.mark.parametrize(
    ("resources", "named"), [(["pods"], False), (["*"], False), (["pods/*"], True), (["*/status"], True)]
)
def test_a_wildcard_alone_names_no_subresource(resources: list[str], named: bool) -> None:
    assert Asked({"apiGroups": [""], "resources": resources}, ()).names("", "pods", "status") == named


@pytest.mark.parametrize(
    ("selector", "labels", "matched"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1"]}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {"a": "1"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {"a": ""}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
    ],
)
def test_a_selector_matches_as_the_api_server_says(selector: Any, labels: Any, matched: bool) -> None:
    assert selects(selector, labels) == matched


def see(rule: str, *objects: dict[str, Any], whole: bool = True) -> Sight:
    found = find(rule)
    assert found is not None
    return Sight(MemoryView(objects, None if whole else nothing_complete), found.looks_at, {}, 0.0)


SPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ops", "labels": {"checked": "no"}}}
OPT_OUT = {"matchExpressions": [{"key": "checked", "operator": "NotIn", "values": ["no"]}]}
BY_NAME = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["ops"]}]}


@pytest.mark.parametrize(
    ("hook", "objects", "found"),
    [
        ({}, [], True),
        ({"namespaceSelector": BY_NAME}, [], False),
        ({"namespaceSelector": OPT_OUT}, [SPACE], False),
        ({"namespaceSelector": OPT_OUT}, [], False),
        ({"namespaceSelector": OPT_OUT}, [{**SPACE, "metadata": {"name": "ops"}}], True),
        ({"objectSelector": {"matchLabels": {"a": "1"}}}, [], False),
        ({"matchConditions": [{"name": "x", "expression": "request.namespace != 'ops'"}]}, [], False),
        ({"matchConditions": [{"name": "x", "expression": "request.userInfo.username != 'a'"}]}, [], True),
    ],
)
def test_what_is_not_certain_counts_as_an_exemption(hook: Any, objects: Any, found: bool) -> None:
    (one,) = hooks(configuration(**hook))
    assert asked_in(one, "ops", see("SW712", *objects)) == found


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "hook", "namespace": "ops"},
    "spec": {"selector": {"a": "1"}},
}


def slice_of(name: str, *ready: Any) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": "ops", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {} if one is None else {"ready": one}} for one in ready],
    }


def workload(replicas: int, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "server", "namespace": "ops"},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": labels}}},
    }


@pytest.mark.parametrize(
    ("objects", "state"),
    [
        ([], "up"),
        ([{**SERVICE, "metadata": {"name": "other", "namespace": "ops"}}], "absent"),
        ([SERVICE], "up"),
        ([SERVICE, slice_of("hook", False)], "down"),
        ([SERVICE, slice_of("hook")], "down"),
        ([SERVICE, slice_of("hook", False, True)], "up"),
        ([SERVICE, slice_of("hook", None)], "up"),
        ([SERVICE, slice_of("other", False)], "up"),
        ([{**SERVICE, "spec": {"ports": [{"port": 8443}]}}], "no port"),
        ([{**SERVICE, "spec": {"ports": [{"port": 80}, {"port": 443}]}}], "up"),
        ([SERVICE, workload(0, a="1")], "down"),
        ([SERVICE, workload(1, a="1")], "up"),
        ([SERVICE, workload(0, a="2")], "up"),
    ],
)
def test_nobody_answers_where_that_is_known(objects: Any, state: str) -> None:
    assert backend(("ops", "hook"), 443, see("SW713", *objects)) == state


def test_files_never_show_that_a_service_is_absent() -> None:
    other = {**SERVICE, "metadata": {"name": "other", "namespace": "ops"}}
    assert backend(("ops", "hook"), 443, see("SW713", other, whole=False)) == "up"
