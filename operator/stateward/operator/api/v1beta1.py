"""The kinds as they are stored: StatefulService, ServiceBackup, ServiceRestore of stateward.dev/v1beta1.

`model_validate` reads an object as the API server gives it; metadata stays the raw mapping that it is.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field

from stateward.kube.definition import GROUP
from stateward.operator.api import rules
from stateward.operator.api.model import Label, Model, Moment, Name, Text, Time, Version, Word, by_key, judged
from stateward.operator.api.parts import Condition, Destination, Encryption, VolumeState
from stateward.operator.api.spec import Parameter, Placement, Resources, StatefulServiceSpec, Storage
from stateward.operator.api.status import StatefulServiceStatus

VERSION: Final = "v1beta1"
API_VERSION: Final = f"{GROUP}/{VERSION}"


class StatefulService(Model):
    """A stateful service that Stateward runs."""

    model_config = ConfigDict(json_schema_extra=judged(*rules.OBJECT))

    api_version: Literal["stateward.dev/v1beta1"] = "stateward.dev/v1beta1"
    kind: Literal["StatefulService"] = "StatefulService"
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: StatefulServiceSpec
    status: StatefulServiceStatus = Field(default_factory=StatefulServiceStatus)


class ServiceBackupSpec(Model):
    """Of what, and where to."""

    model_config = ConfigDict(json_schema_extra=judged(rules.fixed("a backup is of one moment; make another ServiceBackup")))

    service: Label = Field(description="The StatefulService, in the same namespace.")
    destination: Destination | None = Field(None, description="Where it lies; left out: where the service's own do.")
    encryption: Encryption | None = Field(None, description="Left out: as the service's own are.")
    deletion_policy: Literal["Retain", "Delete"] = Field(
        "Delete", description="Whether what was written goes with this object."
    )


class Topology(Model):
    """What the service was like."""

    members: int | None = Field(None, ge=0, description="How many members.")
    volumes: list[VolumeState] = Field(default_factory=list, max_length=8, description="Their volumes.")
    parameters: dict[str, Parameter] = Field(default_factory=dict, max_length=256, description="Settings of the engine.")


class ServiceBackupStatus(Model):
    """How it stands, and what a restore needs to know."""

    observed_generation: int | None = Field(None, ge=0, description="Which spec this tells of.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=8, description="Complete, Verified.", json_schema_extra=by_key("type")
    )
    phase: Literal["Pending", "Running", "Complete", "Failed", "Deleting"] | None = Field(None, description="How far it is.")
    engine: Word | None = Field(None, description="Of the service.")
    version: Word | None = Field(None, description="Of the engine that it was taken from.")
    topology: Topology | None = Field(None, description="What the service was like.")
    member: Name | None = Field(None, description="The member that it was taken from.")
    location: Text | None = Field(None, description="Where it lies; no credentials.")
    snapshots: list[Name] = Field(default_factory=list, max_length=128, description="VolumeSnapshots that it consists of.")
    encrypted: bool | None = Field(None, description="Whether it is.")
    size: int | None = Field(None, ge=0, description="Bytes, as stored.")
    checksum: Annotated[str, Field(max_length=256)] | None = Field(None, description="ALGORITHM:VALUE of what was written.")
    position: Text | None = Field(None, description="Up to where it reaches, as the engine counts: LSN, revision, offset.")
    started: Time | None = Field(None, description="When it began.")
    completed: Time | None = Field(None, description="When it was whole.")
    verified: Time | None = Field(None, description="When it was last read back and checked.")
    expires: Time | None = Field(None, description="When retention takes it.")
    message: Text = Field("", description="What is waited for, or what failed.")


class ServiceBackup(Model):
    """One backup of a StatefulService."""

    api_version: Literal["stateward.dev/v1beta1"] = "stateward.dev/v1beta1"
    kind: Literal["ServiceBackup"] = "ServiceBackup"
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: ServiceBackupSpec
    status: ServiceBackupStatus = Field(default_factory=ServiceBackupStatus)


class BackupReference(Model):
    """A ServiceBackup of this cluster."""

    name: Name = Field(description="Its name.")
    namespace: Label | None = Field(None, description="Left out: this one.")


class Archive(Model):
    """A backup that no ServiceBackup of this cluster tells of: one of another cluster, or of a lost one."""

    destination: Destination = Field(description="Where it lies.")
    location: Text = Field(description="As status.location of its ServiceBackup said.")
    encryption: Encryption | None = Field(None, description="What it was encrypted with.")


class RestoreSource(Model):
    """What is restored: exactly one of them."""

    model_config = ConfigDict(json_schema_extra=judged(rules.ONE_SOURCE))

    backup: BackupReference | None = Field(None, description="A ServiceBackup of this cluster.")
    archive: Archive | None = Field(None, description="A backup of another cluster, or of a lost one.")


class Overrides(Model):
    """What the new service has otherwise than the old one."""

    version: Version | None = Field(None, description="Refused where the engine of this version cannot read the backup.")
    members: int | None = Field(None, ge=1, le=99, description="How many members.")
    storage: Storage | None = Field(None, description="What each member keeps its data on.")
    resources: Resources | None = Field(None, description="CPU and memory of each member.")
    placement: Placement | None = Field(None, description="Which nodes members may run on.")


class ServiceRestoreSpec(Model):
    """What is restored, and into what."""

    model_config = ConfigDict(json_schema_extra=judged(rules.fixed("a restore runs once; make another ServiceRestore")))

    source: RestoreSource = Field(description="What is restored.")
    service: Label = Field(
        description="The StatefulService that is made, in this namespace. There must be none of this name."
    )
    point_in_time: Moment | None = Field(
        None, description="Up to when, where the engine keeps its log; left out: all of it."
    )
    overrides: Overrides | None = Field(None, description="What the new service has otherwise than the old one.")


class ServiceRestoreStatus(Model):
    """How it stands."""

    observed_generation: int | None = Field(None, ge=0, description="Which spec this tells of.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=8, description="Complete, Verified.", json_schema_extra=by_key("type")
    )
    phase: Literal["Pending", "Running", "Verifying", "Complete", "Failed", "Refused"] | None = Field(
        None, description="How far it is."
    )
    step: Word | None = Field(None, description="Which step of it.")
    version: Word | None = Field(None, description="Of the engine in the backup.")
    recovered_to: Time | None = Field(None, description="Up to when the data reaches.")
    rpo_seconds: int | None = Field(None, ge=0, description="Measured: how much of the past is missing.")
    rto_seconds: int | None = Field(None, ge=0, description="Measured: from the first step until it answered.")
    started: Time | None = Field(None, description="When it began.")
    completed: Time | None = Field(None, description="When it answered and was checked.")
    message: Text = Field("", description="What is waited for, or why it was refused or failed.")


class ServiceRestore(Model):
    """A backup becomes a service again: a new one, never over one that is there."""

    api_version: Literal["stateward.dev/v1beta1"] = "stateward.dev/v1beta1"
    kind: Literal["ServiceRestore"] = "ServiceRestore"
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: ServiceRestoreSpec
    status: ServiceRestoreStatus = Field(default_factory=ServiceRestoreStatus)
