from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stateward.kube.sharing import Pool
from stateward.kube.store import Store

_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(-2, 2), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)),
    max_leaves=12,
)


def pod(number: int, **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"db-{number}",
            "namespace": "prod",
            "labels": {"app": "db", **labels},
            "ownerReferences": [{"kind": "StatefulSet", "name": "db", "controller": True}],
        },
        "spec": {"nodeName": f"node-{number}"},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_equal_parts_are_one() -> None:
    pool = Pool()
    one, other = pool.share(pod(0)), pool.share(pod(1))
    assert one["metadata"]["labels"] is other["metadata"]["labels"]
    assert one["metadata"]["ownerReferences"] is other["metadata"]["ownerReferences"]
    assert one["status"] is other["status"]
    assert one["spec"] == {"nodeName": "node-0"}
    assert other == pod(1)


def test_what_differs_in_one_value_shares_the_rest() -> None:
    pool = Pool()
    one, other = pool.share(pod(0, index="0")), pool.share(pod(1, index="1"))
    assert one["metadata"]["labels"] == {"app": "db", "index": "0"}
    assert other["metadata"]["labels"] == {"app": "db", "index": "1"}
    assert one["metadata"]["labels"]["app"] is other["metadata"]["labels"]["app"]


@given(st.lists(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "data"]), _JSON, max_size=4), max_size=6))
def test_sharing_changes_no_value_and_no_type(items: list[dict[str, Any]]) -> None:
    pool = Pool(room=5)
    before = copy.deepcopy(items)
    shared = [pool.share(item) for item in items]
    # repr tells True from 1 and 1 from 1.0; == does not.
    assert repr(shared) == repr(before)


def test_what_is_no_json_stays_as_it_is() -> None:
    strange: dict[str, Any] = {"spec": {"a": {1: {2}}, "b": "\ud800"}}
    assert Pool().share(copy.deepcopy(strange)) == strange


def test_what_was_met_once_is_forgotten() -> None:
    pool = Pool(room=100)
    for number in range(2_000):
        pool.share(pod(number, unique=f"value {number}"))
    assert len(pool) < 300
    one, other = pool.share(pod(1)), pool.share(pod(2))
    assert one["status"] is other["status"]


def test_what_the_store_keeps_is_shared_whether_listed_or_watched() -> None:
    store = Store("Pod", None, lambda: 0.0)
    listing = store.listing()
    listing.add(pod(0))
    store.replace(listing)
    store.put(pod(1))
    one, other = store.get("prod", "db-0"), store.get("prod", "db-1")
    assert isinstance(one, dict)
    assert isinstance(other, dict)
    assert one["status"] is other["status"]
