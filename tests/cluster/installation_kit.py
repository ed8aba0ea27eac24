"""An installed Stateward on any API server: its own manifests, its own service account, its process on this machine.

The Service is of type ExternalName here, so that the API server asks a process beside it: pods are no concern of it.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import control_plane as control
import yaml
from cluster_kit import Done, Item, Kubectl, eventually

ROOT = Path(__file__).resolve().parents[2]
NAMESPACE = "stateward"
CONFIGURATION = "validatingwebhookconfiguration"
Right = tuple[str, str, str, str]
"""(verb, group, resource with its subresource, name or "")."""


def documents(kubectl: Kubectl, folder: str) -> list[Item]:
    done = kubectl.must("kustomize", str(ROOT / "manifests" / folder))
    return [one for one in yaml.safe_load_all(done.out) if one]


@dataclass
class Installation:
    """A Stateward that is installed in a cluster, one replica of it running here."""

    kubectl: Kubectl
    folder: Path
    port: int = field(default_factory=control.free_port)
    process: subprocess.Popen[bytes] | None = None
    proxy: Proxy | None = None

    def apply(self) -> None:
        """As `kubectl apply -k manifests/base`, but for pods and the Service."""
        for item in documents(self.kubectl, "base"):
            if item["kind"] == "Deployment":
                item["spec"]["replicas"] = 0
            if item["kind"] == "Service":
                # A name that the API server's own resolver knows; the certificate is for the Service all the same.
                item["spec"] = {"type": "ExternalName", "externalName": "localhost"}
            self.kubectl.must("apply", "-f", "-", stdin=item)
        for name in ("wardpolicies", "wardwaivers"):
            self.kubectl.must("wait", "--for=condition=Established", f"crd/{name}.stateward.dev", "--timeout=30s")
            eventually(lambda name=name: self.kubectl("get", name).passed, f"{name} are served")

    def start(self, *arguments: str) -> None:
        """Returns when it is ready."""
        assert self.process is None
        if self.proxy is None:
            self.proxy = Proxy(self.kubectl)
        kubeconfig = self.folder / "installed.kubeconfig"
        token = self.kubectl.must("create", "token", "stateward", "-n", NAMESPACE, "--duration=2h").out.strip()
        kubeconfig.write_text(json.dumps(_kubeconfig(f"http://127.0.0.1:{self.proxy.port}", token)))
        program = Path(sys.executable).parent / "stateward"
        command = [str(program), "serve", "--in-cluster", "--kubeconfig", str(kubeconfig), "--namespace", NAMESPACE]
        command += ["--service", f"stateward:{self.port}", "--port", str(self.port), "--drain", "0.2", *arguments]
        with (self.folder / "installed.log").open("wb") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=control.ends_with_us(signal.SIGTERM),
            )
        eventually(self.ready, "the installed door is ready", 60)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()[-3000:]
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=5, context=context)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def log(self) -> str:
        path = self.folder / "installed.log"
        return path.read_text() if path.exists() else ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def stateward(self, *arguments: str) -> Done:
        """The command line, as the administrator."""
        program = Path(sys.executable).parent / "stateward"
        command = [str(program), *arguments, "--kubeconfig", str(self.kubectl.kubeconfig)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env={**os.environ})
        return Done(f"stateward {' '.join(arguments)}", done.returncode, done.stdout, done.stderr)

    def configuration(self) -> Item:
        return self.kubectl.get(CONFIGURATION, "stateward")

    def asks(self) -> Item:
        """The configuration, once it is there."""
        found: Item = eventually(self.configuration, "the API server asks")
        return found

    def reasons(self) -> list[str]:
        """Of the Events on the Deployment."""
        found = self.kubectl.at(NAMESPACE).get("events").get("items", ())
        return [one["reason"] for one in found if one["involvedObject"].get("name") == "stateward"]


def _kubeconfig(server: str, token: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "installed",
        "contexts": [{"name": "installed", "context": {"cluster": "here", "user": "installed"}}],
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "installed", "user": {"token": token}}],
    }


# --- which rights are used -------------------------------------------------------------------------------------------


class Proxy:
    """Passes calls on to the API server, and notes which right each one used and which were refused."""

    def __init__(self, kubectl: Kubectl) -> None:
        view = kubectl.must("config", "view", "--raw", "--minify", "-o", "json")
        cluster = json.loads(view.out)["clusters"][0]["cluster"]
        self.address = urllib.parse.urlsplit(cluster["server"])
        self.context = ssl.create_default_context()
        self.context.check_hostname = False
        self.context.verify_mode = ssl.CERT_NONE  # who asks is a token, and the server is the one of the kubeconfig
        self.used: set[Right] = set()
        self.refused: set[Right] = set()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def _pass(self) -> None:
                proxy.passed(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815 - the base class' names

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def passed(self, to: BaseHTTPRequestHandler) -> None:
        body = to.rfile.read(int(to.headers.get("Content-Length") or 0))
        connection = http.client.HTTPSConnection(
            self.address.hostname or "", self.address.port, timeout=600, context=self.context
        )
        try:
            headers = {key: value for key, value in to.headers.items() if key.lower() not in ("host", "content-length")}
            connection.request(to.command, to.path, body or None, headers)
            answer = connection.getresponse()
            right = right_of(to.command, to.path)
            if right is not None:
                self.used.add(right)
                if answer.status == 403:
                    self.refused.add(right)
            to.send_response(answer.status)
            for key in ("Content-Type", "Retry-After", "Warning"):
                if answer.headers.get(key):
                    to.send_header(key, answer.headers[key])
            to.send_header("Connection", "close")
            to.end_headers()
            while chunk := answer.read1(65536):
                to.wfile.write(chunk)
                to.wfile.flush()
        except (OSError, http.client.HTTPException):
            pass  # whoever asked has gone, or the test is over
        finally:
            to.close_connection = True
            connection.close()


_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def right_of(method: str, target: str) -> Right | None:
    """The right that a call needs; None for discovery, which everybody has."""
    url = urllib.parse.urlsplit(target)
    steps = [urllib.parse.unquote(step) for step in url.path.strip("/").split("/")]
    query = urllib.parse.parse_qs(url.query)
    if steps[0] == "api":
        group, rest = "", steps[2:]
    elif steps[0] == "apis" and len(steps) > 2:
        group, rest = steps[1], steps[3:]
    else:
        return None
    if len(rest) > 2 and rest[0] == "namespaces":
        rest = rest[2:]
    if not rest:
        return None
    name = rest[1] if len(rest) > 1 else ""
    resource = "/".join([rest[0], *rest[2:]])
    verb = _VERBS.get(method) or ("watch" if query.get("watch") == ["true"] else "get" if name else "list")
    return verb, group, resource, name


def granted(rules: list[dict[str, Any]]) -> Iterator[Right]:
    """Each right of a Role's rules; with a name where it is held to one."""
    for one in rules:
        for group in one["apiGroups"]:
            for resource in one["resources"]:
                for verb in one["verbs"]:
                    for name in one.get("resourceNames", [""]):
                        yield verb, group, resource, name
