"""Who asks for defaults: the policy, the namespace's label, the object's annotation, the kind itself.

    kubectl label namespace prod stateward.dev/defaults=on

    spec:                                        # of a WardPolicy
      mutate:
        all: {match: {namespaces: [prod-*]}}     # every default there
        SW001: "on"                              # this one everywhere
        members-apart: "off"                     # that one nowhere

Whoever says off is obeyed; else whoever says on. Of one policy what names a mutation goes before `all`, and what matches
something before what holds everywhere. Nobody asks: native objects are left alone, our own kinds have their defaults.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stateward.policies import match
from stateward.policies.fields import PolicyError, known
from stateward.policies.match import Match
from stateward.policies.mutation import OWN_GROUP, Mutation
from stateward.policies.request import Request
from stateward.policies.structs import dataclass, field
from stateward.policies.view import UNKNOWN, Object, View, items_of, mapping_of, metadata_of

LABEL: Final = "stateward.dev/defaults"
"""Of a namespace the label that asks (`on`) or forbids (`off`), of an object the annotation that forbids."""
ALL: Final = "all"


@dataclass(frozen=True, slots=True)
class Row:
    """What a policy says of one mutation, or of all."""

    fill: bool
    match: Match = field(default_factory=Match)


Rows = Mapping[str, tuple[Row, ...]]
"""Mutation's id, or `all` → what is said of it, what matches something first."""


def read(content: Any, mutations: Iterable[Mutation]) -> Rows:
    """`spec.mutate` of a policy. Raises PolicyError."""
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise PolicyError("spec.mutate: a mapping from mutation (or all) to on, off or a match is wanted")
    names = {ALL: ALL} | {name: one.id for one in mutations for name in (one.id, one.name)}
    found: dict[str, list[Row]] = {}
    for name, rows in content.items():
        if name not in names:
            raise PolicyError(f'spec.mutate: "{name}" is no mutation; write all, or one that `stateward rules` lists')
        for row in rows if isinstance(rows, list) else [rows]:
            found.setdefault(names[name], []).append(_row(row, f"spec.mutate.{name}"))
    return {name: tuple(sorted(rows, key=lambda row: row.match.everything)) for name, rows in found.items()}


def _row(row: Any, where: str) -> Row:
    if not isinstance(row, Mapping):
        return Row(_switch(row, where))
    known(row, where, ("fill", "match"))
    return Row(_switch(row.get("fill", True), f"{where}.fill"), match.read(row.get("match"), f"{where}.match"))


def _switch(value: Any, where: str) -> bool:
    # YAML 1.1 reads a bare on and off as booleans.
    if value is True or value == "on":
        return True
    if value is False or value == "off":
        return False
    raise PolicyError(f'{where}: {value!r} is neither on nor off; write "on", "off" or a mapping with match')


def asks(rows: Rows) -> bool:
    """Whether a policy asks for anything, anywhere."""
    return any(row.fill for each in rows.values() for row in each)


def forbidden(rows: Rows, mutation: Mutation) -> bool:
    """Whether a policy forbids a mutation everywhere."""
    said = (*rows.get(mutation.id, ()), *rows.get(ALL, ()))
    for row in said:
        if row.fill:
            return False
        if row.match.everything:
            return True
    return False


def owned(item: Object) -> bool:
    """Whether a controller owns it, which knows what it wants; Helm and Argo CD own nothing in this sense."""
    return any(reference.get("controller") is True for reference in items_of(dict(metadata_of(item)), "ownerReferences"))


class Asked:
    """What is asked for one object that is created."""

    def __init__(self, request: Request, view: View, rows: Rows) -> None:
        self._rows = rows
        self._namespace = request.namespace
        self._item = request.object or {}
        self.problem = ""
        """What is wrong with a label or an annotation."""
        mine = mapping_of(metadata_of(self._item), "annotations").get(LABEL)
        if mine not in (None, "off"):
            self.problem = f'annotation {LABEL}: only "off" means something on an object; a namespace\'s label asks'
        namespace = view.get("Namespace", "", request.namespace)
        label: Any
        if namespace is None or namespace is UNKNOWN:
            # Younger than what is seen. Where no policy asks, the API server calls for none but namespaces that do.
            label = None if asks(rows) else "on"
        else:
            label = mapping_of(metadata_of(namespace), "labels").get(LABEL)
        if label not in (None, "on", "off"):
            self.problem = f"namespace {request.namespace}: label {LABEL} is neither on nor off; nothing follows from it"
        self._off = mine == "off" or label == "off"
        self._on = label == "on" or request.kind.endswith(OWN_GROUP)

    def for_(self, mutation: Mutation) -> bool:
        """Whether this mutation is to fill in."""
        if self._off:
            return False
        for row in (*self._rows.get(mutation.id, ()), *self._rows.get(ALL, ())):
            if row.match.holds(self._namespace, self._item):
                return row.fill
        return self._on
