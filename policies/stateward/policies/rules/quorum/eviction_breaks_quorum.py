"""SW206: an eviction (a drain, an autoscaler) that takes the quorum."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import is_live, is_ready, name_of, owned_by
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import objects, rule
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import UNKNOWN, Object, Sight, accuses


@rule(
    id="SW206",
    name="eviction-breaks-quorum",
    summary="An eviction takes a member while others are down already",
    why="The eviction of a healthy member while another is not ready leaves less than a majority: no leader, no writes, "
    "and with temporary data no way back.",
    remedy="Wait until all members are ready again, then drain. A PodDisruptionBudget with maxUnavailable: 1 keeps the "
    "scheduler to the same rule.",
    source="Kubernetes documentation, Disruptions; majority arithmetic floor(n/2)+1",
    nature="transition",
    judges=objects("Eviction.policy", on=("CREATE",), subresource="eviction"),
    looks_at=(
        accuses(
            "Pod", "spec.volumes.persistentVolumeClaim", "status.phase", "status.conditions.type", "status.conditions.status"
        ),
        accuses("StatefulSet.apps", "spec"),
    ),
)
def eviction_breaks_quorum(change: Change, see: Sight) -> Iterator[Finding]:
    """Pods of a StatefulSet whose engine needs a majority. A member that is not ready itself may always go."""
    request, service = change.request, change.old
    pod = see.get("Pod", request.namespace, request.name)
    if pod is UNKNOWN or pod is None or not is_ready(pod) or service is None or service.kind != "StatefulSet.apps":
        return
    wanted = service.members
    if wanted is None or wanted < 2 or not votes(service, service.groups[0]):
        return
    pods = see.select("Pod", request.namespace, whole=True)
    if pods is not UNKNOWN:
        yield from _verdict(service, service.object, pod, pods, wanted)


def _verdict(service: Service, owner: Object, pod: Object, pods: object, wanted: int) -> Iterator[Finding]:
    members = [one for one in pods if owned_by(one, owner)] if isinstance(pods, list | tuple) else []
    ready = [one for one in members if is_live(one) and is_ready(one)]
    majority = wanted // 2 + 1
    if len(ready) - 1 >= majority or name_of(pod) not in {name_of(one) for one in ready}:
        return
    down = wanted - len(ready)
    title = service.engine.title if service.engine is not None else "the service"
    yield Finding(
        field=(),
        text=f"pod {name_of(pod)} is one of {len(ready)} ready members of {wanted}; without it {title} has no majority "
        f"({majority})",
        why=(f"{down} member{'s are' if down != 1 else ' is'} not ready already" if down else "the majority needs every one")
        + ", so this eviction stops all writes",
        remedy="wait until the others are ready (a drain tries again by itself)"
        if down
        else f"{title} with {wanted} members cannot lose one: add a member first",
        waits=down > 0,
        weak=down == 0,  # a node must be drainable; the author is told what it costs
    )
