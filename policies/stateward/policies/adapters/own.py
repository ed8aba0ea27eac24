"""The user's own adapters: `spec.adapters` of a policy, checked when the policy is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from stateward.policies.adapters import schema
from stateward.policies.adapters.adapter import Adapter, groups_of
from stateward.policies.adapters.catalogue import BUILT_IN
from stateward.policies.adapters.grammar import GrammarError
from stateward.policies.adapters.schema import Mistake
from stateward.policies.fields import PolicyError
from stateward.policies.operations import OPERATIONS
from stateward.policies.paths import Path, render
from stateward.policies.rule import SCALE
from stateward.policies.view import Kind, excuses

WHERE: Final[Path] = ("spec", "adapters")
_TAKEN: Final[frozenset[Kind]] = frozenset(
    (
        *("Namespace", "Secret", "ConfigMap", "Pod", "PersistentVolumeClaim", "PersistentVolume", "Node", SCALE),
        *("Eviction.policy", "PodDisruptionBudget.policy", "StorageClass.storage.k8s.io"),
        *("CustomResourceDefinition.apiextensions.k8s.io", "WardPolicy.stateward.dev", "WardWaiver.stateward.dev"),
        *OPERATIONS,
    )
)
"""Kinds that are judged as what they are."""


class AdapterError(PolicyError):
    """Adapters that cannot be used: every mistake, each with its place in the policy."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("; ".join(f"{render(one.path)}: {one.text}" for one in mistakes))


def read(content: Any) -> dict[Kind, Adapter]:
    """The adapters of `spec.adapters`, by kind. Raises AdapterError with everything that is wrong."""
    if content is None:
        return {}
    if not isinstance(content, list):
        raise AdapterError([Mistake(WHERE, f"a list of adapters is wanted, not {schema.named(content)}")])
    found: dict[Kind, Adapter] = {}
    mistakes: list[Mistake] = []
    for index, row in enumerate(content):
        here: Path = (*WHERE, index)
        wrong = [Mistake((*here, *one.path), one.text) for one in schema.mistakes(row)]
        try:
            adapters = [] if wrong else compiled(row, f"spec.adapters[{index}]")
        except GrammarError as error:
            wrong, adapters = [Mistake(here, str(error).removeprefix(f"spec.adapters[{index}]: "))], []
        wrong += [Mistake((*here, *one.path), one.text) for one in _clashes(adapters, found)]
        found.update({adapter.kind: adapter for adapter in adapters})
        mistakes += wrong
    if not mistakes:
        mistakes = _joins(content, found)
    if mistakes:
        raise AdapterError(mistakes)
    return found


def compiled(row: Mapping[str, Any], source: str) -> list[Adapter]:
    """The adapters of one file that `schema` has nothing against: one for each group. Raises GrammarError."""
    adapters = [Adapter(source, row, group) for group in groups_of(row["match"], source)]
    for adapter in adapters:
        # Reflectors read, and rules may ask for, what records its backups.
        records = (form.kind for form in adapter.backups if not form.in_status and form.kind != adapter.kind)
        adapter.looks_at += tuple(excuses(kind, "spec", "status") for kind in dict.fromkeys(records))
    return adapters


def _clashes(adapters: Sequence[Adapter], before: Mapping[Kind, Adapter]) -> Iterable[Mistake]:
    for adapter in adapters:
        if adapter.kind in _TAKEN:
            yield Mistake(("match",), f"{adapter.kind} is judged as what it is, it can be no service")
        if adapter.kind in before:
            yield Mistake(("match",), f"{adapter.kind} has an adapter already, {before[adapter.kind].source}; remove one")
        names = {**BUILT_IN.names, **{other.name: other.kind for other in before.values()}}
        taken = names.get(adapter.name, adapter.kind)
        if taken not in {one.kind for one in adapters}:
            yield Mistake(("adapter",), f'"{adapter.name}" is the adapter of {taken}; choose another name')


def _joins(content: list[Any], found: Mapping[Kind, Adapter]) -> list[Mistake]:
    """What adapters say of each other: a hub that there is, a join that the group names."""
    wrong = []
    for index, row in enumerate(content):
        here: Path = (*WHERE, index)
        hub = row.get("joins")
        if hub is not None and hub["kind"] not in found and hub["kind"] not in BUILT_IN:
            wrong.append(Mistake((*here, "joins", "kind"), f"{hub['kind']} has no adapter; write one beside this"))
        for place, group in enumerate(row.get("groups") or ()):
            if "join" in group and group["join"] not in (row.get("join") or {}):
                wrong.append(
                    Mistake((*here, "groups", place, "join"), f'"{group["join"]}" is none of join; name the kind there')
                )
    return wrong
