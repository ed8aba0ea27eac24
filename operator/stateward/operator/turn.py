"""What an operation decides from, and the only hands that it has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from stateward.certs.members import Held
from stateward.kube.client import Cluster
from stateward.kube.errors import ClusterError
from stateward.operator import deletion
from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.apply import MANAGER, RESOURCES
from stateward.operator.backup import outcome
from stateward.operator.backup.kinds import JOBS
from stateward.operator.backup.outcome import Outcome
from stateward.operator.drivers.protocol import Access, Driver, Place, Result, Store, Target
from stateward.operator.informer import Informers
from stateward.operator.objects import fingerprint
from stateward.operator.objects.common import LABEL, VERSION
from stateward.operator.observe import LEFT, Stand, place_of
from stateward.operator.service import Service
from stateward.operator.step import Step
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

DONE = Result("done")


class Operation(Protocol):
    """One kind of work on a service. Reads, and changes nothing: what is to be done it hands back."""

    def __call__(self, turn: Turn, /) -> Step | None:
        """The next step; None where nothing of this kind is to be done."""


@dataclass(frozen=True, slots=True)
class Hand:
    """What an operation may write, each a single write that can be made twice. All raise ClusterError."""

    cluster: Cluster
    service: Service
    note: Callable[[Mapping[str, str | None]], Result]
    """Writes notes onto the StatefulSet and nothing else: what follows from them is written by the next look. None
    takes a note off."""

    hold: Callable[[Held, Held], bool] = lambda before, after: False
    """Holds other certificates than these; False where those were not held any more."""

    rekey: Callable[[Access, Access], bool] = lambda before, after: False
    """The same of passwords."""

    def take(self, kind: str, item: Object) -> Result:
        """Deletes this very object, a pod or a claim."""
        deletion.delete(self.cluster, kind, item, "Background")
        return DONE

    def restart(self, pod: Object, pods: Mapping[str, Object], budget: bool) -> Result:
        """Has this very pod made anew, if `pods` are still all that there are.

        `budget`: by an eviction, which the API server allows only where the PodDisruptionBudget does: two that restart
        members at the same time never take two. Else by a deletion: the budget would never allow it.
        """
        path = RESOURCES["Pod"].path_to(self.service.namespace)
        live = self.cluster.get(path, {"labelSelector": f"{LABEL}={self.service.name}"}).get("items")
        if _alive(live or ()) != _alive(pods.values()):
            return Result("unknown", "its pods are others by now")
        if not budget:
            return self.take("Pod", pod)
        name = text_of(metadata_of(pod), "name")
        where = {"name": name, "namespace": self.service.namespace}
        options = {"preconditions": {"uid": text_of(metadata_of(pod), "uid")}}
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": where, "deleteOptions": options}
        try:
            self.cluster.create(f"{path}/{name}/eviction", eviction, field_manager=MANAGER)
        except ClusterError as error:
            if error.status not in (404, 409, 429, 500):
                raise
            return Result("refused", str(error))
        return DONE

    def release(self, pod: Object) -> Result:
        """Deletes a pod at once: only where its node is known to be gone, so that nobody will say that it has ended."""
        deletion.delete(self.cluster, "Pod", pod, "Background", force=True)
        return DONE

    def orphan(self, item: Object) -> Result:
        """Deletes the StatefulSet and leaves its pods as they are: they run on, and the next one takes them for its own."""
        deletion.delete(self.cluster, "StatefulSet.apps", item, "Orphan")
        return DONE

    def mark(self, claim: Object, member: str) -> Result:
        """Notes on a claim that its member has left, so that nothing is lost with what is on it."""
        return self.annotate(claim, {LEFT: member})

    def annotate(self, claim: Object, notes: Mapping[str, str | None]) -> Result:
        """Writes notes onto this very claim; None takes one off."""
        return self._patch(claim, {"metadata": {"annotations": dict(notes)}})

    def grow(self, claim: Object, size: str) -> Result:
        """Asks for a larger volume; refused where the API server, or its storage class, will not have it."""
        try:
            return self._patch(claim, {"spec": {"resources": {"requests": {"storage": size}}}})
        except ClusterError as error:
            if error.status not in (400, 403, 422):
                raise
            return Result("refused", str(error))

    # --- Jobs, and what the engine keeps itself ------------------------------------------------------------------

    def rests(self) -> bool:
        """Whether no member runs and none will start, as the API server itself and its controller have it."""
        item = self.cluster.find(RESOURCES["StatefulSet.apps"].path_to(self.service.namespace, self.service.name))
        if item is None or mapping_of(item, "spec").get("replicas") != 0:
            return False
        status, generation = mapping_of(item, "status"), metadata_of(item).get("generation")
        path = RESOURCES["Pod"].path_to(self.service.namespace)
        pods = self.cluster.get(path, {"labelSelector": f"{LABEL}={self.service.name}"}).get("items")
        return status.get("observedGeneration") == generation and not status.get("replicas") and not pods

    def job(self, name: str) -> Object | None:
        """A Job, as the API server has it."""
        return self.cluster.find(JOBS.path_to(self.service.namespace, name))

    def ended(self, job: Object) -> Outcome:
        """What became of it."""
        return outcome.of(self.cluster, job)

    def begin(self, job: Object) -> Result:
        """Makes a Job; one of its name is the same."""
        try:
            self.cluster.create(JOBS.path_to(self.service.namespace), job, field_manager=MANAGER)
        except ClusterError as error:
            if error.status != 409:
                raise
        return DONE

    def drop(self, job: Object) -> Result:
        """Deletes a Job; it is there until its pods are gone."""
        deletion.drop(self.cluster, job)
        return DONE

    def stored(self, store: Store) -> bool:
        """Whether a ConfigMap of the engine's is as it is to be."""
        item = self.cluster.find(RESOURCES["ConfigMap"].path_to(self.service.namespace, store.name))
        if item is None or store.annotations is None:
            return item is None
        found = mapping_of(metadata_of(item), "annotations")
        return all(found.get(name) == value for name, value in store.annotations.items())

    def store(self, store: Store) -> Result:
        """Makes it so."""
        path = RESOURCES["ConfigMap"].path_to(self.service.namespace, store.name)
        item = self.cluster.find(path)
        if item is None:
            return Result("done" if store.annotations is None else "refused", f"ConfigMap {store.name} is not there")
        if store.annotations is None:
            deletion.delete(self.cluster, "ConfigMap", item, "Background")
            return DONE
        uid = text_of(metadata_of(item), "uid")
        notes = dict(store.annotations)
        self.cluster.patch(path, {"metadata": {"uid": uid, "annotations": notes}}, field_manager=MANAGER)
        return DONE

    def _patch(self, claim: Object, patch: dict[str, Any]) -> Result:
        metadata = metadata_of(claim)
        path = RESOURCES["PersistentVolumeClaim"].path_to(self.service.namespace, text_of(metadata, "name"))
        body = {**patch, "metadata": {**patch.get("metadata", {}), "uid": text_of(metadata, "uid")}}
        self.cluster.patch(path, body, field_manager=MANAGER)
        return DONE


def _alive(pods: Iterable[Object]) -> set[str]:
    return {text_of(metadata_of(one), "uid") for one in pods if "deletionTimestamp" not in metadata_of(one)}


@dataclass(frozen=True, slots=True)
class Turn:
    """One look at one service, by the facts of this moment."""

    service: Service
    """What is asked for."""
    stand: Stand
    """What there is."""
    driver: Driver
    look: Informers
    hand: Hand
    status: StatefulServiceStatus
    """As it was last written: for when something began, never for what is so."""
    now: datetime

    def place(self, members: int | None = None) -> Place:
        """Where the service is, with so many members; without a number those that it has."""
        return place_of(self.service, self.stand.running, self.stand.formed, members)

    def members(self) -> list[str]:
        """The names of the members that there are to be now."""
        return self.service.names(self.stand.replicas)

    def away(self, names: Sequence[str]) -> list[str]:
        """Those of these members that do not say that they serve."""
        healthy = set(self.stand.healthy(names))
        return [name for name in names if name not in healthy]

    def since(self, step: str, member: str = "") -> timedelta:
        """For how long this step is being taken."""
        begun = self.status.operation
        same = begun is not None and (begun.step, begun.member or "") == (step, member)
        since = begun.step_started if same and begun is not None else None
        return self.now - since if since is not None else timedelta()

    def runs(self) -> str:
        """What a pod is made with now; one that says otherwise is of an earlier template."""
        return fingerprint.of(self.service, self.stand.running, self.driver, self.place(), self.stand.access)

    def said_of(self, member: str, annotation: str) -> str:
        """An annotation of a member's pod; "" where there is none."""
        pod = self.stand.pods.get(member)
        return text_of(mapping_of(metadata_of(pod), "annotations"), annotation) if pod is not None else ""

    def made_with(self, member: str) -> str:
        """The version that a member's pod was made with."""
        return self.said_of(member, VERSION)

    def serving(self, without: str = "") -> list[Target]:
        """Whom to tell: members that serve, the leader first."""
        stand = self.stand
        found = [one for one in stand.targets if one.name != without and stand.seen[one.name].healthy is True]
        return sorted(found, key=lambda one: stand.seen[one.name].role not in self.driver.leaders)

    def asked(self) -> list[Target]:
        """Whom to ask: those that serve first, then the others that can be asked."""
        serving = self.serving()
        return [*serving, *(one for one in self.stand.targets if one not in serving)]
