"""What one asks of a StatefulService."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from stateward.operator.api import rules
from stateward.operator.api.model import (
    AS_SET,
    Cron,
    Duration,
    Model,
    Name,
    Size,
    TimeZone,
    Version,
    judged,
)
from stateward.operator.api.parts import Destination, Encryption


class Volume(Model):
    """A volume of each member."""

    model_config = ConfigDict(json_schema_extra=judged(*rules.CLASS))

    class_: Name | None = Field(
        None,
        alias="class",
        description="The StorageClass; it never changes. Left out: the cluster's default at creation, kept in the status.",
    )
    size: Size = Field(description="Of the volume of each member; it only grows.", json_schema_extra=judged(*rules.SIZE))


class Storage(Volume):
    """What each member keeps its data on."""

    model_config = ConfigDict(json_schema_extra=judged(*rules.CLASS, *rules.WAL))

    wal: Volume | None = Field(
        None, description="A second volume for the write-ahead log, where the engine has one; decided at creation."
    )


class Spread(Model):
    """How strictly members keep apart. Required: one that finds no place of its own waits."""

    nodes: Literal["Required", "Preferred"] = Field("Required", description="Each member on a node of its own.")
    zones: Literal["Required", "Preferred"] = Field("Preferred", description="Members evenly over the zones.")


class Disruption(Model):
    """What a drain may take."""

    max_unavailable: int = Field(
        1, ge=0, le=16, description="Members at once, never more than the quorum can spare; 0 holds up every drain."
    )


class Availability(Model):
    """Where members run, and how many may be down by our own doing."""

    zones: list[Annotated[str, Field(max_length=63)]] = Field(
        default_factory=list,
        max_length=16,
        description="Zones that members may run in; none: all.",
        json_schema_extra=AS_SET,
    )
    spread: Spread = Field(default_factory=Spread, description="How strictly members keep apart.")
    disruption: Disruption = Field(default_factory=Disruption, description="What a drain may take.")


class Window(Model):
    """When disruptive work may start."""

    schedule: Cron = Field(description="When it opens: minute, hour, day of the month, month, day of the week.")
    duration: Duration = Field(
        description="How long it stays open: 2h. Work that has started goes on to its next safe step."
    )
    time_zone: TimeZone = Field("UTC", description="Of the schedule, as the IANA database calls it.")


class Upgrade(Model):
    """How a new version gets to the members."""

    strategy: Literal["Rolling", "Recreate"] = Field(
        "Rolling",
        description="Rolling: one member at a time, the primary last. Recreate: all at once, where versions never mix.",
    )
    windows: list[Window] = Field(default_factory=list, max_length=16, description="When it may start; none: at any time.")
    majors: Literal["Refuse", "InPlace", "DumpAndRestore"] = Field(
        "Refuse",
        description="How a new major gets over the data. Refuse: not at all, until one of the others is chosen here.",
    )
    paused: bool = Field(False, description="Stops before the next member; set back to false, it goes on.")
    on_failure: Literal["Stop", "Rollback"] = Field(
        "Stop",
        description="Stop: says so and touches nothing further. Rollback: goes back by itself while that is still safe.",
    )
    soak: Duration = Field("10m", description="How long the new version runs on all members before it is finalised.")
    finalise: Literal["Automatic", "Manual"] = Field(
        "Automatic", description="Manual: waits, after the soak, until this says Automatic. There is no way back behind it."
    )


class Retention(Model):
    """What is kept of old backups."""

    days: int = Field(14, ge=1, le=3650, description="Older ones go.")
    copies: int = Field(3, ge=1, le=1000, description="So many of the newest stay, however old.")


class Drill(Model):
    """Restores the last backup into a scratch service, checks it, measures it and removes it."""

    schedule: Cron = Field(description="When: minute, hour, day of the month, month, day of the week.")
    time_zone: TimeZone = Field("UTC", description="Of the schedule, as the IANA database calls it.")


class Backups(Model):
    """Backups, taken by the engine's own means; what is kept of them each version says in its own way."""

    schedule: Cron = Field(description="When: minute, hour, day of the month, month, day of the week.")
    time_zone: TimeZone = Field("UTC", description="Of the schedule, as the IANA database calls it.")
    suspended: bool = Field(False, description="Takes none by schedule meanwhile; those that there are stay.")
    destination: Destination = Field(description="Where they lie.")
    encryption: Encryption | None = Field(None, description="They are encrypted before they leave the member.")
    drill: Drill | None = Field(None, description="A restore on trial, on schedule.")


class Backup(Backups):
    """Backups, taken by the engine's own means."""

    retention: Retention = Field(default_factory=Retention, description="What is kept of old ones.")


Amount = Annotated[
    int | str,
    Field(json_schema_extra={"maxLength": 32, "pattern": r"^[0-9]+(\.[0-9]+)?(m|Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$"}),
]
"""A quantity: 2, 500m, 4Gi."""


class Resources(Model):
    """Of the engine's container in each member."""

    requests: dict[str, Amount] = Field(default_factory=dict, max_length=8, description="What a member is sure of.")
    limits: dict[str, Amount] = Field(default_factory=dict, max_length=8, description="What a member may use at most.")


class Toleration(Model):
    """A taint that members put up with."""

    key: str | None = Field(
        None, max_length=316, description="The taint's key; left out, with operator Exists: every taint."
    )
    operator: Literal["Equal", "Exists"] = Field("Equal", description="How the value is compared.")
    value: str | None = Field(None, max_length=63, description="The taint's value.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        None, description="Left out: every effect."
    )
    toleration_seconds: int | None = Field(None, ge=0, description="With NoExecute: for how long.")


class Placement(Model):
    """Which nodes members may run on."""

    node_selector: dict[str, Annotated[str, Field(max_length=63)]] = Field(
        default_factory=dict, max_length=32, description="Labels that a node must have."
    )
    tolerations: list[Toleration] = Field(
        default_factory=list, max_length=32, description="Taints that members put up with."
    )
    priority_class_name: Name | None = Field(None, description="The PriorityClass of the members.")


class Tls(Model):
    """Encryption between members, and to clients."""

    enabled: bool = Field(True, description="Between members and to clients.")
    authority: Name | None = Field(
        None, description="A Secret with tls.crt and tls.key of an authority of your own; left out: one is made."
    )


class DeletionPolicy(Model):
    """What becomes of the data when the StatefulService is deleted."""

    claims: Literal["Retain", "Delete"] = Field("Retain", description="The volumes of the members.")
    final_backup: bool = Field(False, description="A last backup is taken and checked before anything goes.")


Parameter = Annotated[int | str, Field(json_schema_extra={"maxLength": 2048})]


class StatefulServiceSpec(Model):
    """A stateful service: which engine, which version, how many members, on what storage. All else has safe defaults."""

    model_config = ConfigDict(json_schema_extra=judged(*rules.EVEN))

    engine: Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")] = Field(
        description="Which engine it runs: etcd, postgresql, redis, valkey, kvstore. It never changes.",
        json_schema_extra=judged(*rules.ENGINE),
    )
    version: Version = Field(
        description="Which version is wanted; it goes forward only, along the engine's own path.",
    )
    members: int = Field(ge=1, le=99, description="How many members.", json_schema_extra=judged(*rules.MEMBERS))
    storage: Storage = Field(description="What each member keeps its data on.")
    image: str | None = Field(
        None,
        max_length=512,
        pattern=r"^[^\s@]+(@sha256:[0-9a-f]{64})?$",
        description="The engine's image from a registry of your own; version still says which version it is.",
    )
    availability: Availability = Field(
        default_factory=Availability, description="Where members run, what may be down at once."
    )
    upgrade: Upgrade = Field(default_factory=Upgrade, description="How a new version gets to the members.")
    backup: Backup | None = Field(None, description="Backups by schedule; left out: none are taken.")
    resources: Resources | None = Field(
        None, description="CPU and memory of each member; left out: the engine's own minimum."
    )
    placement: Placement | None = Field(None, description="Which nodes members may run on.")
    tls: Tls = Field(default_factory=Tls, description="Encryption between members, and to clients.")
    deletion_policy: DeletionPolicy = Field(
        default_factory=DeletionPolicy, description="What becomes of the data when this object is deleted."
    )
    parameters: dict[str, Parameter] = Field(
        default_factory=dict,
        max_length=256,
        description="Settings of the engine, by its own names; checked against what its driver knows. No secrets.",
    )
