"""A restore of a VolumeSnapshot: a claim is made of it, and the engine's own tool makes the first member's data of that.

The member's own claim is another: what the old cluster's members knew of each other does not get there, nor does it need
room for both.
"""

from __future__ import annotations

from stateward.operator import service
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup import copied, metadata, vacancy
from stateward.operator.backup.fetching import founder
from stateward.operator.backup.jobs import Work
from stateward.operator.backup.kinds import METADATA, SNAPSHOTS
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.request import Request, StopError
from stateward.operator.backup.source import Source
from stateward.operator.drivers.protocol import Driver
from stateward.policies.view import Object, mapping_of, metadata_of, text_of


def inspect(request: Request, source: Source) -> Metadata:
    """What the VolumeSnapshot says of itself. Raises StopError, ClusterError."""
    told = metadata.made(text_of(mapping_of(metadata_of(_snapshot(request, source)), "annotations"), METADATA) or "-")
    if told is None:
        raise StopError("Failed", f"VolumeSnapshot {source.snapshot} does not say what it is of: it is none of ours")
    return told


def fill(request: Request, source: Source, told: Metadata, wanted: StatefulService, driver: Driver, claim: Object) -> None:
    """Makes the data on the claim, and notes that it is there. Raises StopError, ClusterError."""
    hub, one = request.hub, service.read(wanted)
    if copied.make(hub, request.item, told, _snapshot(request, source)):
        return
    copying = driver.copying(founder(one, driver), one.member(0), request.uid[:8])
    if copying is None or not copying.adopt:
        raise StopError("Refused", f"engine: {told.engine}: nothing is made of a copy of its volume")
    container = driver.container(one.version)
    work = Work(request.item, one.name, None, hub.restic, container.user)
    image, held = one.image or container.image, text_of(metadata_of(claim), "name")
    source_claim = copied.name_for(request.item)
    result = hub.run(work.adopt(container, one, image, copying.adopt, copying.environment, source_claim, held))
    if result.state == "running":
        raise StopError("Running", result.reason, "fill")
    if result.state == "failed":
        vacancy.drop(request, wanted)
        clear(request)
        raise StopError("Failed", result.reason, "fill")
    vacancy.filled(request, wanted)


def clear(request: Request) -> None:
    """The claim that was read goes. Raises ClusterError."""
    copied.clear(request.hub, request.item, "fill")


def _snapshot(request: Request, source: Source) -> Object:
    found = request.hub.cluster.find(SNAPSHOTS.path_to(request.namespace, source.snapshot))
    if found is None:
        where = f"source: VolumeSnapshot {source.snapshot}: there is none of this name in {request.namespace}"
        raise StopError("Refused", f"{where}; see which there are: kubectl get volumesnapshots -n {request.namespace}")
    if mapping_of(found, "status").get("readyToUse") is not True:
        raise StopError("Pending", f"VolumeSnapshot {source.snapshot} is not ready yet", "source")
    return found
