"""Who is a request about? Every request becomes Changes: of services, or of one object that is none."""

from __future__ import annotations

from typing import Any

from stateward.policies import bearing
from stateward.policies.adapters import shape
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import owned_by
from stateward.policies.model import Service
from stateward.policies.operations import OPERATIONS
from stateward.policies.request import Request
from stateward.policies.secrets import RELEASE
from stateward.policies.view import (
    UNKNOWN,
    Kind,
    Object,
    View,
    by_label,
    having,
    items_of,
    kind_of,
    kind_of_object,
    mapping_of,
    metadata_of,
    text_of,
)


def resolve(request: Request, view: View) -> list[Change]:
    """The Changes of a request; never empty."""
    if request.subresource == "scale":
        return [_scale(request, view)]
    if request.subresource == "eviction":
        return [_eviction(request, view)]
    if request.subresource:
        return [Change(request, old_object=request.old, new_object=request.object, via=request.subresource)]
    if request.kind == "Secret":
        return _bearing(request, view, "secret")
    if request.kind == "ConfigMap":
        return _bearing(request, view, "config")
    if request.kind in OPERATIONS:
        return [_operation(request, view)]
    adapter = ADAPTERS.get(request.kind) or shape.adapter_of(request.kind)
    old, new = request.old, request.object
    if adapter is None or not ((old is not None and adapter.applies(old)) or (new is not None and adapter.applies(new))):
        return [Change(request, old_object=old, new_object=new)]
    if adapter.hub is not None:
        return [_joined(request, adapter, view)]
    return [
        Change(
            request,
            Service(adapter, old, view) if old is not None else None,
            Service(adapter, new, view) if new is not None else None,
        )
    ]


def _bearing(request: Request, view: View, via: str) -> list[Change]:
    """A Secret or a ConfigMap: the services that live by it, each before and after; the object alone where none does."""
    if request.operation == "CREATE":
        return [Change(request, new_object=request.object)]
    if (request.old or {}).get("type") == RELEASE:
        return [Change(request, old_object=request.old, new_object=request.object)]
    found: list[Service] = []
    for service in bearing.services_in(view, request.namespace):
        named = bearing.secret_of(service, request.name) if via == "secret" else bearing.reads_config(service, request.name)
        if named:
            found.append(service)
    changes: list[Change] = []
    for service in bearing.without_children(found):
        change = Change(request, service, service, via)
        if via == "config" and request.object is not None and request.old is not None:
            # The view may show the ConfigMap as it was, as it will be, or not at all.
            change.view = bearing.Overlay(view, request.object)
            change.old = Service(service.adapter, service.object, bearing.Overlay(view, request.old))
            change.new = Service(service.adapter, service.object, change.view)
        changes.append(change)
    return changes or [Change(request, old_object=request.old, new_object=request.object)]


def _operation(request: Request, view: View) -> Change:
    """A request to an operator: the service as it is, and as it will be when the operator has done what is asked."""
    asked = OPERATIONS[request.kind]
    adapter = ADAPTERS.get(asked.target)
    item = request.object
    change = Change(request, old_object=request.old, new_object=item, via="operation")
    if adapter is None or item is None or request.operation != "CREATE":
        return change
    cluster = view.get(asked.target, request.namespace, asked.name(item))
    if cluster is UNKNOWN:
        change.unseen = asked.target
        return change
    if cluster is None:
        return change
    return Change(request, Service(adapter, cluster, view), Service(adapter, asked.apply(item, cluster), view), "operation")


def parent_of_scale(request: Request, view: View) -> tuple[Adapter, Object] | None:
    """The object that a Scale belongs to, as far as it is known.

    A Scale carries no labels and no kind of its parent; the API server names the parent's resource. In a file that
    names none, the only object of a scalable kind with that name is meant.
    """
    for adapter in ADAPTERS.values():
        if adapter.scale_path is None or (request.resource and adapter.resource != request.resource):
            continue
        found = view.get(adapter.kind, request.namespace, request.name)
        if found is not UNKNOWN and found is not None:
            return adapter, found
    return None


def _unseen_parent(request: Request, view: View) -> Kind:
    for adapter in ADAPTERS.values():
        if adapter.scale_path is not None and request.resource in ("", adapter.resource) and not view.complete(adapter.kind):
            return adapter.kind
    return ""


def _scale(request: Request, view: View) -> Change:
    found = parent_of_scale(request, view)
    if found is None:
        change = Change(request, old_object=request.old, new_object=request.object, via="scale")
        change.unseen = _unseen_parent(request, view)
        return change
    adapter, parent = found
    path = adapter.scale_path or ()
    old = _with(parent, path, _replicas(request.old)) if request.old is not None else parent
    new = _with(parent, path, _replicas(request.object)) if request.object is not None else None
    if adapter.hub is not None:
        inner = Request(
            kind=adapter.kind,
            operation=request.operation,
            name=request.name,
            namespace=request.namespace,
            object=new,
            old=old,
            user=request.user,
            options=request.options,
        )
        change = _joined(inner, adapter, view)
        return Change(request, change.old, change.new, "pool")
    return Change(request, Service(adapter, old, view), Service(adapter, new, view) if new is not None else None, "scale")


def _eviction(request: Request, view: View) -> Change:
    """The StatefulSet whose member is evicted: before and after are the same, one member fewer runs."""
    pod = view.get("Pod", request.namespace, request.name)
    if pod is not UNKNOWN and pod is not None:
        for reference in items_of(metadata_of(pod), "ownerReferences"):
            adapter = ADAPTERS.get(kind_of(reference.get("apiVersion"), reference.get("kind")))
            if adapter is None or reference.get("controller") is not True:
                continue
            owner = view.get(adapter.kind, request.namespace, text_of(reference, "name"))
            if owner is not UNKNOWN and owner is not None and owned_by(pod, owner):
                return Change(request, Service(adapter, owner, view), Service(adapter, owner, view), "eviction")
    return Change(request, old_object=request.old, new_object=request.object, via="eviction")


def _replicas(scale: Object | None) -> Any:
    # A Scale without replicas means none: the field is an int32 that is left out when it is 0.
    return mapping_of(scale or {}, "spec").get("replicas", 0)


def _with(item: Object, path: tuple[str | int, ...], value: Any) -> Object:
    """A copy of an object in which one field is another; only the mappings on the way are copied."""
    first, rest = path[0], path[1:]
    copy = dict(item)
    inner = item.get(str(first))
    copy[str(first)] = _with(inner if type(inner) is dict else {}, rest, value) if rest else value
    return copy


def _joined(request: Request, adapter: Adapter, view: View) -> Change:
    """A joined object (a node pool): the hub before and after, with this one of its joined objects replaced."""
    hub_spec = adapter.hub or {}
    subject = request.subject
    hub_name = adapter.hub_name(subject)
    hub_adapter = ADAPTERS.get(hub_spec["kind"])
    hub = view.get(hub_spec["kind"], request.namespace, hub_name) if hub_name else None
    if hub is UNKNOWN or hub is None or hub_adapter is None:
        # Without its hub the pool still says how many members and which volumes it has.
        change = Change(
            request,
            Service(adapter, request.old, view) if request.old is not None else None,
            Service(adapter, request.object, view) if request.object is not None else None,
            "pool",
        )
        change.unseen = hub_spec["kind"] if hub is UNKNOWN else ""
        return change
    kind = kind_of_object(subject) or adapter.kind
    known = having(view, kind, by_label(hub_spec["label"]), hub_name, request.namespace)
    siblings = [item for item in (known if known is not UNKNOWN else ()) if metadata_of(item).get("name") != request.name]
    join = hub_spec["name"]
    before = [*siblings, request.old] if request.old is not None else siblings
    after = [*siblings, request.object] if request.object is not None else siblings
    return Change(
        request,
        Service(hub_adapter, hub, view, {join: before}),
        Service(hub_adapter, hub, view, {join: after}),
        "pool",
    )
