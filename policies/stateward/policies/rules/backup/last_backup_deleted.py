"""SW505: the only backup of a live service is deleted."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.adapters.catalogue import ADAPTERS, backup_kinds
from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import objects, rule
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, Object, Sight, accuses, excuses
from stateward.policies.waiver import CONFIRM_DELETE

_KINDS = tuple(kind for kind in backup_kinds() if kind != "Job.batch")


@rule(
    id="SW505",
    name="last-backup-deleted",
    summary="The only backup of a service that lives is deleted",
    why="With several operators the record is the backup: what it stands for is removed from the bucket with it. From then "
    "on nothing leads back.",
    remedy="Take another backup first, and wait until it is done.",
    source="operators' documentation: finalizers and deletion policies of backup resources (delete-backup, "
    "remoteDeletePolicy, deletionPolicy)",
    nature="transition",
    judges=objects(*_KINDS, on=("DELETE",)),
    looks_at=tuple(excuses(kind, "spec", "status") for kind in _KINDS),
    loses_data=True,
)
def last_backup_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """A record of a backup that is done, where no other of the same kind is known to be."""
    record = change.request.old
    if record is None or annotations_of(record).get(CONFIRM_DELETE) == name_of(record):
        return
    kind = change.request.kind
    for adapter in ADAPTERS.values():
        forms = [form for form in adapter.backups if form.kind == kind and not form.in_status]
        if not forms:
            continue
        services = see.select_declared(accuses(adapter.kind, "spec"))
        for item in services if services is not UNKNOWN else ():
            service = Service(adapter, item, EMPTY_VIEW)
            if service.namespace != change.request.namespace or forms[0].taken(record, service) is None:
                continue
            if _others(kind, record, service, see):
                return
            yield Finding(
                field=(),
                text=f"deletes the only backup of {service.title} that is known",
                why="what it stands for goes with it, and nothing else leads back behind a lost volume or a wrong statement",
                remedy="take another backup first; or confirm in an edit of its own: "
                f"kubectl annotate {kubectl_name(record)} {CONFIRM_DELETE}={name_of(record)}, then delete again",
                subject=service.title,
            )
            return


def _others(kind: str, record: Object, service: Service, see: Sight) -> bool:
    """Whether another backup that is done is known; where nobody can tell, none is."""
    known = see.select(kind, service.namespace)
    return any(
        form.kind == kind and form.taken(other, service) is not None
        for other in (known if known is not UNKNOWN else ())
        if name_of(other) != name_of(record)
        for form in service.adapter.backups
    )
