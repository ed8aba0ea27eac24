"""What the kinds have in common: where backups lie, how they are encrypted, conditions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from stateward.operator.api.model import Model, Name, Size, Text, Time, Word, cel, judged


class Claim(Model):
    """A claim that backups are written to."""

    name: Name = Field(description="The PersistentVolumeClaim, in the namespace of the service.")
    path: str = Field("", max_length=256, description="A folder on it; left out: its root.")


class S3(Model):
    """A bucket that speaks S3."""

    bucket: str = Field(min_length=3, max_length=63, pattern=r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$", description="The bucket.")
    prefix: str = Field(
        "", max_length=512, pattern=r"^[^\s]*$", description="Put before every key; left out: NAMESPACE/NAME of the service."
    )
    endpoint: str | None = Field(
        None, max_length=512, pattern=r"^https?://[^\s@]+$", description="Left out: Amazon's. It holds no credentials."
    )
    region: str | None = Field(None, max_length=64, description="The region, where the endpoint wants one.")
    credentials: Name = Field(description="A Secret with the keys accessKeyId and secretAccessKey.")
    authority: Name | None = Field(
        None, description="A Secret with ca.crt, where the endpoint's certificate is of an authority of your own."
    )


class Snapshot(Model):
    """VolumeSnapshots, where the storage has them."""

    class_: Name = Field(alias="class", description="The VolumeSnapshotClass.")


class Destination(Model):
    """Where backups lie: exactly one of them."""

    model_config = ConfigDict(
        json_schema_extra=judged(
            cel(
                "(has(self.claim) ? 1 : 0) + (has(self.s3) ? 1 : 0) + (has(self.snapshot) ? 1 : 0) == 1",
                "(has(self.claim) || has(self.s3) || has(self.snapshot) ? 'several destinations' : 'no destination')"
                " + ': a backup lies in one place; give one of claim, s3 and snapshot'",
            )
        )
    )

    claim: Claim | None = Field(None, description="A PersistentVolumeClaim.")
    s3: S3 | None = Field(None, description="A bucket that speaks S3.")
    snapshot: Snapshot | None = Field(None, description="VolumeSnapshots of the members' volumes.")


class Encryption(Model):
    """Backups are encrypted before they leave the member."""

    secret: Name = Field(
        description="A Secret with the key password. Without it no backup can be read: keep a copy elsewhere."
    )


class Condition(Model):
    """One aspect of how things stand."""

    type: str = Field(
        max_length=316, description="Which aspect: Ready, Progressing, Degraded, Blocked, BackedUp, Archived, Restorable."
    )
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it is so.")
    reason: str = Field(max_length=1024, description="Why, as one word.")
    message: str = Field(max_length=32768, description="Why, in plain words.")
    observed_generation: int | None = Field(None, ge=0, description="Of which spec it tells.")
    last_transition_time: Time = Field(description="Since when it has this status.")


class VolumeState(Model):
    """A volume of each member."""

    name: Word = Field(description="data or wal.")
    class_: Annotated[str, Field(max_length=253)] | None = Field(
        None, alias="class", description="The class of the claims, also where the spec leaves it to the cluster's default."
    )
    size: Size | None = Field(None, description="What every claim has.")


class Copy(Model):
    """A backup, as far as a status tells of it."""

    name: Name = Field(description="The ServiceBackup.")
    time: Time = Field(description="When it was complete.")
    verified: Time | None = Field(None, description="When all of it was read back and checked; left out: it never was.")
    version: Word | None = Field(None, description="Of the engine that it was taken from.")
    size: int | None = Field(None, ge=0, description="Bytes, as stored.")
    location: Text | None = Field(None, description="Where it lies; no credentials.")
