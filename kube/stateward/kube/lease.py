"""Leader election by a Lease (coordination.k8s.io/v1): at most one replica writes at a time.

The rules are client-go's (tools/leaderelection): whoever holds the Lease writes `renewTime` into it; another takes it when
it has not seen it change for `leaseDurationSeconds`, by its own clock, for clocks of others may be wrong. Leadership
here ends by the clock as well, before any other replica may take the Lease, even while a request or this process hangs.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.policies.view import mapping_of, metadata_of, text_of

_API_VERSION: Final = "coordination.k8s.io/v1"
_CONNECT: Final = 5.0
"""Seconds that `Cluster` may take for a connection."""
_log = logging.getLogger("stateward.kube")


@dataclass(frozen=True, slots=True)
class Terms:
    """The times of an election, in seconds: client-go's defaults."""

    lease: float = 15.0
    """How long a Lease that nobody renews keeps others out. Whole seconds, as the API has it."""
    renew: float = 10.0
    """How long after a renewal was sent leadership lasts."""
    retry: float = 2.0
    """Between two attempts, and up to a fifth more."""
    request: float = 3.0
    """How long one answer may be silent, and take as a whole."""

    def __post_init__(self) -> None:
        if not self.request < self.renew < self.lease or self.lease != int(self.lease):
            raise ValueError(f"{self}: request < renew < lease is wanted, and lease in whole seconds")


def running_time() -> float:
    """Seconds since the machine started, those of a suspend too: nobody must wake up as leader."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Leader:
    """Takes part in the election over one Lease from `start` to `stop`, in a thread of its own.

    `identity` has to be different for each process: the pod's name and something random. `changed(leads)` is told of each
    change, by that thread; it must not wait.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        identity: str,
        *,
        terms: Terms | None = None,
        clock: Callable[[], float] = running_time,
        changed: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self.identity = identity
        self._cluster = cluster
        self._collection = path_of("apis", "coordination.k8s.io", "v1", "namespaces", namespace, "leases")
        self._path = f"{self._collection}{path_of(name)}"
        self._metadata = {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "stateward"}}
        self._terms = terms if terms is not None else Terms()
        self._clock = clock
        self._changed = changed
        self._until = float("-inf")
        self._seen: tuple[Mapping[str, Any], float] | None = None
        self._told = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def is_leader(self) -> bool:
        """Whether this process leads, at this instant. No I/O; from any thread."""
        return self._clock() < self._until and not self._stopping.is_set()

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen, "" if nobody or not known."""
        return text_of(self._seen[0], "holderIdentity") if self._seen is not None else ""

    def start(self) -> Leader:
        """Begins to take part."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Leads no more, and lets the Lease go where it is ours, so that another takes it at once."""
        # First no more leader, then the release: nobody may lead beside us.
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_CONNECT + 2 * self._terms.request)
        self._tell()
        if self._clock() < self._until and not self._thread.is_alive():
            try:
                self._release()
            except ClusterError as error:
                _log.warning("lease not released, another takes it in %.0f s: %s", self._terms.lease, error)

    def __enter__(self) -> Leader:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def attempt(self) -> bool:
        """Takes or renews the Lease if that may be; whether this process leads. Raises ClusterError."""
        began = self._clock()
        try:
            found = self._ask("GET", self._path)
        except ClusterError as error:
            if error.status != 404:
                raise
            item = {"apiVersion": _API_VERSION, "kind": "Lease", "metadata": self._metadata, "spec": self._spec({})}
            return self._write("POST", self._collection, item, began)
        spec = mapping_of(found, "spec")
        self._observe(spec)
        if not self._may_take(spec):
            # Whoever else holds it, we do not: a Lease that was taken from us ends our term at once.
            self._until = float("-inf")
            return False
        return self._write("PUT", self._path, {**found, "spec": self._spec(spec)}, began)

    def _observe(self, spec: Mapping[str, Any]) -> None:
        if self._seen is None or self._seen[0] != spec:
            self._seen = (spec, self._clock())

    def _may_take(self, spec: Mapping[str, Any]) -> bool:
        holder = text_of(spec, "holderIdentity")
        if holder in ("", self.identity):
            return True
        assert self._seen is not None  # noqa: S101 - _observe came first
        lasts = spec.get("leaseDurationSeconds")
        seconds = float(lasts) if type(lasts) is int and lasts > 0 else self._terms.lease
        return self._clock() >= self._seen[1] + seconds

    def _spec(self, before: Mapping[str, Any]) -> dict[str, Any]:
        now = _micro_time()
        ours = text_of(before, "holderIdentity") == self.identity
        changes = before.get("leaseTransitions")
        count = changes if type(changes) is int else 0
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(self._terms.lease),
            "acquireTime": before.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": count if ours or not before else count + 1,
        }

    def _write(self, method: str, path: str, item: Mapping[str, Any], began: float) -> bool:
        try:
            # A PUT carries the resourceVersion that was read: whoever comes second gets a conflict.
            written = self._ask(method, path, item)
        except ClusterError as error:
            if error.status == 409:
                self._until = float("-inf")
                return False
            raise
        self._observe(mapping_of(written, "spec"))
        # From when it was sent: others count from later, when they see it.
        self._until = began + self._terms.renew
        return self.is_leader()

    def _release(self) -> None:
        found = self._ask("GET", self._path)
        spec = mapping_of(found, "spec")
        if text_of(spec, "holderIdentity") != self.identity:
            return
        free = {**spec, "holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _micro_time()}
        self._ask("PUT", self._path, {**found, "spec": free})

    def _ask(self, method: str, path: str, item: Mapping[str, Any] | None = None) -> dict[str, Any]:
        with self._cluster.open(method, path, body=item, read_seconds=self._terms.request) as answer:
            found = answer.json(self._terms.request)
        if type(found) is not dict or not metadata_of(found):
            raise ClusterError(0, "Broken", f"{method} {path}: a Lease is wanted, got {type(found).__name__}")
        return found

    def _run(self) -> None:
        failing = False
        while not self._stopping.is_set():
            try:
                self.attempt()
                failing = False
            except ClusterError as error:
                if not failing:
                    _log.warning("lease %s cannot be had or renewed: %s", self._path, error)
                failing = True
            except Exception as error:  # noqa: BLE001,RUF100 - an election that ends in silence is worse than any fault
                _log.error("lease %s: %s", self._path, type(error).__name__)
            self._tell()
            self._stopping.wait(self._terms.retry * random.uniform(1.0, 1.2))  # noqa: S311 - spreads load, hides nothing

    def _tell(self) -> None:
        leads = self.is_leader()
        if leads != self._told:
            self._told = leads
            _log.info("leads=%s identity=%s", str(leads).lower(), self.identity)
            self._changed(leads)


def _micro_time() -> str:
    """Now as the API's MicroTime. For people: nobody decides by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
