"""Stand-ins to rehearse with: an API server in memory, the kubelets and controllers behind it, an engine that obeys.

Nothing here decides anything: what is rehearsed are the operator's own decisions, and these follow them at once.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from stateward.certs.authority import Leaf
from stateward.kube.client import APPLY, Cluster
from stateward.kube.errors import ClusterError
from stateward.operator.apply import RESOURCES
from stateward.operator.drivers.protocol import (
    Driver,
    Log,
    Peer,
    Place,
    Repository,
    Result,
    Seen,
    Shake,
    Source,
    Store,
    Target,
)
from stateward.operator.objects.common import CONTAINER, LABEL, PRIMARY, REPLICA, ROLE, VERSION
from stateward.operator.service import KIND
from stateward.operator.tls import SERVER, fingerprint
from stateward.policies.view import Kind, Object, items_of, kind_of, mapping_of, metadata_of, text_of

Key = tuple[Kind, str, str]
DONE: Final = Result("done")
_NAMESPACED: Final = re.compile(r"^/(?:api/v1|apis/([^/]+)/[^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+)(?:/([^/]+))?)?$")
_PLURALS: Final[Mapping[str, Kind]] = {
    **{resource.plural: kind for kind, resource in RESOURCES.items()},
    "statefulservices": KIND,
    "jobs": "Job.batch",
}
_SET: Final[Kind] = "StatefulSet.apps"
_POD: Final[Kind] = "Pod"
_JOB: Final[Kind] = "Job.batch"
_CLAIM: Final[Kind] = "PersistentVolumeClaim"
_DEFAULT_CLASS: Final = "standard"
_PLANNED: Final = "rehearsal"


class MemoryCluster(Cluster):
    """An API server in memory: objects by kind, namespace and name. Whoever has rights to nothing has them to all here."""

    def __init__(self, clock: Clock) -> None:
        self.host = _PLANNED
        self.objects: dict[Key, Object] = {}
        self._clock = clock
        self._count = 0

    def close(self) -> None:
        """Nothing is open."""

    def call(self, method: str, path: str, query: Mapping[str, str | int] | None = None, **more: Any) -> dict[str, Any]:
        """See `Cluster.call`. What is of no namespace, or of a kind that is not rehearsed, is not there."""
        found = _NAMESPACED.match(path)
        if found is None:
            raise _absent(path)
        group, namespace, plural, name, subresource = found.groups()
        kind = _PLURALS.get(plural) or (f"{plural}.{group}" if group else plural)
        key = (kind, namespace, name or "")
        if subresource == "eviction":
            return self._gone(key, path)
        if method == "GET":
            return copy.deepcopy(self._there(key, path)) if name else {"items": self._list(key, query or {}), "metadata": {}}
        if method == "DELETE":
            return self._gone(key, path, more.get("body"))
        if method == "POST":
            return self._created(kind, namespace, more["body"], path)
        if subresource == "status":
            return self._keep(key, {**self._there(key, path), "status": more["body"]["status"]})
        if more.get("content_type") == APPLY:
            return self._applied(key, more["body"])
        return self._merged(key, more["body"], path)

    def put(self, item: Object) -> None:
        """Makes an object what it is said to be."""
        metadata = metadata_of(item)
        kind = kind_of(item.get("apiVersion"), item.get("kind"))
        self._keep((kind, text_of(metadata, "namespace"), text_of(metadata, "name")), item)

    def _there(self, key: Key, path: str) -> Object:
        if key not in self.objects:
            raise _absent(path)
        return self.objects[key]

    def _list(self, key: Key, query: Mapping[str, str | int]) -> list[Object]:
        name, _, value = str(query.get("labelSelector", "")).partition("=")
        found = [item for (kind, where, _), item in self.objects.items() if (kind, where) == key[:2]]
        if name:
            found = [item for item in found if mapping_of(metadata_of(item), "labels").get(name) == value]
        return copy.deepcopy(found)

    def _gone(self, key: Key, path: str, options: Any = None) -> Object:
        item = self._there(key, path)
        del self.objects[key]
        orphans = isinstance(options, Mapping) and options.get("propagationPolicy") == "Orphan"
        if key[0] == _SET and not orphans:
            for other in [one for one in self.objects if one[0] == _POD and one[1] == key[1]]:
                if mapping_of(metadata_of(self.objects[other]), "labels").get(LABEL) == key[2]:
                    del self.objects[other]
        return item

    def _created(self, kind: Kind, namespace: str, body: Object, path: str) -> Object:
        key = (kind, namespace, text_of(metadata_of(body), "name"))
        if key in self.objects:
            raise ClusterError(409, "AlreadyExists", f"{path}: {key[2]} is there already")
        return self._keep(key, body)

    def _applied(self, key: Key, body: Object) -> Object:
        """Server-side apply where everything is ours: what is left out goes."""
        before = self.objects.get(key)
        if before is None:
            return self._keep(key, body)
        after = copy.deepcopy(body)
        if "status" in before:
            after["status"] = before["status"]
        for name in ("finalizers", "ownerReferences"):
            if name in before["metadata"]:
                after["metadata"].setdefault(name, before["metadata"][name])
        return self._keep(key, after)

    def _merged(self, key: Key, body: Object, path: str) -> Object:
        wanted = {name: value for name, value in body.items() if name not in ("apiVersion", "kind")}
        after: Object = merged(self._there(key, path), wanted)
        return self._keep(key, after)

    def _keep(self, key: Key, item: Object) -> Object:
        before = self.objects.get(key)
        after = copy.deepcopy(item)
        metadata = after.setdefault("metadata", {})
        metadata.setdefault("namespace", key[1])
        for name in ("uid", "creationTimestamp", "resourceVersion", "generation"):
            if before is not None:
                metadata[name] = before["metadata"][name]
        if before is not None and after == before:
            return copy.deepcopy(before)
        self._count += 1
        metadata.setdefault("uid", f"{_PLANNED}-{self._count}")
        metadata.setdefault("creationTimestamp", self._clock.text)
        metadata["resourceVersion"] = str(self._count)
        same = before is not None and before.get("spec") == after.get("spec")
        metadata["generation"] = int(metadata.get("generation") or 0) + (not same)
        self.objects[key] = after
        return copy.deepcopy(after)


@dataclass(slots=True)
class Clock:
    """The time of a rehearsal."""

    now: datetime

    @property
    def text(self) -> str:
        """As the API server writes it."""
        return self.now.strftime("%Y-%m-%dT%H:%M:%SZ")


_HEARD: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Cache:
    """The informers, which have heard of everything at once."""

    cluster: MemoryCluster
    around: Mapping[Key, Object] = field(default_factory=dict)
    """What else is known: StorageClasses."""

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """See `Informers.get`."""
        return self.cluster.objects.get((kind, namespace, name)) or self.around.get((kind, namespace, name))

    def of(self, kind: Kind, key: tuple[str, str]) -> list[Object]:
        """See `Informers.of`."""
        found = [
            (name, item)
            for (other, namespace, name), item in self.cluster.objects.items()
            if other == kind
            and namespace == key[0]
            and (name == key[1] if kind == KIND else mapping_of(metadata_of(item), "labels").get(LABEL) == key[1])
        ]
        return [item for _, item in sorted(found, key=lambda one: one[0])]

    def heard(self, key: tuple[str, str]) -> tuple[int, ...]:
        """See `Informers.heard`: something always was, so that every look of a rehearsal is a whole one."""
        return (next(_HEARD),)

    def every(self, kind: Kind) -> list[Object] | None:
        """See `Informers.every`: nothing is known of the cluster's nodes, so nobody is lost with one."""
        return None


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


class Obedient:
    """An engine's driver whose members do what they are told, at once. All else is the engine's own."""

    def __init__(self, real: Driver, world: World) -> None:
        self._real = real
        self._world = world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def of(self, parameters: Mapping[str, Any]) -> Obedient:
        """The same for a service of these parameters."""
        return Obedient(self._real.of(parameters), self._world)

    def archiving(self, repository: Repository | None) -> Obedient:
        """The same with its log archived there."""
        return Obedient(self._real.archiving(repository), self._world)

    def log(self, target: Target) -> Log | None:
        """All of it is archived."""
        return Log(0, 0)

    def see(self, target: Target) -> Seen:
        """A member that is there serves, unless it is known not to."""
        world = self._world
        if target.name in world.away:
            return Seen(target.name, False, reason="it does not serve now")
        return Seen(target.name, True, self._role(target.name), world.version_of(target.name), target.name)

    def _role(self, name: str) -> str:
        if name == self._world.leader and self._real.leaders:
            return min(self._real.leaders)
        if self._world.listed.get(name):
            return "learner"
        return "follower" if self._real.listed else "replica" if self._real.leaders else ""

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        """The list; whoever founds the cluster is in it."""
        if not self._world.listed and self._real.listed:
            self._world.listed.update(dict.fromkeys(place.members, False))
        return [Peer(name, name, learner) for name, learner in self._world.listed.items()]

    def join(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """In the list, without a vote."""
        self._world.listed.setdefault(member, True)
        return DONE

    def promote(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """With a vote, once it is there to catch up."""
        if member not in self._world.serving():
            return Result("refused", "it has not caught up yet")
        self._world.listed[member] = False
        return DONE

    def leave(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Out of the list; whoever leads and leaves leads no more."""
        self._world.listed.pop(member, None)
        if member == self._world.leader:
            return self.switchover(member, targets, place)
        return DONE

    def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Another one leads."""
        others = [name for name in self._world.serving() if name != member and not self._world.listed.get(name)]
        if member == self._world.leader and others:
            self._world.leader = others[0]
        return DONE

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str]:
        """Settings that all members share are taken to be as they should."""
        return []

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        """They are."""
        return DONE

    def shake(self, target: Target, leaf: Leaf | None = None) -> Shake:
        """It shows the certificate that there is now, and takes any."""
        tls = target.access.tls
        shown = tls.held.leaves.get(SERVER) if tls is not None else None
        return Shake(True, fingerprint(shown) if shown is not None else b"")

    def set_passwords(self, passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place) -> Result:
        """It takes them."""
        return DONE

    def source(self, said: Mapping[str, str]) -> Source:
        """Whoever led last."""
        return Source(self._world.leader or min(said), "1")

    def stores(self, place: Place, word: str) -> Sequence[Store]:
        """What the engine keeps by itself is not rehearsed."""
        return ()

    def unled(self, place: Place) -> Store:
        """The same: somebody always has led."""
        return Store("never", {"led": None, "by": "nobody"})

    def finalise(self, version: str, targets: Sequence[Target], place: Place) -> Result:
        """The data is of this version."""
        return DONE


def merged(before: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396) on a value."""
    if not isinstance(patch, Mapping):
        return copy.deepcopy(patch)
    after = dict(before) if isinstance(before, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            after.pop(name, None)
        else:
            after[name] = merged(after.get(name), value)
    return after


def _absent(path: str) -> ClusterError:
    return ClusterError(404, "NotFound", f"{path}: not found")


def _ordinal(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
