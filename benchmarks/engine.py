"""How long the engine takes for one review: `python benchmarks/engine.py`.

Figures in microseconds, the best and the median of several rounds: parsing (orjson alone, for comparison), the engine
on the parsed request, and bytes to bytes as the webhook calls it. The view holds what a cluster of some size would.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import orjson
from review import stateful_set, update

from stateward.policies.engine import evaluate
from stateward.policies.request import from_review
from stateward.policies.review import review
from stateward.policies.view import MemoryView

NOW = 1795262400.0


def view() -> MemoryView:
    """Nodes, classes, pods and claims of a few services."""
    objects: list[dict[str, object]] = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"node-{i}", "labels": {"kubernetes.io/os": "linux"}}}
        for i in range(20)
    ]
    for i in range(3):
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": f"etcd-{i}",
                    "namespace": "platform",
                    "ownerReferences": [{"kind": "StatefulSet", "name": "etcd", "controller": True}],
                },
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
            }
        )
    objects.append(stateful_set())
    return MemoryView(objects, lambda _: True)


def measure(what: str, call: Callable[[], object], rounds: int = 15, loops: int = 400) -> float:
    """Prints and returns the median over rounds of the mean over loops."""
    for _ in range(200):
        call()
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(loops):
            call()
        took.append((time.perf_counter() - start) / loops * 1e6)
    middle = statistics.median(took)
    print(f"{what:<34} {min(took):8.1f} best {middle:8.1f} median µs")
    return middle


def main() -> None:
    """Prints the three figures."""
    body = update()
    seen = view()
    parsed = orjson.loads(body)
    request = from_review(parsed)
    assert evaluate(request, seen, now=NOW).allowed
    whole, one = len(body) / 1024, len(orjson.dumps(request.old)) / 1024
    print(f"one review of {whole:.1f} KB, an update of a StatefulSet of {one:.1f} KB")
    measure("orjson.loads", lambda: orjson.loads(body))
    measure("engine (parsed request → verdict)", lambda: evaluate(from_review(parsed), seen, now=NOW))
    measure("review (bytes → bytes)", lambda: review(body, seen, now=NOW))


if __name__ == "__main__":
    main()
