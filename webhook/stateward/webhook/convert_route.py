"""`/convert`: raw ASGI, a ConversionReview in and out. It needs nothing but the body, so it answers from the first moment.

There is no failurePolicy behind it: while it does not answer, nobody reads the objects in a version that they are not
stored in. So whatever can be said is said with HTTP 200 and a Failure that names the object.
"""

from __future__ import annotations

import logging
from typing import Final

import orjson

from stateward.webhook.admission import Header, Receive, Scope, Send
from stateward.webhook.conversion import convert
from stateward.webhook.logs import frames, line

LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a body. A LIST sends all of its objects at once; this is thousands of StatefulServices."""

_TYPE: Final[Header] = (b"content-type", b"application/json")
_CLOSE: Final[Header] = (b"connection", b"close")

_log = logging.getLogger("stateward.webhook")


class Conversion:
    """Answers 200 with a review; 405 and 413 for what a review cannot be, 500 for a fault of ours."""

    def __init__(self) -> None:
        self.leaving = False
        """Whether the process is about to end: every answer then closes its connection, so that callers go elsewhere."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        if scope["method"] != "POST":
            await self._send(send, 405, _error("a ConversionReview is sent by POST"), (b"allow", b"POST"), _CLOSE)
            return
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > LIMIT:
                text = f"the body is larger than {LIMIT // 1024 // 1024} MiB; ask for fewer objects at once (limit=500)"
                await self._send(send, 413, _error(text), _CLOSE)
                return
        try:
            answer = convert(b"".join(parts))
        except Exception as fault:  # noqa: BLE001,RUF100 - the API server tells its caller that the conversion failed
            _log.error("%s\n%s", line("fault", operation="convert", error=type(fault).__name__), frames(fault))
            await self._send(send, 500, _error("an error of Stateward's own; see its log"))
            return
        await self._send(send, 200, answer)

    async def _send(self, send: Send, status: int, body: bytes, *headers: Header) -> None:
        sent: list[Header] = [_TYPE, (b"content-length", b"%d" % len(body)), *headers]
        if self.leaving and _CLOSE not in sent:
            sent.append(_CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": sent})
        await send({"type": "http.response.body", "body": body})


def _error(text: str) -> bytes:
    return orjson.dumps({"error": text})
