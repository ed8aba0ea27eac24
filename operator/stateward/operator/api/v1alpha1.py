"""StatefulService as it was first served: `backup.retentionDays` is what v1beta1 calls `backup.retention`.

Nobody but the CustomResourceDefinition asks for these models: the operator reads v1beta1, and `/convert` carries objects
from one to the other (`stateward.webhook.conversion`).
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import ConfigDict, Field

from stateward.operator.api import rules, spec
from stateward.operator.api.model import Model, judged
from stateward.operator.api.status import StatefulServiceStatus

VERSION: Final = "v1alpha1"


class Backup(spec.Backups):
    """Backups, taken by the engine's own means."""

    retention_days: int = Field(14, ge=1, le=3650, description="Older ones go.")
    retention_copies: int = Field(3, ge=1, le=1000, description="So many of the newest stay, however old.")


class StatefulServiceSpec(spec.StatefulServiceSpec):
    """A stateful service: which engine, which version, how many members, on what storage. All else has safe defaults."""

    backup: Backup | None = Field(  # type: ignore[assignment]  # the one mapping that has another form
        None, description="Backups by schedule; left out: none are taken."
    )


class StatefulService(Model):
    """A stateful service that Stateward runs. Deprecated: write stateward.dev/v1beta1."""

    model_config = ConfigDict(json_schema_extra=judged(*rules.OBJECT))

    api_version: Literal["stateward.dev/v1alpha1"] = "stateward.dev/v1alpha1"
    kind: Literal["StatefulService"] = "StatefulService"
    metadata: dict[str, Any] = Field(default_factory=dict)
    spec: StatefulServiceSpec
    status: StatefulServiceStatus = Field(default_factory=StatefulServiceStatus)
