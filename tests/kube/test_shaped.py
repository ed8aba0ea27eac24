"""The custom kinds that are asked about though no adapter knows them."""

from __future__ import annotations

from typing import Any, cast

from stateward.kube.client import Cluster
from stateward.kube.shaped import CRDS, shaped

STORAGE = {"storage": {"properties": {"size": {"type": "string"}}}}
HOST = {"host": {"type": "string"}}


def crd(kind: str, group: str, properties: dict[str, Any], scope: str = "Namespaced") -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"properties": {"spec": {"properties": properties}}}}
    return {
        "metadata": {"name": f"{kind.lower()}s.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": f"{kind.lower()}s"},
            "versions": [
                {"name": "v1alpha1", "served": False, "schema": {"openAPIV3Schema": {"properties": {"spec": STORAGE}}}},
                {"name": "v1", "served": True, "schema": schema},
            ],
        },
        "status": {"conditions": [{"type": "Established", "status": "True"}]},
    }


class Pages:
    """A cluster that gives one CRD a page."""

    def __init__(self, *crds: dict[str, Any]) -> None:
        self.crds = crds

    def list_page(self, path: str, *, limit: int, token: str) -> dict[str, Any]:
        assert path == CRDS
        assert limit > 0
        index = int(token or 0)
        more = {"continue": str(index + 1)} if index + 1 < len(self.crds) else {}
        return {"items": [self.crds[index]], "metadata": more}


def test_what_can_ask_for_volumes_and_has_no_adapter_is_named_once_and_in_order() -> None:
    cluster = Pages(
        crd("Nifi", "nifi.example.com", STORAGE),
        crd("Garage", "garage.example.com", STORAGE),
        crd("Route", "garage.example.com", HOST),
        crd("Pool", "garage.example.com", STORAGE, scope="Cluster"),
        crd("Cluster", "postgresql.cnpg.io", STORAGE),
        crd("Snapshot", "snapshot.storage.k8s.io", STORAGE),
    )
    assert shaped(cast(Cluster, cluster)) == (("garage.example.com", "garages"), ("nifi.example.com", "nifis"))


def test_a_kind_that_is_not_established_is_not_named() -> None:
    waiting = crd("Garage", "garage.example.com", STORAGE)
    waiting["status"] = {}
    assert shaped(cast(Cluster, Pages(waiting))) == ()
