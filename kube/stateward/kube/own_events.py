"""Events on Stateward's own Deployment: what a person should hear of an installation (`kubectl describe`)."""

from __future__ import annotations

import logging
import uuid
from datetime import UTC, datetime
from typing import Any, Final

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError

_LONGEST: Final = 1000
"""Characters of a message: the API server takes 1024 (k8s.io/api, core/v1 Event)."""
_log = logging.getLogger("stateward.webhook")


class OwnEvents:
    """Writes them. One that cannot be written is in the log all the same."""

    def __init__(self, cluster: Cluster, namespace: str, deployment: str, instance: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._deployment = deployment
        self._instance = instance

    def __call__(self, reason: str, message: str, warning: bool) -> None:
        """`reason` is one word in CamelCase."""
        _log.log(logging.WARNING if warning else logging.INFO, "%s: %s", reason, message)
        try:
            self._cluster.create(
                path_of("api", "v1", "namespaces", self._namespace, "events"), self._event(reason, message, warning)
            )
        except ClusterError as error:
            _log.warning("no event written: %s", error)

    def _event(self, reason: str, message: str, warning: bool) -> dict[str, Any]:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{self._deployment}.{uuid.uuid4().hex[:16]}", "namespace": self._namespace},
            "involvedObject": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": self._deployment,
                "namespace": self._namespace,
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message if len(message) <= _LONGEST else f"{message[: _LONGEST - 1]}…",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": "stateward"},
            "reportingComponent": "stateward.dev/door",
            "reportingInstance": self._instance,
        }
