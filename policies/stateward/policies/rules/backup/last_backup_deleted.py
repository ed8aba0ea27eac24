"""SW505: the only backup of a live service is deleted, or the snapshot that it rests on."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS, backup_kinds
from stateward.policies.adapters.records import BackupRecord
from stateward.policies.change import Change
from stateward.policies.facts import annotations_of, being_deleted, name_of
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.naming import kubectl_name
from stateward.policies.rule import objects, rule
from stateward.policies.snapshots import CONTENT, goes_with, is_kept, is_whole, rests_on
from stateward.policies.view import (
    EMPTY_VIEW,
    SNAPSHOT,
    UNKNOWN,
    Object,
    Sight,
    accuses,
    excuses,
    metadata_of,
    text_of,
)
from stateward.policies.waiver import CONFIRM_DELETE

_KINDS = tuple(kind for kind in backup_kinds() if kind != "Job.batch")


@rule(
    id="SW505",
    name="last-backup-deleted",
    summary="The only backup of a service that lives is deleted, or the VolumeSnapshot that it rests on",
    why="With several operators the record is the backup: what it stands for is removed from the bucket with it. Where it "
    "stands for a VolumeSnapshot, that is the backup, and the record goes on to say that all is well. From then on nothing "
    "leads back.",
    remedy="Take another backup first, and wait until it is done.",
    source="operators' documentation: finalizers and deletion policies of backup resources (delete-backup, "
    "remoteDeletePolicy, deletionPolicy); Kubernetes documentation, Volume Snapshots",
    nature="transition",
    judges=objects(*_KINDS, SNAPSHOT, CONTENT, on=("DELETE",)),
    looks_at=(
        *(excuses(kind, "spec", "status") for kind in _KINDS),
        excuses(SNAPSHOT, "spec.source", "status"),
        excuses(CONTENT, "spec.deletionPolicy"),
    ),
    loses_data=True,
)
def last_backup_deleted(change: Change, see: Sight) -> Iterator[Finding]:
    """A record of a backup that is done, or a snapshot that it needs, where no other of the same kind is known to be."""
    gone = change.request.old
    if gone is None or annotations_of(gone).get(CONFIRM_DELETE) == name_of(gone):
        return
    kind = change.request.kind
    if kind in (SNAPSHOT, CONTENT):
        snapshot = gone if kind == SNAPSHOT else goes_with(gone, see)
        if snapshot is not None:
            yield from _snapshot_deleted(gone, snapshot, see)
        return
    for adapter, form in _forms():
        if form.kind != kind:
            continue
        for service in _services(adapter, form, gone, change.request.namespace, see):
            if not _others(form, gone, service, see):
                yield _finding(
                    gone,
                    service,
                    f"deletes the only backup of {service.title} that is known",
                    "what it stands for goes with it, and nothing else leads back behind a lost volume or a wrong statement",
                )
            return


def _snapshot_deleted(gone: Object, snapshot: Object, see: Sight) -> Iterator[Finding]:
    """`gone` is the snapshot or its content. A record that is going takes its snapshots along: it was judged."""
    namespace = text_of(metadata_of(snapshot), "namespace")
    for adapter, form in _forms():
        if not form.rests:
            continue
        records = see.select_own(excuses(form.kind, "spec", "status"), namespace)
        for record in records if records is not UNKNOWN else ():
            if being_deleted(record) or not rests_on(form, record, snapshot):
                continue
            if is_whole(form, record, namespace, see, name_of(snapshot)) is True:
                continue
            for service in _services(adapter, form, record, namespace, see):
                if not _others(form, record, service, see, name_of(snapshot)):
                    yield _of_snapshot(gone, snapshot, record, service, see)
                    return


def _of_snapshot(gone: Object, snapshot: Object, record: Object, service: Service, see: Sight) -> Finding:
    kept = gone is snapshot and is_kept(snapshot, see)
    return _finding(
        gone,
        service,
        f"deletes what holds the only known backup of {service.title} "
        f"(snapshot of {text_of(record, 'kind')} {name_of(record)})",
        "the storage keeps the data (deletionPolicy Retain), but no backup leads to it any more"
        if kept
        else "the record stays and says that it is done, but nothing is left to restore from",
        weak=kept,
    )


def _forms() -> Iterator[tuple[Adapter, BackupRecord]]:
    """How services' operators record backups in objects of their own: the first way of each kind."""
    for adapter in ADAPTERS.values():
        first = {form.kind: form for form in reversed(adapter.backups) if not form.in_status}
        yield from ((adapter, form) for form in first.values())


def _services(adapter: Adapter, form: BackupRecord, record: Object, namespace: str, see: Sight) -> Iterator[Service]:
    """The services that stay and that a record is a backup of, done."""
    known = see.select_declared(accuses(adapter.kind, "spec"))
    for item in known if known is not UNKNOWN else ():
        service = Service(adapter, item, EMPTY_VIEW)
        if service.namespace == namespace and not being_deleted(item) and form.taken(record, service) is not None:
            yield service


def _others(form: BackupRecord, record: Object, service: Service, see: Sight, without: str = "") -> bool:
    """Whether another backup that is done is known, and does not rest on the snapshot `without`.

    Where nobody can tell, none is.
    """
    known = see.select(form.kind, service.namespace)
    return any(
        form.taken(other, service) is not None and is_whole(form, other, service.namespace, see, without) is True
        for other in (known if known is not UNKNOWN else ())
        if name_of(other) != name_of(record) and not being_deleted(other)
    )


def _finding(gone: Object, service: Service, text: str, why: str, weak: bool = False) -> Finding:
    return Finding(
        field=(),
        text=text,
        why=why,
        remedy="take another backup first; or confirm in an edit of its own: "
        f"kubectl annotate {kubectl_name(gone)} {CONFIRM_DELETE}={name_of(gone)}, then delete again",
        subject=service.title,
        weak=weak,
    )
