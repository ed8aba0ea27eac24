from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.kube.cache import LEAVING, ClusterView
from stateward.kube.store import Store
from stateward.policies.view import UNKNOWN, View


def pod(name: str, namespace: str = "prod", **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, **more}


def fill(store: Store, *objects: Any) -> Store:
    listing = store.listing()
    for item in objects:
        listing.add(item)
    store.replace(listing)
    return store


@pytest.fixture
def clock(kit: Any) -> Any:
    return kit.clock()


@pytest.fixture
def view(clock: Any) -> ClusterView:
    return ClusterView(stale_after=120.0, clock=clock)


@pytest.fixture
def store(view: ClusterView, clock: Any) -> Store:
    found = Store("Pod", None, clock)
    view.add(found)
    return found


def test_it_is_a_view(view: ClusterView) -> None:
    as_view: View = view
    assert as_view.get("Pod", "prod", "a") is UNKNOWN


def test_a_kind_that_nobody_reads_is_unknown(view: ClusterView) -> None:
    assert view.get("Widget.example.com", "prod", "a") is UNKNOWN
    assert view.select("Widget.example.com") is UNKNOWN
    assert view.why_unknown("Widget.example.com") == (
        "Widget.example.com: nothing reads it; no rule or adapter has declared it"
    )
    assert not view.synced(["Widget.example.com"])
    assert view.synced([])


def test_a_kind_is_unknown_until_its_first_list_is_complete(view: ClusterView, store: Store) -> None:
    store.put(pod("a"))
    assert view.get("Pod", "prod", "a") is UNKNOWN
    assert view.get("Pod", "prod", "b") is UNKNOWN
    assert view.select("Pod", "prod") is UNKNOWN
    assert view.ages() == {"Pod": float("inf")}
    assert "first list" in view.why_unknown("Pod")
    store.trouble = "403 Forbidden"
    assert view.why_unknown("Pod") == "Pod: 403 Forbidden"
    store.touch()
    assert not view.synced(["Pod"]), "being heard is not having listed"


def test_a_complete_kind_tells_absent_from_present(view: ClusterView, store: Store) -> None:
    fill(store, pod("a"), pod("b"), pod("a", "test"))
    assert view.get("Pod", "prod", "a") == pod("a")
    assert view.get("Pod", "prod", "c") is None
    assert view.get("Pod", "nowhere", "a") is None
    assert view.select("Pod", "prod") == [pod("a"), pod("b")]
    assert view.select("Pod", "nowhere") == []
    assert view.select("Pod") == [pod("a"), pod("b"), pod("a", "test")]
    assert view.synced(["Pod"])
    assert view.why_unknown("Pod") == ""
    assert view.counts() == {"Pod": 3}


def test_a_cluster_scoped_object_stands_under_no_namespace(view: ClusterView, clock: Any) -> None:
    node = {"kind": "Node", "metadata": {"name": "n1"}}
    view.add(fill(Store("Node", None, clock), node))
    assert view.get("Node", "", "n1") == node
    assert view.select("Node") == [node]


def test_a_kind_that_was_not_heard_of_for_too_long_is_unknown_again(view: ClusterView, store: Store, clock: Any) -> None:
    fill(store, pod("a"))
    clock.now += 120.0
    assert view.get("Pod", "prod", "a") == pod("a")
    assert view.ages() == {"Pod": 120.0}
    clock.now += 0.5
    store.trouble = "nothing came"
    assert view.get("Pod", "prod", "a") is UNKNOWN
    assert view.get("Pod", "prod", "b") is UNKNOWN
    assert view.select("Pod") is UNKNOWN
    assert view.why_unknown("Pod") == "Pod: the API server was last heard 120 s ago (limit 120 s); nothing came"
    store.touch()
    assert view.get("Pod", "prod", "b") is None
    assert store.trouble == ""


def test_an_absent_kind_is_complete_and_empty(view: ClusterView, clock: Any) -> None:
    view.add(fill(Store("Kafka.kafka.strimzi.io", None, clock)))
    assert view.select("Kafka.kafka.strimzi.io") == []
    assert view.get("Kafka.kafka.strimzi.io", "prod", "a") is None


def test_a_dropped_kind_is_unknown(view: ClusterView, store: Store) -> None:
    fill(store, pod("a"))
    view.drop("Pod")
    assert view.select("Pod") is UNKNOWN
    assert view.kinds() == []


def test_an_object_without_a_name_is_none(view: ClusterView, store: Store) -> None:
    strange: list[Any] = [{}, {"metadata": None}, {"metadata": {"name": ""}}, {"metadata": {"name": 5}}, None, 5]
    fill(store, *strange)
    for item in strange:
        store.put(item)
        store.remove(item)
    assert view.select("Pod") == []


def test_where_not_all_objects_are_kept_only_those_kept_are_known(view: ClusterView, clock: Any) -> None:
    store = Store("Pod", (), clock, limit=2)
    view.add(fill(store, pod("a"), pod("b", "test"), pod("c")))
    found = view.select("Pod")
    assert isinstance(found, list)
    assert len(found) == 2, "it is known that there are some"
    assert view.select("Pod", "prod") is UNKNOWN
    assert view.get("Pod", "prod", "a") == pod("a")
    assert view.get("Pod", "prod", "c") is UNKNOWN
    store.remove(pod("a"))
    store.remove(pod("b", "test"))
    assert view.select("Pod") is UNKNOWN, "those kept are gone, others are not"


def test_a_bounded_store_overflows_by_events_too(clock: Any) -> None:
    store = fill(Store("Pod", (), clock, limit=1), pod("a"))
    assert not store.overflowed
    store.put(pod("a"))
    assert not store.overflowed, "the same object again"
    store.put(pod("b"))
    assert store.overflowed
    assert len(store) == 1


def test_a_list_given_to_a_reader_does_not_change(view: ClusterView, store: Store) -> None:
    fill(store, pod("a"), pod("b"))
    found = view.select("Pod", "prod")
    store.remove(pod("a"))
    store.put(pod("c"))
    assert found == [pod("a"), pod("b")]


def test_readers_never_see_half_an_update(view: ClusterView, store: Store) -> None:
    generations = [[pod(f"p{number}", generation=turn) for number in range(20)] for turn in range(2)]
    fill(store, *generations[0])
    done = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        while not done.is_set():
            found = view.select("Pod", "prod")
            if not isinstance(found, list) or len({item["generation"] for item in found}) != 1 or len(found) != 20:
                wrong.append(found)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for turn in range(300):
        fill(store, *generations[turn % 2])
    done.set()
    for reader in readers:
        reader.join()
    assert wrong == []


_NAMES = st.sampled_from(["a", "b", "c"])
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), _NAMES, _NAMES, st.integers(0, 3)),
        st.tuples(st.just("remove"), _NAMES, _NAMES, st.just(0)),
        st.tuples(st.just("replace"), _NAMES, _NAMES, st.integers(0, 3)),
    ),
    max_size=30,
)


@given(_STEPS)
def test_a_store_is_a_dictionary_by_namespace_and_name(steps: list[tuple[str, str, str, int]]) -> None:
    store = Store("Pod", None, lambda: 0.0)
    fill(store)
    model: dict[tuple[str, str], Any] = {}
    for what, namespace, name, value in steps:
        item = pod(name, namespace, value=value)
        if what == "put":
            store.put(item)
            model[namespace, name] = item
        elif what == "remove":
            store.remove(item)
            model.pop((namespace, name), None)
        else:
            fill(store, item)
            model = {(namespace, name): item}
    assert len(store) == len(model)
    for namespace in ("a", "b", "c"):
        expected: Mapping[str, Any] = {name: item for (where, name), item in model.items() if where == namespace}
        found = store.select(namespace)
        assert isinstance(found, list)
        assert {item["metadata"]["name"]: item for item in found} == expected
        for name in ("a", "b", "c"):
            assert store.get(namespace, name) == expected.get(name)


def being_deleted(view: ClusterView) -> list[bool]:
    """Of pod a as it is looked up, and as it is listed."""
    one, all_of = view.get("Pod", "prod", "a"), view.select("Pod", "prod")
    assert isinstance(one, dict)
    assert all_of is not UNKNOWN
    listed = next(item for item in all_of if item["metadata"]["name"] == "a")
    return ["deletionTimestamp" in found["metadata"] for found in (one, listed)]


def test_a_pod_whose_eviction_was_allowed_counts_as_being_deleted_for_a_while(
    view: ClusterView, store: Store, clock: Any
) -> None:
    fill(store, pod("a"), pod("b"))
    assert being_deleted(view) == [False, False]
    view.leave("prod", "a")
    view.leave("prod", "unheard-of")
    assert being_deleted(view) == [True, True]
    assert view.get("Pod", "prod", "b") == pod("b")
    clock.now += LEAVING
    assert being_deleted(view) == [False, False], "a disruption budget may have refused it after all"


def test_the_pod_that_comes_after_an_evicted_one_is_not_leaving(view: ClusterView, store: Store) -> None:
    fill(store, {"metadata": {"namespace": "prod", "name": "a", "uid": "first"}})
    view.leave("prod", "a")
    store.put({"metadata": {"namespace": "prod", "name": "a", "uid": "second"}})
    assert being_deleted(view) == [False, False]
