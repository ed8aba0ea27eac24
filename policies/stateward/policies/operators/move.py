"""A change of an operator's release: from which to which, over what it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import being_deleted, name_of
from stateward.policies.model import Service
from stateward.policies.operators.catalogue import KINDS, Operator, identify
from stateward.policies.paths import Path
from stateward.policies.rule import Judges
from stateward.policies.structs import dataclass
from stateward.policies.version import Version
from stateward.policies.view import (
    EMPTY_VIEW,
    UNKNOWN,
    Kind,
    Look,
    Object,
    Sight,
    accuses,
    items_of,
    kind_of,
    kind_of_object,
    mapping_of,
    metadata_of,
    text_of,
    texts_of,
)

WORKLOADS: Final = ("Deployment.apps", "StatefulSet.apps")
"""What operators run as."""

UPDATES: Final = Judges(frozenset({"UPDATE"}), WORKLOADS, operators=True)
STARTS: Final = Judges(frozenset({"CREATE", "UPDATE"}), WORKLOADS, operators=True)
OPERANDS: Final[tuple[Look, ...]] = tuple(accuses(kind, "spec", "status") for kind in KINDS)
"""What `operands` looks at."""

_USUAL: Final = ("WATCH_NAMESPACE",)
"""Where an operator's data does not name the variable (operator-sdk)."""
_BESIDE: Final = re.compile(r"(?:^|-)(?:tools?|toolbox|cli|client|debug|shell)(?:-|$)")
"""Names of what runs an operator's image for its programs: rook-ceph-tools."""
_CONTAINERS: Final[Path] = ("spec", "template", "spec", "containers")


@dataclass(frozen=True, slots=True)
class Manager:
    """The container of a workload that runs an operator."""

    operator: Operator
    container: Mapping[str, Any]
    image: str
    path: Path
    """Of its image."""

    @property
    def version(self) -> Version | None:
        """The operator's release; None where the tag does not say."""
        return self.operator.version(self.image)

    def env(self, name: str) -> str | None:
        """A variable's literal value; None where it is not set or comes from elsewhere."""
        for entry in items_of(self.container, "env"):
            if entry.get("name") == name:
                value = entry.get("value", "")
                return value if isinstance(value, str) and "valueFrom" not in entry else None
        return None

    def names(self) -> Iterator[str]:
        """The names of its variables."""
        for entry in items_of(self.container, "env"):
            yield text_of(entry, "name")

    def watches(self, namespace: str) -> frozenset[str] | None:
        """The namespaces that it looks after, itself in `namespace`; None for all (and where it does not say)."""
        for entry in items_of(self.container, "env"):
            if entry.get("name") not in (self.operator.watches or _USUAL):
                continue
            field = mapping_of(mapping_of(entry, "valueFrom"), "fieldRef")
            if field.get("fieldPath") == "metadata.namespace":
                return frozenset({namespace})
            named = frozenset(part.strip() for part in text_of(entry, "value").split(",") if part.strip())
            return named if named and "*" not in named else None
        return None


@dataclass(frozen=True, slots=True)
class Move:
    """An operator's image that becomes another, both of releases that can be read."""

    before: Manager
    after: Manager
    old: Version
    new: Version

    @property
    def operator(self) -> Operator:
        """Whose release it is."""
        return self.after.operator

    @property
    def downwards(self) -> bool:
        """Whether it goes back to an older release."""
        return self.new < self.old

    @property
    def title(self) -> str:
        """`Strimzi 0.36.0 → 0.37.0`."""
        return f"{self.operator.title} {self.old.text} → {self.new.text}"


def managers(item: Object | None) -> dict[str, Manager]:
    """The containers of a workload that run an operator, by the operator's name.

    What an operand owns is a part of it, though its image be the operator's (Strimzi's entity operator).
    """
    found: dict[str, Manager] = {}
    owners = {
        kind_of(one.get("apiVersion"), one.get("kind")) for one in items_of(metadata_of(item or {}), "ownerReferences")
    }
    template = mapping_of(mapping_of(mapping_of(item or {}, "spec"), "template"), "spec")
    beside = _BESIDE.search(name_of(item or {})) is not None
    for index, container in enumerate(items_of(template, "containers")):
        image = text_of(container, "image")
        operator = identify(image) if image else None
        if operator is None or beside or _BESIDE.search(text_of(container, "name")) or owners.intersection(operator.runs):
            continue
        words = [*texts_of(container, "command"), *texts_of(container, "args")]
        if not operator.beside.isdisjoint(words):
            continue
        if not operator.says or not words or operator.says in words:
            found.setdefault(operator.name, Manager(operator, container, image, (*_CONTAINERS, index, "image")))
    return found


def runs_operator(change: Change) -> bool:
    """Whether a workload runs the operator of a stateful service, before or after."""
    return any(map(identify, _images(change.new_object) | _images(change.old_object)))


def _images(item: Object | None) -> set[str]:
    try:
        # The shape that the API server guarantees; anything else is read with care below.
        found = {container["image"] for container in item["spec"]["template"]["spec"]["containers"]} if item else set()
    except (KeyError, TypeError):
        template = mapping_of(mapping_of(item or {}, "spec"), "template")
        return {text_of(container, "image") for container in items_of(mapping_of(template, "spec"), "containers")}
    return {image for image in found if type(image) is str}


def move(change: Change) -> Move | None:
    """The change of an operator's release; None for every other workload and every other edit of an operator."""
    kept = change.kept
    if "move" not in kept:
        kept["move"] = _move(change)
    found: Move | None = kept["move"]
    return found


def _move(change: Change) -> Move | None:
    after = managers(change.new_object)
    if not after or change.old_object is None:
        return None
    before = managers(change.old_object)
    for name, manager in after.items():
        was = before.get(name)
        if was is None or was.image == manager.image:
            continue
        old, new = was.version, manager.version
        if old is not None and new is not None and old.key() != new.key():
            return Move(was, manager, old, new)
    return None


@dataclass(frozen=True, slots=True)
class Operand:
    """What an operator runs: one custom resource that is not on its way out."""

    kind: Kind
    item: Object

    @property
    def where(self) -> str:
        """`Kafka prod/events`."""
        namespace = text_of(metadata_of(self.item), "namespace")
        name = f"{namespace}/{name_of(self.item)}" if namespace else name_of(self.item)
        return f"{self.kind.partition('.')[0]} {name}"

    @property
    def idle(self) -> bool:
        """Whether nothing of it runs, or its operator is told to leave it alone, as far as its adapter can tell."""
        adapter = ADAPTERS.get(self.kind)
        if adapter is None:
            return False
        service = Service(adapter, self.item, EMPTY_VIEW)
        return service.stopped or service.field("paused").value is True or service.members == 0


def operands(manager: Manager, change: Change, see: Sight, kind: Kind = "") -> list[Operand]:
    """What is known to run under the operator that a request is about, of one kind or of all, by kind and name."""
    return operands_in(manager, change.request.namespace, see, kind)


def operands_in(manager: Manager, namespace: str, see: Sight, kind: Kind = "") -> list[Operand]:
    """The same of an operator that runs in a namespace."""
    watched = manager.watches(namespace)
    found: list[Operand] = []
    for one in (kind,) if kind else manager.operator.runs:
        known = see.select(one)
        for item in known if known is not UNKNOWN else ():
            if being_deleted(item) or (watched is not None and text_of(metadata_of(item), "namespace") not in watched):
                continue
            found.append(Operand(one, item))
    return sorted(found, key=lambda operand: (manager.operator.runs.index(operand.kind), operand.where))


def twin(item: Object, manager: Manager, namespace: str, see: Sight, whole: bool = False) -> Object | None:
    """Another workload of the same operator that looks after some (`whole`: all) of the same namespaces.

    `item` runs in `namespace`. Needs a look at WORKLOADS.
    """
    own = manager.watches(namespace)
    for kind in WORKLOADS:
        found = see.select(kind)
        for another in found if found is not UNKNOWN else ():
            if being_deleted(another) or stopped(another) or _same(another, item, namespace):
                continue
            other = managers(another).get(manager.operator.name)
            if other is None:
                continue
            theirs = other.watches(text_of(metadata_of(another), "namespace"))
            if theirs is None or (own is not None and own <= theirs) or (not whole and (own is None or own & theirs)):
                return another
    return None


def stopped(workload: Object) -> bool:
    """Whether a workload asks for no replicas."""
    return mapping_of(workload, "spec").get("replicas") == 0


def _same(one: Object, item: Object, namespace: str) -> bool:
    where = (kind_of_object(one), text_of(metadata_of(one), "namespace"), name_of(one))
    return where == (kind_of_object(item), namespace, name_of(item))


def counted(found: Sequence[Operand], shown: int = 3) -> str:
    """`2 Kafkas (prod/events, prod/logs)`, for each kind."""
    kinds: dict[str, list[str]] = {}
    for operand in found:
        kind, _, name = operand.where.partition(" ")
        kinds.setdefault(kind, []).append(name)
    said = []
    for kind, names in kinds.items():
        listed = ", ".join([*names[:shown], "…"] if len(names) > shown else names)
        said.append(f"{len(names)} {kind}{'s' if len(names) > 1 else ''} ({listed})")
    return " and ".join(said)


def engine_versions(manager: Manager) -> frozenset[str] | None:
    """The engine versions in the operator's own list; None where it has none."""
    supports = manager.operator.supports
    if supports is None:
        return None
    if supports.names is not None:
        matches = (supports.names.match(name) for name in manager.names())
        named = frozenset(match[1].replace("_", ".") for match in matches if match is not None)
        return named or None
    listed = manager.env(supports.list)
    if not listed:
        return None
    return frozenset(word.partition("=")[0] for word in listed.replace(",", " ").split() if "=" in word) or None
