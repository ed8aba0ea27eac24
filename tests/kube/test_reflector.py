from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stateward.kube.backoff import Backoff
from stateward.kube.client import Cluster
from stateward.kube.reflector import Reflector
from stateward.kube.store import Store

Start = Callable[..., Reflector]


@pytest.fixture
def start(cluster: Cluster, kit: Any) -> Iterator[Start]:
    """Starts a reflector of pods that keeps them whole; keywords go to it."""
    started: list[Reflector] = []

    def begin(limit: int = 0, **more: Any) -> Reflector:
        store = Store(kit.pods.kind, None, time.monotonic, limit)
        reflector = Reflector(cluster, kit.pods, store, **{"timing": kit.fast, **more})
        started.append(reflector)
        reflector.start()
        return reflector

    yield begin
    for reflector in started:
        assert reflector.stop(5.0), "a stopped reflector's thread ends"


def names(reflector: Reflector) -> list[str]:
    found = reflector.store.select(None)
    assert isinstance(found, list)
    return sorted(item["metadata"]["name"] for item in found)


# --- the good case ---------------------------------------------------------------------------------------------------


def test_a_list_of_several_pages_is_put_in_at_once(api: Any, start: Start, kit: Any) -> None:
    for number in range(5):
        api.put(kit.pods, f"db-{number}")
    reflector = start(timing=replace(kit.fast, page=2))
    assert kit.wait_for(lambda: reflector.last_sync is not None)
    assert names(reflector) == ["db-0", "db-1", "db-2", "db-3", "db-4"]
    assert [one.query for one in api.lists(kit.pods)] == [
        {"limit": "2"},
        {"limit": "2", "continue": "2"},
        {"limit": "2", "continue": "4"},
    ]


def test_events_add_change_and_delete(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a", spec={"x": 1})
    reflector = start()
    assert kit.wait_for(lambda: api.watches(kit.pods))
    api.put(kit.pods, "b")
    api.put(kit.pods, "a", spec={"x": 2})
    assert kit.wait_for(lambda: reflector.store.get("prod", "a")["spec"] == {"x": 2})  # type: ignore[index]
    assert names(reflector) == ["a", "b"]
    api.remove(kit.pods, "a")
    assert kit.wait_for(lambda: names(reflector) == ["b"])
    assert reflector.store.get("prod", "a") is None
    assert reflector.last_event is not None
    assert (reflector.errors, reflector.relists, reflector.last_error) == (0, 0, "")


def test_a_watch_asks_for_bookmarks_and_an_end(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)
    start(timing=replace(kit.fast, watch=(240.0, 420.0)))
    assert kit.wait_for(lambda: api.watches(kit.pods))
    query = api.watches(kit.pods)[0].query
    assert query["allowWatchBookmarks"] == "true"
    assert 240 <= int(query["timeoutSeconds"]) <= 420
    assert query["resourceVersion"] == "100"


def test_objects_carry_the_kind_that_lists_leave_out(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")
    reflector = start()
    assert kit.wait_for(lambda: reflector.last_sync is not None)
    found = reflector.store.get("prod", "a")
    assert (found["apiVersion"], found["kind"]) == ("v1", "Pod")  # type: ignore[index]


def test_a_bookmark_moves_the_place_to_watch_from(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)

    def one_bookmark(to: Any, asked: Any) -> None:
        to.begin()
        to.event("BOOKMARK", {"metadata": {"resourceVersion": "4711"}})
        to.end()

    api.next(f"WATCH {kit.pods.path}", one_bookmark)
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 2)
    assert api.watches(kit.pods)[1].query["resourceVersion"] == "4711"
    assert len(api.lists(kit.pods)) == 1
    assert len(reflector.store) == 0, "a bookmark is no object"


def test_a_metadata_only_reflector_asks_for_it_and_puts_the_kind_back(api: Any, start: Start, kit: Any) -> None:
    partial = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}
    api.put(kit.pods, "a", **partial)
    reflector = start(metadata_only=True)
    assert kit.wait_for(lambda: api.watches(kit.pods))
    api.put(kit.pods, "b", **partial)
    assert kit.wait_for(lambda: len(reflector.store) == 2)
    for name in ("a", "b"):
        assert reflector.store.get("prod", name)["kind"] == "Pod"  # type: ignore[index]
    as_list, as_object = api.lists(kit.pods)[0].headers["accept"], api.watches(kit.pods)[0].headers["accept"]
    assert as_list == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
    assert as_object == "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"


# --- watches that fail -----------------------------------------------------------------------------------------------


def test_a_watch_that_always_ends_at_once_is_not_spun_on(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")

    def nothing(to: Any, asked: Any) -> None:
        to.begin()
        to.end()

    api.always(f"WATCH {kit.pods.path}", nothing)
    reflector = start(timing=replace(kit.fast, backoff=(0.05, 0.2)))
    time.sleep(1.5)
    watches = len(api.watches(kit.pods))
    assert 5 <= watches <= 25, "about one each 0.1 to 0.2 s"
    # Such a server may withhold events: each third time the list is read again.
    assert 1 <= reflector.relists <= watches / 3
    assert names(reflector) == ["a"]


def test_a_watch_that_ends_at_once_soon_counts_as_no_contact(api: Any, cluster: Cluster, start: Start, kit: Any) -> None:
    api.serve(kit.pods)

    def nothing(to: Any, asked: Any) -> None:
        to.begin()
        to.end()

    api.always(f"WATCH {kit.pods.path}", nothing)
    reflector = start()
    assert kit.wait_for(lambda: reflector.last_sync is not None)
    api.always(f"LIST {kit.pods.path}", kit.refuse(500, "InternalError"))
    assert kit.wait_for(lambda: reflector.errors >= 2)
    time.sleep(0.4)
    assert reflector.store.age() >= 0.35  # type: ignore[operator]


def test_a_watch_refused_with_500_is_tried_again_from_the_same_place(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")
    api.next(f"WATCH {kit.pods.path}", *[kit.refuse(500, "InternalError", "etcd is slow")] * 4)
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 5)
    api.put(kit.pods, "b")
    assert kit.wait_for(lambda: names(reflector) == ["a", "b"])
    assert {one.query["resourceVersion"] for one in api.watches(kit.pods)} == {"101"}
    assert (len(api.lists(kit.pods)), reflector.errors, reflector.relists) == (1, 4, 0)
    assert "etcd is slow" in reflector.last_error
    assert reflector.store.trouble == "", "an event has come since"


def test_waits_grow_while_nothing_good_comes(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)
    api.always(f"WATCH {kit.pods.path}", kit.refuse(500, "InternalError"))
    start(timing=replace(kit.fast, backoff=(0.02, 0.4)))
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) >= 7)
    at = [one.at for one in api.watches(kit.pods)]
    gaps = [later - earlier for earlier, later in pairwise(at)]
    assert gaps[0] < 0.15
    assert gaps[4] >= 0.2
    assert gaps[5] >= 0.2


def test_the_server_may_ask_to_be_left_alone_longer(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)
    api.next(f"WATCH {kit.pods.path}", kit.refuse(429, "TooManyRequests", "busy", {"Retry-After": "1"}))
    start(timing=replace(kit.fast, backoff=(0.02, 2.0)))
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 2)
    first, second = api.watches(kit.pods)
    assert second.at - first.at >= 0.95


@pytest.mark.parametrize("how", ["status", "event"])
def test_an_expired_version_leads_to_a_new_list(api: Any, start: Start, kit: Any, how: str) -> None:
    api.put(kit.pods, "a")

    def expired(to: Any, asked: Any) -> None:
        api.put(kit.pods, "b")
        if how == "status":
            to.send(410, kit.status(410, "Expired", "too old resource version"))
            return
        to.begin()
        to.event("ERROR", kit.status(410, "Expired", "too old resource version"))
        api.sleep(20)  # the server may keep the connection open: nobody waits for it

    api.next(f"WATCH {kit.pods.path}", expired)
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 2)
    assert names(reflector) == ["a", "b"]
    assert (reflector.relists, len(api.lists(kit.pods))) == (1, 2)
    assert "too old resource version" in reflector.last_error


def test_a_server_on_which_every_version_is_expired_is_not_spun_on(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)
    api.always(f"WATCH {kit.pods.path}", kit.refuse(410, "Expired"))
    start(timing=replace(kit.fast, backoff=(0.05, 0.4)))
    time.sleep(1.5)
    assert len(api.lists(kit.pods)) <= 10


def test_what_was_known_stays_until_the_new_list_is_complete(api: Any, start: Start, kit: Any) -> None:
    for name in ("a", "b", "c"):
        api.put(kit.pods, name)
    seen: list[list[str]] = []
    halfway = threading.Event()

    def slowly(to: Any, asked: Any) -> None:
        if "continue" in asked.query:
            halfway.set()
            api.sleep(0.3)
        api.list(to, asked)

    api.next(f"WATCH {kit.pods.path}", kit.refuse(410, "Expired"))
    reflector = start(timing=replace(kit.fast, page=1))
    assert kit.wait_for(lambda: reflector.last_sync is not None)
    api.always(f"LIST {kit.pods.path}", slowly)
    api.remove(kit.pods, "b")
    assert halfway.wait(5)
    while reflector.relists < 1 or len(api.watches(kit.pods)) < 2:
        seen.append(names(reflector))
        time.sleep(0.002)
    seen.append(names(reflector))
    assert [one for index, one in enumerate(seen) if index == 0 or seen[index - 1] != one] == [
        ["a", "b", "c"],
        ["a", "c"],
    ]


def test_a_stream_that_ends_within_a_line_is_taken_up_where_the_last_whole_event_was(
    api: Any, start: Start, kit: Any
) -> None:
    api.serve(kit.pods)

    def torn(to: Any, asked: Any) -> None:
        to.begin()
        to.event("ADDED", {"metadata": {"name": "a", "namespace": "prod", "resourceVersion": "150"}})
        to.chunk(b'{"type":"ADDED","object":{"metadata":{"name":"b","namespace":"prod","resourceVer')
        to.end()

    api.next(f"WATCH {kit.pods.path}", torn)
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 2)
    assert api.watches(kit.pods)[1].query["resourceVersion"] == "150"
    assert names(reflector) == ["a"]
    assert "ends within a line" in reflector.last_error


def test_a_connection_that_breaks_within_a_chunk_is_taken_up_again(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)

    def broken(to: Any, asked: Any) -> None:
        to.begin()
        to.wfile.write(b"ff\r\n{")
        to.wfile.flush()
        to.close_connection = True

    api.next(f"WATCH {kit.pods.path}", broken)
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 2)
    assert reflector.errors == 1
    assert "broke off" in reflector.last_error


def test_an_event_split_over_many_packets_is_one_event(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)

    def drip(to: Any, asked: Any) -> None:
        to.begin()
        line = b'{"type":"ADDED","object":{"metadata":{"name":"\xc3\xa9","namespace":"prod","resourceVersion":"150"}}}\n'
        for byte in range(len(line)):
            to.chunk(line[byte : byte + 1])
        api.sleep(20)

    api.next(f"WATCH {kit.pods.path}", drip)
    reflector = start()
    assert kit.wait_for(lambda: names(reflector) == ["é"])


def test_a_watch_that_is_not_chunked_is_read_too(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)

    def plain(to: Any, asked: Any) -> None:
        to.send_response(200)
        to.send_header("Connection", "close")
        to.end_headers()
        to.wfile.write(b'{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"150"}}}\n')
        to.wfile.flush()
        api.sleep(20)

    api.next(f"WATCH {kit.pods.path}", plain)
    reflector = start()
    assert kit.wait_for(lambda: names(reflector) == ["a"])


@pytest.mark.parametrize("headers_first", [True, False])
def test_a_half_open_connection_is_given_up_after_the_read_timeout(
    api: Any, start: Start, kit: Any, headers_first: bool
) -> None:
    api.serve(kit.pods)

    def hang(to: Any, asked: Any) -> None:
        if headers_first:
            to.begin()
        api.sleep(20)

    api.next(f"WATCH {kit.pods.path}", hang)
    reflector = start(timing=replace(kit.fast, read=(0.2, 0.3)))
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) >= 2, 3.0)
    first, second = api.watches(kit.pods)[:2]
    assert 0.2 <= second.at - first.at < 1.5
    api.put(kit.pods, "a")
    assert kit.wait_for(lambda: names(reflector) == ["a"])
    assert reflector.errors >= 1


@pytest.mark.parametrize(
    "line",
    [
        b"\n\n\nnull\n",
        b"[1]\n",
        b"{}\n",
        b'{"type":"ADDED"}\n',
        b'{"type":"ADDED","object":[]}\n',
        b'{"type":"ADDED","object":{"metadata":{"name":"x"}}}\n',
        b'{"type":"BOOKMARK","object":{"metadata":null}}\n',
        b'{"type":"SOMETHING","object":{"metadata":{"resourceVersion":"5"}}}\n',
        b'{"type":"ERROR"}\n',
        b'{"type":"ERROR","object":"x"}\n',
        b"<html>\n",
        b"\xff\xfe\n",
    ],
)
def test_an_event_that_means_nothing_is_recovered_from(api: Any, start: Start, kit: Any, line: bytes) -> None:
    api.put(kit.pods, "a")

    def nonsense(to: Any, asked: Any) -> None:
        to.begin()
        to.chunk(line)
        to.end()

    api.next(f"WATCH {kit.pods.path}", nonsense)
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) >= 2)
    api.put(kit.pods, "b")
    assert kit.wait_for(lambda: names(reflector) == ["a", "b"])
    assert reflector.errors == 1


# --- lists that fail -------------------------------------------------------------------------------------------------


def test_a_list_whose_token_expires_is_read_again_from_the_start(api: Any, start: Start, kit: Any) -> None:
    for name in ("a", "b", "c"):
        api.put(kit.pods, name)

    def too_late(to: Any, asked: Any) -> None:
        api.remove(kit.pods, "a")  # seen on the first page, and gone since
        to.send(410, kit.status(410, "Expired", "continue token expired"))

    api.next(f"LIST {kit.pods.path}", api.list, too_late)
    reflector = start(timing=replace(kit.fast, page=1))
    assert kit.wait_for(lambda: reflector.last_sync is not None)
    assert names(reflector) == ["b", "c"]


def test_a_list_whose_tokens_always_expire_is_read_whole(api: Any, start: Start, kit: Any) -> None:
    for name in ("a", "b", "c"):
        api.put(kit.pods, name)

    def never_twice(to: Any, asked: Any) -> None:
        if "continue" in asked.query:
            return to.send(410, kit.status(410, "Expired", "continue token expired"))
        return api.list(to, asked)

    api.always(f"LIST {kit.pods.path}", never_twice)
    reflector = start(timing=replace(kit.fast, page=1))
    assert kit.wait_for(lambda: reflector.last_sync is not None)
    assert names(reflector) == ["a", "b", "c"]
    assert [one.query for one in api.lists(kit.pods)] == [
        {"limit": "1"},
        {"limit": "1", "continue": "1"},
        {"limit": "1"},
        {"limit": "1", "continue": "1"},
        {},
    ]


@pytest.mark.parametrize(
    ("code", "reason", "message"),
    [
        (403, "Forbidden", 'pods is forbidden: User "me" cannot list resource "pods"'),
        (500, "InternalError", "conversion webhook for /, Kind= failed: connection refused"),
        (503, "ServiceUnavailable", "no endpoints"),
    ],
)
def test_a_kind_that_cannot_be_listed_stays_unknown_with_the_reason_until_it_can(
    api: Any, start: Start, kit: Any, code: int, reason: str, message: str
) -> None:
    api.put(kit.pods, "a")
    api.always(f"LIST {kit.pods.path}", kit.refuse(code, reason, message))
    reflector = start()
    assert kit.wait_for(lambda: reflector.errors >= 3)
    assert not reflector.store.synced
    assert f"{code} {reason}: {message}" in reflector.store.trouble
    api.always(f"LIST {kit.pods.path}", None)
    assert kit.wait_for(lambda: reflector.store.synced)
    assert names(reflector) == ["a"]
    assert reflector.store.trouble == ""


def test_a_kind_that_is_not_served_says_so(api: Any, start: Start, kit: Any) -> None:
    told = threading.Event()
    reflector = start(gone=told.set)
    assert told.wait(5)
    assert "404 NotFound" in reflector.store.trouble
    api.serve(kit.pods)
    assert kit.wait_for(lambda: reflector.store.synced), "it goes on trying"


def test_a_watch_answered_404_leads_to_a_new_list(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")
    api.next(f"WATCH {kit.pods.path}", kit.refuse(404, "NotFound"))
    reflector = start()
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) == 2)
    assert reflector.relists == 1


@pytest.mark.parametrize(
    "answer", [[], {}, {"items": 5}, {"items": []}, {"items": [], "metadata": {}}, {"items": [1, None, {}]}, None]
)
def test_a_list_that_is_none_is_not_taken_for_an_empty_one(api: Any, start: Start, kit: Any, answer: Any) -> None:
    api.put(kit.pods, "a")
    api.next(f"LIST {kit.pods.path}", lambda to, asked: to.send(200, answer))
    reflector = start()
    assert kit.wait_for(lambda: reflector.errors == 1)
    assert kit.wait_for(lambda: reflector.store.synced)
    assert names(reflector) == ["a"]


def test_a_slow_list_leaves_the_kind_unknown_until_it_is_complete(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")

    def slowly(to: Any, asked: Any) -> None:
        api.sleep(0.4)
        api.list(to, asked)

    api.next(f"LIST {kit.pods.path}", slowly)
    reflector = start()
    assert kit.wait_for(lambda: api.lists(kit.pods))
    time.sleep(0.2)
    assert not reflector.store.synced
    assert kit.wait_for(lambda: reflector.store.synced)


def test_no_exception_ends_a_reflector(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        if len(calls) <= 2:
            raise RuntimeError("a fault of ours")

    reflector = start(changed=fail)
    assert kit.wait_for(lambda: len(calls) >= 3)
    assert reflector.last_error == "Pod: RuntimeError: a fault of ours"
    api.put(kit.pods, "b")
    assert kit.wait_for(lambda: names(reflector) == ["a", "b"])


def test_a_server_that_restarts_is_found_again(api: Any, start: Start, kit: Any) -> None:
    api.put(kit.pods, "a")
    reflector = start()
    assert kit.wait_for(lambda: api.watches(kit.pods))
    for connection in list(api.connections):
        connection.shutdown(2)
    assert kit.wait_for(lambda: len(api.watches(kit.pods)) >= 2)
    api.put(kit.pods, "b")
    assert kit.wait_for(lambda: names(reflector) == ["a", "b"])


# --- stopping, bounds ------------------------------------------------------------------------------------------------


def test_stopping_does_not_wait_for_a_silent_watch(api: Any, start: Start, kit: Any) -> None:
    api.serve(kit.pods)
    reflector = start(timing=replace(kit.fast, read=(30.0, 30.0)))
    assert kit.wait_for(lambda: api.watches(kit.pods))
    time.sleep(0.1)
    began = time.monotonic()
    assert reflector.stop(5.0)
    assert time.monotonic() - began < 1.0
    assert reflector.errors == 0, "its end is no error"


def test_over_tls_a_reflector_reads_and_stops_just_as_promptly(secure: Any, kit: Any) -> None:
    api, kubeconfig = secure
    api.put(kit.pods, "a")
    cluster = Cluster.from_kubeconfig(kubeconfig)
    store = Store(kit.pods.kind, None, time.monotonic)
    reflector = Reflector(cluster, kit.pods, store, timing=replace(kit.fast, read=(30.0, 30.0)))
    reflector.start()
    assert kit.wait_for(lambda: api.watches(kit.pods))
    api.put(kit.pods, "b")
    assert kit.wait_for(lambda: names(reflector) == ["a", "b"])
    time.sleep(0.1)
    began = time.monotonic()
    assert reflector.stop(5.0)
    assert time.monotonic() - began < 1.0
    cluster.close()
    assert reflector.errors == 0


def test_stopping_does_not_wait_for_a_slow_list(api: Any, start: Start, kit: Any) -> None:
    def drip(to: Any, asked: Any) -> None:
        to.begin()
        to.chunk(b'{"items":')
        api.sleep(20)

    api.always(f"LIST {kit.pods.path}", drip)
    reflector = start(timing=replace(kit.fast, read=(30.0, 30.0)))
    assert kit.wait_for(lambda: api.lists(kit.pods))
    time.sleep(0.1)
    began = time.monotonic()
    assert reflector.stop(5.0)
    assert time.monotonic() - began < 1.0
    assert not reflector.store.synced


def test_stopping_does_not_wait_for_a_wait(api: Any, start: Start, kit: Any) -> None:
    reflector = start(timing=replace(kit.fast, backoff=(20.0, 30.0)))
    assert kit.wait_for(lambda: reflector.errors == 1)
    began = time.monotonic()
    assert reflector.stop(5.0)
    assert time.monotonic() - began < 1.0


def test_stopping_does_not_wait_for_the_gate(api: Any, start: Start, kit: Any) -> None:
    gate = threading.Semaphore(0)
    reflector = start(gate=gate)
    began = time.monotonic()
    assert reflector.stop(5.0)
    assert time.monotonic() - began < 1.0
    assert api.asked == []


def test_a_bounded_store_keeps_the_first_objects_and_reads_no_further(api: Any, start: Start, kit: Any) -> None:
    for number in range(10):
        api.put(kit.pods, f"db-{number}")
    reflector = start(limit=3, timing=replace(kit.fast, page=2))
    assert kit.wait_for(lambda: reflector.store.synced)
    assert len(reflector.store) == 3
    assert reflector.store.overflowed
    assert len(api.lists(kit.pods)) == 2


def test_a_bounded_store_that_lost_most_of_its_objects_fetches_others(api: Any, start: Start, kit: Any) -> None:
    for number in range(10):
        api.put(kit.pods, f"db-{number}")
    reflector = start(limit=3)
    assert kit.wait_for(lambda: api.watches(kit.pods))
    api.remove(kit.pods, "db-0")
    api.remove(kit.pods, "db-1")
    assert kit.wait_for(lambda: len(api.lists(kit.pods)) == 2)
    assert kit.wait_for(lambda: len(reflector.store) == 3)


@settings(max_examples=100)
@given(shortest=st.floats(0.01, 5), factor=st.floats(1, 100), steps=st.lists(st.booleans(), min_size=1, max_size=30))
def test_waits_stay_within_their_bounds_and_start_small_after_a_reset(
    shortest: float, factor: float, steps: list[bool]
) -> None:
    longest = shortest * factor
    backoff = Backoff(shortest, longest)
    fresh = True
    for reset in steps:
        if reset:
            backoff.reset()
            fresh = True
        wait = backoff.next()
        assert shortest <= wait <= longest
        if fresh:
            assert wait <= 2 * shortest
        fresh = False
