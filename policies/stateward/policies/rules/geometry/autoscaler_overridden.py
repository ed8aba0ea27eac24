"""SW805: a fixed count written over an autoscaler's."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Sight, accuses, mapping_of, text_of

_HPA = "HorizontalPodAutoscaler.autoscaling"
_SCALED = "ScaledObject.keda.sh"


@rule(
    id="SW805",
    name="autoscaler-overridden",
    summary="A manifest lowers the replicas of a set that an autoscaler manages",
    why="The autoscaler has chosen its number for the load there is; writing another one (or dropping the field, which "
    "means 1) throws members away at once, at every apply.",
    remedy="Write the live number, or leave the field to the autoscaler by server-side apply.",
    source="Kubernetes documentation, Migrating Deployments and StatefulSets to horizontal autoscaling",
    nature="transition",
    judges=objects("StatefulSet.apps", on=("UPDATE",)),
    about=("members",),
    looks_at=(accuses(_HPA, "spec", "status"), accuses(_SCALED, "spec")),
)
def autoscaler_overridden(change: Change, see: Sight) -> Iterator[Finding]:
    """Fewer replicas than before, and than the autoscaler wants. Its own writes come through `scale`."""
    old, new = change.old, change.new
    if old is None or new is None or not new.groups or not old.groups:
        return
    was, wanted = old.groups[0].members.value, new.groups[0].members.value
    if type(was) is not int or type(wanted) is not int or wanted >= was:
        return
    for kind in (_HPA, _SCALED):
        found = see.select(kind, new.namespace)
        for scaler in found if found is not UNKNOWN else ():
            spec = mapping_of(scaler, "spec")
            target = mapping_of(spec, "scaleTargetRef")
            if text_of(target, "name") != new.name or target.get("kind", "Deployment") != "StatefulSet":
                continue
            least = spec.get("minReplicas", spec.get("minReplicaCount", 1))
            desired = mapping_of(scaler, "status").get("desiredReplicas", was)
            dropped = mapping_of(new.object, "spec").get("replicas") is None
            yield Finding(
                field=new.groups[0].members.path,
                text=f"{was} → {'nothing (which means 1)' if dropped else wanted}, while {kind.partition('.')[0]} "
                f"{name_of(scaler)} wants {desired}",
                why=f"{was - wanted} members and what they hold are thrown away at once, and again at every apply"
                + (f"; {wanted} is even below its minimum of {least}" if type(least) is int and wanted < least else ""),
                remedy=f"write replicas: {was}, or apply server-side without the field after the autoscaler owns it",
                subject="replicas",
            )
            return
