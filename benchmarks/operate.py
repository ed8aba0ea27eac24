"""The operator at scale: `python benchmarks/operate.py [--services 500] [--plain]`.

A control plane of its own (etcd, kube-apiserver, kube-controller-manager; no nodes) with so many StatefulServices of three
members, and `stateward operate` as a process of its own, as it is installed. Kubelets and etcd are stood in for, each member
at an address of its own, with TLS (`members.py`). Measured is the operator alone:

- steady: nothing changes. Processor time, calls to the API server for anything but Leases, what members are asked.
- changes: members die (half of them close their connections, half hang) and return; a parameter is changed. From the
  write that says so until the API server tells of what the operator made of it: the status, or the ConfigMap.
- memory: the most that was resident.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "cluster"))

import control_plane as control  # noqa: E402
from load import cpu_seconds, percentile  # noqa: E402
from members import Members  # noqa: E402

from stateward.kube.client import Cluster, path_of  # noqa: E402
from stateward.operator.informer import Informers  # noqa: E402
from stateward.operator.service import KIND, Key  # noqa: E402
from stateward.operator.voice import OWN  # noqa: E402
from stateward.policies.view import mapping_of  # noqa: E402

PER_NAMESPACE = 50
FLAGS = ("--service-cluster-ip-range=10.0.0.0/16",)
CONTROLLER_FLAGS = ("--kube-api-qps=300", "--kube-api-burst=600", "--concurrent-statefulset-syncs=10")
"""Room for so many Services, and controllers that are not what is waited for."""
CRDS = ("statefulservices", "servicebackups", "servicerestores", "wardpolicies")
_OURS = "statefulservices|statefulsets|pods|services|configmaps|secrets|serviceaccounts|poddisruptionbudgets|networkpolicies"


class Watch:
    """What the API server tells of services and their ConfigMaps, and when."""

    def __init__(self, cluster: Cluster) -> None:
        self._told = threading.Condition()
        self.look = Informers(cluster, self._changed, kinds=(KIND, "ConfigMap")).start()

    def _changed(self, _: Iterable[Key]) -> None:
        with self._told:
            self._told.notify_all()

    def until(self, there: Callable[[], bool], seconds: float) -> bool:
        """Waits until something is so; whether it is."""
        until = time.monotonic() + seconds
        with self._told:
            while not there():
                if not self._told.wait(max(0.0, until - time.monotonic())) and time.monotonic() >= until:
                    return False
        return True

    def ready(self, key: Key) -> int:
        """How many members serve, by the status."""
        found = mapping_of(self.look.get(KIND, *key) or {}, "status").get("readyMembers")
        return found if isinstance(found, int) else -1

    def whole(self, keys: Iterable[Key]) -> int:
        """How many services have all their members."""
        return sum(_is_whole(mapping_of(self.look.get(KIND, *key) or {}, "status")) for key in keys)

    def files(self, key: Key) -> str:
        """What the members read."""
        return str(mapping_of(self.look.get("ConfigMap", key[0], f"{key[1]}-config") or {}, "data"))


def _is_whole(status: Any) -> bool:
    several = status.get("conditions") or ()
    return any(one["type"] == "Ready" and one["reason"] == "AllMembersServe" for one in several) and not status.get(
        "operation"
    )


@contextmanager
def operating(kubeconfig: Path, log: Path, arguments: Iterable[str]) -> Iterator[subprocess.Popen[bytes]]:
    """`stateward operate`."""
    program = str(Path(sys.executable).parent / "stateward")
    environment = {key: value for key, value in os.environ.items() if key not in ("KUBECONFIG", "POD_NAMESPACE")}
    command = [program, "operate", "--kubeconfig", str(kubeconfig), "--port", "0", *arguments]
    with log.open("wb") as written:
        running = subprocess.Popen(command, stdout=written, stderr=subprocess.STDOUT, env=environment)
    try:
        yield running
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)


def calls(cluster: Cluster) -> dict[str, int]:
    """How often the API server was asked since its start, about what a service is made of; watches are not counted."""
    found: dict[str, int] = {}
    with cluster.open("GET", "/metrics", accept="text/plain") as answer:
        text = b"".join(answer.chunks()).decode()
    for line in re.findall(r"^apiserver_request_total\{(.*)\} (\S+)$", text, re.MULTILINE):
        labels = dict(re.findall(r'(\w+)="([^"]*)"', line[0]))
        if re.fullmatch(_OURS, labels["resource"]) and labels["verb"] != "WATCH":
            where = f"{labels['verb']} {labels['resource']}" + (f"/{labels['subresource']}" if labels["subresource"] else "")
            found[where] = found.get(where, 0) + int(float(line[1]))
    return found


def resident(pid: int, field: str = "VmHWM") -> float:
    """Megabytes of memory: the most so far, or (`VmRSS`) now."""
    return int(re.findall(rf"{field}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def create(cluster: Cluster, services: int, tls: bool) -> list[Key]:
    """The services, in namespaces."""
    import yaml

    for name in CRDS:
        crd = yaml.safe_load((HERE.parent / "manifests" / "crds" / f"{name}.yaml").read_text())
        crd["spec"]["conversion"] = {"strategy": "None"}
        cluster.apply(
            path_of("apis", "apiextensions.k8s.io", "v1", "customresourcedefinitions", crd["metadata"]["name"]),
            crd,
            field_manager="benchmark",
        )
    keys = [(f"scale-{number // PER_NAMESPACE}", f"db-{number}") for number in range(services)]
    for namespace in dict.fromkeys(key[0] for key in keys):
        cluster.create(path_of("api", "v1", "namespaces"), {"metadata": {"name": namespace}})
    spec = {"engine": "etcd", "version": "3.5.16", "members": 3, "storage": {"size": "1Gi"}, "tls": {"enabled": tls}}
    for namespace, name in keys:
        body = {"apiVersion": OWN.api_version, "kind": OWN.kind_name, "metadata": {"name": name}, "spec": spec}
        _again(lambda namespace=namespace, body=body: cluster.create(OWN.path_to(namespace), body))
    return keys


def _again(call: Callable[[], object]) -> None:
    from stateward.kube.errors import ClusterError

    for _ in range(30):
        try:
            call()
        except ClusterError:
            time.sleep(1)  # the kind is not served yet
        else:
            return
    call()


def steady(cluster: Cluster, members: Members, pid: int, seconds: float) -> None:
    """Nothing changes."""
    before, spent, asked, opened, began = calls(cluster), cpu_seconds(pid), members.asked, members.opened, time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    spent = cpu_seconds(pid) - spent
    made = {name: count - before.get(name, 0) for name, count in calls(cluster).items() if count > before.get(name, 0)}
    print(f"steady, {took:.0f} s        {spent / took:7.2%} of a core")
    print(f"  calls to the API server  {sum(made.values())}  {made or ''}")
    rate, made_anew = (members.asked - asked) / took, members.opened - opened
    print(f"  members asked            {rate:.1f} a second, {made_anew} connections made")
    print(f"  resident now             {resident(pid, 'VmRSS'):.0f} MB", flush=True)


def changing(cluster: Cluster, members: Members, watch: Watch, keys: list[Key], count: int, rate: float, pid: int) -> None:
    """Members die and return at a rate, and parameters change."""
    chosen = random.Random(7).sample(keys, min(count, len(keys)))  # noqa: S311 - which ones does not matter
    took: dict[str, list[float]] = {}
    late: list[str] = []
    lock = threading.Lock()

    def timed(what: str, key: Key, act: Callable[[], object], there: Callable[[], bool]) -> None:
        began = time.monotonic()
        act()
        good = watch.until(there, 30)
        with lock:
            took.setdefault(what, []).append(time.monotonic() - began)
            if not good:
                late.append(f"{what} {key}")

    def one(number: int, key: Key) -> None:
        member, hangs = f"{key[1]}-{number % 3}", number % 2 == 1
        how = "hangs" if hangs else "closes"
        timed(f"a member {how}", key, lambda: members.dies(key, member, hangs=hangs), lambda: watch.ready(key) == 2)
        time.sleep(8)
        timed("a member returns", key, lambda: members.returns(key, member), lambda: watch.ready(key) == 3)
        body = {"spec": {"parameters": {"snapshot-count": 5000 + number}}}
        wanted = str(5000 + number)
        timed("a parameter", key, lambda: cluster.patch(OWN.path_to(*key), body), lambda: wanted in watch.files(key))

    spent, began = cpu_seconds(pid), time.monotonic()
    threads = []
    for number, key in enumerate(chosen):
        thread = threading.Thread(target=one, args=(number, key), daemon=True)
        thread.start()
        threads.append(thread)
        time.sleep(1 / rate)
    for thread in threads:
        thread.join(120)
    spent, total = cpu_seconds(pid) - spent, time.monotonic() - began
    print(f"{len(chosen)} members die and return, {rate:g} a second: {spent / total:.1%} of a core for {total:.0f} s")
    every = [value for several in took.values() for value in several]
    for what, several in (*took.items(), ("all of these", every)):
        middle, high, most = (1e3 * value for value in (statistics.median(several), percentile(several, 0.99), max(several)))
        print(f"  {what:24} p50 {middle:5.0f} ms   p99 {high:5.0f} ms   most {most:5.0f} ms   ({len(several)})")
    print(f"  not acted on in 30 s     {len(late)}: {', '.join(late[:5])}" if late else "  all acted on in 30 s", flush=True)


def main() -> None:
    """Runs all of it."""
    parsed = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsed.add_argument("--services", type=int, default=500)
    parsed.add_argument("--changes", type=int, default=100, help="how many members die and return")
    parsed.add_argument("--rate", type=float, default=1.0, help="of them a second")
    parsed.add_argument("--seconds", type=float, default=120.0, help="how long the steady state is measured")
    parsed.add_argument("--plain", action="store_true", help="members without TLS")
    parsed.add_argument("--log", type=Path, help="where the operator's log is kept")
    parsed.add_argument("--hold", action="store_true", help="waits for Enter before anything is stopped")
    given = parsed.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        binaries = control.programs(print)
        more: Any = {"flags": FLAGS, "controller_flags": CONTROLLER_FLAGS}
        with control.ControlPlane(binaries, folder, controllers=True, **more) as plane:
            cluster = Cluster.from_kubeconfig(plane.kubeconfig)
            keys = create(cluster, given.services, not given.plain)
            watch = Watch(cluster)
            log = given.log or folder / "operator.log"
            with Members(cluster, tls=not given.plain) as members, operating(plane.kubeconfig, log, ()) as process:
                measure(cluster, members, watch, keys, process.pid, given)
                if given.hold:
                    print(flush=True)
                    input(f"the operator is process {process.pid}, KUBECONFIG={plane.kubeconfig}; Enter ends all: ")
            watch.look.stop()
            cluster.close()


def measure(cluster: Cluster, members: Members, watch: Watch, keys: list[Key], pid: int, given: argparse.Namespace) -> None:
    """Made, steady, changing, steady again."""
    began, spent = time.monotonic(), cpu_seconds(pid)
    while (whole := watch.whole(keys)) < len(keys):
        watch.until(lambda was=whole: watch.whole(keys) >= min(len(keys), was + 50), 20)
        print(f"{time.monotonic() - began:5.0f} s: {watch.whole(keys)} of {len(keys)} services are whole", flush=True)
        if time.monotonic() - began > 3600:
            sys.exit("they do not become whole")
    took, spent = time.monotonic() - began, cpu_seconds(pid) - spent
    print(f"\n{len(keys)} services, {3 * len(keys)} members, made in {took:.0f} s, {spent / len(keys) * 1e3:.0f} ms each")
    if given.hold:
        return
    time.sleep(75)  # those that were just made are looked at again
    steady(cluster, members, pid, given.seconds)
    changing(cluster, members, watch, keys, given.changes, given.rate, pid)
    time.sleep(75)
    steady(cluster, members, pid, given.seconds)
    print(f"memory, at most        {resident(pid):7.0f} MB")


if __name__ == "__main__":
    main()
