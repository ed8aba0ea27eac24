"""What an installed Stateward may do in its cluster: generated from what rules and adapters look at, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stateward.kube import converting, record
from stateward.kube.declared import needed
from stateward.kube.definition import GROUP
from stateward.kube.installed import NAME
from stateward.kube.registration import plural_of, resource_of
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.rule import Rule
from stateward.policies.view import Kind

SECRET: Final = "stateward-certs"  # noqa: S105 - its name
READER: Final = "stateward-reader"
"""The account whose token `stateward why` and `status` show."""
AGGREGATE: Final = "stateward.dev/aggregate-to-view"
"""Label of a ClusterRole whose rules Stateward gets too: for kinds of one's own."""

_ADMISSION: Final = "admissionregistration.k8s.io"
_CONFIGURATIONS: Final = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"]
_READ: Final = ("list", "watch")
# Kinds whose resource is called otherwise than the kind (the CRDs of their makers).
_CALLED: Final[Mapping[Kind, str]] = {"MongoDBOpsManager.mongodb.com": "opsmanagers"}

Rights = list[dict[str, Any]]
"""The `rules` of a Role or ClusterRole."""


def of_cluster(rules: Iterable[Rule], adapters: Mapping[Kind, Adapter]) -> Rights:
    """In the whole cluster."""
    return [
        *_seen(needed(rules, adapters), adapters),
        right(GROUP, ["wardpolicies"], *_READ),
        right(GROUP, ["wardpolicies/status"], "patch"),
        # Whoever may create may not be held to a name: RBAC knows none before there is an object.
        right(_ADMISSION, _CONFIGURATIONS, "create"),
        right(_ADMISSION, _CONFIGURATIONS, "get", "update", "delete", names=[NAME]),
        right("apiextensions.k8s.io", ["customresourcedefinitions"], "get", "patch", names=[*converting.NAMES]),
        right("rbac.authorization.k8s.io", ["clusterroles"], "get", names=[NAME]),
        right("", ["events"], "create", "patch"),
        right("authentication.k8s.io", ["tokenreviews"], "create"),
        right("authorization.k8s.io", ["subjectaccessreviews"], "create"),
    ]


def of_namespace() -> Rights:
    """In its own namespace."""
    return [
        right("", ["configmaps"], "create"),
        right("", ["configmaps"], "get", "patch", names=[record.NAME]),
        right("", ["secrets"], "create"),
        right("", ["secrets"], "get", "update", names=[SECRET]),
        right("coordination.k8s.io", ["leases"], "create"),
        right("coordination.k8s.io", ["leases"], "get", "update", names=[NAME]),
    ]


def of_reader() -> Rights:
    """Of the account that asks the policy API and the metrics."""
    return [
        {"nonResourceURLs": ["/v1/*"], "verbs": ["get", "post"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get"]},
    ]


def _seen(kinds: Iterable[Kind], adapters: Mapping[Kind, Adapter]) -> Rights:
    groups: dict[str, set[str]] = {}
    for kind in kinds:
        known = resource_of(kind, adapters)
        group = kind.partition(".")[2] if known is None else known[0]
        groups.setdefault(group, set()).add(known[1] if known is not None else _CALLED.get(kind) or plural_of(kind))
    return [right(group, sorted(plurals), *_READ) for group, plurals in sorted(groups.items())]


def right(group: str, resources: list[str], *verbs: str, names: list[str] | None = None) -> dict[str, Any]:
    """A rule of a Role: what may be done with these resources of a group, or with those of these names alone."""
    found: dict[str, Any] = {"apiGroups": [group], "resources": resources}
    if names:
        found["resourceNames"] = names
    return {**found, "verbs": list(verbs)}
