"""The manager: nobody waits for a service that fails or hangs, and nobody writes who does not lead."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from stateward.kube.errors import ClusterError
from stateward.operator.manager import Manager
from stateward.operator.metrics import Metrics, Page
from stateward.operator.queue import Queue
from stateward.operator.service import Key

A, B = ("prod", "a"), ("prod", "b")


def manager(reconcile: Callable[[Key], float | None], **more: object) -> Manager:
    queue: Queue[Key] = Queue(shortest=0.01, longest=0.05)
    return Manager(reconcile, lambda: [A, B], Metrics(), workers=2, queue=queue, **more)  # type: ignore[arg-type]


def until(good: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < end
        time.sleep(0.01)


def count(one: Manager, reason: str) -> float:
    return one.metrics.registry.get_sample_value("stateward_reconcile_errors_total", {"reason": reason}) or 0


def test_a_service_that_fails_is_tried_again_and_the_others_are_looked_at() -> None:
    seen: list[Key] = []

    def reconcile(key: Key) -> None:
        seen.append(key)
        if key == A:
            raise ClusterError(500, "InternalError", "no")

    one = manager(reconcile).start()
    one.changed([A, B])
    until(lambda: seen.count(A) > 2 and B in seen)
    assert one.stop()
    assert count(one, "InternalError") > 2


def test_a_fault_is_counted_and_ends_no_worker() -> None:
    seen: list[Key] = []

    def reconcile(key: Key) -> None:
        seen.append(key)
        raise KeyError("secret")

    one = manager(reconcile).start()
    one.changed([A])
    until(lambda: len(seen) > 5)
    assert one.stuck() == ""
    assert one.stop()
    assert count(one, "Fault") > 4


def test_a_service_that_hangs_holds_nobody_up_but_itself_and_is_told_of_when_it_lasts() -> None:
    freed = threading.Event()
    seen: list[Key] = []
    clock = [0.0]

    def reconcile(key: Key) -> None:
        seen.append(key)
        if key == A:
            freed.wait(60)

    one = manager(reconcile, clock=lambda: clock[0]).start()
    one.changed([A])
    until(lambda: A in seen)
    for number in range(1, 4):
        one.changed([B, A])
        until(lambda number=number: seen.count(B) >= number)  # type: ignore[misc]
    assert seen.count(A) == 1
    assert one.stuck() == ""
    clock[0] += 1000
    assert "prod/a" in one.stuck()
    freed.set()
    until(lambda: seen.count(A) == 2)
    clock[0] = 0.0
    assert one.stop()


def test_who_does_not_lead_looks_at_nothing_and_keeps_what_is_to_be_looked_at() -> None:
    leads = threading.Event()
    seen: list[Key] = []
    one = manager(seen.append, may_write=leads.is_set).start()
    one.changed([A, B])
    time.sleep(0.3)
    assert seen == []
    leads.set()
    until(lambda: sorted(seen) == [A, B])
    assert one.stop()


def test_nothing_is_looked_at_before_everything_is_known() -> None:
    why = ["Pod is not known yet"]
    seen: list[Key] = []
    one = manager(seen.append, ready=lambda: why[0]).start()
    one.changed([A])
    time.sleep(0.3)
    assert seen == []
    why[0] = ""
    until(lambda: seen == [A])
    assert one.stop()


def test_a_look_that_wants_another_one_gets_it() -> None:
    seen: list[Key] = []

    def reconcile(key: Key) -> float | None:
        seen.append(key)
        return 0.01 if len(seen) < 3 else None

    one = manager(reconcile).start()
    one.changed([A])
    until(lambda: len(seen) == 3)
    time.sleep(0.1)
    assert len(seen) == 3
    assert one.stop()


def test_every_service_is_looked_at_now_and_then() -> None:
    seen: list[Key] = []
    one = manager(seen.append, resync=0.05).start()
    until(lambda: seen.count(A) > 1 and seen.count(B) > 1)
    assert one.stop()


def test_the_page_says_what_is_wrong_and_counts() -> None:
    why = [""]
    metrics = Metrics()
    metrics.seen(A, [("ready", 2)], "NotOurs")
    metrics.certified(A, {"authority": datetime(2036, 1, 1, tzinfo=UTC), "client": datetime(2026, 1, 1, tzinfo=UTC)})
    metrics.certified(A, {"authority": datetime(2037, 1, 1, tzinfo=UTC)})
    page = Page(metrics, "127.0.0.1", 0, lambda: "", lambda: why[0]).start()
    try:
        assert asked(page.port, "/readyz") == (200, "ok\n")
        why[0] = "Pod is not known yet"
        assert asked(page.port, "/readyz") == (503, "Pod is not known yet\n")
        assert asked(page.port, "/livez")[0] == 200
        assert asked(page.port, "/other")[0] == 404
        text = asked(page.port, "/metrics")[1]
        assert 'stateward_operation_blocked{namespace="prod",reason="NotOurs",service="a"} 1.0' in text
        assert 'stateward_members{namespace="prod",service="a",state="ready"} 2.0' in text
        expiry = "stateward_service_certificate_expiry_timestamp_seconds"
        moment = datetime(2037, 1, 1, tzinfo=UTC).timestamp()
        labels = {"namespace": "prod", "service": "a", "certificate": "authority"}
        assert metrics.registry.get_sample_value(expiry, labels) == moment
        assert 'certificate="client"' not in text
        metrics.forget(A, ["ready"])
        assert 'service="a"' not in asked(page.port, "/metrics")[1]
    finally:
        page.stop()


def asked(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
