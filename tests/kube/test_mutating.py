"""The webhooks of /mutate: asked about no more than what can be filled in or refused, and never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stateward.kube.declared import needed
from stateward.kube.mutating import DEFAULTS, MUTATE, OWN_DEFAULTS, REFUSALS, webhooks
from stateward.kube.registration import configuration
from stateward.kube.trim import trimmer
from stateward.policies import cel
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.mutation import Fill, mutation
from stateward.policies.mutations import MUTATIONS
from stateward.policies.policy import DEFAULT, Policy, parse
from stateward.policies.rules import RULES

LABEL = "stateward.dev/defaults"


def client(path: str) -> dict[str, Any]:
    return {"url": f"https://localhost:9443{path}", "caBundle": "x"}


def policy(**spec: Any) -> Policy:
    return parse(
        {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "spec": {"profile": "production@1", **spec}}, RULES
    )


def named(**more: Any) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in webhooks(client, **more)}


def test_it_is_ignored_where_it_fails_asked_again_where_others_change_and_has_no_side_effect() -> None:
    for one in webhooks(client):
        assert one["clientConfig"] == {"url": f"https://localhost:9443{MUTATE}", "caBundle": "x"}
        assert one["failurePolicy"] == "Ignore"
        assert one["reinvocationPolicy"] == "IfNeeded"
        assert one["sideEffects"] == "None"
        assert one["timeoutSeconds"] == 3
        assert one["matchPolicy"] == "Equivalent"
        assert one["admissionReviewVersions"] == ["v1"]
        assert "objectSelector" not in one


def test_kinds_and_operations_are_exact() -> None:
    def asked(name: str) -> list[tuple[str, str, str]]:
        return sorted(
            (group, resource, operation)
            for entry in named()[name]["rules"]
            for group in entry["apiGroups"]
            for resource in entry["resources"]
            for operation in entry["operations"]
        )

    assert asked(DEFAULTS) == [("apps", "statefulsets", "CREATE"), ("policy", "poddisruptionbudgets", "CREATE")]
    assert asked(REFUSALS) == [("", "persistentvolumeclaims", "UPDATE"), ("apps", "statefulsets", "UPDATE")]
    assert OWN_DEFAULTS not in named()


def selected(one: dict[str, Any], name: str, **labels: str) -> bool:
    """As the API server does it: all expressions; NotIn holds where the label is absent."""
    has = {"kubernetes.io/metadata.name": name, **{key.replace("_", "/"): value for key, value in labels.items()}}
    for expression in one["namespaceSelector"]["matchExpressions"]:
        inside = has.get(expression["key"]) in expression["values"]
        if inside is not (expression["operator"] == "In"):
            return False
    return True


ON, OFF = {"stateward.dev_defaults": "on"}, {"stateward.dev_defaults": "off"}


def test_native_objects_are_sent_where_the_namespace_asks_and_everywhere_where_a_policy_may() -> None:
    quiet = named()[DEFAULTS]
    assert selected(quiet, "prod", **ON)
    assert not selected(quiet, "prod")
    assert not selected(quiet, "prod", **OFF)
    asking = named(policy=policy(mutate={"SW001": {"match": {"namespaces": ["prod-*"]}}}))[DEFAULTS]
    assert selected(asking, "prod", **ON)
    assert selected(asking, "prod")
    assert not selected(asking, "prod", **OFF)


def test_kube_system_and_our_own_namespace_are_left_alone() -> None:
    for one in webhooks(client, own_namespace="stateward", policy=policy(mutate={"all": "on"})):
        assert not selected(one, "kube-system", **ON)
        assert not selected(one, "stateward", **ON)
        assert selected(one, "prod", **ON)


def test_what_can_never_apply_is_not_registered() -> None:
    assert set(named()) == {DEFAULTS, REFUSALS}
    assert set(named(policy=policy(mutate={"all": "off"}))) == {REFUSALS}
    assert set(named(policy=policy(mutate={"all": ["off", {"match": {"namespaces": ["a"]}}]}))) == {DEFAULTS, REFUSALS}
    off = policy(rules={"SW103": "off", "SW119": "off"})
    assert set(named(policy=off)) == {DEFAULTS}
    assert webhooks(client, policy=policy(mutate={"all": "off"}, rules={"SW103": "off", "SW119": "off"})) == []
    some = policy(rules={"SW103": [{"action": "off"}, {"action": "warn", "match": {"namespaces": ["a"]}}], "SW119": "off"})
    assert [entry["resources"] for entry in named(policy=some)[REFUSALS]["rules"]] == [["statefulsets"]]
    one_off = named(policy=policy(mutate={"budget-of-one": "off"}))[DEFAULTS]
    assert [entry["resources"] for entry in one_off["rules"]] == [["statefulsets"]]


def test_kinds_of_our_own_are_sent_from_everywhere_but_where_off_is_said() -> None:
    def fills(change: Any, see: Any) -> Iterator[Fill]:
        yield from ()

    made = mutation(id="SW098", name="some", summary="S", why="W", safe="S", source="S", kinds=("Thing.stateward.dev",))(
        fills
    )
    adapter = Adapter(
        "test", {"adapter": "thing", "match": {"group": "stateward.dev", "kind": "Thing"}, "resource": "things"}
    )
    found = named(mutations=[*MUTATIONS, made], adapters={**ADAPTERS, "Thing.stateward.dev": adapter})
    assert found[OWN_DEFAULTS]["rules"][0]["resources"] == ["things"]
    assert selected(found[OWN_DEFAULTS], "any")
    assert not selected(found[OWN_DEFAULTS], "any", **OFF)
    assert found[DEFAULTS]["rules"] == named()[DEFAULTS]["rules"]


CONTROLLER = {"apiVersion": "x/v1", "kind": "Db", "name": "a", "uid": "u", "controller": True}


def passes(one: dict[str, Any], item: Any, old: Any = None, groups: tuple[str, ...] = ()) -> bool:
    """Whether the API server asks: all conditions true. A condition that fails would raise here."""
    values = {
        "object": item,
        "oldObject": old,
        "request": {
            "operation": "CREATE" if old is None else "UPDATE",
            "userInfo": {"username": "a", "groups": list(groups)},
        },
    }
    scope = cel.Scope({})
    return all(scope.compile(each["expression"]).evaluate(cel.activation(values)) is True for each in one["matchConditions"])


@pytest.mark.parametrize(
    ("metadata", "asked"),
    [
        ({}, True),
        ({"ownerReferences": [{**CONTROLLER, "controller": False}]}, True),
        ({"ownerReferences": [{key: value for key, value in CONTROLLER.items() if key != "controller"}]}, True),
        ({"ownerReferences": [CONTROLLER]}, False),
    ],
)
def test_what_a_controller_owns_is_not_sent(metadata: dict[str, Any], asked: bool) -> None:
    assert passes(named()[DEFAULTS], {"metadata": {"name": "x", **metadata}, "spec": {}}) is asked


@pytest.mark.parametrize("name", [DEFAULTS, REFUSALS])
def test_the_group_that_breaks_the_glass_passes(name: str) -> None:
    old = {"metadata": {}, "spec": {"a": 1}} if name == REFUSALS else None
    assert passes(named()[name], {"metadata": {}, "spec": {}}, old)
    assert not passes(named()[name], {"metadata": {}, "spec": {}}, old, ("stateward:break-glass",))


def test_updates_that_leave_the_specification_alone_are_not_sent() -> None:
    refusals = named()[REFUSALS]
    old = {"metadata": {"name": "x"}, "spec": {"a": [1, {"b": "c"}]}}
    assert not passes(refusals, {"metadata": {"name": "x", "labels": {"a": "b"}}, "spec": {"a": [1, {"b": "c"}]}}, old)
    assert passes(refusals, {"metadata": {"name": "x"}, "spec": {"a": [1, {"b": "d"}]}}, old)
    going = {"metadata": {"name": "x", "deletionTimestamp": "2026-11-21T12:00:00Z"}, "spec": {}}
    assert not passes(refusals, {**going, "spec": {"a": 1}}, going)


def test_what_is_asked_here_is_not_asked_twice() -> None:
    """The rule on claims is none of /validate: claims that nobody owns stay out of it."""
    found = configuration(RULES, ADAPTERS, url="https://localhost/validate")["webhooks"][0]
    assert "not-claim-of-nobody" in {one["name"] for one in found["matchConditions"]}


def test_the_door_sees_what_mutations_look_at() -> None:
    kept = needed((*RULES, *MUTATIONS), ADAPTERS)
    for one in MUTATIONS:
        assert one.looks_at.keys() <= kept.keys()
    pod = {"affinity": {"a": 1}, "topologySpreadConstraints": [{"maxSkew": 1}]}
    revision = {"kind": "ControllerRevision", "data": {"spec": {"template": {"spec": pod}}}}
    assert trimmer("ControllerRevision.apps", kept["ControllerRevision.apps"])(revision) == revision


def test_the_policy_of_nobody_is_the_default() -> None:
    assert webhooks(client) == webhooks(client, policy=DEFAULT)
