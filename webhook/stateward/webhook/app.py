"""The service put together: the admission route beside, not inside, a FastAPI application for everything else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from importlib import metadata
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from stateward.policies.policy import Policy
from stateward.policies.view import Kind, View
from stateward.webhook.admission import Admission, Receive, Scope, Send
from stateward.webhook.metrics import Metrics

VALIDATE: Final = "/validate"
"""The path of the admission route. DNS labels only: the API server takes no others in a `service` reference."""

Ready = Callable[[], tuple[bool, str]]
"""Whether requests should come, and if not, why not."""


class App:
    """The ASGI application. A call to `/validate` meets no router, no middleware and no Request object."""

    def __init__(self, admission: Admission, rest: FastAPI, metrics: Metrics) -> None:
        self.admission = admission
        self.rest = rest
        self.metrics = metrics

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine itself: one frame less on the way to the route."""
        if scope["type"] == "http" and scope["path"] == VALIDATE:
            return self.admission(scope, receive, send)
        return self.rest(scope, receive, send)

    @property
    def leaving(self) -> bool:
        """Whether `leave` was called."""
        return self.admission.leaving

    def leave(self) -> None:
        """From now on `/readyz` says no, and answered connections are closed. Requests are judged as before."""
        self.admission.leaving = True


def build(
    view: View,
    policy: Policy,
    *,
    ready: Ready = lambda: (True, ""),
    ages: Callable[[], Mapping[Kind, float]] = dict,
    clock: Callable[[], float] = time.time,
    evicted: Callable[[str, str], None] | None = None,
) -> App:
    """The application over a view and a policy.

    `ready` is asked at each `/readyz`, `ages` (seconds since each kind of the view was heard of) at each `/metrics`:
    neither may wait for anything. `clock` gives seconds since the epoch, for waivers and backups. `evicted` is told the
    namespace and name of a pod whose eviction was allowed, before the answer is sent.
    """
    metrics = Metrics(ages)
    admission = Admission(view, policy, metrics, clock=clock, evicted=evicted)
    version = metadata.version("stateward")
    # No pages of documentation: they would load scripts from somebody else's server.
    rest = FastAPI(title="Stateward", version=version, docs_url=None, redoc_url=None)

    # All handlers are coroutines: others would run in threads, each a switch, and count beside the event loop.
    @rest.get("/")
    async def about() -> JSONResponse:
        """Who answers here."""
        return JSONResponse({"name": "stateward", "version": version})

    @rest.get("/livez")
    async def livez() -> JSONResponse:
        """Whether the event loop runs. It does, or nobody would answer."""
        return JSONResponse({"alive": True})

    @rest.get("/readyz", responses={503: {"description": "not ready, with the reason"}})
    async def readyz() -> JSONResponse:
        """Whether reviews should be sent here."""
        good, reason = (False, "shutting down") if admission.leaving else ready()
        return JSONResponse({"ready": True} if good else {"ready": False, "reason": reason}, 200 if good else 503)

    @rest.get("/metrics")
    async def prometheus(request: Request) -> Response:
        """The metrics of this process."""
        body, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    return App(admission, rest, metrics)
