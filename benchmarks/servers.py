"""The processes that the benchmarks measure: the door as it is installed, and an echo; each on a processor of its own."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from load import Target

HERE = Path(__file__).parent
SERVER, CLIENT = 0, 1
"""The processors."""

Message = MutableMapping[str, Any]


def pin(processor: int) -> None:
    """Has the process run on one processor, where there are two."""
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {processor})


async def echo(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """The bare application: parses the body, answers that all is well."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    uid = orjson.loads(body)["request"]["uid"]
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": {"uid": uid, "allowed": True}}
    answer = orjson.dumps(review)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(answer))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def serve_echo(folder: Path) -> None:
    """The echo, with uvicorn's settings and the certificate of the door, until it is ended."""
    import uvicorn

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    config = uvicorn.Config(
        echo, interface="asgi3", loop="uvloop", http="httptools", ws="none", lifespan="off", proxy_headers=False,
        access_log=False, log_level="error", server_header=False, timeout_keep_alive=120,
        ssl_context_factory=lambda _config, _default: context,
    )  # fmt: skip
    import socket

    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listening])


@contextmanager
def process(*command: str, processor: int = SERVER) -> Iterator[subprocess.Popen[str]]:
    """A process while this holds."""
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=lambda: pin(processor)
    )
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def said(running: subprocess.Popen[str], pattern: str) -> str:
    """What a process says first that is like this."""
    assert running.stdout is not None
    for line in running.stdout:
        if found := re.search(pattern, line):
            return found[1]
    sys.exit(f"{running.args}: it ended and did not say {pattern}")


def door_command(kubeconfig: Path, certs: Path) -> list[str]:
    """The command that starts the door."""
    start = "from stateward.cli.main import main; main()"
    return [sys.executable, "-c", start, "serve", "--port", "0", "--certs", str(certs), "--kubeconfig", str(kubeconfig)]


@contextmanager
def door(kubeconfig: Path, certs: Path) -> Iterator[Target]:
    """The door, once it is ready."""
    with process(*door_command(kubeconfig, certs)) as running:
        target = Target(int(said(running, r"answers at https://127\.0\.0\.1:(\d+)/")), certs / "ca.crt", running.pid)
        until = time.monotonic() + 120
        while not ready(target):
            if time.monotonic() > until:
                sys.exit("the door is not ready after two minutes")
            time.sleep(0.05)
        yield target


@contextmanager
def echoing(certs: Path) -> Iterator[Target]:
    """The echo, once it listens."""
    with process(sys.executable, str(HERE / "servers.py"), str(certs)) as running:
        yield Target(int(said(running, r"^(\d+)$")), certs / "ca.crt", running.pid)


def ready(target: Target) -> bool:
    """Whether the door says so."""
    context = ssl.create_default_context(cafile=str(target.authority))
    try:
        with urllib.request.urlopen(f"https://localhost:{target.port}/readyz", timeout=5, context=context):
            return True
    except OSError:
        return False


def resident(pid: int) -> float:
    """Megabytes of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@contextmanager
def api_server(pods: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """A stand-in for an API server with so many pods: its URL and a kubeconfig."""
    kubeconfig = folder / f"kubeconfig-{pods}"
    with process(sys.executable, str(HERE / "apiserver.py"), str(pods), str(kubeconfig), processor=CLIENT) as running:
        yield said(running, r"^(http://.*)$"), kubeconfig


if __name__ == "__main__":
    serve_echo(Path(sys.argv[1]))
