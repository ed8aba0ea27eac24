"""`/mutate` bytes for bytes: what is asked, what is answered, and who says whether anything is filled in or refused."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from stateward.policies import mutate as module
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.defaults import LABEL
from stateward.policies.mutate import FORESTALLING, mutate
from stateward.policies.mutation import Fill, Mutation, mutation
from stateward.policies.policy import DEFAULT, Policy, PolicyError, parse
from stateward.policies.request import BadReview
from stateward.policies.review import Answer
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView, Object, nothing_complete

NOW = 1_800_000_000.0
ETCD: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "registry", "namespace": "prod", "labels": {"tier": "one"}},
    "spec": {
        "serviceName": "registry",
        "replicas": 3,
        "selector": {"matchLabels": {"app": "registry"}},
        "template": {
            "metadata": {"labels": {"app": "registry"}},
            "spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.33"}]},
        },
        "volumeClaimTemplates": [
            {
                "metadata": {"name": "data"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}},
            }
        ],
    },
}
CLAIM: Object = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data-registry-0", "namespace": "prod"},
    "spec": {"storageClassName": "fast", "volumeName": "pv", "resources": {"requests": {"storage": "8Gi"}}},
    "status": {"phase": "Bound", "capacity": {"storage": "8Gi"}},
}
FIELDS = ["spec.template.spec.topologySpreadConstraints", "spec.template.spec.affinity.podAntiAffinity"]


def namespace(value: Any = "on", **labels: Any) -> Object:
    given = {**labels, **({LABEL: value} if value is not None else {})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod", "labels": given}}


def view(*items: Object) -> MemoryView:
    return MemoryView(items, lambda _: True)


def body(item: Object, old: Object | None = None, **more: Any) -> bytes:
    group, _, version = item["apiVersion"].rpartition("/")
    request = {
        "uid": "u-1",
        "kind": {"group": group, "version": version, "kind": item["kind"]},
        "namespace": "prod",
        "operation": "CREATE" if old is None else "UPDATE",
        "userInfo": {"username": "jane", "groups": ["system:authenticated"]},
        "object": item,
        "oldObject": old,
        **more,
    }
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})


def ask(item: Object, old: Object | None = None, seen: Any = None, policy: Policy = DEFAULT, **more: Any) -> Answer:
    return mutate(body(item, old, **more), seen if seen is not None else view(namespace()), policy, now=NOW, unknown="warn")


def response(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(answer.body)["response"]
    return found


def policy(**spec: Any) -> Policy:
    return parse(
        {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "spec": {"profile": "production@1", **spec}}, RULES
    )


def fields(answer: Answer) -> list[str]:
    return [".".join(map(str, one.path)) for one in answer.filled]


def changed(item: Object, *path: str | int, to: Any) -> Object:
    copied = copy.deepcopy(item)
    holder: Any = copied
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = to
    return copied


# --- bytes for bytes -------------------------------------------------------------------------------------------------


def test_the_answer_to_a_creation_byte_for_byte() -> None:
    selector = b'{"matchLabels":{"app":"registry"}}'
    patch = (
        b'[{"op":"add","path":"/spec/template/spec/topologySpreadConstraints","value":[{"maxSkew":1,"topologyKey":'
        b'"kubernetes.io/hostname","whenUnsatisfiable":"ScheduleAnyway","labelSelector":' + selector + b"}]},"
        b'{"op":"add","path":"/spec/template/spec/affinity","value":{"podAntiAffinity":'
        b'{"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":100,"podAffinityTerm":{"topologyKey":'
        b'"kubernetes.io/hostname","labelSelector":' + selector + b"}}]}}}]"
    )
    assert ask(ETCD).body == (
        b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":true,'
        b'"patchType":"JSONPatch","patch":"' + base64.b64encode(patch) + b'",'
        b'"warnings":["SW001 members-spread: filled in spec.template.spec.topologySpreadConstraints '
        b'(spread over hosts preferred)","SW002 members-apart: filled in spec.template.spec.affinity.podAntiAffinity '
        b'(hosts of their own preferred)"],"auditAnnotations":{"filled":'
        b'"SW001 spec.template.spec.topologySpreadConstraints, SW002 spec.template.spec.affinity.podAntiAffinity"}}}'
    )


ALLOWED = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"u-1","allowed":true}}'


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(body(ETCD, ETCD), id="an update of nothing"),
        pytest.param(body(ETCD, ETCD, operation="DELETE", object=None), id="a deletion"),
        pytest.param(body(ETCD, subResource="status"), id="a subresource"),
        pytest.param(body(ETCD, changed(ETCD, "spec", "replicas", to=1), subResource="scale"), id="a scale"),
        pytest.param(body({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}), id="another kind"),
        pytest.param(body(changed(ETCD, "spec", "replicas", to=1), ETCD), id="an update that a rule at /validate refuses"),
    ],
)
def test_what_it_has_nothing_to_say_of_is_allowed_without_a_word(sent: bytes) -> None:
    assert mutate(sent, view(namespace()), now=NOW, unknown="warn").body == ALLOWED


def test_a_dry_run_is_answered_the_same() -> None:
    assert ask(ETCD, dryRun=True).body == ask(ETCD).body
    other = changed(ETCD, "spec", "serviceName", to="other")
    assert ask(other, ETCD, dryRun=True).body == ask(other, ETCD).body


def test_warnings_and_audit_keys_are_such_as_an_api_server_takes() -> None:
    for answer in (
        ask(ETCD),
        ask(ETCD, seen=MemoryView([namespace()], nothing_complete)),
        ask(ETCD, seen=view(namespace("x\ny"))),
    ):
        said = response(answer)
        assert said["warnings"]
        for text in said["warnings"]:
            assert text.isprintable()
            assert len(text) <= 120
        for key in said.get("auditAnnotations", {}):
            assert key.isalnum()


def test_what_is_no_review_is_said_so() -> None:
    with pytest.raises(BadReview):
        mutate(b"{}", view(), now=NOW, unknown="warn")


# --- who asks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "mutate_", "annotation", "wanted"),
    [
        (None, None, None, []),
        ("on", None, None, FIELDS),
        ("off", None, None, []),
        ("on", None, "off", []),
        (None, {"all": "on"}, None, FIELDS),
        (None, {"all": True}, None, FIELDS),
        ("off", {"all": "on"}, None, []),
        ("on", {"all": "off"}, None, []),
        ("on", {"SW001": "off"}, None, FIELDS[1:]),
        ("on", {"members-apart": False}, None, FIELDS[:1]),
        (None, {"SW001": "on"}, None, FIELDS[:1]),
        (None, {"all": "off", "SW001": "on"}, None, FIELDS[:1]),
        (None, {"all": {"match": {"namespaces": ["prod*"]}}}, None, FIELDS),
        (None, {"all": {"match": {"namespaces": ["dev-*"]}}}, None, []),
        ("on", {"all": {"match": {"namespaces": ["dev-*"]}}}, None, FIELDS),
        (None, {"all": ["on", {"fill": "off", "match": {"labels": {"tier": "one"}}}]}, None, []),
        (None, {"all": {"fill": "on", "match": {"kinds": ["PodDisruptionBudget"]}}}, None, []),
        (None, {"all": "on"}, "off", []),
    ],
)
def test_native_objects_are_filled_in_where_somebody_asks_and_nobody_forbids(
    label: Any, mutate_: Any, annotation: Any, wanted: list[str]
) -> None:
    item = changed(ETCD, "metadata", "annotations", to={LABEL: annotation}) if annotation else ETCD
    asked = policy(mutate=mutate_) if mutate_ is not None else DEFAULT
    assert fields(ask(item, seen=view(namespace(label)), policy=asked)) == wanted


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ([], "a mapping from mutation"),
        ({"SW201": "on"}, '"SW201" is no mutation'),
        ({"all": "yes"}, "'yes' is neither on nor off"),
        ({"all": {"fill": 1, "match": {}}}, "spec.mutate.all.fill: 1 is neither"),
        ({"all": {"macth": {}}}, 'unknown field "macth"'),
        ({"all": None}, "None is neither on nor off"),
    ],
)
def test_a_policy_that_asks_for_nonsense_is_refused_with_the_place(spec: Any, text: str) -> None:
    with pytest.raises(PolicyError, match=r"spec\.mutate") as raised:
        policy(mutate=spec)
    assert text in str(raised.value)


def test_a_mutation_under_rules_is_told_where_it_belongs() -> None:
    with pytest.raises(PolicyError, match="write it under spec"):
        policy(rules={"SW001": "off"})


def test_a_namespace_younger_than_what_is_seen_is_one_that_the_api_server_knows_to_ask() -> None:
    assert fields(ask(ETCD, seen=view())) == FIELDS
    assert fields(ask(ETCD, seen=view(), policy=policy(mutate={"all": {"match": {"namespaces": ["dev"]}}}))) == []


def test_labels_and_annotations_that_mean_nothing_are_said() -> None:
    (odd,) = response(ask(ETCD, seen=view(namespace("true"))))["warnings"]
    assert odd == f"namespace prod: label {LABEL} is neither on nor off; nothing follows from it"
    item = changed(ETCD, "metadata", "annotations", to={LABEL: "on"})
    (said,) = response(ask(item, seen=view(namespace(None))))["warnings"]
    assert said.startswith(f"annotation {LABEL}: only")


def test_accounts_that_are_exempt_create_what_they_create() -> None:
    answer = ask(ETCD, policy=policy(exempt={"users": ["jane"]}))
    assert answer.filled == ()
    assert response(answer)["auditAnnotations"] == {"passed": "account jane is exempt by policy"}


@pytest.mark.parametrize(
    ("owner", "filled"),
    [
        ({"apiVersion": "x/v1", "kind": "Db", "name": "a", "uid": "u", "controller": True}, False),
        ({"apiVersion": "x/v1", "kind": "Db", "name": "a", "uid": "u"}, True),
        ({"apiVersion": "x/v1", "kind": "Db", "name": "a", "uid": "u", "controller": False}, True),
    ],
)
def test_what_a_controller_owns_is_left_to_it(owner: Object, filled: bool) -> None:
    assert bool(ask(changed(ETCD, "metadata", "ownerReferences", to=[owner])).filled) is filled


@pytest.mark.parametrize("tool", [{"app.kubernetes.io/managed-by": "Helm"}, {"argocd.argoproj.io/instance": "x"}])
def test_helm_and_argo_own_nothing(tool: Object) -> None:
    assert fields(ask(changed(ETCD, "metadata", "labels", to=tool))) == FIELDS


def test_what_cannot_be_seen_is_not_guessed_and_is_said() -> None:
    answer = ask(ETCD, seen=MemoryView([namespace()], nothing_complete))
    assert answer.filled == ()
    assert response(answer)["warnings"][0] == "SW001: nothing is filled in, Node, Pod not known yet"
    quiet = ask(ETCD, seen=MemoryView([namespace()], nothing_complete), policy=policy(unknown="silent"))
    assert "warnings" not in response(quiet)


# --- members that run --------------------------------------------------------------------------------------------------


def running(template: Object, name: str = "registry-0", **metadata: Any) -> list[Object]:
    labels = {"app": "registry", "controller-revision-hash": "registry-5d"}
    return [
        namespace(),
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "prod", "labels": labels, **metadata}},
        {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {"name": "registry-5d", "namespace": "prod"},
            "data": {"spec": {"template": template}},
        },
    ]


def filled_in(item: Object) -> Object:
    copied = copy.deepcopy(item)
    for step in orjson.loads(base64.b64decode(response(ask(item))["patch"])):
        copied["spec"]["template"]["spec"][step["path"].rpartition("/")[2]] = step["value"]
    return copied


def test_a_set_made_anew_around_its_members_gets_what_they_run_with() -> None:
    without, with_it = ETCD["spec"]["template"], filled_in(ETCD)["spec"]["template"]
    assert fields(ask(ETCD, seen=view(*running(without)))) == []
    assert fields(ask(ETCD, seen=view(*running(with_it)))) == FIELDS


def test_of_members_that_run_with_nobody_knows_what_nothing_is_guessed() -> None:
    assert fields(ask(ETCD, seen=view(*running(filled_in(ETCD)["spec"]["template"])[:2]))) == []


def test_pods_that_go_and_pods_of_others_do_not_matter() -> None:
    template = ETCD["spec"]["template"]
    assert fields(ask(ETCD, seen=view(*running(template, deletionTimestamp="2026-11-21T12:00:00Z")))) == FIELDS
    for other in ("registry-web-0", "registry-7d9f", "registryx-0", "web-0"):
        assert fields(ask(ETCD, seen=view(*running(template, other)))) == FIELDS


def test_zones_that_members_run_with_stay_where_a_node_without_a_zone_has_come() -> None:
    with_zones = filled_in(ETCD)["spec"]["template"]
    hosts = with_zones["spec"]["topologySpreadConstraints"][0]
    with_zones["spec"]["topologySpreadConstraints"] = [{**hosts, "topologyKey": "topology.kubernetes.io/zone"}, hosts]
    answer = ask(ETCD, seen=view(*running(with_zones)))
    assert answer.filled[0].text == "spread over zones and hosts preferred"


# --- a fault, and kinds of our own -------------------------------------------------------------------------------------


def put(monkeypatch: pytest.MonkeyPatch, *those: Mutation) -> None:
    monkeypatch.setattr(module, "_FILLING", {kind: those for one in those for kind in one.judges.kinds})


def some_mutation(kind: str, fills: Any) -> Mutation:
    made = mutation(id="SW098", name="some-default", summary="S", why="W", safe="S", source="S", kinds=(kind,))
    return made(fills)


def test_a_default_that_fails_is_left_out_and_nobody_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(change: Any, see: Any) -> Iterator[Fill]:
        raise RuntimeError("secret")

    put(monkeypatch, some_mutation("StatefulSet.apps", fails), *module.MUTATIONS[:2])
    answer = ask(ETCD)
    assert fields(answer) == FIELDS
    assert answer.verdict.faults == {"SW098": "RuntimeError"}
    assert "SW098: not filled in, a fault in Stateward (RuntimeError)" in response(answer)["warnings"]


@pytest.mark.parametrize(("label", "filled"), [(None, True), ("on", True), ("off", False)])
def test_kinds_of_our_own_have_their_defaults_unless_somebody_says_off(
    monkeypatch: pytest.MonkeyPatch, label: Any, filled: bool
) -> None:
    def fills(change: Any, see: Any) -> Iterator[Fill]:
        yield Fill(("spec", "a", "b"), {"c": 1}, "c is 1")

    put(monkeypatch, some_mutation("Thing.stateward.dev", fills))
    item = {"apiVersion": "stateward.dev/v1", "kind": "Thing", "metadata": {"name": "x", "namespace": "prod"}}
    assert bool(ask(item, seen=view(namespace(label))).filled) is filled
    assert ask(item, seen=view(namespace(None)), policy=policy(mutate={"SW001": "on"})).filled


# --- refused before the API server does --------------------------------------------------------------------------------

OTHER_NAME = changed(ETCD, "spec", "serviceName", to="other")
OTHER_CLASS = changed(CLAIM, "spec", "storageClassName", to="slow")


def test_the_rules_that_forestall_are_those_of_fields_that_never_change() -> None:
    assert [rule.id for rule in FORESTALLING] == ["SW103", "SW119"]
    assert all(rule.nature == "transition" and not rule.looks_at for rule in FORESTALLING)


@pytest.mark.parametrize(
    ("item", "old", "rule"), [(OTHER_NAME, ETCD, "SW103"), (OTHER_CLASS, CLAIM, "SW119")], ids=["set", "claim"]
)
def test_an_edit_that_cannot_be_is_refused_with_the_recipe(item: Object, old: Object, rule: str) -> None:
    said = response(ask(item, old))
    assert said["allowed"] is False
    assert "patch" not in said
    assert "patchType" not in said
    # 403 and not 422: `kubectl apply --force` takes a 422 for leave to delete the object and create it again.
    assert (said["status"]["code"], said["status"]["reason"]) == (403, "Forbidden")
    text = said["status"]["message"]
    assert f"\n{rule} " in text
    assert "\n  do   keep" in text
    assert "stateward.dev/waive" not in text
    assert text.endswith("\n\nnote: the API server itself refuses this edit, so no waiver helps")


def test_other_rules_are_asked_at_validate_alone() -> None:
    item = changed(OTHER_NAME, "spec", "replicas", to=1)
    assert {one.rule for one in ask(item, ETCD).verdict.judged} == {"SW103"}
    own = policy(
        userRules=[
            {
                "id": "SW901",
                "name": "never",
                "match": {"kinds": ["StatefulSet.apps"], "operations": ["UPDATE"]},
                "validations": [{"expression": "false", "message": "never"}],
            }
        ]
    )
    assert {one.rule for one in ask(item, ETCD, policy=own).verdict.judged} == {"SW103"}


@pytest.mark.parametrize("action", ["warn", "audit", "off"])
def test_an_action_that_does_not_refuse_leaves_it_to_the_api_server(action: str) -> None:
    said = response(ask(OTHER_NAME, ETCD, policy=policy(rules={"SW103": action})))
    assert said["allowed"] is True
    assert any("SW103 claim-template-change: spec.serviceName" in text for text in said.get("warnings", ())) is (
        action == "warn"
    )
    assert said.get("auditAnnotations", {}).get("findings") == (None if action == "off" else f"SW103 {action}")


def test_a_waiver_is_honoured_and_the_warning_says_that_it_does_not_help() -> None:
    old = changed(
        ETCD, "metadata", "annotations", to={"stateward.dev/waive": 'SW103 until=2027-02-01T00:00:00Z reason="moving"'}
    )
    said = response(ask(changed(old, "spec", "serviceName", to="other"), old))
    assert said["allowed"] is True
    assert said["warnings"] == ["SW103 is waived, but the API server itself refuses this edit, so no waiver helps"]
    assert said["auditAnnotations"]["findings"] == "SW103 waived"


def test_exemptions_and_consequences_hold_here_too() -> None:
    exempt = ask(
        OTHER_NAME, ETCD, policy=policy(exempt={"groups": ["admins"]}), userInfo={"username": "x", "groups": ["admins"]}
    )
    assert exempt.verdict.allowed
    going = changed(ETCD, "metadata", "deletionTimestamp", to="2026-11-21T12:00:00Z")
    assert ask(changed(going, "spec", "serviceName", to="other"), going).verdict.allowed
    disposable = view(namespace(None, **{"stateward.dev/disposable": "true"}))
    assert ask(OTHER_NAME, ETCD, seen=disposable).verdict.allowed


def test_an_adapter_of_the_users_changes_nothing_here() -> None:
    assert "StatefulSet.apps" in ADAPTERS
    assert not ask(OTHER_NAME, ETCD, policy=policy()).verdict.allowed
