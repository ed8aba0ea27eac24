"""The two webhooks of an installed door: what may be held up, and what never is."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.kube.installed import GUARD, INSTALLED, MUTATING, VALIDATING, Door, configurations, missing, split
from stateward.kube.registration import WEBHOOK, webhook_rules
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.policy import parse
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
DOOR = Door("stateward", "stateward")


def made(**more: Any) -> dict[str, dict[str, Any]]:
    return configurations(DOOR, PEM, RULES, ADAPTERS, **more)


def webhooks(**more: Any) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in made(**more)[VALIDATING]["webhooks"]}


def triples(entries: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {
        (entry["apiGroups"][0], resource, operation)
        for entry in entries
        for resource in entry["resources"]
        for operation in entry["operations"]
    }


def own(kinds: list[str], **match: Any) -> list[Rule]:
    row = {"id": "SW901", "name": "mine", "match": {"kinds": kinds, **match}, "validations": [{"expression": "true"}]}
    content = {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "spec": {"userRules": [row]}}
    return list(parse(content, RULES).user_rules)


def test_every_request_is_asked_about_once_in_one_of_both() -> None:
    entries = webhook_rules(RULES, ADAPTERS)
    closed, open_ = split(entries, ADAPTERS)
    assert triples(closed) | triples(open_) == triples(entries)
    assert not triples(closed) & triples(open_)
    assert {(*triple, entry["scope"]) for entry in (*closed, *open_) for triple in triples([entry])} == {
        (*triple, entry["scope"]) for entry in entries for triple in triples([entry])
    }


def test_only_services_and_deletions_that_lose_them_may_be_held_up() -> None:
    closed = triples(split(webhook_rules(RULES, ADAPTERS), ADAPTERS)[0])
    services = {
        (one.group, one.resource) for kind, one in ADAPTERS.items() if kind not in ("Deployment.apps", "ReplicaSet.apps")
    }
    deletions = {
        ("", "persistentvolumeclaims", "DELETE"),
        ("", "persistentvolumes", "DELETE"),
        ("", "namespaces", "DELETE"),
        ("apiextensions.k8s.io", "customresourcedefinitions", "DELETE"),
    }
    assert deletions < closed
    assert {(group, resource.partition("/")[0]) for group, resource, _ in closed - deletions} == services
    assert ("apps", "statefulsets/scale", "UPDATE") in closed


@pytest.mark.parametrize(
    "resource",
    ["pods", "nodes", "deployments", "replicasets", "secrets", "configmaps", "services", "leases", "events", "endpoints"],
)
def test_what_a_cluster_starts_with_is_never_held_up(resource: str) -> None:
    guard = webhooks(failure_policy="Fail")[GUARD]
    assert not [one for _, found, one in triples(guard["rules"]) if found.partition("/")[0] == resource]


def test_the_policy_of_failures_is_that_of_the_guard_alone() -> None:
    for policy in ("Fail", "Ignore"):
        found = webhooks(failure_policy=policy)
        assert {name: one["failurePolicy"] for name, one in found.items()} == {GUARD: policy, WEBHOOK: "Ignore"}
        assert all(one["sideEffects"] == "None" and one["timeoutSeconds"] == 3 for one in found.values())


def test_its_own_namespace_and_kube_system_are_left_out_of_both() -> None:
    for one in webhooks().values():
        expressions = {condition["name"]: condition["expression"] for condition in one["matchConditions"]}
        assert expressions["not-of-these-namespaces"] == (
            "!(has(request.namespace) && request.namespace in ['kube-system', 'stateward'])"
        )
        assert "not-break-glass" in expressions


def test_a_webhook_has_the_conditions_that_bear_on_what_it_is_asked() -> None:
    found = {name: {one["name"] for one in hook["matchConditions"]} for name, hook in webhooks().items()}
    assert "not-released-volume" in found[GUARD] - found[WEBHOOK]
    assert {"not-of-a-deployment", "not-secret-of-nobody", "not-claim-of-nobody"} <= found[WEBHOOK] - found[GUARD]


def test_both_configurations_carry_our_labels_and_say_that_nothing_is_selected() -> None:
    found = made(mutating=lambda client_for: [{"name": "fill.stateward.dev", "clientConfig": client_for("/mutate")}])
    assert set(found) == {VALIDATING, MUTATING}
    for one in found.values():
        assert one["metadata"]["labels"] == dict(INSTALLED)
        assert all(hook["namespaceSelector"] == hook["objectSelector"] == {} for hook in one["webhooks"])
    assert found[MUTATING]["webhooks"][0]["clientConfig"]["service"]["path"] == "/mutate"


def test_without_mutations_there_is_no_mutating_configuration() -> None:
    assert set(made(mutating=lambda _: [])) == set(made()) == {VALIDATING}


def test_kinds_by_their_shape_are_never_held_up() -> None:
    found = webhooks(shaped=[("garage.example.com", "garages")], failure_policy="Fail")
    assert ("garage.example.com", "garages", "CREATE") in triples(found[WEBHOOK]["rules"])
    assert ("garage.example.com", "garages", "CREATE") not in triples(found[GUARD]["rules"])


def test_a_kind_that_a_policy_names_and_nobody_serves_keeps_nothing_else_away() -> None:
    rules = [*RULES, *own(["Cache.example.org", "Job.batch"])]
    found = configurations(DOOR, PEM, rules, ADAPTERS)[VALIDATING]["webhooks"]
    asked = {triple for hook in found for triple in triples(hook["rules"])}
    assert ("batch", "jobs", "CREATE") in asked
    assert not [one for one in asked if one[0] == "example.org"]
    assert missing(rules, ADAPTERS, lambda _: None) == {"SW901": ("Cache.example.org",)}
    served = configurations(DOOR, PEM, rules, ADAPTERS, served=lambda _: ("example.org", "caches", "Namespaced"))
    assert ("example.org", "caches", "CREATE") in {
        triple for hook in served[VALIDATING]["webhooks"] for triple in triples(hook["rules"])
    }


def test_our_own_rules_find_nothing_wrong_with_them() -> None:
    from stateward.policies.engine import evaluate
    from stateward.policies.request import Request, User
    from stateward.policies.view import MemoryView, kind_of_object

    for item in made(failure_policy="Fail").values():
        request = Request(
            kind=kind_of_object(item),
            operation="CREATE",
            name=item["metadata"]["name"],
            namespace="",
            object=item,
            old=None,
            user=User("stateward", ()),
            options={},
        )
        verdict = evaluate(request, MemoryView([], lambda _: False), now=0.0)
        # SW715 cannot read this stand-in for a certificate.
        assert [one.rule for one in verdict.judged if one.rule != "SW715"] == []
