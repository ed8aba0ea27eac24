"""How much of a bare server's throughput the door keeps: `python benchmarks/door.py`.

Two servers with the same settings (uvicorn, uvloop, httptools, keep-alive, no TLS) take turns: the door, and an ASGI
application that only parses the same body with orjson and answers a fixed review. Each has a processor of its own where
there are two, the client the other. The client sends on 16 connections at once and then reads all answers, so that the
server always has work; every answer is checked.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from multiprocessing.connection import Connection
from typing import Any

import orjson
from engine import view
from review import update

CONNECTIONS = 16
REQUESTS = 2_000
ROUNDS = 9

Message = MutableMapping[str, Any]
FIXED = orjson.dumps(
    {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": "x", "allowed": True}}
)


async def echo(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The bare application."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    orjson.loads(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(FIXED))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": FIXED})


def serve(what: str, ready: Connection) -> None:
    """One server, in a process of its own."""
    import uvicorn

    from stateward.policies.policy import DEFAULT
    from stateward.webhook.app import build

    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {0})
    app: Any = echo if what == "echo" else build(view(), DEFAULT)
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app, interface="asgi3", loop="uvloop", http="httptools", ws="none", lifespan="off", proxy_headers=False,
        access_log=False, log_level="error",
    )  # fmt: skip
    ready.send(listening.getsockname()[1])
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listening])


def round_of(port: int, request: bytes) -> float:
    """Requests per second of one round."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CONNECTIONS)]
    for connection in sockets:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    start = time.perf_counter()
    done = 0
    while done < REQUESTS:
        for connection in sockets:
            connection.sendall(request)
        for connection in sockets:
            answer = connection.recv(65536)
            while not answer.endswith(b"}") and len(answer) < 65536:
                answer += connection.recv(65536)
            if b"200 OK" not in answer[:20] or b'"allowed":true' not in answer:
                sys.exit(f"a wrong answer: {answer[:300]!r}")
        done += CONNECTIONS
    took = time.perf_counter() - start
    for connection in sockets:
        connection.close()
    return done / took


def main() -> None:
    """Prints the throughput of both and the ratio, round by round in turn."""
    body = update()
    head = "\r\n".join(
        [
            "POST /validate?timeout=10s HTTP/1.1",
            "Host: door",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "\r\n",
        ]
    )
    request = head.encode() + body
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    context = multiprocessing.get_context("spawn")
    ports: dict[str, int] = {}
    servers = []
    for what in ("door", "echo"):
        here, there = context.Pipe()
        process = context.Process(target=serve, args=(what, there), daemon=True)
        process.start()
        servers.append(process)
        ports[what] = here.recv()
    rates: dict[str, list[float]] = {"door": [], "echo": []}
    for turn in range(ROUNDS + 1):
        for what in ("door", "echo"):
            rate = round_of(ports[what], request)
            if turn:  # the first round warms up
                rates[what].append(rate)
    for process in servers:
        process.terminate()
    ratios = [door / bare for door, bare in zip(rates["door"], rates["echo"], strict=True)]
    print(f"one review of {len(body) / 1024:.1f} KB, {ROUNDS} rounds of {REQUESTS} in turn")
    for what in ("door", "echo"):
        print(f"{what:<6} {statistics.median(rates[what]):8.0f} requests/s (median)")
    low, middle, high = (100 * figure(ratios) for figure in (min, statistics.median, max))
    print(f"door/echo {middle:.1f} % (median), {low:.1f} to {high:.1f} %")


if __name__ == "__main__":
    main()
