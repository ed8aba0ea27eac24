"""SW717: a Kyverno policy that every write of a workload waits for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.paths import Path
from stateward.policies.rule import objects, rule
from stateward.policies.view import Object, Sight, items_of, mapping_of, text_of, texts_of

_WORKLOADS: Final = frozenset(("Pod", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob", "*"))


@rule(
    id="SW717",
    name="policy-holds-up-writes",
    summary="A Kyverno policy makes writers wait long, or rewrites all workloads at each change",
    why="Kyverno registers its webhooks with the timeout and failure policy of its policies. A long timeout that fails "
    "closed stops deployments while Kyverno is slow, and a policy that mutates what exists makes it slow by itself.",
    remedy="Keep webhookTimeoutSeconds at 10 or less, and mutate existing workloads once, from a policy of its own that is "
    "taken away again.",
    source="Kyverno documentation, Applying policies, Mutate existing resources; kyverno/kyverno issue 8190",
    nature="state",
    action="warn",
    judges=objects("ClusterPolicy.kyverno.io", "Policy.kyverno.io", on=("CREATE", "UPDATE")),
    params={"most": 10},
)
def policy_holds_up_writes(change: Change, see: Sight) -> Iterator[Finding]:
    """Timeouts of policies that fail closed, and mutations of existing workloads at each change of the policy."""
    policy = change.new_object
    if policy is None:
        return
    seconds, path = _timeout(policy)
    most = see.params["most"]
    if seconds > most and _fails_closed(policy):
        yield Finding(
            field=path,
            text=f"{seconds} seconds is long for a policy that fails closed",
            why="every write that it is asked about hangs that long when Kyverno is slow, and then fails",
            remedy=f"set {path[-1]} to {most} at most, or let it fail open (Ignore)",
            subject="timeout",
        )
    found = _mutates_existing(policy)
    if found is not None:
        where, kinds = found
        yield Finding(
            field=where,
            text=f"all that exist of {', '.join(kinds)} are mutated anew with each change",
            why="each of those writes passes the webhooks again; on a large cluster Kyverno falls behind and holds up all",
            remedy="set it to false; mutate what exists once, from a policy of its own that is taken away again",
            subject="existing",
        )


def _timeout(policy: Object) -> tuple[int, Path]:
    spec = mapping_of(policy, "spec")
    configured = mapping_of(spec, "webhookConfiguration").get("timeoutSeconds")
    if type(configured) is int:
        return configured, ("spec", "webhookConfiguration", "timeoutSeconds")
    value = spec.get("webhookTimeoutSeconds", 10)
    return (value if type(value) is int else 10), ("spec", "webhookTimeoutSeconds")


def _fails_closed(policy: Object) -> bool:
    spec = mapping_of(policy, "spec")
    # Fail is Kyverno's default.
    return (text_of(mapping_of(spec, "webhookConfiguration"), "failurePolicy") or text_of(spec, "failurePolicy")) != "Ignore"


def _mutates_existing(policy: Object) -> tuple[Path, list[str]] | None:
    spec = mapping_of(policy, "spec")
    whole = spec.get("mutateExistingOnPolicyUpdate") is True
    for index, one in enumerate(items_of(spec, "rules")):
        mutate = mapping_of(one, "mutate")
        own = mutate.get("mutateExistingOnPolicyUpdate") is True
        kinds = sorted({text_of(target, "kind") for target in items_of(mutate, "targets")} & _WORKLOADS)
        if not kinds or not (own or whole) or not _matches_workloads(one):
            continue
        if own:
            return ("spec", "rules", index, "mutate", "mutateExistingOnPolicyUpdate"), kinds
        return ("spec", "mutateExistingOnPolicyUpdate"), kinds
    return None


def _matches_workloads(one: Mapping[str, Any]) -> bool:
    """Whether changes of workloads themselves set it off, in the match of a rule in any of its forms."""
    match = mapping_of(one, "match")
    blocks = [match, *items_of(match, "any"), *items_of(match, "all")]
    kinds = [kind for block in blocks for kind in texts_of(mapping_of(block, "resources"), "kinds")]
    return any(kind.rpartition("/")[2] in _WORKLOADS for kind in kinds)
