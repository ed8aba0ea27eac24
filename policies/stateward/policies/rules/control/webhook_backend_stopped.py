"""SW716: what serves a registered webhook is scaled to nothing."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import SCALE, Judges, rule
from stateward.policies.rules.control.webhook_backend_deleted import last_server
from stateward.policies.view import UNKNOWN, Object, Sight, mapping_of, metadata_of, text_of
from stateward.policies.webhooks import REGISTERED, SERVER_LOOKS, SERVERS, registered, replicas


@rule(
    id="SW716",
    name="webhook-backend-stopped",
    summary="The workload behind a registered webhook is scaled to none",
    why="While it is away every request that a webhook with failurePolicy Fail is asked about is refused: nobody can "
    "change, scale or repair those resources, least of all in the outage that made somebody stop it.",
    remedy="Set the webhook to failurePolicy Ignore, or delete its configuration, first.",
    source="Kubernetes documentation, Admission webhook good practices; elastic/cloud-on-k8s issue 2100",
    nature="transition",
    action="warn",
    judges=Judges(frozenset(("UPDATE",)), kinds=(*SERVERS, SCALE), subresources=frozenset(("", "scale"))),
    about=("members",),
    looks_at=(*REGISTERED, *SERVER_LOOKS),
)
def webhook_backend_stopped(change: Change, see: Sight) -> Iterator[Finding]:
    """From some replicas to none, by an edit or a scale."""
    workload = stopped_by(change, see)
    if workload is None:
        return
    namespace = text_of(metadata_of(workload), "namespace")
    for where, hook in registered(see):
        if hook.service is None or hook.service[0] != namespace or not last_server(workload, hook.service, see):
            continue
        yield Finding(
            field=("spec", "replicas"),
            text=f"0 replicas leave nobody to answer for webhook {hook.name}, which fails closed ({where})",
            why="every request that it is asked about is refused until one is back",
            remedy=f"first set failurePolicy: Ignore in {where}, or delete it",
            subject=where,
        )
        return


def stopped_by(change: Change, see: Sight) -> Object | None:
    """The workload that an edit or a scale takes from some replicas to none. Needs a look at SERVERS."""
    request = change.request
    if request.subresource != "scale":
        new, old = change.new_object, change.old_object
        return new if new is not None and old is not None and replicas(old) and not replicas(new) else None
    # A Scale without replicas means none.
    before, after = (mapping_of(item or {}, "spec").get("replicas", 0) for item in (request.old, request.object))
    if after or not before:
        return None
    for kind in SERVERS:
        if request.resource in ("", f"{kind.partition('.')[0].lower()}s"):
            found = see.get(kind, request.namespace, request.name)
            if found is not UNKNOWN and found is not None:
                return found
    return None
