"""The admission route: raw ASGI, AdmissionReview in, AdmissionReview out.

Nothing here does I/O or waits for anything but the body. A denial is HTTP 200 with `allowed: false`. A fault of ours is
HTTP 500 without Retry-After, so that the API server neither asks again nor takes it for a denial: its failurePolicy
decides (k8s.io/apiserver, pkg/util/webhook; client-go, rest/with_retry.go).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, Protocol

from stateward.policies.engine import Verdict
from stateward.policies.policy import Policy, Unknowns
from stateward.policies.request import BadReview, decode
from stateward.policies.review import Answer, review
from stateward.policies.view import View
from stateward.webhook import asgi
from stateward.webhook.asgi import Header, Receive, Scope, Send
from stateward.webhook.deadline import budget
from stateward.webhook.logs import frames, line
from stateward.webhook.metrics import Metrics

Decided = Callable[[Verdict, float], None]
"""Told of a verdict that says something, and of the seconds that it took, after the answer is sent."""


class Judge(Protocol):
    """Judges one review: bytes to bytes, pure."""

    def __call__(self, body: bytes, view: View, policy: Policy, *, now: float, unknown: Unknowns) -> Answer:
        """See `stateward.policies.review.review`."""
        ...


LIMIT: Final = 7 * 1024 * 1024
"""Bytes of a body. The API server takes 3 MiB and a review may hold two objects; controller-runtime has the same."""

_log = logging.getLogger("stateward.webhook")


class _RefusedError(Exception):
    """The call cannot be judged: what to answer instead."""

    def __init__(self, status: int, reason: str, message: str, *headers: Header) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.headers = headers


class Admission:
    """The ASGI application behind `/validate` and, with another `judge`, behind `/mutate`.

    Answers 200 with a review; 400 for what is none, 405, 413 and 415 for what a review cannot be, 504 where the
    caller's `?timeout=` has passed before the body was there, 500 for a fault of ours. Every body is JSON, those of
    errors `{"error": text}`. `view` and `policy` may be exchanged at any time; the next request sees the new ones.
    """

    def __init__(
        self,
        view: View,
        policy: Policy,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.time,
        evicted: Callable[[str, str], None] | None = None,
        judge: Judge = review,
        decided: Decided | None = None,
    ) -> None:
        self.view = view
        self.policy = policy
        self.leaving = False
        """Whether the process is about to end: every answer then closes its connection, so that callers go elsewhere."""
        self._metrics = metrics
        self._clock = clock
        self._evicted = evicted
        self.judge = judge
        """May be exchanged too."""
        self._decided = decided

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        started = time.perf_counter()
        body: bytes | None = None
        try:
            body = await self._body(scope, receive, started)
            if body is None:
                return
            answer = self.judge(body, self.view, self.policy, now=self._clock(), unknown="warn")
        except _RefusedError as refused:
            self._metrics.bad(refused.reason)
            await asgi.answer(send, refused.status, asgi.error(str(refused)), *refused.headers, leaving=self.leaving)
        except BadReview as bad:
            self._metrics.bad("unreadable")
            # Not its text: that repeats what was sent.
            _log.warning(line("bad-review", uid=bad.uid))
            await asgi.answer(send, 400, asgi.error(str(bad)), leaving=self.leaving)
        except Exception as fault:  # noqa: BLE001,RUF100 - whatever it is, the API server's failurePolicy decides
            self._fault(body, fault, started)
            await asgi.answer(send, 500, _FAULT, leaving=self.leaving)
        else:
            verdict = answer.verdict
            request = verdict.request
            if self._evicted is not None and request.subresource == "eviction" and verdict.allowed and not request.dry_run:
                self._evicted(request.namespace, request.name)
            seconds = time.perf_counter() - started
            self._metrics.answered(verdict, seconds)
            await asgi.answer(send, 200, answer.body, leaving=self.leaving)
            if verdict.judged or verdict.faults:
                _report(verdict)
                if self._decided is not None:
                    self._decided(verdict, seconds)

    async def _body(self, scope: Scope, receive: Receive, started: float) -> bytes | None:
        """The whole body; None where the client has gone. Raises _RefusedError."""
        given = length = b""
        for name, value in scope["headers"]:
            if name == b"content-type":
                given = value
            elif name == b"content-length":
                length = value
        if scope["method"] != "POST":
            raise _RefusedError(405, "method", "an AdmissionReview is sent by POST", asgi.ALLOW, asgi.CLOSE)
        if given != asgi.JSON and given.partition(b";")[0].strip().lower() != asgi.JSON:
            raise _RefusedError(415, "content-type", "an AdmissionReview is sent as application/json", asgi.CLOSE)
        if len(length) > 6 and (len(length) > 7 or int(length) > LIMIT):
            raise _too_large()
        seconds = budget(scope["query_string"])
        message = await receive()
        if message["type"] == "http.disconnect":
            self._metrics.bad("disconnected")
            return None
        body: bytes | None = message.get("body", b"")
        if message.get("more_body"):
            # Not before: a small body is here at once, and a caller that sends none costs what an idle one does.
            try:
                async with asyncio.timeout(started + seconds - time.perf_counter()):
                    body = await self._rest(body or b"", receive)
            except TimeoutError:
                raise _late() from None
        if time.perf_counter() - started > seconds:
            raise _late()
        return body

    async def _rest(self, first: bytes, receive: Receive) -> bytes | None:
        """What follows, joined to what came first. The limit holds while reading: no more is ever kept."""
        parts = [first]
        size = len(first)
        more = True
        while more:
            if size > LIMIT:
                raise _too_large()
            message = await receive()
            if message["type"] == "http.disconnect":
                self._metrics.bad("disconnected")
                return None
            part = message.get("body", b"")
            size += len(part)
            parts.append(part)
            more = message.get("more_body", False)
        if size > LIMIT:
            raise _too_large()
        return b"".join(parts)

    def _fault(self, body: bytes | None, fault: Exception, started: float) -> None:
        """Counts and logs a fault. The request is read once more: whatever failed, its uid should be known."""
        uid = operation = kind = ""
        seconds = time.perf_counter() - started
        try:
            request = decode(body or b"")
            uid, operation, kind = request.uid, request.operation, request.kind
            if self._decided is not None:
                self._decided(Verdict(request, faults={"door": type(fault).__name__}), seconds)
        except Exception:  # noqa: BLE001,S110,RUF100 - then it stays unknown; the first fault is the one that matters
            pass
        self._metrics.fault(operation, kind, seconds)
        named = line("fault", uid=uid, operation=operation, kind=kind, error=type(fault).__name__)
        _log.error("%s\n%s", named, frames(fault))


def _report(verdict: Verdict) -> None:
    request = verdict.request
    for rule, fault in verdict.faults.items():
        _log.error(line("rule-fault", uid=request.uid, rule=rule, error=fault, kind=request.kind))
    denied = verdict.denied or verdict.would_deny
    if denied and _log.isEnabledFor(logging.INFO):
        _log.info(
            line(
                "denied" if verdict.denied else "would-deny",
                uid=request.uid,
                user=request.user.name,
                operation=request.operation,
                kind=request.kind,
                object=request.where,
                rules=",".join(dict.fromkeys(one.rule for one in denied)),
                dry_run="true" if request.dry_run else "",
            )
        )


def _too_large() -> _RefusedError:
    return _RefusedError(413, "too-large", f"an AdmissionReview has at most {LIMIT} bytes", asgi.CLOSE)


def _late() -> _RefusedError:
    return _RefusedError(504, "late", "the time that the caller gave by ?timeout= has passed", asgi.CLOSE)


_FAULT: Final = asgi.error("a fault in Stateward, see its log for the uid of this request")
