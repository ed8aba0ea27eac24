"""What is noted on a ServiceBackup before anything is written: its service may change, or be gone."""

from __future__ import annotations

from typing import Final

from pydantic import ValidationError

from stateward.operator.api.model import Model
from stateward.operator.api.parts import Destination
from stateward.operator.backup.archive import Archive
from stateward.operator.backup.kinds import RECORD
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

RESTIC: Final = "restic"
SNAPSHOT: Final = "snapshot"


class Record(Model):
    """Where a backup lies, and how it is made."""

    destination: Destination
    secret: str = ""
    folder: str
    uid: str
    """Of the service."""
    days: int = 0
    """That it is kept at least; 0: until somebody deletes it."""
    user: int = 0
    """Who writes there: the engine's own."""
    engine: str = ""
    """Of the service, where its own tool has to delete what it has written elsewhere."""
    version: str = ""
    image: str = ""
    way: str = RESTIC
    """One of `ways.WAYS`."""

    def archive(self) -> Archive:
        """Where it lies."""
        return Archive(self.destination, self.secret, self.folder)


def record_of(item: Object) -> Record | None:
    """What is noted on a ServiceBackup; None where nothing is yet."""
    text = text_of(mapping_of(metadata_of(item), "annotations"), RECORD)
    try:
        return Record.model_validate_json(text) if text else None
    except ValidationError:
        return None
