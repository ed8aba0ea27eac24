"""SW715: a webhook whose authority vouches for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies import times, x509
from stateward.policies.change import Change
from stateward.policies.facts import annotations_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule
from stateward.policies.view import Sight, mapping_of
from stateward.policies.webhooks import WRITES, closed

_INJECTED: Final = ("cert-manager.io/inject-", "service.beta.openshift.io/inject-cabundle", "certmanager.k8s.io/inject-")


@rule(
    id="SW715",
    name="webhook-ca-unusable",
    summary="A webhook that fails closed has a caBundle that is no certificate or has expired",
    why="The API server trusts the server behind a webhook by this bundle alone. With one that cannot be read or has "
    "expired no call succeeds, and every request that it is asked about is refused.",
    remedy="Put in the certificate of the authority that signs the server's, or let cert-manager inject it. The API server "
    "does not ask webhooks about their own configurations: this rule speaks in lint, audit and tests.",
    source="Kubernetes API, admissionregistration.k8s.io/v1 WebhookClientConfig; percona/percona-xtradb-cluster-operator "
    "issue 2548",
    nature="state",
    judges=WRITES,
)
def webhook_ca_unusable(change: Change, see: Sight) -> Iterator[Finding]:
    """Every certificate of a bundle must have expired. An empty one is filled in later; an injected one is replaced."""
    if any(key.startswith(_INJECTED) for key in annotations_of(change.new_object or {})):
        return
    told: set[str] = set()
    for hook in closed(change):
        text = mapping_of(hook.item, "clientConfig").get("caBundle")
        if not isinstance(text, str) or text in told:
            continue
        problem = _problem(text, see.now)
        if problem:
            told.add(text)
            yield Finding(
                field=(*hook.path, "clientConfig"),
                text=f"its caBundle {problem}, and webhook {hook.name} fails closed",
                why="the API server trusts nobody behind it, so every request that the webhook is asked about is refused",
                remedy="put in the authority of the server's certificate, base64 of PEM, or let cert-manager inject it",
                # The bundle itself, shortened: another bad one is another finding.
                subject=f"{hook.name}:{len(text)}:{text[-80:]}",
            )


def _problem(text: str, now: float) -> str:
    try:
        found = x509.bundle(text)
    except x509.NotACertificate as problem:
        return str(problem)
    if not found or any(one.begins - 300 <= now <= one.ends for one in found):
        return ""
    last = max(one.ends for one in found)
    return f"expired on {times.render(last)[:10]}" if last < now else "is not valid yet"
