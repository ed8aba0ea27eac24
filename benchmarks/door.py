"""How fast the door is, and what it needs: `python benchmarks/door.py [throughput|latency|memory|start]`.

The door is `stateward serve` with a stand-in for an API server (a process of its own) that has 1,000 objects, over TLS
with keep-alive, on a processor of its own where there are two; all else is on the other. It is compared with an ASGI
application in the same server that only parses the same body and answers that all is well.

throughput: both in turn, as many requests a second as they take, and processor time a request.
latency: at half of the door's throughput, at a fixed rate; then with 50,000 pods that are read again while 500 change a
second. A latency counts from when a call was due.
memory: of the idle door with 1,000 objects and with 50,000 pods.
start: from the start of the process, after it was killed, to the first refusal.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from load import Arrivals, Target, burst, connect, percentile, receive, request
from review import update
from servers import CLIENT, api_server, door, door_command, echoing, pin, process, resident, said

REQUESTS = 2_000
ROUNDS = 9
SECONDS = 10.0
FEW, MANY = 930, 50_000
CHANGES = 500


def throughput(folder: Path) -> float:
    """Prints the throughput of both and the ratio, round by round in turn; the door's requests a second."""
    call = request(update())
    with api_server(FEW, folder) as (_, kubeconfig), door(kubeconfig, folder) as one, echoing(folder) as other:
        rounds = [(burst(one, call, REQUESTS), burst(other, call, REQUESTS)) for _ in range(ROUNDS)]
    print(f"one review of {len(update()) / 1024:.1f} KB, {ROUNDS} rounds of {REQUESTS} in turn, TLS")
    for name, place in (("door", 0), ("echo", 1)):
        found = [both[place] for both in rounds]
        rates, cpus = [each.rate for each in found], [each.cpu for each in found]
        print(
            f"{name:<6} {statistics.median(rates):6.0f} requests/s (median; best {max(rates):.0f}), "
            f"{statistics.median(cpus):.0f} µs of processor time each (median; best {min(cpus):.0f})"
        )
    by_rate = [100 * one.rate / other.rate for one, other in rounds]
    by_cpu = [100 * other.cpu / one.cpu for one, other in rounds]
    for name, ratios in (("requests/s", by_rate), ("processor time", by_cpu)):
        print(f"door/echo by {name}: {statistics.median(ratios):.1f} % (median), {min(ratios):.1f} to {max(ratios):.1f} %")
    return statistics.median([one.rate for one, _ in rounds])


def latency(folder: Path, rate: float = 0.0) -> None:
    """Prints the latencies at half load, quiet and while 50,000 pods are read again."""
    call = request(update())
    with api_server(FEW, folder) as (_, kubeconfig), door(kubeconfig, folder) as target:
        rate = rate or best_of(target, call)
        report("half load", rate / 2, timed(target, call, rate / 2, SECONDS))
    with api_server(MANY, folder) as (url, kubeconfig), door(kubeconfig, folder) as target:
        burst(target, call, 500)
        report(f"half load, {MANY} pods", rate / 2, timed(target, call, rate / 2, SECONDS))
        with Arrivals(target, call, rate / 2) as arrivals:
            tell(url, f"rate?n={CHANGES}")
            time.sleep(2)
            report(f"… and {CHANGES} changes/s", rate / 2, [took for _, took in arrivals.seconds])
            lists, began = listed(url)[0], len(arrivals.seconds)
            tell(url, "expire")
            until = time.monotonic() + 120
            while listed(url)[0] == lists and time.monotonic() < until:
                time.sleep(0.05)
            found = [took for _, took in arrivals.seconds[began:]]
        report(f"… and read again ({listed(url)[1]:.0f} s)", rate / 2, found)


def best_of(target: Target, call: bytes) -> float:
    """Requests a second, the median of some rounds."""
    return statistics.median(each.rate for each in (burst(target, call, REQUESTS) for _ in range(3)))


def timed(target: Target, call: bytes, rate: float, seconds: float) -> list[float]:
    """Latencies at a fixed rate, without the first second."""
    with Arrivals(target, call, rate) as arrivals:
        time.sleep(seconds + 1)
    first = min(due for due, _ in arrivals.seconds)
    return [took for due, took in arrivals.seconds if due > first + 1]


def report(what: str, rate: float, seconds: list[float]) -> None:
    """Prints percentiles."""
    shares = (0.5, 0.9, 0.99, 0.999, 1.0)
    found = "  ".join(f"p{share * 100:g} {percentile(seconds, share) * 1000:.2f}" for share in shares)
    print(f"{what:<34} {rate:5.0f}/s × {len(seconds):6}  {found} ms")


def memory(folder: Path) -> None:
    """Prints the memory of the idle door."""
    for pods in (FEW, MANY):
        with api_server(pods, folder) as (url, kubeconfig), door(kubeconfig, folder) as target:
            burst(target, request(update()), 500)
            time.sleep(1)
            line = f"{pods:6} pods: {resident(target.pid):.0f} MB"
            lists = listed(url)[0]
            tell(url, "expire")
            while listed(url)[0] == lists:
                time.sleep(0.1)
            time.sleep(1)
            print(f"{line}; read again {resident(target.pid):.0f} MB")


def start(folder: Path) -> None:
    """Prints the time from a kill and a restart to the first refusal."""
    asked = orjson.loads(update())
    asked["request"]["object"] = copy.deepcopy(asked["request"]["object"])
    asked["request"]["object"]["spec"]["replicas"] = 1
    call = request(orjson.dumps(asked))
    times = []
    with api_server(FEW, folder) as (_, kubeconfig):
        with door(kubeconfig, folder):
            pass  # certificates are made once
        for _ in range(7):
            began = time.perf_counter()
            with refusing(kubeconfig, folder, call):
                times.append(time.perf_counter() - began)
    print(
        f"from the start of the process to the first refusal: {min(times):.2f} s best, {statistics.median(times):.2f} median"
    )


@contextmanager
def refusing(kubeconfig: Path, certs: Path, call: bytes) -> Iterator[None]:
    """A door that has refused something; killed afterwards."""
    with process(*door_command(kubeconfig, certs)) as running:
        port = int(said(running, r"answers at https://127\.0\.0\.1:(\d+)/"))
        connection = connect(Target(port, certs / "ca.crt", running.pid))
        connection.sendall(call)
        receive(connection, b'"allowed":false')
        yield
        connection.close()
        running.kill()


def tell(url: str, command: str) -> None:
    """Has the stand-in do something."""
    urllib.request.urlopen(f"{url}/-/{command}", b"", timeout=10).close()  # noqa: S310


def listed(url: str) -> tuple[int, float]:
    """How often all pods were listed, and how many seconds the last time took."""
    with urllib.request.urlopen(f"{url}/-/listed", timeout=10) as answer:  # noqa: S310
        found = orjson.loads(answer.read())
    return found["listed"], found["took"]


def main() -> None:
    """Prints what is asked for, or all."""
    pin(CLIENT)
    asked = sys.argv[1:] or ["throughput", "latency", "memory", "start"]
    with tempfile.TemporaryDirectory() as name:
        folder, rate = Path(name), 0.0
        if "throughput" in asked:
            rate = throughput(folder)
        if "latency" in asked:
            latency(folder, rate)
        if "memory" in asked:
            memory(folder)
        if "start" in asked:
            start(folder)


if __name__ == "__main__":
    main()
