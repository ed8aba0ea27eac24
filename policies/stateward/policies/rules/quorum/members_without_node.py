"""SW208: a placement that no node, or too few, can satisfy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.facts import labels_of
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.nodes import meets
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, items_of, mapping_of, text_of
from stateward.policies.webhooks import selects

_HOST: Final = "kubernetes.io/hostname"
_NODES_COME: Final = ("karpenter.sh/nodepool", "karpenter.sh/provisioner-name")
"""Labels of nodes that are made for the pods that wait."""
_PASSING: Final = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")
"""Taints of a node's condition: it goes by."""


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
    """Node selector and required node affinity against the labels of the nodes, with required anti-affinity by host.

    Without a selector all nodes fit, and more may come (an autoscaler adds one for each pod that waits): it warns.
    """
    new = change.new
    if new is None:
        return
    placement = new.placement
    if not placement.node_selector and not placement.node_affinity:
        yield from _too_few(new, see)
        return
    members = new.members
    if not members:
        return
    nodes = see.select("Node", whole=True)
    # A cluster whose nodes are not there yet, or come with the pods, says nothing about where they may run.
    if nodes is UNKNOWN or not nodes:
        return
    fitting = [node for node in nodes if _fits(node, placement.node_selector, placement.node_affinity)]
    needed = members if _one_on_each(new) else 1
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


def _too_few(new: Service, see: Sight) -> Iterator[Finding]:
    """More members of one group than nodes, where each needs one of its own."""
    if not _one_on_each(new):
        return
    counted = [(group.members.value, group) for group in new.groups if type(group.members.value) is int]
    members, group = max(counted, key=lambda one: one[0], default=(0, None))
    if group is None or members < 2:
        return
    nodes = see.select("Node", whole=True)
    if nodes is UNKNOWN or not nodes:
        return
    # Of a large cluster no more nodes are looked at than there are members.
    there = sum(1 for _ in islice((node for node in nodes if not _shut(node, new)), members))
    if there >= members or any(key in labels_of(node) for node in nodes for key in _NODES_COME):
        return
    missing = members - there
    yield Finding(
        field=group.members.path,
        text=f"{members} members need a node each (required anti-affinity by host), and there are {there}",
        why=f"{missing} stay{'s' if missing == 1 else ''} Pending; a rollout stops "
        "there, and members that never start count for the majority all the same",
        remedy=f"add nodes first, or ask for {there} members; where an autoscaler brings the nodes this passes by itself",
        subject="nodes",
        weak=True,
        on=group.on,
    )


def _one_on_each(service: Service) -> bool:
    """Whether required anti-affinity keeps the members on nodes of their own. A selector that others match is no such."""
    template = service.field("template").value
    labels = labels_of({"metadata": template}) if type(template) is dict else None
    return any(
        key == _HOST and (selector is None or labels is None or (bool(selector) and selects(selector, labels)))
        for key, selector in service.placement.apart
    )


def _shut(node: Object, service: Service) -> bool:
    """Whether a taint keeps the members away for good. What they tolerate is known of pods' specifications alone."""
    if not service.pod or service.placement.tolerations:
        return False
    return any(
        taint.get("effect") in ("NoSchedule", "NoExecute") and not text_of(taint, "key").startswith(_PASSING)
        for taint in items_of(mapping_of(node, "spec"), "taints")
    )


def _fits(node: Object, selector: Mapping[str, Any], affinity: Mapping[str, Any]) -> bool:
    labels = labels_of(node)
    if any(labels.get(key) != value for key, value in selector.items()):
        return False
    required = mapping_of(affinity, "requiredDuringSchedulingIgnoredDuringExecution")
    terms = items_of(required, "nodeSelectorTerms")
    return not terms or meets(node, terms)
