"""What is seen of a StatefulService: written by the operator, by nobody else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from stateward.operator.api.model import Model, Name, Text, Time, Version, Word, by_key
from stateward.operator.api.parts import Condition, Copy, VolumeState


class Operation(Model):
    """What is being done: enough of it that whoever takes over goes on where it stopped."""

    id: Word = Field(description="Of this run; names of what it makes are made of it.")
    kind: Literal[
        "Create", "ScaleUp", "ScaleDown", "Upgrade", "Finalise", "Rollback", "Configure", "Grow", "Replace", "Rotate",
        "Switchover", "Backup", "Restore", "Drill", "Delete",
    ] = Field(description="What is being done.")  # fmt: skip
    step: Word = Field(description="Which step of it.")
    member: Name | None = Field(None, description="On which member.")
    from_: Word | None = Field(None, alias="from", description="Version, members or size before.")
    to: Word | None = Field(None, description="Version, members or size wanted.")
    started: Time = Field(description="When it began.")
    step_started: Time | None = Field(None, description="When this step began.")
    attempts: int = Field(0, ge=0, description="How often this step was tried.")
    message: Text = Field("", description="What is waited for, in plain words.")
    progress: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, max_length=64, description="What its steps need to know of those before."
    )


class MemberStatus(Model):
    """One member."""

    name: Name = Field(description="Its pod.")
    role: Word | None = Field(None, description="As the engine says: primary, replica, leader, follower, learner.")
    version: Word | None = Field(None, description="Which version it runs.")
    ready: bool = Field(False, description="Whether the engine itself says that it serves.")
    lag: int | None = Field(None, ge=0, description="How far it is behind the primary, in lagUnit.")
    lag_unit: Literal["bytes", "entries", "seconds"] | None = Field(None, description="What lag counts.")
    node: Name | None = Field(None, description="The Node that it runs on.")
    zone: Annotated[str, Field(max_length=63)] | None = Field(None, description="The zone of that node.")
    message: Text | None = Field(None, description="What is wrong with it.")


class BackupStatus(Model):
    """How backups stand."""

    last: Copy | None = Field(None, description="The last that is complete.")
    next: Time | None = Field(None, description="When the next is due.")
    last_failure: Text | None = Field(None, description="Why the last attempt failed, while none succeeded since.")
    count: int | None = Field(None, ge=0, description="How many there are.")


class DrillStatus(Model):
    """The last restore on trial."""

    time: Time = Field(description="When it ended.")
    succeeded: bool = Field(description="Whether the data was there and could be read.")
    backup: Name | None = Field(None, description="Which ServiceBackup.")
    rpo_seconds: int | None = Field(None, ge=0, description="Measured: how much of the past it would have cost.")
    rto_seconds: int | None = Field(None, ge=0, description="Measured: from the first step until it answered.")
    message: Text = Field("", description="What was checked, or what failed.")
    next: Time | None = Field(None, description="When the next is due.")


class Decision(Model):
    """Something that the operator decided to do, or not to do."""

    time: Time = Field(description="When.")
    message: Text = Field(description="What and why, in plain words.")


class StatefulServiceStatus(Model):
    """How it stands."""

    observed_generation: int | None = Field(None, ge=0, description="Which spec this tells of.")
    conditions: list[Condition] = Field(
        default_factory=list, max_length=16, description="Ready, Progressing, Degraded, Blocked, BackedUp, Archived.",
        json_schema_extra=by_key("type"),
    )  # fmt: skip
    operation: Operation | None = Field(None, description="What is being done; nothing while all is as wanted.")
    members: list[MemberStatus] = Field(
        default_factory=list, max_length=128, description="Each member.", json_schema_extra=by_key("name")
    )
    current_members: int | None = Field(None, ge=0, description="How many there are; what /scale shows.")
    ready_members: int | None = Field(None, ge=0, description="How many serve.")
    selector: Annotated[str, Field(max_length=512)] | None = Field(None, description="Labels of the members, for /scale.")
    primary: Name | None = Field(None, description="The member that takes writes.")
    running_version: Version | None = Field(None, description="The lowest version that a member runs.")
    finalised_version: Version | None = Field(
        None, description="The series that the data is finalised at: members of an older one cannot read it any more."
    )
    volumes: list[VolumeState] = Field(
        default_factory=list, max_length=8, description="The volumes of each member.", json_schema_extra=by_key("name")
    )
    backup: BackupStatus | None = Field(None, description="How backups stand.")
    drill: DrillStatus | None = Field(None, description="The last restore on trial.")
    decisions: list[Decision] = Field(
        default_factory=list, max_length=5, description="The last five decisions, the newest first, in plain words."
    )
