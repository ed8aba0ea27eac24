"""AdmissionReview in, AdmissionReview out: bytes → bytes. The webhook's route and `stateward review` both call this."""

from __future__ import annotations

from typing import Any

import orjson

from stateward.policies import message
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.mutation import Filled
from stateward.policies.paths import render
from stateward.policies.policy import DEFAULT, Policy, Unknowns
from stateward.policies.request import decode
from stateward.policies.structs import dataclass
from stateward.policies.view import View


@dataclass(frozen=True, slots=True)
class Answer:
    """The verdict and the review that says it."""

    verdict: Verdict
    body: bytes
    filled: tuple[Filled, ...] = ()
    """What `/mutate` filled in."""


def review(body: bytes, view: View, policy: Policy = DEFAULT, *, now: float, unknown: Unknowns = "silent") -> Answer:
    """Judges a review. Raises BadReview where it cannot be read; anything else that is raised is a fault of ours."""
    request = decode(body)
    verdict = evaluate(request, view, policy, now=now, unknown=unknown)
    return Answer(verdict, encode(verdict, now, (policy.unknown or unknown) != "silent"))


def encode(verdict: Verdict, now: float, say_unknown: bool = False, final: str = "") -> bytes:
    """The AdmissionReview that says a verdict. Only `response` is sent back: a request that is echoed can fail.

    `final`: why no waiver helps.
    """
    response: dict[str, Any] = {"uid": verdict.request.uid, "allowed": verdict.allowed}
    if verdict.judged or verdict.notes or verdict.faults or verdict.unjudged or verdict.passed:
        denied = verdict.denied
        if denied:
            # Only where every reason to refuse passes by itself may a client try again for ever.
            waits = all(one.finding.waits for one in denied)
            response["status"] = {
                "code": 429 if waits else 403,
                "reason": "TooManyRequests" if waits else "Forbidden",
                "message": message.denial(verdict, now, final),
                "details": {
                    "causes": [
                        {
                            "reason": f"{one.rule} {one.name}",
                            "field": render(one.finding.field),
                            "message": one.finding.headline,
                        }
                        for one in denied
                    ]
                },
            }
        warnings = message.warnings(verdict, say_unknown)
        if warnings:
            response["warnings"] = warnings
        annotations = message.audit(verdict)
        if annotations:
            response["auditAnnotations"] = annotations
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
