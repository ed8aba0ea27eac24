"""Kubernetes Events on objects whose edits are refused: from a queue, by a thread, aggregated and limited.

core/v1 Events: `kubectl describe` and every console show them with how often and since when (`count`,
`firstTimestamp`), and one RBAC rule does for these and for those on Stateward's own Deployment. events.k8s.io/v1 keeps
the same objects, but takes no change of what was said once.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.policies.view import Object, metadata_of, text_of

REPORTER: Final = "stateward.dev/door"
WAITING: Final = 1_000
KNOWN: Final = 500
"""Things that are being counted up; the one that was heard of longest ago goes first."""
AGAIN: Final = 60.0
"""Seconds between two writes of the same Event: what comes meanwhile is counted up in one."""
BURST: Final = 25
RATE: Final = 2.0
"""Events a second, once the burst is used up."""
_LONGEST: Final = 1024
"""Bytes of a message that the API server takes (k8s.io/kubernetes, pkg/apis/core/validation/events.go)."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_SECONDS: Final = 5.0
_PAUSE: Final = (1.0, 120.0)
_LAST: Final = 1.0

_log = logging.getLogger("stateward.webhook")


@dataclass(frozen=True, slots=True)
class About:
    """The object that an Event is on."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str = ""

    @classmethod
    def of(cls, item: Object, namespace: str = "") -> About:
        """Of an object; `namespace` where it does not say it itself."""
        metadata = metadata_of(item)
        return cls(
            text_of(item, "apiVersion"),
            text_of(item, "kind"),
            text_of(metadata, "namespace") or namespace,
            text_of(metadata, "name"),
            text_of(metadata, "uid"),
        )


@dataclass(frozen=True, slots=True)
class Happening:
    """What is to be told. The same about the same object, with the same `what`, is one Event that counts up."""

    about: About
    what: str
    """A rule's id."""
    reason: str
    """One word in CamelCase."""
    message: str
    at: float
    """Seconds since the epoch."""
    normal: bool = False
    """Nothing that anybody has to look after."""


@dataclass(slots=True)
class _Series:
    latest: Happening
    first: float
    count: int = 0
    told: int = 0
    """The count that was written last."""
    name: str = ""
    """Of the Event; "" before the first one."""
    due: float = 0.0
    """When it may be written again, by the monotonic clock."""


@dataclass(slots=True)
class _Bucket:
    clock: Callable[[], float]
    burst: float
    rate: float
    level: float = field(init=False)
    since: float = field(init=False)

    def __post_init__(self) -> None:
        self.level = self.burst
        self.since = self.clock()

    def take(self) -> bool:
        """Whether one more may be written now."""
        now = self.clock()
        self.level = min(self.burst, self.level + (now - self.since) * self.rate)
        self.since = now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Events:
    """Writes Events until `stop`. `tell` never waits: what is too much is dropped, and counted in `dropped`."""

    def __init__(
        self,
        cluster: Cluster,
        instance: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        waiting: int = WAITING,
        known: int = KNOWN,
        again: float = AGAIN,
        burst: float = BURST,
        rate: float = RATE,
        reporter: str = REPORTER,
    ) -> None:
        self._cluster = cluster
        self._reporter = reporter
        self._instance = instance[:128]
        self._clock = clock
        self._known = known
        self._again = again
        self._bucket = _Bucket(clock, burst, rate)
        self._queue: queue.Queue[Happening | None] = queue.Queue(waiting)
        self._series: OrderedDict[tuple[About, str, str], _Series] = OrderedDict()
        self._pause = 0.0
        self._paused_until = 0.0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self.written = 0
        self.dropped: dict[str, int] = {}
        """Reason → happenings that were never told: full (the queue), many (different ones), refused (by the API server)."""

    def start(self) -> Events:
        """Writes from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Writes what can be written in a second, and ends."""
        self._stopping = True
        with suppress(queue.Full):
            self._queue.put_nowait(None)
        if self._thread.is_alive():
            self._thread.join(_LAST + _SECONDS)

    def __enter__(self) -> Events:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def tell(self, happening: Happening) -> None:
        """Takes one; returns at once, from any thread."""
        try:
            self._queue.put_nowait(happening)
        except queue.Full:
            self._drop("full", 1)

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._gather(1.0)
                self._write(self._clock() + _SECONDS)
            except Exception as error:  # noqa: BLE001,RUF100 - events are not worth a thread's life
                _log.warning("events: %s: %s", type(error).__name__, error)
        self._gather(0.0)
        for series in self._series.values():
            series.due = 0.0
        self._write(self._clock() + _LAST)

    def _gather(self, timeout: float) -> None:
        """Counts up what has come; waits `timeout` seconds at most for the first."""
        try:
            happening = self._queue.get(timeout=timeout) if timeout else self._queue.get_nowait()
            while True:
                if happening is not None:
                    self._add(happening)
                happening = self._queue.get_nowait()
        except queue.Empty:
            pass

    def _add(self, happening: Happening) -> None:
        key = (happening.about, happening.what, happening.reason)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(happening, happening.at)
            if len(self._series) > self._known:
                _, old = self._series.popitem(last=False)
                self._drop("many", old.count - old.told)
        series.latest = happening
        series.count += 1
        self._series.move_to_end(key)

    def _write(self, until: float) -> None:
        """Writes what is due, as far as the limit allows."""
        now = self._clock()
        if now < self._paused_until:
            return
        for key, series in list(self._series.items()):
            if series.count == series.told or now < series.due:
                continue
            if self._clock() > until or not self._bucket.take():
                return
            try:
                self._send(series)
            except ClusterError as error:
                if error.status == 0 or error.status == 429 or error.status >= 500:
                    self._pause = min(max(self._pause * 2, _PAUSE[0], error.retry_after), _PAUSE[1])
                    self._paused_until = self._clock() + self._pause
                    return
                # A namespace that goes, a right that is missing: asking again helps nobody.
                self._drop("refused", series.count - series.told)
                series.told = series.count
                series.due = self._clock() + self._again
                _log.warning("event not written: %s", error)
            else:
                self._pause = 0.0
                self.written += 1
                if key not in self._series:
                    continue
                series.told = series.count
                series.due = self._clock() + self._again

    def _send(self, series: _Series) -> None:
        about = series.latest.about
        events = path_of("api", "v1", "namespaces", about.namespace or "default", "events")
        if series.name:
            try:
                patch = {
                    "count": series.count,
                    "lastTimestamp": _time(series.latest.at),
                    "message": _cut(series.latest.message),
                }
                self._call("PATCH", f"{events}{path_of(series.name)}", patch, content_type="application/merge-patch+json")
            except ClusterError as error:
                if error.status != 404:
                    raise
                # Its time was up (an hour): a new one, which counts what has come since.
                series.name, series.count, series.first = "", series.count - series.told, series.latest.at
                series.told = 0
            else:
                return
        name = f"{about.name[:200] if _NAME.fullmatch(about.name[:200]) else 'stateward'}.{uuid.uuid4().hex[:16]}"
        self._call("POST", events, self._event(series, name))
        series.name = name

    def _call(self, method: str, path: str, body: Any, **more: Any) -> None:
        self._cluster.call(method, path, {"fieldManager": "stateward"}, body=body, read_seconds=_SECONDS, **more)

    def _event(self, series: _Series, name: str) -> dict[str, Any]:
        return event(series.latest, name, series.first, series.count, reporter=self._reporter, instance=self._instance)

    def _drop(self, reason: str, count: int) -> None:
        if count > 0:
            self.dropped[reason] = self.dropped.get(reason, 0) + count


def event(
    latest: Happening, name: str, first: float, count: int = 1, *, reporter: str = REPORTER, instance: str
) -> dict[str, Any]:
    """The Event that says it: `count` times since `first` (seconds since the epoch)."""
    about = latest.about
    regarding = {"apiVersion": about.api_version, "kind": about.kind, "name": about.name}
    if about.namespace:
        regarding["namespace"] = about.namespace
    if about.uid:
        regarding["uid"] = about.uid
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about.namespace or "default"},
        "involvedObject": regarding,
        "type": "Normal" if latest.normal else "Warning",
        "reason": latest.reason,
        "message": _cut(latest.message),
        "count": count,
        "firstTimestamp": _time(first),
        "lastTimestamp": _time(latest.at),
        "source": {"component": "stateward"},
        "reportingComponent": reporter,
        "reportingInstance": instance,
    }


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cut(message: str) -> str:
    raw = message.encode("utf-8", "replace")
    return message if len(raw) <= _LONGEST else f"{raw[: _LONGEST - 3].decode('utf-8', 'ignore')}…"
