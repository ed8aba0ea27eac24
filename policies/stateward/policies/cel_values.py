"""What expressions see: the objects, the request and the normalised service as plain maps (docs/policy.md lists them)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.model import Archive, EngineVersion, MemberGroup, Service, Volume
from stateward.policies.request import Request
from stateward.policies.rule import SCALE
from stateward.policies.version import Version
from stateward.policies.view import UNKNOWN, Kind, Object, kind_of_object, mapping_of, metadata_of, text_of

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_SECRET_DATA: Final = ("data", "stringData")


def objects_of(change: Change) -> tuple[Object | None, Object | None]:
    """The objects that a change is about, after and before.

    Of a scale the parent with the number laid over it, of a node pool the pool and not its hub, of what bears on a
    service (a Secret that it reads) that itself.
    """
    if change.via in ("", "scale"):
        return change.new_object, change.old_object
    if change.via == "pool":
        return _pool(change.new, change.request), _pool(change.old, change.request)
    return (change.request.old, None) if change.past else (change.request.object, change.request.old)


def kind_of_change(change: Change) -> Kind:
    """The kind of those objects."""
    if change.request.kind != SCALE:
        return change.request.kind
    new, old = objects_of(change)
    return kind_of_object(new or old or {})


def shown(item: Object | None) -> Object | None:
    """An object as expressions see it: without managedFields; of a Secret the keys of its data without their values."""
    if item is None:
        return None
    metadata = dict(metadata_of(item))
    metadata.pop("managedFields", None)
    copy = {**item, "metadata": metadata}
    if kind_of_object(item) == "Secret":
        for field in _SECRET_DATA:
            if field in item:
                copy[field] = dict.fromkeys(mapping_of(item, field), "")
        annotations = dict(mapping_of(metadata, "annotations"))
        if annotations.pop(_LAST_APPLIED, None) is not None:
            metadata["annotations"] = annotations
    return copy


def request_of(request: Request) -> dict[str, Any]:
    """The request, without its objects."""
    return {
        "operation": request.operation,
        "kind": request.kind,
        "namespace": request.namespace,
        "name": request.name,
        "subResource": request.subresource,
        "dryRun": request.dry_run,
        "options": dict(request.options),
        "userInfo": {"username": request.user.name, "groups": list(request.user.groups)},
    }


def service_of(service: Service | None) -> dict[str, Any] | None:
    """The normalised service; None where there is none. What the object does not say is null."""
    if service is None:
        return None
    engine = service.engine
    return {
        "kind": service.kind,
        "name": service.name,
        "namespace": service.namespace,
        "labels": dict(service.labels),
        "engine": engine.name if engine is not None else None,
        "engineCertain": service.engine_certain,
        "version": _engine_version(service.version),
        "running": _version(service.running),
        "finalised": _version(service.finalised),
        "mode": service.mode or None,
        "members": service.members,
        "groups": [_group(group) for group in service.groups],
        "quorum": {
            "model": engine.quorum.model if engine is not None else "none",
            "minimum": engine.quorum.minimum if engine is not None else 1,
        },
        "deletesClaims": service.deletes_claims,
        "archives": _archives(service.archives),
        "sources": _archives(service.sources),
    }


def _pool(hub: Service | None, request: Request) -> Object | None:
    if hub is None:
        return None
    if hub.adapter.hub is not None:
        return hub.object  # the pool itself: its hub could not be seen
    for adapter in ADAPTERS.values():
        if adapter.hub is None or adapter.hub["kind"] != hub.kind:
            continue
        joined = hub.joined(adapter.hub["name"])
        for item in joined if joined is not UNKNOWN else ():
            metadata = metadata_of(item)
            if (text_of(metadata, "name") or text_of(metadata, "generateName")) == request.name:
                return item
    return None


def _engine_version(found: EngineVersion) -> dict[str, Any]:
    parts = _version(found.version) or {"text": found.text or None, "major": None, "minor": None, "patch": None}
    return {"state": found.state, **parts}


def _version(found: Version | None) -> dict[str, Any] | None:
    if found is None:
        return None
    major, minor, patch = (*found.parts, None, None, None)[:3]
    return {"text": found.text, "major": major, "minor": minor, "patch": patch}


def _group(group: MemberGroup) -> dict[str, Any]:
    return {
        "name": group.name,
        "members": _of(group.members.value, int),
        "ready": _of(group.ready.value, int),
        "voters": group.voters,
        "roles": [role for role in _of(group.roles.value, list) or [] if isinstance(role, str)],
        "volumes": [_volume(volume) for volume in group.volumes],
    }


def _volume(volume: Volume) -> dict[str, Any]:
    size = volume.size.value
    return {
        "name": volume.name,
        "class": _of(volume.storage_class.value, str),
        "size": None if size is None or size is UNKNOWN else str(size),
        "sizeBytes": float(volume.bytes) if volume.bytes is not None else None,
        "modes": [mode for mode in _of(volume.modes.value, list) or [] if isinstance(mode, str)],
        "ephemeral": volume.ephemeral.value is True,
    }


def _archives(archives: Iterable[Archive]) -> list[dict[str, str]]:
    return [{"store": one.store, "server": one.server} for one in archives]


def _of(value: Any, wanted: type) -> Any:
    return value if type(value) is wanted else None
