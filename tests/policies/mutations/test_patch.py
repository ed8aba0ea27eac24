"""The patch applies to the object that it was made for, whatever that is, and a second time there is nothing to do.

Patches are applied by the library jsonpatch, which refuses a missing parent as an API server does.
"""

from __future__ import annotations

import base64
import copy
from typing import Any

import jsonpatch
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stateward.policies.jsonpatch import added, pointer
from stateward.policies.mutate import mutate
from stateward.policies.mutation_examples import read
from stateward.policies.mutations import MUTATIONS
from stateward.policies.paths import dig
from stateward.policies.view import MemoryView

some = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
KEYS = [
    "spec", "template", "metadata", "labels", "affinity", "podAntiAffinity", "topologySpreadConstraints", "containers",
    "selector", "matchLabels", "matchExpressions", "a/b", "c~d", "~1", "~0/", "", "0", "-", "replicas", "image", "name",
    "volumeClaimTemplates", "maxUnavailable", "minAvailable", "ownerReferences", "controller", "annotations",
]  # fmt: skip
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 9),
    st.sampled_from(["", "etcd", "etcd:3.5.17", "on", "off", "db"]),
    st.text(max_size=3),
)
keys = st.one_of(st.sampled_from(KEYS), st.text(st.characters(codec="utf-8"), max_size=3))
anything = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)), max_leaves=10
)
objects = st.dictionaries(keys, anything, max_size=5)
paths = st.lists(keys, min_size=1, max_size=5).map(tuple)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (("spec",), "/spec"),
        (("metadata", "labels", "app.kubernetes.io/name"), "/metadata/labels/app.kubernetes.io~1name"),
        (("c~d", "~1"), "/c~0d/~01"),
        (("",), "/"),
    ],
)
def test_a_pointer_escapes_slashes_and_tildes(path: tuple[str, ...], text: str) -> None:
    assert pointer(path) == text


@pytest.mark.parametrize(
    ("item", "path", "step"),
    [
        ({"spec": {}}, ("spec", "a"), ("/spec/a", 1)),
        ({"spec": {}}, ("spec", "a/b", "c~d"), ("/spec/a~1b", {"c~d": 1})),
        ({}, ("spec", "a", "b"), ("/spec", {"a": {"b": 1}})),
        ({"spec": None}, ("spec", "a"), ("/spec", {"a": 1})),
        ({"spec": {"a": None}}, ("spec", "a"), ("/spec/a", 1)),
        ({"spec": {"a": 0}}, ("spec", "a"), None),
        ({"spec": {"a": False}}, ("spec", "a"), None),
        ({"spec": {"a": []}}, ("spec", "a"), None),
        ({"spec": []}, ("spec", "0"), None),
        ({"spec": "text"}, ("spec", "a"), None),
    ],
)
def test_a_value_is_added_at_the_first_key_that_is_missing(item: Any, path: tuple[str, ...], step: Any) -> None:
    before = copy.deepcopy(item)
    found = added(item, path, 1)
    assert item == before
    if step is None:
        assert found is None
    else:
        assert found is not None
        assert found[0] == {"op": "add", "path": step[0], "value": step[1]}


@some
@given(objects, st.lists(st.tuples(paths, anything.filter(lambda value: value is not None)), max_size=4))
def test_steps_apply_in_order_and_take_nothing_away(item: dict[str, Any], wanted: list[tuple[tuple[str, ...], Any]]) -> None:
    before = copy.deepcopy(item)
    now, steps = item, []
    for path, value in wanted:
        done = added(now, path, value)
        if done is None:
            continue
        step, now = done
        steps.append(step)
        assert dig(now, path) == value
        assert added(now, path, value) is None
    assert item == before
    assert jsonpatch.apply_patch(before, steps) == now
    assert is_kept(before, now)


def is_kept(before: Any, after: Any) -> bool:
    """Whether all that was there is there still, unknown fields too; null is nothing."""
    if isinstance(before, dict) and isinstance(after, dict):
        return all(value is None or (key in after and is_kept(value, after[key])) for key, value in before.items())
    return bool(before == after)


# --- the whole way -----------------------------------------------------------------------------------------------------

EVERYTHING = MemoryView(
    [
        {"kind": "Namespace", "metadata": {"name": "ns", "labels": {"stateward.dev/defaults": "on"}}},
        {"kind": "Node", "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "a"}}},
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": {"name": "registry", "namespace": "ns"},
            "spec": {
                "replicas": 3,
                "template": {
                    "metadata": {"labels": {"app": "registry"}},
                    "spec": {"containers": [{"name": "etcd", "image": "etcd:3.5.17"}]},
                },
            },
        },
    ],
    lambda _: True,
)
EXAMPLES = [(example.case.request.object, example.case.request.kind) for one in MUTATIONS for example in read(one)]


def ask(item: Any, kind: str) -> dict[str, Any]:
    name, _, group = kind.partition(".")
    request = {
        "uid": "u", "operation": "CREATE", "namespace": "ns", "object": item,
        "kind": {"group": group, "version": "v1", "kind": name},
    }  # fmt: skip
    body = orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
    answer = mutate(body, EVERYTHING, now=1.0)
    assert answer.verdict.faults == {}
    response: dict[str, Any] = orjson.loads(answer.body)["response"]
    assert response["allowed"] is True
    assert ("patch" in response) == ("patchType" in response) == bool(answer.filled)
    return response


def patch_of(response: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = orjson.loads(base64.b64decode(response["patch"])) if "patch" in response else []
    return found


def check(item: Any, kind: str) -> bool:
    steps = patch_of(ask(item, kind))
    after = jsonpatch.apply_patch(item, steps)
    assert is_kept(item, after)
    assert not any("volumeClaimTemplates" in step["path"] for step in steps)
    assert "patch" not in ask(after, kind)
    return bool(steps)


@some
@given(st.sampled_from(sorted({kind for _, kind in EXAMPLES})), objects)
def test_any_object_can_be_patched_and_then_needs_nothing(kind: str, item: dict[str, Any]) -> None:
    check(item, kind)


def places(item: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    if isinstance(item, dict):
        for key, value in item.items():
            found += places(value, (*path, key))
    elif isinstance(item, list):
        for index, value in enumerate(item):
            found += places(value, (*path, index))
    return found


PATCHED = 0


@some
@given(st.data())
def test_an_example_with_a_piece_replaced_can_be_patched_and_then_needs_nothing(data: st.DataObject) -> None:
    item, kind = data.draw(st.sampled_from(EXAMPLES))
    item = copy.deepcopy(item)
    path = data.draw(st.sampled_from(places(item)))
    holder = dig(item, path[:-1])
    if data.draw(st.booleans()):
        holder[path[-1]] = data.draw(anything)
    else:
        del holder[path[-1]]
    global PATCHED
    PATCHED += check(item, kind)


def test_pieces_were_replaced_in_objects_that_are_patched() -> None:
    assert PATCHED > 20


@pytest.mark.parametrize(("item", "kind"), EXAMPLES, ids=[str(number) for number in range(len(EXAMPLES))])
def test_unknown_fields_are_kept(item: Any, kind: str) -> None:
    item = copy.deepcopy(item)
    item["x-new"] = {"a/b": [1, None]}
    item["spec"]["fieldOfATomorrow"] = {"c~d": 1.5}
    if "template" in item["spec"]:
        item["spec"]["template"]["spec"]["also"] = [{"~1": "x"}]
    after = jsonpatch.apply_patch(item, patch_of(ask(item, kind)))
    assert after["x-new"] == item["x-new"]
    assert after["spec"]["fieldOfATomorrow"] == {"c~d": 1.5}


def test_a_selector_that_is_deeper_than_json_is_written_is_not_copied() -> None:
    item = {**EXAMPLES[0][0], "spec": {**EXAMPLES[0][0]["spec"], "selector": "@"}}
    request = {"uid": "u", "operation": "CREATE", "namespace": "ns", "object": item}
    text = orjson.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).decode()
    answer = mutate(text.replace('"@"', '{"matchLabels":' * 300 + "{}" + "}" * 300).encode(), EVERYTHING, now=1.0)
    assert answer.verdict.faults == {}
    assert answer.filled == ()
