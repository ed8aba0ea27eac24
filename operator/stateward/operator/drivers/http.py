"""One call to an engine's own endpoint: bounded in time and size, never followed elsewhere, never raising anything else."""

from __future__ import annotations

import base64
import socket
import threading
import time
from dataclasses import replace
from typing import Any, Final

import orjson

from stateward.operator.drivers import handshake
from stateward.operator.drivers.protocol import Target
from stateward.operator.drivers.schema import Http
from stateward.operator.tls import Tls

LARGEST: Final = 1 << 20
"""Bytes of an answer. A list of members is some hundred."""
_CONNECT: Final = 1.0
_UNKNOWN_PASSWORD: Final = 401
_CONNECTIONS: Final = 8192
"""Members whose connections are kept: more than there are, for each has one that is used again and again."""
_lock = threading.Lock()
_pool: Any = None


class NoAnswerError(Exception):
    """Nothing, or nothing whole, came in time: whether the call had its effect is unknown."""


class RefusedError(Exception):
    """The engine answered that it will not."""


def serves(target: Target, call: Http) -> None:
    """Whether a member answers at all, with 2xx where there is a path to ask. Raises NoAnswerError and RefusedError."""
    if call.path is None:
        try:
            with socket.create_connection((target.host, target.ports[call.port]), min(_CONNECT, call.seconds)) as line:
                if call.port in target.secured:
                    _tls(target).context.wrap_socket(line, server_hostname=target.known).close()
        except OSError as error:
            said = handshake.why(error) or f"no answer ({type(error).__name__})"
            raise NoAnswerError(f"{target.name}: port {call.port}: {said}") from None
        return
    where = f"{target.name}: {call.method} {call.path}"
    status, raw = _send(where, target, call, call.body, time.monotonic() + call.seconds)
    if not 200 <= status <= 299:
        raise RefusedError(f"{where}: {status}: {_said(None, raw)}")


def ask(target: Target, call: Http, body: Any = None) -> Any:
    """What a member answers, parsed. Raises NoAnswerError and RefusedError.

    Answers of 4xx are refusals, those of 5xx too where their body is JSON: an engine that is not healthy says so with
    503. Environment proxies are not used: pods are reached directly or not at all.
    """
    where = f"{target.name}: {call.method} {call.path}"
    until = time.monotonic() + call.seconds
    status, raw = _send(where, target, call, body, until)
    coming = target.access.rotation.coming if target.access.rotation is not None else {}
    if status == _UNKNOWN_PASSWORD and call.login in coming:
        # A crash may lie between the engine, that was told of it, and the Secret.
        other = replace(target, access=replace(target.access, passwords={**target.access.passwords, **coming}))
        status, raw = _send(where, other, call, body, until)
    if call.text and 200 <= status <= 299:
        return raw.decode("utf-8", "replace")
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        answer = None
    if 200 <= status <= 299 and answer is not None:
        return answer
    if 400 <= status <= 499 or answer is not None:
        raise RefusedError(f"{where}: {status}: {_said(answer, raw)}")
    raise NoAnswerError(f"{where}: {status}: {_said(None, raw)}" if call.text else f"{where}: {status} and no JSON")


def _send(where: str, target: Target, call: Http, body: Any, until: float) -> tuple[int, bytes]:
    from urllib3 import Timeout
    from urllib3.exceptions import HTTPError

    try:
        response = _connections(target, call.port).urlopen(
            call.method,
            call.path,
            body=None if body is None else orjson.dumps(body),
            headers={"Content-Type": "application/json", "Accept": "application/json", **_login(target, call)},
            timeout=Timeout(connect=min(_CONNECT, call.seconds), read=call.seconds),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return response.status, _read(where, response, until)
        except BaseException:
            response.close()
            raise
        finally:
            response.release_conn()
    except (HTTPError, OSError) as error:
        raise NoAnswerError(f"{where}: {_why(target, call.port, error)}") from None


def _login(target: Target, call: Http) -> dict[str, str]:
    if call.login is None:
        return {}
    opened = f"{call.login}:{target.access.passwords.get(call.login, '')}".encode()
    return {"Authorization": f"Basic {base64.b64encode(opened).decode()}"}


def _read(where: str, response: Any, until: float) -> bytes:
    """The body, as far as time and size allow: each piece has a timeout of its own, all together have one too."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(1 << 16):
        parts.append(part)
        size += len(part)
        if size > LARGEST:
            raise NoAnswerError(f"{where}: more than {LARGEST} bytes; not read on")
        if time.monotonic() > until:
            raise NoAnswerError(f"{where}: the answer is not complete in time")
    return b"".join(parts)


def _said(answer: Any, raw: bytes) -> str:
    """Why, in one line."""
    if isinstance(answer, dict):
        for key in ("message", "error", "reason"):
            if isinstance(answer.get(key), str) and answer[key]:
                return str(answer[key])[:300]
    return raw[:200].decode("utf-8", "replace").strip().partition("\n")[0] or "no explanation"


def _why(target: Target, port: str, error: BaseException) -> str:
    """Why there was no answer, in plain words."""
    from urllib3.exceptions import ProtocolError, SSLError

    said = handshake.why(error)
    if not said and isinstance(error, (ProtocolError, SSLError)) and port in target.secured:
        # A server may close before its word about our certificate has come; a handshake alone waits for it.
        said = handshake.shake(target, port).reason
    return said or f"no answer ({type(error).__name__})"


def _connections(target: Target, port: str) -> Any:
    """Those to one port of a member; where it speaks TLS, those that were opened with the certificates of now."""
    number = target.ports[port]
    if port not in target.secured:
        return _shared().connection_from_host(target.host, number, scheme="http")
    verified = {"ssl_context": _tls(target).context, "server_hostname": target.known}
    return _shared().connection_from_host(target.host, number, scheme="https", pool_kwargs=verified)


def _tls(target: Target) -> Tls:
    if target.access.tls is None:
        raise NoAnswerError(f"{target.name}: there are no certificates yet to ask it with")
    return target.access.tls


def _shared() -> Any:
    """The connections of this process."""
    global _pool
    from urllib3 import PoolManager

    with _lock:
        if _pool is None:
            _pool = PoolManager(num_pools=_CONNECTIONS, maxsize=2)
        return _pool
