"""Who a token is, and what that account may do: asked of the API server (TokenReview, SubjectAccessReview)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.policies.view import mapping_of, text_of, texts_of

_TOKEN_REVIEWS: Final = "/apis/authentication.k8s.io/v1/tokenreviews"  # noqa: S105 - a path
_ACCESS_REVIEWS: Final = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
_SECONDS: Final = 4.0
"""For an answer. Somebody waits."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who a token belongs to."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Reviews:
    """Asks the API server; calls block. Needs `create` on both kinds: the ClusterRole `system:auth-delegator`.

    `audiences`: a token must be for one of these; without any, for the API server itself.
    """

    def __init__(self, cluster: Cluster, audiences: Sequence[str] = ()) -> None:
        self._cluster = cluster
        self._audiences = tuple(audiences)

    def account(self, token: str) -> Account | None:
        """Whose token it is; None where it is nobody's. Raises ClusterError where that cannot be asked."""
        spec: dict[str, Any] = {"token": token}
        if self._audiences:
            spec["audiences"] = list(self._audiences)
        status = self._ask(_TOKEN_REVIEWS, "TokenReview", "authentication.k8s.io/v1", spec)
        if status.get("authenticated") is not True:
            return None
        # An authenticator that knows no audiences says none: its yes is for the API server alone.
        if self._audiences and not set(self._audiences) & set(texts_of(status, "audiences")):
            return None
        user = mapping_of(status, "user")
        name = text_of(user, "username")
        extra = {key: texts_of(mapping_of(user, "extra"), key) for key in mapping_of(user, "extra")}
        return Account(name, text_of(user, "uid"), tuple(texts_of(user, "groups")), extra) if name else None

    def allowed(self, account: Account, verb: str, path: str) -> bool:
        """Whether RBAC grants this verb (`get`, `post`) on this path (`nonResourceURLs`). Raises ClusterError."""
        spec = {
            "user": account.name,
            "uid": account.uid,
            "groups": list(account.groups),
            "extra": dict(account.extra),
            "nonResourceAttributes": {"path": path, "verb": verb},
        }
        status = self._ask(_ACCESS_REVIEWS, "SubjectAccessReview", "authorization.k8s.io/v1", spec)
        return status.get("allowed") is True and status.get("denied") is not True

    def _ask(self, path: str, kind: str, version: str, spec: Mapping[str, Any]) -> Mapping[str, Any]:
        body = {"apiVersion": version, "kind": kind, "spec": spec}
        status = self._cluster.call("POST", path, body=body, read_seconds=_SECONDS).get("status")
        if type(status) is not dict:
            raise ClusterError(
                0, "Broken", f"POST {path}: the answer has no status; see what answers at {self._cluster.host}"
            )
        return status
