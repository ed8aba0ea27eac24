"""Consequences: writes that only carry out what was judged before. Refusing one would wedge a controller for ever."""

from __future__ import annotations

from typing import Any, Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.model import Service
from stateward.policies.request import Request
from stateward.policies.view import (
    UNKNOWN,
    Object,
    Sight,
    Unknown,
    View,
    items_of,
    kind_of,
    mapping_of,
    metadata_of,
    text_of,
)

_SYSTEM: Final = "system:serviceaccount:kube-system:"
GARBAGE_COLLECTOR: Final = f"{_SYSTEM}generic-garbage-collector"
NAMESPACE_CONTROLLER: Final = f"{_SYSTEM}namespace-controller"
CONTROLLER_MANAGER: Final = "system:kube-controller-manager"
"""Who all controllers are where they have no accounts of their own (--use-service-account-credentials=false)."""

LEFT: Final = "stateward.dev/left"
"""Annotation of a claim: its member has left the engine by the operator's doing, so that nothing is lost with it."""

PARKED: Final = "stateward.dev/parked"
"""Annotation of a StatefulSet: the operator has all its members stop, as its StatefulService asks for in an upgrade."""

_OWN: Final = "StatefulService.stateward.dev"
_REPLICA_SET: Final = "ReplicaSet.apps"
_CLAIM: Final = "PersistentVolumeClaim"


def of_request(request: Request, view: View) -> str | None:
    """Why a whole request is a consequence, None where it is a cause.

    - an object that is being deleted: its deletion was judged when it began (a pod's DELETE arrives twice);
    - a deletion by the garbage collector: its owner's deletion was judged;
    - a deletion by the namespace controller: the namespace's deletion was judged;
    - a ReplicaSet of a Deployment: the Deployment was judged, and brings it back to what it says;
    - a status write.
    """
    if request.subresource == "status":
        return "status write"
    if request.kind == _REPLICA_SET and not request.subresource and _of_deployment(request.old or request.object or {}):
        return "its Deployment was judged"
    if request.old is not None and metadata_of(request.old).get("deletionTimestamp"):
        return "already being deleted"
    if request.operation != "DELETE":
        return None
    user = request.user.name
    old = request.old or {}
    if user in (GARBAGE_COLLECTOR, CONTROLLER_MANAGER) and items_of(dict(metadata_of(old)), "ownerReferences"):
        return "garbage collection after the deletion of its owner"
    if user in (NAMESPACE_CONTROLLER, CONTROLLER_MANAGER) and request.namespace:
        namespace = view.get("Namespace", "", request.namespace)
        # Unknown is taken for terminating: this controller does nothing else, and refusing it wedges the namespace.
        if namespace is UNKNOWN or namespace is None or metadata_of(namespace).get("deletionTimestamp"):
            return "deletion of its namespace"
    return None


def _of_deployment(item: Object) -> bool:
    return any(
        reference.get("controller") is True
        and kind_of(reference.get("apiVersion"), reference.get("kind")) == "Deployment.apps"
        for reference in items_of(dict(metadata_of(item)), "ownerReferences")
    )


def owner_of(item: Object, view: View) -> tuple[Object | None, bool]:
    """The controlling owner: (the object, None if it is absent; whether that is known)."""
    for reference in items_of(dict(metadata_of(item)), "ownerReferences"):
        if reference.get("controller") is not True:
            continue
        kind = kind_of(reference.get("apiVersion"), reference.get("kind"))
        found = view.get(kind, text_of(metadata_of(item), "namespace"), text_of(reference, "name"))
        if found is UNKNOWN:
            return None, False
        if found is not None and _other(reference.get("uid"), metadata_of(found).get("uid")):
            return None, True
        return found, True
    return None, False


def _other(one: Any, another: Any) -> bool:
    return isinstance(one, str) and isinstance(another, str) and one != another


def demanded(change: Change, view: View) -> frozenset[str]:
    """The parts of the model in which the controlling owner already demands what this write sets.

    They are no longer this write's doing: the owner's own change was judged.
    """
    if change.new is None or change.old is None:
        return frozenset()
    owner, known = owner_of(change.new.object, view)
    if not known or owner is None:
        return frozenset()
    reference = kind_of(owner.get("apiVersion"), owner.get("kind"))
    adapter = ADAPTERS.get(reference)
    if adapter is None:
        return frozenset()
    wanted = Service(adapter, owner, view)
    found = set()
    new = change.new
    if wanted.members is not None and (wanted.members == new.members or _on_the_way(change, wanted)):
        found.add("members")
    if reference == _OWN and new.members == 0 and _parked(new.object, owner):
        found.add("members")
    asked, given = wanted.version.version, new.version.version
    if asked is not None and given is not None and asked.same_release(given):
        found.update(("version", "pod"))
    demanded_volumes = wanted.asked_volumes
    if demanded_volumes and new.asked_volumes <= demanded_volumes:
        found.add("volumes")
    return frozenset(found)


def _parked(item: Object, owner: Object) -> bool:
    """Whether all members stop for an upgrade, and the owner says that they may: that was judged where it was said."""
    upgrade = mapping_of(mapping_of(owner, "spec"), "upgrade")
    may = text_of(upgrade, "strategy") == "Recreate" or text_of(upgrade, "majors") == "DumpAndRestore"
    return may and PARKED in mapping_of(metadata_of(item), "annotations")


def _on_the_way(change: Change, wanted: Service) -> bool:
    """Whether a write brings the members one nearer to what the owner demands, where that is how its operator goes there."""
    old, new = change.old, change.new
    if old is None or new is None or wanted.adapter.scale_down != "oneByOne":
        return False
    was, now, goal = old.members, new.members, wanted.members
    return was is not None and now is not None and goal is not None and (now == was - 1 >= goal or now == was + 1 <= goal)


def has_left(change: Change, view: View | Sight, members: range) -> bool:
    """Whether each of these members has left its engine by its operator's doing, as the operator has noted on its claims.

    Then nothing is taken away with its pod. A claim that is not known excuses nothing.
    """
    service = change.old
    volumes = [volume.name for group in service.groups for volume in group.volumes] if service is not None else []
    if service is None or not volumes or not members:
        return False
    return all(
        _noted(view.get(_CLAIM, service.namespace, f"{volume}-{service.name}-{member}"))
        for volume in volumes
        for member in members
    )


def _noted(claim: Object | Unknown | None) -> bool:
    return claim is not None and claim is not UNKNOWN and LEFT in mapping_of(metadata_of(claim), "annotations")
