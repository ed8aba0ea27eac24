"""SW001: the members of a quorum spread over zones and hosts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.facts import labels_of
from stateward.policies.mutation import Fill, mutation
from stateward.policies.mutations.pods import HOST, LOOKS, ZONE, as_it_runs, keys_spoken_of, quorum_of, selector_of
from stateward.policies.view import UNKNOWN, Sight, accuses

_FIELD: Final = "topologySpreadConstraints"


@mutation(
    id="SW001",
    name="members-spread",
    summary="Members of a quorum are asked to spread over zones and hosts, where nothing says how they spread",
    why="Without a word of it a scheduler may put the majority into one zone or onto one host, and both die with it. Once "
    "the set runs, adding it restarts every member: it has to be there from the start.",
    safe="It is asked for (whenUnsatisfiable: ScheduleAnyway), never required: in one zone or on one host every pod is "
    "still scheduled. DoNotSchedule would be stronger, and would leave members pending in small clusters, when a zone is "
    "down, and for ever where a volume is bound to a full zone; requiring it is left to whoever knows the cluster (SW207 "
    "says where it matters). Zones are named only if every known node has one, for nodes without are scored as if nothing "
    "was to be spread.",
    source="Kubernetes documentation, Pod Topology Spread Constraints; kubernetes "
    "pkg/scheduler/framework/plugins/podtopologyspread/scoring.go",
    kinds=("StatefulSet.apps",),
    looks_at=(*LOOKS, accuses("Node", "metadata")),
)
def members_spread(change: Change, see: Sight) -> Iterator[Fill]:
    """Over what neither a constraint nor an anti-affinity of the pods speaks of."""
    service = quorum_of(change)
    if service is None or service.pod.get(_FIELD) is not None:
        return
    selector = selector_of(service)
    if selector is None:
        return
    spoken_of = keys_spoken_of(service)
    hosts = [] if HOST in spoken_of else [_constraint(HOST, selector)]
    both = hosts if ZONE in spoken_of else [_constraint(ZONE, selector), *hosts]
    wanted = both if both == hosts or _zones_are_known(see) else hosts
    value = as_it_runs(service, change.request.namespace, see, (_FIELD,), wanted, both, hosts)
    if value:
        names = " and ".join("zones" if one["topologyKey"] == ZONE else "hosts" for one in value)
        yield Fill((*map(str, service.field("pod").path), _FIELD), value, f"spread over {names} preferred")


def _constraint(key: str, selector: dict[str, Any]) -> dict[str, Any]:
    return {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": selector}


def _zones_are_known(see: Sight) -> bool:
    nodes = see.select("Node", whole=True)
    return nodes is not UNKNOWN and bool(nodes) and all(labels_of(node).get(ZONE) for node in nodes)
