"""An open answer of the API server: its body as one JSON object, or as lines that keep coming."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Any, Final, Protocol

import orjson

from stateward.kube.errors import ClusterError, UnreachableError

CHUNK: Final = 1 << 16
MAX_LINE: Final = 32 << 20
"""Bytes. The API server's own limit for an object is 3 MiB; a line that never ends must not eat the memory."""


class _Response(Protocol):
    """What is used of a urllib3.HTTPResponse (1.26 and 2.x)."""

    status: int
    headers: Any

    def close(self) -> None: ...


class Answer:
    """An answer with a good status, its body unread. Close it, from any thread: a blocked reader returns at once."""

    def __init__(self, what: str, response: _Response) -> None:
        self.what = what
        """`GET /api/v1/pods`, for messages."""
        self._response = response
        self._closed = threading.Event()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        with suppress(Exception):
            self._response.close()

    @property
    def date(self) -> str:
        """When the server answered, by its own clock (RFC 9110 6.6.1); "" if it does not say."""
        return str(self._response.headers.get("Date") or "")

    def close(self) -> None:
        """Ends the answer from another thread than the one that reads it.

        Only the socket is shut down: closing a file object under a blocked reader would wait for that reader's lock.
        The reader closes the rest (leaving its `with`).
        """
        self._closed.set()
        shutdown = getattr(self._response, "shutdown", None)  # urllib3 2.3 and later
        with suppress(Exception):
            shutdown() if shutdown is not None else _socket_of(self._response).shutdown(0)

    @property
    def closed(self) -> bool:
        """Whether somebody closed it."""
        return self._closed.is_set()

    def json(self, total_seconds: float) -> Any:
        """The whole body, parsed. Raises ClusterError where it is no JSON, breaks off or takes longer than this."""
        deadline = time.monotonic() + total_seconds
        parts: list[bytes] = []
        for part in self.chunks():
            parts.append(part)
            if time.monotonic() > deadline:
                raise UnreachableError(f"{self.what}: the answer is not complete after {total_seconds:.0f} s; try again")
        if self.closed:
            raise ClusterError(0, "Closed", f"{self.what}: closed before the answer was complete")
        body = b"".join(parts)
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ClusterError(
                0,
                "Broken",
                f"{self.what}: {len(body)} bytes that are no JSON ({error}); "
                "see whether a proxy stands before the API server",
            ) from None

    def lines(self) -> Iterator[bytes]:
        """Lines without their ends, as they come. A last line without an end is a broken stream: ClusterError."""
        rest = b""
        for part in self.chunks():
            rest += part
            if b"\n" in part:
                *whole, rest = rest.split(b"\n")
                yield from (line for line in whole if line.strip())
            if len(rest) > MAX_LINE:
                raise ClusterError(0, "Broken", f"{self.what}: a line of more than {MAX_LINE} bytes; it is not read on")
        if rest.strip() and not self.closed:
            raise ClusterError(0, "Broken", f"{self.what}: the stream ends within a line ({len(rest)} bytes)")

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes, until it ends or is closed. UnreachableError: it broke off or was silent too long."""
        from urllib3.exceptions import HTTPError, ReadTimeoutError

        try:
            yield from self._read()
        except ReadTimeoutError:
            if not self.closed:
                raise UnreachableError(f"{self.what}: nothing came for the whole read timeout; asking again") from None
        except (HTTPError, OSError, http.client.HTTPException) as error:
            if not self.closed:
                raise UnreachableError(f"{self.what}: the answer broke off ({type(error).__name__}: {error})") from None
        except (AttributeError, ValueError):
            # What urllib3 and http.client raise where the connection vanishes under them because of close().
            if not self.closed:
                raise

    def _read(self) -> Iterator[bytes]:
        response: Any = self._response
        if getattr(response, "chunked", False):
            # Each chunk as it comes: the API server sends an event a chunk.
            yield from response.stream(CHUNK, decode_content=True)
            return
        # read(n) would wait for n bytes; read1 gives what is there.
        read = getattr(response, "read1", response.read)
        while part := read(CHUNK):
            yield part


def _socket_of(response: Any) -> Any:
    return response._original_response.fp.raw._sock


def error_body(response: Any) -> bytes:
    """The start of an error's body; b"" where even that breaks off. Closes the response."""
    try:
        return bytes(response.read(CHUNK))
    except Exception:  # noqa: BLE001,RUF100 - the status says enough
        return b""
    finally:
        response.close()
