"""SW601: a Secret that a live service lives by is deleted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stateward.policies import bearing
from stateward.policies.change import Change
from stateward.policies.facts import annotations_of
from stateward.policies.finding import Finding
from stateward.policies.model import SecretRef, Service
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import objects, rule
from stateward.policies.secrets import by_its_operator
from stateward.policies.view import Sight, excuses
from stateward.policies.waiver import CONFIRM_DELETE

_MAKERS: Final = (
    "ExternalSecret.external-secrets.io",
    "SealedSecret.bitnami.com",
    "VaultStaticSecret.secrets.hashicorp.com",
)
"""Kinds whose objects make a Secret, of their own name by default."""
_HARM: Final = {
    "ca": "members, operator and clients lose the authority that they trust each other by",
    "certificate": "the next pod that starts has no certificate to serve with",
    "key": "without the key what is encrypted on the disks cannot be read again",
    "cluster": "members know each other by it: the next one that starts is a stranger to the rest",
    "backup": "backups stop, and those that exist cannot be read",
    "credentials": "the next pod does not start without it, and an operator that makes a new one is refused by the old data",
}
_HARM_ANEW: Final = {
    "ca": "the operator makes another authority: members and clients that trust the old one are cut off until they have it",
    "certificate": "the operator makes another one; until then a pod that starts has none to serve with",
    "credentials": "the operator makes another one and sets it in the engine: clients that hold the old one are locked out",
}
"""Of a Secret that the operator makes anew as soon as it is missing."""


@rule(
    id="SW601",
    name="secret-deleted",
    summary="A Secret that a live service lives by is deleted",
    why="The disks, the other members and the operator still hold what was in it. A new one with other values is refused "
    "by all of them, and the old values are nowhere else.",
    remedy="Keep it while the service lives. If it is no longer used, take the reference out of the service first.",
    source="operators' documentation: Secrets are read at every start and reconcile; Kubernetes: a pod whose Secret is "
    "missing does not start",
    nature="transition",
    judges=objects("Secret", on=("DELETE",)),
    looks_at=tuple(excuses(kind, "metadata") for kind in _MAKERS),
)
def secret_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """Of services with members and volumes. The operator may delete what it made; a confirmed deletion passes.

    Where an object of the same name makes the Secret (an ExternalSecret), it comes back: it only warns.
    """
    service, secret = change.service, change.request.old
    if service is None or secret is None or change.via != "secret" or not _holds_data(service) or by_its_operator(change):
        return
    name = change.request.name
    used = bearing.secret_of(service, name)
    if used is None or annotations_of(secret).get(CONFIRM_DELETE) == name:
        return
    reference = used[0]
    yield Finding(
        field=(),
        text=f"deletes the Secret that {service.title} lives by",
        why=(_HARM_ANEW if _made_anew(reference) else _HARM).get(reference.role, _HARM[reference.role]),
        remedy="keep it; if nothing needs it any more, confirm in an edit of its own: "
        f"kubectl annotate {kubectl_name(secret)} {CONFIRM_DELETE}={name}, then delete again",
        subject=service.title,
        weak=service.engine is None or any(see.get(kind, change.request.namespace, name) for kind in _MAKERS),
    )


def _holds_data(service: Service) -> bool:
    """Whether it has members and volumes, also while it hibernates: what was set with the Secret is on its disks."""
    return service.members != 0 and any(group.volumes for group in service.groups)


def _made_anew(reference: SecretRef) -> bool:
    """Whether its operator makes a missing one, and what runs takes it: certificates, and values that it carries over."""
    return reference.made == "operator" and (reference.applied or reference.role in ("ca", "certificate"))
