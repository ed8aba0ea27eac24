"""Which kinds are read from the cluster, and what of them: from what rules and adapters declare, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from stateward.kube.trim import normalised
from stateward.policies import waiver
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.mutation import Mutation
from stateward.policies.rule import Rule
from stateward.policies.view import Kind, Look
from stateward.policies.webhooks import CONFIGURATIONS

CRD: Final = "CustomResourceDefinition.apiextensions.k8s.io"

CORE: Final = frozenset(
    {
        CRD,
        "Namespace",
        "Node",
        "PersistentVolume",
        "PersistentVolumeClaim",
        "Pod",
        "StatefulSet.apps",
        "StorageClass.storage.k8s.io",
    }
)
"""The kinds of every cluster that most rules look at: a door without one of them judges little."""

Needed = dict[Kind, frozenset[str] | None]
"""Kind → the fields that are kept beside metadata (none: metadata alone); None: the whole object."""

_OWN: Final[Mapping[Kind, tuple[str, ...]]] = {
    # The engine asks whether a namespace is disposable or terminating, whatever the rule.
    "Namespace": (),
    # The engine reads waivers that are objects of their own.
    waiver.KIND: ("spec",),
    # The watcher asks which kinds there are. Schemas are most of a CRD and are left out.
    CRD: (
        "spec.group",
        "spec.names.kind",
        "spec.names.plural",
        "spec.scope",
        "spec.versions.name",
        "spec.versions.served",
        "spec.versions.storage",
        "status.conditions.type",
        "status.conditions.status",
    ),
}


def needed(rules: Iterable[Rule | Mutation], adapters: Mapping[Kind, Adapter]) -> Needed:
    """The kinds that reflectors must read. Kinds with an adapter are kept whole: they are resolved into services."""
    # Rules on configurations of webhooks are never asked by an API server: what they look at is not kept for them.
    asked = [rule for rule in rules if rule.judges.services or not set(rule.judges.kinds) <= set(CONFIGURATIONS)]
    looks: list[Look] = [look for rule in asked for look in rule.looks_at.values()]
    looks += [look for adapter in adapters.values() for look in adapter.looks_at]
    fields: dict[Kind, set[str]] = {kind: set(own) for kind, own in _OWN.items()}
    for look in looks:
        fields.setdefault(look.kind, set()).update(look.fields)
    found: Needed = {kind: normalised(kind, prefixes) for kind, prefixes in fields.items()}
    for kind, adapter in adapters.items():
        if adapter.cached:
            found[kind] = None
        elif kind in found:
            found[kind] = frozenset()  # thousands of them: that they are there is enough
    return dict(sorted(found.items()))
