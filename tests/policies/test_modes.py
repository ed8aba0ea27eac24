"""Modes: of the policy, of a namespace by its label, and what becomes of findings in them."""

import orjson
import pytest

from stateward.policies import cases, message, modes, times
from stateward.policies.engine import evaluate
from stateward.policies.policy import API_VERSION, KIND, PolicyError, parse
from stateward.policies.request import Request, User
from stateward.policies.review import encode
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW, MemoryView, nothing_complete

NOW = times.parse(cases.NOW) or 0.0


def policy(**spec):
    return parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"profile": "production@1", **spec}}, RULES)


def namespace(mode=None, name="shop", **labels):
    given = labels | ({"stateward.dev/mode": mode} if mode is not None else {})
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": given}}


def locks(replicas, name="locks"):
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "replicas": replicas,
            "serviceName": "locks",
            "template": {"spec": {"containers": [{"name": "etcd", "image": "quay.io/coreos/etcd:v3.5.17"}]}},
        },
    }


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data-locks-0", "namespace": "shop"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    "status": {"phase": "Bound"},
}


def shrink(view=EMPTY_VIEW, held=None):
    """Three members of etcd become one, which SW201 refuses."""
    request = Request("StatefulSet.apps", "UPDATE", "locks", "shop", locks(1), locks(3), uid="u", user=User("jane"))
    return evaluate(request, view, held if held is not None else policy(), now=NOW)


def seen(*objects):
    return MemoryView(objects, nothing_complete)


def done(verdict):
    """What becomes of the finding on quorum: (action, what it would be)."""
    [one] = [one for one in verdict.judged if one.rule == "SW201"]
    return one.action, one.would


@pytest.mark.parametrize(
    ("spec", "label", "expected"),
    [
        ({}, None, ("deny", None)),
        ({"mode": "deny"}, None, ("deny", None)),
        ({"mode": "warn"}, None, ("warn", "deny")),
        ({"mode": "audit"}, None, ("audit", "deny")),
        ({"mode": "audit"}, "deny", ("deny", None)),
        ({"mode": "audit"}, "warn", ("warn", "deny")),
        ({}, "warn", ("warn", "deny")),
        ({}, "audit", ("audit", "deny")),
        ({"mode": "warn"}, "nonsense", ("warn", "deny")),
        ({}, "nonsense", ("deny", None)),
    ],
)
def test_the_label_of_the_namespace_goes_before_the_policys_mode(spec, label, expected):
    verdict = shrink(seen(namespace(label)), policy(**spec))
    assert done(verdict) == expected
    assert verdict.allowed is (expected[0] != "deny")
    assert bool(verdict.would_deny) is (expected[1] == "deny")


def test_a_namespace_that_nobody_has_seen_is_in_the_policys_mode():
    assert done(shrink(EMPTY_VIEW, policy(mode="warn"))) == ("warn", "deny")
    assert done(shrink(EMPTY_VIEW)) == ("deny", None)


def test_a_label_that_is_no_mode_is_told():
    verdict = shrink(seen(namespace("enforce")))
    note = 'stateward.dev/mode: "enforce" on namespace shop is none of deny, warn, audit; the policy\'s holds, deny'
    assert note in verdict.notes
    assert note in message.denial(verdict, NOW)


def test_a_warning_says_that_it_would_be_a_refusal():
    verdict = shrink(held=policy(mode="warn"))
    [warning] = [text for text in message.warnings(verdict) if "SW201" in text]
    assert warning.startswith("SW201 quorum-lost would refuse this: ")
    assert message.audit(verdict)["findings"] == "SW201 would deny"
    assert message.audit(verdict)["mode"] == "warn"


def test_in_audit_nothing_but_the_audit_annotation_is_said():
    verdict = shrink(seen(namespace("nonsense")), policy(mode="audit", rules={"SW201": {"action": "warn"}}))
    assert done(verdict) == ("audit", "warn")
    response = orjson.loads(encode(verdict, NOW, True))["response"]
    assert response.keys() == {"uid", "allowed", "auditAnnotations"}
    assert response["auditAnnotations"]["findings"] == "SW201 would warn"
    assert "nonsense" in response["auditAnnotations"]["notes"]


def test_what_warns_by_policy_warns_in_mode_warn_as_before():
    verdict = shrink(held=policy(mode="warn", rules={"SW201": "warn"}))
    assert done(verdict) == ("warn", None)
    assert "would" not in message.warnings(verdict)[0]


def test_what_is_waived_would_not_be_refused():
    waiver = {
        "apiVersion": "stateward.dev/v1alpha1",
        "kind": "WardWaiver",
        "metadata": {"name": "move", "namespace": "shop"},
        "spec": {
            "rules": ["SW201"],
            "target": {"kind": "StatefulSet", "name": "locks"},
            "reason": "moving",
            "until": "2026-11-21T13:00:00Z",
        },
    }
    verdict = shrink(seen(waiver), policy(mode="audit"))
    assert done(verdict) == ("audit", None)
    assert verdict.would_deny == []
    assert "SW201 waived" in message.audit(verdict)["findings"]


def test_nothing_in_a_disposable_namespace_would_be_refused():
    verdict = shrink(seen(namespace("deny", **{"stateward.dev/disposable": "true"})), policy(mode="warn"))
    assert done(verdict) == ("audit", None)


def test_a_namespace_is_judged_in_the_mode_that_it_has_and_not_in_the_one_it_asks_for():
    def deleted(old):
        request = Request("Namespace", "DELETE", "shop", "shop", None, old)
        return evaluate(request, MemoryView([locks(3), CLAIM, old]), policy(), now=NOW)

    assert deleted(namespace()).denied
    assert not deleted(namespace("warn")).denied
    assert deleted(namespace("warn")).would_deny


def test_what_is_in_no_namespace_is_in_the_policys_mode():
    request = Request("PersistentVolume", "DELETE", "pv", "", None, {"metadata": {"name": "pv"}})
    assert modes.namespace_of(request, seen(namespace("audit", name=""))) is None
    assert modes.read(None, "warn") == ("warn", "")


def test_a_mode_that_is_none_is_an_error_of_the_policy():
    with pytest.raises(PolicyError, match=r"spec\.mode"):
        policy(mode="enforce")


def test_modes_are_read_for_no_request_that_nothing_is_said_of():
    class Blind:
        """A view that must not be asked."""

        def __getattr__(self, name):
            raise AssertionError(name)

    request = Request("StatefulSet.apps", "UPDATE", "locks", "shop", locks(3), locks(3))
    assert evaluate(request, Blind(), policy(mode="audit"), now=NOW).judged == []
