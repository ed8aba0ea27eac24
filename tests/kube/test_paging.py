from __future__ import annotations

import threading
import time
from typing import Any

import orjson

from stateward.kube.paging import let_go, read_list
from stateward.kube.store import UNLIMITED, Listing
from stateward.policies.view import Object


class Server:
    """A list of objects of a size, served in pages."""

    def __init__(self, count: int, size: int) -> None:
        self.items = [{"metadata": {"name": f"db-{n}", "namespace": "prod"}, "text": "x" * size} for n in range(count)]
        self.limits: list[int] = []
        self.sizes: list[int] = []

    def page(self, limit: int, token: str) -> dict[str, Any]:
        start = int(token or 0)
        items = self.items[start : start + limit] if limit else self.items[start:]
        self.limits.append(limit)
        self.sizes.append(len(orjson.dumps(items)))
        more = {"continue": str(start + limit)} if limit and start + limit < len(self.items) else {}
        return {"items": [dict(item) for item in items], "metadata": {"resourceVersion": "7", **more}}


def begin() -> Listing:
    return Listing("Pod", lambda item: item, UNLIMITED)


def same(item: Object) -> Object:
    return item


def names(listing: Listing) -> list[str]:
    return list(listing.spaces["prod"])


def test_pages_of_large_objects_are_short() -> None:
    server = Server(200, 20_000)
    listing, version = read_list(server.page, begin, same, 500, page_bytes=200_000)
    assert (names(listing), version) == ([f"db-{n}" for n in range(200)], "7")
    assert server.limits[0] == 25
    assert set(server.limits[1:]) == {9}
    assert max(server.sizes[1:]) < 200_000


def test_pages_of_small_objects_are_long() -> None:
    server = Server(2_000, 10)
    listing, _ = read_list(server.page, begin, same, 500, page_bytes=200_000)
    assert len(names(listing)) == 2_000
    assert server.limits == [25, 500, 500, 500, 500]


def test_a_page_has_some_objects_however_large_they_are() -> None:
    server = Server(40, 3_000)
    read_list(server.page, begin, same, 500, page_bytes=100)
    assert server.limits == [25, 5, 5, 5]


def test_a_short_page_is_asked_for_where_no_longer_one_is_wanted() -> None:
    server = Server(5, 10)
    read_list(server.page, begin, same, 2, page_bytes=200_000)
    assert server.limits == [2, 2, 2]


def test_without_a_weight_pages_are_as_long_as_they_may_be() -> None:
    server = Server(1_200, 3_000)
    read_list(server.page, begin, same, 500)
    assert server.limits == [500, 500, 500]


def test_a_gentle_list_leaves_time_to_others() -> None:
    server = Server(800, 10)
    began, spent = time.monotonic(), time.thread_time()
    listing, _ = read_list(server.page, begin, same, 500, page_bytes=200_000, gently=True)
    # 800 objects are 50 steps, each with a pause of 2 ms; how quick the machine is does not matter.
    assert time.monotonic() - began - (time.thread_time() - spent) > 0.08
    assert len(names(listing)) == 800


def test_one_list_at_a_time_is_taken_apart() -> None:
    at_once: list[int] = []
    inside = 0

    def stamp(item: Object) -> Object:
        nonlocal inside
        inside += 1
        at_once.append(inside)
        time.sleep(0.0005)
        inside -= 1
        return item

    threads = [threading.Thread(target=read_list, args=(Server(60, 10).page, begin, stamp, 500)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(at_once) == 240
    assert set(at_once) == {1}


def test_what_is_let_go_is_empty_and_what_was_read_of_it_stays() -> None:
    listing, _ = read_list(Server(500, 10).page, begin, same, 500)
    kept = list(listing.spaces["prod"].values())
    let_go(listing)
    assert listing.spaces == {}
    assert kept[499]["metadata"]["name"] == "db-499"
