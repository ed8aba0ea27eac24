"""The kubelet, Patroni and PostgreSQL of one service, stood in for: volumes that remember what was done to them."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from stateward.kube.client import Cluster, path_of
from stateward.kube.errors import ClusterError
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Driver, Place, Result, Seen, Target
from stateward.policies.view import metadata_of

LABEL = "stateward.dev/service"
JOB = "batch.kubernetes.io/job-name"
Rows = tuple[str, ...]


@dataclass(frozen=True)
class Data:
    """A folder of a cluster's data."""

    major: str
    system: str
    rows: Rows
    led: bool = False
    timeline: int = 1


@dataclass
class Postgres:
    """What there is. `wrongs` is what must never be."""

    cluster: Cluster
    namespace: str
    service: str
    volumes: dict[str, dict[str, Data]] = field(default_factory=dict)
    running: dict[str, str] = field(default_factory=dict)
    """Member → its pod."""
    leader: str = ""
    wrongs: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    """Jobs that came to their end, each once."""
    hangs: set[str] = field(default_factory=set)
    """Stages whose Jobs do not come to an end."""
    broken: set[str] = field(default_factory=set)
    """Versions whose members do not start."""
    _systems: Any = field(default_factory=lambda: itertools.count(71))
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Postgres:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(30)

    def write(self, row: str) -> None:
        """What a client writes, on all members."""
        assert self.leader
        for member in self.running:
            data = self.volumes[member]["pgdata"]
            self.volumes[member]["pgdata"] = Data(data.major, data.system, (*data.rows, row), data.led, data.timeline)

    # --- the kubelet ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(ClusterError):  # changed meanwhile: again
                self._look()
            self._stopping.wait(0.05)

    def _path(self, plural: str, *steps: str) -> str:
        return path_of("api", "v1", "namespaces", self.namespace, plural, *steps)

    def _look(self) -> None:
        pods = [one for one in self.cluster.get(self._path("pods"))["items"] if "deletionTimestamp" not in metadata_of(one)]
        members = {one["metadata"]["name"]: one for one in pods if LABEL in one["metadata"].get("labels", {})}
        for name in [
            one for one, uid in self.running.items() if one not in members or members[one]["metadata"]["uid"] != uid
        ]:
            del self.running[name]
            self.leader = "" if self.leader == name else self.leader
        for pod in pods:
            if JOB in pod["metadata"].get("labels", {}):
                self._job(pod)
        for name, pod in members.items():
            self._member(name, pod)

    def _job(self, pod: Mapping[str, Any]) -> None:
        if pod.get("status", {}).get("phase") == "Succeeded":
            return
        job = pod["metadata"]["labels"][JOB]
        _, _, stage, ordinal = job.rsplit("-", 3)
        member = f"{self.service}-{ordinal}"
        if stage in self.hangs:
            return
        if stage != "tidy" and self.running:
            self.wrongs.append(f"{job}: {', '.join(self.running)} run")
        containers = pod["spec"]["containers"]
        claim = pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
        if claim != f"data-{member}":
            self.wrongs.append(f"{job}: works on {claim}")
        said = self._work(stage, member, {one["name"]: one.get("value", "") for one in containers[-1]["env"]})
        ended = {"terminated": {"exitCode": 0, "message": said, "reason": "Completed"}}
        status = {
            "phase": "Succeeded",
            "containerStatuses": [
                {"name": one["name"], "image": "x", "imageID": "", "restartCount": 0, "ready": False, "state": ended}
                for one in sorted(containers, key=lambda one: str(one["name"]))
            ],
        }
        self._say(pod, status)
        if job not in self.done:
            self.done.append(job)

    def _work(self, stage: str, member: str, told: Mapping[str, str]) -> str:
        """What the scripts do (tests/operator/engines/test_postgresql_major.py runs them)."""
        volume = self.volumes.setdefault(member, {})
        kept, made, now = f"pgdata-{told['OLD']}", f"pgdata-{told['NEW']}.{told['ATTEMPT']}", volume.get("pgdata")
        if stage == "look":
            return f"{'led' if now.led else 'followed'} {now.timeline} 0/5000 {now.system}" if now else "empty 0 0/0 0"
        if stage == "carry":
            if made not in volume:
                assert now is not None
                volume[made] = Data(told["NEW"], str(next(self._systems)), now.rows)
            return volume[made].system
        if stage == "swap" and kept not in volume:
            if now is not None:
                volume[kept] = volume.pop("pgdata")
            if told["LEADS"] == "yes":
                volume["pgdata"] = volume.pop(made)
        if stage == "back":
            if kept in volume:
                volume["pgdata"] = volume.pop(kept)
            for name in [one for one in volume if one.startswith(f"pgdata-{told['NEW']}")]:
                del volume[name]
        if stage == "tidy":
            volume.pop(kept, None)
        return ""

    # --- a member ------------------------------------------------------------------------------------------------

    def _member(self, name: str, pod: Mapping[str, Any]) -> None:
        version = pod["spec"]["containers"][0]["image"].rpartition(":")[2]
        up = version not in self.broken and self._starts(name, version.partition(".")[0])
        if up:
            self.running[name] = pod["metadata"]["uid"]
            self._leads(name)
        ready = "True" if up and self.leader else "False"
        state = {"running": {}} if version not in self.broken else {"waiting": {"reason": "ImagePullBackOff"}}
        was = pod.get("status", {})
        said = next((one["status"] for one in was.get("conditions", ()) if one["type"] == "Ready"), "")
        if (said, was.get("podIP")) == (ready, "127.0.0.1"):
            return
        container = {"name": "engine", "image": version, "imageID": "", "restartCount": 0, "ready": ready == "True"}
        status = {
            "phase": "Running" if version not in self.broken else "Pending",
            "podIP": "127.0.0.1",
            "podIPs": [{"ip": "127.0.0.1"}],
            "containerStatuses": [{**container, "started": ready == "True", "state": state}],
            "conditions": [{"type": one, "status": ready} for one in ("Ready", "ContainersReady")],
        }
        self._say(pod, status)

    def _starts(self, name: str, major: str) -> bool:
        """As Patroni: its data is that of the cluster, or it gets it; only where there is none yet is one founded."""
        volume = self.volumes.setdefault(name, {})
        noted = self._noted("config")
        known = noted["metadata"].get("annotations", {}).get("initialize") if noted is not None else None
        if "pgdata" not in volume:
            if known is None:
                if any(self.volumes.values()):
                    self.wrongs.append(f"{name} founded another cluster")
                known = str(next(self._systems))
                volume["pgdata"] = Data(major, known, ())
                self._note("config", {"initialize": known, "history": "[]"})
            elif self.leader and self.volumes[self.leader]["pgdata"].major == major:
                there = self.volumes[self.leader]["pgdata"]
                volume["pgdata"] = Data(major, there.system, there.rows, False, there.timeline)
            else:
                return False
        data = volume["pgdata"]
        if data.system != known:
            self.wrongs.append(f"{name} is of cluster {data.system}, and Patroni knows {known}")
        return data.major == major and data.system == known

    def _leads(self, name: str) -> None:
        if self.leader:
            return
        self.leader = name
        data = self.volumes[name]["pgdata"]
        self.volumes[name]["pgdata"] = Data(data.major, data.system, data.rows, True, data.timeline + 1)
        for member in set(self.running) - {name}:
            other = self.volumes[member]["pgdata"]
            self.volumes[member]["pgdata"] = Data(other.major, other.system, other.rows, False, data.timeline + 1)
        self._note("leader", {"leader": name, "optime": "1"})

    def _noted(self, what: str) -> Mapping[str, Any] | None:
        return self.cluster.find(self._path("configmaps", f"{self.service}-patroni-{what}"))

    def _note(self, what: str, notes: Mapping[str, str]) -> None:
        name = f"{self.service}-patroni-{what}"
        labels = {"stateward.dev/scope": f"{self.service}-patroni", "app.kubernetes.io/managed-by": "stateward"}
        metadata = {"name": name, "annotations": dict(notes), "labels": labels}
        if self._noted(what) is None:
            self.cluster.create(self._path("configmaps"), {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        else:
            self.cluster.patch(self._path("configmaps", name), {"metadata": {"annotations": dict(notes)}})

    def _say(self, pod: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        known = {"uid": pod["metadata"]["uid"]}
        self.cluster.patch(self._path("pods", pod["metadata"]["name"], "status"), {"metadata": known, "status": status})

    # --- what the operator is told ---------------------------------------------------------------------------------

    def driver(self, name: str) -> Driver | None:
        """PostgreSQL's own, but for what is asked of members."""
        real = catalogue.find(name)
        assert real is not None
        there = self

        class Told(type(real)):  # type: ignore[misc]
            def see(self, target: Target) -> Seen:
                data = there.volumes.get(target.name, {}).get("pgdata")
                if target.name not in there.running or data is None:
                    return Seen(target.name, None, reason=f"{target.name}: no answer")
                role: Literal["primary", "replica"] = "primary" if target.name == there.leader else "replica"
                version = {"15": "15.20", "17": "17.12"}[data.major]
                return Seen(target.name, True, role, version)

            def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str]:
                return []

            def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
                there.leader = next((one for one in there.running if one != member), member)
                return Result("done")

        return Told(real._data, real._holes)  # type: ignore[attr-defined]
