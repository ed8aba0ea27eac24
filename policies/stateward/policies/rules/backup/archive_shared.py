"""SW501: two writers on one backup archive."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.rule import rule, services
from stateward.policies.settings import address
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, Object, Sight, accuses, mapping_of

_BACKUP: Final = "Backup.postgresql.cnpg.io"


@rule(
    id="SW501",
    name="archive-shared",
    summary="A new service would write its backups where another one's lie",
    why="An archive has one writer. A second one is refused (Expected empty archive) while base backups look fine, or "
    "overwrites what the restore needs.",
    remedy="Give the new service a path or a server name of its own.",
    source="CloudNativePG documentation, recovery: use another serverName or destinationPath for the new cluster",
    nature="state",
    judges=services("CREATE", "UPDATE"),
    about=("archives", "sources"),
    looks_at=(
        accuses("Cluster.postgresql.cnpg.io"),
        accuses("ObjectStore.barmancloud.cnpg.io", "status"),
        accuses(_BACKUP, "spec", "status"),
    ),
    loses_data=True,
)
def archive_shared(change: Change, see: Sight) -> Iterator[Finding]:
    """The archive it is restored from, that of another live cluster, and one that a former cluster left."""
    new = change.new
    if new is None or not new.archives:
        return
    for archive in new.archives:
        for source in new.sources:
            if (source.store, source.server) == (
                archive.store,
                archive.server,
            ) and change.request.operation == "CREATE":
                yield Finding(
                    field=archive.path,
                    text=f'"{address(archive.store)}" under "{archive.server}" is also what this cluster is restored from',
                    why="recovery stops at `Expected empty archive`, or the archive that it restores from is overwritten",
                    remedy=f'set serverName (for example "{archive.server}-2") or another destination for the new backups',
                    subject=f"{archive.store}/{archive.server}",
                )
                return
        if change.request.operation == "CREATE":
            store = see.get("ObjectStore.barmancloud.cnpg.io", new.namespace, archive.store)
            if store is not UNKNOWN and store is not None:
                windows = mapping_of(mapping_of(store, "status"), "serverRecoveryWindow")
                if archive.server in windows:
                    yield Finding(
                        field=archive.path,
                        text=f'"{address(archive.store)}" already holds an archive of a server named "{archive.server}"',
                        why="it belongs to a former cluster of this name: the WAL of the new one is refused while its base "
                        "backups look fine",
                        remedy=f'set parameters.serverName to a name nobody wrote to yet, for example "{archive.server}-2"',
                        subject=f"{archive.store}/{archive.server}",
                    )
                    return
        clusters = see.having("Cluster.postgresql.cnpg.io", _archives, (archive.store, archive.server))
        for other in clusters if clusters is not UNKNOWN else ():
            twin = Service(new.adapter, other, new.view)
            if (twin.namespace, twin.name) == (new.namespace, new.name):
                continue
            if new.namespace != twin.namespace and not archive.store.startswith(("s3://", "gs://", "https://")):
                continue  # a store object of the same name in another namespace is another store
            yield Finding(
                field=archive.path,
                text=f'"{address(archive.store)}" under "{archive.server}" is the archive of {twin.title}',
                why="two clusters that write one archive destroy each other's backups",
                remedy="give this cluster a server name or a destination of its own",
                subject=f"{archive.store}/{archive.server}",
            )
            return


def _archives(item: Object) -> Iterable[Hashable]:
    """The key of clusters by their archives."""
    return [(one.store, one.server) for one in Service(ADAPTERS["Cluster.postgresql.cnpg.io"], item, EMPTY_VIEW).archives]
