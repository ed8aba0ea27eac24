"""A manifest laid over a live object, and where its fields then stand."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.cli.overlay import built_in, laid_over, without, written_path

SET = {"apiVersion": "apps/v1", "kind": "StatefulSet"}
CUSTOM = {"apiVersion": "kafka.strimzi.io/v1", "kind": "Kafka"}


def over(live: dict, manifest: dict, applied: dict | None = None, head: dict = SET) -> dict:
    result = laid_over({**head, **live}, {**head, **manifest}, applied)
    return {key: value for key, value in result.items() if key not in head}


def pod(*containers: dict) -> dict:
    return {"spec": {"template": {"spec": {"containers": list(containers)}}}}


@pytest.mark.parametrize(
    ("live", "manifest", "applied", "result"),
    {
        "what is written wins": ({"spec": {"replicas": 3}}, {"spec": {"replicas": 1}}, None, {"spec": {"replicas": 1}}),
        "what only lives stays": (
            {"spec": {"a": 1}, "status": {"b": 2}},
            {"spec": {}},
            None,
            {"spec": {"a": 1}, "status": {"b": 2}},
        ),
        "null takes away": ({"spec": {"a": 1, "b": 2}}, {"spec": {"a": None}}, None, {"spec": {"b": 2}}),
        "what was applied and is no longer written goes": (
            {"spec": {"a": 1, "b": {"c": 2, "d": 3}}},
            {"spec": {"b": {"d": 3}}},
            {"spec": {"a": 1, "b": {"c": 2, "d": 3}}},
            {"spec": {"b": {"d": 3}}},
        ),
        "containers merge by name, in the order of the manifest": (
            pod({"name": "x", "image": "x:1", "tty": True}, {"name": "injected", "image": "i"}),
            pod({"name": "new", "image": "n"}, {"name": "x", "image": "x:2"}),
            None,
            pod(
                {"name": "new", "image": "n"}, {"name": "x", "image": "x:2", "tty": True}, {"name": "injected", "image": "i"}
            ),
        ),
        "a container that was applied and is no longer written goes": (
            pod({"name": "x"}, {"name": "y"}, {"name": "injected"}),
            pod({"name": "x"}),
            pod({"name": "x"}, {"name": "y"}),
            pod({"name": "x"}, {"name": "injected"}),
        ),
        "ports of a container and of a service": (
            {"a": {"ports": [{"containerPort": 1, "protocol": "TCP"}]}, "b": {"ports": [{"port": 5, "nodePort": 9}]}},
            {"a": {"ports": [{"containerPort": 1}]}, "b": {"ports": [{"port": 5}]}},
            None,
            {"a": {"ports": [{"containerPort": 1, "protocol": "TCP"}]}, "b": {"ports": [{"port": 5, "nodePort": 9}]}},
        ),
        "claim templates are those of the manifest, filled in": (
            {"volumeClaimTemplates": [{"metadata": {"name": "a"}, "status": 1}, {"metadata": {"name": "b"}}]},
            {"volumeClaimTemplates": [{"metadata": {"name": "a"}, "spec": 2}]},
            None,
            {"volumeClaimTemplates": [{"metadata": {"name": "a"}, "status": 1, "spec": 2}]},
        ),
        "other lists are one value": ({"args": ["a", "b"]}, {"args": ["c"]}, None, {"args": ["c"]}),
        "another type replaces": ({"a": {"b": 1}}, {"a": [1]}, None, {"a": [1]}),
        "a list whose items have no key is one value": ({"env": [{"name": "a"}]}, {"env": ["odd"]}, None, {"env": ["odd"]}),
    }.values(),
)
def test_layers(live, manifest, applied, result):
    assert over(live, manifest, applied) == result


def test_lists_of_custom_resources_are_replaced():
    live = {"spec": {"containers": [{"name": "a", "x": 1}]}}
    assert over(live, {"spec": {"containers": [{"name": "a"}]}}, head=CUSTOM) == {"spec": {"containers": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("api_version", "is_built_in"),
    [
        ("v1", True),
        ("apps/v1", True),
        ("storage.k8s.io/v1", True),
        ("kafka.strimzi.io/v1", False),
        ("a.x-k8s.io/v1", False),
        (1, True),
    ],
)
def test_groups_of_kubernetes_itself(api_version, is_built_in):
    assert built_in(api_version) is is_built_in


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("ab", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "env", "ports", "port", "containers", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECT = st.dictionaries(st.sampled_from(["spec", "env", "containers", "metadata"]), JSON, max_size=3).map(
    lambda one: {**SET, **one}
)


@given(OBJECT, OBJECT, OBJECT)
def test_no_shape_breaks_it_and_nothing_given_is_changed(live, manifest, applied):
    before = copy.deepcopy((live, manifest, applied))
    laid_over(live, manifest, applied)
    without(live, manifest, applied)
    assert (live, manifest, applied) == before


def _plain(value):
    """Without nulls, which take away instead of being there."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    return [_plain(each) for each in value] if isinstance(value, list) else value


@given(OBJECT, OBJECT.map(_plain))
def test_a_manifest_laid_over_twice_changes_nothing_more(live, manifest):
    once = laid_over(live, manifest)
    assert laid_over(once, manifest) == once


@pytest.mark.parametrize(
    ("path", "there"),
    [
        (("spec", "template", "spec", "containers", 0, "image"), ("spec", "template", "spec", "containers", 1, "image")),
        (("spec", "template", "spec", "containers", 2, "image"), ("spec", "template", "spec", "containers")),
        (("spec", "template", "spec", "containers", 1, "args", 0), ("spec", "template", "spec", "containers", 0, "args", 0)),
        (("spec", "replicas"), ("spec", "replicas")),
        (("spec", "missing", "deeper"), ("spec", "missing", "deeper")),
        (("spec", "volumeClaimTemplates", 1, "spec"), ("spec", "volumeClaimTemplates", 0, "spec")),
    ],
)
def test_a_field_is_found_where_the_manifest_has_it(path, there):
    merged = {
        "spec": {
            "replicas": 1,
            "template": {
                "spec": {"containers": [{"name": "x", "image": "1"}, {"name": "y", "args": [1]}, {"name": "injected"}]}
            },
            "volumeClaimTemplates": [{"metadata": {"name": "a"}}, {"metadata": {"name": "b"}, "spec": {}}],
        }
    }
    manifest = {
        "spec": {
            "template": {"spec": {"containers": [{"name": "y", "args": [1]}, {"name": "x", "image": "1"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "b"}}],
        }
    }
    assert written_path(path, merged, manifest) == there
