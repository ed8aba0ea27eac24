"""SW112: two pods write to one claim."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, is_bound
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.paths import differs, dig
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses, items_of, mapping_of, text_of


@rule(
    id="SW112",
    name="two-writers",
    summary="Two pods of a Deployment may write to one data directory",
    why="A Deployment starts the new pod before the old one is gone, and keeps as many as it is told. ReadWriteOnce keeps "
    "other nodes away, not another pod on the same node: two servers open the same files and wreck them.",
    remedy="Set spec.strategy.type: Recreate and one replica, or use a StatefulSet with a claim for each member.",
    source="Kubernetes documentation, Deployments: strategy; Persistent Volumes: access modes (ReadWriteOncePod)",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    looks_at=(accuses(CLAIM, "spec", "status.phase"),),
    loses_data=True,
)
def two_writers(change: Change, see: Sight) -> Iterator[Finding]:
    """Deployments whose engine is recognised and mounts a claim to write to.

    A surge that was there before counts again when the pods are replaced: it refuses where the claim is known to be
    bound, else it warns. So does an engine that may be a cache.
    """
    new = change.new
    if new is None or new.adapter.name not in ("deployment", "replicaset") or new.engine is None or not new.engine_certain:
        return
    if not _writes_to_claim(new) or _exclusive(new, see):
        return
    title, members = new.engine.title, new.members
    if members is not None and members > 1:
        yield Finding(
            field=new.groups[0].members.path,
            text=f"{members} pods of {title} would write to one claim",
            why=f"{title} owns its data directory: a second server on the same files corrupts them in any access mode",
            remedy="keep one; for more members use a StatefulSet with volumeClaimTemplates",
            subject="replicas",
            weak=new.engine.volatile,
        )
    if members == 0 or new.adapter.name != "deployment":
        return
    if not _surges(new):
        return
    strategy = mapping_of(mapping_of(new.object, "spec"), "strategy")
    rolls = change.old is not None and differs(
        dig(change.old.object, ("spec", "template")), dig(new.object, ("spec", "template"))
    )
    yield Finding(
        field=("spec", "strategy"),
        text=f"{'RollingUpdate' if strategy else 'the default, RollingUpdate,'} starts a second {title} on the claim "
        "before the first has stopped",
        why=f"both pods may mount the claim on one node, and two servers in one data directory of {title} corrupt it",
        remedy="set spec.strategy: {type: Recreate}",
        subject="surge while rolling" if rolls else "surge",
        weak=new.engine.volatile or (rolls and _surges(change.old) and not _is_bound(new, see)),
    )


def _surges(service: Service | None) -> bool:
    """Whether its engine writes to a claim, and a second pod is started beside the first."""
    if service is None:
        return False
    strategy = mapping_of(mapping_of(service.object, "spec"), "strategy")
    surge = mapping_of(strategy, "rollingUpdate").get("maxSurge", "25%")
    return text_of(strategy, "type") != "Recreate" and surge not in (0, "0", "0%") and _writes_to_claim(service)


def _writes_to_claim(service: Service) -> bool:
    """Whether the engine's container mounts a claim, and not for reading alone."""
    claims = {
        text_of(volume, "name")
        for volume in items_of(service.pod, "volumes")
        if mapping_of(volume, "persistentVolumeClaim").get("claimName")
        and mapping_of(volume, "persistentVolumeClaim").get("readOnly") is not True
    }
    mounts = items_of(service.container, "volumeMounts")
    return any(text_of(mount, "name") in claims and mount.get("readOnly") is not True for mount in mounts)


def _is_bound(service: Service, see: Sight) -> bool:
    """Whether one of its claims is known to have a volume."""
    claims = [see.get(CLAIM, service.namespace, volume.name) for group in service.groups for volume in group.volumes]
    return any(claim is not UNKNOWN and claim is not None and is_bound(claim) for claim in claims)


def _exclusive(service: Service, see: Sight) -> bool:
    """Whether every claim lets one pod alone in (ReadWriteOncePod)."""
    names = [volume.name for group in service.groups for volume in group.volumes]
    modes = []
    for name in names:
        claim = see.get(CLAIM, service.namespace, name)
        modes.append(mapping_of(claim, "spec").get("accessModes") if claim is not UNKNOWN and claim is not None else None)
    return bool(modes) and all(mode == ["ReadWriteOncePod"] for mode in modes)
