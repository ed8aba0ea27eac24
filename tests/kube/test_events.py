"""Events: counted up, limited, and never waited for."""

import json
import threading
import time

import pytest

from stateward.kube.client import Cluster
from stateward.kube.events import About, Events, Happening

EVENTS = "/api/v1/namespaces/prod/events"
DB = About("apps/v1", "StatefulSet", "prod", "db", "uid-db")


@pytest.fixture
def cluster(kubeconfig):
    with_cluster = Cluster.from_kubeconfig(kubeconfig)
    yield with_cluster
    with_cluster.close()


@pytest.fixture
def taken(api):
    """What was written: (method, path, body)."""
    taken = []

    def take(to, asked):
        taken.append((asked.method, asked.path, json.loads(asked.body)))
        to.send(200, {"kind": "Event"})

    class Any(dict):
        def __contains__(self, what):
            return what.split(" ")[0] in ("POST", "PATCH")

        def __getitem__(self, what):
            return take

    api._always = Any()
    return taken


def happening(about=DB, rule="SW201", message="no", at=1_800_000_000.0):
    return Happening(about, rule, "EditRefused", message, at)


def test_an_event_is_on_the_object_and_says_which_rule_refused(cluster, taken, kit):
    with Events(cluster, "pod-1") as events:
        events.tell(happening(message="SW201 refuses this"))
        assert kit.wait_for(lambda: taken)
    [(method, path, body)] = taken
    assert (method, path) == ("POST", EVENTS)
    assert body["involvedObject"] == {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "namespace": "prod",
        "name": "db",
        "uid": "uid-db",
    }
    assert (body["type"], body["reason"], body["message"], body["count"]) == (
        "Warning",
        "EditRefused",
        "SW201 refuses this",
        1,
    )
    assert body["metadata"]["name"].startswith("db.")
    assert body["lastTimestamp"] == "2027-01-15T08:00:00Z"
    assert body["reportingInstance"] == "pod-1"
    assert events.written == 1


def test_what_comes_again_counts_the_same_event_up(cluster, taken, kit):
    with Events(cluster, "pod", again=0.2) as events:
        events.tell(happening())
        assert kit.wait_for(lambda: len(taken) == 1)
        for moment in range(5):
            events.tell(happening(at=1_800_000_001.0 + moment))
        assert kit.wait_for(lambda: taken[-1][2]["count"] == 6)
    name = taken[0][2]["metadata"]["name"]
    assert {(method, path) for method, path, _ in taken[1:]} == {("PATCH", f"{EVENTS}/{name}")}
    assert taken[-1][2]["lastTimestamp"] == "2027-01-15T08:00:05Z"
    assert not events.dropped


def test_different_rules_and_objects_are_different_events(cluster, taken, kit):
    other = About("apps/v1", "StatefulSet", "prod", "db", "another-uid")
    with Events(cluster, "pod") as events:
        for one in (happening(), happening(rule="SW401"), happening(about=other)):
            events.tell(one)
        assert kit.wait_for(lambda: len(taken) == 3)


def test_what_is_in_no_namespace_has_its_events_in_default(cluster, taken, kit):
    with Events(cluster, "pod") as events:
        events.tell(happening(about=About("v1", "PersistentVolume", "", "pv:1")))
        assert kit.wait_for(lambda: taken)
    _, path, body = taken[0]
    assert path == "/api/v1/namespaces/default/events"
    assert "namespace" not in body["involvedObject"]
    assert body["metadata"]["name"].startswith("stateward.")


def test_an_event_whose_time_was_up_is_written_anew(api, cluster, kit):
    made, patched = [], []

    def make(to, asked):
        made.append(json.loads(asked.body))
        to.send(201, {})

    api.always(f"POST {EVENTS}", make)
    with Events(cluster, "pod", again=0.1) as events:
        events.tell(happening())
        assert kit.wait_for(lambda: made)
        path = f"{EVENTS}/{made[0]['metadata']['name']}"
        api.always(f"PATCH {path}", lambda to, asked: (patched.append(1), to.send(404, kit.status(404, "NotFound", "gone"))))
        events.tell(happening())
        assert kit.wait_for(lambda: len(made) == 2)
    assert patched
    assert made[1]["count"] == 1
    assert made[1]["metadata"]["name"] != made[0]["metadata"]["name"]


def test_more_than_the_limit_allows_waits_and_is_counted_up(cluster, taken, kit):
    with Events(cluster, "pod", burst=3, rate=0.0001, again=0.05) as events:
        for number in range(10):
            events.tell(happening(about=About("v1", "Pod", "prod", f"p{number}")))
        assert kit.wait_for(lambda: len(taken) == 3)
        time.sleep(0.3)
    assert len(taken) == 3


def test_telling_never_waits_and_what_is_too_much_is_dropped_and_counted(api, cluster):
    gate = threading.Event()
    api.always(f"POST {EVENTS}", lambda to, asked: (gate.wait(10), to.send(201, {})))
    events = Events(cluster, "pod", waiting=5).start()
    try:
        started = time.perf_counter()
        for _ in range(200):
            events.tell(happening())
            time.sleep(0.0005)
        assert time.perf_counter() - started < 5
        assert events.dropped["full"] > 100
    finally:
        gate.set()
        events.stop()


def test_many_different_things_push_out_the_oldest_and_are_counted(api, cluster, kit):
    api.always(f"POST {EVENTS}", kit.refuse(503, "Unavailable"))
    with Events(cluster, "pod", known=3) as events:
        for number in range(10):
            events.tell(happening(about=About("v1", "Pod", "prod", f"p{number}")))
        assert kit.wait_for(lambda: events.dropped.get("many") == 7)


def test_what_the_api_server_refuses_is_given_up_and_counted(api, cluster, kit):
    api.always(f"POST {EVENTS}", kit.refuse(403, "Forbidden"))
    with Events(cluster, "pod") as events:
        events.tell(happening())
        assert kit.wait_for(lambda: events.dropped.get("refused") == 1)
    assert len(api.asked) == 1


def test_an_api_server_in_trouble_is_asked_again_later(api, cluster, kit):
    made = []
    api.next(f"POST {EVENTS}", kit.refuse(503, "Unavailable"))
    api.always(f"POST {EVENTS}", lambda to, asked: (made.append(1), to.send(201, {})))
    with Events(cluster, "pod") as events:
        events.tell(happening())
        assert kit.wait_for(lambda: made, 10)
        assert kit.wait_for(lambda: events.written == 1)
    assert not events.dropped


def test_a_long_message_is_cut_to_what_the_api_server_takes(cluster, taken, kit):
    with Events(cluster, "pod") as events:
        events.tell(happening(message="ü" * 3000))
        assert kit.wait_for(lambda: taken)
    assert len(taken[0][2]["message"].encode()) <= 1024


def test_what_waits_at_the_end_is_still_written(cluster, taken):
    with Events(cluster, "pod") as events:
        events.tell(happening())
    assert len(taken) == 1
