"""What the models of our kinds share: camelCase outside, types with limits, rules in CEL beside the field that they judge.

The models are the source of the CustomResourceDefinitions (`crds`), so every text, list and mapping has a limit, and a
field's description is its documentation (`kubectl explain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

RULES: Final = "x-kubernetes-validations"


class Model(BaseModel):
    """A mapping of ours. What it does not know it passes over: a newer version may have written it."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", serialize_by_alias=True)

    def dump(self) -> dict[str, Any]:
        """As JSON has it, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(
    rule: str,
    message: str,
    *,
    at: str = "",
    creation: bool = False,
) -> dict[str, Any]:
    """A rule for the API server. `message` is CEL too: what is wrong, why, what to do instead.

    `at` is the field below that is named; `creation`: judged when the object is made as well, `oldSelf` is optional then.
    """
    found: dict[str, Any] = {"rule": rule, "messageExpression": message}
    if at:
        found["fieldPath"] = at
    if creation:
        found["optionalOldSelf"] = True
    return found


def judged(*rules: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """For `json_schema_extra`: rules of a field or a mapping, and other words of its schema."""
    return {RULES: [dict(one) for one in rules], **more} if rules else dict(more)


def by_key(*keys: str) -> dict[str, Any]:
    """For `json_schema_extra` of a list: its items are told apart by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


AS_SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}


def _whole_seconds(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


Time = Annotated[datetime, AfterValidator(_whole_seconds)]
"""RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
Moment = Annotated[AwareDatetime, AfterValidator(lambda time: time.astimezone(UTC))]
"""RFC 3339 in UTC, to the microsecond: a whole second is hundreds of writes."""

Name = Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Of an object."""
Label = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""Of a namespace, or of an object whose name becomes a part of others."""
Text = Annotated[str, Field(max_length=1024)]
Word = Annotated[str, Field(max_length=64)]

Size = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|Ei|k|M|G|T|P|E)?$")]
"""A quantity of bytes: `20Gi`."""

Duration = Annotated[str, Field(max_length=16, pattern=r"^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$", min_length=2)]
"""`90s`, `15m`, `1h30m`, `2d`."""

Cron = Annotated[
    str,
    Field(max_length=128, pattern=r"^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|\S+ +\S+ +\S+ +\S+ +\S+)$"),
]
"""Minute, hour, day of the month, month, day of the week; or `@daily` and the like."""

TimeZone = Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$")]
"""A name of the IANA time zone database."""

Version = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^v?[0-9]+(\.[0-9]+){0,3}([-+][0-9A-Za-z.+-]+)?$")]
"""Of an engine; it starts with a number: `3.5.21`, `17.2`."""
