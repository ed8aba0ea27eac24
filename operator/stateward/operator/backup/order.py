"""One look at one ServiceBackup, and the word of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from stateward.operator.api.parts import Condition, VolumeState
from stateward.operator.api.v1beta1 import ServiceBackup, ServiceBackupStatus, Topology
from stateward.operator.backup.hub import AT_ONCE, SOON, WAITING, Hub, short
from stateward.operator.backup.kinds import BACKUPS
from stateward.operator.backup.metadata import Metadata
from stateward.operator.backup.record import Record
from stateward.operator.objects.common import VOLUME, WAL
from stateward.policies.view import Object, text_of

PATIENCE: Final = timedelta(hours=1)
"""How long a backup may wait for what it needs before it has failed."""


@dataclass(frozen=True, slots=True)
class Order:
    """One look. What it says raises ClusterError; it returns seconds until the next look, as whoever looks does."""

    hub: Hub
    model: ServiceBackup
    item: Object

    @property
    def namespace(self) -> str:
        """Its own, and that of its service."""
        return text_of(self.model.metadata, "namespace")

    @property
    def service(self) -> str:
        """The name of the service that is backed up."""
        return self.model.spec.service

    def begins(self) -> float:
        """Before the first write of it: whoever deletes this has to know that something may have been written."""
        made = self.model.status.model_copy(deep=True)
        made.phase, made.started, made.message = "Running", self.hub.now(), "it begins"
        self._say(made)
        return AT_ONCE

    def runs(self, told: Metadata, why: str) -> float:
        """It is being taken."""
        made = self._described(told)
        made.phase, made.message = "Running", short(why)
        self._say(made)
        return SOON

    def waits(self, why: str) -> float | None:
        """Something that it needs is missing; for so long, and no longer."""
        created = datetime.fromisoformat(text_of(self.model.metadata, "creationTimestamp"))
        if self.hub.now() - created > PATIENCE:
            return self.failed(f"{why}; waited for an hour")
        made = self._copy()
        made.phase, made.message = "Pending", short(why)
        self._say(made)
        return WAITING

    def failed(self, why: str) -> float | None:
        """It will not be."""
        made = self._copy()
        made.phase, made.message = "Failed", short(why)
        made.conditions = [self._condition("Complete", "False", "Failed", made.message)]
        self._say(made)
        return None

    def complete(self, told: Metadata, record: Record, made: ServiceBackupStatus, message: str, verified: str = "") -> None:
        """It is there. `made`: what is said of it besides; `verified`: how that was checked, "" where nothing was."""
        now = self.hub.now()
        done = self._described(told).model_copy(update=made.model_dump(exclude_unset=True))
        done.phase, done.message, done.completed = "Complete", short(message), now
        done.verified = now if verified else None
        done.expires = now + timedelta(days=record.days) if record.days else None
        done.conditions = [self._condition("Complete", "True", "Complete", done.message)]
        if verified:
            done.conditions.append(self._condition("Verified", "True", "ReadBack", verified))
        self._say(done)

    def deletes(self, why: str) -> float:
        """What is waited for until it may go. A `;` in it: somebody has to do something."""
        made = self.model.status.model_copy(deep=True)
        made.phase, made.message = "Deleting", short(why)
        self._say(made)
        return WAITING if ";" in why else SOON

    # --- its parts -----------------------------------------------------------------------------------------------

    def _say(self, made: ServiceBackupStatus) -> None:
        self.hub.say(BACKUPS, self.item, self.model.status, made)

    def _copy(self) -> ServiceBackupStatus:
        made = self.model.status.model_copy(deep=True)
        made.observed_generation = self.model.metadata.get("generation")
        return made

    def _described(self, told: Metadata) -> ServiceBackupStatus:
        made = self._copy()
        made.engine, made.version, made.member = told.engine, told.version, told.member
        made.position = told.position or None
        made.started = told.taken
        spec = told.service_spec()
        volumes = [VolumeState(name=VOLUME, class_=spec.storage.class_, size=spec.storage.size)]
        if spec.storage.wal is not None:
            volumes.append(VolumeState(name=WAL, class_=spec.storage.wal.class_, size=spec.storage.wal.size))
        made.topology = Topology(members=spec.members, volumes=volumes, parameters=dict(spec.parameters))
        return made

    def _condition(self, kind: str, status: Literal["True", "False"], reason: str, message: str) -> Condition:
        return Condition(
            type=kind,
            status=status,
            reason=reason,
            message=message,
            observed_generation=self.model.metadata.get("generation"),
            last_transition_time=self.hub.now(),
        )
