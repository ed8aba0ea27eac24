"""A command in a container of a pod, with a text given to it: bounded in time and size.

The protocol is that of `kubectl exec`: a WebSocket whose messages begin with the number of a channel
(https://kubernetes.io/docs/reference/kubernetes-api, `pods/exec`). What is given goes over the channel of the standard input
and stands in no argument, so in no audit log and in no list of processes.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from stateward.kube.errors import ClusterError, UnreachableError, first_line

LARGEST: Final = 1 << 20
"""Bytes of an answer."""
_INPUT, _OUTPUT, _ERRORS, _STATUS, _CLOSE = b"\x00", 1, 2, 3, b"\xff\x00"
_NEWEST: Final = "v5.channel.k8s.io"
"""It can close the standard input; API servers before 1.30 speak only the one before it."""
_PIECE: Final = 32768


@dataclass(frozen=True, slots=True)
class Ran:
    """How a command ended. What it wrote has no place in a log: nobody knows what is in it."""

    code: int
    output: str
    errors: str


def execute(
    host: str,
    path: str,
    query: Sequence[tuple[str, str]],
    configuration: Any,
    headers: Mapping[str, str],
    given: str,
    seconds: float,
) -> Ran:
    """Runs it. Raises ClusterError where it was refused, UnreachableError where nobody knows whether it ran to its end."""
    from websocket import WebSocketBadStatusException, WebSocketException, create_connection

    until = time.monotonic() + seconds
    url = f"{host.replace('http', 'ws', 1)}{path}?{urlencode(query)}"
    try:
        opened = create_connection(
            url,
            timeout=min(5.0, seconds),
            sslopt=_secured(configuration),
            header=dict(headers),
            subprotocols=[_NEWEST, "v4.channel.k8s.io"],
            enable_multithread=False,
            http_no_proxy=None if configuration.proxy else ["*"],
        )
    except WebSocketBadStatusException as error:
        raise ClusterError(error.status_code, "Refused", f"exec {path}: {error.status_code}: {_said(error)}") from None
    except (WebSocketException, OSError) as error:
        raise UnreachableError(f"exec {path}: no answer ({type(error).__name__}: {first_line(error)})") from None
    try:
        return _run(opened, path, given.encode(), until)
    except (WebSocketException, OSError) as error:
        raise UnreachableError(f"exec {path}: it did not come to its end ({type(error).__name__})") from None
    finally:
        opened.close(timeout=1)


def _run(opened: Any, path: str, given: bytes, until: float) -> Ran:
    for at in range(0, len(given), _PIECE):
        opened.send_binary(_INPUT + given[at : at + _PIECE])
    if opened.subprotocol == _NEWEST:
        opened.send_binary(_CLOSE)
    found: dict[int, bytearray] = {_OUTPUT: bytearray(), _ERRORS: bytearray(), _STATUS: bytearray()}
    while True:
        left = until - time.monotonic()
        if left <= 0 or sum(map(len, found.values())) > LARGEST:
            raise UnreachableError(f"exec {path}: it did not come to its end in time")
        opened.settimeout(left)
        message = opened.recv()
        if not message:
            break
        raw = message.encode() if isinstance(message, str) else message
        found.get(raw[0], bytearray()).extend(raw[1:])
        if raw[0] == _STATUS:
            break
    if not found[_STATUS]:
        raise UnreachableError(f"exec {path}: the connection ended before the command did")
    output, errors = (bytes(found[one]).decode("utf-8", "replace") for one in (_OUTPUT, _ERRORS))
    return Ran(_code(path, bytes(found[_STATUS])), output, errors)


def _code(path: str, raw: bytes) -> int:
    try:
        status = orjson.loads(raw)
    except orjson.JSONDecodeError:
        status = {}
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    code = next((str(one.get("message")) for one in causes if one.get("reason") == "ExitCode"), "")
    if code.isdecimal():
        return int(code)
    raise ClusterError(0, str(status.get("reason") or "Failed"), f"exec {path}: {status.get('message') or 'it did not run'}")


def _secured(configuration: Any) -> dict[str, Any]:
    wanted: dict[str, Any] = {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    if configuration.verify_ssl:
        wanted = {"cert_reqs": ssl.CERT_REQUIRED}
        if configuration.ssl_ca_cert:
            wanted["ca_certs"] = configuration.ssl_ca_cert
        if configuration.assert_hostname is not None:
            wanted["check_hostname"] = configuration.assert_hostname
    names = {"cert_file": "certfile", "key_file": "keyfile", "tls_server_name": "server_hostname"}
    return wanted | {theirs: value for ours, theirs in names.items() if (value := getattr(configuration, ours, None))}


def _said(error: Any) -> str:
    """Why the API server refuses, in its own words."""
    try:
        return str(orjson.loads(error.resp_body)["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "no explanation"
