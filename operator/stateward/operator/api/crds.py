"""The CustomResourceDefinitions of the operator's kinds. `docs/generate.py` writes them into `manifests/crds/`."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from stateward.kube.definition import column, definition
from stateward.operator.api import schema, v1alpha1, v1beta1

Crd = dict[str, Any]

SERVICES: Final = "statefulservices"
BACKUPS: Final = "servicebackups"
RESTORES: Final = "servicerestores"

_READY: Final = '.status.conditions[?(@.type=="Ready")]'


def documents() -> dict[str, Crd]:
    """File name → CustomResourceDefinition."""
    return {f"{plural}.yaml": crd for plural, crd in ((SERVICES, service()), (BACKUPS, backup()), (RESTORES, restore()))}


def service() -> Crd:
    """StatefulService: stored as v1beta1, served as v1alpha1 too."""
    columns = [
        column("Engine", "string", ".spec.engine"),
        column("Version", "string", ".spec.version"),
        column("Members", "integer", ".spec.members"),
        column("Serving", "integer", ".status.readyMembers"),
        column("Ready", "string", f"{_READY}.status"),
        column("Doing", "string", ".status.operation.kind"),
        column("Backup", "date", ".status.backup.last.time"),
        column("Running", "string", ".status.runningVersion", wide=True),
        column("Primary", "string", ".status.primary", wide=True),
        column("Reason", "string", f"{_READY}.message", wide=True),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
    subresources = {
        "status": {},
        "scale": {
            "specReplicasPath": ".spec.members",
            "statusReplicasPath": ".status.currentMembers",
            "labelSelectorPath": ".status.selector",
        },
    }
    more = {
        "additionalPrinterColumns": columns,
        "subresources": subresources,
    }
    old = _version(v1alpha1.VERSION, v1alpha1.StatefulService, more)
    old["deprecated"] = True
    old["deprecationWarning"] = (
        "stateward.dev/v1alpha1 StatefulService is deprecated; write v1beta1: backup.retentionDays is backup.retention.days"
    )
    new = _version(v1beta1.VERSION, v1beta1.StatefulService, more)
    # Of this version alone: the API server refuses versions that have the same ones and different schemas.
    new["selectableFields"] = [{"jsonPath": ".spec.engine"}, {"jsonPath": ".spec.version"}]
    found = definition("StatefulService", SERVICES, "Namespaced", ["sfs"], [old, new], ["stateward", "all"])
    found["spec"]["conversion"] = conversion()
    return found


def backup() -> Crd:
    """ServiceBackup."""
    columns = [
        column("Service", "string", ".spec.service"),
        column("Phase", "string", ".status.phase"),
        column("Version", "string", ".status.version"),
        column("Size", "integer", ".status.size", wide=True),
        column("Location", "string", ".status.location", wide=True),
        column("Verified", "date", ".status.verified"),
        column("Completed", "date", ".status.completed"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
    return _of_a_service(BACKUPS, "sfb", v1beta1.ServiceBackup, columns)


def restore() -> Crd:
    """ServiceRestore."""
    columns = [
        column("Service", "string", ".spec.service"),
        column("Backup", "string", ".spec.source.backup.name"),
        column("Phase", "string", ".status.phase"),
        column("Step", "string", ".status.step", wide=True),
        column("RTO", "integer", ".status.rtoSeconds", wide=True),
        column("Reason", "string", ".status.message", wide=True),
        column("Completed", "date", ".status.completed"),
        column("Age", "date", ".metadata.creationTimestamp"),
    ]
    return _of_a_service(RESTORES, "sfr", v1beta1.ServiceRestore, columns)


def conversion(namespace: str = "stateward", name: str = "stateward", port: int = 443) -> dict[str, Any]:
    """`spec.conversion`, without the caBundle, which the installed door adds (`stateward.kube.converting`).

    Until then objects are served as they are stored, and a request for v1alpha1 fails: nothing of them is dropped.
    """
    service = {"namespace": namespace, "name": name, "port": port, "path": "/convert"}
    return {
        "strategy": "Webhook",
        "webhook": {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]},
    }


def _of_a_service(plural: str, short: str, model: type[BaseModel], columns: list[dict[str, Any]]) -> Crd:
    """A kind that is about one service, and selected by it."""
    more = {
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".spec.service"}],
    }
    return definition(model.__name__, plural, "Namespaced", [short], [_version(v1beta1.VERSION, model, more)])


def _version(name: str, model: type[BaseModel], more: dict[str, Any]) -> dict[str, Any]:
    stored = name == v1beta1.VERSION
    return {"name": name, "served": True, "storage": stored, **more, "schema": {"openAPIV3Schema": schema.of_kind(model)}}
