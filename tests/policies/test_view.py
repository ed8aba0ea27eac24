"""Look-ups in a view: by name, by namespace, by a key with an index or without one."""

from hypothesis import given
from hypothesis import strategies as st

from stateward.policies.bearing import Overlay
from stateward.policies.view import UNKNOWN, MemoryView, Sight, accuses, by_label, excuses, having, nothing_complete


def pod(name: str, namespace: str = "shop", **labels: object):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels}}


def test_objects_are_selected_by_kind_and_namespace_in_the_order_they_were_given():
    objects = [pod("a"), pod("b", "other"), pod("c"), {"kind": "Node", "metadata": {"name": "n"}}]
    view = MemoryView(objects)
    assert view.select("Pod", "shop") == [objects[0], objects[2]]
    assert view.select("Pod", "none") == []
    assert sorted(map(id, view.select("Pod"))) == sorted(map(id, objects[:3]))
    assert view.select("Node", "") == [objects[3]]
    assert view.select("Secret") is UNKNOWN
    assert MemoryView(objects, lambda _: True).select("Secret") == []


def test_of_two_objects_with_one_name_the_later_counts():
    first, second = pod("a", app="x"), pod("a", app="y")
    view = MemoryView([first, second])
    assert view.select("Pod", "shop") == [second]
    assert view.get("Pod", "shop", "a") is second
    assert view.having("Pod", by_label("app"), "x") == ()


def test_a_label_that_is_no_text_is_no_key():
    view = MemoryView(
        [pod("a", app=1), pod("b", app=["x"]), pod("c", app="x"), {"kind": "Pod", "metadata": 3}, {"kind": "Pod"}]
    )
    assert having(view, "Pod", by_label("app"), "x") == [pod("c", app="x")]


def test_the_key_of_a_label_is_made_once():
    assert by_label("app") is by_label("app")  # an index is kept for the key itself
    assert by_label("app") is not by_label("role")


def test_what_nobody_has_looked_at_is_unknown_with_a_key_too():
    assert having(MemoryView([]), "Pod", by_label("app"), "x") is UNKNOWN
    assert having(Overlay(MemoryView([]), pod("a")), "Pod", by_label("app"), "x") is UNKNOWN


LABELS = st.dictionaries(st.sampled_from(["app", "role"]), st.sampled_from(["x", "y", 1, None]))


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["shop", "other"]), LABELS)),
    st.sampled_from(["app", "role"]),
    st.sampled_from(["x", "y", "z"]),
    st.sampled_from([None, "shop", "none"]),
)
def test_an_index_finds_what_a_look_through_all_finds(rows, label, value, namespace):
    objects = [pod(name, place, **labels) for name, place, labels in rows]
    view = MemoryView(objects, lambda _: True)
    found = view.select("Pod", namespace)
    expected = [item for item in found if item["metadata"]["labels"].get(label) == value]
    key = by_label(label)
    for _ in range(2):  # the second time from the index
        assert list(having(view, "Pod", key, value, namespace)) == expected
    assert having(Overlay(view, {"kind": "Secret"}), "Pod", key, value, namespace) == expected  # a view without an index


def test_a_look_with_a_key_is_as_blind_as_one_without():
    view = MemoryView([pod("a", app="x")], nothing_complete)
    see = Sight(view, {"Pod": accuses("Pod"), "Node": excuses("Node")}, {}, 0.0)
    assert see.having("Pod", by_label("app"), "x", "shop") == [pod("a", app="x")]  # what is there may accuse
    assert see.accused_blind() == ("Pod",)
    assert see.having("Node", by_label("app"), "x") is UNKNOWN
    see = Sight(view, {"Pod": excuses("Pod")}, {}, 0.0)
    assert see.having("Pod", by_label("app"), "x", "shop") is UNKNOWN  # files show a part: that excuses nothing
    assert see.excused_blind() == ("Pod",)
