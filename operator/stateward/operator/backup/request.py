"""One look at one ServiceRestore, and the word of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from stateward.operator.api.parts import Condition
from stateward.operator.api.v1beta1 import ServiceRestore, ServiceRestoreStatus
from stateward.operator.backup import metadata
from stateward.operator.backup.hub import Hub, short
from stateward.operator.backup.kinds import FILLING, METADATA, RESTORES
from stateward.operator.backup.metadata import Metadata, seconds_between
from stateward.operator.service import Key
from stateward.policies.view import Object, mapping_of, metadata_of, text_of

Phase = Literal["Pending", "Running", "Verifying", "Complete", "Failed", "Refused"]


class StopError(Exception):
    """It goes no further in this look."""

    def __init__(self, phase: Phase, message: str, step: str = "") -> None:
        super().__init__(message)
        self.phase: Phase = phase
        self.message = message
        self.step = step


@dataclass(frozen=True, slots=True)
class Request:
    """One look."""

    hub: Hub
    model: ServiceRestore
    item: Object

    @property
    def namespace(self) -> str:
        """Its own, and that of the service that it makes."""
        return text_of(self.model.metadata, "namespace")

    @property
    def uid(self) -> str:
        """Its own."""
        return text_of(self.model.metadata, "uid")

    @property
    def target(self) -> Key:
        """The service that is made."""
        return self.namespace, self.model.spec.service

    @property
    def began(self) -> datetime:
        """When it was asked for: nothing that a crash could lose."""
        return datetime.fromisoformat(text_of(self.model.metadata, "creationTimestamp"))

    def made(self, item: Object) -> bool:
        """Whether this restore made it."""
        return text_of(mapping_of(metadata_of(item), "annotations"), FILLING) == self.uid

    def told(self) -> Metadata | None:
        """What the backup says of itself, as it was noted; None where it was not read yet."""
        text = text_of(mapping_of(metadata_of(self.item), "annotations"), METADATA)
        return metadata.made(text) if text else None

    def say(self, phase: Phase, message: str, step: str = "", told: Metadata | None = None, reached: str = "") -> None:
        """`told`: of the backup that is restored, where all of it is there. `reached`: what is noted on the claim.

        Raises ClusterError.
        """
        now, before = self.hub.now(), self.model.status
        made: ServiceRestoreStatus = before.model_copy(deep=True)
        made.observed_generation = self.model.metadata.get("generation")
        made.phase, made.message, made.step = phase, short(message), step or None
        made.started = made.started or self.began
        known = told or self.told()
        made.version = known.version if known is not None else made.version
        if phase in ("Complete", "Failed", "Refused"):
            made.completed = now
            made.conditions = _conditions(phase, made.message, made.observed_generation, now)
        if told is not None:
            made.recovered_to = _time(reached) or told.taken
            made.rpo_seconds = seconds_between(made.recovered_to, self.began)
            made.rto_seconds = seconds_between(self.began, now)
        self.hub.say(RESTORES, self.item, before, made)


def _time(text: str) -> datetime | None:
    """Up to when the data reaches, where that is noted."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(microsecond=0) if found.tzinfo is not None else None


def _conditions(phase: Phase, message: str, generation: int | None, now: datetime) -> list[Condition]:
    good: Mapping[str, Any] = {"observed_generation": generation, "last_transition_time": now, "message": message}
    if phase == "Complete":
        whole = Condition(type="Complete", status="True", reason="Serves", **good)
        return [whole, Condition(type="Verified", status="True", reason="AsTheBackup", **good)]
    return [Condition(type="Complete", status="False", reason=phase, **good)]
