"""What a backup is taken of: the service as it stands, a member of it, and what is written of both."""

from __future__ import annotations

from dataclasses import dataclass

from stateward.operator.backup.hub import Found
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.order import Order
from stateward.operator.backup.record import RESTIC, Record
from stateward.operator.drivers.protocol import Extent, Target
from stateward.policies.view import metadata_of, text_of


class NotNowError(Exception):
    """It cannot be backed up now; `final`: nor at any other time."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.final = final


@dataclass(frozen=True, slots=True)
class Subject:
    """A service, and the member that is copied."""

    found: Found
    member: Target
    extent: Extent

    def metadata(self, order: Order) -> Metadata:
        """What is kept beside the data."""
        one, running = self.found.one, self.found.stand.running
        return Metadata(
            namespace=order.namespace,
            service=one.name,
            uid=one.uid,
            backup=text_of(order.model.metadata, "name"),
            engine=one.engine,
            version=running.version,
            member=self.member.name,
            taken=order.hub.now(),
            position=self.extent.position,
            count=self.extent.count,
            what=self.extent.what,
            spec=self.found.model.spec.dump(),
        )


def subject_of(order: Order, record: Record, missing: str = "") -> Subject:
    """`missing`: what is not there where it is to be written to. Raises NotNowError, ClusterError."""
    hub = order.hub
    service = hub.service((order.namespace, order.service))
    if service is None or text_of(metadata_of(service), "uid") != record.uid:
        raise NotNowError(f"service: {order.service}: it has been deleted before it was backed up", final=True)
    if missing:
        raise NotNowError(missing)
    found = hub.found(service)
    if isinstance(found, str):
        raise NotNowError(found)
    chosen = _source(found)
    if chosen is None:
        raise NotNowError("no member serves: a backup is taken from one that does")
    if found.driver.archives and record.way == RESTIC and (why := _unarchived(found, chosen)):
        raise NotNowError(why)
    extent = found.driver.extent(chosen)
    if extent is None:
        raise NotNowError(f"{chosen.name}: it does not say how far its data reaches")
    return Subject(found, chosen, extent)


def _unarchived(found: Found, chosen: Target) -> str:
    """Why its log does not get to where its backups lie; "" where it does."""
    log = found.driver.log(chosen)
    if log is None:
        return f"{chosen.name}: it does not say yet that its log is archived"
    return f"{chosen.name}: its log is not archived: {log.reason}" if log.reason else ""


def _source(found: Found) -> Target | None:
    """Whom a backup is taken from: a member that serves and does not lead, if there is one.

    Where the log is archived, only who leads says how far that reaches.
    """
    good = [one for one in found.stand.targets if found.stand.seen[one.name].healthy is True]
    if found.driver.archives:
        good = [one for one in good if found.stand.seen[one.name].role in found.driver.leaders]
    return min(good, key=lambda one: (found.stand.seen[one.name].role in found.driver.leaders, one.name), default=None)
