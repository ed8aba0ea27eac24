"""What is remembered of an installed door: whether it is wanted, and which configurations were made for it.

Without it a configuration that is not there could mean "not yet" as well as "somebody took it away". It is a ConfigMap
in Stateward's own namespace, written by the leader and by `stateward enable|disable`, and goes with the installation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from stateward.kube.client import Cluster, path_of
from stateward.kube.installed import INSTALLED, MUTATING, VALIDATING
from stateward.policies.view import mapping_of, metadata_of, text_of

NAME: Final = "stateward-door"
ENABLED: Final = "enabled"
DISABLED: Final = "disabled"
DELETED: Final = "deleted"
"""Instead of a uid: somebody deleted the configuration, and it stays so."""
_DOOR: Final = "door"
_OWNER: Final = "owner"
_KEYS: Final[Mapping[str, str]] = {VALIDATING: "validating", MUTATING: "mutating"}


@dataclass(frozen=True, slots=True)
class Record:
    """The record as it was read. A first one is enabled and has made nothing yet."""

    door: str = ENABLED
    made: Mapping[str, str] = field(default_factory=dict)
    """Kind of configuration → uid of the one that was made (or found)."""
    owner: str = ""
    """uid of the object that the configurations go with."""
    version: str = ""
    """resourceVersion; "" where there is no record yet."""

    @property
    def enabled(self) -> bool:
        """Whether the API server shall ask at all."""
        return self.door == ENABLED

    def taken_away(self, kind: str, owner: str) -> bool:
        """Whether a configuration that is not there was: not where it went together with its former owner."""
        uid = self.made.get(kind, "")
        return uid == DELETED or (bool(uid) and (not owner or not self.owner or self.owner == owner))


def path_to(namespace: str, name: str = NAME) -> str:
    """Where the record is."""
    return path_of("api", "v1", "namespaces", namespace, "configmaps", *([name] if name else []))


def read(cluster: Cluster, namespace: str) -> Record | None:
    """The record, None where there is none. Raises ClusterError."""
    found = cluster.find(path_to(namespace))
    if found is None:
        return None
    data = mapping_of(found, "data")
    return Record(
        door=DISABLED if text_of(data, _DOOR) == DISABLED else ENABLED,
        made={kind: uid for kind, key in _KEYS.items() if (uid := text_of(data, key))},
        owner=text_of(data, _OWNER),
        version=text_of(metadata_of(found), "resourceVersion"),
    )


def write(cluster: Cluster, namespace: str, record: Record, owner: Mapping[str, Any] | None = None) -> Record:
    """Writes it where nobody has since it was read; as it is now. Raises ClusterError, status 409 where somebody has."""
    metadata: dict[str, Any] = {"ownerReferences": [dict(owner)]} if owner is not None else {}
    data = {_DOOR: record.door, _OWNER: record.owner, **{key: record.made.get(kind, "") for kind, key in _KEYS.items()}}
    if record.version:
        patch = {"metadata": {**metadata, "resourceVersion": record.version}, "data": data}
        found = cluster.patch(path_to(namespace), patch)
    else:
        metadata |= {"name": NAME, "namespace": namespace, "labels": dict(INSTALLED)}
        item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
        found = cluster.create(path_to(namespace, ""), item)
    return Record(record.door, record.made, record.owner, text_of(metadata_of(found), "resourceVersion"))
