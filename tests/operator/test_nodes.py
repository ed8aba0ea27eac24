"""Which nodes a volume is bound to, and how they stand."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.operator.nodes import homes, named, state_of

OUT = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
AWAY = {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"}


def node(name: str, *taints: dict[str, str], **labels: str) -> dict[str, Any]:
    known = {"kubernetes.io/hostname": name, **{key.replace("__", "/"): value for key, value in labels.items()}}
    return {"metadata": {"name": name, "labels": known}, "spec": {"taints": list(taints)}}


def volume(*terms: Any) -> dict[str, Any]:
    found = [
        {"matchExpressions": [{"key": key, "operator": how, "values": list(of)} for key, how, *of in term]} for term in terms
    ]
    return {"metadata": {"name": "pv"}, "spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": found}}}}


HOST = "kubernetes.io/hostname"
ZONE = "topology.kubernetes.io/zone"


@pytest.mark.parametrize(
    ("taints", "state"),
    [
        ([], "there"),
        ([{"key": "dedicated", "effect": "NoSchedule"}], "there"),
        ([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}], "there"),
        ([AWAY], "away"),
        ([{"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}], "away"),
        ([AWAY, OUT], "out"),
        ([OUT], "out"),
    ],
)
def test_a_node_is_gone_only_where_somebody_says_so(taints: list[dict[str, str]], state: str) -> None:
    assert state_of(node("a", *taints)) == state


@pytest.mark.parametrize(
    ("terms", "names"),
    [
        ([], set()),
        ([[(HOST, "In", "a")]], {"a"}),
        ([[(HOST, "In", "a", "b")]], {"a", "b"}),
        ([[("topology.topolvm.io/node", "In", "a")]], {"a"}),
        ([[("openebs.io/nodename", "In", "a")]], {"a"}),
        ([[(HOST, "In", "a"), (ZONE, "In", "z")]], {"a"}),
        ([[(HOST, "In", "a")], [(HOST, "In", "b")]], {"a", "b"}),
        # It can go to another node: of its zone, of whatever a driver's own key means, of all but one.
        ([[(ZONE, "In", "z")]], set()),
        ([[("topology.ebs.csi.aws.com/zone", "In", "z")]], set()),
        ([[("example.com/rack", "In", "r")]], set()),
        ([[(HOST, "NotIn", "a")]], set()),
        ([[(HOST, "In", "a")], [(ZONE, "In", "z")]], set()),
    ],
)
def test_a_volume_is_bound_to_nodes_only_where_each_term_names_some(terms: list[Any], names: set[str]) -> None:
    assert named(volume(*terms)) == names


def test_fields_name_nodes_too() -> None:
    found = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]}]}
    item = {"spec": {"nodeAffinity": {"required": found}}}
    assert named(item) == {"a"}
    assert [one["metadata"]["name"] for one in homes(item, [node("a"), node("b")])] == ["a"]


@pytest.mark.parametrize(
    ("terms", "found"),
    [
        ([], ["a", "b"]),
        ([[(HOST, "In", "b")]], ["b"]),
        ([[(HOST, "In", "c")]], []),
        ([[(HOST, "NotIn", "b")]], ["a"]),
        ([[("disk", "Exists")]], ["a"]),
        ([[("disk", "DoesNotExist")]], ["b"]),
        ([[("cores", "Gt", "4")]], ["b"]),
        ([[("cores", "Lt", "4")]], []),
        ([[("cores", "Gt", "many")]], []),
        ([[(HOST, "In", "a", "b"), ("disk", "Exists")]], ["a"]),
        ([[(HOST, "In", "a")], [(HOST, "In", "b")]], ["a", "b"]),
        ([[]], []),
    ],
)
def test_terms_match_as_the_scheduler_has_it(terms: list[Any], found: list[str]) -> None:
    nodes = [node("a", disk="ssd", cores="4"), node("b", cores="8")]
    assert [one["metadata"]["name"] for one in homes(volume(*terms), nodes)] == found
