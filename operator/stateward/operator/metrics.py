"""What the operator counts, and its page for Prometheus."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BUCKETS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30)
_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The counts of one process. `Gauge`s that are asked for are read at each scrape."""

    def __init__(self, leads: Callable[[], bool] = lambda: True) -> None:
        """`leads`: whether this process looks after services; one that does not says nothing of them."""
        self._leads = leads
        self.registry = CollectorRegistry()
        self.reconciles = Histogram(
            "stateward_reconcile_seconds", "How long a look at a service took.", buckets=_BUCKETS, registry=self.registry
        )
        self.errors = Counter(
            "stateward_reconcile_errors", "Looks at a service that failed, by reason.", ["reason"], registry=self.registry
        )
        self.writes = Counter(
            "stateward_writes", "Objects written, by kind and change.", ["kind", "change"], registry=self.registry
        )
        self.members = Gauge(
            "stateward_members", "Members of a service, by state.", ["namespace", "service", "state"], registry=self.registry
        )
        self.blocked = Gauge(
            "stateward_operation_blocked",
            "1 where an operation cannot go on by itself.",
            ["namespace", "service", "reason"],
            registry=self.registry,
        )
        self.spare = Gauge(
            "stateward_quorum_spare",
            "Members that may go before a majority is lost; below 0 it is lost.",
            ["namespace", "service"],
            registry=self.registry,
        )
        self.began = Gauge(
            "stateward_operation_start_timestamp_seconds",
            "When the operation that goes on was begun, since the epoch.",
            ["namespace", "service", "operation"],
            registry=self.registry,
        )
        self.expiries = Gauge(
            "stateward_service_certificate_expiry_timestamp_seconds",
            "When a certificate of a service ends, since the epoch.",
            ["namespace", "service", "certificate"],
            registry=self.registry,
        )
        of = ["namespace", "service"]
        self.backup_time = Gauge(
            "stateward_backup_last_success_timestamp_seconds",
            "When the last backup was complete.",
            of,
            registry=self.registry,
        )
        self.backup_size = Gauge(
            "stateward_backup_last_size_bytes", "What the last backup takes up as stored.", of, registry=self.registry
        )
        self.backup_good = Gauge(
            "stateward_backup_succeeded", "1 where the last backup was complete and read back.", of, registry=self.registry
        )
        self.archive_behind = Gauge(
            "stateward_archive_behind_seconds", "How long the oldest file of the log waits.", of, registry=self.registry
        )
        self.archive_waiting = Gauge(
            "stateward_archive_waiting_files", "Complete files of the log that wait.", of, registry=self.registry
        )
        self.archive_good = Gauge(
            "stateward_archive_succeeded", "1 where the log gets to its archive in time.", of, registry=self.registry
        )
        self.drill_time = Gauge(
            "stateward_drill_last_timestamp_seconds", "When the last restore on trial ended.", of, registry=self.registry
        )
        self.drill_good = Gauge(
            "stateward_drill_succeeded", "1 where the last restore on trial had all the data.", of, registry=self.registry
        )
        self.drill_rto = Gauge(
            "stateward_drill_recovery_seconds", "How long the last restore on trial took.", of, registry=self.registry
        )
        self._blocked: dict[tuple[str, str], str] = {}
        self._doing: dict[tuple[str, str], str] = {}
        self._certified: dict[tuple[str, str], frozenset[str]] = {}
        self._lock = threading.Lock()

    def ask(self, name: str, what: str, value: Callable[[], float]) -> None:
        """One more gauge, read at each scrape."""
        Gauge(name, what, registry=self.registry).set_function(value)

    def seen(self, key: tuple[str, str], states: Iterable[tuple[str, int]], blocked: str) -> None:
        """How a service was found."""
        for state, count in states:
            self.members.labels(*key, state).set(count)
        with self._lock:
            before = self._blocked.pop(key, "")
            if before and before != blocked:
                self.blocked.remove(*key, before)
            if blocked:
                self._blocked[key] = blocked
                self.blocked.labels(*key, blocked).set(1)

    def spared(self, key: tuple[str, str], members: int) -> None:
        """How many members may go before a majority is lost."""
        self.spare.labels(*key).set(members)

    def doing(self, key: tuple[str, str], operation: str, began: float) -> None:
        """What goes on, and since when (since the epoch); "" where nothing does."""
        with self._lock:
            before = self._doing.pop(key, "")
            if before and before != operation:
                self.began.remove(*key, before)
            if operation:
                self._doing[key] = operation
                self.began.labels(*key, operation).set(began)

    def certified(self, key: tuple[str, str], ends: Mapping[str, datetime]) -> None:
        """When each certificate of a service ends."""
        for name, moment in ends.items():
            self.expiries.labels(*key, name).set(moment.timestamp())
        with self._lock:
            gone = self._certified.get(key, frozenset()) - set(ends)
            self._certified[key] = frozenset(ends)
        for name in gone:
            with suppress(KeyError):
                self.expiries.remove(*key, name)

    def forget(self, key: tuple[str, str], states: Iterable[str]) -> None:
        """The service is gone: nothing is said of it any more."""
        self.seen(key, (), "")
        self.doing(key, "", 0.0)
        self.certified(key, {})
        for gauge in (self.spare, *self._of_backups()):
            with suppress(KeyError):
                gauge.remove(*key)
        for state in states:
            try:
                self.members.remove(*key, state)
            except KeyError:
                continue

    def page(self) -> bytes:
        """The exposition."""
        if not self._leads():
            self._silence()
        return generate_latest(self.registry)

    def _silence(self) -> None:
        """What was said of services while this process led is not so any more: another says it now."""
        with self._lock:
            for known in (self._blocked, self._doing, self._certified):
                known.clear()
            for gauge in vars(self).values():
                if isinstance(gauge, Gauge):
                    gauge.clear()

    def _of_backups(self) -> tuple[Gauge, ...]:
        return (
            self.backup_time,
            self.backup_size,
            self.backup_good,
            self.archive_behind,
            self.archive_waiting,
            self.archive_good,
            self.drill_time,
            self.drill_good,
            self.drill_rto,
        )


class Page:
    """Serves /metrics, /livez and /readyz on an address, until `stop`. Raises OSError where the port is taken."""

    def __init__(self, metrics: Metrics, host: str, port: int, live: Callable[[], str], ready: Callable[[], str]) -> None:
        """`live`, `ready`: "" where all is well, else why not."""

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 10

            def log_message(self, *_: object) -> None:
                """Probes come every few seconds; nobody wants to read of them."""

            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._send(200, metrics.page(), _TYPE)
                    return
                asked = {"/livez": live, "/readyz": ready}.get(self.path)
                if asked is None:
                    self._send(404, b"no such page: /metrics, /livez, /readyz\n")
                    return
                why = asked()
                self._send(503 if why else 200, f"{why or 'ok'}\n".encode())

            def _send(self, status: int, body: bytes, kind: str = "text/plain; charset=utf-8") -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server: Any = ThreadingHTTPServer((host, port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)

    def start(self) -> Page:
        """Answers from now on."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(2)
