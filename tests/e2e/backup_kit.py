"""Backups and restores, as a user asks for them."""

from __future__ import annotations

from typing import Any

from cluster_kit import Kubectl, eventually
from operated import built, given

BACKUPS, RESTORES = "servicebackups.stateward.dev", "servicerestores.stateward.dev"


def claim(name: str, size: str) -> dict[str, Any]:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def asked(kind: str, name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "stateward.dev/v1beta1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def ended(kubectl: Kubectl, kind: str, name: str, seconds: float = 240) -> dict[str, Any]:
    """The status of a backup or a restore once it has ended."""

    def status() -> dict[str, Any]:
        found: dict[str, Any] = kubectl.get(kind, name).get("status", {})
        return found

    eventually(lambda: status().get("phase") in ("Complete", "Failed", "Refused"), f"{name} ends", seconds)
    return status()


def restic() -> tuple[str, ...]:
    """The image of a cluster without a registry; elsewhere the one that is public."""
    return () if given() else ("--restic-image", built("restic:0.18"))
