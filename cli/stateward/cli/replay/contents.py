"""What the blobs of a repository hold: the objects that rules judge or look at, and what cannot be read."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from stateward.cli import manifests
from stateward.cli.edits import moved
from stateward.cli.files import Given, decoded
from stateward.cli.git import Blobs, GitError
from stateward.cli.manifests import Document
from stateward.cli.replay import kustomize, pruning
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.adapters.shape import adapter_of
from stateward.policies.rota import ANY_SERVICE, dispatch
from stateward.policies.rules import RULES
from stateward.policies.structs import dataclass
from stateward.policies.view import Kind, items_of, kind_of_object, mapping_of, metadata_of, text_of

MAX_BYTES: Final = 8 * 2**20
"""Larger blobs are not read; the API server itself takes 3 MiB a request."""
CACHED_BYTES: Final = 32 * 2**20
"""The text of the blobs that are kept, the least recently used are forgotten first."""

Why = str
"""Why a file cannot be read: TEMPLATE, LARGE, or the first fault in words."""
TEMPLATE: Final = "template"
LARGE: Final = "large"

_JUDGED: Final[frozenset[Kind]] = frozenset(kind for kind, _, _ in dispatch(RULES)) - {ANY_SERVICE}
_SEEN: Final[frozenset[Kind]] = _JUDGED | {kind for rule in RULES for kind in rule.looks_at}
_READ: Final = _SEEN | frozenset(pruning.KINDS)
# Reading YAML is nearly all of the work, and most commits of a history touch nothing that a rule knows. The name of a
# kind stands behind `kind:` in every notation; what matches by chance is sorted out when it is read.
_NAMED: Final = re.compile(
    rb"kind\W{1,8}(?:" + b"|".join(sorted({kind.partition(".")[0].encode() for kind in _READ})) + rb")(?:List)?\b"
)
_GROUPS: Final = re.compile(rb"apiVersion\W{1,8}([a-z0-9.-]+\.[a-z0-9.-]+)/")


def is_judged(kind: Kind) -> bool:
    """Whether a rule judges requests on a kind: by an adapter, by itself, or (custom kinds) by shape."""
    return kind in _JUDGED or kind in ADAPTERS or adapter_of(kind) is not None


def is_seen(kind: Kind) -> bool:
    """Whether rules may look at a kind."""
    return kind in _SEEN or kind in ADAPTERS or adapter_of(kind) is not None


def _may_matter(data: bytes) -> bool:
    """Whether a text can hold an object of a kind that is read.

    It is told by kinds alone: what an edit takes out of an object must not make it vanish.
    """
    if _NAMED.search(data) or b"\0" in data:  # a NUL may hide UTF-16
        return True
    if any(adapter.match_kind.encode() in data for adapter in ADAPTERS.own.values()):
        return True
    return any(adapter_of(f"Any.{group.decode()}") is not None for group in set(_GROUPS.findall(data)))


@dataclass(frozen=True, slots=True)
class Content:
    """What a blob holds."""

    documents: tuple[Document, ...] = ()
    patches: frozenset[str] = frozenset()
    """Of a kustomization: the files that it lays over objects, relative to its folder."""
    why: Why = ""
    """Why it, or a part of it, cannot be read; "" where all of it can."""

    def at(self, path: str) -> Content:
        """The same in a file of another name."""
        if not self.documents or self.documents[0].source == path:
            return self
        return Content(tuple(document.at(path) for document in self.documents), self.patches, self.why)


class Contents:
    """Reads blobs, each once as long as it is remembered."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._cache: OrderedDict[tuple[str, bool], tuple[Content, int]] = OrderedDict()
        self._size = 0

    def read(self, path: str, oid: str) -> Content:
        """What a file with this blob holds. A blob that this clone does not have is a file that cannot be read."""
        key = oid, kustomize.is_kustomization(path)
        known = self._cache.get(key)
        if known is not None:
            self._cache.move_to_end(key)
            return known[0].at(path)
        try:
            data = self._blobs.read(oid, MAX_BYTES + 1)
        except GitError:
            return Content(why="the object is missing in this clone")
        content = _content(path, data)
        # What holds nothing weighs little, however long it is.
        size = len(data) if content.documents else 200
        self._cache[key] = content, size
        self._size += size
        while self._size > CACHED_BYTES:
            _, (_, forgotten) = self._cache.popitem(last=False)
            self._size -= forgotten
        return content


def _content(path: str, data: bytes) -> Content:
    if len(data) > MAX_BYTES:
        return Content(why=LARGE) if _may_matter(data) else Content()
    patches = kustomize.patches(data) if kustomize.is_kustomization(path) else frozenset[str]()
    if not _may_matter(data):
        return Content(patches=patches)
    loaded = manifests.Loaded([], [], [])
    manifests.take(Given(path, named=False), decoded(path, data), loaded)
    documents = tuple(one for one in loaded.documents if _is_read(kind_of_object(one.object)))
    if not loaded.broken:
        return Content(documents, patches)
    if b"{{" in data:
        return Content(documents, patches, TEMPLATE)
    fault = loaded.problems[-1]
    place = f"line {fault.line}: " if fault.line else ""
    return Content(documents, patches, f"{place}{fault.message}")


def _is_read(kind: Kind) -> bool:
    return moved(kind) in _READ or adapter_of(kind) is not None


def is_partial(item: Mapping[str, Any]) -> bool:
    """Whether it is no object yet: a patch that nothing has been laid under, or what objects are made of."""
    if "$patch" in item or is_stencil(item):
        return True
    spec = mapping_of(item, "spec")
    match moved(kind_of_object(item)):
        case "StatefulSet.apps" | "Deployment.apps":
            pod = mapping_of(mapping_of(spec, "template"), "spec")
            selected = "selector" in spec or item.get("apiVersion") != "apps/v1"  # the betas filled it in
            return not (selected and any("image" in container for container in items_of(pod, "containers")))
        case "Kafka.kafka.strimzi.io":
            return "kafka" not in spec
        case "KafkaNodePool.kafka.strimzi.io":
            return not {"replicas", "roles", "storage"} <= spec.keys()
        case "PersistentVolumeClaim":
            return "accessModes" not in spec
        case _:
            return False


def is_stencil(item: Mapping[str, Any]) -> bool:
    """Whether its name holds a variable (`${APP}`): others are made of it when it is deployed (Flux postBuild, envsubst)."""
    return "${" in text_of(metadata_of(item), "name")


def is_encrypted(item: Mapping[str, Any]) -> bool:
    """Whether sops has encrypted values of an object: it leaves its own section behind (getsops.io, sops metadata)."""
    return "sops" in item and type(item["sops"]) is dict
