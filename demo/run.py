"""What Stateward does, in under a minute: `make demo`."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import yaml

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent


def say(text: str) -> None:
    """A heading."""
    bold, off = ("\033[1m", "\033[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold}{text}{off}\n", flush=True)


def stateward(*arguments: str) -> int:
    """Runs a command as one would type it in the demo's folder, and shows it."""
    print(f"$ stateward {' '.join(arguments)}\n", flush=True)
    return subprocess.run([BIN / "stateward", *arguments], cwd=HERE, check=False).returncode  # noqa: S603


def lint() -> None:
    """Old against new: what is refused and why, what passes."""
    say("1. A change, before it is merged: three of these four edits would hurt")
    refused = stateward("lint", "--old", "before", "after")
    say("   the fourth, a minor upgrade with more memory, passes")
    passed = stateward("lint", "--old", "before/sessions.yaml", "after/sessions.yaml")
    if (refused, passed) != (1, 0):
        sys.exit(f"the demo is broken: exit codes {refused}, {passed}")


def review() -> bytes:
    """The AdmissionReview that an API server sends when somebody edits the etcd set."""
    old, new = (yaml.safe_load((HERE / folder / "registry.yaml").read_text()) for folder in ("before", "after"))
    kind = {"group": "apps", "version": "v1", "kind": "StatefulSet"}
    resource = {"group": "apps", "version": "v1", "resource": "statefulsets"}
    request = {
        "uid": "8c5a4a0e-2f0a-4a1c-9a57-2b8f1c1a7f10",
        "kind": kind,
        "resource": resource,
        "name": "registry-etcd",
        "namespace": "prod",
        "operation": "UPDATE",
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": new,
        "oldObject": old,
        "dryRun": False,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "UpdateOptions"},
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def door() -> None:
    """The service on loopback with a certificate of its own; a real review, the answer."""
    say("2. The door: the same rules as an admission webhook, with a certificate of its own")
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        arguments = ["serve", "--port", str(port), "--certs", folder]
        print(f"$ stateward {' '.join(arguments)} &\n", flush=True)
        server = subprocess.Popen([BIN / "stateward", *arguments], stdout=sys.stdout, stderr=subprocess.STDOUT)  # noqa: S603
        try:
            answer = ask(server, port, Path(folder) / "ca.crt")
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    say("   a review of `replicas: 1` for the etcd set, the answer")
    status = {**answer["response"]["status"], "message": "…"}
    print(json.dumps({**answer["response"], "status": status}, indent=2, ensure_ascii=False))
    print("\nand its message, as kubectl shows it:\n")
    print(answer["response"]["status"]["message"])
    if answer["response"]["allowed"]:
        sys.exit("the demo is broken: the edit was allowed")


def ask(server: subprocess.Popen[bytes], port: int, authority: Path) -> dict[str, dict[str, object]]:
    """Sends the review once the service is ready."""
    deadline = time.monotonic() + 30
    while True:
        try:
            trust = ssl.create_default_context(cafile=os.fspath(authority))
            request = urllib.request.Request(
                f"https://127.0.0.1:{port}/validate", review(), {"Content-Type": "application/json"}
            )
            with urllib.request.urlopen(request, context=trust, timeout=5) as response:  # noqa: S310
                return json.load(response)  # type: ignore[no-any-return]
        except (OSError, urllib.error.URLError) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"the service does not answer: {error}")
            time.sleep(0.1)


def main() -> None:
    """The whole demo."""
    lint()
    door()
    say("Next: `stateward rules`, `stateward explain SW201`, `stateward lint --old OLD NEW` on manifests of yours")


if __name__ == "__main__":
    main()
