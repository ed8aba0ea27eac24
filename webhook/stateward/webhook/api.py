"""The policy API: judge without doing, look up what is known, and what was decided here.

All handlers are coroutines. What takes more than a moment runs in one thread, one call at a time: it must not take the
processor from the door.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, Final, Literal

import orjson
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel

from stateward.policies import described, times, ways
from stateward.policies.engines.recognise import PROFILES
from stateward.policies.policy import Policy
from stateward.policies.request import BadReview, from_review
from stateward.policies.rule import Rule
from stateward.policies.rules import RULES
from stateward.policies.version import parse as parse_version
from stateward.policies.view import View
from stateward.webhook import evaluation, models
from stateward.webhook.decisions import Decisions
from stateward.webhook.evaluation import BadAskError, Proposed
from stateward.webhook.probes import Probes

LIMIT: Final = 1024 * 1024
"""Bytes of a body: parsing so many takes a few milliseconds in which nobody else gets his turn."""
OBJECTS: Final = 500
SECONDS: Final = 10.0
"""To send a body. Whoever trickles it holds nothing but his own connection, but not for ever."""
_WAITING: Final = 8
"""Calls that may wait for the one that is being judged."""
_JSON: Final = "application/json"

_log = logging.getLogger("stateward.webhook")

Ready = Callable[[], tuple[bool, str]]


@dataclass(frozen=True, slots=True)
class Door:
    """What the API looks at: who judges here, with what, and what came of it."""

    version: str
    view: Callable[[], View]
    policy: Callable[[], Policy]
    clock: Callable[[], float]
    ready: Ready
    decisions: Decisions
    probes: Probes


def routes(door: Door) -> APIRouter:
    """`/v1/…`."""
    api = APIRouter(prefix="/v1", responses={401: {"model": models.Problem}, 403: {"model": models.Problem}})
    one_at_a_time = _Turns(_WAITING)

    @api.post(
        "/evaluate",
        responses=_answers(models.Report, 400, 413, 415, 503),
        openapi_extra={"requestBody": {"required": True, "content": {_JSON: {"schema": _schema(models.Evaluation)}}}},
    )
    async def evaluate(request: Request) -> Response:
        """Judge objects, pairs of old and new, or an AdmissionReview. Nothing is changed, counted or kept."""
        body = await _body(request)
        return _json(await one_at_a_time.run(partial(_evaluate, body, door)))

    @api.get("/rules", responses=_answers(models.Rules))
    async def rules() -> Response:
        """All rules, the policy's own too, with what each does by the policy in force."""
        policy = door.policy()
        known = sorted((*RULES, *policy.user_rules), key=lambda one: one.id)
        return _json({"format": "stateward-rules/v1", "rules": [described.rule(one, policy.usual(one)) for one in known]})

    @api.get("/rules/{rule}", responses=_answers(models.Rule, 404))
    async def rule(rule: str) -> Response:
        """One rule, by id or name, with its examples."""
        policy = door.policy()
        found = next((one for one in (*RULES, *policy.user_rules) if rule.lower() in (one.id.lower(), one.name)), None)
        if found is None:
            raise HTTPException(404, f"{_shown(rule)} is no rule; GET /v1/rules lists them")
        full = {"format": "stateward-rule/v1", **described.rule(found), "examples": []}
        if not found.own:
            full = await one_at_a_time.run(partial(_in_full, found))
        return _json({**full, "action": policy.usual(found)})

    @api.get("/engines", responses=_answers(models.Engines))
    async def engines() -> Response:
        """What is known of engines: releases, quorum, every row of their upgrades."""
        return Response(_engines(), media_type=_JSON)

    @api.get("/path", responses=_answers(models.Way, 400, 404))
    async def path(
        engine: Annotated[str, Query(max_length=64)],
        before: Annotated[str, Query(alias="from", max_length=64)],
        after: Annotated[str, Query(alias="to", max_length=64)],
        mode: Annotated[str | None, Query(max_length=64)] = None,
        operator: bool = False,
    ) -> Response:
        """The supported way from one version of an engine to another."""
        profile = PROFILES.get(engine.lower())
        if profile is None:
            raise HTTPException(404, f"{_shown(engine)} is no engine; there are {', '.join(sorted(PROFILES))}")
        ends = [parse_version(text) for text in (before, after)]
        for name, text, version in zip(("from", "to"), (before, after), ends, strict=True):
            if version is None:
                raise HTTPException(400, f"{name}: {_shown(text)} is no version; send one such as 3.9 or 17.5")
        old, new = ends
        assert old is not None and new is not None  # noqa: S101,PT018 - said above
        find = partial(ways.find, profile, old, new, ways.facts_of(mode, operator))
        return _json(await one_at_a_time.run(lambda: ways.document(find())))

    @api.get("/decisions", responses=_answers(models.Decisions, 400))
    async def decisions(
        namespace: Annotated[str | None, Query(max_length=253)] = None,
        name: Annotated[str | None, Query(max_length=253)] = None,
        kind: Annotated[str | None, Query(max_length=253, description="StatefulSet, or StatefulSet.apps")] = None,
        outcome: Literal["denied", "wouldBeDenied", "warned", "waived", "audited", "fault"] | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> Response:
        """What this replica decided, the newest first. Requests of which nothing was to be said are not kept."""
        found = door.decisions.find(namespace, name, kind, outcome, limit)
        return _json(
            {
                "format": "stateward-decisions/v1",
                "since": times.render(door.decisions.since),
                "dropped": door.decisions.dropped,
                "decisions": [one.document() for one in found],
            }
        )

    @api.get("/status", responses=_answers(models.Status))
    async def status() -> Response:
        """Mode, policy, what would have been refused by rule and namespace, and what this replica knows of itself."""
        return _json(_status(door))

    return api


def _evaluate(body: bytes, door: Door) -> dict[str, Any]:
    """In a thread. Raises HTTPException."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"the body is not JSON: {error}") from None
    now, policy, view = door.clock(), door.policy(), door.view()
    problems: list[dict[str, Any]] = []
    try:
        if type(content) is dict and content.get("kind") == "AdmissionReview":
            requests = [("request", from_review(content))]
        else:
            proposals, context, user, problems = evaluation.read(content, OBJECTS)
            view = Proposed(view, proposals, context)
            requests = [(one.where, one.request(user)) for one in proposals]
    except BadReview as error:
        raise HTTPException(400, str(error)) from None
    except BadAskError as error:
        raise HTTPException(error.status, str(error)) from None
    return evaluation.document(evaluation.judge(requests, view, policy, now), policy, now, door.version, problems)


@lru_cache(maxsize=256)
def _in_full(rule: Rule) -> dict[str, Any]:
    return described.rule_in_full(rule)


@lru_cache(maxsize=1)
def _engines() -> bytes:
    return orjson.dumps(
        {"format": "stateward-engines/v1", "engines": [described.engine(PROFILES[name]) for name in sorted(PROFILES)]}
    )


def _status(door: Door) -> dict[str, Any]:
    policy, probes, decisions = door.policy(), door.probes, door.decisions
    ready, reason = door.ready()
    ages = {kind: None if math.isinf(age) else round(age, 1) for kind, age in probes.ages().items()}
    return {
        "format": "stateward-status/v1",
        "version": door.version,
        "started": times.render(decisions.since),
        "ready": ready,
        "reason": reason,
        "mode": policy.mode,
        "policy": {
            "name": probes.policy_name(),
            "profile": policy.title,
            "userRules": len(policy.user_rules),
            "errors": list(probes.policy_errors()),
        },
        "registered": probes.registered(),
        "leader": probes.leader(),
        "certificates": {name: times.render(moment) for name, moment in probes.certificates().items()},
        "views": {"ages": ages, "unknown": dict(probes.unknown())},
        "counts": {"since": times.render(decisions.since), **decisions.counts.document()},
        "decisions": {"kept": len(decisions), "dropped": decisions.dropped},
    }


class _Turns:
    """Runs one at a time in a thread; one too many is turned away."""

    def __init__(self, waiting: int) -> None:
        self._waiting = waiting
        self._there = 0
        self._turn: asyncio.Lock | None = None

    async def run(self, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What `work` gives. Raises HTTPException (503) where too many wait."""
        if self._turn is None:
            self._turn = asyncio.Lock()  # here, for a lock belongs to the loop that it is first waited for in
        if self._there > self._waiting:
            raise HTTPException(503, "too many calls are being judged; try again", {"retry-after": "1"})
        self._there += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work)
        finally:
            self._there -= 1


async def _body(request: Request) -> bytes:
    """The body; the limit holds while reading. Raises HTTPException."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON:
        raise HTTPException(415, f"content-type: JSON is wanted; send {_JSON}")
    large = HTTPException(413, f"the body has more than {LIMIT} bytes; send the objects in parts", {"connection": "close"})
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > 9 or int(length) > LIMIT):
        raise large
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                size += len(part)
                if size > LIMIT:
                    raise large
                parts.append(part)
    except TimeoutError:
        raise HTTPException(408, f"the body was not there after {SECONDS:.0f} s", {"connection": "close"}) from None
    return b"".join(parts)


def _answers(model: type[BaseModel], *statuses: int) -> dict[int | str, dict[str, Any]]:
    return {200: {"model": model}, **{status: {"model": models.Problem} for status in statuses}}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """A model's schema with its parts written out: a request body that is read raw has no place for references."""
    whole = model.model_json_schema()
    parts = whole.pop("$defs", {})

    def resolved(node: Any) -> Any:
        if isinstance(node, dict):
            if "$ref" in node:
                return resolved(parts[node["$ref"].rpartition("/")[2]])
            return {key: resolved(value) for key, value in node.items()}
        return [resolved(item) for item in node] if isinstance(node, list) else node

    found: dict[str, Any] = resolved(whole)
    return found


def _json(content: Any) -> Response:
    return Response(orjson.dumps(content), media_type=_JSON)


def _shown(text: str) -> str:
    return f'"{text[:60]}"'
