"""Nodes, and the volumes that are reached from some of them alone."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies.engine import evaluate
from stateward.policies.nodes import is_healthy, meets, tied_to
from stateward.policies.request import Request, User
from stateward.policies.view import MemoryView, Object, nothing_complete

READY = {"conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": "True"}]}


def node(name: str, **labels: str) -> Object:
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "status": READY}


def term(*expressions: dict[str, Any], fields: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {"matchExpressions": list(expressions), **({"matchFields": fields} if fields is not None else {})}


@pytest.mark.parametrize(
    ("terms", "met"),
    [
        ([], False),
        ([term({"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]})], True),
        ([term({"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]})], False),
        ([term({"key": "disk", "operator": "Exists"}), term({"key": "disk", "operator": "DoesNotExist"})], True),
        ([term({"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["node-1"]})], False),
        ([term(fields=[{"key": "metadata.name", "operator": "In", "values": ["node-1"]}])], True),
        ([term(fields=[{"key": "metadata.name", "operator": "In", "values": ["node-2"]}])], False),
    ],
)
def test_a_node_meets_one_of_the_terms(terms: list[dict[str, Any]], met: bool) -> None:
    assert meets(node("node-1"), terms) is met


@pytest.mark.parametrize("spec", [{}, {"nodeAffinity": None}, {"nodeAffinity": {"required": {"nodeSelectorTerms": "all"}}}])
def test_a_volume_without_terms_is_tied_to_no_node(spec: dict[str, Any]) -> None:
    assert tied_to({"spec": spec}) == []


@pytest.mark.parametrize("status", [None, {}, {"conditions": [{"type": "Ready", "status": "Unknown"}]}])
def test_a_node_whose_kubelet_is_silent_is_not_healthy(status: Any) -> None:
    assert is_healthy(node("node-1"))
    assert not is_healthy({"status": status})


def test_many_volumes_are_counted_and_some_of_them_named() -> None:
    items = [node("node-1"), node("node-2")]
    for number in range(5):
        terms = [term({"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-1"]})]
        volume = {"claimRef": {"namespace": "bank", "name": f"data-{number}"}}
        volume["nodeAffinity"] = {"required": {"nodeSelectorTerms": terms}}
        items.append({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"pv-{number}"}, "spec": volume})
        claim = {"name": f"data-{number}", "namespace": "bank"}
        items.append(
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "metadata": claim,
                "spec": {"volumeName": f"pv-{number}" if number else "another"},
            }
        )
    request = Request("Node", "DELETE", "node-1", "", None, node("node-1"), user=User("mara", ()))
    [found] = evaluate(request, MemoryView(items), now=0.0).judged
    assert (found.rule, found.action) == ("SW410", "warn")
    assert (
        found.finding.text == "deletes the only node that reaches 4 volumes: claims bank/data-1, bank/data-2, bank/data-3, …"
    )
    assert evaluate(request, MemoryView(items, nothing_complete), now=0.0).judged == []
