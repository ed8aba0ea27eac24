"""Everything but admission: health, metrics and the policy API, behind the guard, with errors as one line of JSON."""

from __future__ import annotations

import html
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.exceptions import HTTPException

from stateward.webhook import api, asgi
from stateward.webhook.api import Door
from stateward.webhook.asgi import Receive, Scope, Send
from stateward.webhook.auth import Guard
from stateward.webhook.logs import frames, line
from stateward.webhook.metrics import Metrics

_log = logging.getLogger("stateward.webhook")
_FAULT: Final = asgi.error("a fault in Stateward; see its log")

Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]


def application(door: Door, metrics: Metrics) -> FastAPI:
    """The FastAPI application. Its documents load nothing from anybody else's server."""
    rest = FastAPI(title="Stateward", version=door.version, docs_url=None, redoc_url=None)
    rest.include_router(api.routes(door))
    rest.add_exception_handler(HTTPException, _refused)
    rest.add_exception_handler(RequestValidationError, _invalid)
    rest.add_exception_handler(Exception, _failed)

    # All handlers are coroutines: others would run in threads, each a switch, and count beside the event loop.
    @rest.get("/")
    async def about() -> JSONResponse:
        """Who answers here."""
        return JSONResponse({"name": "stateward", "version": door.version})

    @rest.get("/livez")
    async def livez() -> JSONResponse:
        """Whether the event loop runs. It does, or nobody would answer."""
        return JSONResponse({"alive": True})

    @rest.get("/readyz", responses={503: {"description": "not ready, with the reason"}})
    async def readyz() -> JSONResponse:
        """Whether reviews should be sent here."""
        good, reason = door.ready()
        return JSONResponse({"ready": True} if good else {"ready": False, "reason": reason}, 200 if good else 503)

    @rest.get("/metrics")
    async def prometheus(request: Request) -> Response:
        """The metrics of this process."""
        body, content_type = metrics.exposition(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type})

    @rest.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        """A page to read; `/openapi.json` is for programs."""
        return HTMLResponse(
            page(rest.openapi()), headers={"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
        )

    return rest


class Guarded:
    """The application behind its guard. Whatever fails in it is one line of JSON, and a log line without what was sent."""

    def __init__(self, app: Asgi, guard: Guard) -> None:
        self._app = app
        self.guard = guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            refusal = await self.guard.refusal(scope)
            if refusal is not None:
                await asgi.answer(send, refusal.status, refusal.body, *refusal.headers)
                return
            await self._app(scope, receive, sending)
        except Exception as fault:  # noqa: BLE001,RUF100 - a caller gets an answer, whatever happens
            _log.error("%s\n%s", line("api-fault", path=scope["path"], error=type(fault).__name__), frames(fault))
            if not begun:
                await asgi.answer(send, 500, _FAULT)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for these alone
    return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)


async def _failed(_: Request, __: Exception) -> Response:
    """The answer; the fault itself is raised on, and logged where that ends."""
    return Response(_FAULT, 500, media_type="application/json")


async def _invalid(_: Request, error: Exception) -> Response:
    """Not what was sent, which may be anything."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for these alone
    told = [f"{'.'.join(map(str, one['loc'][1:])) or 'the call'}: {one['msg'].lower()}" for one in error.errors()[:5]]
    return JSONResponse({"error": f"{'; '.join(told)}; see /openapi.json"}, 400)


def page(document: dict[str, Any]) -> str:
    """The paths of an OpenAPI document as a plain page."""
    rows = []
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            words = html.escape(told.get("description", ""))
            names = ", ".join(parameter["name"] for parameter in told.get("parameters", ()))
            asked = f"<br><small>{html.escape(names)}</small>" if names else ""
            rows.append(f"<tr><td>{method.upper()}<td><code>{html.escape(path)}</code>{asked}<td>{words}")
    style = "body{font:16px/1.5 system-ui;margin:2em auto;max-width:60em}td{padding:.3em 1em .3em 0;vertical-align:top}"
    title = f"Stateward {html.escape(document['info']['version'])}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f'<h1>{title}</h1><p><a href="/openapi.json">openapi.json</a><table>{"".join(rows)}</table>'
    )
