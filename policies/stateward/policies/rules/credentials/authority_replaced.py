"""SW603: the authority of a live service is replaced at once."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import bearing
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.secrets import by_its_operator, contents, live
from stateward.policies.view import Sight


@rule(
    id="SW603",
    name="authority-replaced",
    summary="The certificate authority of a live service is replaced without overlap",
    why="Every member still shows a certificate of the old authority. Whoever trusts the new one alone, first of all the "
    "operator, can talk to none of them.",
    remedy="Pause the operator, keep the old certificate in the bundle beside the new one, raise its generation, resume, "
    "and remove the old one when all members have rolled.",
    source="Strimzi documentation, replacing a CA certificate; the same holds for every mutual TLS",
    nature="transition",
    judges=objects("Secret", on=("UPDATE",)),
)
def authority_replaced(change: Change, see: Sight) -> Iterator[Finding]:
    """Certificates and keys of an authority. With the operator paused and the old certificate kept it passes."""
    service = change.service
    if service is None or change.via != "secret" or not live(service) or by_its_operator(change):
        return
    used = bearing.secret_of(service, change.request.name)
    if used is None or used[0].role != "ca":
        return
    before, after = contents(change.request.old), contents(change.request.object)
    gone = [key for key, value in before.items() if after.get(key) != value and key.endswith((".crt", ".key", ".pem"))]
    if not gone:
        return
    paused = service.field("paused").value is True
    kept = all(before[key] in after.values() or key.endswith(".key") for key in gone)
    if paused and kept:
        return
    yield Finding(
        field=("data", gone[0]),
        text=f"it is replaced while {service.title} runs" + ("" if paused else " and its operator reconciles"),
        why="members still show certificates of the old authority; who trusts the new one alone is cut off",
        remedy="pause reconciliation first, keep the old certificate beside the new one until every member has rolled, then "
        "resume, as the operator's documentation says (Strimzi: under another key, and raise the generation)",
        subject=service.title,
    )
