"""The load that the benchmarks put on a server: as much as it takes, or so much a second. TLS, keep-alive."""

from __future__ import annotations

import itertools
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

CONNECTIONS = 16


class Target(NamedTuple):
    """A server that is measured."""

    port: int
    authority: Path
    pid: int


def request(body: bytes) -> bytes:
    """The bytes of a call as an API server makes it."""
    head = (
        "POST /validate?timeout=10s HTTP/1.1",
        "Host: door",
        "User-Agent: kube-apiserver-admission",
        "Accept: application/json, */*",
        "Accept-Encoding: gzip",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "\r\n",
    )
    return "\r\n".join(head).encode() + body


def connect(target: Target) -> ssl.SSLSocket:
    """A connection over TLS."""
    plain = socket.create_connection(("127.0.0.1", target.port), timeout=30)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return ssl.create_default_context(cafile=str(target.authority)).wrap_socket(plain, server_hostname="localhost")


def receive(connection: ssl.SSLSocket, expected: bytes = b'"allowed":true') -> None:
    """An answer, checked; ends the program at a wrong one."""
    answer = connection.recv(65536)
    while not answer.endswith(b"}"):
        more = connection.recv(65536)
        if not more:
            sys.exit(f"the connection was closed after {answer[:300]!r}")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200") or expected not in answer:
        sys.exit(f"a wrong answer: {answer[:600]!r}")


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far, all its threads, to a nanosecond."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


class Throughput(NamedTuple):
    """What a server did when it always had work."""

    rate: float
    """Requests a second."""
    cpu: float
    """Microseconds of processor time a request."""


def burst(target: Target, call: bytes, requests: int) -> Throughput:
    """The client sends on all connections at once and then reads all answers, so that the server always has work."""
    connections = [connect(target) for _ in range(CONNECTIONS)]
    for _ in range(2):  # the first round warms up
        began, spent, done = time.perf_counter(), cpu_seconds(target.pid), 0
        while done < requests:
            for connection in connections:
                connection.sendall(call)
            for connection in connections:
                receive(connection)
            done += CONNECTIONS
            if done == CONNECTIONS * 4 and _ == 0:
                break
    took, spent = time.perf_counter() - began, cpu_seconds(target.pid) - spent
    for connection in connections:
        connection.close()
    return Throughput(done / took, spent / done * 1e6)


class Arrivals:
    """Calls at a fixed rate, whether or not the answers come: threads take the next one each, at its time.

    A latency counts from when the call was due, so that a server that stands still is not asked less for it.
    """

    def __init__(self, target: Target, call: bytes, rate: float) -> None:
        self._target = target
        self._call = call
        self._rate = rate
        self._ended = threading.Event()
        self._numbers = itertools.count()
        self._began = 0.0
        self.seconds: list[tuple[float, float]] = []
        """(when it was due, how long it took) of each call, in seconds."""
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CONNECTIONS)]

    def __enter__(self) -> Arrivals:
        self._began = time.perf_counter() + 0.3
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        connection = connect(self._target)
        while not self._ended.is_set():
            due = self._began + next(self._numbers) / self._rate
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            connection.sendall(self._call)
            receive(connection)
            self.seconds.append((due, time.perf_counter() - due))
        connection.close()


def percentile(values: list[float], share: float) -> float:
    """The value that so many (0.99) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
