"""Kinds of the user's own: checked whole when a policy is loaded, judged like any other from then on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stateward.kube.declared import needed
from stateward.kube.registration import configuration
from stateward.policies import cases, data, policy, times
from stateward.policies.adapters import grammar, own, schema
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS, BUILT_IN
from stateward.policies.adapters.own import AdapterError
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.model import Service
from stateward.policies.paths import render
from stateward.policies.policy import PolicyError
from stateward.policies.request import Request
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View, kind_of_object

NOW = times.parse(cases.NOW) or 0.0
LEDGER: dict[str, Any] = {
    "adapter": "ledger",
    "match": {"group": "db.acme.example", "kind": "Ledger"},
    "resource": "ledgers",
    "scale": "spec.nodes",
    "engine": "postgresql",
    "upgrades": "operator",
    "version": {"text": "spec.release"},
    "groups": [
        {
            "name": {"const": "nodes"},
            "members": {"path": "spec.nodes", "default": 1},
            "volumes": [{"name": {"const": "data"}, "class": "spec.disk.class", "size": "spec.disk.size"}],
        }
    ],
    "claims": {"label": "db.acme.example/ledger", "names": ["{volume}-{service}-"]},
    "backups": [{"kind": "LedgerDump.db.acme.example", "of": "spec.ledger", "at": "status.done"}],
}
FILES = dict(data.folder("adapters/data"))


def parsed(*adapters: Any, **further: Any) -> policy.Policy:
    spec = {"adapters": list(adapters), **further}
    return policy.parse({"apiVersion": policy.API_VERSION, "kind": policy.KIND, "spec": spec}, RULES)


def used(*adapters: Any, **further: Any) -> policy.Policy:
    found = parsed(*adapters, **further)
    ADAPTERS.use(found.adapters)
    return found


def ledger(**spec: Any) -> Object:
    return {
        "apiVersion": "db.acme.example/v2",
        "kind": "Ledger",
        "metadata": {"name": "books", "namespace": "shop"},
        "spec": {"nodes": 3, "release": "16.4", "disk": {"class": "fast", "size": "10Gi"}, **spec},
    }


def judge(operation: str, old: Object | None, new: Object | None, by: policy.Policy, view: View = EMPTY_VIEW) -> Verdict:
    item = new or old or {}
    metadata = item["metadata"]
    namespace = metadata.get("namespace", metadata["name"])
    request = Request(kind_of_object(item), operation, metadata["name"], namespace, new, old)
    return evaluate(request, view, by, now=NOW)


def denied(verdict: Verdict) -> set[str]:
    assert not verdict.faults
    return {one.rule for one in verdict.denied}


def changed(edit: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    content = copy.deepcopy(LEDGER)
    edit(content)
    return content


# --- what they do ----------------------------------------------------------------------------------------------------


def test_a_kind_of_ones_own_is_judged_like_any_other() -> None:
    by = used(LEDGER)
    assert denied(judge("UPDATE", ledger(), ledger(release="15.2"), by)) == {"SW301"}
    assert "SW101" in denied(judge("UPDATE", ledger(), ledger(disk={"class": "slow", "size": "10Gi"}), by))
    assert not judge("UPDATE", ledger(), ledger(release="16.6"), by).judged


def test_its_scale_reaches_it() -> None:
    by = used(LEDGER)
    scales = [
        {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": "books", "namespace": "shop"},
            "spec": {"replicas": count},
        }
        for count in (3, 1)
    ]
    request = Request(
        "Scale.autoscaling", "UPDATE", "books", "shop", scales[1], scales[0], subresource="scale", resource="ledgers"
    )
    assert [one.rule for one in evaluate(request, MemoryView([ledger()]), by, now=NOW).judged] == ["SW202"]


def test_a_namespace_that_holds_one_is_refused_to_go() -> None:
    by = used(LEDGER)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    verdict = judge("DELETE", namespace, None, by, MemoryView([ledger()]))
    assert denied(verdict) == {"SW403"}
    assert "1 Ledger" in verdict.denied[0].finding.text


def test_a_backup_that_its_operator_records_counts() -> None:
    by = used(LEDGER)
    dump = {
        "apiVersion": "db.acme.example/v2",
        "kind": "LedgerDump",
        "metadata": {"name": "d", "namespace": "shop"},
        "spec": {"ledger": "books"},
        "status": {"done": "2026-11-21T11:00:00Z"},
    }
    up = (ledger(), ledger(release="17.2"))
    without = judge("UPDATE", *up, by, MemoryView([]))
    assert "SW303" in {one.rule for one in without.judged}
    assert "SW303" not in {one.rule for one in judge("UPDATE", *up, by, MemoryView([dump])).judged}
    assert not without.faults


def test_its_objects_and_its_backups_are_read_from_a_cluster() -> None:
    used(LEDGER)
    kinds = needed(RULES, ADAPTERS)
    assert kinds["Ledger.db.acme.example"] is None
    assert "LedgerDump.db.acme.example" in kinds


def test_the_door_is_asked_about_it_and_its_scale() -> None:
    used(LEDGER)
    found = configuration(RULES, ADAPTERS, url="https://ward.example/validate")
    asked = {
        (operation, resource)
        for hook in found["webhooks"]
        for rule in hook["rules"]
        if "db.acme.example" in rule["apiGroups"]
        for operation in rule["operations"]
        for resource in rule["resources"]
    }
    assert {("CREATE", "ledgers"), ("UPDATE", "ledgers"), ("DELETE", "ledgers"), ("UPDATE", "ledgers/scale")} <= asked


def test_rules_in_cel_know_it() -> None:
    pytest.importorskip("cel_expr_python")
    rule = {
        "id": "SW901",
        "name": "two-books",
        "match": {"kinds": ["Ledger.db.acme.example"]},
        "validations": [{"expression": "service.engine == 'postgresql' && service.members > 1", "message": "too few"}],
    }
    by = used(LEDGER, userRules=[rule])
    assert "SW901" in denied(judge("CREATE", None, ledger(nodes=1), by))
    assert "SW901" not in denied(judge("CREATE", None, ledger(), by))
    with pytest.raises(PolicyError, match=r"has no group; write Ledger\.db\.acme\.example"):
        parsed(LEDGER, userRules=[{**rule, "match": {"kinds": ["Ledger"]}}])


def test_it_takes_the_place_of_a_built_in_one() -> None:
    kind = "MariaDB.k8s.mariadb.com"
    replaced = {**LEDGER, "adapter": "mariadb-operator", "match": {"group": "k8s.mariadb.com", "kind": "MariaDB"}}
    used(replaced)
    assert ADAPTERS[kind].resource == "ledgers"
    assert len(ADAPTERS) == len(BUILT_IN)
    ADAPTERS.use({})
    assert ADAPTERS[kind] is BUILT_IN[kind]


def test_a_renamed_group_gives_an_adapter_each() -> None:
    both = {**LEDGER, "match": {"group": ["db.acme.example", "acme.example"], "kind": "Ledger"}}
    assert set(parsed(both).adapters) == {"Ledger.db.acme.example", "Ledger.acme.example"}


def test_parsing_a_policy_changes_nothing() -> None:
    parsed(LEDGER)
    assert not ADAPTERS.own


# --- mistakes --------------------------------------------------------------------------------------------------------

MISTAKES: list[tuple[Callable[[dict[str, Any]], object], str, str]] = [
    (lambda one: one.update(verison="x"), "verison", 'unknown word "verison"; did you mean version?'),
    (lambda one: one.pop("resource"), "", '"resource" is missing: the kind\'s plural, as kubectl takes it'),
    (lambda one: one["match"].update(kind=7), "match.kind", "a kind without its group, such as Ledger, is wanted, not 7"),
    (lambda one: one.update(claims={"lable": "x"}), "claims.lable", 'unknown word "lable"; did you mean label?'),
    (lambda one: one.update(claims=[]), "claims", "a mapping (claims) is wanted, not a list"),
    (lambda one: one.update(match=[]), "match", "a mapping (match) is wanted, not a list"),
    (lambda one: one["match"].update(group=[]), "match.group", "the list is empty; write at least one item"),
    (lambda one: one.update(engine="postgress"), "engine", '"postgress" is no engine; did you mean postgresql?'),
    (lambda one: one.update(scale="spec..x"), "scale", 'path "spec..x": an empty key'),
    (lambda one: one.update(groups={}), "groups", "a list is wanted, not a mapping"),
    (
        lambda one: one["groups"][0].pop("name"),
        "groups[0]",
        '"name" is missing: the group\'s name; `{const: members}` where there is one group',
    ),
    (
        lambda one: one["groups"][0].update(members=3),
        "groups[0].members",
        "an expression (a path or a mapping) is wanted, not 3",
    ),
    (lambda one: one["groups"][0].update(join="pools"), "groups[0].join", '"pools" is none of join; name the kind there'),
    (
        lambda one: one["groups"][0].update(each="a", eachOf="b"),
        "groups[0].eachOf",
        "either each (a list) or eachOf (a mapping), not both",
    ),
    (lambda one: one.update(version=[]), "version", "the list is empty; write at least one item"),
    (
        lambda one: one.update(version={"text": "a", "image": "b"}),
        "version",
        "a version needs one of image, text, catalog; here are image and text",
    ),
    (
        lambda one: one["version"].update(pattern="v[0-9]+"),
        "version.pattern",
        '"v[0-9]+" has no group; put parentheses around the version',
    ),
    (
        lambda one: one["version"].update(pattern="("),
        "version.pattern",
        '"(" is no regular expression: missing ), unterminated subpattern at position 0',
    ),
    (
        lambda one: one.update(stopped={"path": "a", "equals": 1, "in": [2]}),
        "stopped",
        "one test is taken; here are equals and in",
    ),
    (lambda one: one.update(stopped={"path": "a", "above": True}), "stopped.above", "a whole number is wanted, not true"),
    (
        lambda one: one.update(stopped={"find": "a", "where": {"b": 1}}),
        "stopped",
        '"find" needs "value": with `find` and `every`: what is read of an item',
    ),
    (
        lambda one: one.update(paused={"path": "a", "not": True}),
        "paused.not",
        '"not" turns a test round, and there is none of equals, in, contains, above, exists',
    ),
    (
        lambda one: one["claims"].update(names=["{volume"]),
        "claims.names[0]",
        "\"{volume\": expected '}' before end of string",
    ),
    (
        lambda one: one["claims"].update(names=["{pod}-"]),
        "claims.names[0]",
        '"{pod}-": in braces stands one of {service}, {group}, {volume}',
    ),
    (
        lambda one: one.update(claims={"like": ["x*"]}),
        "claims.like",
        "a label is wanted too; a pattern alone takes the claims of others",
    ),
    (
        lambda one: one.update(placement={"zone": "a"}),
        "placement.zone",
        'unknown word "zone"; placement has antiAffinity, antiAffinityRequired, nodeAffinity, nodeSelector, pod, '
        "topologyKey",
    ),
    (lambda one: one.update(fixed=[{"field": "a", "what": "x"}]), "fixed[0]", '"why" is missing: why it stays'),
    (lambda one: one.update(unsafe="a"), "unsafe", 'a list is wanted, not "a"'),
    (
        lambda one: one.update(scaleDown="drops"),
        "scaleDown",
        '"drops" is none of plain, deletesClaims, decommissions, oneByOne, unsupported',
    ),
    (lambda one: one.update(secrets=[{"role": "ca"}]), "secrets[0]", "a secret needs one of name, named; here is none"),
    (
        lambda one: one.update(joins={"kind": "Bank.acme.example", "label": "a", "name": "b"}),
        "joins.kind",
        "Bank.acme.example has no adapter; write one beside this",
    ),
    (lambda one: one.update(match={"kind": "Secret"}), "match", "Secret is judged as what it is, it can be no service"),
    (
        lambda one: one.update(adapter="statefulset"),
        "adapter",
        '"statefulset" is the adapter of StatefulSet.apps; choose another name',
    ),
]


@pytest.mark.parametrize(
    ("edit", "where", "said"), MISTAKES, ids=[f"{number}-{row[1]}" for number, row in enumerate(MISTAKES)]
)
def test_a_mistake_is_told_with_its_place_and_reason(
    edit: Callable[[dict[str, Any]], object], where: str, said: str
) -> None:
    with pytest.raises(AdapterError) as caught:
        parsed(changed(edit))
    places = [
        (render(one.path).removeprefix("spec.adapters[0]").removeprefix("."), one.text) for one in caught.value.mistakes
    ]
    assert places == [(where, said)]


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(AdapterError) as caught:
        parsed({**LEDGER, "engine": 7}, {**LEDGER, "resource": 7, "groups": 7})
    assert [render(one.path) for one in caught.value.mistakes] == [
        "spec.adapters[0].engine",
        "spec.adapters[1].resource",
        "spec.adapters[1].groups",
    ]


def test_one_kind_has_one_adapter() -> None:
    with pytest.raises(AdapterError, match=r"Ledger\.db\.acme\.example has an adapter already, spec\.adapters\[0\]"):
        parsed(LEDGER, LEDGER)


@pytest.mark.parametrize("content", [7, "a", {}, True])
def test_adapters_are_a_list(content: Any) -> None:
    with pytest.raises(AdapterError, match="a list of adapters is wanted"):
        own.read(content)


# --- everything else -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", sorted(FILES))
def test_our_own_files_are_as_the_schema_says(file: str) -> None:
    assert not schema.mistakes(FILES[file])


class Asked(dict[str, Any]):
    """A mapping that keeps what it was asked for."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.names.add(key)
        return super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        self.names.add(str(key))
        return super().__contains__(key)


def test_the_schema_has_every_field_that_adapters_read() -> None:
    asked = Asked({"adapter": "index", "match": {"group": "search.example", "kind": "Index"}, "resource": "indices"})
    Adapter("index.yaml", asked)
    assert set(schema.FIELDS) == asked.names
    assert set(schema.EXPRESSION) == grammar._KNOWN
    assert schema.SOURCES == grammar._SOURCES
    assert schema.TESTS == grammar._TESTS


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "a", "a.b", "a[].b", "{x}", "("]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*schema.FIELDS, *schema.EXPRESSION, *schema.GROUP, "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(VALUES)
def test_any_json_is_an_adapter_or_a_clear_error(content: Any) -> None:
    try:
        own.read([content])
        mistakes = None
    except AdapterError as error:
        mistakes = error.mistakes
    assert mistakes is None or (mistakes and all(one.text and "\n" not in one.text for one in mistakes))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in rows for place in places(inner, (*path, key)))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), VALUES)
def test_a_file_with_one_value_exchanged_is_an_adapter_that_reads_or_a_clear_error(drawn: st.DataObject, value: Any) -> None:
    content = copy.deepcopy(FILES[drawn.draw(st.sampled_from(sorted(FILES)))])
    at = drawn.draw(st.sampled_from(places(content)[1:]))
    inner = content
    for step in at[:-1]:
        inner = inner[step]
    inner[at[-1]] = value
    try:
        adapters = own.read([content])
    except AdapterError:
        return
    item = {
        "kind": "X",
        "metadata": {"name": "n", "namespace": "m"},
        "spec": drawn.draw(VALUES),
        "status": drawn.draw(VALUES),
    }
    for adapter in adapters.values():
        adapter.applies(item)
        service = Service(adapter, item, EMPTY_VIEW)
        for group in service.groups:
            assert [group.members, group.ready, group.nonvoters, group.roles, group.voters]
            for volume in group.volumes:
                assert [volume.storage_class, volume.size, volume.modes, volume.ephemeral, volume.labels]
                adapter.claim_is_of(service, group, volume, {"metadata": {"name": "data-n-0", "labels": {}}})
        assert [service.version, service.mode, service.placement]
        _ = [service.running, service.finalised, service.archives, service.sources, service.secrets, service.fixed]
        _ = [service.unsafe, service.deletes_claims, service.stopped, service.backed_up, adapter.carrier(service)]
        for form in adapter.backups:
            list(form.moments(item, service))


def test_an_engine_by_an_expression_need_not_be_known() -> None:
    named = {**LEDGER, "engine": {"path": "spec.kind", "map": {"pg": "postgresql"}}}
    adapter = parsed(named).adapters["Ledger.db.acme.example"]
    assert Service(adapter, ledger(kind="pg"), EMPTY_VIEW).engine is PROFILES["postgresql"]
    assert Service(adapter, ledger(kind="other"), EMPTY_VIEW).engine is None
