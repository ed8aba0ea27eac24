"""SW713: a webhook that fails closed and has nobody to answer."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule
from stateward.policies.view import Sight
from stateward.policies.webhooks import BACKEND_LOOKS, WRITES, backend, closed


@rule(
    id="SW713",
    name="webhook-without-backend",
    summary="A webhook that fails closed names a Service that is absent or has nobody behind it",
    why="Every request that it is asked about is refused until somebody answers there.",
    remedy="Create the Service and wait for its pods first, or register it with failurePolicy: Ignore until they are "
    "ready. The API server does not ask webhooks about their own configurations: this rule speaks in lint, audit and tests.",
    source="Kubernetes documentation, Dynamic Admission Control: failure policy; bitnami/charts issue 15324",
    nature="state",
    judges=WRITES,
    looks_at=BACKEND_LOOKS,
)
def webhook_without_backend(change: Change, see: Sight) -> Iterator[Finding]:
    """An absent Service is refused; one whose pods are not ready may have them in a minute, and warns."""
    told: set[tuple[str, str]] = set()
    for hook in closed(change):
        if hook.service is None or hook.service in told:
            continue
        state = backend(hook.service, see)
        if state == "up":
            continue
        told.add(hook.service)
        namespace, name = hook.service
        yield Finding(
            field=(*hook.path, "clientConfig", "service", "name"),
            text=f'"{name}" '
            + (f"is no Service of {namespace}" if state == "absent" else f"in {namespace} has no pod that is ready")
            + f", and webhook {hook.name} fails closed",
            why="every request that it is asked about is refused until somebody answers there",
            remedy="correct the name, or create the Service first"
            if state == "absent"
            else "wait until a pod is ready, or keep failurePolicy: Ignore until then",
            subject=f"{namespace}/{name}",
            weak=state == "down",
        )
