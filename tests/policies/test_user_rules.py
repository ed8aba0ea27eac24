"""The user's own rules: when they are asked, what they see, what they say, and what a mistake in one is told."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import yaml

from stateward.policies import cases, cel, message
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.policy import API_VERSION, KIND, Policy, PolicyError, parse
from stateward.policies.request import Request, User
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View, kind_of_object

NOW = 1795262400.0


def policy(text: str, **spec: Any) -> Policy:
    rows = yaml.safe_load(text)
    return parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"userRules": rows, **spec}}, RULES)


def one(expression: str, **further: Any) -> list[dict[str, Any]]:
    validations = further.pop("validations", [{"expression": expression, "message": "it is wrong"}])
    return [{"id": "SW901", "name": "mine", "validations": validations, **further}]


def of(expression: str, spec: dict[str, Any] | None = None, **further: Any) -> Policy:
    content = {"userRules": one(expression, **further), **(spec or {})}
    return parse({"apiVersion": API_VERSION, "kind": KIND, "spec": content}, RULES)


def judge(
    held: Policy, operation: str, old: Object | None, new: Object | None, view: View = EMPTY_VIEW, **further: Any
) -> Verdict:
    subject = new or old or {}
    kind = further.pop("kind", kind_of_object(subject))
    metadata = subject["metadata"]
    request = Request(kind, operation, metadata["name"], metadata.get("namespace", ""), new, old, **further)
    return evaluate(request, view, held, now=NOW, asked={})


def mine(verdict: Verdict) -> dict[str, str]:
    assert not verdict.faults, verdict.faults
    return {found.rule: found.action for found in verdict.judged}


def etcd(replicas: int = 3, **patch: Any) -> Object:
    item: Object = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "locks", "namespace": "shop", "labels": {"app": "locks"}},
        "spec": {
            "replicas": replicas,
            "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.17"}]}},
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": "data"},
                    "spec": {
                        "storageClassName": "fast",
                        "accessModes": ["ReadWriteOnce"],
                        "resources": {"requests": {"storage": "10Gi"}},
                    },
                }
            ],
        },
    }
    merged: Object = cases.merge(item, patch)
    return merged


def scale(replicas: int) -> Object:
    return {
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": {"name": "locks", "namespace": "shop"},
        "spec": {"replicas": replicas},
    }


def web(**labels: str) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": labels},
        "spec": {"replicas": 1},
    }


THREE = "object.spec.replicas >= 3"

# --- when a rule is asked ----------------------------------------------------------------------------------------------


def test_what_does_not_hold_is_a_finding_like_any_other() -> None:
    held = of(THREE, action="deny", why="two survive nothing", remedy="ask for three", validations=[
        {"expression": THREE, "message": "three are wanted", "field": "spec.replicas"}
    ])  # fmt: skip
    verdict = judge(held, "CREATE", None, etcd(2))
    assert mine(verdict) == {"SW901": "deny"}
    told = message.denial(verdict, NOW)
    assert "SW901 mine\n  spec.replicas: three are wanted\n  why  two survive nothing\n  do   ask for three\n" in told
    assert "stateward.dev/waive='SW901" in told
    assert mine(judge(held, "CREATE", None, etcd(3))) == {}


@pytest.mark.parametrize("action", ["deny", "warn", "audit"])
def test_it_does_what_it_says_in_every_profile(action: str) -> None:
    for profile in ("baseline@1", "production@1", "strict@1"):
        held = of(THREE, {"profile": profile}, action=action)
        assert mine(judge(held, "CREATE", None, etcd(1))) == {"SW901": action}


def test_it_is_overridden_by_the_policy_like_any_other() -> None:
    rules = {"mine": [{"action": "warn"}, {"action": "off", "match": {"namespaces": ["dev-*"]}}]}
    held = of(THREE, {"rules": rules})
    assert mine(judge(held, "CREATE", None, etcd(1))) == {"SW901": "warn"}
    assert mine(judge(held, "CREATE", None, etcd(1, metadata={"namespace": "dev-1"}))) == {}


def test_its_parameters_may_differ_by_namespace() -> None:
    match = {"namespaces": ["big-*"]}
    held = of(
        "object.spec.replicas >= params.least",
        {"rules": {"SW901": {"params": {"least": 5}, "match": match}}},
        params={"least": 3},
    )
    big = {"namespace": "big-1"}
    assert mine(judge(held, "CREATE", None, etcd(3))) == {}
    assert mine(judge(held, "CREATE", None, etcd(3, metadata=big))) == {"SW901": "deny"}
    assert mine(judge(held, "CREATE", None, etcd(5, metadata=big))) == {}


def test_a_kind_that_no_other_rule_judges_is_judged() -> None:
    held = of("'owner' in object.metadata.labels", match={"kinds": ["Deployment.apps"]})
    assert mine(judge(held, "CREATE", None, web())) == {"SW901": "deny"}
    assert mine(judge(held, "CREATE", None, web(owner="me"))) == {}
    assert mine(judge(held, "CREATE", None, etcd(1))) == {}
    real = Request("Deployment.apps", "CREATE", "web", "shop", web(), None)
    assert not evaluate(real, EMPTY_VIEW, held, now=NOW).allowed
    assert evaluate(real, EMPTY_VIEW, now=NOW).allowed


def test_a_match_narrows_it() -> None:
    held = of(THREE, match={"namespaces": ["shop"], "exceptNamespaces": ["x"], "names": ["lo*"], "labels": {"app": "locks"}})
    assert mine(judge(held, "CREATE", None, etcd(1))) == {"SW901": "deny"}
    for other in ({"namespace": "dev"}, {"name": "queue"}, {"labels": {"app": "queue"}}):
        assert mine(judge(held, "CREATE", None, etcd(1, metadata=other))) == {}


def test_a_state_rule_lets_what_was_so_before_pass() -> None:
    held = of(THREE)
    assert mine(judge(held, "UPDATE", etcd(1), etcd(2))) == {}
    assert mine(judge(held, "UPDATE", etcd(3), etcd(2))) == {"SW901": "deny"}


def test_a_transition_rule_judges_the_change_and_by_default_updates_alone() -> None:
    held = of("object.spec.replicas >= oldObject.spec.replicas", nature="transition")
    assert mine(judge(held, "UPDATE", etcd(3), etcd(2))) == {"SW901": "deny"}
    assert mine(judge(held, "CREATE", None, etcd(2))) == {}


def test_a_deletion_has_an_old_object_alone() -> None:
    match = {"operations": ["DELETE"], "kinds": ["StatefulSet.apps"]}
    held = of("object == null && oldObject.spec.replicas == 0", nature="transition", match=match)
    assert mine(judge(held, "DELETE", etcd(1), None)) == {"SW901": "deny"}
    assert mine(judge(held, "DELETE", etcd(0), None)) == {}


@pytest.mark.parametrize("kinds", [["StatefulSet.apps"], ["services"], None])
def test_a_scale_is_judged_as_its_parent(kinds: list[str] | None) -> None:
    held = of(THREE, match={"kinds": kinds} if kinds else {})
    view = MemoryView([etcd(3)])
    verdict = judge(held, "UPDATE", scale(3), scale(1), view, kind="Scale.autoscaling", subresource="scale")
    assert mine(verdict) == {"SW901": "deny"}
    other = of(THREE, match={"kinds": ["Deployment.apps"]})
    assert mine(judge(other, "UPDATE", scale(3), scale(1), view, kind="Scale.autoscaling", subresource="scale")) == {}


POOL: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "KafkaNodePool",
    "metadata": {"name": "brokers", "namespace": "shop", "labels": {"strimzi.io/cluster": "clicks"}},
    "spec": {"replicas": 3, "roles": ["broker"]},
}
HUB: Object = {
    "apiVersion": "kafka.strimzi.io/v1",
    "kind": "Kafka",
    "metadata": {"name": "clicks", "namespace": "shop"},
    "spec": {"kafka": {"version": "4.1.0"}},
}


@pytest.mark.parametrize("hub", [[HUB], []], ids=["with its hub", "without"])
def test_a_node_pool_is_the_object_and_its_hub_the_service(hub: list[Object]) -> None:
    held = of(THREE, match={"kinds": ["KafkaNodePool.kafka.strimzi.io"]})
    smaller = cases.merge(POOL, {"spec": {"replicas": 2}})
    assert mine(judge(held, "UPDATE", POOL, smaller, MemoryView([*hub, POOL]))) == {"SW901": "deny"}
    assert mine(judge(held, "CREATE", None, smaller, MemoryView(hub))) == {"SW901": "deny"}
    assert mine(judge(held, "UPDATE", smaller, cases.merge(smaller, {"spec": {"x": 1}}), MemoryView([*hub, smaller]))) == {}
    by = {"kind": "Scale.autoscaling", "subresource": "scale"}
    asked = [cases.merge(scale(count), {"metadata": {"name": "brokers"}}) for count in (3, 2)]
    assert mine(judge(held, "UPDATE", *asked, MemoryView([*hub, POOL]), **by)) == {"SW901": "deny"}
    if hub:
        kafka = of("service.kind == 'Kafka.kafka.strimzi.io' && object.kind == 'KafkaNodePool'")
        assert mine(judge(kafka, "UPDATE", POOL, smaller, MemoryView([*hub, POOL]))) == {}


def test_an_edit_of_metadata_is_judged_by_user_rules_alone() -> None:
    held = of("'app' in object.metadata.?labels.orValue({})", nature="transition")
    unlabelled = etcd(metadata={"labels": None})
    assert mine(judge(held, "UPDATE", etcd(), unlabelled)) == {"SW901": "deny"}
    request = Request("StatefulSet.apps", "UPDATE", "locks", "shop", unlabelled, etcd())
    assert {found.rule for found in evaluate(request, EMPTY_VIEW, held, now=NOW).judged} == {"SW901"}


def test_consequences_and_exempt_accounts_are_not_judged() -> None:
    held = of("false", {"exempt": {"users": ["ci"]}})
    leaving = etcd(metadata={"deletionTimestamp": "2026-11-21T11:00:00Z"})
    assert judge(held, "UPDATE", leaving, etcd(1)).passed == "already being deleted"
    assert judge(held, "CREATE", None, etcd(), user=User("ci")).passed.startswith("account ci is exempt")


def test_it_can_be_waived() -> None:
    waive = {"annotations": {"stateward.dev/waive": 'SW901 until=2026-11-21T13:00:00Z reason="moving"'}}
    held = of(THREE)
    verdict = judge(held, "UPDATE", etcd(3, metadata=waive), etcd(1, metadata=waive))
    assert (verdict.allowed, mine(verdict), verdict.notes) == (True, {"SW901": "audit"}, [])
    assert message.audit(verdict)["waived"].startswith("SW901 until")


def test_a_waiver_of_a_user_rule_that_does_not_speak_is_no_mistake() -> None:
    waive = {"annotations": {"stateward.dev/waive": 'other until=2026-11-21T13:00:00Z reason="moving"'}}
    rows = [*one(THREE), {"id": "SW902", "name": "other", "validations": [{"expression": "true"}]}]
    held = parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"userRules": rows}}, RULES)
    verdict = judge(held, "UPDATE", etcd(3, metadata=waive), etcd(1, metadata=waive))
    assert verdict.notes == []


# --- what it sees ------------------------------------------------------------------------------------------------------


def sees(expression: str, item: Object, view: View = EMPTY_VIEW, **further: Any) -> bool:
    match = {"kinds": [kind_of_object(item)]}
    return mine(judge(of(expression, match=match), "CREATE", None, item, view, **further)) == {}


@pytest.mark.parametrize(
    "expression",
    [
        "service.kind == 'StatefulSet.apps' && service.name == 'locks' && service.namespace == 'shop'",
        "service.labels == {'app': 'locks'}",
        "service.engine == 'etcd' && service.engineCertain",
        "service.version == {'state': 'known', 'text': '3.5.17', 'major': 3, 'minor': 5, 'patch': 17}",
        "compareVersions(service.version.text, '3.5.9') > 0",
        "service.running == null && service.finalised == null && service.mode == null",
        "service.members == 3 && service.groups.size() == 1",
        "service.groups.all(g, g.members == 3 && g.ready == null && g.roles == [] && g.name != '')",
        "service.groups[0].volumes[0] == {'name': 'data', 'class': 'fast', 'size': '10Gi', 'sizeBytes': 10737418240.0, "
        "'modes': ['ReadWriteOnce'], 'ephemeral': false}",
        "service.groups[0].volumes.all(v, v.sizeBytes >= quantity('5Gi'))",
        "service.quorum.model == 'majority' && service.quorum.minimum >= 1",
        "service.archives == [] && service.sources == [] && !service.deletesClaims || service.deletesClaims",
    ],
)
def test_the_normalised_service(expression: str) -> None:
    assert sees(expression, etcd())


def test_what_is_no_service_has_none() -> None:
    assert sees("service == null", web())


def test_an_unread_version_is_null_and_says_so() -> None:
    image = {"template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:latest"}]}}}
    assert sees("service.version.state != 'known' && service.version.major == null", etcd(spec=image))


def test_the_request() -> None:
    assert sees(
        "request.operation == 'CREATE' && request.kind == 'Deployment.apps' && request.name == 'web' && "
        "request.namespace == 'shop' && request.subResource == '' && !request.dryRun && request.options == {'a': 1} && "
        "request.userInfo == {'username': 'alice', 'groups': ['dev']}",
        web(),
        user=User("alice", ("dev",)),
        options={"a": 1},
    )


def test_managed_fields_are_left_out() -> None:
    item = web()
    item["metadata"]["managedFields"] = [{"manager": "x"}]
    assert sees("!has(object.metadata.managedFields)", item)
    assert item["metadata"]["managedFields"]


def test_of_a_secret_the_keys_are_seen_and_no_value() -> None:
    secret: Object = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db", "namespace": "shop", "annotations": {"a": "b", LAST: "hunter2"}},
        "data": {"password": "hunter2"},
        "stringData": {"user": "hunter2"},
    }
    assert sees(f"'password' in object.data && !('{LAST}' in object.metadata.annotations)", secret)
    tell = [{"expression": "false", "messageExpression": "object.data.password + object.stringData.user + '!'"}]
    verdict = judge(of("", validations=tell, match={"kinds": ["Secret"]}), "CREATE", None, secret)
    assert [found.finding.text for found in verdict.judged] == ["!"]


LAST = "kubectl.kubernetes.io/last-applied-configuration"


# --- what it says ------------------------------------------------------------------------------------------------------

SAID = [
    ({"message": "fixed"}, "fixed"),
    ({}, "does not hold: object.spec.replicas >= 3"),
    ({"messageExpression": "'only ' + string(object.spec.replicas)"}, "only 1"),
    ({"messageExpression": "'only ' + string(object.spec.nope)", "message": "fixed"}, "fixed"),
    ({"messageExpression": "'two\\nlines'", "message": "fixed"}, "fixed"),
    ({"messageExpression": "'  '", "message": "fixed"}, "fixed"),
    ({"messageExpression": "['x', 'x'].map(i, 'x').join('') + string(params.long)"}, "xx" + "y" * 498),
]


@pytest.mark.parametrize(("row", "text"), SAID, ids=range(len(SAID)))
def test_the_message(row: dict[str, str], text: str) -> None:
    held = of("", validations=[{"expression": THREE, **row}], params={"long": "y" * 600})
    (found,) = judge(held, "CREATE", None, etcd(1)).judged
    assert found.finding.text == text


def test_every_validation_speaks() -> None:
    held = of("", validations=[{"expression": "false", "message": text} for text in "abc"])
    assert [found.finding.text for found in judge(held, "CREATE", None, etcd()).judged] == ["a", "b", "c"]


# --- faults ------------------------------------------------------------------------------------------------------------


def test_a_rule_that_fails_is_isolated_reported_and_refuses_nobody() -> None:
    held = policy(
        """
        - {id: SW901, name: first, validations: [{expression: "object.spec.nope == 1"}]}
        - {id: SW902, name: second, validations: [{expression: "object.spec.replicas >= 3", message: too few}]}
        """
    )
    verdict = judge(held, "CREATE", None, etcd(1))
    assert verdict.faults == {"SW901": 'validations[0]: there is no "nope"; guard it with has()'}
    assert {found.rule for found in verdict.judged} == {"SW902"}
    assert message.audit(verdict)["faults"] == "SW901"
    (warning,) = message.warnings(verdict)
    assert warning.startswith(
        'SW901 could not be judged: a fault in this rule of the policy (validations[0]: there is no "nope"'
    )
    alone = judge(of("object.spec.nope == 1", {"unknown": "deny"}), "CREATE", None, etcd(1))
    assert alone.allowed


def test_a_state_rule_that_fails_on_the_old_object_is_a_fault() -> None:
    verdict = judge(of("object.spec.limit >= 3"), "UPDATE", etcd(3), etcd(3, spec={"limit": 1}))
    assert list(verdict.faults) == ["SW901"]


def test_there_is_one_activation_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    real = cel.activation
    monkeypatch.setattr(cel, "activation", lambda given: made.append(given) or real(given))
    rows = [
        {"id": f"SW9{n:02}", "name": f"r{n}", "validations": [{"expression": "object.spec.replicas >= 3"}]}
        for n in range(1, 13)
    ]
    held = parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"userRules": rows}}, RULES)
    judge(held, "CREATE", None, etcd(3))
    assert len(made) == 1
    assert made[0]["service"] is None, "no expression mentions it"
    judge(held, "UPDATE", etcd(3), etcd(1))
    assert len(made) == 3, "one more for the change, one for what was before"


def test_without_the_runtime_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel_expr_python", None)
    monkeypatch.setattr(cel, "_bare", [])
    with pytest.raises(PolicyError) as caught:
        of(THREE)
    assert str(caught.value) == (
        "spec.userRules.SW901: rules in CEL need its runtime, which is not installed; pip install 'stateward[cel]'"
    )


# --- mistakes ----------------------------------------------------------------------------------------------------------


def row(**further: Any) -> list[dict[str, Any]]:
    return [{"id": "SW901", "name": "mine", "validations": [{"expression": "true"}], **further}]


def v(**validation: Any) -> list[dict[str, Any]]:
    return row(validations=[validation])


AT = "spec.userRules.SW901"
MISTAKES: list[tuple[Any, str]] = [
    ({"a": 1}, "spec.userRules: a list of mappings is wanted"),
    (["x"], "spec.userRules: a list of mappings is wanted"),
    ([{}], "spec.userRules[0].id: it is missing; write a string"),
    (row(id="SW801"), 'spec.userRules[0].id: "SW801" is no id for your own rules; write one of SW901 to SW999'),
    (row(id="SW900"), 'spec.userRules[0].id: "SW900" is no id'),
    (row(id=901), "spec.userRules[0].id: 901 is no text; write a string"),
    ([*row(), *row(name="other")], 'spec.userRules[1].id: "SW901" is there twice'),
    ([*row(), *row(id="SW902")], 'spec.userRules[1].name: "mine" is the name of SW901; choose another'),
    (row(name="skipped-hop"), 'spec.userRules[0].name: "skipped-hop" is the name of SW302; choose another'),
    (row(name="Not Good"), f'{AT}.name: "Not Good": lower-case words joined by dashes are wanted'),
    (row(when="x"), f'{AT}: unknown field "when"; there are id, name, summary'),
    (row(nature="change"), f"{AT}.nature: 'change' is none of state, transition"),
    (row(action="refuse"), f"{AT}.action: 'refuse' is none of deny, warn, audit, off"),
    (row(params=[1]), f"{AT}.params: a mapping is wanted"),
    (
        row(params={"a": yaml.safe_load("2026-11-21T12:00:00Z"), "b": {1, 2}}),
        f"{AT}.params: a value is none that JSON knows",
    ),
    (row(match=["x"]), f"{AT}.match: a mapping with kinds, operations, namespaces, exceptNamespaces, names and labels"),
    (row(match={"kind": "x"}), f'{AT}.match: unknown field "kind"; there are kinds, operations, namespaces'),
    (row(match={"kinds": ["statefulsets"]}), f'{AT}.match.kinds: "statefulsets" is no kind; write StatefulSet.apps'),
    (row(match={"kinds": ["StatefulSet"]}), f'{AT}.match.kinds: "StatefulSet" has no group; write StatefulSet.apps'),
    (row(match={"kinds": ["Scale.autoscaling"]}), f'{AT}.match.kinds: "Scale.autoscaling" is judged through its parent'),
    (row(match={"operations": ["PATCH"]}), f'{AT}.match.operations: "PATCH" is none of CREATE, UPDATE, DELETE'),
    (row(match={"operations": ["DELETE"]}), f"{AT}.match.operations: after a DELETE there is no object to judge"),
    (row(validations=[]), f"{AT}.validations: none is there; write [{{expression: …, message: …}}]"),
    (v(), f"{AT}.validations[0].expression: it is missing; write a string"),
    (v(expression=True), f"{AT}.validations[0].expression: True is no text; write a string"),
    (v(expression="true", massage="x"), f'{AT}.validations[0]: unknown field "massage"; there are expression, message'),
    (v(expression="object.x ="), f"{AT}.validations[0].expression: column 10: "),
    (v(expression="object.x"), f"{AT}.validations[0].expression: it gives any type, and a condition is wanted"),
    (v(expression="1 + 1"), f"{AT}.validations[0].expression: it gives int, and a condition is wanted"),
    (
        v(expression="true", messageExpression="1"),
        f"{AT}.validations[0].messageExpression: it gives int, and a text is wanted",
    ),
    (v(expression="true", message="a\nb"), f"{AT}.validations[0].message: it has more than one line"),
    (v(expression="true", field="spec..x"), f'{AT}.validations[0].field: path "spec..x": an empty key; write spec.replicas'),
    (v(expression="oldObject == null"), f"{AT}.validations[0].expression: oldObject is not known to a state rule"),
    (row(variables=[{"name": "a b", "expression": "1"}]), f'{AT}.variables[0].name: "a b" is no name such as members'),
    (row(variables=[{"name": "a", "expression": "1"}] * 2), f'{AT}.variables[1].name: "a" is there twice'),
    (
        row(variables=[{"name": "a", "expression": "x"}]),
        f"{AT}.variables[0].expression: column 1: undeclared reference to 'x'",
    ),
    (row(variables=[{"name": "a"}]), f"{AT}.variables[0].expression: it is missing"),
]


@pytest.mark.parametrize(("rows", "told"), MISTAKES, ids=[row[1][:70] for row in MISTAKES])
def test_a_mistake_is_told_when_the_policy_is_loaded(rows: Any, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"userRules": rows}}, RULES)
    assert str(caught.value).startswith(told)


def test_a_parameter_that_a_rule_does_not_have_is_a_mistake() -> None:
    with pytest.raises(PolicyError, match='rule SW901 has no parameter "most"; it has: least'):
        of("true", {"rules": {"SW901": {"params": {"most": 1}}}}, params={"least": 3})
