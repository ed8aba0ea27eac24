"""What is counted, and its exposition for Prometheus.

Counting is a dictionary entry on the event loop's thread, where `/metrics` is answered too: no locks, under a
microsecond a request (prometheus-client's own counters take a lock and some microseconds for each of the three).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.engine import Verdict
from stateward.policies.finding import Judged
from stateward.policies.rota import dispatch
from stateward.policies.rule import OWN
from stateward.policies.rules import RULES
from stateward.policies.view import Kind
from stateward.webhook.probes import Probes

KINDS: Final[frozenset[Kind]] = (
    frozenset(kind for kind, _, _ in dispatch(RULES))
    | frozenset(kind for rule in RULES for kind in rule.looks_at)
    | frozenset(ADAPTERS)
)
"""The kinds that appear as a label. Everything else, which a caller could make up without end, is `other`."""
OTHER: Final = "other"
OPERATIONS: Final = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
_RULES: Final = frozenset(rule.id for rule in RULES) | {f"{OWN}{number:02}" for number in range(1, 100)}

BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds. From 0.1 ms (an allowed request takes about two of that) to past the webhook's timeout of 3 s; the API server's
own histogram starts at 5 ms, where everything of ours looks alike."""


NO_PROBES: Final = Probes()


def _kind(kind: Kind) -> Kind:
    """The kind as a label; those of the user's own adapters are as few as any."""
    return kind if kind in KINDS or kind in ADAPTERS else OTHER


class Metrics:
    """The counts of one process. What `probes` and `more` say is asked at each scrape."""

    def __init__(self, probes: Probes = NO_PROBES) -> None:
        self._probes = probes
        self.more: list[Callable[[], Iterable[Metric]]] = []
        """Who else has something to expose; called on the event loop's thread."""
        self._requests: dict[tuple[str, str, str], int] = {}
        self._findings: dict[tuple[str, str, str, str], int] = {}
        self._rule_faults: dict[str, int] = {}
        self._bad: dict[str, int] = {}
        self._faults = 0
        self._buckets = [0] * (len(BUCKETS) + 1)
        self._seconds = 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    # --- counting ------------------------------------------------------------------------------------------------

    def answered(self, verdict: Verdict, seconds: float) -> None:
        """A review was answered with a verdict, after `seconds`."""
        outcome = "allow"
        request = verdict.request
        if verdict.judged:
            outcome = _outcome(verdict)
            where = (_kind(request.kind), request.operation if request.operation in OPERATIONS else OTHER)
            for one in verdict.judged:
                key = (one.rule if one.rule in _RULES else OTHER, _action(one), *where)
                self._findings[key] = self._findings.get(key, 0) + 1
        if verdict.faults:
            for rule in verdict.faults:
                rule = rule if rule in _RULES else OTHER
                self._rule_faults[rule] = self._rule_faults.get(rule, 0) + 1
        self._count(request.operation, request.kind, outcome, seconds)

    def fault(self, operation: str, kind: Kind, seconds: float) -> None:
        """A review was answered with HTTP 500: a fault of ours."""
        self._faults += 1
        self._count(operation, kind, "fault", seconds)

    def bad(self, reason: str) -> None:
        """A call was no review that can be judged. `reason` is one of the caller's constants, never its input."""
        self._bad[reason] = self._bad.get(reason, 0) + 1

    def _count(self, operation: str, kind: Kind, outcome: str, seconds: float) -> None:
        key = (operation if operation in OPERATIONS else OTHER, _kind(kind), outcome)
        self._requests[key] = self._requests.get(key, 0) + 1
        self._buckets[bisect_left(BUCKETS, seconds)] += 1
        self._seconds += seconds

    # --- exposition ----------------------------------------------------------------------------------------------

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """(body, content type) in the format that an Accept header asks for; Prometheus' text format without one."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def collect(self) -> Iterable[Metric]:
        """For prometheus-client's registry."""
        yield counter(
            "stateward_requests",
            "Reviews answered. outcome: allow, warn, deny, would-deny (in mode warn or audit), fault (HTTP 500).",
            ("operation", "kind", "outcome"),
            self._requests,
        )
        yield counter(
            "stateward_findings",
            "What rules found. action: deny, warn, audit, waived; would-deny, would-warn (in mode warn or audit).",
            ("rule", "action", "kind", "operation"),
            self._findings,
        )
        yield counter(
            "stateward_rule_faults",
            "Rules that crashed; the request was judged without them.",
            ("rule",),
            {(rule,): count for rule, count in self._rule_faults.items()},
        )
        yield counter("stateward_faults", "Reviews answered with HTTP 500: faults of Stateward.", (), {(): self._faults})
        yield counter(
            "stateward_bad_reviews",
            "Calls that were no review that can be judged, by reason.",
            ("reason",),
            {(reason,): count for reason, count in self._bad.items()},
        )
        yield self._durations()
        yield self._view_ages()
        yield from self._gauges()
        for more in self.more:
            yield from more()

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            "stateward_request_duration_seconds", "From a review's first byte to its answer, as the door sees it."
        )
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip((*map(str, BUCKETS), "+Inf"), self._buckets, strict=True):
            total += count
            buckets.append((bound, total))
        family.add_metric([], buckets, self._seconds)
        return family

    def _gauges(self) -> Iterable[Metric]:
        probes = self._probes
        yield _gauge("stateward_unknown_kinds", "Kinds that rules need and that are unknown now.", len(probes.unknown()))
        yield _gauge(
            "stateward_policy_errors", "Reasons why the wanted policy is not in force.", len(probes.policy_errors())
        )
        failures = probes.handshake_failures()
        if failures is not None:
            text = "Handshakes of the door with itself, through the published caBundle, that failed: callers fail too."
            yield counter("stateward_handshake_failures", text, (), {(): failures})
        registered = probes.registered()
        if registered is not None:
            text = "1 where the configurations are gone by which the API server asks: nothing is judged."
            yield _gauge("stateward_configuration_missing", text, not registered)
        leader = probes.leader()
        if leader is not None:
            yield _gauge("stateward_leader", "1 in the replica that writes.", leader)
        ends = GaugeMetricFamily(
            "stateward_certificate_expiry_timestamp_seconds",
            "When a certificate ends, since the epoch.",
            labels=["certificate"],
        )
        for name, moment in sorted(probes.certificates().items()):
            ends.add_metric([name], moment)
        yield ends

    def _view_ages(self) -> Metric:
        family = GaugeMetricFamily(
            "stateward_view_age_seconds",
            "Seconds since the API server was heard about a kind, +Inf for never. other: the oldest of the rest.",
            labels=("kind",),
        )
        ages: dict[str, float] = {}
        for kind, age in self._probes.ages().items():
            label = _kind(kind)
            ages[label] = max(age, ages.get(label, 0.0))
        for label, age in sorted(ages.items()):
            family.add_metric([label], age)
        return family


def _outcome(verdict: Verdict) -> str:
    if verdict.denied:
        return "deny"
    if verdict.would_deny:
        return "would-deny"
    return "warn" if verdict.warned else "allow"


def _action(one: Judged) -> str:
    if one.waiver is not None:
        return "waived"
    return f"would-{one.would}" if one.would is not None else one.action


def _gauge(name: str, documentation: str, value: float) -> Metric:
    family = GaugeMetricFamily(name, documentation)
    family.add_metric([], value)
    return family


def counter(name: str, documentation: str, labels: tuple[str, ...], counts: Mapping[Any, int]) -> Metric:
    """A counter: values of the labels (a tuple) → count."""
    family = CounterMetricFamily(name, documentation, labels=labels)
    # A copy: `collect` is also called when prometheus-client likes.
    for values, count in sorted(dict(counts).items()):
        family.add_metric(values, count)
    return family
