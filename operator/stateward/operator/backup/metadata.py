"""What a backup says of itself: it lies beside the data, so that a lost cluster is restored from the destination alone."""

from __future__ import annotations

import base64
import binascii
import gzip
import zlib
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from stateward.operator.api.model import Time
from stateward.operator.api.spec import StatefulServiceSpec
from stateward.operator.drivers.protocol import Extent

LARGEST: Final = 1 << 20
"""Bytes that it may have, unpacked."""


class Metadata(BaseModel):
    """Of one backup. The spec holds no secrets; passwords of the engine are in its data, if anywhere."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", serialize_by_alias=True)

    format: int = 1
    namespace: str
    service: str
    uid: str
    """Of the service."""
    backup: str
    """The ServiceBackup."""
    engine: str
    version: str
    member: str
    taken: Time
    """When it was begun: all that was acknowledged before is in it."""
    position: str = ""
    count: int | None = None
    what: str = ""
    spec: dict[str, Any]
    """Of the StatefulService."""
    snapshot: str = ""
    """Its own id at the destination; only known once it is there."""
    claim: str = ""
    """The uid of the member's claim, where its volume itself is copied."""
    storage_class: str = ""
    """Of that claim."""
    settles: float = 0.0
    """Seconds after `taken` until that volume holds all of it."""

    def dump(self) -> str:
        """As it is written."""
        return self.model_dump_json(by_alias=True, exclude_none=True)

    @property
    def extent(self) -> Extent:
        """How far the data reaches at least."""
        return Extent(self.position, self.count, self.what)

    def service_spec(self) -> StatefulServiceSpec:
        """Raises ValidationError."""
        return StatefulServiceSpec.model_validate(self.spec)


def made(text: str) -> Metadata | None:
    """Out of its JSON; None where it is none of ours."""
    try:
        found = Metadata.model_validate_json(text)
        found.service_spec()
    except ValidationError:
        return None
    return found


def unpacked(message: str) -> Metadata | None:
    """Out of `SNAPSHOT BASE64(GZIP(JSON))`, as a pod reports it."""
    snapshot, _, packed = message.strip().partition(" ")
    try:
        raw = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(base64.b64decode(packed, validate=True), LARGEST)
        found = made(raw.decode())
    except (binascii.Error, zlib.error, UnicodeDecodeError, ValueError):
        return None
    return found.model_copy(update={"snapshot": snapshot}) if found is not None else None


def packed(snapshot: str, text: str) -> str:
    """The same the other way round."""
    return f"{snapshot} {base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()}"


def seconds_between(earlier: datetime, later: datetime) -> int:
    """Whole seconds, none below zero: clocks differ."""
    return max(0, int((later - earlier).total_seconds()))
