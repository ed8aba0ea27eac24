"""Members that are stood in for: a kubelet that says that pods run, and etcd that answers for them, as many as are wanted.

Each pod has an address of its own in 127.0.0.0/8, and answers there with the certificate of its service, as etcd does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import ssl
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from standin_etcd import Engine, version_of

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.operator.authorities import entries_of
from stateward.operator.informer import Informers
from stateward.operator.service import Key
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

PORT = 2379
FIRST = 210
"""The second number of the addresses: those of tests are below."""


class Members:
    """Runs the pods of every service of a cluster, while the `with` holds."""

    def __init__(self, cluster: Cluster, *, tls: bool) -> None:
        self._cluster = cluster
        self._tls = tls
        self._engines: dict[Key, Engine] = {}
        self._addresses: dict[tuple[Key, str], str] = {}
        self._contexts: dict[Key, ssl.SSLContext | None] = {}
        self.hung: set[tuple[Key, str]] = set()
        """Members that take a connection and never answer."""
        self.asked = 0
        """How many questions came."""
        self.opened = 0
        """How many connections were made."""
        self._due: queue.SimpleQueue[Key | None] = queue.SimpleQueue()
        self._waiting: set[Key] = set()
        self._lock = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self.look = Informers(cluster, self._changed, kinds=("Pod", "PersistentVolumeClaim", "ConfigMap"))
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(4)]
        self._threads.append(threading.Thread(target=self._serve, daemon=True))

    def __enter__(self) -> Members:
        for thread in self._threads:
            thread.start()
        self.look.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.look.stop()
        for _thread in self._threads:
            self._due.put(None)
        self._loop.call_soon_threadsafe(self._loop.stop)

    def engine(self, key: Key) -> Engine:
        """Of one service."""
        with self._lock:
            return self._engines.setdefault(key, Engine(namespace=key[0], service=key[1]))

    def dies(self, key: Key, member: str, *, hangs: bool) -> None:
        """It answers no more, and its kubelet says that it is not ready."""
        if hangs:
            self.hung.add((key, member))
        else:
            self.engine(key).silent.add(member)
        self._say(key, member, False)

    def returns(self, key: Key, member: str) -> None:
        """It answers again, and is ready."""
        self.hung.discard((key, member))
        self.engine(key).silent.discard(member)
        self._say(key, member, True)

    # --- the kubelet ---

    def _changed(self, keys: Iterable[Key]) -> None:
        with self._lock:
            new = [key for key in keys if key not in self._waiting]
            self._waiting.update(new)
        for key in new:
            self._due.put(key)

    def _run(self) -> None:
        while (key := self._due.get()) is not None:
            with self._lock:
                self._waiting.discard(key)
            try:
                self._tend(key)
            except ClusterError:
                threading.Timer(1.0, self._changed, ([key],)).start()

    def _tend(self, key: Key) -> None:
        engine = self.engine(key)
        pods = {text_of(metadata_of(pod), "name"): pod for pod in self.look.of("Pod", key)}
        with engine.lock:
            for member in [one for one in engine.running if one not in pods]:
                engine.ends(member)
            for member, pod in pods.items():
                self._start(key, engine, member, pod)
            up = {member for member in engine.running if not self._is_dead(key, engine, member)}
            ready = up if engine.quorum() else set()
        for member, pod in pods.items():
            status = mapping_of(pod, "status")
            if member in up and (not text_of(status, "podIP") or _ready(pod) != (member in ready)):
                self._say(key, member, member in ready)

    def _start(self, key: Key, engine: Engine, member: str, pod: Object) -> None:
        claim = self.look.get("PersistentVolumeClaim", key[0], f"data-{member}")
        files = self.look.get("ConfigMap", key[0], f"{key[1]}-config")
        text = text_of(mapping_of(files, "data"), f"{member}.yaml") if files is not None else ""
        if claim is None or not text or member in engine.running:
            return
        image = str(pod["spec"]["containers"][0]["image"])
        engine.starts(member, text_of(metadata_of(claim), "uid"), json.loads(text), version_of(image.rpartition(":")[2]))

    def _is_dead(self, key: Key, engine: Engine, member: str) -> bool:
        return member in engine.silent or (key, member) in self.hung

    def _say(self, key: Key, member: str, ready: bool) -> None:
        address = self._address(key, member)
        status = {
            "phase": "Running",
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": one, "status": str(ready)} for one in ("Ready", "ContainersReady")],
        }
        self._cluster.patch(path_of("api", "v1", "namespaces", key[0], "pods", member, "status"), {"status": status})

    # --- the engine ---

    def _address(self, key: Key, member: str) -> str:
        with self._lock:
            known = self._addresses.get((key, member))
            if known is not None:
                return known
            number = len(self._addresses) + 1
            made = f"127.{FIRST + number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
            self._addresses[key, member] = made
        asyncio.run_coroutine_threadsafe(self._listen(key, member, made, self._context(key)), self._loop).result(30)
        return made

    def _context(self, key: Key) -> ssl.SSLContext | None:
        """As its members have it: the certificate that they are given, and clients show one."""
        if not self._tls:
            return None
        if key not in self._contexts:
            found = entries_of(self._cluster.get(path_of("api", "v1", "namespaces", key[0], "secrets", f"{key[1]}-tls")))
            made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            with tempfile.TemporaryDirectory() as folder:
                for name in ("tls.crt", "tls.key"):
                    (Path(folder) / name).write_bytes(found[name])
                made.load_cert_chain(Path(folder) / "tls.crt", Path(folder) / "tls.key")
            made.load_verify_locations(cadata=found["ca.crt"].decode())
            made.verify_mode = ssl.CERT_REQUIRED
            self._contexts[key] = made
        return self._contexts[key]

    async def _listen(self, key: Key, member: str, address: str, context: ssl.SSLContext | None) -> None:
        await self._loop.create_server(lambda: _Talk(self, key, member), address, PORT, ssl=context)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def answer(self, key: Key, member: str, path: str, body: Mapping[str, Any]) -> bytes | None:
        """An answer as it is sent; None: the connection is closed."""
        self.asked += 1
        found = self.engine(key).answer(member, path, body)
        if found is None:
            return None
        raw = json.dumps(found[1]).encode()
        return b"HTTP/1.1 %d -\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (found[0], len(raw), raw)


class _Talk(asyncio.Protocol):
    """One connection: one question after the other."""

    def __init__(self, members: Members, key: Key, member: str) -> None:
        self._members = members
        self._whose = (key, member)
        self._read = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._members.opened += 1

    def data_received(self, data: bytes) -> None:
        self._read += data
        while b"\r\n\r\n" in self._read:
            head, _, rest = self._read.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            length = int(fields.get("content-length", "0"))
            if len(rest) < length:
                return
            self._read = rest[length:]
            if self._whose in self._members.hung:
                continue
            with contextlib.suppress(ValueError):
                answer = self._members.answer(*self._whose, lines[0].split(" ")[1], json.loads(rest[:length] or b"{}"))
                if answer is None:
                    self._transport.close()
                    return
                self._transport.write(answer)


def _ready(pod: Object) -> bool:
    conditions = mapping_of(pod, "status").get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
