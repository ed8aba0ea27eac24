"""The service put together: the admission routes beside, not inside, the application for everything else."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from importlib import metadata
from typing import Final

from prometheus_client.core import InfoMetricFamily, Metric

from stateward.kube.events import Events
from stateward.policies.policy import Policy
from stateward.policies.view import Kind, View
from stateward.webhook.admission import Admission, Judge
from stateward.webhook.api import Door, Ready
from stateward.webhook.asgi import Receive, Scope, Send
from stateward.webhook.auth import Guard
from stateward.webhook.convert_route import Conversion
from stateward.webhook.decisions import Decisions
from stateward.webhook.metrics import Metrics, counter
from stateward.webhook.probes import Probes
from stateward.webhook.record import Record
from stateward.webhook.rest import Guarded, application

VALIDATE: Final = "/validate"
"""The path of the admission route. DNS labels only: the API server takes no others in a `service` reference."""
MUTATE: Final = "/mutate"
CONVERT: Final = "/convert"


class App:
    """The ASGI application. A call to `/validate` or `/mutate` meets no router, no middleware and no Request object."""

    def __init__(self, admissions: Mapping[str, Admission], rest: Guarded, metrics: Metrics, decisions: Decisions) -> None:
        self.admission = admissions[VALIDATE]
        self.admissions = admissions
        self.conversion = Conversion()
        self.rest = rest
        self.metrics = metrics
        self.decisions = decisions

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine itself: one frame less on the way to the route."""
        if scope["type"] == "http":
            admission = self.admissions.get(scope["path"])
            if admission is not None:
                return admission(scope, receive, send)
            if scope["path"] == CONVERT:
                return self.conversion(scope, receive, send)
        return self.rest(scope, receive, send)

    def use(self, policy: Policy) -> None:
        """Judges by another policy, from the next request on. From any thread."""
        for admission in self.admissions.values():
            admission.policy = policy

    @property
    def leaving(self) -> bool:
        """Whether `leave` was called."""
        return self.admission.leaving

    def leave(self) -> None:
        """From now on `/readyz` says no, and answered connections are closed. Requests are judged as before."""
        for admission in self.admissions.values():
            admission.leaving = True
        self.conversion.leaving = True


def build(
    view: View,
    policy: Policy,
    *,
    ready: Ready = lambda: (True, ""),
    ages: Callable[[], Mapping[Kind, float]] | None = None,
    clock: Callable[[], float] = time.time,
    evicted: Callable[[str, str], None] | None = None,
    mutate: Judge | None = None,
    guard: Guard | None = None,
    events: Events | None = None,
    probes: Probes | None = None,
) -> App:
    """The application over a view and a policy.

    `ready` is asked at each `/readyz`, `probes` at each `/metrics` and `/v1/status` (`ages` is short for that one of
    them): none may wait for anything. `clock` gives seconds since the epoch, for waivers and backups. `evicted` is told
    the namespace and name of a pod whose eviction was allowed, before the answer is sent. `mutate` judges what comes to
    `/mutate`; without it there is no such path. Without a `guard` all but admission and health is for this machine.
    """
    probes = probes if probes is not None else Probes()
    if ages is not None:
        probes = replace(probes, ages=ages)
    guard = guard if guard is not None else Guard()
    metrics = Metrics(probes)
    decisions = Decisions(clock)
    record = Record(decisions, events, clock=clock)
    admissions = {VALIDATE: Admission(view, policy, metrics, clock=clock, evicted=evicted, decided=record)}
    if mutate is not None:
        refused = Record(decisions, events, clock=clock, only_refusals=True)
        admissions[MUTATE] = Admission(view, policy, metrics, clock=clock, judge=mutate, decided=refused)
    validate = admissions[VALIDATE]
    door = Door(
        version=metadata.version("stateward"),
        view=lambda: validate.view,
        policy=lambda: validate.policy,
        clock=clock,
        ready=lambda: (False, "shutting down") if validate.leaving else ready(),
        decisions=decisions,
        probes=probes,
    )
    metrics.more.append(lambda: _more(door, guard, events))
    return App(admissions, Guarded(application(door, metrics), guard), metrics, decisions)


def _more(door: Door, guard: Guard, events: Events | None) -> Iterable[Metric]:
    """What the parts count themselves."""
    about = InfoMetricFamily("stateward", "Version, profile and mode of this process.")
    about.add_metric([], {"version": door.version, "profile": door.policy().title, "mode": door.policy().mode})
    yield about
    yield counter("stateward_decisions_dropped", "Decisions no longer kept.", (), {(): door.decisions.dropped})
    yield counter("stateward_api_calls", "Calls that need a token, by what came of it.", ("result",), guard.counts)
    if events is not None:
        dropped = {(reason,): count for reason, count in dict(events.dropped).items()}
        yield counter("stateward_events", "Kubernetes Events written.", (), {(): events.written})
        yield counter("stateward_events_dropped", "Things never told by an Event, by reason.", ("reason",), dropped)
