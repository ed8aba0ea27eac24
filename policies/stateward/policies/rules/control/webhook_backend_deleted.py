"""SW702: what serves a registered webhook is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import being_deleted, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, mapping_of, metadata_of, text_of
from stateward.policies.webhooks import REGISTERED, SERVER_LOOKS, SERVERS, SERVICE, registered, replicas, serves


@rule(
    id="SW702",
    name="webhook-backend-deleted",
    summary="A namespace, Service or workload is deleted that serves a registered webhook",
    why="Once the server is gone, every request that a webhook with failurePolicy Fail is asked about fails, deletions of "
    "what is left in its namespace included: it hangs in Terminating.",
    remedy="Delete the webhook configuration first, then what serves it.",
    source="Kubernetes documentation, Admission webhook good practices; netbirdio/kubernetes-operator issue 46",
    nature="transition",
    action="warn",
    judges=objects("Namespace", SERVICE, *SERVERS, on=("DELETE",)),
    looks_at=(*REGISTERED, *SERVER_LOOKS),
)
def webhook_backend_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Configurations that fail closed and are served from there, and from nowhere else."""
    gone = change.request.old
    if gone is None:
        return
    kind = change.request.kind
    namespace = name_of(gone) if kind == "Namespace" else text_of(metadata_of(gone), "namespace")
    for where, hook in registered(see):
        if hook.service is None or hook.service[0] != namespace:
            continue
        if kind == SERVICE and hook.service[1] != name_of(gone):
            continue
        if kind in SERVERS and not last_server(gone, hook.service, see):
            continue
        yield Finding(
            field=(),
            text=f"webhook {hook.name} fails closed, and its server is {'in here' if kind == 'Namespace' else 'this'} "
            f"({where})",
            why="without its server every request that it is asked about is refused"
            + ("; the namespace may hang in Terminating" if kind == "Namespace" else ", deletions among them"),
            remedy=f"first: kubectl delete {where.replace('/', ' ', 1)}",
            subject=where,
        )
        return


def last_server(workload: Object, service: tuple[str, str], see: Sight) -> bool:
    """Whether a workload is all that runs behind a Service."""
    namespace, name = service
    found = see.get(SERVICE, namespace, name)
    if found is UNKNOWN or found is None:
        return False
    selector = mapping_of(mapping_of(found, "spec"), "selector")
    if not serves(workload, selector):
        return False
    for kind in SERVERS:
        others = see.select(kind, namespace)
        for other in others if others is not UNKNOWN else ():
            same = other.get("kind") == workload.get("kind") and name_of(other) == name_of(workload)
            if not same and not being_deleted(other) and replicas(other) and serves(other, selector):
                return False
    return True
