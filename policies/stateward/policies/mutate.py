"""AdmissionReview in, AdmissionReview out, before the API server's own validation: bytes → bytes, behind `/mutate`.

On CREATE it fills in what is absent, where that is asked for. On UPDATE it refuses, with the recipe, what the API server
would refuse a moment later without one. Everything else it lets pass unread.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from stateward.policies import message
from stateward.policies.defaults import Asked, owned
from stateward.policies.engine import Verdict, evaluate
from stateward.policies.jsonpatch import Operation, added
from stateward.policies.mutation import Filled, Mutation
from stateward.policies.mutations import MUTATIONS
from stateward.policies.paths import render
from stateward.policies.policy import DEFAULT, Policy, Unknowns
from stateward.policies.request import Request, decode
from stateward.policies.resolve import resolve
from stateward.policies.review import Answer, encode
from stateward.policies.rota import Rotas, dispatch
from stateward.policies.rules import RULES
from stateward.policies.view import Kind, Sight, View

FORESTALLING: Final = tuple(rule for rule in RULES if rule.forestalls)
"""The rules that say what the API server's own validation will say."""
_REFUSING: Final[Rotas] = dispatch(FORESTALLING, ())
FINAL: Final = "the API server itself refuses this edit, so no waiver helps"


def _by_kind() -> dict[Kind, tuple[Mutation, ...]]:
    kinds = {kind for one in MUTATIONS for kind in one.judges.kinds}
    return {kind: tuple(one for one in MUTATIONS if kind in one.judges.kinds) for kind in kinds}


_FILLING: Final[Mapping[Kind, tuple[Mutation, ...]]] = _by_kind()


def mutate(body: bytes, view: View, policy: Policy = DEFAULT, *, now: float, unknown: Unknowns = "silent") -> Answer:
    """Answers a review. Raises BadReview where it cannot be read; anything else that is raised is a fault of ours."""
    request = decode(body)
    say_unknown = (policy.unknown or unknown) != "silent"
    if request.operation == "CREATE" and not request.subresource and request.kind in _FILLING:
        verdict, operations, filled = fill(request, view, policy, now)
        return Answer(verdict, _encode(verdict, operations, filled, say_unknown), filled)
    if (request.kind, request.operation, request.subresource) in _REFUSING:
        verdict = refuse(request, view, policy, now=now, unknown=unknown)
        return Answer(verdict, encode(verdict, now, say_unknown, FINAL))
    verdict = Verdict(request)
    return Answer(verdict, encode(verdict, now))


def refuse(request: Request, view: View, policy: Policy = DEFAULT, *, now: float, unknown: Unknowns = "silent") -> Verdict:
    """Judges an update by the rules alone that say what the API server will say."""
    if policy.asked:
        policy = replace(policy, asked={})  # the user's own rules are asked once, at /validate
    verdict = evaluate(request, view, policy, now=now, unknown=unknown, asked=_REFUSING)
    for rule in dict.fromkeys(one.rule for one in verdict.judged if one.waiver is not None):
        verdict.notes.append(f"{rule} is waived, but {FINAL}")
    return verdict


def fill(
    request: Request, view: View, policy: Policy, now: float, mutations: tuple[Mutation, ...] = ()
) -> tuple[Verdict, list[Operation], tuple[Filled, ...]]:
    """What is filled into an object that is created: (verdict, which always allows; steps of a patch; what they fill).

    `mutations`: those that are asked, all of its kind without.
    """
    verdict = Verdict(request)
    item = request.object
    if item is None:
        return verdict, [], ()
    if policy.exempts(request.user.name, request.user.groups):
        verdict.passed = f"account {request.user.name} is exempt by policy"
        return verdict, [], ()
    if owned(item):
        verdict.passed = "a controller owns it"
        return verdict, [], ()
    asked = Asked(request, view, policy.defaults)
    if asked.problem:
        verdict.notes.append(asked.problem)
    wanted = [one for one in mutations or _FILLING.get(request.kind, ()) if asked.for_(one)]
    operations: list[Operation] = []
    filled: list[Filled] = []
    if wanted:
        (change,) = resolve(request, view)
        see = Sight(view, {}, {}, now)
        for one in wanted:
            see.turn(one.looks_at, {})
            try:
                fills = list(one.fills(change, see))
            except Exception as fault:  # noqa: BLE001,RUF100 - a default that fails is left out, and nobody is refused
                verdict.faults[one.id] = type(fault).__name__
                continue
            if see.unknown and not fills:
                verdict.unjudged[one.id] = tuple(sorted(see.unknown))
            for each in fills:
                done = added(item, each.path, each.value)
                if done is not None:
                    operation, item = done
                    operations.append(operation)
                    filled.append(Filled(one.id, one.name, each.path, each.text))
    return verdict, operations, tuple(filled)


def _encode(verdict: Verdict, operations: list[Operation], filled: tuple[Filled, ...], say_unknown: bool) -> bytes:
    """The AdmissionReview of a creation: patch and patchType both or neither."""
    response: dict[str, Any] = {"uid": verdict.request.uid, "allowed": True}
    if operations:
        response["patchType"] = "JSONPatch"
        response["patch"] = base64.b64encode(orjson.dumps(operations)).decode("ascii")
    warnings = [f"{one.id} {one.name}: filled in {render(one.path)} ({one.text})" for one in filled]
    warnings += verdict.notes
    warnings += [f"{name}: not filled in, a fault in Stateward ({fault})" for name, fault in verdict.faults.items()]
    if say_unknown:
        warnings += [
            f"{name}: nothing is filled in, {', '.join(kinds)} not known yet" for name, kinds in verdict.unjudged.items()
        ]
    if warnings:
        response["warnings"] = [message.clean(text) for text in warnings]
    annotations = message.audit(verdict)
    if filled:
        annotations["filled"] = ", ".join(f"{one.id} {render(one.path)}" for one in filled)
    if annotations:
        response["auditAnnotations"] = annotations
    return orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
