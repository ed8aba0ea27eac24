"""The policy: what a WardPolicy may say, what it does, and what a mistake is told."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies import data
from stateward.policies.policy import API_VERSION, DEFAULT, KIND, Policy, PolicyError, parse
from stateward.policies.rule import Rule
from stateward.policies.rules import BY_ID, RULES
from stateward.policies.view import Object

HOP, SPREAD, SHRINK = BY_ID["SW302"], BY_ID["SW207"], BY_ID["SW102"]
ITEM: Object = {"metadata": {"name": "db", "labels": {"tier": "gold"}}}


def policy(**spec: Any) -> Policy:
    return parse({"apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "p"}, "spec": spec}, RULES)


def does(found: Policy, rule: Rule, namespace: str = "shop", item: Object = ITEM) -> str:
    return found.action(rule, namespace, item)


# --- good without any ------------------------------------------------------------------------------------------------


def test_without_a_policy_rules_do_what_they_declare() -> None:
    assert [does(DEFAULT, rule) for rule in RULES] == [rule.action for rule in RULES]
    assert DEFAULT.excuses_need_an_earlier_edit


def test_an_empty_policy_is_the_default() -> None:
    assert policy() == DEFAULT
    assert policy(rules=None, exempt=None, unknown=None) == DEFAULT


# --- profiles --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["baseline", "baseline@1", "production", "production@1", "strict", "strict@1"])
def test_a_profile_has_a_name_and_a_version(text: str) -> None:
    assert policy(profile=text).profile == text.partition("@")[0]


def test_the_baseline_refuses_only_what_loses_data() -> None:
    baseline = policy(profile="baseline@1")
    for rule in RULES:
        wanted = "warn" if rule.action == "deny" and not rule.loses_data else rule.action
        assert does(baseline, rule) == wanted, rule.id


@pytest.mark.parametrize(("profile", "earlier"), [("baseline", False), ("production", True), ("strict", True)])
def test_only_in_the_baseline_may_an_edit_bring_its_own_excuse(profile: str, earlier: bool) -> None:
    assert policy(profile=profile).excuses_need_an_earlier_edit is earlier


def test_what_is_written_for_a_rule_wins_over_the_profile() -> None:
    assert does(policy(profile="baseline", rules={"SW302": "deny"}), HOP) == "deny"


# --- actions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["deny", "warn", "audit", "off"])
@pytest.mark.parametrize("name", ["SW302", "skipped-hop"])
def test_an_action_is_written_alone_or_in_a_mapping(action: str, name: str) -> None:
    assert does(policy(rules={name: action}), HOP) == action
    assert does(policy(rules={name: {"action": action}}), HOP) == action


@pytest.mark.parametrize("row", ["SW302: off", "SW302: {action: off}", "SW302: 'off'"])
def test_a_bare_off_of_yaml_is_off(row: str, tmp_path: Any) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(f"apiVersion: {API_VERSION}\nkind: {KIND}\nspec:\n  rules:\n    {row}\n")
    assert does(parse(data.read(file), RULES), HOP) == "off"


def test_what_is_not_written_stays() -> None:
    found = policy(rules={"SW302": {"match": {"namespaces": ["dev"]}, "action": "off"}})
    assert does(found, HOP) == "deny"
    assert does(found, SHRINK, "dev") == "deny"


# --- parameters ------------------------------------------------------------------------------------------------------

BACKUP = BY_ID["SW303"]


def test_a_parameter_keeps_its_default_until_it_is_given() -> None:
    assert DEFAULT.params(BACKUP, "shop", ITEM) == {"backupMaxAgeHours": 24}
    given = policy(rules={"SW303": {"params": {"backupMaxAgeHours": 6}}})
    assert given.params(BACKUP, "shop", ITEM) == {"backupMaxAgeHours": 6}
    assert does(given, BACKUP) == "deny"
    assert given.params(HOP, "shop", ITEM) == {}


def test_parameters_may_differ_by_namespace() -> None:
    rows = [
        {"params": {"backupMaxAgeHours": 48}},
        {"params": {"backupMaxAgeHours": 168}, "match": {"namespaces": ["dev-*"]}},
    ]
    found = policy(rules={"SW303": rows})
    assert found.params(BACKUP, "dev-1", ITEM) == {"backupMaxAgeHours": 168}
    assert found.params(BACKUP, "shop", ITEM) == {"backupMaxAgeHours": 48}


# --- what it holds for -----------------------------------------------------------------------------------------------

MATCHES: list[tuple[dict[str, Any], str, dict[str, str], bool]] = [
    ({}, "shop", {}, True),
    ({"namespaces": ["shop"]}, "shop", {}, True),
    ({"namespaces": ["shop"]}, "shopping", {}, False),
    ({"namespaces": ["dev-*", "shop"]}, "dev-7", {}, True),
    ({"namespaces": ["dev-?"]}, "dev-77", {}, False),
    ({"namespaces": ["dev-[0-9]"]}, "dev-7", {}, True),
    ({"namespaces": ["DEV-*"]}, "dev-7", {}, False),
    ({"namespaces": []}, "shop", {}, True),
    ({"exceptNamespaces": ["prod-*"]}, "prod-1", {}, False),
    ({"exceptNamespaces": ["prod-*"]}, "shop", {}, True),
    ({"namespaces": ["*"], "exceptNamespaces": ["prod-*"]}, "prod-1", {}, False),
    ({"labels": {"tier": "dev"}}, "shop", {"tier": "dev", "app": "x"}, True),
    ({"labels": {"tier": "dev"}}, "shop", {"tier": "prod"}, False),
    ({"labels": {"tier": "dev", "app": "x"}}, "shop", {"tier": "dev"}, False),
    ({"namespaces": ["dev-*"], "labels": {"tier": "dev"}}, "shop", {"tier": "dev"}, False),
    ({"labels": {"replicas": 3}}, "shop", {"replicas": "3"}, True),
]


@pytest.mark.parametrize(("match", "namespace", "labels", "held"), MATCHES)
def test_a_match_names_namespaces_and_labels(
    match: dict[str, Any], namespace: str, labels: dict[str, str], held: bool
) -> None:
    found = policy(rules={"SW302": {"action": "off", "match": match}})
    assert (does(found, HOP, namespace, {"metadata": {"labels": labels}}) == "off") is held


def test_what_matches_something_goes_before_what_holds_everywhere() -> None:
    rows = [
        "warn",
        {"action": "off", "match": {"namespaces": ["dev-*"]}},
        {"action": "audit", "match": {"labels": {"a": "b"}}},
    ]
    found = policy(rules={"SW302": rows})
    assert does(found, HOP, "dev-1") == "off"
    assert does(found, HOP, "shop", {"metadata": {"labels": {"a": "b"}}}) == "audit"
    assert does(found, HOP, "shop") == "warn"


def test_id_and_name_of_a_rule_are_one() -> None:
    found = policy(rules={"SW302": {"action": "off", "match": {"namespaces": ["dev"]}}, "skipped-hop": "warn"})
    assert (does(found, HOP, "dev"), does(found, HOP, "shop")) == ("off", "warn")


def test_accounts_and_what_an_unknown_does_are_read() -> None:
    found = policy(unknown="deny", exempt={"users": ["ci"], "groups": ["admins"]})
    assert (found.unknown, found.exempt_users, found.exempt_groups) == ("deny", ("ci",), ("admins",))


# --- mistakes --------------------------------------------------------------------------------------------------------


def whole(**further: Any) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": KIND, **further}


def rule(row: Any) -> dict[str, Any]:
    return whole(spec={"rules": {"SW303": row}})


MISTAKES: list[tuple[Any, str]] = [
    (None, "the policy is a NoneType; a mapping with apiVersion, kind and spec is wanted"),
    ([], "the policy is a list; a mapping with apiVersion, kind and spec is wanted"),
    ({}, "apiVersion, kind: None, None is no policy; write stateward.dev/v1alpha1, WardPolicy"),
    (
        {"apiVersion": "v1", "kind": "ConfigMap"},
        "apiVersion, kind: 'v1', 'ConfigMap' is no policy; write stateward.dev/v1alpha1, WardPolicy",
    ),
    (whole(), "spec: it is missing; write at least `spec: {profile: production@1}`"),
    (whole(spec=[]), "spec: it is missing; write at least `spec: {profile: production@1}`"),
    (whole(spec={"rule": {}}), 'spec: unknown field "rule"; there are profile, mode, unknown, exempt, rules'),
    (
        whole(spec={"profile": "paranoid"}),
        'spec.profile: "paranoid" is unknown; there are baseline@1, production@1, strict@1',
    ),
    (whole(spec={"profile": "strict@2"}), 'spec.profile: "strict@2" is unknown; there are baseline@1,'),
    (whole(spec={"profile": 5}), 'spec.profile: "5" is unknown; there are baseline@1,'),
    (whole(spec={"unknown": "ignore"}), "spec.unknown: 'ignore' is none of silent, warn, deny"),
    (whole(spec={"unknown": ["deny"]}), "spec.unknown: ['deny'] is none of silent, warn, deny"),
    (whole(spec={"exempt": ["ci"]}), "spec.exempt: a mapping with users and groups is wanted"),
    (whole(spec={"exempt": {"user": ["ci"]}}), 'spec.exempt: unknown field "user"; there are users, groups'),
    (whole(spec={"exempt": {"users": "ci"}}), "spec.exempt.users: a list of strings is wanted"),
    (whole(spec={"exempt": {"groups": [5]}}), "spec.exempt.groups: a list of strings is wanted"),
    (whole(spec={"rules": ["SW303"]}), "spec.rules: a mapping from rule to what it does is wanted"),
    (whole(spec={"rules": {"SW999": "off"}}), 'spec.rules: "SW999" is no rule; `stateward rules` lists them'),
    (whole(spec={"rules": {5: "off"}}), 'spec.rules: "5" is no rule; `stateward rules` lists them'),
    (rule("refuse"), "spec.rules.SW303.action: 'refuse' is none of deny, warn, audit, off"),
    (rule({"action": "refuse"}), "spec.rules.SW303.action: 'refuse' is none of deny, warn, audit, off"),
    (rule(True), "spec.rules.SW303: True says nothing; write an action or a mapping with action, params, match"),
    (rule(5), "spec.rules.SW303: 5 says nothing; write an action or a mapping with action, params, match"),
    (rule(None), "spec.rules.SW303: None says nothing; write an action or a mapping"),
    (rule({"level": "warn"}), 'spec.rules.SW303: unknown field "level"; there are action, params, match'),
    (
        rule({"match": ["dev"]}),
        "spec.rules.SW303.match: a mapping with namespaces, exceptNamespaces, names, kinds and labels is wanted",
    ),
    (
        rule({"match": {"namespace": ["dev"]}}),
        'spec.rules.SW303.match: unknown field "namespace"; there are namespaces, exceptNamespaces, names, kinds, labels',
    ),
    (rule({"match": {"namespaces": "dev-*"}}), "spec.rules.SW303.match.namespaces: a list of strings is wanted"),
    (rule({"match": {"exceptNamespaces": [5]}}), "spec.rules.SW303.match.exceptNamespaces: a list of strings is wanted"),
    (rule({"match": {"labels": ["a"]}}), "spec.rules.SW303.match.labels: a mapping is wanted"),
    (rule({"params": [5]}), "spec.rules.SW303.params: a mapping is wanted"),
    (
        rule({"params": {"maxAge": 5}}),
        'spec.rules.SW303.params: rule SW303 has no parameter "maxAge"; it has: backupMaxAgeHours',
    ),
    (
        whole(spec={"rules": {"SW302": {"params": {"x": 1}}}}),
        'spec.rules.SW302.params: rule SW302 has no parameter "x"; it has: none',
    ),
    (
        rule({"params": {"backupMaxAgeHours": "6"}}),
        "spec.rules.SW303.params.backupMaxAgeHours: '6' is no int (default 24)",
    ),
    (
        rule({"params": {"backupMaxAgeHours": True}}),
        "spec.rules.SW303.params.backupMaxAgeHours: True is no int (default 24)",
    ),
    (
        rule([{"action": "off"}, {"action": "of"}]),
        "spec.rules.SW303.action: 'of' is none of deny, warn, audit, off",
    ),
]


@pytest.mark.parametrize(("content", "told"), MISTAKES, ids=[row[1][:60] for row in MISTAKES])
def test_a_mistake_is_told_with_field_value_and_next_step(content: Any, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(content, RULES)
    assert str(caught.value).startswith(told)


def test_a_list_of_no_rows_changes_nothing() -> None:
    assert does(policy(rules={"SW302": []}), HOP) == "deny"


# --- names and kinds -------------------------------------------------------------------------------------------------

SET: Object = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "orders-db"}}
NARROWER: list[tuple[dict[str, Any], bool]] = [
    ({"names": ["orders-*"]}, True),
    ({"names": ["carts", "orders-db"]}, True),
    ({"names": ["orders"]}, False),
    ({"kinds": ["StatefulSet.apps"]}, True),
    ({"kinds": ["StatefulSet"]}, True),
    ({"kinds": ["*.apps"]}, True),
    ({"kinds": ["StatefulSet.other"]}, False),
    ({"kinds": ["Kafka*", "Cluster.postgresql.cnpg.io"]}, False),
    ({"names": ["orders-*"], "kinds": ["Kafka"]}, False),
]


@pytest.mark.parametrize(("match", "held"), NARROWER, ids=[str(row[0]) for row in NARROWER])
def test_a_match_names_objects_and_kinds(match: dict[str, Any], held: bool) -> None:
    found = policy(rules={"SW302": ["warn", {"action": "off", "match": match}]})
    assert does(found, HOP, "shop", SET) == ("off" if held else "warn")


def test_a_made_up_name_is_matched_by_its_beginning() -> None:
    found = policy(rules={"SW302": {"action": "off", "match": {"names": ["orders-*"]}}})
    assert does(found, HOP, "shop", {"metadata": {"generateName": "orders-"}}) == "off"


# --- exempt accounts -------------------------------------------------------------------------------------------------

EVERYBODY = [
    (
        "groups",
        "system:serviceaccounts",
        'spec.exempt.groups: "system:serviceaccounts" is every service account, and nothing',
    ),
    ("groups", "system:authenticated", 'spec.exempt.groups: "system:authenticated" is everybody who is logged in, and'),
    ("groups", "system:unauthenticated", 'spec.exempt.groups: "system:unauthenticated" is everybody who is not logged in'),
    ("groups", "system:*", 'spec.exempt.groups: "system:*" is no account; patterns are not taken, write each name out'),
    ("users", "system:serviceaccount:ops:*", 'spec.exempt.users: "system:serviceaccount:ops:*" is no account; patterns'),
    ("users", "ci-[0-9]", 'spec.exempt.users: "ci-[0-9]" is no account; patterns are not taken'),
    ("users", "", 'spec.exempt.users: "" is no account'),
]


@pytest.mark.parametrize(("field", "name", "told"), EVERYBODY, ids=[row[1] for row in EVERYBODY])
def test_nobody_exempts_everybody(field: str, name: str, told: str) -> None:
    with pytest.raises(PolicyError) as caught:
        policy(exempt={field: [name]})
    assert str(caught.value).startswith(told)


def test_the_accounts_of_one_namespace_may_be_exempt() -> None:
    found = policy(exempt={"groups": ["system:serviceaccounts:ops"], "users": ["system:serviceaccount:ops:migrator"]})
    assert found.exempt_groups == ("system:serviceaccounts:ops",)


def test_an_unknown_field_beside_the_spec_is_a_mistake() -> None:
    with pytest.raises(PolicyError, match='the policy: unknown field "rules"; there are apiVersion, kind, metadata, spec'):
        parse(whole(spec={}, rules={}), RULES)


def test_what_a_rule_usually_does_leaves_matches_out() -> None:
    found = policy(rules={"SW302": [{"action": "off", "match": {"namespaces": ["dev"]}}], "SW207": "audit"})
    assert (found.usual(HOP), found.usual(SPREAD)) == ("deny", "audit")
