"""Events on Stateward's own Deployment: what a person should hear of an installation (`kubectl describe`)."""

from __future__ import annotations

import logging
import time
import uuid

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.kube.events import About, Happening, event

_log = logging.getLogger("stateward.webhook")


class OwnEvents:
    """Writes them, each at once: they are few. One that cannot be written is in the log all the same."""

    def __init__(self, cluster: Cluster, namespace: str, deployment: str, instance: str) -> None:
        self._cluster = cluster
        self._about = About("apps/v1", "Deployment", namespace, deployment)
        self._instance = instance

    def __call__(self, reason: str, message: str, warning: bool) -> None:
        """`reason` is one word in CamelCase."""
        _log.log(logging.WARNING if warning else logging.INFO, "%s: %s", reason, message)
        now = time.time()
        happening = Happening(self._about, reason, reason, message, now, normal=not warning)
        written = event(happening, f"{self._about.name}.{uuid.uuid4().hex[:16]}", now, instance=self._instance)
        try:
            self._cluster.create(path_of("api", "v1", "namespaces", self._about.namespace, "events"), written)
        except ClusterError as error:
            _log.warning("no event written: %s", error)
