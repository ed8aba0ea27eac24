"""Decisions: what is kept of a verdict, for how long, and what is counted."""

import pytest

from stateward.policies import modes
from stateward.policies.engine import Verdict
from stateward.policies.finding import Finding, Judged, Waived
from stateward.policies.request import Request, User
from stateward.webhook.decisions import OTHER, Decisions

NOW = 1_800_000_000.0


def verdict(
    *actions,
    namespace="prod",
    name="db",
    user="jane",
    dry_run=False,
    mode="deny",
    faults=None,
    text="spec.replicas: 3 → 1",
    about=None,
    waiver=None,
):
    request = Request("StatefulSet.apps", "UPDATE", name, namespace, {}, {}, uid="u", user=User(user), dry_run=dry_run)
    judged = [
        Judged(f"SW20{at}", "quorum-lost", action, Finding((), text), waiver=waiver) for at, action in enumerate(actions)
    ]
    modes.soften(judged, mode)
    return Verdict(request, judged, faults=faults or {}, mode=mode, subject=about or {})


def kept(*verdicts, clock=lambda: NOW, **bounds):
    decisions = Decisions(clock, **bounds)
    for one in verdicts:
        decisions.add(one, 0.0002)
    return decisions


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (verdict("warn", "deny"), "denied"),
        (verdict("deny", mode="warn"), "wouldBeDenied"),
        (verdict("warn", "deny", mode="audit"), "wouldBeDenied"),
        (verdict("warn"), "warned"),
        (verdict("warn", mode="audit"), "audited"),
        (verdict("audit"), "audited"),
        (verdict("audit", waiver=Waived("2027-01-01T00:00:00Z", "moving")), "waived"),
        (verdict(faults={"SW101": "KeyError"}), "fault"),
        (verdict("deny", faults={"SW101": "KeyError"}), "denied"),
    ],
)
def test_the_outcome_is_the_gravest_thing_in_a_verdict(given, expected):
    [one] = kept(given).find()
    assert one.outcome == expected


def test_a_decision_says_who_did_what_to_which_object_and_why():
    [one] = kept(verdict("deny", user="bob")).find()
    told = one.document()
    assert told["object"] == {"kind": "StatefulSet.apps", "namespace": "prod", "name": "db"}
    assert (told["user"], told["operation"], told["uid"], told["seconds"]) == ("bob", "UPDATE", "u", 0.0002)
    assert told["time"] == "2027-01-15T08:00:00Z"
    assert told["findings"][0]["message"] == "spec.replicas: 3 → 1"


def test_what_comes_again_is_one_decision_with_a_count():
    moments = iter([NOW, NOW, NOW + 5, NOW + 10])
    decisions = kept(*[verdict("deny")] * 3, clock=lambda: next(moments))
    [one] = decisions.find()
    assert (one.count, one.first, one.last) == (3, NOW, NOW + 10)
    assert decisions.counts.requests == {"prod": {"denied": 3}}


def test_a_noisy_namespace_pushes_out_its_own_decisions_alone():
    noise = [verdict("deny", namespace="noisy", name=f"db-{number}") for number in range(500)]
    decisions = kept(verdict("deny", namespace="quiet"), *noise, per_namespace=10, namespaces=3)
    assert [one.object.namespace for one in decisions.find(namespace="quiet")] == ["quiet"]
    assert len(decisions) == 11
    assert decisions.dropped == 490


def test_namespaces_that_were_not_heard_of_for_longest_go_first():
    decisions = kept(
        verdict("deny", namespace="a"),
        verdict("deny", namespace="b"),
        verdict("deny", namespace="a"),
        verdict("deny", namespace="c"),
        namespaces=2,
    )
    assert sorted(one.object.namespace for one in decisions.find()) == ["a", "c"]


def test_counts_are_exact_where_decisions_are_no_longer_kept():
    many = [verdict("deny", "warn", name=f"db-{number}", mode="audit") for number in range(50)]
    decisions = kept(*many, per_namespace=2)
    assert decisions.counts.requests == {"prod": {"wouldBeDenied": 50}}
    assert decisions.counts.findings == {
        ("prod", "SW200", "quorum-lost"): {"wouldBeDenied": 50},
        ("prod", "SW201", "quorum-lost"): {"audited": 50},
    }


def test_dry_runs_are_kept_and_not_counted():
    decisions = kept(verdict("deny", dry_run=True))
    assert decisions.find()[0].dry_run
    assert decisions.counts.requests == {}


def test_namespaces_without_end_are_counted_together():
    decisions = kept(*[verdict("deny", namespace=f"n{number}") for number in range(9)], counted=3)
    assert decisions.counts.requests[OTHER] == {"denied": 6}
    assert len(decisions.counts.requests) == 4


def test_texts_are_bounded_and_hold_no_credentials():
    long = verdict("deny", text=f"s3://key:secret@host/x {'x' * 5000}", user="u" * 5000, name="n" * 5000)
    [one] = kept(long).find()
    assert "secret" not in str(one.document())
    assert len(str(one.document())) < 5000


def test_it_is_found_by_what_the_request_names_and_by_what_it_is_about():
    parent = {"apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka", "metadata": {"name": "events", "namespace": "prod"}}
    decisions = kept(verdict("deny", about=parent), verdict("warn", name="other"))
    assert len(decisions.find("prod", "db")) == len(decisions.find("prod", "events")) == 1
    assert decisions.find("prod", "events", "kafka") == decisions.find("prod", "events", "Kafka.kafka.strimzi.io")
    assert decisions.find("prod", "events", "statefulset") == []
    assert decisions.find(name="nobody") == []
    assert len(decisions.find(outcome="warned")) == 1
    assert len(decisions.find(limit=1)) == 1
