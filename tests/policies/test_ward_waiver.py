"""WardWaivers: waivers that are objects of their own, what they are about, and where they count."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import cases, message, times
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.policy import DEFAULT, Policy
from stateward.policies.request import Request
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View, kind_of_object
from stateward.policies.waiver import NONE, granted

NOW = times.parse(cases.NOW) or 0.0
LATER = "2026-11-21T13:00:00Z"


def waiver(name: str = "move", namespace: str = "shop", **spec: Any) -> Object:
    content = {
        "rules": ["SW201"],
        "target": {"kind": "StatefulSet", "name": "locks"},
        "reason": "moving",
        "until": LATER,
        **spec,
    }
    return {
        "apiVersion": "stateward.dev/v1alpha1",
        "kind": "WardWaiver",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {key: value for key, value in content.items() if value is not None},
    }


def locks(replicas: int, name: str = "locks") -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "shop", "labels": {"team": "shop"}},
        "spec": {
            "replicas": replicas,
            "serviceName": "locks",
            "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.17"}]}},
        },
    }


def shrink(view: View = EMPTY_VIEW, policy: Policy = DEFAULT, name: str = "locks") -> Verdict:
    request = Request("StatefulSet.apps", "UPDATE", name, "shop", locks(1, name), locks(3, name))
    return evaluate(request, view, policy, now=NOW)


def actions(verdict: Verdict) -> dict[str, str]:
    return {one.rule: one.action for one in verdict.judged}


SELECTED = {"target": None, "selector": {"kind": "StatefulSet.apps", "matchLabels": {"team": "shop"}}}


@pytest.mark.parametrize("profile", ["baseline", "production", "strict"])
@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"rules": ["SW302", "sw201"]},
        {"rules": ["quorum-lost"]},
        {"target": {"kind": "StatefulSet.apps", "name": "locks"}},
        SELECTED,
        {"target": None, "selector": {"matchLabels": {"team": "shop"}}},
    ],
    ids=repr,
)
def test_it_lets_its_rules_pass_on_what_it_is_about(spec: dict[str, Any], profile: str) -> None:
    verdict = shrink(MemoryView([waiver(**spec)]), Policy(profile=profile))  # type: ignore[arg-type]
    assert (verdict.allowed, actions(verdict), verdict.notes) == (True, {"SW201": "audit"}, [])
    assert message.audit(verdict)["waived"] == f"SW201 until {LATER}: moving"


@pytest.mark.parametrize(
    "other",
    [
        waiver(namespace="dev"),
        waiver(target={"kind": "StatefulSet", "name": "queue"}),
        waiver(target={"kind": "Kafka", "name": "locks"}),
        waiver(target={"kind": "StatefulSet.other", "name": "locks"}),
        waiver(target=None, selector={"matchLabels": {"team": "bank"}}),
        waiver(target=None, selector={"kind": "Kafka", "matchLabels": {"team": "shop"}}),
        waiver(rules=["SW302"]),
    ],
    ids=lambda one: str(one["spec"])[:70],
)
def test_one_about_something_else_waives_nothing_and_says_nothing(other: Object) -> None:
    verdict = shrink(MemoryView([other]))
    assert (verdict.allowed, verdict.notes) == (False, [])


UNREADABLE = [
    (waiver(until=None), "WardWaiver shop/move: spec.until: it is missing; write one such as 2026-11-21T13:00:00Z"),
    (waiver(until="tomorrow"), "WardWaiver shop/move: spec.until: it is no time; write one such as 2026-11-21T13:00:00Z"),
    (waiver(reason=None), "WardWaiver shop/move: spec.reason: it is missing; say why"),
    (waiver(reason="  "), "WardWaiver shop/move: spec.reason: it is missing; say why"),
    (waiver(rules=None), "WardWaiver shop/move: spec.rules: no rule is named; write [SW302]"),
    (waiver(rules="SW201"), "WardWaiver shop/move: spec.rules: no rule is named; write [SW302]"),
    (waiver(rule="SW201"), 'WardWaiver shop/move: spec: unknown field "rule"; there are rules, target'),
    (waiver(target=None), "WardWaiver shop/move: spec: either target or selector is wanted; write target: {kind"),
    (waiver(selector={"matchLabels": {"a": "b"}}), "WardWaiver shop/move: spec: either target or selector is wanted"),
    (waiver(target={"kind": "StatefulSet"}), "WardWaiver shop/move: spec.target: kind and name are wanted"),
    (
        waiver(target=None, selector={"matchLabels": {}}),
        "WardWaiver shop/move: spec.selector.matchLabels: no label is named; for everything in a namespace write a policy",
    ),
    (
        waiver(until="2026-11-21T11:00:00Z"),
        "WardWaiver shop/move: SW201 is not waived, its waiver ended at 2026-11-21T11:00:00Z; set a new end to waive it",
    ),
    (waiver(until="2027-11-21T11:00:00Z"), "WardWaiver shop/move: SW201 is not waived, its waiver runs until 2027"),
    (waiver(rules=["SW999"]), 'WardWaiver shop/move: "SW999" is no rule; `stateward rules` lists them'),
]


@pytest.mark.parametrize(("item", "note"), UNREADABLE, ids=[row[1][22:70] for row in UNREADABLE])
def test_one_that_does_not_hold_is_never_ignored_silently(item: Object, note: str) -> None:
    verdict = shrink(MemoryView([item]))
    assert not verdict.allowed
    assert [one[: len(note)] for one in verdict.notes] == [note]


@pytest.mark.parametrize("item", [{}, {"metadata": None, "spec": 5}, {"spec": {"target": "x"}}, {"spec": {"selector": []}}])
def test_one_of_any_shape_waives_nothing(item: Object) -> None:
    assert granted(item, [locks(1)]).waivers == ()


def test_one_about_something_else_is_not_read_further() -> None:
    assert granted(waiver(until="never"), [locks(1, "queue")]) is NONE


def test_a_creation_is_waived_by_one_that_names_what_is_created() -> None:
    request = Request("StatefulSet.apps", "CREATE", "locks", "shop", locks(1), None)
    refused = evaluate(request, EMPTY_VIEW, now=NOW)
    rules = sorted({one.rule for one in refused.denied})
    assert rules
    assert evaluate(request, MemoryView([waiver(rules=rules)]), now=NOW).allowed


def test_what_is_in_no_namespace_is_not_waived_so() -> None:
    bound = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    held = waiver(rules=["SW403"], target={"kind": "Namespace", "name": "shop"})
    request = Request("Namespace", "DELETE", "shop", "shop", None, bound)
    assert kind_of_object(bound) == "Namespace"
    claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data", "namespace": "shop"}}
    claim["spec"] = {"volumeName": "pv-1"}
    assert not evaluate(request, MemoryView([claim, bound, held]), now=NOW).allowed


def test_it_may_stand_beside_the_policy() -> None:
    assert shrink(policy=DEFAULT.with_waivers([waiver()])).allowed
    assert not shrink(policy=DEFAULT.with_waivers([waiver(namespace="dev")])).allowed
    assert DEFAULT.with_waivers([]) is DEFAULT


def test_a_scale_is_waived_by_one_about_its_parent() -> None:
    old, new = (
        {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "locks", "namespace": "shop"},
            "spec": {"replicas": count},
        }
        for count in (3, 1)
    )
    request = Request("Scale.autoscaling", "UPDATE", "locks", "shop", new, old, subresource="scale")
    assert not evaluate(request, MemoryView([locks(3)]), now=NOW).allowed
    assert evaluate(request, MemoryView([locks(3), waiver()]), now=NOW).allowed


def test_reflectors_read_it() -> None:
    from stateward.kube.declared import needed

    assert needed((), {})["WardWaiver.stateward.dev"] == frozenset({"spec"})
