"""etcd, run by Stateward on three real nodes: what was acknowledged is there, whatever goes meanwhile."""

from __future__ import annotations

import base64
import contextlib
import http.client
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
from cluster_kit import Kubectl, eventually
from installation import NODES, ROOT

IMAGE = "etcd:3.5"
NAME = "orders"
NAMESPACE = "etcd-e2e"
BACK = '{"spec":{"version":"3.4.23"}}'


def text(value: str) -> str:
    return base64.b64encode(value.encode()).decode()


def ask(host: str, path: str, body: dict[str, Any], seconds: float = 3.0) -> dict[str, Any]:
    """A call to etcd's JSON gateway. Raises OSError."""
    connection = http.client.HTTPConnection(host, 2379, timeout=seconds)
    try:
        connection.request("POST", path, json.dumps(body))
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except http.client.HTTPException as error:
        raise OSError(str(error)) from None
    finally:
        connection.close()
    if answer.status != 200 or not isinstance(found, dict):
        raise OSError(f"{path}: {answer.status}")
    return found


@dataclass
class Writer:
    """A client that writes all along through the Service, and keeps what was acknowledged."""

    host: str
    acknowledged: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    longest: float = 0.0
    """Seconds between two acknowledged writes."""
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Writer:
        self._last = time.monotonic()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(4)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        count = 0
        while not self._stopping.is_set():
            key = f"{number}/{count:06}"
            try:
                ask(self.host, "/v3/kv/put", {"key": text(key), "value": text(f"v{key}")})
            except (OSError, ValueError):
                self.failures += 1
                time.sleep(0.02)
                continue  # the same key again: whether it was written is unknown
            now = time.monotonic()
            self.longest, self._last = max(self.longest, now - self._last), now
            self.acknowledged[key] = f"v{key}"
            count += 1

    def lost(self) -> list[str]:
        """Acknowledged keys that are not there, or otherwise."""
        found: dict[str, str] = {}
        start = "\0"
        while True:
            body = {"key": text(start), "range_end": text("\0"), "limit": 2000}
            rows = ask(self.host, "/v3/kv/range", body, 30).get("kvs", [])
            for row in rows:
                found[base64.b64decode(row["key"]).decode()] = base64.b64decode(row["value"]).decode()
            if len(rows) < 2000:
                break
            start = base64.b64decode(rows[-1]["key"]).decode() + "\0"
        return [key for key, value in self.acknowledged.items() if found.get(key) != value]


@dataclass
class Operated:
    """A cluster with the operator, and one service in it."""

    kubectl: Kubectl
    log: Path
    name: str = NAME

    def service(self) -> dict[str, Any]:
        return self.kubectl.get("statefulservices.stateward.dev", self.name)

    def change(self, **spec: Any) -> None:
        """A merge patch of its spec."""
        patch = json.dumps({"spec": spec})
        self.kubectl.must("patch", "statefulservices.stateward.dev", self.name, "--type=merge", "-p", patch)

    def pods(self) -> set[str]:
        """Their uids."""
        found = self.kubectl.get("pods", "-l", f"stateward.dev/service={self.name}").get("items", ())
        return {pod["metadata"]["uid"] for pod in found}

    def runs(self, version: str) -> bool:
        """Whether all members run a version, in pods of one template, and nothing is left to do."""
        status = self.service().get("status", {})
        pods = self.kubectl.get("pods", "-l", f"stateward.dev/service={self.name}").get("items", ())
        return (
            self.settled(3)
            and {one["version"] for one in status["members"]} == {version}
            and len({pod["metadata"]["annotations"]["stateward.dev/runs"] for pod in pods}) == 1
        )

    def condition(self, kind: str) -> dict[str, Any]:
        found = self.service().get("status", {}).get("conditions", ())
        return next((one for one in found if one["type"] == kind), {})

    def settled(self, members: int) -> bool:
        """Whether all members serve, have a vote, and nothing is being done."""
        status = self.service().get("status", {})
        return (
            status.get("readyMembers") == members == status.get("currentMembers") == len(status.get("members", ()))
            and all(one["ready"] and one["role"] in ("leader", "follower") for one in status["members"])
            and self.condition("Progressing").get("status") == "False"
            and "operation" not in status
        )

    def settle(self, members: int, seconds: float = 180) -> None:
        try:
            eventually(lambda: self.settled(members), f"{members} members serve", seconds)
        except BaseException:
            print(json.dumps(self.service().get("status"), indent=1))
            print(self.kubectl("get", "pods,pvc,statefulsets", "-o", "wide"))
            print(self.log.read_text()[-6000:])
            raise

    def address(self) -> str:
        """Of the Service that clients use."""
        return str(self.kubectl.get("service", self.name)["spec"]["clusterIP"])

    def peers(self) -> list[str]:
        """The members that etcd itself lists, those with a vote."""
        found = ask(self.address(), "/v3/cluster/member/list", {})["members"]
        return sorted(one["name"] for one in found if not one.get("isLearner"))


@pytest.fixture(scope="module")
def operated() -> Iterator[Operated]:
    if not control.may_use_shared():
        pytest.skip("nodes are needed: run as root where ../shared/cluster/cluster is")
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stateward-etcd-")))
        environment = control.shared_environment()
        if not Path(environment["KUBECONFIG"]).exists():
            stack.callback(control.shared, "down")
        control.shared("up", "--nodes", str(NODES))
        image = control.shared("build-image", IMAGE).split()[-1]
        kubeconfig = Path(environment["KUBECONFIG"])
        program = str(Path(environment["KUBEBUILDER_ASSETS"]) / "kubectl")
        kubectl = Kubectl(program, kubeconfig, folder / "cache", NAMESPACE)
        kubectl.must("apply", "--server-side", "-f", str(ROOT / "manifests" / "crds" / "statefulservices.yaml"))
        kubectl.must("create", "namespace", NAMESPACE)
        enforced = "pod-security.kubernetes.io/enforce=restricted"
        kubectl.must("label", "namespace", NAMESPACE, enforced)
        stack.callback(kubectl, "delete", "namespace", NAMESPACE, "--wait=false")
        log = folder / "operator.log"
        stack.enter_context(operator(kubeconfig, log))
        eventually(lambda: kubectl("apply", "-f", "-", stdin=manifest(NAME, image)).passed, "the kind is served", 30)
        one = Operated(kubectl, log)
        yield one
        # Whatever a test left: the operator has to be there to let go of it.
        kubectl("delete", "statefulservices.stateward.dev", NAME, "--ignore-not-found", "--timeout=60s", seconds=90)


def manifest(name: str, image: str) -> dict[str, Any]:
    """A service of three members of this image's version."""
    return {
        "apiVersion": "stateward.dev/v1beta1",
        "kind": "StatefulService",
        "metadata": {"name": name},
        "spec": {
            "engine": "etcd",
            "version": image.rpartition(":")[2],
            "image": image,
            "members": 3,
            "storage": {"size": "256Mi"},
            "availability": {"spread": {"nodes": "Preferred"}},
            "tls": {"enabled": False},
            "deletionPolicy": {"claims": "Delete"},
        },
    }


@contextlib.contextmanager
def operator(kubeconfig: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`stateward operate`, as a user runs it."""
    with log.open("ab") as written:
        arguments = [
            str(Path(sys.executable).parent / "stateward"),
            "operate",
            "--kubeconfig",
            str(kubeconfig),
            "--port",
            "0",
        ]
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


def test_three_members_come_up_on_three_nodes_under_the_restricted_profile(
    operated: Operated, say: Callable[[str], None]
) -> None:
    began = time.monotonic()
    operated.settle(3)
    say(f"etcd: three members serve after {time.monotonic() - began:.1f} s")
    assert operated.peers() == [f"{NAME}-{number}" for number in range(3)]
    status = operated.service()["status"]
    assert {one["role"] for one in status["members"]} == {"leader", "follower"}
    assert len({one["node"] for one in status["members"]}) == 3
    assert status["runningVersion"].startswith("3.5.")
    assert operated.condition("Ready")["status"] == "True"
    assert operated.condition("Ready")["observedGeneration"] == 1


def test_no_acknowledged_write_is_lost_when_a_member_is_killed(operated: Operated, say: Callable[[str], None]) -> None:
    operated.settle(3)
    leader = operated.service()["status"]["primary"]
    with Writer(operated.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > 300, "writes are acknowledged")
        uid = operated.kubectl.get("pod", leader)["metadata"]["uid"]
        operated.kubectl.must("delete", "pod", leader, "--grace-period=0", "--force")
        eventually(lambda: operated.kubectl.get("pod", leader).get("metadata", {}).get("uid", uid) != uid, "a new pod", 60)
        operated.settle(3)
        before = len(writer.acknowledged)
        eventually(lambda: len(writer.acknowledged) > before + 300, "writes go on")
    lost = writer.lost()
    say(
        f"etcd: the leader was killed under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost, "
        f"{writer.failures} refused or unanswered, {writer.longest:.1f} s the longest pause"
    )
    assert lost == []


def test_members_are_added_and_taken_away_one_at_a_time_and_nothing_is_lost(
    operated: Operated, say: Callable[[str], None]
) -> None:
    operated.settle(3)
    patch = '{"spec":{"members":%d}}'
    with Writer(operated.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > 100, "writes are acknowledged")
        for members in (5, 3, 5):  # the second time over what the first left behind
            began = time.monotonic()
            operated.kubectl.must("patch", "statefulservices.stateward.dev", NAME, "--type=merge", "-p", patch % members)
            operated.settle(members, 300)
            say(f"etcd: scaled to {members} in {time.monotonic() - began:.0f} s")
            assert operated.peers() == [f"{NAME}-{number}" for number in range(members)]
    lost = writer.lost()
    say(
        f"etcd: 3, 5, 3, 5 members under {len(writer.acknowledged)} acknowledged writes: {len(lost)} lost, "
        f"{writer.failures} refused or unanswered, {writer.longest:.1f} s the longest pause"
    )
    assert lost == []


def test_an_upgrade_to_the_next_minor_loses_no_acknowledged_write(operated: Operated, say: Callable[[str], None]) -> None:
    before, after = (control.shared("build-image", f"etcd:{series}").split()[-1] for series in ("3.4", "3.5"))
    older = Operated(operated.kubectl, operated.log, "older")
    older.kubectl.must("apply", "-f", "-", stdin=manifest(older.name, before))
    try:
        upgraded(older, before, after, say)
    finally:
        older.kubectl("delete", "statefulservices.stateward.dev", older.name, "--timeout=90s", seconds=120)


def upgraded(older: Operated, before: str, after: str, say: Callable[[str], None]) -> None:
    """An upgrade, and after it a restart, with a writer all along."""
    version = after.rpartition(":")[2]
    older.settle(3)
    with Writer(older.address()) as writer:
        eventually(lambda: len(writer.acknowledged) > 200, "writes are acknowledged", 60)
        for what, change in (
            ("upgraded", {"version": version, "image": after}),
            ("restarted", {"resources": {"requests": {"cpu": "50m"}}}),
        ):
            kept = older.pods()
            writer.longest, writer.failures, count, began = 0.0, 0, len(writer.acknowledged), time.monotonic()
            older.change(**change)
            eventually(lambda kept=kept: not older.pods() & kept and older.runs(version), f"all are {what}", 300)  # type: ignore[misc]
            seconds = time.monotonic() - began
            say(
                f"etcd: {before.rpartition(':')[2]}, {what} to {version} in {seconds:.0f} s under "
                f"{(len(writer.acknowledged) - count) / seconds:.0f} acknowledged writes/s: {writer.failures} refused or "
                f"unanswered, {writer.longest:.1f} s the longest time without one"
            )
    assert writer.lost() == []
    assert older.service()["status"]["finalisedVersion"] == "3.5"
    refused = older.kubectl("patch", "statefulservices.stateward.dev", older.name, "--type=merge", "-p", BACK)
    assert "older members cannot read it" in refused.err


def test_a_deleted_service_takes_its_claims_along_where_that_is_asked_for(operated: Operated) -> None:
    operated.kubectl.must("delete", "statefulservices.stateward.dev", NAME, "--timeout=90s", seconds=120)
    kinds = "statefulsets,pods,persistentvolumeclaims,services,configmaps,poddisruptionbudgets"
    eventually(lambda: not operated.kubectl.names(kinds, "-l", f"stateward.dev/service={NAME}"), "nothing is left", 60)
