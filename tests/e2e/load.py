"""A steady load of creations at the API server, as many a second as asked, and what became of each."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError

THREADS = 16


def service(name: str, namespace: str) -> dict[str, Any]:
    """A StatefulSet that the door has to judge whole, and lets pass."""
    labels = {"app": name}
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }
    container = {
        "name": "main",
        "image": "postgres:16.4",
        "volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql/data"}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            "volumeClaimTemplates": [claim],
        },
    }


@dataclass
class Outcome:
    """What became of the calls so far. Seconds are from when a call was due to when it was answered."""

    sent: int = 0
    seconds: list[float] = field(default_factory=list)
    failures: list[tuple[float, str]] = field(default_factory=list)
    """(seconds since the start, why)."""

    @property
    def reasons(self) -> Counter[str]:
        """Failures by what they say, shortened."""
        return Counter(text[:160] for _, text in self.failures)

    def quantile(self, share: float) -> float:
        """Milliseconds."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else 0.0

    def __str__(self) -> str:
        worst = "; ".join(f"{count} x {text}" for text, count in self.reasons.most_common(3))
        return (
            f"{self.sent} calls, {len(self.failures)} failed, p50 {self.quantile(0.5):.1f} ms, "
            f"p99 {self.quantile(0.99):.1f} ms, longest {self.quantile(1):.0f} ms{': ' if worst else ''}{worst}"
        )


class Load:
    """Creations (dry run: everything but the writing) at a fixed rate, late or not, while this holds.

    A call that is refused by the door has not failed; one that the API server could not put through the door has.
    """

    def __init__(self, cluster: Cluster, namespace: str, rate: float = 50.0) -> None:
        self.outcome = Outcome()
        self._cluster = cluster
        self._namespace = namespace
        self._rate = rate
        self._next = 0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._started = 0.0
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(THREADS)]

    def __enter__(self) -> Load:
        self._started = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        path = f"/apis/apps/v1/namespaces/{self._namespace}/statefulsets"
        while not self._ended.is_set():
            with self._lock:
                number = self._next
                self._next += 1
            due = self._started + number / self._rate
            if self._ended.wait(max(0.0, due - time.monotonic())):
                return
            problem = ""
            try:
                self._cluster.call("POST", path, {"dryRun": "All"}, body=service(f"load-{number}", self._namespace))
            except ClusterError as error:
                if "Stateward refuses" not in str(error):
                    problem = str(error)
            now = time.monotonic()
            with self._lock:
                self.outcome.sent += 1
                self.outcome.seconds.append(now - due)
                if problem:
                    self.outcome.failures.append((now - self._started, problem))
