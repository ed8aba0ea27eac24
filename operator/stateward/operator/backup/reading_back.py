"""A VolumeSnapshot is read back: the engine's own tool makes the data of a new cluster of it, and that is let go again."""

from __future__ import annotations

from pydantic import ValidationError

from stateward.operator import service
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup import copied
from stateward.operator.backup.fetching import founder
from stateward.operator.backup.jobs import Work, name_of
from stateward.operator.backup.kinds import READ_BACK, SNAPSHOTS
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.order import Order
from stateward.operator.backup.outcome import Outcome
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

GOOD = "good"


def step(order: Order, told: Metadata, snapshot: Object) -> Outcome | None:
    """How far it is; None: a step was taken. How it ended is noted on the VolumeSnapshot. Raises ClusterError."""
    noted = text_of(mapping_of(metadata_of(snapshot), "annotations"), READ_BACK)
    if noted:
        return Outcome("done") if noted == GOOD else Outcome("failed", noted)
    hub = order.hub
    if copied.make(hub, order.item, told, snapshot):
        return None
    result = _run(order, told)
    if result.state != "running":
        hub.annotate(SNAPSHOTS, snapshot, {READ_BACK: result.reason if result.state == "failed" else GOOD})
        return None
    return result


def clear(order: Order) -> None:
    """What it needed goes. Raises ClusterError."""
    copied.clear(order.hub, order.item, "try")


def _run(order: Order, told: Metadata) -> Outcome:
    held = {"name": told.service, "namespace": told.namespace}
    driver = order.hub.find(told.engine)
    try:
        one = service.read(
            StatefulService.model_validate({"metadata": held, "spec": {**told.spec, "version": told.version}})
        )
    except ValidationError:
        return Outcome("failed", "the spec that it was taken with cannot be read")
    copying = driver.copying(founder(one, driver), one.member(0), name_of(order.item, "")[-9:-1]) if driver else None
    if driver is None or copying is None or not copying.adopt:
        return Outcome("failed", f"engine: {told.engine}: nothing is made of a copy of its volume")
    container = driver.container(one.version)
    work = Work(order.item, one.name, None, order.hub.restic, container.user)
    image = one.image or container.image
    claim = copied.name_for(order.item)
    return order.hub.run(work.adopt(container, one, image, copying.adopt, copying.environment, claim))
