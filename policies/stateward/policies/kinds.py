"""What a kind's objects are: services that keep data, what belongs to them, what brings other objects."""

from __future__ import annotations

from functools import cache
from typing import Final

from stateward.policies.adapters import shape
from stateward.policies.adapters.catalogue import ADAPTERS, BUILT_IN
from stateward.policies.operators.catalogue import KINDS
from stateward.policies.view import Kind, Object

DELIVERING: Final[frozenset[Kind]] = frozenset(
    {
        "HelmRelease.helm.toolkit.fluxcd.io",
        "HelmRelease.helm.fluxcd.io",
        "HelmRelease.flux.weave.works",
        "Kustomization.kustomize.toolkit.fluxcd.io",
        "Application.argoproj.io",
        "ApplicationSet.argoproj.io",
        "HelmChart.helm.cattle.io",
        "Bundle.fleet.cattle.io",
        "GitRepo.fleet.cattle.io",
        "App.kappctrl.k14s.io",
        "PackageInstall.packaging.carvel.dev",
    }
)
"""Kinds whose objects take along what they brought when they are deleted."""

_STORAGE: Final = (
    "snapshot.storage.k8s.io",
    "objectbucket.io",
    "longhorn.io",
    "linstor.linbit.com",
    "piraeus.io",
    "topolvm.io",
)
"""Groups of storage itself: volumes, buckets, snapshots."""


def is_service(kind: Kind, item: Object) -> bool:
    """Whether an object is a service that keeps data, as far as its kind or its shape tells."""
    adapter = ADAPTERS.get(kind)
    if adapter is not None:
        return adapter.applies(item)
    shaped = shape.adapter_of(kind)
    return kind in KINDS or (shaped is not None and shaped.applies(item))


def is_of_services(kind: Kind) -> bool:
    """Whether a kind is one of those that an operator of such services brings (topics, pools, backups), or of storage."""
    group = kind.partition(".")[2]
    if group in _groups() or any(group == own.group for own in ADAPTERS.own.values()):
        return True
    return any(group == one or group.endswith(f".{one}") for one in _STORAGE)


@cache
def _groups() -> frozenset[str]:
    return frozenset(kind.partition(".")[2] for kind in (*BUILT_IN, *KINDS))
