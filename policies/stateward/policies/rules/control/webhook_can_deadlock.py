"""SW712: a webhook that its own pods, or the network under them, have to pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.paths import Path
from stateward.policies.rule import rule
from stateward.policies.rules.control.webhook_matches_everything import too_much
from stateward.policies.view import Sight, accuses, items_of, mapping_of
from stateward.policies.webhooks import NAMESPACE, WRITES, Hook, asked, asked_in, closed

_SYSTEM: Final = "kube-system"

# (group, resource, subresource, operations, whether it lies in a namespace): what a pod needs to come up again.
_NEEDED: Final = (
    ("", "pods", "", ("CREATE",), True),
    ("", "pods", "status", ("UPDATE",), True),
    ("", "pods", "binding", ("CREATE",), True),
    ("", "serviceaccounts", "token", ("CREATE",), True),
    ("", "endpoints", "", ("CREATE", "UPDATE"), True),
    ("discovery.k8s.io", "endpointslices", "", ("CREATE", "UPDATE"), True),
    ("coordination.k8s.io", "leases", "", ("CREATE", "UPDATE"), True),
    ("", "nodes", "", ("CREATE", "UPDATE"), False),
    ("", "nodes", "status", ("UPDATE",), False),
    ("authentication.k8s.io", "tokenreviews", "", ("CREATE",), False),
    ("authorization.k8s.io", "subjectaccessreviews", "", ("CREATE",), False),
)


@rule(
    id="SW712",
    name="webhook-can-deadlock",
    summary="A webhook that fails closed is asked about what its own pods need to start",
    why="After a node loss or a network fault its pods have to be created again, and so have those of the network and of "
    "DNS. All of them wait for the webhook, and the webhook waits for them.",
    remedy="Leave out kube-system, the network's namespaces and the webhook's own by a namespaceSelector on "
    "kubernetes.io/metadata.name, or let it fail open. The API server does not ask webhooks about their own "
    "configurations: this rule speaks in lint, audit and tests.",
    source="Kubernetes documentation, Admission webhook good practices: avoid deadlocks; cozystack/cozystack issue 3125",
    nature="state",
    judges=WRITES,
    looks_at=(accuses(NAMESPACE),),
)
def webhook_can_deadlock(change: Change, see: Sight) -> Iterator[Finding]:
    """Webhooks that are served from inside the cluster. One that leaves its own namespace out alone warns."""
    for hook in closed(change):
        if hook.service is None:
            continue
        found = _needed(hook)
        if found is None:
            continue
        what, path, namespaced = found
        own = hook.service[0]
        if namespaced:
            places = [place for place in dict.fromkeys((own, _SYSTEM)) if asked_in(hook, place, see)]
        else:
            places = ["every node"] if not _has_conditions(hook) else []
        if not places:
            continue
        yield Finding(
            field=path,
            text=f'"{what}" of {" and ".join(places)} wait for webhook {hook.name}, which fails closed',
            why="when its pods are gone they cannot come back: they, the network and DNS under them need what only the "
            "webhook can let pass",
            remedy=f"leave out {_SYSTEM}, the network's namespaces and {own} (namespaceSelector on "
            "kubernetes.io/metadata.name), or set failurePolicy: Ignore"
            if namespaced
            else f"leave {what} out, or set failurePolicy: Ignore",
            subject=f"{hook.name}:{what}",
            weak=namespaced and own not in places,
        )


def _needed(hook: Hook) -> tuple[str, Path, bool] | None:
    for one in asked(hook):
        if too_much(one):
            continue
        for group, resource, sub, operations, namespaced in _NEEDED:
            if one.names(group, resource, sub) and any(one.about(operation) for operation in operations):
                return f"{resource}/{sub}" if sub else resource, (*one.path, "resources"), namespaced
    return None


def _has_conditions(hook: Hook) -> bool:
    return bool(items_of(hook.item, "matchConditions") or mapping_of(hook.item, "objectSelector"))
