"""SW410: a node is deleted that alone reaches volumes with data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, VOLUME, being_deleted, name_of
from stateward.policies.finding import Finding
from stateward.policies.nodes import is_healthy, meets, tied_to
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, mapping_of, metadata_of, text_of

_NODE: Final = "Node"
_ADMIN: Final = "system:admin"
"""The person of the kubeconfig that some distributions make; every other account of that prefix is a machine's."""
_SHOWN: Final = 3


@rule(
    id="SW410",
    name="node-with-volumes-deleted",
    summary="A node that runs is deleted, and volumes with data are reached from it alone",
    why="A local volume belongs to its node by the node's labels. Once the Node object is gone its pods are deleted, their "
    "successors fit nowhere and stay Pending, and some provisioners clear the volumes of nodes that are gone.",
    remedy="Move the members elsewhere first, then delete the node.",
    source="Kubernetes documentation, Local volumes and Node affinity of persistent volumes; sig-storage-local-static-"
    "provisioner, node cleanup controller",
    nature="transition",
    action="warn",
    judges=objects(_NODE, on=("DELETE",)),
    looks_at=(
        accuses(_NODE, "metadata"),
        accuses(VOLUME, "spec.nodeAffinity", "spec.claimRef"),
        accuses(CLAIM, "spec.volumeName"),
    ),
)
def node_with_volumes_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """By a person, of a node that is ready.

    Autoscalers and cloud controllers delete the nodes of machines that are gone, and so do people: what lies there is
    lost already, and its node has to go for the members to be replaced.
    """
    node = change.request.old
    user = change.request.user.name
    if node is None or not is_healthy(node) or (user.startswith("system:") and user != _ADMIN):
        return
    held = _held(node, see)
    if not held:
        return
    shown = ", ".join([*held[:_SHOWN], "…"] if len(held) > _SHOWN else held)
    volumes, claims = ("1 volume", "claim") if len(held) == 1 else (f"{len(held)} volumes", "claims")
    yield Finding(
        field=(),
        text=f"deletes the only node that reaches {volumes}: {claims} {shown}",
        why="their pods are deleted with the node and stay Pending for ever; the data comes back only with a node of the "
        "same labels",
        remedy="replace these members on other nodes first, then delete the node; to take it out of use for a while, "
        f"kubectl cordon {name_of(node)}",
        subject=name_of(node),
    )


def _held(node: Object, see: Sight) -> list[str]:
    """The claims (namespace/name) whose volumes no other node reaches; none where not all nodes are known."""
    nodes, volumes = see.select(_NODE, whole=True), see.select(VOLUME)
    if nodes is UNKNOWN or volumes is UNKNOWN:
        return []
    others = [one for one in nodes if name_of(one) != name_of(node) and not being_deleted(one)]
    found = []
    for volume in volumes:
        terms = tied_to(volume)
        if not terms or not meets(node, terms) or any(meets(other, terms) for other in others):
            continue
        reference = mapping_of(mapping_of(volume, "spec"), "claimRef")
        namespace, name = text_of(reference, "namespace"), text_of(reference, "name")
        claim = see.get(CLAIM, namespace, name) if name else None
        if claim is UNKNOWN or claim is None or being_deleted(claim):
            continue
        if text_of(mapping_of(claim, "spec"), "volumeName") == text_of(metadata_of(volume), "name"):
            found.append(f"{namespace}/{name}")
    return sorted(found)
