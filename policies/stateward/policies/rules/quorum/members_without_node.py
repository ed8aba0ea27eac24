"""SW208: a placement that no node satisfies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.facts import labels_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, items_of, mapping_of, text_of

_HOST: Final = "kubernetes.io/hostname"


@rule(
    id="SW208",
    name="members-without-node",
    summary="Members are asked to run where no node, or too few, fits",
    why="The first member that is replaced stays Pending; a rolling change stops there, and many operators wait for it "
    "even after the edit is taken back.",
    remedy="Label enough nodes first, or select what they already carry.",
    source="Kubernetes documentation, Assigning Pods to Nodes",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("placement", "members"),
    looks_at=(accuses("Node", "metadata", "spec.taints", "spec.unschedulable"),),
)
def members_without_node(change: Change, see: Sight) -> Iterator[Finding]:
    """Node selector and required node affinity against the labels of the nodes, with required anti-affinity by host."""
    new = change.new
    if new is None:
        return
    placement = new.placement
    if not placement.node_selector and not placement.node_affinity:
        return
    members = new.members
    if not members:
        return
    nodes = see.select("Node", whole=True)
    # A cluster whose nodes are not there yet, or come with the pods, says nothing about where they may run.
    if nodes is UNKNOWN or not nodes:
        return
    fitting = [node for node in nodes if _fits(node, placement.node_selector, placement.node_affinity)]
    needed = members if _HOST in placement.required else 1
    if len(fitting) >= needed:
        return
    labels = [f"{key}={value}" for key, value in placement.node_selector.items() if isinstance(value, str)]
    shown = ", ".join(labels) or "the required affinity"
    yield Finding(
        field=placement.selector_path,
        text=f"{len(fitting)} of {len(nodes)} nodes match {shown}; "
        f"{members} member{'s need' if members != 1 else ' needs'} {needed}",
        why="the next member that is replaced stays Pending, and the rollout with it",
        remedy="label enough nodes first (kubectl label node …), or select what they already carry",
        subject="nodes",
    )


def _fits(node: Object, selector: Mapping[str, Any], affinity: Mapping[str, Any]) -> bool:
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = mapping_of(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
    terms = items_of(required, "nodeSelectorTerms")
    return not terms or any(_term(labels, items_of(term, "matchExpressions")) for term in terms)


def _term(labels: Mapping[str, Any], expressions: Sequence[Mapping[str, Any]]) -> bool:
    for expression in expressions:
        value = labels.get(text_of(expression, "key"))
        values = expression.get("values")
        choices = values if type(values) is list else []
        match expression.get("operator"):
            case "In" if value not in choices:
                return False
            case "NotIn" if value in choices:
                return False
            case "Exists" if value is None:
                return False
            case "DoesNotExist" if value is not None:
                return False
    return True
