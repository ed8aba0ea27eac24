"""SW501: two writers on one backup archive."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Final

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.model import Archive, Service
from stateward.policies.paths import dig
from stateward.policies.rule import rule, services
from stateward.policies.settings import address
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, Object, Sight, accuses, mapping_of

_CLUSTER: Final = "Cluster.postgresql.cnpg.io"
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
        accuses(_CLUSTER),
        accuses("ObjectStore.barmancloud.cnpg.io", "status"),
        accuses(_BACKUP, "spec", "status"),
    ),
    loses_data=True,
)
def archive_shared(change: Change, see: Sight) -> Iterator[Finding]:
    """The archive it is restored from, that of another live cluster, and one that a former cluster left.

    CloudNativePG refuses an archive that is not empty. Where the tool goes on with one (pgBackRest keeps to the stanza of
    the data that was restored), a second writer is the danger: it warns.
    """
    new = change.new
    if new is None or not new.archives:
        return
    for archive in new.archives:
        for source in new.sources:
            if (source.store, source.server) == (
                archive.store,
                archive.server,
            ) and change.request.operation == "CREATE":
                wants_empty = new.kind == _CLUSTER
                yield Finding(
                    field=archive.path,
                    text=f'"{address(archive.store)}" under "{archive.server}" is also what this cluster is restored from',
                    why="recovery stops at `Expected empty archive`, or the archive that it restores from is overwritten"
                    if wants_empty
                    else "if the service that wrote it still runs, both write to one archive and wreck each other's backups",
                    remedy=f"{_own_place(new, archive)} or another destination for the new backups",
                    subject=f"{archive.store}/{archive.server}",
                    weak=not wants_empty,
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
        clusters = see.having(_CLUSTER, _archives, (archive.store, archive.server))
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


def _own_place(service: Service, archive: Archive) -> str:
    """The field that gives the new service a place of its own in the same store."""
    if service.kind == _CLUSTER:
        return f'set serverName (for example "{archive.server}-2")'
    if "pgbackrest" in archive.path:
        repository = (
            dig(service.object, archive.path[: archive.path.index("repos") + 2]) if "repos" in archive.path else None
        )
        name = repository.get("name") if isinstance(repository, dict) else None
        return f'set global.{name or "repoN"}-path (for example "{archive.server}-2")'
    return "set a prefix of its own"


def _archives(item: Object) -> Iterable[Hashable]:
    """The key of clusters by their archives."""
    return [(one.store, one.server) for one in Service(ADAPTERS[_CLUSTER], item, EMPTY_VIEW).archives]
