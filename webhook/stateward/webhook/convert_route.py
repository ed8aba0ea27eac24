"""`/convert`: raw ASGI, a ConversionReview in and out. It needs nothing but the body, so it answers from the first moment.

There is no failurePolicy behind it: while it does not answer, nobody reads the objects in a version that they are not
stored in. So whatever can be said is said with HTTP 200 and a Failure that names the object.
"""

from __future__ import annotations

import logging
from typing import Final

from stateward.webhook import asgi
from stateward.webhook.asgi import Receive, Scope, Send
from stateward.webhook.conversion import convert
from stateward.webhook.logs import frames, line

LIMIT: Final = 32 * 1024 * 1024
"""Bytes of a body. A LIST sends all of its objects at once; this is thousands of StatefulServices."""

_log = logging.getLogger("stateward.webhook")


class Conversion:
    """Answers 200 with a review; 405 and 413 for what a review cannot be, 500 for a fault of ours."""

    def __init__(self) -> None:
        self.leaving = False
        """Whether the process is about to end: every answer then closes its connection, so that callers go elsewhere."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One call."""
        if scope["method"] != "POST":
            await asgi.answer(send, 405, asgi.error("a ConversionReview is sent by POST"), asgi.ALLOW, asgi.CLOSE)
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
                await asgi.answer(send, 413, asgi.error(text), asgi.CLOSE)
                return
        try:
            answer = convert(b"".join(parts))
        except Exception as fault:  # noqa: BLE001,RUF100 - the API server tells its caller that the conversion failed
            _log.error("%s\n%s", line("fault", operation="convert", error=type(fault).__name__), frames(fault))
            await asgi.answer(send, 500, asgi.error("an error of Stateward's own; see its log"), leaving=self.leaving)
            return
        await asgi.answer(send, 200, answer, leaving=self.leaving)
