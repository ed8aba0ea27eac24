"""SW602: a credential that the data already holds is changed in its Secret alone."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies import bearing
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.secrets import by_its_operator, changed_credentials, live
from stateward.policies.view import Sight


@rule(
    id="SW602",
    name="credential-changed-underneath",
    summary="A credential is changed in the Secret of a live service, and nowhere else",
    why="An engine takes its passwords, cookies and ids from the Secret once, when its data directory is made, or at each "
    "start. The data and the members that run keep the old value: operator, replicas and probes are refused.",
    remedy="Change it in the engine first (ALTER ROLE, the engine's own rotation), then in the Secret; or keep the value.",
    source="images of PostgreSQL, MySQL, MongoDB: credentials are set at initialisation only; RabbitMQ documentation, "
    "clustering: the Erlang cookie must be the same on all nodes",
    nature="transition",
    judges=objects("Secret", on=("UPDATE",)),
)
def credential_changed_underneath(change: Change, see: Sight) -> Iterator[Finding]:
    """Keys that the service uses and whose value differs. An operator that carries the change over may be told."""
    service = change.service
    if service is None or change.via != "secret" or service.engine is None or not service.engine_certain:
        return
    if not live(service) or by_its_operator(change):
        return
    used = bearing.secret_of(service, change.request.name)
    if used is None or used[0].applied or used[0].role in ("ca", "certificate", "backup"):
        return
    reference, keys = used
    differs = changed_credentials(change.request.old, change.request.object)
    differs = [key for key in differs if not keys or key.partition(":")[0] in keys]
    if not differs:
        return
    first = differs[0]
    more = f" and {len(differs) - 1} more" if len(differs) > 1 else ""
    title = service.engine.title
    cluster = reference.role == "cluster" or "cookie" in first.lower()
    yield Finding(
        field=("data", *first.split(":")),
        text=f"{'it differs' if not more else f'it{more} differ'} from what {service.title} runs with",
        why=f"the members of {title} that run know each other by the old value and refuse the next one that starts"
        if cluster
        else f"the value is on the disks and in the running members of {title}; the Secret alone changes neither, and who "
        "logs in with the new value is refused",
        remedy="keep the value; for a planned change stop all members first"
        if cluster
        else f"change it inside {title} first, then here; or take the old value back",
        subject=service.title,
    )
