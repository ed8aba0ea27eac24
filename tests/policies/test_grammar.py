"""The grammar of adapter files: what each word does, and what a mistake is told."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.grammar import GrammarError, compile_expression, compile_path, each_item, nothing
from stateward.policies.model import Field
from stateward.policies.view import UNKNOWN

ITEM = {
    "spec": {
        "replicas": 3,
        "zero": 0,
        "off": False,
        "empty": "",
        "roles": ["broker", "controller"],
        "config": {"min.insync.replicas": 2},
        "level": "3.9-IV0",
        "major": 17,
        "disks": [{"id": 0, "size": "1Gi"}, {"id": 1, "size": "2Gi"}],
    },
    "status": {
        "conditions": [
            {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-02T00:00:00Z"},
            {"type": "Done", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        ]
    },
}

VALUES: list[tuple[str, Any, Any, tuple[str | int, ...]]] = [
    ("a path", "spec.replicas", 3, ("spec", "replicas")),
    ("a path as a mapping", {"path": "spec.replicas"}, 3, ("spec", "replicas")),
    ("a key with dots", "spec.config[min.insync.replicas]", 2, ("spec", "config", "min.insync.replicas")),
    ("a single key", "spec", ITEM["spec"], ("spec",)),
    ("a path that leads nowhere", "spec.nothing.more", None, ("spec", "nothing", "more")),
    ("a path through a number", "spec.replicas.more", None, ("spec", "replicas", "more")),
    ("a constant", {"const": True}, True, ()),
    ("a constant of nothing", {"const": None}, None, ()),
    ("the first that is there", {"firstOf": ["spec.nothing", "spec.replicas"]}, 3, ("spec", "replicas")),
    ("texts put together", {"all": ["spec.level", "spec.x", "spec.major"], "between": "/"}, "3.9-IV0/17", ("spec", "level")),
    ("nothing to put together", {"all": ["spec.x", "spec.off"], "between": "/"}, None, ("spec", "x")),
    ("texts put together, framed", {"all": ["spec.level"], "suffix": "-cert"}, "3.9-IV0-cert", ("spec", "level")),
    ("nought counts as there", {"firstOf": ["spec.zero", "spec.replicas"]}, 0, ("spec", "zero")),
    ("false counts as there", {"firstOf": ["spec.off", "spec.replicas"]}, False, ("spec", "off")),
    ("none of them: the path of the first", {"firstOf": ["spec.a", "spec.b"]}, None, ("spec", "a")),
    ("a default for nothing", {"path": "spec.nothing", "default": 1}, 1, ("spec", "nothing")),
    ("no default for something", {"path": "spec.zero", "default": 1}, 0, ("spec", "zero")),
    ("equals", {"path": "spec.replicas", "equals": 3}, True, ("spec", "replicas")),
    ("equals another", {"path": "spec.replicas", "equals": 4}, False, ("spec", "replicas")),
    ("equals nothing", {"path": "spec.nothing", "equals": 3}, False, ("spec", "nothing")),
    ("one of", {"path": "spec.replicas", "in": [1, 3]}, True, ("spec", "replicas")),
    ("none of", {"path": "spec.replicas", "in": [1, 2]}, False, ("spec", "replicas")),
    ("contains", {"path": "spec.roles", "contains": "broker"}, True, ("spec", "roles")),
    ("does not contain", {"path": "spec.roles", "contains": "voter"}, False, ("spec", "roles")),
    ("a text contains nothing", {"path": "spec.level", "contains": "3"}, False, ("spec", "level")),
    ("every value", {"every": "spec.disks", "value": "size"}, ["1Gi", "2Gi"], ("spec", "disks")),
    ("every value of no list", {"every": "spec.level", "value": "size"}, None, ("spec", "level")),
    ("every value, none there", {"every": "spec.disks", "value": "class"}, None, ("spec", "disks")),
    ("how many", {"every": "spec.disks", "value": "id", "transform": "count"}, 2, ("spec", "disks")),
    ("exists", {"path": "spec.zero", "exists": True}, True, ("spec", "zero")),
    ("does not exist", {"path": "spec.nothing", "exists": True}, False, ("spec", "nothing")),
    ("is absent", {"path": "spec.nothing", "exists": False}, True, ("spec", "nothing")),
    ("not", {"path": "spec.replicas", "equals": 3, "not": True}, False, ("spec", "replicas")),
    ("the default is tested", {"path": "spec.x", "default": "Delete", "equals": "Delete"}, True, ("spec", "x")),
    ("transformed", {"path": "spec.level", "transform": "kafka-release"}, "3.9", ("spec", "level")),
    ("a number as text", {"path": "spec.major", "transform": "text"}, "17", ("spec", "major")),
    ("turned round", {"path": "spec.off", "transform": "not"}, True, ("spec", "off")),
    ("nothing is transformed", {"path": "spec.x", "transform": "not"}, None, ("spec", "x")),
    ("a default is not transformed", {"path": "spec.x", "transform": "not", "default": True}, True, ("spec", "x")),
    ("from the root of the object", {"root": "spec.replicas"}, 3, ("spec", "replicas")),
    ("mapped", {"path": "spec.level", "map": {"3.9-IV0": "new"}}, "new", ("spec", "level")),
    ("mapped to nothing", {"path": "spec.level", "map": {"3.8": "old"}}, None, ("spec", "level")),
    ("a default for what maps to nothing", {"path": "spec.level", "map": {}, "default": "x"}, "x", ("spec", "level")),
    ("framed", {"path": "spec.level", "prefix": "v", "suffix": "!"}, "v3.9-IV0!", ("spec", "level")),
    ("a number is not framed", {"path": "spec.replicas", "suffix": "!"}, 3, ("spec", "replicas")),
    ("above", {"path": "spec.replicas", "above": 2}, True, ("spec", "replicas")),
    ("not above itself", {"path": "spec.replicas", "above": 3}, False, ("spec", "replicas")),
    ("a text is above nothing", {"path": "spec.level", "above": 0}, False, ("spec", "level")),
    ("a condition that is true", {"condition": "Done"}, "2026-01-01T00:00:00Z", ("status", "conditions")),
    ("a condition that is false", {"condition": "Ready"}, None, ("status", "conditions")),
    ("an item of a list", {"find": "spec.disks", "where": {"id": 1}, "value": "size"}, "2Gi", ("spec", "disks", 1, "size")),
    ("no such item", {"find": "spec.disks", "where": {"id": 7}, "value": "size"}, None, ("spec", "disks")),
    ("when it holds", {"path": "spec.replicas", "when": {"path": "spec.off", "equals": False}}, 3, ("spec", "replicas")),
    ("when it does not", {"path": "spec.replicas", "when": "spec.off"}, None, ("spec", "replicas")),
    ("when it is no boolean", {"path": "spec.replicas", "when": "spec.zero"}, None, ("spec", "replicas")),
]


@pytest.mark.parametrize(("spec", "value", "path"), [row[1:] for row in VALUES], ids=[row[0] for row in VALUES])
def test_an_expression_gives_a_value_and_its_path(spec: Any, value: Any, path: tuple[str | int, ...]) -> None:
    assert compile_expression(spec, "here")(ITEM, ()) == Field(value, path)


def test_a_path_is_told_from_the_start_of_the_object() -> None:
    assert compile_expression("size", "here")({"size": "1Gi"}, ("spec", "volumes", 2)) == Field(
        "1Gi", ("spec", "volumes", 2, "size")
    )


@pytest.mark.parametrize(
    ("wanted", "value", "known"),
    [
        (str, "fast", True),
        (str, 5, False),
        (str, ["fast"], False),
        (int, 5, True),
        (int, True, False),
        (int, "5", False),
        (int, 5.0, False),
        (bool, True, True),
        (bool, "true", False),
        (list, [], True),
        (list, {}, False),
        (dict, {}, True),
        (dict, [], False),
    ],
)
def test_a_value_of_another_type_is_unknown(wanted: type, value: object, known: bool) -> None:
    found = compile_expression("spec.x", "here", wanted)({"spec": {"x": value}}, ())
    assert found == Field(value if known else UNKNOWN, ("spec", "x"))


def test_nothing_is_of_every_type() -> None:
    assert compile_expression("spec.x", "here", int)({"spec": {}}, ()) == Field(None, ("spec", "x"))


@pytest.mark.parametrize("item", [None, 5, "text", [], True, {"spec": None}, {"spec": []}, {"spec": "x"}])
def test_an_expression_finds_nothing_in_what_has_another_shape(item: Any) -> None:
    assert compile_expression("spec.storage.size", "here")(item, ()).value is None
    assert compile_expression("spec", "here")(item if type(item) is not dict else {}, ()).value is None


def test_a_slot_that_is_left_out_is_nothing() -> None:
    assert nothing({"spec": 1}, ("spec",)) == Field(None, ("spec",))


MISTAKES = [
    (5, "here: an expression is a path or a mapping, not int"),
    (None, "here: an expression is a path or a mapping, not NoneType"),
    (["spec"], "here: an expression is a path or a mapping, not list"),
    (
        {"path": "spec", "equal": 1},
        'here: unknown word "equal"; an expression has above',
    ),
    ({}, "here: one of path, root, firstOf"),
    ({"default": 1}, "here: one of path, root, firstOf"),
    (
        {"path": "a", "const": 1},
        "here: one of path, root, firstOf",
    ),
    ({"firstOf": []}, "here.firstOf: an empty list"),
    ({"firstOf": ["a", {"path": "b", "x": 1}]}, 'here.firstOf[1]: unknown word "x"; an expression has'),
    ({"path": "a", "when": {"pth": "b"}}, 'here.when: unknown word "pth"; an expression has'),
    (
        {"path": "a", "transform": "shout"},
        'here: no transform "shout" is registered; there are all-stopped',
    ),
    ({"path": "a", "in": "b"}, "here.in: a list is wanted"),
    ({"path": "a", "above": "b"}, "here.above: a whole number is wanted"),
    ({"path": "a", "map": ["b"]}, "here.map: a mapping is wanted"),
    ({"path": 5}, "here: a path is a text, not int"),
    ({"firstOf": "a"}, "here.firstOf: a list of expressions is wanted"),
    ({"all": "a"}, "here.all: a list of expressions is wanted"),
    ({"all": []}, "here.all: an empty list"),
    ({"path": "a", "within": "b..c"}, 'path "b..c": an empty key'),
    ({"find": "a", "value": "b"}, "here: find wants `where` (keys and their values) and `value` (a path)"),
    ("a..b", 'path "a..b": an empty key'),
    ("a[b", 'path "a[b": a bracket is not closed'),
    ("", "an empty path"),
]


@pytest.mark.parametrize(("spec", "message"), MISTAKES, ids=[repr(row[0]) for row in MISTAKES])
def test_a_mistake_is_told_with_its_place_and_reason(spec: Any, message: str) -> None:
    with pytest.raises(GrammarError) as caught:
        compile_expression(spec, "here")
    assert str(caught.value).startswith(message)


def test_a_compiled_path_digs_and_says_its_keys() -> None:
    dig, steps = compile_path("spec.config[a.b]")
    assert steps == ("spec", "config", "a.b")
    assert dig({"spec": {"config": {"a.b": 1}}}) == 1
    assert dig({"spec": {"config": [1]}}) is None


# --- lists -----------------------------------------------------------------------------------------------------------


def test_each_goes_over_the_mappings_of_a_list_with_their_places() -> None:
    over = each_item({"each": "spec.volumes"}, "here")
    item = {"spec": {"volumes": [{"id": 0}, "stray", {"id": 1}]}}
    assert over(item, ()) == [({"id": 0}, ("spec", "volumes", 0)), ({"id": 1}, ("spec", "volumes", 2))]


@pytest.mark.parametrize("volumes", [None, {}, "text", 5])
def test_each_goes_over_nothing_where_there_is_no_list(volumes: Any) -> None:
    assert each_item({"each": "spec.volumes"}, "here")({"spec": {"volumes": volumes}}, ()) == []


def test_without_each_the_item_itself_is_taken() -> None:
    assert each_item({}, "here")({"id": 0}, ("spec",)) == [({"id": 0}, ("spec",))]


@pytest.mark.parametrize("spec", [{"each": "spec.volumes"}, {}])
def test_a_guard_leaves_everything_out(spec: dict[str, Any]) -> None:
    guarded = each_item({**spec, "when": {"path": "spec.on", "equals": True}}, "here")
    assert guarded({"spec": {"on": False, "volumes": [{}]}}, ()) == []
    assert len(guarded({"spec": {"on": True, "volumes": [{}]}}, ())) == 1


# --- whole files -----------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {"adapter": "index", "match": {"group": "search.example", "kind": "Index"}, "resource": "indices"}

BROKEN: list[tuple[Any, str]] = [
    ([], "index.yaml: a mapping is wanted"),
    (None, "index.yaml: a mapping is wanted"),
    ({**WHOLE, "claims": {"like": ["a-*"]}}, "index.yaml: claims.like: a label is wanted too"),
    ({**WHOLE, "version": [{"tag": "spec.image"}]}, 'index.yaml: version[0]: "tag" is none of image, text, catalog'),
    ({**WHOLE, "version": [{"image": {"pth": "x"}}]}, 'index.yaml: version[0]: unknown word "pth"'),
    ({**WHOLE, "values": {"level": {"pth": "x"}}}, 'index.yaml: values.level: unknown word "pth"'),
    ({**WHOLE, "placement": {"nodeSelector": 5}}, "index.yaml: placement.nodeSelector: an expression is"),
    (
        {**WHOLE, "groups": [{"name": {"const": "a"}, "members": {"pth": "x"}}]},
        'index.yaml: groups[0].members: unknown word "pth"',
    ),
    (
        {**WHOLE, "groups": [{"name": {"const": "a"}, "volumes": [{"name": "id"}, {"name": "id", "size": 5}]}]},
        "index.yaml: groups[0].volumes[1].size: an expression is a path or a mapping, not int",
    ),
    ({**WHOLE, "archives": [{"store": {"pth": "x"}}]}, 'index.yaml: archives[0].store: unknown word "pth"'),
]


@pytest.mark.parametrize(("content", "message"), BROKEN, ids=[row[1] for row in BROKEN])
def test_a_broken_adapter_is_refused_with_file_place_and_reason(content: Any, message: str) -> None:
    with pytest.raises(GrammarError) as caught:
        Adapter("index.yaml", content)
    assert str(caught.value).startswith(message)


def test_an_adapter_of_three_lines_is_enough() -> None:
    adapter = Adapter("index.yaml", WHOLE)
    assert (adapter.kind, adapter.resource, adapter.scale_path) == ("Index.search.example", "indices", None)


def test_each_goes_through_lists_inside_lists() -> None:
    item = {"spec": {"zones": [{"pools": [{"n": 1}, {"n": 2}]}, {"pools": 3}, {"pools": [{"n": 4}]}]}}
    found = each_item({"each": "spec.zones[].pools"}, "here")(item, ())
    assert [(one["n"], at) for one, at in found] == [
        (1, ("spec", "zones", 0, "pools", 0)),
        (2, ("spec", "zones", 0, "pools", 1)),
        (4, ("spec", "zones", 2, "pools", 0)),
    ]


def test_a_value_of_an_item_that_this_one_lies_inside() -> None:
    whole = {"spec": {"zones": [{"name": "a", "racks": [{"name": "r", "pools": [{"n": 1}]}]}]}}
    at = ("spec", "zones", 0, "racks", 0, "pools", 0)
    zone = compile_expression({"path": "name", "within": "spec.zones"}, "here")
    rack = compile_expression({"path": "name", "within": "spec.zones[].racks"}, "here")
    assert zone({"n": 1}, at, whole) == Field("a", ("spec", "zones", 0, "name"))
    assert rack({"n": 1}, at, whole) == Field("r", ("spec", "zones", 0, "racks", 0, "name"))


@pytest.mark.parametrize("at", [(), ("spec",), ("spec", "zones"), ("spec", "racks", 0), ("spec", "zones", 7)])
def test_nothing_lies_around_an_item_elsewhere(at: tuple[str | int, ...]) -> None:
    zone = compile_expression({"path": "name", "within": "spec.zones"}, "here")
    assert zone({}, at, {"spec": {"zones": [{"name": "a"}]}}).value is None
    assert zone({}, ("spec", "zones", 0), {"spec": {"zones": {"0": 1}}}).value is None


def test_a_list_inside_the_mappings_of_a_mapping() -> None:
    item = {"spec": {"kinds": {"a": {"disks": [{"n": 1}, 5]}, "b": {"disks": {}}, "c": [], "d": {"disks": [{"n": 2}]}}}}
    found = each_item({"each": "spec.kinds{}.disks"}, "here")(item, ())
    assert [(one["n"], at) for one, at in found] == [
        (1, ("spec", "kinds", "a", "disks", 0)),
        (2, ("spec", "kinds", "d", "disks", 0)),
    ]


def test_each_of_goes_over_a_mapping_and_knows_the_keys() -> None:
    found = each_item({"eachOf": "spec.shards"}, "here")({"spec": {"shards": {"a": {"n": 1}, "b": 2, "c": {"n": 3}}}}, ())
    assert [(one["n"], at) for one, at in found] == [(1, ("spec", "shards", "a")), (3, ("spec", "shards", "c"))]
    assert compile_expression({"key": True}, "here")(*found[0]).value == "a"


def test_each_of_knows_keys_whose_values_are_lists_or_nothing() -> None:
    found = each_item({"eachOf": "users"}, "here")({"users": {"app": ["login"], "root": None, "odd": "text"}}, ())
    assert found == [({}, ("users", "app")), ({}, ("users", "root"))]


def test_inside_a_list_the_root_is_the_whole_object() -> None:
    item = {"spec": {"size": "1Gi", "pools": [{"size": None}]}}
    reader = compile_expression({"firstOf": ["size", {"root": "spec.size"}]}, "here")
    (inner, base), *_ = each_item({"each": "spec.pools"}, "here")(item, ())
    assert reader(inner, base, item) == Field("1Gi", ("spec", "size"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"each": "a", "eachOf": "b"}, "here: either each (a list) or eachOf (a mapping), not both"),
        ({"each": 5}, "here.each: a path is wanted, not int"),
    ],
)
def test_a_mistake_in_a_list_is_told(spec: Any, message: str) -> None:
    with pytest.raises(GrammarError) as caught:
        each_item(spec, "here")
    assert str(caught.value) == message
