"""What the reconcilers of backups and restores have in common: the cluster, what is heard of it, how a service stands."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from stateward.kube.client import Cluster
from stateward.kube.discovery import Resource
from stateward.kube.errors import ClusterError
from stateward.operator import service
from stateward.operator.access import Accesses
from stateward.operator.api.model import Model
from stateward.operator.api.v1beta1 import API_VERSION, StatefulService
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup import outcome
from stateward.operator.backup.jobs import name_of
from stateward.operator.backup.kinds import JOB, JOBS, SERVICES
from stateward.operator.backup.outcome import Outcome
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Driver
from stateward.operator.informer import Informers
from stateward.operator.metrics import Metrics
from stateward.operator.objects.common import Item
from stateward.operator.observe import Stand, look_at
from stateward.operator.service import Key, Service
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

RESTIC: Final = "docker.io/restic/restic:0.18.0"
AT_ONCE: Final = 0.2
SOON: Final = 2.0
WAITING: Final = 10.0
ENDED: Final = frozenset({"Complete", "Failed", "Refused"})
"""Phases that nothing follows."""
_MESSAGE: Final = 1000

_log = logging.getLogger("stateward.operator")


@dataclass(frozen=True, slots=True)
class Found:
    """A service that runs, and how it stands."""

    model: StatefulService
    one: Service
    driver: Driver
    stand: Stand


@dataclass(slots=True)
class Hub:
    """Everything that it is told it reads anew: it remembers nothing."""

    cluster: Cluster
    look: Informers
    """Of services and what they are made of."""
    kinds: Informers
    """Of backups, restores and their Jobs."""
    metrics: Metrics
    find: Callable[[str], Driver | None] = catalogue.find
    restic: str = RESTIC
    """The image."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC).replace(microsecond=0)

    # --- services ------------------------------------------------------------------------------------------------

    def service(self, key: Key) -> Object | None:
        """As the API server has it. Raises ClusterError."""
        return self.cluster.find(SERVICES.path_to(*key))

    def found(self, item: Object) -> Found | str:
        """How a service stands; a text: why that cannot be said. Raises ClusterError."""
        try:
            model = StatefulService.model_validate(item)
        except ValidationError:
            return "its spec cannot be read"
        one = service.read(model)
        driver = self.find(one.engine)
        if driver is None:
            return f"engine: {one.engine}: nobody here knows how to run it"
        if not driver.problems(one.version, one.parameters):
            driver = driver.of(one.parameters).archiving(one.repository)
        live = self.cluster.find(RESOURCES["StatefulSet.apps"].path_to(*one.key))
        access = Accesses(self.cluster, self.look, self.now).of(one, driver)
        return Found(model, one, driver, look_at(one, driver, live, self.look, access))

    # --- Jobs ----------------------------------------------------------------------------------------------------

    def run(self, job: Item) -> Outcome:
        """Makes a Job that is not there yet; what became of it. Raises ClusterError."""
        metadata = job["metadata"]
        live = self.cluster.find(JOBS.path_to(metadata["namespace"], metadata["name"]))
        if live is None:
            try:
                self.cluster.create(JOBS.path_to(metadata["namespace"]), job, field_manager=MANAGER)
            except ClusterError as error:
                if error.status != 409:
                    raise
            return Outcome("running", "its Job is made")
        if "deletionTimestamp" in metadata_of(live):
            return Outcome("running", "its Job of before is being deleted")
        return outcome.of(self.cluster, live)

    def tidy(self, item: Object, *purposes: str) -> None:
        """Deletes Jobs that have done their work: the claims that their pods used cannot go as long as those are there."""
        namespace = text_of(metadata_of(item), "namespace")
        for purpose in purposes:
            name = name_of(item, purpose)
            job = self.kinds.get(JOB, namespace, name)
            if job is not None and "deletionTimestamp" not in metadata_of(job):
                self.drop(namespace, name)

    def drop(self, namespace: str, name: str) -> None:
        """Deletes a Job with its pods, where it is there. Raises ClusterError."""
        try:
            self.cluster.delete(JOBS.path_to(namespace, name), {"propagationPolicy": "Background"})
        except ClusterError as error:
            if error.status != 404:
                raise

    # --- what is said --------------------------------------------------------------------------------------------

    def annotate(self, resource: Resource, item: Object, annotations: Mapping[str, str], **more: Any) -> None:
        """Writes annotations onto this very object. Raises ClusterError."""
        metadata = metadata_of(item)
        known = {"uid": text_of(metadata, "uid")}
        if more:
            # A list is written whole, so nobody may have written it meanwhile.
            known["resourceVersion"] = text_of(metadata, "resourceVersion")
        path = resource.path_to(text_of(metadata, "namespace"), text_of(metadata, "name"))
        self.cluster.patch(path, {"metadata": {**known, "annotations": dict(annotations), **more}}, field_manager=MANAGER)

    def say(self, resource: Resource, item: Object, before: Model, made: Model) -> None:
        """Writes a status where it is another. What has ended stays as it ended. Raises ClusterError."""
        wanted = made.dump()
        if wanted == before.dump():
            return
        metadata = metadata_of(item)
        name, namespace, uid = (text_of(metadata, field) for field in ("name", "namespace", "uid"))
        path = resource.path_to(namespace, name)
        # What the cache has may be from before our own last write.
        live = self.cluster.find(path)
        now = mapping_of(live, "status") if live is not None else {}
        if live is None or (text_of(now, "phase") in ENDED and wanted.get("phase") != "Deleting"):
            return
        if text_of(now, "phase") != wanted.get("phase"):
            said = f"{wanted.get('phase')}: {wanted.get('message')}"
            _log.info("%s %s/%s: %s", resource.kind_name, namespace, name, said)
        body = {
            "apiVersion": API_VERSION,
            "kind": resource.kind_name,
            "metadata": {"name": name, "namespace": namespace, "uid": uid},
            "status": wanted,
        }
        try:
            self.cluster.apply(f"{path}/status", body, field_manager=MANAGER)
        except ClusterError as error:
            if error.status not in (404, 409):
                raise


def short(text: str) -> str:
    """A message of a status."""
    return text[:_MESSAGE]
