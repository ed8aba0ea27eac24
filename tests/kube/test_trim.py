from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.kube.declared import CRD, needed
from stateward.kube.trim import LAST_APPLIED, normalised, trimmer
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.paths import dig, parse
from stateward.policies.rules import RULES
from stateward.policies.webhooks import CONFIGURATIONS

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {
        "name": "db-0",
        "labels": {"app": "db"},
        "annotations": {LAST_APPLIED: "{...}", "a/b": "c"},
        "managedFields": [{"manager": "kubectl"}],
    },
    "spec": {"volumes": [{"name": "data"}], "containers": [{"name": "db", "image": "postgres:17", "env": []}]},
    "status": {"phase": "Running", "conditions": []},
}


def test_without_fields_metadata_alone_is_kept() -> None:
    assert trimmer("Pod", ())(POD) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "labels": {"app": "db"}, "annotations": {"a/b": "c"}},
    }


def test_declared_fields_are_kept_and_their_neighbours_not() -> None:
    kept = trimmer("Pod", ("spec.volumes", "status.phase"))(POD)
    assert kept["spec"] == {"volumes": [{"name": "data"}]}
    assert kept["status"] == {"phase": "Running"}


def test_a_whole_object_loses_only_what_nobody_reads() -> None:
    kept = trimmer("StatefulSet.apps", None)(POD)
    assert (kept["spec"], kept["status"]) == (POD["spec"], POD["status"])
    assert "managedFields" not in kept["metadata"]
    assert LAST_APPLIED not in kept["metadata"]["annotations"]


def test_a_field_below_a_list_is_kept_of_each_item() -> None:
    assert trimmer("Pod", ("spec.containers.image",))(POD)["spec"] == {"containers": [{"image": "postgres:17"}]}


def test_a_key_with_dots_stands_in_brackets() -> None:
    item = {"data": {"my.cnf": "x", "other": "y"}}
    assert trimmer("ConfigMap", ("data[my.cnf]",))(item) == {"data": {"my.cnf": "x"}}


@pytest.mark.parametrize("fields", [None, (), ("data",), ("data.password", "stringData", "type")])
def test_the_data_of_a_secret_is_never_kept(fields: tuple[str, ...] | None) -> None:
    secret = {
        "kind": "Secret",
        "metadata": {"name": "s", "annotations": {LAST_APPLIED: '{"data":{"password":"aGk="}}'}},
        "type": "Opaque",
        "data": {"password": "aGk="},
        "stringData": {"password": "hi"},
    }
    kept = trimmer("Secret", fields)(secret)
    assert "aGk=" not in str(kept)
    assert "data" not in kept
    assert "stringData" not in kept
    assert normalised("Secret", fields or ()) <= {"type"}


_KEYS = st.sampled_from(["spec", "status", "data", "metadata", "a", "b", "c"])
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=4)),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(_KEYS, _JSON, max_size=5)
_PREFIXES = st.lists(st.lists(_KEYS, min_size=1, max_size=3).map(".".join), max_size=4)


def _part_of(part: Any, whole: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and _part_of(one, whole[key]) for key, one in part.items())
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(_part_of, part, whole))
    return bool(part == whole)


@given(_OBJECTS, _PREFIXES)
def test_trimming_keeps_what_was_declared_invents_nothing_and_leaves_the_original(
    item: dict[str, Any], prefixes: list[str]
) -> None:
    before = copy.deepcopy(item)
    trim = trimmer("Pod", prefixes)
    kept = trim(item)
    assert item == before
    assert _part_of(kept, item)
    assert trim(kept) == kept, "a second time changes nothing"
    for prefix in prefixes:
        assert dig(kept, parse(prefix)) == dig(item, parse(prefix)) or prefix.startswith("metadata")


@given(_OBJECTS, _PREFIXES)
def test_fields_said_shortest_keep_the_same(item: dict[str, Any], prefixes: list[str]) -> None:
    short = normalised("Pod", prefixes)
    assert trimmer("Pod", short)(item) == trimmer("Pod", prefixes)(item)
    assert not any(one != other and other.startswith(f"{one}.") for one in short for other in short)


# --- what is declared ------------------------------------------------------------------------------------------------


def test_every_kind_that_a_rule_or_an_adapter_looks_at_is_needed_with_its_fields() -> None:
    found = needed(RULES, ADAPTERS)
    asked = [rule for rule in RULES if rule.judges.services or not set(rule.judges.kinds) <= set(CONFIGURATIONS)]
    assert len(asked) < len(RULES), "no API server asks about configurations of webhooks"
    looks = [look for rule in asked for look in rule.looks_at.values()]
    looks += [look for adapter in ADAPTERS.values() for look in adapter.looks_at]
    for look in looks:
        kept = found[look.kind]
        if kept is None or (look.kind in ADAPTERS and not ADAPTERS[look.kind].cached):
            continue
        for field in look.fields:
            steps = field.split(".")
            ways = {".".join(steps[: end + 1]) for end in range(len(steps))}
            assert ways & (kept | {"metadata"}), f"{look.kind} {field}"


def test_kinds_with_an_adapter_are_needed_whole() -> None:
    found = needed(RULES, ADAPTERS)
    for kind, adapter in ADAPTERS.items():
        assert found.get(kind, frozenset()) == (None if adapter.cached else frozenset())
    assert found["StatefulSet.apps"] is None


def test_a_kind_that_is_only_judged_is_not_kept_whole() -> None:
    # There are ten ReplicaSets to each Deployment, and nobody looks one up.
    assert not ADAPTERS["ReplicaSet.apps"].cached
    assert needed(RULES, ADAPTERS).get("ReplicaSet.apps", frozenset()) is not None


def test_what_adapters_join_is_needed() -> None:
    found = needed((), ADAPTERS)
    for adapter in ADAPTERS.values():
        if adapter.hub is not None:
            assert adapter.hub["kind"] in found


def test_without_any_rule_namespaces_waivers_and_crds_are_needed_still() -> None:
    found = needed((), {})
    assert found["Namespace"] == frozenset()
    assert found[CRD]
    assert set(found) == {"Namespace", CRD, "WardWaiver.stateward.dev"}


def test_crds_are_kept_without_their_schemas() -> None:
    fields = needed((), {})[CRD]
    crd = {
        "metadata": {"name": "x"},
        "spec": {"group": "g", "versions": [{"name": "v1", "served": True, "schema": {"huge": 1}}]},
        "status": {"conditions": [{"type": "Established", "status": "True", "message": "..."}]},
    }
    kept = trimmer(CRD, fields)(crd)
    assert kept["spec"] == {"group": "g", "versions": [{"name": "v1", "served": True}]}
    assert kept["status"] == {"conditions": [{"type": "Established", "status": "True"}]}


def test_the_version_of_an_object_is_kept_for_whoever_has_to_see_each_write() -> None:
    kept = trimmer("ConfigMap", ())(
        {"metadata": {"name": "c", "resourceVersion": "7", "managedFields": [{}], "selfLink": "/"}}
    )
    assert kept["metadata"] == {"name": "c", "resourceVersion": "7"}
