"""SW702: a namespace with the server of a registered webhook is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Sight, accuses, items_of, mapping_of, text_of

_KINDS = (
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
)


@rule(
    id="SW702",
    name="webhook-backend-deleted",
    summary="A namespace is deleted that holds the server of a registered webhook",
    why="Once the server is gone, every request that a webhook with failurePolicy Fail is asked about fails, deletions of "
    "what is left in the namespace included: it hangs in Terminating.",
    remedy="Delete the webhook configuration first, then the namespace.",
    source="Kubernetes documentation, Admission webhook good practices",
    nature="transition",
    action="warn",
    judges=objects("Namespace", on=("DELETE",)),
    looks_at=tuple(accuses(kind, "webhooks") for kind in _KINDS),
)
def webhook_backend_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Configurations whose clientConfig.service lies in the namespace and that fail closed."""
    namespace = change.request.old
    if namespace is None:
        return
    name = name_of(namespace)
    for kind in _KINDS:
        found = see.select(kind)
        for configuration in found if found is not UNKNOWN else ():
            for webhook in items_of(configuration, "webhooks"):
                service = mapping_of(mapping_of(webhook, "clientConfig"), "service")
                if text_of(service, "namespace") == name and webhook.get("failurePolicy", "Fail") == "Fail":
                    yield Finding(
                        field=(),
                        text=f"it holds the server of webhook {text_of(webhook, 'name')} "
                        f"({kind.partition('.')[0]} {name_of(configuration)}), which fails closed",
                        why="without its server every request that it is asked about is refused; the namespace may hang "
                        "in Terminating",
                        remedy=f"first: kubectl delete {kind.partition('.')[0].lower()} {name_of(configuration)}",
                        subject=name_of(configuration),
                    )
                    return
