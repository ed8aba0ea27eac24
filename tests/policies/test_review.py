"""The edge: AdmissionReviews in and out, to the byte."""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from stateward.policies import cases, message, times
from stateward.policies.engine import Verdict
from stateward.policies.finding import Action, Finding, Judged, Waived
from stateward.policies.policy import Policy
from stateward.policies.request import BadReview, Request, User, decode, from_review
from stateward.policies.review import encode, review
from stateward.policies.view import EMPTY_VIEW, MemoryView, Object, View

NOW = times.parse(cases.NOW) or 0.0
UID = "7f0b2891-916f-4ed6-b7cd-27bff1815a8c"
HEAD = b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":'


def locks(replicas: int, **spec: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "locks", "namespace": "platform"},
        "spec": {
            "replicas": replicas,
            "serviceName": "locks",
            "template": {"spec": {"containers": [{"name": "zookeeper", "image": "zookeeper:3.9.3"}]}},
            **spec,
        },
    }


def asks(**request: Any) -> dict[str, Any]:
    """An AdmissionReview as an API server sends it."""
    return {
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": UID,
            "kind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "requestKind": {"group": "apps", "version": "v1", "kind": "StatefulSet"},
            "requestResource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
            "name": "locks",
            "namespace": "platform",
            "operation": "UPDATE",
            "userInfo": {"username": "alice", "uid": "a-1", "groups": ["dev", "system:authenticated"], "extra": {}},
            "object": locks(3),
            "oldObject": locks(3),
            "dryRun": False,
            "options": {"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"},
            **request,
        },
    }


def answer(view: View = EMPTY_VIEW, policy: Policy | None = None, **request: Any) -> dict[str, Any]:
    body = orjson.dumps(asks(**request))
    found = review(body, view, now=NOW) if policy is None else review(body, view, policy, now=NOW)
    response: dict[str, Any] = orjson.loads(found.body)["response"]
    return response


# --- out, to the byte ------------------------------------------------------------------------------------------------

SUBJECT: Object = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "shop"},
}


def verdict(*judged: Judged, operation: str = "UPDATE", **further: Any) -> Verdict:
    request = Request("StatefulSet.apps", operation, "db", "shop", SUBJECT, SUBJECT, uid=UID)
    return Verdict(request, list(judged), service="StatefulSet shop/db", subject=SUBJECT, **further)


def judged(action: Action = "deny", rule: str = "SW102", **further: Any) -> Judged:
    finding = Finding(
        ("spec", "config", "a.b", 0),
        'is "1" and not “2”',
        "it hurts\nand hurts",
        "do not",
        waits=further.pop("waits", False),
    )
    return Judged(rule, "volume-shrink", action, finding, **further)


def test_an_allowed_request_is_two_fields() -> None:
    assert encode(verdict(), NOW) == HEAD + b'{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true}}'


DENIED = (
    '{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":false,"status":{"code":403,"reason":"Forbidden","message":'
    '"Stateward refuses this UPDATE of StatefulSet shop/db:\\n\\n'
    "SW102 volume-shrink\\n"
    '  spec.config.\\"a.b\\"[0]: is \\"1\\" and not “2”\\n'
    "  why  it hurts\\n"
    "       and hurts\\n"
    "  note Node, Pod could not be seen; nothing there could excuse it\\n"
    "  do   do not\\n"
    "  or   kubectl annotate -n shop statefulset/db stateward.dev/waive='SW102 until=2026-11-21T13:00:00Z "
    'reason=\\"…\\"\'   (waives this rule here, for an hour)\\n'
    'note: a note","details":{"causes":[{"reason":"SW102 volume-shrink","field":"spec.config.\\"a.b\\"[0]",'
    '"message":"spec.config.\\"a.b\\"[0]: is \\"1\\" and not “2”"}]}},"warnings":["a note"],'
    '"auditAnnotations":{"findings":"SW102 deny"}}}'
)


def test_a_refusal_says_everything() -> None:
    refused = verdict(judged(unknown=("Node", "Pod")), notes=["a note"])
    assert encode(refused, NOW) == HEAD + DENIED.encode()


def test_a_warning_is_one_line_and_the_request_passes() -> None:
    body = (
        '{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true,'
        '"warnings":["SW102 volume-shrink: spec.config.\\"a.b\\"[0]: is \\"1\\" and not “2”"],'
        '"auditAnnotations":{"findings":"SW102 warn"}}}'
    )
    assert encode(verdict(judged("warn")), NOW) == HEAD + body.encode()


def test_what_is_only_recorded_stands_in_the_audit_trail_alone() -> None:
    waived = judged("audit", waiver=Waived("2026-11-21T13:00:00Z", "moving"))
    body = (
        b'{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true,"auditAnnotations":{'
        b'"findings":"SW102 waived, SW103 audit","waived":"SW102 until 2026-11-21T13:00:00Z: moving"}}}'
    )
    assert encode(verdict(waived, judged("audit", "SW103")), NOW) == HEAD + body


def test_a_fault_is_told_and_refuses_nobody() -> None:
    body = (
        b'{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true,'
        b'"warnings":["SW101 could not be judged: a fault in Stateward (KeyError)"],"auditAnnotations":{"faults":"SW101"}}}'
    )
    assert encode(verdict(faults={"SW101": "KeyError"}), NOW) == HEAD + body


def test_why_nothing_was_judged_stands_in_the_audit_trail() -> None:
    body = (
        b'{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true,'
        b'"auditAnnotations":{"passed":"deletion of its namespace"}}}'
    )
    assert encode(verdict(passed="deletion of its namespace"), NOW) == HEAD + body


def test_what_could_not_be_judged_is_a_warning_where_the_caller_wants_it() -> None:
    unseen = verdict(unjudged={"SW208": ("Node",), "SW105": ("ConfigMap",)})
    quiet = b'{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true,"auditAnnotations":{"unknown":"SW105, SW208"}}}'
    loud = quiet.replace(
        b'"auditAnnotations"', b'"warnings":["SW208, SW105 not judged: ConfigMap, Node not known yet"],"auditAnnotations"'
    )
    assert encode(unseen, NOW) == HEAD + quiet
    assert encode(unseen, NOW, say_unknown=True) == HEAD + loud


@pytest.mark.parametrize(
    ("waits", "code", "reason"),
    [
        ([True], 429, "TooManyRequests"),
        ([True, True], 429, "TooManyRequests"),
        ([True, False], 403, "Forbidden"),
        ([False], 403, "Forbidden"),
    ],
)
def test_a_client_may_try_again_only_where_every_reason_passes_by_itself(waits: list[bool], code: int, reason: str) -> None:
    body = encode(verdict(*(judged(waits=one) for one in waits), judged("warn")), NOW)
    status = orjson.loads(body)["response"]["status"]
    assert (status["code"], status["reason"]) == (code, reason)


def test_a_refusal_names_all_causes_in_one_message() -> None:
    status = orjson.loads(encode(verdict(judged(), judged(rule="SW103"), judged("warn", "SW104")), NOW))["response"][
        "status"
    ]
    assert [cause["reason"] for cause in status["details"]["causes"]] == ["SW102 volume-shrink", "SW103 volume-shrink"]
    assert status["message"].count("\n  do   do not") == 2
    assert "SW104" not in status["message"]


def test_a_real_refusal_to_the_byte() -> None:
    new = locks(3, podManagementPolicy="Parallel")
    body = review(orjson.dumps(asks(object=new)), EMPTY_VIEW, now=NOW).body
    wanted = (
        '{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":false,"status":{"code":403,"reason":"Forbidden","message":'
        '"Stateward refuses this UPDATE of StatefulSet platform/locks:\\n\\nSW103 claim-template-change\\n'
        '  spec.podManagementPolicy: \\"Parallel\\" cannot replace \\"OrderedReady\\": a StatefulSet never changes it\\n'
        "  why  the API server refuses the update, and whatever else belongs to the same release stays half applied\\n"
        '  do   keep \\"OrderedReady\\"; to change it: recreate the set around its pods: kubectl delete -n platform '
        "statefulset/locks --cascade=orphan, then apply the new manifest\\n"
        "  or   kubectl annotate -n platform statefulset/locks stateward.dev/waive='SW103 until=2026-11-21T13:00:00Z "
        'reason=\\"…\\"\'   (waives this rule here, for an hour)",'
        '"details":{"causes":[{"reason":"SW103 claim-template-change","field":"spec.podManagementPolicy","message":'
        '"spec.podManagementPolicy: \\"Parallel\\" cannot replace \\"OrderedReady\\": a StatefulSet never changes it"}]}},'
        '"auditAnnotations":{"findings":"SW103 deny"}}}'
    )
    assert body == HEAD + wanted.encode()


def test_a_real_allowed_request_to_the_byte() -> None:
    body = review(orjson.dumps(asks()), EMPTY_VIEW, now=NOW).body
    assert body == HEAD + b'{"uid":"7f0b2891-916f-4ed6-b7cd-27bff1815a8c","allowed":true}}'


def test_only_the_response_is_sent_back() -> None:
    assert orjson.loads(review(orjson.dumps(asks()), EMPTY_VIEW, now=NOW).body).keys() == {"apiVersion", "kind", "response"}


@pytest.mark.parametrize("uid", ["x", UID, "ü-1", "a" * 500, '"}'])
def test_the_uid_is_repeated(uid: str) -> None:
    assert answer(uid=uid)["uid"] == uid


# --- in --------------------------------------------------------------------------------------------------------------


def test_a_request_is_read() -> None:
    found = decode(orjson.dumps(asks(subResource="", dryRun=True)))
    assert found == Request(
        kind="StatefulSet.apps",
        operation="UPDATE",
        name="locks",
        namespace="platform",
        object=locks(3),
        old=locks(3),
        resource="statefulsets",
        subresource="",
        uid=UID,
        user=User("alice", ("dev", "system:authenticated")),
        options={"kind": "UpdateOptions", "apiVersion": "meta.k8s.io/v1"},
        dry_run=True,
    )


def test_a_deletion_has_no_object() -> None:
    found = decode(orjson.dumps(asks(operation="DELETE", object=None)))
    assert (found.object, found.old, found.subject) == (None, locks(3), locks(3))
    assert decode(orjson.dumps(asks(operation="DELETE"))).object is None
    assert answer(operation="DELETE", object=None)["allowed"] is False


def test_an_item_of_a_deleted_collection_is_named_by_its_object() -> None:
    body = asks(operation="DELETE", object=None)
    for missing in ("name", "namespace"):
        del body["request"][missing]
    found = from_review(body)
    assert (found.name, found.namespace) == ("locks", "platform")
    assert "StatefulSet platform/locks" in answer(operation="DELETE", object=None, name="")["status"]["message"]


def test_a_name_that_the_server_makes_up_is_its_prefix() -> None:
    item = {**locks(3), "metadata": {"generateName": "locks-", "namespace": "platform"}}
    body = asks(operation="CREATE", object=item, oldObject=None, name="")
    assert from_review(body).name == "locks-"


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ({"group": "", "version": "v1", "kind": "Namespace"}, "Namespace"),
        ({"version": "v1", "kind": "Namespace"}, "Namespace"),
        ({"group": "autoscaling", "version": "v1", "kind": "Scale"}, "Scale.autoscaling"),
        ({}, "StatefulSet.apps"),
        (None, "StatefulSet.apps"),
        ("StatefulSet", "StatefulSet.apps"),
        ({"group": 5, "kind": 5}, "StatefulSet.apps"),
    ],
)
def test_the_kind_is_that_of_the_request_or_of_its_object(kind: Any, wanted: str) -> None:
    assert from_review(asks(kind=kind)).kind == wanted


WRONG_TYPES: list[tuple[str, Any]] = [
    (field, value)
    for field in (
        "name", "namespace", "subResource", "userInfo", "options", "dryRun", "kind", "resource", "requestKind",
        "requestResource", "requestSubResource",
    )
    for value in (None, 5, True, "text", [], ["x"], {}, {"a": [1]})
]  # fmt: skip


@pytest.mark.parametrize(("field", "value"), WRONG_TYPES, ids=[f"{field}={value!r}" for field, value in WRONG_TYPES])
def test_a_field_of_another_type_counts_as_missing(field: str, value: Any) -> None:
    found = from_review(asks(**{field: value}))
    assert type(found.name) is str
    assert type(found.namespace) is str
    assert type(found.subresource) is str
    assert type(found.resource) is str
    assert isinstance(found.options, dict)
    assert found.dry_run is (field == "dryRun" and value is True)
    assert answer(**{field: value})["uid"] == UID


@pytest.mark.parametrize(
    ("info", "user"),
    [
        ({"username": "bob", "groups": ["a", 5, None, "b"]}, User("bob", ("a", "b"))),
        ({"username": 5, "groups": "admins"}, User("", ())),
        ({"groups": {"a": "b"}}, User("", ())),
        ({}, User("", ())),
        ([], User("", ())),
    ],
)
def test_who_asks_is_read_with_care(info: Any, user: User) -> None:
    assert from_review(asks(userInfo=info)).user == user


@pytest.mark.parametrize("field", ["object", "oldObject"])
@pytest.mark.parametrize(
    "inner",
    [{}, {"metadata": None}, {"metadata": []}, {"metadata": {"name": 5}}, {"spec": "text"}, {"kind": 5, "apiVersion": []}],
)
def test_an_object_of_any_shape_is_answered(field: str, inner: Object) -> None:
    assert answer(**{field: inner})["uid"] == UID


def test_unknown_fields_change_nothing() -> None:
    plain = asks(object=locks(1))
    more = asks(object=locks(1), surprise={"a": [1]})
    more["future"] = True
    assert review(orjson.dumps(more), EMPTY_VIEW, now=NOW).body == review(orjson.dumps(plain), EMPTY_VIEW, now=NOW).body


# --- what cannot be judged -------------------------------------------------------------------------------------------

SEND = "send admission.k8s.io/v1, AdmissionReview (admissionReviewVersions: [v1])"


def without(field: str) -> dict[str, Any]:
    body = asks()
    del body["request"][field]
    return body


BAD: list[tuple[str, Any, str, str]] = [
    ("a list", [], "the body is a JSON list; an AdmissionReview object is wanted", ""),
    ("a string", "review", "the body is a JSON string; an AdmissionReview object is wanted", ""),
    ("a number", 5, "the body is a JSON number; an AdmissionReview object is wanted", ""),
    ("a boolean", True, "the body is a JSON boolean; an AdmissionReview object is wanted", ""),
    ("null", None, "the body is a JSON null; an AdmissionReview object is wanted", ""),
    ("an empty object", {}, f"apiVersion, kind: nothing, nothing cannot be judged; {SEND}", ""),
    (
        "v1beta1",
        {**asks(), "apiVersion": "admission.k8s.io/v1beta1"},
        f'apiVersion, kind: "admission.k8s.io/v1beta1", "AdmissionReview" cannot be judged; {SEND}',
        UID,
    ),
    (
        "another kind",
        {**asks(), "kind": "ConversionReview"},
        f'apiVersion, kind: "admission.k8s.io/v1", "ConversionReview" cannot be judged; {SEND}',
        UID,
    ),
    ("a kind of another type", {**asks(), "kind": 5}, 'apiVersion, kind: "admission.k8s.io/v1", "5" cannot be', UID),
    (
        "no request",
        {**asks(), "request": None},
        "request: nothing is no object; an AdmissionReview carries its question there",
        "",
    ),
    ("a list as request", {**asks(), "request": [1]}, 'request: "[1]" is no object; an AdmissionReview carries its', ""),
    ("no uid", without("uid"), "request.uid: it is missing; the answer has to repeat it", ""),
    ("an empty uid", asks(uid=""), "request.uid: it is missing; the answer has to repeat it", ""),
    ("a uid of another type", asks(uid=5), "request.uid: it is missing; the answer has to repeat it", ""),
    (
        "no operation",
        without("operation"),
        "request.operation: nothing is none of CREATE, UPDATE, DELETE, CONNECT",
        UID,
    ),
    (
        "another operation",
        asks(operation="PATCH"),
        'request.operation: "PATCH" is none of CREATE, UPDATE, DELETE, CONNECT',
        UID,
    ),
    (
        "an operation of another type",
        asks(operation={"a": "b" * 100}),
        "request.operation: \"{'a': '" + "b" * 53 + '" is none of CREATE, UPDATE, DELETE, CONNECT',
        UID,
    ),
    ("a list as object", asks(object=[]), "request.object: a JSON list is no Kubernetes object", UID),
    ("a string as old object", asks(oldObject="x"), "request.oldObject: a JSON string is no Kubernetes object", UID),
    (
        "an update of nothing",
        asks(oldObject=None),
        "request.oldObject: it is missing; UPDATE is judged against what was there",
        UID,
    ),
    (
        "a deletion of nothing",
        asks(operation="DELETE", oldObject=None),
        "request.oldObject: it is missing; DELETE is judged against what was there",
        UID,
    ),
    (
        "a creation of nothing",
        asks(operation="CREATE", object=None, oldObject=None),
        "request.object: it is missing; CREATE says what shall be there",
        UID,
    ),
    ("an update to nothing", asks(object=None), "request.object: it is missing; UPDATE says what shall be there", UID),
]


@pytest.mark.parametrize(("body", "told", "uid"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_what_cannot_be_judged_is_refused_with_field_value_and_next_step(body: Any, told: str, uid: str) -> None:
    with pytest.raises(BadReview) as caught:
        review(orjson.dumps(body), EMPTY_VIEW, now=NOW)
    assert str(caught.value).startswith(told)
    assert caught.value.uid == uid


@pytest.mark.parametrize("body", [b"", b"{", b"nonsense", b"\xff\xfe", b'{"a":NaN}', b"[" * 5000, b'{"a":"\xed\xa0\x80"}'])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadReview, match=r"^the body is not JSON: .*; send an AdmissionReview of admission.k8s.io/v1 as"):
        decode(body)


def test_a_connection_is_let_through() -> None:
    assert answer(operation="CONNECT", object={"kind": "PodExecOptions"}, oldObject=None) == {"uid": UID, "allowed": True}


# --- evictions -------------------------------------------------------------------------------------------------------


def member(name: str, ready: bool) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "platform",
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "locks", "controller": True}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


EVICTION: dict[str, Any] = {
    "kind": {"group": "policy", "version": "v1", "kind": "Eviction"},
    "resource": {"group": "", "version": "v1", "resource": "pods"},
    "subResource": "eviction",
    "name": "locks-0",
    "operation": "CREATE",
    "object": {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "locks-0", "namespace": "platform"}},
    "oldObject": None,
}


def test_an_eviction_that_may_pass_later_is_answered_with_429() -> None:
    view = MemoryView([locks(3), member("locks-0", True), member("locks-1", True), member("locks-2", False)])
    response = answer(view, **EVICTION)
    assert response["allowed"] is False
    assert (response["status"]["code"], response["status"]["reason"]) == (429, "TooManyRequests")
    assert response["status"]["message"].startswith("Stateward refuses this eviction of StatefulSet platform/locks:\n")


def test_a_refusal_names_what_is_asked_and_whose_it_is() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pg", "namespace": "shop"}, "data": {}}
    response = answer(
        MemoryView([DATABASE]),
        kind={"group": "", "version": "v1", "kind": "Secret"},
        resource={"group": "", "version": "v1", "resource": "secrets"},
        name="pg",
        namespace="shop",
        operation="DELETE",
        object=None,
        oldObject=secret,
    )
    message = response["status"]["message"]
    assert message.startswith("Stateward refuses this DELETE of Secret shop/pg (StatefulSet shop/db):\n")


DATABASE: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "shop"},
    "spec": {
        "replicas": 1,
        "template": {
            "spec": {
                "containers": [{"name": "db", "image": "postgres:16.4", "envFrom": [{"secretRef": {"name": "pg"}}]}],
            }
        },
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
    },
}


def test_an_eviction_that_is_refused_for_another_reason_is_answered_with_403() -> None:
    response = answer(EMPTY_VIEW, Policy(unknown="deny"), **EVICTION)
    assert response["allowed"] is False
    assert (response["status"]["code"], response["status"]["reason"]) == (403, "Forbidden")


# --- what a client and an API server can bear ------------------------------------------------------------------------


def findings(*texts: str) -> Verdict:
    return verdict(*(Judged("SW102", "volume-shrink", "warn", Finding((), text)) for text in texts))


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\x00b", "a\x1b[31mb", "a\u2028b", "a\x7fb", "a\u200eb"])
def test_a_warning_has_no_control_characters(text: str) -> None:
    (line,) = message.warnings(findings(text))
    assert line.isprintable()
    assert line.startswith("SW102 volume-shrink: a ")


@pytest.mark.parametrize("length", [0, 80, 99, 100, 101, 1000])
def test_a_warning_is_at_most_120_characters(length: int) -> None:
    (line,) = message.warnings(findings("é" * length))
    assert len(line) == min(120, len("SW102 volume-shrink: ") + length)
    assert line.endswith("…") is (length > 99)


def test_a_field_that_leaves_no_room_for_the_rest_is_left_out() -> None:
    def said(text: str) -> list[str]:
        field = ("spec", "template", "spec", "containers", 0, "image")
        return message.warnings(verdict(Judged("SW703", "operator-downgraded", "warn", Finding(field, text))))

    assert said("goes back") == ["SW703 operator-downgraded: spec.template.spec.containers[0].image: goes back"]
    text = "CloudNativePG goes back from 1.27.0 to 1.26.1 over 1 Cluster"
    assert said(text) == [f"SW703 operator-downgraded: {text}"]


def test_there_are_at_most_16_warnings() -> None:
    assert len(message.warnings(findings(*(str(number) for number in range(16))))) == 16
    lines = message.warnings(findings(*(str(number) for number in range(40))))
    assert len(lines) == 16
    assert lines[-1] == "and 25 more; see the audit log"


def test_a_warning_is_given_once() -> None:
    assert len(message.warnings(findings("same", "same", "other"))) == 2


def test_audit_annotations_are_legal() -> None:
    waived = judged("audit", waiver=Waived("2026-11-21T13:00:00Z", "line\nbreak\x00" + "x" * 500))
    full = verdict(
        judged(), waived, passed="why\nnot", faults={"SW101": "KeyError"}, unjudged={"SW208": ("Node",)}, notes=["n"]
    )
    annotations = orjson.loads(encode(full, NOW))["response"]["auditAnnotations"]
    assert annotations.keys() == {"findings", "waived", "passed", "faults", "unknown"}
    for key, value in annotations.items():
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", key)
        assert value.isprintable()


def test_a_creation_is_waived_on_its_namespace_in_the_message() -> None:
    text = message.denial(verdict(judged(), operation="CREATE"), NOW)
    assert "  or   kubectl annotate namespace/shop stateward.dev/waive='SW102 until=" in text
