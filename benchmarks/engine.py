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
from stateward.policies.policy import API_VERSION, KIND, Policy, parse
from stateward.policies.request import from_review
from stateward.policies.review import review
from stateward.policies.rules import RULES
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


EXPRESSIONS = (
    "object.spec.replicas >= 3",
    "has(object.metadata.labels) && 'app.kubernetes.io/name' in object.metadata.labels",
    "object.spec.template.spec.containers.all(c, has(c.resources) && has(c.resources.limits))",
    "object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))",
    "object.spec.template.spec.containers.all(c, c.image.startsWith('quay.io/'))",
    "object.spec.volumeClaimTemplates.all(v, v.spec.storageClassName != 'slow')",
    "oldObject == null || oldObject.spec.replicas <= object.spec.replicas",
    "object.metadata.name.matches('^[a-z-]+$')",
    "object.spec.template.spec.terminationGracePeriodSeconds >= 30",
    "quantity(object.spec.volumeClaimTemplates[0].spec.resources.requests.storage) >= quantity('5Gi')",
    "object.spec.podManagementPolicy == params.management",
    "request.userInfo.username != 'root'",
)


def own_rules() -> Policy:
    """A policy with twelve rules of its own, an expression each."""
    rules = [
        {
            "id": f"SW9{number:02}",
            "name": f"rule-{number}",
            "nature": "transition",
            "params": {"management": "Parallel"},
            "match": {"kinds": ["StatefulSet.apps"]},
            "validations": [{"expression": expression}],
        }
        for number, expression in enumerate(EXPRESSIONS, 1)
    ]
    return parse({"apiVersion": API_VERSION, "kind": KIND, "spec": {"userRules": rules}}, RULES)


def main() -> None:
    """Prints the figures."""
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
    own = own_rules()
    judged = evaluate(request, seen, own, now=NOW)
    assert judged.allowed, judged.denied
    assert not judged.faults, judged.faults
    measure("engine with 12 rules in CEL", lambda: evaluate(from_review(parsed), seen, own, now=NOW))
    measure("loading that policy", own_rules, rounds=5, loops=5)


if __name__ == "__main__":
    main()
