"""How far the log of a service is in its archive: nothing that waits there for long is passed over in silence."""

from __future__ import annotations

from typing import Final

from stateward.operator.drivers.protocol import Driver, Log
from stateward.operator.metrics import Metrics
from stateward.operator.observe import Stand
from stateward.operator.service import Service
from stateward.operator.status import Truth

LATE: Final = 300
"""Seconds that a complete file of the log may wait before that is said."""
SPARE: Final = 0.2
"""The part of a volume that has to be free: a log that nobody takes fills it."""
AGAIN: Final = 10.0
"""Seconds until the next look while the archive is behind."""
_GIB: Final = 1 << 30


def of(one: Service, stand: Stand, driver: Driver) -> Log | None:
    """By the word of the member that leads; None: it gives none, or none is archived."""
    if one.repository is None or not driver.archives:
        return None
    leads = (one for one in stand.targets if stand.seen[one.name].role in driver.leaders)
    leader = next(leads, None)
    return driver.log(leader) if leader is not None else None


def condition(log: Log | None) -> tuple[Truth, str, str]:
    """Of Archived: status, reason, message."""
    if log is None:
        return "Unknown", "NoAnswer", "no member that leads says how far its log is in the archive"
    left = f"; {log.free / _GIB:.1f} GiB of its volume are free" if log.free is not None else ""
    waits = f"{log.waiting} files of the log wait, the oldest for {log.behind} s{left}"
    if log.reason:
        return "False", "ArchiveFails", f"{log.reason}: {waits}"
    if log.behind > LATE:
        return "False", "ArchiveBehind", waits
    full = log.free is not None and log.size and log.free < SPARE * log.size
    if log.waiting and full:
        return "False", "VolumeFills", waits
    return "True", "Archived", waits if log.waiting else "all complete files of the log are in the archive"


def measure(metrics: Metrics, one: Service, log: Log | None) -> None:
    """The metrics of it."""
    if log is None:
        return
    metrics.archive_behind.labels(*one.key).set(log.behind)
    metrics.archive_waiting.labels(*one.key).set(log.waiting)
    metrics.archive_good.labels(*one.key).set(float(condition(log)[0] == "True"))
