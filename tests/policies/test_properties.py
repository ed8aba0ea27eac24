"""Properties that hold whatever is sent: nothing raises, no rule stumbles, and what is no edit is never refused.

Two sources of input: any JSON at all, and the rules' own examples and the operators' vectors with pieces of them
replaced by any JSON, which gets deep into the rules. STATEWARD_FUZZ=5000 runs that many examples of each property, other
ones each time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from stateward.policies import cases, data, message, times
from stateward.policies.adapters.catalogue import ADAPTERS, backup_kinds
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.operations import OPERATIONS
from stateward.policies.policy import API_VERSION, DEFAULT, KIND, Policy, parse
from stateward.policies.request import BadReview, Request, User, decode, from_review
from stateward.policies.review import review
from stateward.policies.rota import ANY_SERVICE, dispatch
from stateward.policies.rules import RULES
from stateward.policies.rules.backup.schedule_stopped import SCHEDULES
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View, kind_of_object, nothing_complete

NOW = times.parse(cases.NOW) or 0.0
FUZZ = os.environ.get("STATEWARD_FUZZ")


def some(count: int) -> settings:
    return settings(
        max_examples=int(FUZZ or count),
        derandomize=FUZZ is None,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# --- any JSON --------------------------------------------------------------------------------------------------------

TEXTS = [
    "", "0", "1", "-1", "²", "٣", "9" * 5000, "1e999", "10Gi", "1.5e3", "latest", "main", "17.5", "postgres:16.9",
    "rabbitmq:4.1.2", "x@sha256:0", ":::", "a.b/c", "..", "{0...3}", "true", "Delete", "Retain", "Immediate",
    "kubernetes.io/hostname", "2026-11-21T11:00:00Z", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00",
    "SW201 until=9999-12-31T23:59:59Z reason=x", "SW201", ";", "%s{}%d", "é\n\x00\x1b", "data-wiki-0", "x" * 300,
]  # fmt: skip
KEYS = [
    "metadata", "spec", "status", "name", "namespace", "labels", "annotations", "ownerReferences", "kind", "apiVersion",
    "replicas", "template", "containers", "image", "args", "command", "env", "value", "valueFrom", "volumeMounts",
    "volumeClaimTemplates", "storage", "size", "class", "kafka", "zookeeper", "instances", "config", "conditions", "uid",
    "affinity", "nodeSelector", "volumes", "roles", "phase", "data", "controller", "deletionTimestamp", "versions",
]  # fmt: skip

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-2, 12),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TEXTS),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
keys = st.one_of(st.sampled_from(KEYS), st.sampled_from(TEXTS), st.text(st.characters(codec="utf-8"), max_size=4))
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)
objects = st.dictionaries(keys, anything, max_size=5)

DISPATCHED = sorted(dispatch(RULES))
LOOKED_AT = sorted({kind for rule in RULES for kind in rule.looks_at} | set(ADAPTERS) | {"Namespace"})


def of_kind(kind: str, item: Object) -> Object:
    name, _, group = kind.partition(".")
    return {**item, "apiVersion": f"{group}/v1" if group else "v1", "kind": name}


views = st.builds(
    lambda items, complete: MemoryView(items, complete),
    st.lists(st.builds(of_kind, st.sampled_from(LOOKED_AT), objects), max_size=4),
    st.sampled_from([None, nothing_complete, lambda kind: True]),
)
users = st.builds(
    User, st.sampled_from(["", "alice", "system:kube-controller-manager"]), st.just(("system:serviceaccounts",))
)
policies = st.sampled_from([DEFAULT, Policy(profile="baseline"), Policy(profile="strict", unknown="deny")])


def request(key: tuple[str, str, str], old: Object, new: Object, **further: Any) -> Request:
    kind, operation, subresource = key
    return Request(
        kind=kind,
        operation=operation,
        name="x",
        namespace="y",
        object=None if operation == "DELETE" else new,
        old=None if operation == "CREATE" else old,
        subresource=subresource,
        **further,
    )


@some(150)
@given(st.sampled_from(DISPATCHED), objects, objects, views, policies, users, objects)
def test_any_json_in_any_place_is_judged(
    key: tuple[str, str, str], old: Object, new: Object, view: View, policy: Policy, user: User, options: Object
) -> None:
    verdict = evaluate(request(key, old, new, user=user, options=options), view, policy, now=NOW)
    assert verdict.faults == {}


@pytest.mark.parametrize("key", [key for key in DISPATCHED if key[1] == "UPDATE"], ids=" ".join)
@some(8)
@given(item=objects, view=views)
def test_what_stays_as_it_is_passes(key: tuple[str, str, str], item: Object, view: View) -> None:
    same: Object = orjson.loads(orjson.dumps(item))
    verdict = evaluate(request(key, item, same), view, now=NOW)
    assert (verdict.allowed, verdict.judged, verdict.faults) == (True, [], {})


# --- examples with a piece replaced ----------------------------------------------------------------------------------


VECTORS = Path(__file__).resolve().parent / "vectors"


def all_examples() -> list[cases.Case]:
    found: list[cases.Case] = []
    for rule in RULES:
        try:
            found.extend(cases.read(rule.id, data.examples(rule.module)))
        except (data.DataError, cases.CaseError):
            continue  # test_rules tells
    for path in sorted(VECTORS.glob("*.yaml")):
        found.extend(cases.read(path.name, data.read(path)))
    return found


EXAMPLES = all_examples()


def places(item: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside an object."""
    found = [at] if at else []
    steps = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
    for key, inner in steps:
        found += places(inner, (*at, key))
    return found


GONE = object()


def replaced(item: Any, path: tuple[Any, ...], value: Any) -> Any:
    first, rest = path[0], path[1:]
    copy = dict(item) if isinstance(item, dict) else list(item)
    if rest:
        copy[first] = replaced(item[first], rest, value)
    elif value is GONE:
        del copy[first]
    else:
        copy[first] = value
    return copy


@st.composite
def mutated(draw: st.DrawFn, item: Object) -> Object:
    """An object in which up to three pieces are something else, or are missing."""
    for _ in range(draw(st.integers(0, 3))):
        found = places(item)
        if not found:
            break
        # Deep places are the many; the shallow ones decide more.
        path = found[draw(st.integers(0, len(found) - 1))]
        value = draw(st.one_of(st.just(GONE), anything))
        item = replaced(item, path[: draw(st.integers(1, len(path)))], value)
    return item


@st.composite
def damaged(draw: st.DrawFn) -> tuple[Request, tuple[Object, ...]]:
    """An example's request and context, each of them damaged here and there."""
    case = draw(st.sampled_from(EXAMPLES))
    asked = case.request
    context = tuple(draw(mutated(item)) if draw(st.booleans()) else item for item in case.context)
    found = Request(
        kind=asked.kind,
        operation=asked.operation,
        name=asked.name,
        namespace=asked.namespace,
        object=draw(mutated(asked.object)) if asked.object is not None else None,
        old=draw(mutated(asked.old)) if asked.old is not None else None,
        subresource=asked.subresource,
        uid="u",
        user=asked.user,
        options=asked.options,
    )
    return found, context


completeness = st.sampled_from([None, None, nothing_complete, lambda kind: True])


@some(500)
@given(damaged(), completeness, policies)
def test_no_rule_stumbles_over_a_damaged_object(
    pair: tuple[Request, tuple[Object, ...]], complete: Any, policy: Policy
) -> None:
    asked, context = pair
    verdict = evaluate(asked, MemoryView(context, complete), policy, now=NOW)
    assert verdict.faults == {}
    for line in message.warnings(verdict, unknown=True):
        assert line.isprintable()
        assert len(line) <= message.WARNING_LENGTH
    assert len(message.warnings(verdict)) <= message.WARNING_COUNT


# --- every kind with an adapter -----------------------------------------------------------------------------------------

LEAKS = re.compile(
    r"\b(?:None|True|False|UNKNOWN)\b|[{\[]'|, '|\b(?:Field|Version|Fraction|Path)\(| object at 0x|\bfrozenset\b"
)
"""What Python writes and nobody who writes YAML says."""


def of_adapters() -> dict[str, list[tuple[Object | None, Object | None, tuple[Object, ...]]]]:
    """The objects of the examples by kind: before, after and what else exists."""
    found: dict[str, list[tuple[Object | None, Object | None, tuple[Object, ...]]]] = {}
    for case in EXAMPLES:
        if case.request.kind in ADAPTERS and not case.request.subresource:
            found.setdefault(case.request.kind, []).append((case.request.old, case.request.object, case.context))
    return found


BY_KIND = of_adapters()


@st.composite
def damaged_service(draw: st.DrawFn) -> tuple[Request, tuple[Object, ...]]:
    """A request about any kind with an adapter, the sides damaged apart from each other."""
    kind = draw(st.sampled_from(sorted(BY_KIND)))
    old, new, context = draw(st.sampled_from(BY_KIND[kind]))
    one, other = old or new or {}, new or old or {}
    operation = draw(st.sampled_from(["CREATE", "UPDATE", "UPDATE", "DELETE"]))
    metadata = other.get("metadata")
    found = Request(
        kind=kind,
        operation=operation,
        name=str(metadata.get("name") or "") if isinstance(metadata, dict) else "",
        namespace=str(metadata.get("namespace") or "") if isinstance(metadata, dict) else "",
        object=draw(mutated(other)) if operation != "DELETE" else None,
        old=draw(mutated(one)) if operation != "CREATE" else None,
    )
    return found, context


def words(verdict: Verdict) -> list[str]:
    """Everything that anybody reads of a verdict."""
    findings = [one.finding for one in verdict.judged]
    said = [text for one in findings for text in (one.headline, one.why, one.remedy)]
    return [message.denial(verdict, NOW), *message.warnings(verdict, unknown=True), *message.audit(verdict).values(), *said]


@some(600)
@given(damaged_service(), completeness, policies)
def test_any_damage_to_a_service_is_judged_in_plain_words(
    pair: tuple[Request, tuple[Object, ...]], complete: Any, policy: Policy
) -> None:
    asked, context = pair
    verdict = evaluate(asked, MemoryView(context, complete), policy, now=NOW, unknown="warn")
    assert verdict.faults == {}
    for text in words(verdict):
        assert LEAKS.search(text) is None, text


def test_every_adapter_has_an_example_that_is_damaged() -> None:
    native = {kind for kind in ADAPTERS if kind.endswith(".apps")}
    assert set(ADAPTERS) - native <= set(BY_KIND)


@pytest.mark.parametrize("case", EXAMPLES, ids=lambda case: f"{case.file} {case.name}")
def test_what_is_said_of_an_example_is_plain(case: cases.Case) -> None:
    for text in words(cases.run(case)):
        assert LEAKS.search(text) is None, text


def said(verdict: Verdict) -> list[tuple[str, str, str]]:
    return [(one.rule, one.action, one.finding.headline) for one in verdict.judged]


@some(120)
@given(damaged())
def test_a_verdict_is_the_same_each_time(pair: tuple[Request, tuple[Object, ...]]) -> None:
    asked, context = pair
    one, other = (evaluate(asked, MemoryView(context), now=NOW) for _ in range(2))
    assert one == other
    assert message.denial(one, NOW) == message.denial(other, NOW)


@some(120)
@given(damaged())
def test_judging_changes_nothing_that_it_was_given(pair: tuple[Request, tuple[Object, ...]]) -> None:
    asked, context = pair
    before = orjson.dumps([asked.object, asked.old, context])
    evaluate(asked, MemoryView(context), now=NOW)
    assert orjson.dumps([asked.object, asked.old, context]) == before


@some(150)
@given(damaged(), policies)
def test_an_object_that_stays_as_it_is_passes(pair: tuple[Request, tuple[Object, ...]], policy: Policy) -> None:
    asked, context = pair
    assume(asked.subresource != "eviction")
    item = asked.subject
    asked.operation, asked.old, asked.object = "UPDATE", item, orjson.loads(orjson.dumps(item))
    verdict = evaluate(asked, MemoryView(context), policy, now=NOW)
    assert (verdict.allowed, said(verdict)) == (True, [])


strings = st.dictionaries(st.sampled_from([*KEYS, "strimzi.io/cluster", "team"]), st.sampled_from(TEXTS), max_size=3)


@some(150)
@given(damaged(), strings, strings, policies)
def test_an_edit_of_nothing_but_metadata_passes(
    pair: tuple[Request, tuple[Object, ...]], labels: Any, annotations: Any, policy: Policy
) -> None:
    asked, context = pair
    assume(asked.subresource == "")
    item = asked.subject
    metadata = item.get("metadata")
    kept = metadata if isinstance(metadata, dict) else {}
    new = {**item, "metadata": {**kept, "labels": labels, "annotations": annotations, "finalizers": []}}
    asked.operation, asked.old, asked.object = "UPDATE", item, new
    verdict = evaluate(asked, MemoryView(context), policy, now=NOW)
    assert (verdict.allowed, said(verdict)) == (True, [])


@some(150)
@given(damaged(), anything)
def test_unknown_fields_on_both_sides_change_no_verdict(pair: tuple[Request, tuple[Object, ...]], value: Any) -> None:
    asked, context = pair

    sides = [item for item in (asked.object, asked.old) if item is not None]
    inside = all(isinstance(item.get("spec"), dict) for item in sides)

    def with_more(item: Object | None) -> Object | None:
        if item is None:
            return None
        spec = {"spec": {**item["spec"], "xUnknown": value}} if inside else {}
        return {**item, "xUnknown": value, **spec}

    # What a CRD prunes and what its schema says is told by all fields of an object.
    assume(asked.kind != "CustomResourceDefinition.apiextensions.k8s.io")
    before = evaluate(asked, MemoryView(context), now=NOW)
    asked.object, asked.old = with_more(asked.object), with_more(asked.old)
    after = evaluate(asked, MemoryView(context), now=NOW)
    assert said(after) == said(before)


# --- reviews ---------------------------------------------------------------------------------------------------------


def wire(asked: Request) -> dict[str, Any]:
    kind, _, group = asked.kind.partition(".")
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "u",
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": asked.resource},
            "subResource": asked.subresource,
            "name": asked.name,
            "namespace": asked.namespace,
            "operation": asked.operation,
            "userInfo": {"username": asked.user.name, "groups": list(asked.user.groups)},
            "object": asked.object,
            "oldObject": asked.old,
            "options": asked.options,
        },
    }


@st.composite
def damaged_reviews(draw: st.DrawFn) -> tuple[Object, tuple[Object, ...]]:
    asked, context = draw(damaged())
    body = wire(asked)
    for _ in range(draw(st.integers(0, 2))):
        path = draw(st.sampled_from([("kind",), ("apiVersion",), *(("request", key) for key in body["request"])]))
        body = replaced(body, path, draw(anything)) if isinstance(body.get("request"), dict) else body
    return body, context


@some(250)
@given(damaged_reviews())
def test_a_review_is_answered_or_is_told_what_is_wrong_with_it(pair: tuple[Object, tuple[Object, ...]]) -> None:
    body, context = pair
    try:
        answer = review(orjson.dumps(body), MemoryView(context), now=NOW)
    except BadReview:
        return  # what it says is test_review's matter
    assert answer.verdict.faults == {}
    response = orjson.loads(answer.body)["response"]
    assert response["uid"] == body["request"]["uid"]
    assert response["allowed"] is answer.verdict.allowed
    assert ("status" in response) is not response["allowed"]
    if "status" in response:
        assert response["status"]["code"] in (403, 429)
        assert response["status"]["message"].startswith("Stateward refuses this ")
    for value in response.get("auditAnnotations", {}).values():
        assert value.isprintable()


@some(150)
@given(anything)
def test_any_json_that_is_no_review_is_refused(body: Any) -> None:
    with pytest.raises(BadReview):
        from_review(body)
    with pytest.raises(BadReview):
        decode(orjson.dumps(body))


@some(100)
@given(st.binary(max_size=40))
def test_any_bytes_that_are_no_review_are_refused(body: bytes) -> None:
    with pytest.raises(BadReview):
        review(body, EMPTY_VIEW, now=NOW)


def test_the_examples_reach_every_kind_of_request_that_is_judged() -> None:
    """The properties above are only as good as what they begin with."""
    reached = {(case.request.kind, case.request.operation, case.request.subresource) for case in EXAMPLES}
    kinds = {kind for kind, _, _ in reached}
    beside = {*ADAPTERS, *OPERATIONS, *backup_kinds(), *SCHEDULES, ANY_SERVICE}
    # Kinds with an adapter have vectors of their own, records and schedules are many and alike; every other kind is
    # there because a rule names it.
    assert {kind for kind, _, _ in DISPATCHED if kind not in beside} <= kinds
    assert all(kind_of_object(item) for case in EXAMPLES for item in case.context)


# --- rules of a policy -----------------------------------------------------------------------------------------------

OWN = [
    "object.spec.replicas >= 1",
    "oldObject == null || object.spec == oldObject.spec",
    "service == null || service.groups.all(g, g.volumes.all(v, v.sizeBytes == null || v.sizeBytes > 1.0))",
    "object.metadata.labels.all(k, isQuantity(object.metadata.labels[k]))",
    "service.version.text == null || compareVersions(service.version.text, '1.2') > 0",
    "has(object.spec.template) && quantity(object.spec.template) > 0.0",
]
JUDGED = parse(
    {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "spec": {
            "userRules": [
                {
                    "id": f"SW9{number:02}",
                    "name": f"rule-{number}",
                    "nature": "transition",
                    "match": {"kinds": ["services", "Secret", "ConfigMap"], "operations": ["CREATE", "UPDATE", "DELETE"]},
                    "validations": [{"expression": expression, "messageExpression": "string(object)"}],
                }
                for number, expression in enumerate(OWN, 1)
            ]
        },
    },
    RULES,
)  # fmt: skip


@some(250)
@given(objects, objects, st.sampled_from(sorted(ADAPTERS)), st.sampled_from(["CREATE", "UPDATE", "DELETE"]))
def test_rules_of_a_policy_never_raise(old: Object, new: Object, kind: str, operation: str) -> None:
    request = Request(
        kind,
        operation,
        "db",
        "shop",
        new if operation != "DELETE" else None,
        old if operation != "CREATE" else None,
    )
    verdict = evaluate(request, EMPTY_VIEW, JUDGED, now=NOW)
    message.warnings(verdict)
    assert all(one.startswith("validations[") for rule, one in verdict.faults.items() if rule.startswith("SW9")), (
        verdict.faults
    )
