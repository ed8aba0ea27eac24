"""SW002: the members of a quorum prefer hosts of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.mutation import Fill, mutation
from stateward.policies.mutations.pods import HOST, LOOKS, as_it_runs, keys_spoken_of, quorum_of, selector_of
from stateward.policies.view import Sight, mapping_of

_FIELD: Final = ("affinity", "podAntiAffinity")
_MOST: Final = 100
"""The greatest weight of a preference (Kubernetes API, WeightedPodAffinityTerm)."""


@mutation(
    id="SW002",
    name="members-apart",
    summary="Members of a quorum prefer a host where no other one is, where nothing says how they keep apart",
    why="A spread over zones is not scored on a node that has no zone: there two members may still end up side by side. "
    "Anti-affinity needs the name of the host alone, which every node has.",
    safe="A preference leaves no pod pending. It is of the set's own pods, over hosts alone, and only where the pods say "
    "nothing of anti-affinity and are not spread over hosts.",
    source="Kubernetes documentation, Assigning Pods to Nodes, inter-pod affinity and anti-affinity",
    kinds=("StatefulSet.apps",),
    looks_at=LOOKS,
)
def members_apart(change: Change, see: Sight) -> Iterator[Fill]:
    """A node affinity or an affinity to other pods that is written stays beside it."""
    service = quorum_of(change)
    if service is None or HOST in keys_spoken_of(service):
        return
    affinity = service.pod.get("affinity")
    if type(affinity) not in (dict, type(None)) or mapping_of(service.pod, "affinity").get("podAntiAffinity") is not None:
        return
    selector = selector_of(service)
    if selector is None:
        return
    term = {"topologyKey": HOST, "labelSelector": selector}
    preferred: dict[str, Any] = {"weight": _MOST, "podAffinityTerm": term}
    value = {"preferredDuringSchedulingIgnoredDuringExecution": [preferred]}
    if as_it_runs(service, change.request.namespace, see, _FIELD, value) is not None:
        yield Fill((*map(str, service.field("pod").path), *_FIELD), value, "hosts of their own preferred")
