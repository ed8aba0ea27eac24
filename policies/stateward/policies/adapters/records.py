"""How an operator records the backups that it took: the rows of `backups` of an adapter file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stateward.policies.adapters.grammar import GrammarError, compile_expression, each_item
from stateward.policies.model import Service
from stateward.policies.view import Kind, Object, label_of


class BackupRecord:
    """A row of `backups`: how the operator records a backup that was taken."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        if "kind" not in spec or "at" not in spec:
            raise GrammarError(f"{where}: kind and at are wanted")
        self.kind: Kind = spec["kind"]
        self._of = compile_expression(spec["of"], f"{where}.of") if "of" in spec else None
        self._items = each_item({"each": spec["each"]}, where) if "each" in spec else None
        """Set where the service's own status lists them."""
        self._of_group = compile_expression(spec["ofGroup"], f"{where}.ofGroup") if "ofGroup" in spec else None
        self._label: str | None = spec.get("label")
        self._done = compile_expression(spec["done"], f"{where}.done") if "done" in spec else None
        self._at = compile_expression(spec["at"], f"{where}.at")
        snapshots = spec.get("snapshots") or {}
        self._snapshots = each_item(snapshots, f"{where}.snapshots") if "each" in snapshots else None
        self._snapshot = compile_expression(snapshots["name"], f"{where}.snapshots.name") if "name" in snapshots else None
        if (self._snapshots is None) != (self._snapshot is None):
            raise GrammarError(f"{where}.snapshots: each and name are wanted together, or label")
        self.snapshot_label: str | None = snapshots.get("label")
        """The label in which VolumeSnapshots name the record: any one of them is a whole backup."""
        self._when = compile_expression(snapshots["when"], f"{where}.snapshots.when") if "when" in snapshots else None
        self.taken_by: Kind = spec.get("takenBy", self.kind)
        """What a person creates to have a backup taken."""

    @property
    def in_status(self) -> bool:
        """Whether the service's own status lists the backups."""
        return self._items is not None

    @property
    def rests(self) -> bool:
        """Whether it may be VolumeSnapshots that hold the backup."""
        return self._snapshots is not None or self.snapshot_label is not None

    def snapshots(self, record: Object) -> frozenset[str]:
        """The names of the VolumeSnapshots that a record lists: all of them together are the backup."""
        if self._snapshots is None or self._snapshot is None:
            return frozenset()
        names = (self._snapshot(item, base, record).value for item, base in self._snapshots(record, (), record))
        return frozenset(name for name in names if isinstance(name, str))

    def in_snapshots(self, record: Object) -> bool:
        """Whether VolumeSnapshots that name the record by label hold what it stands for."""
        if self.snapshot_label is None:
            return False
        return self._when is None or self._when(record, (), record).value is True

    def moments(self, record: Object, service: Service) -> Iterator[Any]:
        """When the backups of the service that are done were done (text): one of a record, several of a status."""
        if self._items is None:
            moment = self.taken(record, service)
            if moment is not None:
                yield moment
            return
        for item, base in self._items(record, (), record):
            if self._done is None or self._done(item, base, record).value is True:
                yield self._at(item, base, record).value

    def taken(self, record: Object, service: Service) -> Any:
        """When this record's backup of the service was done (text), None where it is of another or is not done."""
        named = label_of(record, self._label) if self._label is not None else None
        if self._of is not None and named is None:
            named = self._of(record, (), record).value
        if self._of_group is not None:
            group = self._of_group(record, (), record).value
            named = service.name if isinstance(group, str) and group in service.groups_by_name else None
        if named != service.name:
            return None
        if self._done is not None and self._done(record, (), record).value is not True:
            return None
        return self._at(record, (), record).value
