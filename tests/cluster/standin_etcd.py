"""A kubelet and an etcd that are stood in for: pods run as soon as they are there, and answer as etcd does.

It keeps its own books of what must never happen: `wrongs`.
"""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError

LABEL = "stateward.dev/service"
MEMBERS = 7
_random = random.SystemRandom()


@dataclass
class Engine:
    """The members of one service, as etcd would have them."""

    network: str = field(default_factory=lambda: f"127.{_random.randint(20, 200)}.{_random.randint(1, 250)}")
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """The list of members: name → {ID, learner}."""
    data: dict[str, str] = field(default_factory=dict)
    """Uid of a claim → the identity of the member whose data is on it."""
    running: dict[str, str] = field(default_factory=dict)
    """Member → identity that it runs as."""
    silent: set[str] = field(default_factory=set)
    pods: dict[str, str] = field(default_factory=dict)
    """Member → uid of the pod that it runs in."""
    versions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Member → version that it runs."""
    level: tuple[int, ...] = ()
    """The series that all members have run at once: older ones do not start any more."""
    mixed: bool = False
    """Whether members of different versions ever ran at the same time."""
    leads: str = ""
    broken: set[str] = field(default_factory=set)
    """Tags of images that cannot be pulled."""
    ended: list[str] = field(default_factory=list)
    """Members whose pods ended, in order; `*` after one that led."""
    deleting: bool = False
    """Whether the service is meant to go."""
    wrongs: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=threading.RLock)

    def voters(self) -> list[str]:
        return sorted(name for name, one in self.listed.items() if not one["learner"])

    def serving(self) -> list[str]:
        return [name for name in self.voters() if self.running.get(name) == self.listed[name]["ID"]]

    def leader(self) -> str:
        """Who leads: whoever did, as long as it serves."""
        serving = self.serving()
        if self.leads not in serving:
            self.leads = serving[0] if serving and self.quorum() else ""
        return self.leads

    def quorum(self) -> bool:
        return len(self.serving()) > len(self.voters()) // 2

    def starts(self, member: str, claim: str, settings: Mapping[str, Any], version: tuple[int, ...] = (3, 5, 16)) -> bool:
        """A pod starts on a claim, with its file; whether it stays up."""
        with self.lock:
            if member in self.running:
                return True
            if version[:2] < self.level:
                return False  # "cluster cannot be downgraded"
            self.mixed |= any(one != version for name, one in self.versions.items() if name in self.running)
            others = {one[:2] for name, one in self.versions.items() if name in self.running}
            if any(abs(one[1] - version[1]) > 1 for one in others):
                self.wrongs.append(f"{member} starts with {version} beside {sorted(others)}")
            if not self._starts(member, claim, settings):
                return False
            self.versions[member] = version
            if set(self.running) == set(self.listed):
                self.level = max(self.level, min(one[:2] for name, one in self.versions.items() if name in self.running))
            return True

    def _starts(self, member: str, claim: str, settings: Mapping[str, Any]) -> bool:
        if claim in self.data:
            identity = self.data[claim]
            if member not in self.listed or self.listed[member]["ID"] != identity:
                return False  # "the member has been permanently removed from the cluster"
            self.running[member] = identity
            return True
        names = [one.partition("=")[0] for one in settings["initial-cluster"].split(",")]
        if settings["initial-cluster-state"] == "new":
            if self.data and not self.listed:
                self.wrongs.append(f"{member} founds a cluster although there is data")
            if not self.listed:
                self.listed = {name: {"ID": str(100 + place), "learner": False} for place, name in enumerate(names)}
            if member not in self.listed or self.listed[member]["ID"] in self.data.values():
                self.wrongs.append(f"{member} founds a cluster beside the one that there is")
                return False
        elif not self.quorum() or member not in self.listed or set(names) != set(self.listed):
            return False  # "member count is unequal", or nobody to ask
        self.data[claim] = self.running[member] = self.listed[member]["ID"]
        return True

    def ends(self, member: str) -> None:
        with self.lock:
            before = self.quorum()
            if member in self.running:
                self.ended.append(f"{member}*" if self.leader() == member and len(self.voters()) > 1 else member)
            self.versions.pop(member, None)
            if self.running.pop(member, None) and not self.deleting and before and not self.quorum():
                self.wrongs.append(f"{member} ends, and the quorum with it")

    # --- what it answers -----------------------------------------------------------------------------------------

    def answer(self, member: str, path: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]] | None:
        with self.lock:
            identity = self.running.get(member)
            if identity is None or member in self.silent:
                return None
            learner = self.listed.get(member, {}).get("learner", False)
            if path == "/health":
                good = self.quorum() and member in self.listed and not learner
                return (200, {"health": "true"}) if good else (503, {"health": "false", "reason": "RAFT NO LEADER"})
            if path == "/v3/maintenance/status":
                leader = self.listed[self.leader()]["ID"] if self.quorum() else "0"
                version = ".".join(str(part) for part in self.versions[member])
                status = {"header": {"member_id": identity}, "version": version, "leader": leader}
                return 200, {**status, "isLearner": True} if learner else status
            if not self.quorum() or learner:
                return 503, {"error": "etcdserver: no leader"}
            if path == "/v3/maintenance/transfer-leadership":
                if self.leader() != member:
                    return 400, {"error": "etcdserver: not leader"}
                target = next((name for name in self.serving() if self.listed[name]["ID"] == body.get("targetID")), "")
                if not target:
                    return 400, {"error": "etcdserver: bad leader transferee"}
                self.told.append(f"move {target}")
                self.leads = target
                return 200, {"header": {}}
            return self._member(path.rpartition("/")[2], body)

    def _member(self, what: str, body: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        named = next((name for name, one in self.listed.items() if one["ID"] == body.get("ID")), "")
        if what != "list":
            self.told.append(f"{what} {named or body.get('peerURLs')}")
        if what == "add":
            name = body["peerURLs"][0].partition("//")[2].partition(".")[0]
            if name in self.listed:
                return 400, {"error": "etcdserver: Peer URLs already exists"}
            if any(one["learner"] for one in self.listed.values()):
                return 400, {"error": "etcdserver: too many learner members in cluster"}
            self.listed[name] = {"ID": str(_random.randint(1000, 10**12)), "learner": True, "url": body["peerURLs"][0]}
        elif what == "promote":
            if not named or self.running.get(named) != body["ID"]:
                return 412, {"error": "etcdserver: can only promote a learner member which is in sync with leader"}
            self.listed[named]["learner"] = False
        elif what == "remove":
            if not named:
                return 404, {"error": "etcdserver: member not found"}
            rest = [name for name in self.voters() if name != named]
            if len([name for name in self.serving() if name != named]) <= len(rest) // 2:
                self.wrongs.append(f"{named} is taken out, and the quorum with it")
            del self.listed[named]
        return 200, {"members": [self._entry(name, one) for name, one in self.listed.items()]}

    def _entry(self, name: str, one: Mapping[str, Any]) -> dict[str, Any]:
        url = one.get("url") or f"http://{name}.{self.service}-members.{self.namespace}.svc:2380"
        entry = {"ID": one["ID"], "peerURLs": [url], **({"name": name} if name in self.running else {})}
        return {**entry, "isLearner": True} if one["learner"] else entry

    namespace: str = ""
    service: str = ""


def version_of(tag: str) -> tuple[int, ...]:
    """Of an image's tag."""
    return tuple(int(part) for part in re.findall(r"[0-9]+", tag)[:3])


class StandIn:
    """Runs the pods of one service until `stop`."""

    def __init__(self, cluster: Cluster, namespace: str, service: str) -> None:
        self.engine = Engine(namespace=namespace, service=service)
        self._cluster = cluster
        self._namespace = namespace
        self._service = service
        self._stopping = threading.Event()
        self._servers = [self._server(number) for number in range(MEMBERS)]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> StandIn:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _server(self, number: int) -> ThreadingHTTPServer:
        engine, member = self.engine, f"{self._service}-{number}"

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def answer(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
                found = engine.answer(member, self.path, body)
                if found is None:
                    self.close_connection = True
                    return
                raw = json.dumps(found[1]).encode()
                self.send_response(found[0])
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = answer  # noqa: N815

        made = ThreadingHTTPServer((f"{engine.network}.{number + 1}", 2379), Handler)
        made.daemon_threads = True
        return made

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(ClusterError):  # changed meanwhile: again
                self._look()
            self._stopping.wait(0.05)

    def _look(self) -> None:
        pods = self._cluster.get(path_of("api", "v1", "namespaces", self._namespace, "pods"), {"labelSelector": LABEL})[
            "items"
        ]
        there = {
            pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods if "deletionTimestamp" not in pod["metadata"]
        }
        for member in [name for name in self.engine.running if self.engine.pods.get(name) != there.get(name)]:
            self.engine.ends(member)
        for pod in pods:
            if pod["metadata"]["name"] in there:
                self._tend(pod)

    def _tend(self, pod: Mapping[str, Any]) -> None:
        name = pod["metadata"]["name"]
        files = self._cluster.get(
            path_of("api", "v1", "namespaces", self._namespace, "configmaps", f"{self._service}-config")
        )
        claim = self._cluster.get(
            path_of("api", "v1", "namespaces", self._namespace, "persistentvolumeclaims", f"data-{name}")
        )
        written = files["data"].get(f"{name}.yaml")
        tag = pod["spec"]["containers"][0]["image"].rpartition(":")[2]
        pulled = tag not in self.engine.broken
        self.engine.pods[name] = pod["metadata"]["uid"]
        up = (
            pulled
            and written is not None
            and self.engine.starts(name, claim["metadata"]["uid"], json.loads(written), version_of(tag))
        )
        healthy = self.engine.answer(name, "/health", {}) if up else None
        self._shows(pod, up, pulled, healthy is not None and healthy[0] == 200)

    def _shows(self, pod: Mapping[str, Any], up: bool, pulled: bool, serves: bool) -> None:
        """What the kubelet writes of a pod."""
        name, tag = pod["metadata"]["name"], pod["spec"]["containers"][0]["image"].rpartition(":")[2]
        ready = "True" if serves else "False"
        address = f"{self.engine.network}.{int(name.rpartition('-')[2]) + 1}"
        status = pod.get("status", {})
        was = next((one["status"] for one in status.get("conditions", ()) if one["type"] == "Ready"), "")
        state = {"running": {}} if up else {"waiting": {"reason": "CrashLoopBackOff" if pulled else "ImagePullBackOff"}}
        said = next((list(one["state"]) for one in status.get("containerStatuses", ())), [])
        if (was, status.get("podIP"), said) == (ready, address, list(state)):
            return
        container = {"name": "engine", "image": tag, "imageID": "", "restartCount": 0, "ready": ready == "True"}
        made = {
            "phase": "Running" if pulled else "Pending",
            "containerStatuses": [{**container, "started": up, "state": state}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "conditions": [{"type": one, "status": ready} for one in ("Ready", "ContainersReady")],
        }
        path = path_of("api", "v1", "namespaces", self._namespace, "pods", name, "status")
        self._cluster.patch(path, {"metadata": {"uid": pod["metadata"]["uid"]}, "status": made})
