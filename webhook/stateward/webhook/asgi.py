"""What the raw ASGI routes share: the words of ASGI, and an answer in JSON."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]

JSON: Final = b"application/json"
CLOSE: Final[Header] = (b"connection", b"close")
"""Where what else of a body may come is not read, and where the process is about to end."""
ALLOW: Final[Header] = (b"allow", b"POST")

_TYPE: Final[Header] = (b"content-type", JSON)


async def answer(send: Send, status: int, body: bytes, *headers: Header, leaving: bool = False) -> None:
    """Sends a body of JSON. `leaving`: the connection is closed after it, so that the caller goes elsewhere."""
    sent: list[Header] = [_TYPE, (b"content-length", b"%d" % len(body)), *headers]
    if leaving and CLOSE not in sent:
        sent.append(CLOSE)
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def error(text: str) -> bytes:
    """The body that says what is wrong."""
    return orjson.dumps({"error": text})
