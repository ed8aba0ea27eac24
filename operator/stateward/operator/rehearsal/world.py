"""The kubelets, the controllers and the engine behind an API server in memory: they follow at once."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Final

from stateward.operator.objects.common import CONTAINER, LABEL, PRIMARY, REPLICA, ROLE, VERSION
from stateward.operator.rehearsal.memory import Clock, MemoryCluster
from stateward.policies.view import Kind, Object, items_of, mapping_of, metadata_of, text_of

_SET: Final[Kind] = "StatefulSet.apps"
_POD: Final[Kind] = "Pod"
_JOB: Final[Kind] = "Job.batch"
_CLAIM: Final[Kind] = "PersistentVolumeClaim"
_DEFAULT_CLASS: Final = "standard"


@dataclass(slots=True)
class World:
    """The kubelets, the controllers and the engine: what is wanted becomes so when `turns` is called."""

    cluster: MemoryCluster
    clock: Clock
    namespace: str
    service: str
    away: frozenset[str] = frozenset()
    """Members that do not serve, and will not."""
    listed: dict[str, bool] = field(default_factory=dict)
    """The engine's list: member → whether it has no vote yet."""
    leader: str = ""
    _ran: dict[str, str] = field(default_factory=dict)
    """Member → the version that its data is of."""

    def turns(self) -> None:
        """Pods and claims become what the StatefulSet says; volumes grow; somebody leads."""
        item = self.cluster.objects.get((_SET, self.namespace, self.service))
        for key, one in [*self.cluster.objects.items()]:
            if key[0] == _CLAIM and key[1] == self.namespace:
                self._bound(one)
        if item is not None:
            wanted = mapping_of(item, "spec").get("replicas") or 0
            item["status"] = {"observedGeneration": metadata_of(item).get("generation"), "replicas": wanted}
            names = [f"{self.service}-{ordinal}" for ordinal in range(wanted)]
            for name in set(self._pods()) - set(names):
                del self.cluster.objects[_POD, self.namespace, name]
            for name in names:
                self._runs(item, name)
        self._worked()
        self.elected()
        self._labelled()

    def elected(self) -> None:
        """Who leads: the one that did, or the first that can."""
        serving = [name for name in self.serving() if not self.listed.get(name)]
        if self.leader not in serving:
            self.leader = next(iter(serving), "")

    def serving(self) -> list[str]:
        """The members that serve now."""
        return [name for name in sorted(self._pods(), key=_ordinal) if name not in self.away]

    def _pods(self) -> list[str]:
        """Those of members."""
        return [
            key[2]
            for key, item in self.cluster.objects.items()
            if key[:2] == (_POD, self.namespace) and LABEL in mapping_of(metadata_of(item), "labels")
        ]

    def _worked(self) -> None:
        """Every Job has come to its end, and each of its containers has said something."""
        for key, job in [*self.cluster.objects.items()]:
            if key[0] != _JOB or "status" in job:
                continue
            job["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
            containers = items_of(mapping_of(mapping_of(mapping_of(job, "spec"), "template"), "spec"), "containers")
            ended = [{"name": one["name"], "state": {"terminated": {"exitCode": 0, "message": "1"}}} for one in containers]
            labels = {"batch.kubernetes.io/job-name": key[2]}
            metadata = {"name": f"{key[2]}-1", "namespace": key[1], "labels": labels}
            status = {"phase": "Succeeded", "containerStatuses": ended}
            self.cluster.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": status})

    def _runs(self, item: Object, name: str) -> None:
        for template in items_of(mapping_of(item, "spec"), "volumeClaimTemplates"):
            key = (_CLAIM, self.namespace, f"{text_of(metadata_of(template), 'name')}-{name}")
            if key not in self.cluster.objects:
                metadata = {**metadata_of(template), "name": key[2], "namespace": self.namespace}
                spec = {"storageClassName": _DEFAULT_CLASS, **mapping_of(template, "spec")}
                claim: Object = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}
                self.cluster.put(claim)
                self._bound(self.cluster.objects[key])
        if (_POD, self.namespace, name) in self.cluster.objects:
            return
        made_from = mapping_of(mapping_of(item, "spec"), "template")
        pod: Object = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**copy.deepcopy(dict(metadata_of(made_from))), "name": name, "namespace": self.namespace},
            "spec": {**mapping_of(made_from, "spec"), "nodeName": f"node-of-{name}"},
            "status": self._status(name),
        }
        self.cluster.put(pod)
        self._ran[name] = text_of(mapping_of(metadata_of(item), "annotations"), VERSION)

    def _status(self, name: str) -> Object:
        serves = name not in self.away
        ready = {"type": "Ready", "status": "True" if serves else "False", "lastTransitionTime": self.clock.text}
        container = {"name": CONTAINER, "started": True, "ready": serves, "state": {"running": {}}}
        return {"phase": "Running", "podIP": "127.0.0.1", "conditions": [ready], "containerStatuses": [container]}

    def _bound(self, claim: Object) -> None:
        asked = mapping_of(mapping_of(mapping_of(claim, "spec"), "resources"), "requests")
        claim["spec"].setdefault("volumeName", f"volume-of-{text_of(metadata_of(claim), 'name')}")
        claim["status"] = {"phase": "Bound", "capacity": dict(asked)}

    def _labelled(self) -> None:
        for name in self._pods():
            labels = self.cluster.objects[_POD, self.namespace, name]["metadata"].setdefault("labels", {})
            labels[ROLE] = PRIMARY if name == self.leader else REPLICA

    def version_of(self, name: str) -> str:
        """The version that a member runs."""
        return self._ran.get(name, "")


def _ordinal(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
