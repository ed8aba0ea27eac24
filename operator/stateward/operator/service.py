"""A service as the loop has it: what its StatefulService asks for, checked, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from stateward.kube.definition import GROUP
from stateward.operator.api.annotations import ROTATE, SWITCHOVER
from stateward.operator.api.spec import Upgrade
from stateward.operator.api.v1beta1 import API_VERSION, StatefulService
from stateward.operator.repository import Repository, repository_of
from stateward.policies.view import mapping_of, text_of

KIND: Final = f"StatefulService.{GROUP}"
FINALIZER: Final = f"{GROUP}/service"

Key = tuple[str, str]
"""Namespace and name of a service."""


@dataclass(frozen=True, slots=True)
class Service:
    """One StatefulService. `members` is what is asked for, not what there is."""

    namespace: str
    name: str
    uid: str
    api_version: str
    engine: str
    version: str
    members: int
    size: str
    """Of a member's volume, a quantity."""
    storage_class: str = ""
    """"": the cluster's default."""
    wal: str = ""
    """Of a second volume for the log; "": there is none."""
    wal_class: str = ""
    image: str = ""
    """"": the engine's own."""
    resources: Mapping[str, Any] = field(default_factory=dict)
    placement: Mapping[str, Any] = field(default_factory=dict)
    """nodeSelector, tolerations, priorityClassName: as a pod has them."""
    zones: tuple[str, ...] = ()
    """Zones that members may run in; none: all."""
    apart_by_zone: Literal["Required", "Preferred"] = "Preferred"
    apart_by_node: Literal["Required", "Preferred"] = "Required"
    unavailable: int = 1
    """Members that a drain may take at once, as far as the quorum can spare them."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tls: bool = False
    authority: str = ""
    """A Secret of the user's own with an authority; "": one is made."""
    rotate: str = ""
    """The value of the annotation by which passwords and certificates are made anew."""
    switchover: str = ""
    """The value of the annotation by which the member that leads hands over."""
    claims: Literal["Retain", "Delete"] = "Retain"
    """What becomes of the claims once the service is deleted."""
    upgrade: Upgrade = field(default_factory=Upgrade)
    """How members are replaced, and when."""
    repository: Repository | None = None
    """Where its backups lie, for an engine that brings its log there too; None: nowhere, or not in a bucket."""

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def title(self) -> str:
        """`prod/orders`, for messages."""
        return f"{self.namespace}/{self.name}"

    def member(self, ordinal: int) -> str:
        """The name of a member's pod."""
        return f"{self.name}-{ordinal}"

    def names(self, members: int) -> list[str]:
        """The names of the first members."""
        return [self.member(ordinal) for ordinal in range(members)]


def read(model: StatefulService) -> Service:
    """The service that an object asks for."""
    spec, metadata = model.spec, model.metadata
    placement = spec.placement.dump() if spec.placement is not None else {}
    return Service(
        namespace=text_of(metadata, "namespace"),
        name=text_of(metadata, "name"),
        uid=text_of(metadata, "uid"),
        api_version=API_VERSION,
        engine=spec.engine,
        version=spec.version,
        members=spec.members,
        size=spec.storage.size,
        storage_class=spec.storage.class_ or "",
        wal=spec.storage.wal.size if spec.storage.wal is not None else "",
        wal_class=(spec.storage.wal.class_ or "") if spec.storage.wal is not None else "",
        image=spec.image or "",
        resources=_without_empty(spec.resources.dump() if spec.resources is not None else {}),
        placement=_without_empty(placement),
        zones=tuple(spec.availability.zones),
        apart_by_zone=spec.availability.spread.zones,
        apart_by_node=spec.availability.spread.nodes,
        unavailable=spec.availability.disruption.max_unavailable,
        parameters=dict(spec.parameters),
        tls=spec.tls.enabled,
        authority=(spec.tls.authority or "") if spec.tls.enabled else "",
        rotate=text_of(mapping_of(metadata, "annotations"), ROTATE),
        switchover=text_of(mapping_of(metadata, "annotations"), SWITCHOVER),
        claims=spec.deletion_policy.claims,
        upgrade=spec.upgrade,
        repository=repository_of(model),
    )


def not_carried_out(model: StatefulService, wal: bool) -> str:
    """What the object asks for and nobody here does; "" if there is nothing. To pass over it would be a lie.

    `wal`: whether members of this engine can have a second volume.
    """
    spec = model.spec
    if spec.storage.wal is not None and not wal:
        return f"storage.wal: {spec.engine} is run with one volume a member; leave it out"
    if spec.tls.authority is not None and not spec.tls.enabled:
        return "tls.authority: means nothing without TLS; leave it out"
    return ""


def _without_empty(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value not in ({}, [], None)}
