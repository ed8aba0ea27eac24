"""What can go wrong between Python and the API server."""

from __future__ import annotations

from typing import Any

import orjson

_HINTS = {
    401: "renew the credentials of this kubeconfig user or service account",
    403: "grant the account this verb on this resource, or use another account (--context)",
    429: "the API server sheds load; ask again in a moment",
}

_DENIED = "denied the request"
"""How the API server says that a webhook or a ValidatingAdmissionPolicy refuses."""


class ClusterError(Exception):
    """The API server refused or failed, or could not be asked.

    `status` is the HTTP status, 0 where there was no answer; `reason` is the API server's word for it (`Forbidden`,
    `Expired`, `NotFound`) or ours (`Unreachable`, `Broken`, `Config`); `message` names what was asked, why it failed
    and what can be done. `retry_after` is what the server asked us to wait, in seconds.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after: float = 0.0) -> None:
        super().__init__(status, reason, message, retry_after)  # all of them, so that the error survives pickling
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after

    def __str__(self) -> str:
        return self.message

    @property
    def expired(self) -> bool:
        """Whether the resourceVersion or the continue token is too old: only a new list helps."""
        return self.status == 410 or self.reason in ("Expired", "Gone")


class ConfigError(ClusterError):
    """A kubeconfig, a context or a service account cannot be used; the API server was not asked."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Config", message)
        self.args = (message,)


class UnreachableError(ClusterError):
    """The API server did not answer: refused, timed out, not trusted, or the connection broke."""

    def __init__(self, message: str) -> None:
        super().__init__(0, "Unreachable", message)
        self.args = (message,)


def from_answer(what: str, status: int, body: bytes, retry_after: str | None = None) -> ClusterError:
    """The error of an answer that is no success. `what`: `GET /api/v1/pods`."""
    reason, message = _status_of(body)
    # Who is refused by a webhook or a policy has the right, and is told the reason.
    hint = f"; {_HINTS[status]}" if status in _HINTS and _DENIED not in message else ""
    wait = float(retry_after) if retry_after and retry_after.isdecimal() and len(retry_after) < 5 else 0.0
    return ClusterError(status, reason, f"{what}: {status} {reason or 'error'}: {message}{hint}", wait)


def from_status(what: str, status: Any) -> ClusterError:
    """The error of a `Status` object inside a watch stream (an event of type ERROR)."""
    found = status if type(status) is dict else {}
    code = found.get("code")
    reason, message = _status_of(orjson.dumps(found))
    return ClusterError(code if type(code) is int else 0, reason, f"{what}: ERROR event: {reason}: {message}")


def first_line(error: BaseException) -> str:
    """What an error says, in one line of at most 300 characters."""
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def _status_of(body: bytes) -> tuple[str, str]:
    """Reason and message of a `Status` object; of anything else (a proxy's page) its first line."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if type(found) is not dict:
        return "", body[:200].decode("utf-8", "replace").strip().partition("\n")[0] or "no explanation"
    reason, message = found.get("reason"), found.get("message")
    return (
        reason if isinstance(reason, str) else "",
        message[:500] if isinstance(message, str) and message else "no explanation",
    )
