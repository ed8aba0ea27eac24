"""The configurations of an installed Stateward: one webhook that may hold writes up, one that never does.

A write that loses data must not slip through while no replica answers; everything else must not wait for one. So the
API server asks in two webhooks of one configuration, and each request in one of them alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from stateward.kube.client import path_of
from stateward.kube.conditions import match_conditions
from stateward.kube.registration import (
    API_VERSION,
    LABELS,
    WEBHOOK,
    FailurePolicy,
    Served,
    client_config,
    webhook,
    webhook_rules,
)
from stateward.kube.shaped import Plural
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.rule import Rule
from stateward.policies.view import Kind

NAME: Final = "stateward"
"""Of both configurations. One door a cluster: two would judge everything twice."""
GUARD: Final = "guard.stateward.dev"
"""The webhook that fails closed where it is asked to; `WEBHOOK` always fails open."""
COMPONENT: Final = "app.kubernetes.io/component"
INSTALLED: Final[Mapping[str, str]] = {**LABELS, COMPONENT: "door"}
"""The labels of both configurations: `kubectl get … -l app.kubernetes.io/managed-by=stateward` finds them."""
VALIDATING: Final = "ValidatingWebhookConfiguration"
MUTATING: Final = "MutatingWebhookConfiguration"
PATHS: Final[Mapping[str, str]] = {
    VALIDATING: path_of("apis", "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
    MUTATING: path_of("apis", "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"),
}
SYSTEM: Final = "kube-system"

_DELETED: Final = frozenset(
    {
        ("", "persistentvolumeclaims"),
        ("", "persistentvolumes"),
        ("", "namespaces"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
    }
)
"""What must not be deleted unseen."""
# A cluster starts by Deployments, its network and Stateward among them. Of StatefulSets a controller writes the status.
_OPEN: Final = frozenset({"Deployment.apps", "ReplicaSet.apps"})

ClientConfigFor = Callable[[str], dict[str, Any]]
"""Path (`/mutate`) → the clientConfig of a webhook that is answered there."""
Mutating = Callable[[ClientConfigFor], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Door:
    """Where the API server finds the door."""

    namespace: str
    service: str
    port: int = 443

    def client_for(self, path: str, bundle: bytes) -> dict[str, Any]:
        """The clientConfig of a webhook at `path`."""
        service = {"namespace": self.namespace, "name": self.service, "port": self.port, "path": path}
        return client_config(None, service, bundle)


def configurations(
    door: Door,
    bundle: bytes,
    rules: Iterable[Rule],
    adapters: Mapping[Kind, Adapter],
    *,
    failure_policy: FailurePolicy = "Ignore",
    served: Served = lambda _: None,
    shaped: Iterable[Plural] = (),
    mutating: Mutating | None = None,
) -> dict[str, dict[str, Any]]:
    """Kind → configuration. `failure_policy` is that of `GUARD`; a mutating one only where there are webhooks for it.

    Kinds of the user's own rules that the cluster does not serve are left out until it does (`missing` names them).
    """

    def client_for(path: str) -> dict[str, Any]:
        return door.client_for(path, bundle)

    rules = tuple(_askable(rules, adapters, served))
    validating = guarded(rules, adapters, served, shaped, failure_policy, client_for("/validate"), (SYSTEM, door.namespace))
    found = {VALIDATING: _configuration(VALIDATING, validating)}
    defaults = mutating(client_for) if mutating is not None else []
    if defaults:
        found[MUTATING] = _configuration(MUTATING, defaults)
    return found


def guarded(
    rules: tuple[Rule, ...],
    adapters: Mapping[Kind, Adapter],
    served: Served,
    shaped: Iterable[Plural],
    failure_policy: FailurePolicy,
    client: Mapping[str, Any],
    namespaces: Iterable[str],
) -> list[dict[str, Any]]:
    """The two webhooks. Nothing of `namespaces` is asked: a cluster starts from there."""
    closed, open_ = split(webhook_rules(rules, adapters, served, shaped), adapters)
    return [
        webhook(name, client, entries, match_conditions(rules, asked_about(entries), namespaces), failure_policy=policy)
        for name, entries, policy in ((GUARD, closed, failure_policy), (WEBHOOK, open_, "Ignore"))
        if entries
    ]


def split(
    entries: Iterable[Mapping[str, Any]], adapters: Mapping[Kind, Adapter]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """`rules` of a webhook, parted: what may wait for an answer, and the rest."""
    services = {(adapter.group, adapter.resource) for kind, adapter in adapters.items() if kind not in _OPEN}
    parts: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for entry in entries:
        group = entry["apiGroups"][0]
        wanted: dict[tuple[int, tuple[str, ...]], list[str]] = {}
        for resource in entry["resources"]:
            name = (group, resource.partition("/")[0])
            for part, operations in enumerate(_parted(name, entry["operations"], services)):
                if operations:
                    wanted.setdefault((part, operations), []).append(resource)
        for (part, operations), resources in wanted.items():
            parts[part].append({**entry, "operations": list(operations), "resources": resources})
    return parts


def _parted(
    name: tuple[str, str], operations: list[str], services: set[tuple[str, str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if name in services:
        return tuple(operations), ()
    closed = {"DELETE"} if name in _DELETED else set()
    return tuple(one for one in operations if one in closed), tuple(one for one in operations if one not in closed)


def asked_about(entries: Iterable[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """`group/plural` → operations, of a webhook's `rules`."""
    found: dict[str, frozenset[str]] = {}
    for entry in entries:
        for resource in entry["resources"]:
            key = f"{entry['apiGroups'][0]}/{resource.partition('/')[0]}"
            found[key] = found.get(key, frozenset()) | frozenset(entry["operations"])
    return found


def missing(rules: Iterable[Rule], adapters: Mapping[Kind, Adapter], served: Served) -> dict[str, tuple[Kind, ...]]:
    """Rule → the kinds that a user's own rule names and the cluster does not serve."""
    found = {}
    for rule in rules:
        left = tuple(kind for kind in rule.judges.kinds if rule.own and not _known(rule, kind, adapters, served))
        if left:
            found[rule.id] = left
    return found


def _askable(rules: Iterable[Rule], adapters: Mapping[Kind, Adapter], served: Served) -> Iterable[Rule]:
    rules = tuple(rules)
    lacking = missing(rules, adapters, served)
    for rule in rules:
        if rule.id in lacking:
            kinds = tuple(kind for kind in rule.judges.kinds if kind not in lacking[rule.id])
            yield replace(rule, judges=replace(rule.judges, kinds=kinds))
        else:
            yield rule


def _known(rule: Rule, kind: Kind, adapters: Mapping[Kind, Adapter], served: Served) -> bool:
    try:
        webhook_rules([replace(rule, judges=replace(rule.judges, kinds=(kind,), services=False))], adapters, served)
    except ValueError:
        return False
    return True


def _configuration(kind: str, webhooks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": NAME, "labels": dict(INSTALLED)},
        # Said although empty, as the API server does: whoever adds a selector narrows the door.
        "webhooks": [{"namespaceSelector": {}, "objectSelector": {}, **one} for one in webhooks],
    }
