"""Real incidents, rebuilt as cases: what hurt a service is stopped, what was right is not.

They lie beside the repository and are no part of it; without them these tests are skipped.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest

from stateward.policies import cases, data
from stateward.policies.engine import Verdict
from stateward.policies.request import Request
from stateward.policies.review import review
from stateward.policies.view import MemoryView

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "incidents"
KINDS = {
    "StatefulSet.apps",
    "PersistentVolumeClaim",
    "Scale.autoscaling",
    "Eviction.policy",
    "Namespace",
    "CustomResourceDefinition.apiextensions.k8s.io",
    "Cluster.postgresql.cnpg.io",
    "Kafka.kafka.strimzi.io",
    "KafkaNodePool.kafka.strimzi.io",
}
STOPPED, REFUSED = 0.90, 0.01

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no incidents in {FOLDER}: they are no part of the repository")


@cache
def judged() -> list[tuple[cases.Case, Verdict]]:
    """All cases with their verdicts."""
    found = [case for path in sorted(FOLDER.glob("*.yaml")) for case in cases.read(path.name, data.read(path))]
    return [(case, cases.run(case)) for case in found]


def those_covered() -> list[tuple[cases.Case, Verdict]]:
    return [(case, verdict) for case, verdict in judged() if case.request.kind in KINDS]


def missed(rows: list[tuple[cases.Case, Verdict]]) -> list[str]:
    return [
        f"{case.name}: {case.expect}, got {cases.outcome(verdict)}"
        for case, verdict in rows
        if case.harmful and not cases.as_expected(case.expect, cases.outcome(verdict))
    ]


def refused(rows: list[tuple[cases.Case, Verdict]]) -> list[str]:
    return [
        f"{case.name}: {', '.join(one.rule for one in verdict.denied)}"
        for case, verdict in rows
        if not case.harmful and not verdict.allowed
    ]


def test_there_are_incidents_to_judge() -> None:
    assert len(judged()) > 500
    assert len(those_covered()) > 200


def test_harmful_changes_of_the_kinds_that_are_covered_are_stopped() -> None:
    harmful = [row for row in those_covered() if row[0].harmful]
    left = missed(harmful)
    assert len(left) <= (1 - STOPPED) * len(harmful), "\n".join(left)


def test_right_changes_of_the_kinds_that_are_covered_are_not_refused() -> None:
    benign = [row for row in those_covered() if not row[0].harmful]
    wrong = refused(benign)
    assert len(wrong) <= REFUSED * len(benign), "\n".join(wrong)


def test_right_changes_of_any_kind_are_not_refused() -> None:
    benign = [row for row in judged() if not row[0].harmful]
    wrong = refused(benign)
    assert len(wrong) <= REFUSED * len(benign), "\n".join(wrong)


def test_no_rule_stumbles_over_an_incident() -> None:
    assert {case.name: verdict.faults for case, verdict in judged() if verdict.faults} == {}


def as_review(request: Request) -> dict[str, Any]:
    """A request as the API server sends it."""
    kind, _, group = request.kind.partition(".")
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": request.uid,
            "kind": {"group": group, "version": "v1", "kind": kind},
            "resource": {"group": group, "version": "v1", "resource": request.resource},
            "subResource": request.subresource,
            "name": request.name,
            "namespace": request.namespace,
            "operation": request.operation,
            "userInfo": {"username": request.user.name, "groups": list(request.user.groups)},
            "object": request.object,
            "oldObject": request.old,
            "options": request.options,
            "dryRun": False,
        },
    }


def test_a_review_gets_the_verdict_that_the_case_gets() -> None:
    for case, verdict in judged():
        answer = review(orjson.dumps(as_review(case.request)), MemoryView(case.context), now=case.now)
        assert answer.verdict == verdict, case.name
        response = orjson.loads(answer.body)["response"]
        assert (response["uid"], response["allowed"]) == (case.request.uid, verdict.allowed)
        outcome = "deny" if not response["allowed"] else "warn" if response.get("warnings") else "allow"
        assert outcome == cases.outcome(verdict), case.name
