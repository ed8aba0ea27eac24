"""Kinds without an adapter, read by their shape: where a resource asks for volumes, it is a stateful service.

What every such resource has in common is how it asks for storage: a claim's specification inside it, or a size beside a
class. Only class, size, members and deletion are read; the engine stays unknown, so rules that need it are silent.

A service is what runs. Resources that deliver others, move data, back it up, or are worked off and done ask for volumes,
too, and are none: they are told by their group and by the last word of their kind. What a chart's values ask for is asked
by what is made from it, if at all; so is what a template asks for, but for claims.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from stateward.policies import quantity
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.grammar import compile_expression, digger, nothing
from stateward.policies.model import GroupFields, MemberGroup, Service, Volume
from stateward.policies.paths import Path
from stateward.policies.view import Kind, Object, items_of, mapping_of, metadata_of, text_of

_MEMBERS: Final = (
    "replicas", "size", "instances", "members", "nodes", "count", "numberOfInstances", "nodeCount", "clusterSize", "servers",
)  # fmt: skip
_SIZES: Final = ("size", "storage", "storageSize", "volumeSize", "diskSize", "capacity")
_CLASSES: Final = ("storageClassName", "storageClass", "storageClassname")
_PLACES: Final = frozenset(("storage", "persistence", "volume", "disk", "pvc", "data"))
_DEEPEST: Final = 12
_KEYS: Final = ("name", "id", "mountPath", "component", "role")
_BUILT_IN: Final = (".k8s.io", ".x-k8s.io")
_NO_SERVICES: Final = frozenset(("apps", "batch", "autoscaling", "policy", "extensions", "events", "apiregistration"))
_TOOLS: Final = (
    "fluxcd.io", "weave.works", "argoproj.io", "cattle.io", "crossplane.io", "open-cluster-management.io",  # delivery
    "tekton.dev", "volcano.sh", "ray.io", "kubeflow.org", "actions.github.com", "actions.summerwind.dev",  # runs that end
    "volsync.backube", "velero.io", "k8up.io", "kanister.io", "kio.kasten.io", "appscode.com", "kubestash.com",  # backup
    "kubevirt.io", "forklift.konveyor.io", "migration.openshift.io",  # machines, disk images and their migration
    "stateward.dev", "cert-manager.io", "kyverno.io", "gatekeeper.sh", "external-secrets.io", "longhorn.io", "openebs.io",
)  # fmt: skip
"""Groups, with all below them, whose resources deliver, move, keep copies of or allow what others run."""
_DONE_OR_STAMPED: Final = re.compile(
    r"(?:Template|Values|Release|Application|Bundle|Package|Class|Policy|Binding|Schedule|Request|Quota|Profile|"
    r"Backup|Restore|Recovery|Snapshot|Replication(?:Source|Destination)|Repository|Archive|Clone|Populator|"
    r"Job|CronJob|Run|Task|Pipeline|Workflow|Import|Export|Migration|Upgrade|Operation|OpsRequest|Test|"
    r"Claim|Volume|Disk|Bucket|Machine)(?:s|Configs?|Configuration|Set)?$"
)
"""How kinds end that are no running service: what others are made from, what is done once, what storage itself is."""

_OF_CHARTS: Final = frozenset({"values", "valuesContent", "helmValues"})

_FIELDS: Final = {
    "class": compile_expression({"firstOf": list(_CLASSES)}, "class", str),
    "size": compile_expression({"firstOf": ["resources.requests.storage", *_SIZES]}, "size"),
    "modes": compile_expression("accessModes", "modes", list),
    "ephemeral": nothing,
    "labels": nothing,
}


class ShapeAdapter(Adapter):
    """Reads any custom resource that asks for volumes."""

    def __init__(self, kind: Kind) -> None:
        name, _, group = kind.partition(".")
        resource = f"{name.lower()}s"
        super().__init__("shape", {"adapter": "shape", "match": {"group": group, "kind": name}, "resource": resource})
        self.compared = ((("spec",), ("members", "volumes")),)
        self.differences = tuple((digger(path), parts) for path, parts in self.compared)

    def applies(self, item: Object) -> bool:
        """Whether the resource asks for volumes. What an operator makes of another resource, it also takes away."""
        controlled = any(one.get("controller") is True for one in items_of(dict(metadata_of(item)), "ownerReferences"))
        return not controlled and next(_volumes(item), None) is not None

    def groups(self, service: Service) -> tuple[MemberGroup, ...]:
        """One group: what the resource counts, if it counts one thing only."""
        item = service.object

        def volumes(_: Any, __: Path, on: Object) -> list[Volume]:
            return [Volume(name, row, at, _FIELDS, on) for name, row, at in _volumes(on)]

        members = next((key for key in _MEMBERS if type(mapping_of(item, "spec").get(key)) is int), None)
        fields = GroupFields(
            members=compile_expression(f"spec.{members}", "members", int) if members else nothing,
            ready=nothing,
            voters=nothing,
            nonvoters=nothing,
            at_once=nothing,
            roles=nothing,
            volumes=volumes,
        )
        return (MemberGroup("members", item, (), fields, item),)

    def owns_claim(self, service: Service, claim: Object) -> bool:
        """By owner, or by a label that holds the service's name while the claim's own name contains it."""
        metadata = metadata_of(claim)
        for owner in items_of(dict(metadata), "ownerReferences"):
            if owner.get("kind") == self.match_kind and owner.get("name") == service.name:
                return True
        labels = mapping_of(metadata, "labels")
        named = service.name in text_of(metadata, "name")
        return named and any(value == service.name for value in labels.values())

    def claim_is_of(self, service: Service, group: MemberGroup, volume: Volume, claim: Object) -> bool:
        """With several kinds of volumes, the one whose name is part of the claim's."""
        if not self.owns_claim(service, claim):
            return False
        if len(group.volumes) == 1:
            return True
        last = volume.name.rpartition(".")[2].lower()
        return last in text_of(metadata_of(claim), "name").lower()


def adapter_of(kind: Kind) -> ShapeAdapter | None:
    """The adapter of a custom kind without one of its own; None for kinds of Kubernetes and of tools that store nothing."""
    return _adapter_of(kind) if len(kind) <= _LONGEST else None


_LONGEST: Final = 320
"""Characters: a kind has 63 at most, its group 253. What is longer is none, and never kept."""


@lru_cache(maxsize=256)
def _adapter_of(kind: Kind) -> ShapeAdapter | None:
    name, _, group = kind.partition(".")
    if "." not in group or group.endswith(_BUILT_IN) or group in _NO_SERVICES or _DONE_OR_STAMPED.search(name):
        return None
    if any(group == tool or group.endswith(f".{tool}") for tool in _TOOLS):
        return None
    return ShapeAdapter(kind)


def _volumes(item: Object) -> Iterator[tuple[str, Mapping[str, Any], Path]]:
    """The places where a resource asks for a volume: (name, the mapping that asks, its path)."""
    waiting: list[tuple[Any, Path, str]] = [(mapping_of(item, "spec"), ("spec",), "")]
    seen: set[str] = set()
    while waiting:
        here, path, name = waiting.pop()
        if type(here) is dict:
            if _asks(here, str(path[-1])) and _is_own(path):
                unique = name or "data"
                if unique not in seen:
                    seen.add(unique)
                    yield unique, here, path
                continue
            if len(path) < _DEEPEST:
                waiting += [
                    (value, (*path, key), _joined(name, key))
                    for key, value in here.items()
                    if type(key) is str and key not in _OF_CHARTS
                ]
        elif type(here) is list:
            for index, row in enumerate(here):
                told = next((str(row[key]) for key in _KEYS if key in row), str(index)) if type(row) is dict else str(index)
                waiting.append((row, (*path, index), _joined(name, told)))


def _is_own(path: Path) -> bool:
    """Whether what asks is the resource itself. In a template that is only what is called a claim: its own members'."""
    words = [key.lower() for key in path if type(key) is str]
    return not any("template" in word for word in words) or any("claim" in word or "pvc" in word for word in words)


def _joined(name: str, key: str) -> str:
    return f"{name}.{key}" if name else key


def _asks(here: Mapping[str, Any], key: str) -> bool:
    """Whether a mapping asks for a volume: a claim's specification, or a size beside a class or below `storage`."""
    requests = mapping_of(mapping_of(here, "resources"), "requests")
    if quantity.parse(requests.get("storage")) is not None:
        return True
    sized = any(isinstance(here.get(name), str) and quantity.parse(here[name]) is not None for name in _SIZES)
    classed = any(isinstance(here.get(name), str) for name in _CLASSES)
    return sized and (classed or key.lower() in _PLACES)


def may_ask(schema: Any) -> bool:
    """Whether an object of this OpenAPI schema (that of a CRD's version) can ask for a volume.

    Below `spec`, as deep as objects are read; true where anything may stand.
    """
    properties = mapping_of(schema, "properties") if type(schema) is dict else {}
    waiting: list[tuple[Any, int, str]] = [(properties.get("spec", schema), 1, "spec")]
    while waiting:
        node, depth, key = waiting.pop()
        if type(node) is not dict or depth > _DEEPEST:
            continue
        named = mapping_of(node, "properties")
        if node.get("x-kubernetes-preserve-unknown-fields") is True and not named:
            return True
        sized, classed = any(name in named for name in _SIZES), any(name in named for name in _CLASSES)
        if ("resources" in named and "accessModes" in named) or (sized and (classed or key.lower() in _PLACES)):
            return True
        waiting += [(value, depth + 1, name) for name, value in named.items()]
        waiting += [(node.get(name), depth + 1, key) for name in ("items", "additionalProperties")]
    return False
