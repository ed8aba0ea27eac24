"""What is said of a service: its status, Events, metrics and the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pydantic import ValidationError

from stateward.kube.client import Cluster
from stateward.kube.definition import GROUP
from stateward.kube.discovery import Resource
from stateward.kube.errors import ClusterError
from stateward.kube.events import About, Happening
from stateward.operator import status
from stateward.operator.api.annotations import PAUSED
from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import VERSION, StatefulService
from stateward.operator.apply import MANAGER, Applied
from stateward.operator.metrics import Metrics
from stateward.operator.objects.quorum import quorum
from stateward.operator.service import KIND, Key, Service
from stateward.operator.status import Report
from stateward.operator.step import SOON
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

OWN: Final = Resource(KIND, GROUP, VERSION, "statefulservices", True, frozenset())
STATES: Final = ("wanted", "present", "ready")
_TRIES: Final = 3

_log = logging.getLogger("stateward.operator")


@dataclass(slots=True)
class Voice:
    """Says it where it is heard. Raises ClusterError where the status cannot be written."""

    cluster: Cluster
    metrics: Metrics
    tell: Callable[[Happening], None]
    now: Callable[[], datetime]

    def say(self, model: StatefulService, one: Service, report: Report) -> None:
        """Status, metrics, log, and an Event for what is newly in the way."""
        now = self.now()
        found = status.made(model, one, report, now)
        made = found.dump()
        blocked = report.blocked[0] if report.blocked else ""
        present, ready = made.get("currentMembers", 0), made.get("readyMembers", 0)
        self.metrics.seen(one.key, zip(STATES, (one.members, present, ready), strict=True), blocked)
        self._measure(one, report, found)
        for decision in reversed(report.decisions):
            _log.info("%s: %s", one.title, decision)
        known = any(found.type == "Blocked" and found.reason == blocked for found in model.status.conditions)
        if report.blocked is not None and not known:
            self.happened(one, *report.blocked)
        if made != model.status.dump():
            self._write(model, one, report, now)

    def _measure(self, one: Service, report: Report, found: StatefulServiceStatus) -> None:
        operation = found.operation
        self.metrics.doing(
            one.key,
            operation.kind if operation is not None else "",
            operation.started.timestamp() if operation is not None else 0.0,
        )
        if report.stand is not None and report.stand.formed:
            self.metrics.spared(one.key, (found.ready_members or 0) - quorum(report.stand.replicas))

    def happened(self, one: Service, reason: str, message: str, normal: bool = False) -> None:
        """An Event on the service."""
        about = About(one.api_version, "StatefulService", one.namespace, one.name, one.uid)
        self.tell(Happening(about, "operator", reason, message, time.time(), normal))

    def unreadable(self, item: Object, error: ValidationError) -> None:
        """A spec that the CustomResourceDefinition should have refused: nothing is touched, and somebody hears of it."""
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        message = f"{where}: {first['msg']}; nothing is touched until it is mended"
        key = (text_of(metadata_of(item), "namespace"), text_of(metadata_of(item), "name"))
        self.metrics.seen(key, (), "InvalidSpec")
        self.tell(Happening(About.of(item), "operator", "InvalidSpec", message, time.time()))
        _log.warning("%s/%s: %s", *key, message)

    def forget(self, key: Key) -> None:
        """The service is no more."""
        self.metrics.forget(key, STATES)

    def _write(self, model: StatefulService, one: Service, report: Report, now: datetime) -> None:
        """Writes the status onto the one that is there: what the cache has may be from before our own last write."""
        path = OWN.path_to(one.namespace, one.name)
        for _ in range(_TRIES):
            try:
                live = self.cluster.get(path)
                uid, version = (text_of(metadata_of(live), name) for name in ("uid", "resourceVersion"))
                if uid != one.uid:
                    return  # made anew under the same name
                model.status = StatefulServiceStatus.model_validate(mapping_of(live, "status"))
                made = status.made(model, one, report, now).dump()
                if made == model.status.dump():
                    return
                known = {"name": one.name, "namespace": one.namespace, "uid": uid, "resourceVersion": version}
                body = {"apiVersion": OWN.api_version, "kind": OWN.kind_name, "metadata": known, "status": made}
                self.cluster.apply(f"{path}/status", body, field_manager=MANAGER)
            except ClusterError as error:
                if error.status == 404:
                    return
                if error.status != 409:
                    raise
            else:
                return
        report.again = min(SOON, report.again or SOON)  # somebody writes it all the time; what is lost is a word


def reverted(one: Service, applied: Applied) -> str:
    """Who wrote over what, and how to keep it."""
    return (
        f"{applied.kind.partition('.')[0]} {applied.name}: changed by {', '.join(applied.by) or 'somebody'}, set back; "
        f"to change it by hand pause Stateward first: "
        f"kubectl annotate statefulservice {one.name} -n {one.namespace} {PAUSED}=true"
    )
