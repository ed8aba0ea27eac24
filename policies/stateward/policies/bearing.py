"""What bears on a service without being it: the Secrets that it lives by, the ConfigMaps that it reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.facts import being_deleted, labels_of, owned_by
from stateward.policies.model import SecretRef, Service
from stateward.policies.paths import Path
from stateward.policies.structs import dataclass
from stateward.policies.view import (
    EMPTY_VIEW,
    UNKNOWN,
    Key,
    Kind,
    Object,
    Unknown,
    View,
    having,
    items_of,
    kind_of_object,
    mapping_of,
    metadata_of,
    text_of,
)


class Overlay:
    """A View in which one object is another: the ConfigMap as it will be."""

    def __init__(self, view: View, item: Object) -> None:
        self._view = view
        self._item = item
        metadata = metadata_of(item)
        self._key = (kind_of_object(item), text_of(metadata, "namespace"), text_of(metadata, "name"))

    def complete(self, kind: Kind) -> bool:
        """See `View.complete`."""
        return self._view.complete(kind)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | Unknown | None:
        """See `View.get`."""
        return self._item if (kind, namespace, name) == self._key else self._view.get(kind, namespace, name)

    def select(self, kind: Kind, namespace: str | None = None) -> Sequence[Object] | Unknown:
        """See `View.select`."""
        found = self._view.select(kind, namespace)
        if found is UNKNOWN or kind != self._key[0] or namespace not in (None, self._key[1]):
            return found
        others = [
            item for item in found if (metadata_of(item).get("namespace"), metadata_of(item).get("name")) != self._key[1:]
        ]
        return [*others, self._item]


def services_in(view: View, namespace: str) -> Iterator[Service]:
    """The services of a namespace that are known and are not being deleted: what goes lives by nothing any more."""
    for kind in ADAPTERS:
        found = view.select(kind, namespace)
        for item in found if found is not UNKNOWN else ():
            adapter = ADAPTERS[kind]
            if adapter.hub is None and adapter.applies(item) and not being_deleted(item):
                yield Service(adapter, item, view)


def services_named(view: View, namespace: str, kind: str, name: str) -> Iterator[Service]:
    """The same of one name and one kind, given without its group: `StatefulSet`."""
    for each in ADAPTERS:
        if each.partition(".")[0] != kind:
            continue
        item = view.get(each, namespace, name)
        if item is None or item is UNKNOWN:
            continue
        adapter = ADAPTERS[each]
        if adapter.hub is None and adapter.applies(item) and not being_deleted(item):
            yield Service(adapter, item, view)


def services_selected(view: View, namespace: str, wanted: Mapping[str, Any]) -> Iterator[Service]:
    """The same, those whose pods may carry these labels: by their own template, or by the label that names the service."""
    pairs = [(key, value) for key, value in wanted.items() if isinstance(value, str)]
    if not pairs:
        return
    for kind in ADAPTERS:
        found = view.select(kind, namespace)
        if found is UNKNOWN or not found:
            continue
        adapter = ADAPTERS[kind]  # made when it is first asked for: most runs meet few kinds
        if adapter.hub is not None:
            continue
        if adapter.pod_label is not None:
            named = view.get(kind, namespace, text_of(wanted, adapter.pod_label))
            found = [named] if named is not None and named is not UNKNOWN else []
        else:
            found = having(view, kind, _labels_of_template(adapter), pairs[0], namespace)
        for item in found if found is not UNKNOWN else ():
            if adapter.applies(item) and not being_deleted(item):
                yield Service(adapter, item, view)


@cache
def _labels_of_template(adapter: Adapter) -> Key:
    def labels(item: Object) -> Iterable[Hashable]:
        template = Service(adapter, item, EMPTY_VIEW).field("template").value
        found = labels_of({"metadata": template}) if type(template) is dict else {}
        return [(key, value) for key, value in found.items() if isinstance(value, str)]

    return labels


def without_children(services: Sequence[Service]) -> list[Service]:
    """The services that none of the others owns: what is true of a cluster need not be said of its sets again."""
    return [
        one for one in services if not any(other is not one and owned_by(one.object, other.object) for other in services)
    ]


@dataclass(frozen=True, slots=True)
class Use:
    """How a pod uses a Secret or a ConfigMap."""

    name: str
    key: str
    """One key of it, "" for all."""
    variable: str
    """The environment variable that it becomes, "" where it is mounted or becomes many."""
    path: Path


def uses(service: Service, secret: bool) -> Iterator[Use]:
    """The Secrets (or ConfigMaps) that a pod's containers use, with the place that names each."""
    reference, source, volume, named = (
        ("secretKeyRef", "secretRef", "secret", "secretName")
        if secret
        else ("configMapKeyRef", "configMapRef", "configMap", "name")
    )
    pod, base = service.field("pod")
    if type(pod) is not dict:
        return
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(items_of(pod, kind)):
            here = (*base, kind, index)
            for position, entry in enumerate(items_of(container, "env")):
                used = mapping_of(mapping_of(entry, "valueFrom"), reference)
                if used:
                    yield Use(text_of(used, "name"), text_of(used, "key"), text_of(entry, "name"), (*here, "env", position))
            for position, entry in enumerate(items_of(container, "envFrom")):
                used = mapping_of(entry, source)
                if used:
                    yield Use(text_of(used, "name"), "", "", (*here, "envFrom", position))
    for position, entry in enumerate(items_of(pod, "volumes")):
        rows: list[Mapping[str, Any]] = [mapping_of(entry, volume)]
        rows += [mapping_of(row, volume) for row in items_of(mapping_of(entry, "projected"), "sources")]
        for used in rows:
            name = text_of(used, named) or text_of(used, "name")
            if name:
                keys = [text_of(row, "key") for row in items_of(used, "items")]
                for key in keys or [""]:
                    yield Use(name, key, "", (*base, "volumes", position))


def secret_of(service: Service, name: str) -> tuple[SecretRef, frozenset[str]] | None:
    """How a service lives by a Secret of its namespace: (the reference, the keys that it uses; empty: all)."""
    for one in service.secrets:
        if one.name == name:
            return one, frozenset()
    found = [use for use in uses(service, secret=True) if use.name == name]
    if not found:
        return None
    keys = frozenset() if any(not use.key for use in found) else frozenset(use.key for use in found)
    identity = service.engine.identity if service.engine is not None else ()
    role = "cluster" if any(use.variable in identity for use in found if use.variable) else "credentials"
    return SecretRef(name, role, "user", found[0].path), keys


def reads_config(service: Service, name: str) -> bool:
    """Whether a service's pod reads a ConfigMap of its namespace."""
    return any(use.name == name for use in uses(service, secret=False))
