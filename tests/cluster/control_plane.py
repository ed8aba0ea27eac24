"""Where an API server can be had, and one of our own: etcd and kube-apiserver on free ports in a temporary folder.

No root, no node, no network: whoever has the programs can have one. The tests and `make door` use it.
"""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "cluster" / "cluster"
"""A program that brings a real cluster up on this machine, where it is there."""

BREAK_GLASS = "stateward:break-glass"
ADMIN = "admin"
TOKEN = "admin-token"
PROGRAMS = ("etcd", "kube-apiserver")
_PR_SET_PDEATHSIG = 1


class MissingError(Exception):
    """There is no API server to be had. The message says what is missing and how to have it."""


class BrokenError(Exception):
    """A program of the control plane did not come up."""


def may_use_shared() -> bool:
    """Whether `../shared/cluster/cluster` can be used: it needs root on Linux."""
    return SHARED.exists() and sys.platform == "linux" and os.geteuid() == 0


def shared(*arguments: str) -> str:
    """Runs `../shared/cluster/cluster`; its output. Raises BrokenError."""
    done = subprocess.run([sys.executable, str(SHARED), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BrokenError(f"{SHARED.name} {' '.join(arguments)}: {(done.stderr or done.stdout).strip()[-2000:]}")
    return done.stdout


def shared_environment() -> dict[str, str]:
    """What `cluster env` says: KUBECONFIG, KUBEBUILDER_ASSETS, PATH."""
    words = shared("env").removeprefix("export ").split()
    return dict(word.partition("=")[::2] for word in words)


def programs(say: Callable[[str], None]) -> Path:
    """The folder with etcd and kube-apiserver. Raises MissingError, with what to do."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    if named:
        if all((Path(named) / name).exists() for name in PROGRAMS):
            return Path(named)
        raise MissingError(f"KUBEBUILDER_ASSETS={named} does not hold {' and '.join(PROGRAMS)}")
    if may_use_shared():
        found = Path(shared_environment()["KUBEBUILDER_ASSETS"])
        if not all((found / name).exists() for name in PROGRAMS):
            say("building etcd and kube-apiserver, once: some minutes")
            shared("setup")
        return found
    on_path = shutil.which("kube-apiserver")
    if on_path and shutil.which("etcd") and (Path(on_path).parent / "etcd").exists():
        return Path(on_path).parent
    raise MissingError(
        "no etcd and kube-apiserver; name their folder in KUBEBUILDER_ASSETS "
        "(setup-envtest use -p path prints one), or run as root where ../shared/cluster/cluster is"
    )


@dataclass
class Answer:
    """What the API server answered."""

    status: int
    body: dict[str, Any]
    warnings: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return 200 <= self.status <= 299

    @property
    def message(self) -> str:
        return str(self.body.get("message") or "")


@dataclass(frozen=True)
class Who:
    """As whom a call is made: the administrator if `name` is empty."""

    name: str = ""
    groups: tuple[str, ...] = ()


PAST_THE_DOOR = Who("stateward-door-setup", (BREAK_GLASS, "system:masters"))


class Api:
    """Raw calls to an API server over one connection that is kept. For one thread."""

    def __init__(self, port: int, authority: Path, token: str = TOKEN) -> None:
        self._port = port
        self._token = token
        self._context = ssl.create_default_context(cafile=str(authority))
        self._connection: http.client.HTTPSConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        who: Who | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Answer:
        """One call; whatever the status, an Answer. OSError where there is no answer."""
        headers = [("Authorization", f"Bearer {self._token}"), ("Accept", "application/json")]
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers.append(("Content-Type", content_type))
        if who is not None and who.name:
            headers.append(("Impersonate-User", who.name))
            headers += [("Impersonate-Group", group) for group in who.groups]
        target = f"{path}?{urllib.parse.urlencode(query)}" if query else path
        kept = self._connection is not None
        try:
            response = self._send(method, target, data, headers)
        except (http.client.HTTPException, OSError):
            self.close()
            if not kept:
                raise
            response = self._send(method, target, data, headers)  # the server had closed the idle connection
        text = response.read()
        warnings = [_warning(value) for value in response.headers.get_all("Warning") or ()]
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            found = {"message": text[:500].decode(errors="replace")}
        return Answer(response.status, found if isinstance(found, dict) else {"message": str(found)}, warnings)

    def _send(
        self, method: str, target: str, data: bytes | None, headers: Iterable[tuple[str, str]]
    ) -> http.client.HTTPResponse:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self._context, timeout=60)
            self._connection.connect()
            assert self._connection.sock is not None
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.putrequest(method, target)
        for name, value in headers:
            self._connection.putheader(name, value)
        self._connection.putheader("Content-Length", str(len(data or b"")))
        # In one packet: two would wait for each other (Nagle's algorithm and delayed acknowledgement).
        self._connection.endheaders(data)
        return self._connection.getresponse()


def _warning(header: str) -> str:
    """The text of a header `299 - "…"` (RFC 7234, 5.5)."""
    quoted = header.partition('"')[2]
    text = quoted.rpartition('"')[0]
    return text.replace('\\"', '"').replace("\\\\", "\\")


class ControlPlane:
    """etcd, kube-apiserver and (where asked for and there) kube-controller-manager, until `stop`."""

    def __init__(
        self,
        binaries: Path,
        folder: Path,
        *,
        open_to_all: bool = False,
        controllers: bool = False,
        without: Iterable[str] = (),
        flags: Iterable[str] = (),
        controller_flags: Iterable[str] = (),
    ) -> None:
        """`open_to_all`: every user may do everything, so that admission alone decides. `without`: admission plugins."""
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.authority = folder / "ca.crt"
        self.controllers = controllers and (binaries / "kube-controller-manager").exists()
        self.port = free_port()
        self._binaries = binaries
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []
        self._asked: dict[str, tuple[str, ...]] = {}
        self._open_to_all = open_to_all
        self._without = tuple(without)
        self._flags = tuple(flags)
        self._controller_flags = tuple(controller_flags)

    def start(self) -> ControlPlane:
        """Returns when the API server is ready. Raises BrokenError."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __enter__(self) -> ControlPlane:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends what `start` started, last first; nothing in it is kept, so nobody waits long."""
        for _, process in reversed(self._running):
            process.send_signal(signal.SIGTERM)
        for _, process in reversed(self._running):
            try:
                process.wait(1)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._running.clear()

    def api(self) -> Api:
        """A connection as the administrator."""
        return Api(self.port, self.authority)

    def kill(self, name: str) -> None:
        """A program dies as it stands: `kube-apiserver`."""
        process = next(process for known, process in self._running if known == name)
        process.kill()
        process.wait()
        self._running = [one for one in self._running if one[0] != name]

    def again(self, name: str) -> None:
        """A program that died is started as before; returns when the API server is ready."""
        self._run(name, *self._asked[name])
        self._await_ready()

    def _start(self) -> None:
        key = self._keys()
        etcd, peer = free_port(), free_port()
        self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            "--log-level=error",
            f"--listen-client-urls=http://127.0.0.1:{etcd}",
            f"--advertise-client-urls=http://127.0.0.1:{etcd}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
        )
        self._run(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{etcd}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder}",
            f"--tls-cert-file={self.folder / 'tls.crt'}",
            f"--tls-private-key-file={self.folder / 'tls.key'}",
            f"--client-ca-file={self.authority}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--allow-privileged",
            f"--authorization-mode={'AlwaysAllow' if self._open_to_all else 'RBAC'}",
            *([f"--disable-admission-plugins={','.join(self._without)}"] if self._without else []),
            *self._flags,
        )
        self._await_ready()
        if self.controllers:
            self._run(
                "kube-controller-manager",
                f"--kubeconfig={self.kubeconfig}",
                "--use-service-account-credentials",
                f"--service-account-private-key-file={key}",
                f"--root-ca-file={self.authority}",
                "--leader-elect=false",
                "--bind-address=127.0.0.1",
                f"--secure-port={free_port()}",
                f"--cert-dir={self.folder / 'controllers'}",
                *self._controller_flags,
            )

    def _keys(self) -> Path:
        """Certificates, tokens, kubeconfig; the path of the key that signs service account tokens."""
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        from stateward.certs.folder import CertificateFolder

        CertificateFolder(self.folder).ensure(["127.0.0.1", "localhost", "kubernetes.default.svc"], datetime.now(UTC))
        key = self.folder / "sa.key"
        key.write_bytes(
            rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        (self.folder / "tokens.csv").write_text(f'{TOKEN},{ADMIN},{ADMIN},"system:masters"\n')
        self.kubeconfig.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {
                                "server": f"https://127.0.0.1:{self.port}",
                                "certificate-authority": str(self.authority),
                            },
                        }
                    ],
                    "users": [{"name": ADMIN, "user": {"token": TOKEN}}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": ADMIN}}],
                }
            )
        )
        return key

    def _run(self, name: str, *arguments: str) -> None:
        self._asked[name] = arguments
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [str(self._binaries / name), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl+C is for us; they end when we have cleaned up
                preexec_fn=ends_with_us(signal.SIGKILL),
            )
        self._running.append((name, process))

    def _await_ready(self, seconds: float = 60.0) -> None:
        api = self.api()
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                for name, process in self._running:
                    if process.poll() is not None:
                        raise BrokenError(f"{name} ended with {process.returncode}: {self._tail(name)}")
                with contextlib.suppress(OSError, http.client.HTTPException):
                    if api.call("GET", "/readyz").status == 200:
                        return
                time.sleep(0.1)
        finally:
            api.close()
        raise BrokenError(f"kube-apiserver was not ready within {seconds:.0f} s: {self._tail('kube-apiserver')}")

    def _tail(self, name: str) -> str:
        text = (self.folder / f"{name}.log").read_text(errors="replace")
        return "\n".join(text.strip().splitlines()[-5:])


def ends_with_us(number: signal.Signals) -> Callable[[], None] | None:
    """For a process that we start: the kernel sends it this signal when we are gone, however we went. Linux alone."""
    if sys.platform != "linux":
        return None
    set_option = ctypes.CDLL(None).prctl
    return lambda: set_option(_PR_SET_PDEATHSIG, int(number))


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
