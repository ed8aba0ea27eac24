"""Nodes as they stand, and which of them a volume can be on: what only cluster-wide reads can tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from stateward.policies.view import Object, items_of, mapping_of, metadata_of, text_of

OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
"""Taint: whoever set it says that the node is shut down, and that nothing runs on it any more."""
_AWAY: Final = frozenset({"node.kubernetes.io/unreachable", "node.kubernetes.io/not-ready"})
_NAMES: Final = frozenset({"hostname", "host", "node", "nodename", "node-name", "node_name"})
"""What the last part of a label's key is called where its value is one node's: kubernetes.io/hostname,
topology.topolvm.io/node, openebs.io/nodename. A zone outlives its nodes; what is called otherwise is taken for a zone."""

State = Literal["there", "away", "out"]


def state_of(node: Object) -> State:
    """`away`: its kubelet is not heard, which says nothing of what runs on it. `out`: somebody says that it is gone."""
    taints = {text_of(taint, "key") for taint in items_of(mapping_of(node, "spec"), "taints")}
    if OUT_OF_SERVICE in taints:
        return "out"
    return "away" if taints & _AWAY else "there"


def homes(volume: Object, nodes: Iterable[Object]) -> list[Object]:
    """The nodes that a volume can be used on."""
    terms = _terms(volume)
    return [node for node in nodes if not terms or any(_matches(term, node) for term in terms)]


def named(volume: Object) -> set[str]:
    """The nodes that a volume is bound to, by name; empty where it can go to others, of its zone or anywhere."""
    found: set[str] = set()
    for term in _terms(volume):
        several = _nodes_of(term)
        if not several:
            return set()
        found |= several
    return found


def say_gone(node: str) -> str:
    """How one says that a node never comes back."""
    return f"kubectl taint nodes {node} {OUT_OF_SERVICE}=nodeshutdown:NoExecute, or kubectl delete node {node}"


def _terms(volume: Object) -> Sequence[Mapping[str, Any]]:
    affinity = mapping_of(mapping_of(mapping_of(volume, "spec"), "nodeAffinity"), "required")
    return items_of(affinity, "nodeSelectorTerms")


def _nodes_of(term: Mapping[str, Any]) -> set[str]:
    """The nodes that a term names; it may ask for more beside."""
    asked = [(one, text_of(one, "key") == "metadata.name") for one in items_of(term, "matchFields")]
    asked += [(one, _is_name(text_of(one, "key"))) for one in items_of(term, "matchExpressions")]
    found = [set(_values(one)) for one, names in asked if names and text_of(one, "operator") == "In"]
    return set.intersection(*found) if found else set()


def _is_name(key: str) -> bool:
    return key.rpartition("/")[2] in _NAMES


def _matches(term: Mapping[str, Any], node: Object) -> bool:
    """As the scheduler has it: all that a term asks for, and a term that asks for nothing matches nothing."""
    metadata = metadata_of(node)
    labels = mapping_of(metadata, "labels")
    fields: Mapping[str, Any] = {"metadata.name": text_of(metadata, "name")}
    asked = [(one, fields) for one in items_of(term, "matchFields")]
    asked += [(one, labels) for one in items_of(term, "matchExpressions")]
    return bool(asked) and all(_holds(one, values) for one, values in asked)


def _holds(asked: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    key, operator = text_of(asked, "key"), text_of(asked, "operator")
    value = values.get(key)
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    if operator in ("In", "NotIn"):
        return (value in _values(asked)) == (operator == "In")
    if operator in ("Gt", "Lt"):
        try:
            has, bound = int(str(value)), int(_values(asked)[0])
        except (ValueError, IndexError):
            return False
        return has > bound if operator == "Gt" else has < bound
    return False


def _values(asked: Mapping[str, Any]) -> list[str]:
    found = asked.get("values")
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
