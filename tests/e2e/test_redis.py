"""Redis and Valkey, run by Stateward on three real nodes: what a failover may cost is bounded, and measured here.

Neither promises that an acknowledged write outlives its primary. What is planned (a switchover, fewer members, a pod that
is deleted as one does) loses nothing; a primary that is killed may lose what no replica had yet.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import control_plane as control
import pytest
import redis
from cluster_kit import Kubectl, eventually
from installation import NODES, ROOT
from redis.backoff import NoBackoff
from redis.retry import Retry

NAME = "sessions"
KIND = "statefulservices.stateward.dev"
LATER = {"redis 6": "redis:7.0", "valkey 8": "valkey:9"}
"""Series that there is a later image of."""
KILLED = 1.0
"""Seconds of acknowledged writes that a killed primary may take along at most, by what this test holds against it."""


def client(host: str, password: str, seconds: float = 1.0) -> redis.Redis:
    return redis.Redis(
        host=host,
        password=password,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
        decode_responses=True,
    )


@dataclass
class Writer:
    """A client that writes all along through the Service, and keeps when what was acknowledged."""

    host: str
    password: str = field(repr=False)
    acknowledged: dict[str, float] = field(default_factory=dict)
    failures: int = 0
    longest: float = 0.0
    """Seconds between two acknowledged writes."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.Lock)

    def __enter__(self) -> Writer:
        self._began = self._last = time.monotonic()
        self.run = base64.b32encode(os.urandom(5)).decode()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        self.seconds = time.monotonic() - self._began

    def _write(self, number: int) -> None:
        count = 0
        line = client(self.host, self.password)
        while not self._stopping.is_set():
            key = f"{self.run}/{number}/{count:06}"
            try:
                line.set(key, f"v{key}")
            except redis.RedisError:
                self.failures += 1
                line.close()
                time.sleep(0.02)
                continue  # the same key again: whether it was written is unknown
            with self._lock:
                now = time.monotonic()
                self.longest, self._last = max(self.longest, now - self._last), now
                self.acknowledged[key] = now
            count += 1
            time.sleep(0.01)
        line.close()

    def lost(self) -> list[float]:
        """When each acknowledged write was acknowledged that is not there, or otherwise."""
        keys = list(self.acknowledged)
        found: dict[str, Any] = {}
        with contextlib.closing(client(self.host, self.password, 30)) as line:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                found |= dict(zip(some, line.mget(some), strict=True))
        return sorted(self.acknowledged[key] for key in keys if found[key] != f"v{key}")

    def told(self, lost: list[float]) -> str:
        rate = len(self.acknowledged) / self.seconds
        return (
            f"{len(self.acknowledged)} acknowledged writes ({rate:.0f}/s): {len(lost)} lost, "
            f"{self.failures} refused or unanswered, {self.longest:.1f} s the longest pause"
        )


@dataclass
class Operated:
    """A cluster with the operator, and one service in it."""

    kubectl: Kubectl
    log: Path
    title: str

    def service(self) -> dict[str, Any]:
        return self.kubectl.get(KIND, NAME)

    def condition(self, kind: str) -> dict[str, Any]:
        found = self.service().get("status", {}).get("conditions", ())
        return next((one for one in found if one["type"] == kind), {})

    def settled(self, members: int) -> bool:
        """Whether all members serve, one leads, and nothing is being done."""
        status = self.service().get("status", {})
        return (
            status.get("readyMembers") == members == status.get("currentMembers") == len(status.get("members", ()))
            and all(one["ready"] for one in status["members"])
            and sorted(one["role"] for one in status["members"]) == ["primary", *["replica"] * (members - 1)]
            and self.condition("Progressing").get("status") == "False"
            and "operation" not in status
            and self.kubectl.names("pods", "-l", "stateward.dev/role=primary") == [status.get("primary")]
        )

    def settle(self, members: int, seconds: float = 180) -> None:
        try:
            eventually(lambda: self.settled(members), f"{members} members serve", seconds)
        except BaseException:
            print(json.dumps(self.service().get("status"), indent=1))
            print(self.kubectl("get", "pods,pvc,statefulsets", "-o", "wide"))
            print(self.kubectl("logs", "-l", f"stateward.dev/service={NAME}", "--all-containers", "--tail=15", "--prefix"))
            print(self.log.read_text()[-6000:])
            raise

    def primary(self) -> str:
        return str(self.service()["status"].get("primary", ""))

    def password(self) -> str:
        return base64.b64decode(self.kubectl.get("secret", f"{NAME}-credentials")["data"]["password"]).decode()

    def writer(self) -> Writer:
        return Writer(str(self.kubectl.get("service", NAME)["spec"]["clusterIP"]), self.password())

    def sentinel(self, member: str) -> tuple[int, int, int]:
        """Quorum, other Sentinels and replicas that a member's Sentinel knows."""
        host = self.kubectl.get("pod", member)["status"]["podIP"]
        line = redis.Redis(host=host, port=26379, password=self.password(), socket_timeout=3, decode_responses=True)
        with contextlib.closing(line):
            known = line.sentinel_master("mymaster")
        return int(known["quorum"]), int(known["num-other-sentinels"]), int(known["num-slaves"])


@pytest.fixture(scope="module", params=["redis:7.0", "valkey:8.1", "redis:6.0"])
def operated(request: pytest.FixtureRequest) -> Iterator[Operated]:
    if not control.may_use_shared():
        pytest.skip("nodes are needed: run as root where ../shared/cluster/cluster is")
    engine, _, series = request.param.partition(":")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stateward-redis-")))
        environment = control.shared_environment()
        kubeconfig = Path(environment["KUBECONFIG"])
        if not kubeconfig.exists():
            stack.callback(control.shared, "down")
            control.shared("up", "--nodes", str(NODES))
        image = control.shared("build-image", request.param).split()[-1]
        namespace = f"redis-e2e-{engine}-{series.replace('.', '-')}"
        kubectl = Kubectl(str(Path(environment["KUBEBUILDER_ASSETS"]) / "kubectl"), kubeconfig, folder / "cache", namespace)
        if not kubectl.get("customresourcedefinitions", KIND):
            kubectl.must("apply", "--server-side", "-f", str(ROOT / "manifests" / "crds" / "statefulservices.yaml"))
        kubectl.must("create", "namespace", namespace)
        kubectl.must("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
        stack.callback(kubectl, "delete", "namespace", namespace, "--wait=false")
        log = folder / "operator.log"
        stack.enter_context(operator(kubeconfig, namespace, log))
        service = {
            "apiVersion": "stateward.dev/v1beta1",
            "kind": "StatefulService",
            "metadata": {"name": NAME},
            "spec": {
                "engine": engine,
                "version": image.rpartition(":")[2],
                "image": image,
                "members": 3,
                "storage": {"size": "256Mi"},
                "availability": {"spread": {"nodes": "Preferred"}},
                "tls": {"enabled": False},
                "deletionPolicy": {"claims": "Delete"},
            },
        }
        eventually(lambda: kubectl("apply", "-f", "-", stdin=service).passed, "the kind is served", 30)
        yield Operated(kubectl, log, f"{engine} {image.rpartition(':')[2]}")
        # Whatever a test left: the operator has to be there to let go of it.
        kubectl("delete", KIND, NAME, "--ignore-not-found", "--timeout=90s", seconds=120)


@contextlib.contextmanager
def operator(kubeconfig: Path, namespace: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`stateward operate`, as a user runs it."""
    with log.open("ab") as written:
        program = str(Path(sys.executable).parent / "stateward")
        arguments = [program, "operate", "--kubeconfig", str(kubeconfig), "--watch", namespace, "--port", "0"]
        arguments += ["--restic-image", control.shared("build-image", "restic:0.18").split()[-1]]
        environment = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"}
        process = subprocess.Popen(arguments, stdout=written, stderr=subprocess.STDOUT, env=environment)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def test_three_members_come_up_one_leads_and_the_services_know_which(operated: Operated, say: Callable[[str], None]) -> None:
    began = time.monotonic()
    operated.settle(3)
    say(f"{operated.title}: three members serve after {time.monotonic() - began:.1f} s")
    assert [operated.sentinel(f"{NAME}-{number}") for number in range(3)] == [(2, 2, 2)] * 3
    assert operated.service()["status"]["runningVersion"] == operated.title.split()[1]
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 100, "writes are acknowledged")
    assert writer.lost() == []
    replicas = operated.kubectl.get("service", f"{NAME}-replicas")["spec"]["clusterIP"]
    with contextlib.closing(client(replicas, operated.password())) as line, pytest.raises(redis.ReadOnlyError):
        line.set("a", "b")
    with contextlib.closing(client(writer.host, "wrong")) as line, pytest.raises(redis.AuthenticationError):
        line.ping()


def replaced(operated: Operated, member: str, *how: str) -> None:
    """Deletes a pod, and waits until there is another."""
    uid = operated.kubectl.get("pod", member)["metadata"]["uid"]
    operated.kubectl.must("delete", "pod", member, "--wait=false", *how)
    eventually(lambda: operated.kubectl.get("pod", member).get("metadata", {}).get("uid", uid) != uid, "a new pod", 90)


def test_a_killed_primary_costs_what_no_replica_had_and_no_more(operated: Operated, say: Callable[[str], None]) -> None:
    operated.settle(3)
    leader = operated.primary()
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 500, "writes are acknowledged")
        killed = time.monotonic()
        # The program itself dies at once, without being told; the kubelet starts it again.
        replaced(operated, leader, "--grace-period=0", "--force")
        operated.settle(3)
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 300, "writes go on")
    lost = writer.lost()
    say(f"{operated.title}: the primary was killed under {writer.told(lost)}")
    assert all(killed - KILLED <= when <= killed + KILLED for when in lost), [when - killed for when in lost]
    assert writer.longest < 30


def test_a_primary_that_hangs_is_replaced_and_what_it_took_late_is_bounded(
    operated: Operated, say: Callable[[str], None]
) -> None:
    operated.settle(3)
    leader = operated.primary()
    address = operated.kubectl.get("pod", leader)["status"]["podIP"]
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 500, "writes are acknowledged")
        hung = time.monotonic()
        with contextlib.closing(client(address, operated.password(), 3)) as line:
            line.execute_command("CLIENT", "PAUSE", 20000)  # nobody gets an answer, Sentinels neither
        eventually(lambda: operated.primary() not in ("", leader), "another leads", 60)
        operated.settle(3)
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 300, "writes go on")
    lost = writer.lost()
    say(f"{operated.title}: the primary hung for 20 s under {writer.told(lost)}")
    assert all(hung - KILLED <= when <= hung + 30 for when in lost), [when - hung for when in lost]
    assert writer.longest < 30


def test_a_primary_whose_pod_is_deleted_hands_over_first_and_nothing_is_lost(
    operated: Operated, say: Callable[[str], None]
) -> None:
    operated.settle(3)
    leader = operated.primary()
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 300, "writes are acknowledged")
        replaced(operated, leader)
        operated.settle(3)
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 300, "writes go on")
    lost = writer.lost()
    say(f"{operated.title}: the primary's pod was deleted under {writer.told(lost)}")
    assert operated.primary() != leader
    assert lost == []


def test_members_come_and_go_one_at_a_time_and_sentinels_forget_those_that_left(
    operated: Operated, say: Callable[[str], None]
) -> None:
    operated.settle(3)
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 100, "writes are acknowledged")
        for members in (5, 3):
            began = time.monotonic()
            operated.kubectl.must("patch", KIND, NAME, "--type=merge", "-p", f'{{"spec":{{"members":{members}}}}}')
            operated.settle(members, 300)
            say(f"{operated.title}: scaled to {members} in {time.monotonic() - began:.0f} s")
            wanted = [(members // 2 + 1, members - 1, members - 1)] * members
            eventually(
                lambda wanted=wanted: [operated.sentinel(f"{NAME}-{number}") for number in range(len(wanted))] == wanted,
                "Sentinels know those that are there, and nobody else",
                60,
            )
    lost = writer.lost()
    say(f"{operated.title}: 3, 5, 3 members under {writer.told(lost)}")
    assert lost == []


def test_a_last_member_that_leads_hands_over_before_it_goes(operated: Operated, say: Callable[[str], None]) -> None:
    operated.settle(3)
    operated.kubectl.must("patch", KIND, NAME, "--type=merge", "-p", '{"spec":{"members":4}}')
    operated.settle(4)
    last = f"{NAME}-3"
    lead(operated, last)
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 300, "writes are acknowledged")
        operated.kubectl.must("patch", KIND, NAME, "--type=merge", "-p", '{"spec":{"members":3}}')
        operated.settle(3)
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 300, "writes go on")
    lost = writer.lost()
    say(f"{operated.title}: a switchover under {writer.told(lost)}")
    assert lost == []
    assert operated.primary() != last


def lead(operated: Operated, member: str) -> None:
    """Fails over until this member leads, as an administrator may."""
    for _ in range(12):
        if operated.primary() == member:
            return
        host = operated.kubectl.get("pod", member)["status"]["podIP"]
        for other in operated.service()["status"]["members"]:
            address = operated.kubectl.get("pod", other["name"])["status"]["podIP"]
            with contextlib.closing(client(address, operated.password(), 3)) as line:
                line.config_set("replica-priority", 1 if other["name"] == member else 100)
        time.sleep(12)  # Sentinels ask for it once in ten seconds
        line = redis.Redis(host=host, port=26379, password=operated.password(), socket_timeout=3, decode_responses=True)
        with contextlib.closing(line), contextlib.suppress(redis.RedisError):
            line.execute_command("SENTINEL", "FAILOVER", "mymaster")
        with contextlib.suppress(AssertionError):
            eventually(lambda: operated.primary() == member, "it leads", 20)
    operated.settle(4)
    assert operated.primary() == member


def test_all_members_restarted_at_once_come_back_with_all_data_and_one_primary(
    operated: Operated, say: Callable[[str], None]
) -> None:
    operated.settle(3)
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 300, "writes are acknowledged")
    operated.kubectl.must(
        "delete", "pods", "-l", f"stateward.dev/service={NAME}", "--grace-period=0", "--force", "--wait=false"
    )
    began = time.monotonic()
    time.sleep(2)
    operated.settle(3)
    say(f"{operated.title}: all pods killed at once, all serve again after {time.monotonic() - began:.0f} s")
    assert writer.lost() == []
    assert [operated.sentinel(f"{NAME}-{number}") for number in range(3)] == [(2, 2, 2)] * 3


def test_another_series_goes_replicas_first_after_a_backup_and_nothing_is_lost(
    operated: Operated, say: Callable[[str], None]
) -> None:
    later = LATER.get(operated.title.partition(".")[0])
    if later is None:
        pytest.skip(f"no later image than {operated.title} is at hand")
    operated.settle(3)
    image = control.shared("build-image", later).split()[-1]
    back_up(operated)
    began = time.monotonic()
    with operated.writer() as writer:
        eventually(lambda: len(writer.acknowledged) > 100, "writes are acknowledged")
        change = {"version": image.rpartition(":")[2], "image": image, "upgrade": {"majors": "InPlace"}}
        operated.kubectl.must("patch", KIND, NAME, "--type=merge", "-p", json.dumps({"spec": change}))
        eventually(lambda: operated.service()["status"].get("runningVersion") == change["version"], "all run it", 400)
        operated.settle(3, 300)
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 300, "writes go on")
    lost = writer.lost()
    took = time.monotonic() - began
    say(f"{operated.title} → {change['version']} in {took:.0f} s under {writer.told(lost)}")
    assert lost == []


def back_up(operated: Operated) -> None:
    """A backup to a claim: a new major wants one."""
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}}
    wanted = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "backups"}, "spec": claim}
    operated.kubectl.must("apply", "-f", "-", stdin=wanted)
    spec = {"service": NAME, "destination": {"claim": {"name": "backups", "path": "all"}}}
    backup = {"apiVersion": "stateward.dev/v1beta1", "kind": "ServiceBackup", "metadata": {"name": "first"}, "spec": spec}
    operated.kubectl.must("apply", "-f", "-", stdin=backup)
    eventually(
        lambda: operated.service()["status"].get("backup", {}).get("last", {}).get("name") == "first", "a backup", 180
    )


def test_a_deleted_service_takes_its_claims_along_where_that_is_asked_for(operated: Operated) -> None:
    operated.kubectl.must("delete", KIND, NAME, "--timeout=120s", seconds=150)
    kinds = "statefulsets,pods,persistentvolumeclaims,services,configmaps,poddisruptionbudgets,secrets"
    eventually(lambda: not operated.kubectl.names(kinds, "-l", f"stateward.dev/service={NAME}"), "nothing is left", 60)
