"""The CustomResourceDefinitions of the operator's kinds. `docs/generate.py` writes them into `manifests/crds/`."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from stateward.operator.api import schema, v1alpha1, v1beta1
from stateward.operator.api.model import GROUP

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
        _column("Engine", "string", ".spec.engine"),
        _column("Version", "string", ".spec.version"),
        _column("Members", "integer", ".spec.members"),
        _column("Serving", "integer", ".status.readyMembers"),
        _column("Ready", "string", f"{_READY}.status"),
        _column("Doing", "string", ".status.operation.kind"),
        _column("Backup", "date", ".status.backup.last.time"),
        _column("Running", "string", ".status.runningVersion", wide=True),
        _column("Primary", "string", ".status.primary", wide=True),
        _column("Reason", "string", f"{_READY}.message", wide=True),
        _column("Age", "date", ".metadata.creationTimestamp"),
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
    found = _crd("StatefulService", SERVICES, ["sfs"], old, new)
    found["spec"]["conversion"] = conversion()
    return found


def backup() -> Crd:
    """ServiceBackup."""
    columns = [
        _column("Service", "string", ".spec.service"),
        _column("Phase", "string", ".status.phase"),
        _column("Version", "string", ".status.version"),
        _column("Size", "integer", ".status.size", wide=True),
        _column("Location", "string", ".status.location", wide=True),
        _column("Verified", "date", ".status.verified"),
        _column("Completed", "date", ".status.completed"),
        _column("Age", "date", ".metadata.creationTimestamp"),
    ]
    more = {
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".spec.service"}],
    }
    return _crd("ServiceBackup", BACKUPS, ["sfb"], _version(v1beta1.VERSION, v1beta1.ServiceBackup, more))


def restore() -> Crd:
    """ServiceRestore."""
    columns = [
        _column("Service", "string", ".spec.service"),
        _column("Backup", "string", ".spec.source.backup.name"),
        _column("Phase", "string", ".status.phase"),
        _column("Step", "string", ".status.step", wide=True),
        _column("RTO", "integer", ".status.rtoSeconds", wide=True),
        _column("Reason", "string", ".status.message", wide=True),
        _column("Completed", "date", ".status.completed"),
        _column("Age", "date", ".metadata.creationTimestamp"),
    ]
    more = {
        "additionalPrinterColumns": columns,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": ".spec.service"}],
    }
    return _crd("ServiceRestore", RESTORES, ["sfr"], _version(v1beta1.VERSION, v1beta1.ServiceRestore, more))


def conversion(namespace: str = "stateward", name: str = "stateward", port: int = 443) -> dict[str, Any]:
    """`spec.conversion`, without the caBundle, which the installed door adds (`stateward.kube.converting`).

    Until then objects are served as they are stored, and a request for v1alpha1 fails: nothing of them is dropped.
    """
    service = {"namespace": namespace, "name": name, "port": port, "path": "/convert"}
    return {
        "strategy": "Webhook",
        "webhook": {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]},
    }


def _version(name: str, model: type[BaseModel], more: dict[str, Any]) -> dict[str, Any]:
    stored = name == v1beta1.VERSION
    return {"name": name, "served": True, "storage": stored, **more, "schema": {"openAPIV3Schema": schema.of_kind(model)}}


def _column(name: str, type_: str, path: str, *, wide: bool = False) -> dict[str, Any]:
    return {"name": name, "type": type_, "jsonPath": path, **({"priority": 1} if wide else {})}


def _crd(kind: str, plural: str, short: list[str], *versions: dict[str, Any]) -> Crd:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "stateward"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": short,
                "categories": ["stateward", "all"] if plural == SERVICES else ["stateward"],
            },
            "scope": "Namespaced",
            "versions": list(versions),
        },
    }
