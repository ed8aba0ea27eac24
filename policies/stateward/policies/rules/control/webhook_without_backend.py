"""SW713: a webhook that fails closed and has nobody to answer."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule
from stateward.policies.view import Sight
from stateward.policies.webhooks import BACKEND_LOOKS, WRITES, backend, closed, said


@rule(
    id="SW713",
    name="webhook-without-backend",
    summary="A webhook that fails closed names a Service that is absent, lacks the port or has no pods",
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
    told: set[tuple[tuple[str, str], int]] = set()
    for hook in closed(change):
        if hook.service is None or (hook.service, hook.port) in told:
            continue
        state = backend(hook.service, hook.port, see)
        if state == "up":
            continue
        told.add((hook.service, hook.port))
        namespace, name = hook.service
        yield Finding(
            field=(*hook.path, "clientConfig", "service", "name"),
            text=f'"{name}" {said(state, namespace, hook.port)}, and webhook {hook.name} fails closed',
            why="every request that it is asked about is refused until somebody answers there",
            remedy="wait until a pod is ready, or keep failurePolicy: Ignore until then"
            if state == "down"
            else "correct name and port, or create the Service first",
            subject=f"{namespace}/{name}:{hook.port if state == 'no port' else state}",
            weak=state == "down",
        )
