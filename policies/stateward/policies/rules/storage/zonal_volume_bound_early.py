"""SW108: zonal disks that are placed before their pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, CLASS, bound_claims, claims_named, default_class, labels_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses, excuses, text_of

_ZONAL: Final = (
    "ebs.csi.aws.com", "kubernetes.io/aws-ebs", "pd.csi.storage.gke.io", "kubernetes.io/gce-pd",
    "disk.csi.azure.com", "kubernetes.io/azure-disk", "cinder.csi.openstack.org", "kubernetes.io/cinder",
    "diskplugin.csi.alibabacloud.com", "csi.vsphere.vmware.com",
)  # fmt: skip
_ZONE: Final = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")


@rule(
    id="SW108",
    name="zonal-volume-bound-early",
    summary="Zonal volumes are bound before the pod is placed",
    why="With Immediate binding the disk is made in some zone before the scheduler has chosen one for the pod: a pod with "
    "two disks, or with a zone it must run in, may never be schedulable.",
    remedy="Use a class with volumeBindingMode: WaitForFirstConsumer.",
    source="Kubernetes documentation, Storage Classes: volume binding mode",
    nature="state",
    judges=services("CREATE"),
    looks_at=(
        accuses(CLASS, "provisioner", "volumeBindingMode"),
        accuses("Node", "metadata"),
        excuses(CLAIM, "spec", "status.phase"),
    ),
)
def zonal_volume_bound_early(change: Change, see: Sight) -> Iterator[Finding]:
    """Only where the nodes lie in more than one zone; claims that are bound already are where they are."""
    new = change.new
    if new is None:
        return
    volumes = [volume for group in new.groups for volume in group.volumes if volume.ephemeral.value is not True]
    if not volumes:
        return
    classes = see.select(CLASS)
    if classes is UNKNOWN:
        return
    nodes = see.select("Node")
    if nodes is UNKNOWN:
        return
    zones = {str(labels_of(node).get(key)) for node in nodes for key in _ZONE if labels_of(node).get(key)}
    if len(zones) < 2:
        return
    by_name = {name_of(one): one for one in classes}
    claims = claims_named(new, see)
    for group in new.groups:
        for volume in group.volumes:
            name = volume.storage_class.value or default_class(classes)
            one = by_name.get(name) if isinstance(name, str) else None
            if one is None or text_of(one, "provisioner") not in _ZONAL:
                continue
            if one.get("volumeBindingMode", "Immediate") != "Immediate":
                continue
            if claims is not UNKNOWN and bound_claims(claims, new, group, volume):
                continue
            yield Finding(
                field=volume.storage_class.path,
                text=f'"{name}" binds its zonal disks at once (volumeBindingMode: Immediate) in a cluster of '
                f"{len(zones)} zones",
                why=f"the disk of {volume.name} may be made in a zone where its pod cannot run"
                + ("; with several volumes a pod, in different zones" if len(volumes) > 1 else ""),
                remedy="use a class with volumeBindingMode: WaitForFirstConsumer (a class cannot be edited: make another)",
                subject=volume.name,
                # One disk and no wish of its own: the pod follows its disk, wherever that is.
                weak=len(group.volumes) < 2 and not new.placement.node_selector and not new.placement.node_affinity,
            )
