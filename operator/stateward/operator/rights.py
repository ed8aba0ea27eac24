"""What an installed operator may do: what its code does, and what engines' own pods may do, for it gives them that.

Server-side apply is `patch`, and `create` where the object is not there yet. Whoever writes a Role has to hold what it
grants (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#privilege-escalation-prevention-and-bootstrapping).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from stateward.kube.definition import GROUP
from stateward.kube.rights import Rights, right
from stateward.operator.operate import LEASE

_KEPT: Final = ("get", "list", "watch", "create", "patch")
"""Of what is made, looked after, and goes with its owner."""
_GOES: Final = (*_KEPT, "delete")
_RBAC: Final = "rbac.authorization.k8s.io"


def of_services(engines: Iterable[Iterable[Mapping[str, Any]]]) -> Rights:
    """In the namespaces of services. `engines`: the `run.rights` of each engine's folder."""
    own = [
        # Passwords and keys: made, read again, let go. Of all others the metadata alone is heard of, by label.
        right("", ["secrets"], *_GOES),
        right("", ["configmaps", "persistentvolumeclaims"], *_GOES),
        right("", ["pods"], "get", "list", "watch", "patch", "delete"),
        right("", ["pods/eviction"], "create"),
        # What an engine is told by its own program in a member's container: passwords of PostgreSQL. WebSockets ask for
        # `get`, and since 1.35 for `create` too.
        right("", ["pods/exec"], "create", "get"),
        # Of members that have left.
        right("", ["services"], *_GOES),
        right("", ["serviceaccounts"], *_KEPT),
        right("", ["events"], "create", "patch"),
        right("apps", ["statefulsets"], *_GOES),
        right("batch", ["jobs"], "get", "list", "watch", "create", "delete"),
        right("networking.k8s.io", ["networkpolicies"], *_KEPT),
        right("policy", ["poddisruptionbudgets"], *_KEPT),
        right(_RBAC, ["rolebindings", "roles"], *_KEPT),
        right(GROUP, ["servicebackups", "servicerestores", "statefulservices"], *_GOES),
        right(GROUP, ["servicebackups/status", "servicerestores/status", "statefulservices/status"], "patch"),
        # Owner references that block a deletion want it, where the API server checks that they may.
        right(GROUP, ["servicebackups/finalizers", "servicerestores/finalizers", "statefulservices/finalizers"], "update"),
        # What rules look at when a change is judged inside; not to know it is no reason to refuse.
        right(GROUP, ["wardwaivers"], "list"),
        right("snapshot.storage.k8s.io", ["volumesnapshots"], "get", "list", "create", "patch", "delete"),
    ]
    return [*own, *_granted(engines, own)]


def of_cluster() -> Rights:
    """Of what has no namespace: which nodes are gone, where volumes are, by which policy is judged."""
    return [
        right("", ["nodes", "persistentvolumes"], "get", "list", "watch"),
        right("", ["namespaces"], "get"),
        right("storage.k8s.io", ["storageclasses"], "get", "list", "watch"),
        right("snapshot.storage.k8s.io", ["volumesnapshotclasses"], "get"),
        right(GROUP, ["wardpolicies"], "get"),
    ]


def of_namespace() -> Rights:
    """In its own namespace."""
    return [
        right("coordination.k8s.io", ["leases"], "create"),
        right("coordination.k8s.io", ["leases"], "get", "update", names=[LEASE]),
    ]


def _granted(engines: Iterable[Iterable[Mapping[str, Any]]], own: Rights) -> Rights:
    """What engines are given and the operator does not hold anyway. Their names differ by service: it holds them all."""
    found: dict[tuple[str, str], set[str]] = {}
    for rule in (rule for rights in engines for rule in rights):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    held = {(group, one): set(rule["verbs"]) for rule in own for group in rule["apiGroups"] for one in rule["resources"]}
    return [
        right(group, [resource], *sorted(lacking))
        for (group, resource), verbs in sorted(found.items())
        if (lacking := verbs - held.get((group, resource), set()))
    ]
