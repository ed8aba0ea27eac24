"""Requests that ask an operator for a change (an OpsRequest, a PGUpgrade), judged as the change that they ask for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from stateward.policies.structs import dataclass
from stateward.policies.view import Kind, Object, items_of, mapping_of, text_of


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of such requests."""

    resource: str
    """The kind's plural."""
    target: Kind
    """The kind that it is about."""
    name: Callable[[Object], str]
    """The name of the service, in the request's namespace."""
    apply: Callable[[Object, Object], Object]
    """(request, service's object) → the object as the operator will make it."""


def _ops_name(item: Object) -> str:
    spec = mapping_of(item, "spec")
    return text_of(spec, "clusterName") or text_of(spec, "clusterRef")


def _ops_apply(item: Object, cluster: Object) -> Object:
    """KubeBlocks: Upgrade, HorizontalScaling, VolumeExpansion and Stop of components by name."""
    found: Object = copy.deepcopy(cluster)
    spec = mapping_of(item, "spec")
    parts: dict[str, dict[str, Any]] = {
        text_of(part, "name"): part for part in items_of(mapping_of(found, "spec"), "componentSpecs")
    }
    for row in items_of(mapping_of(spec, "upgrade"), "components"):
        part = parts.get(text_of(row, "componentName"))
        if part is not None:
            part.update({key: row[key] for key in ("serviceVersion", "componentDef") if key in row})
    version = text_of(mapping_of(spec, "upgrade"), "clusterVersionRef")
    if version and type(found.get("spec")) is dict:
        found["spec"]["clusterVersionRef"] = version
    for row in items_of(spec, "horizontalScaling"):
        part = parts.get(text_of(row, "componentName"))
        if part is None:
            continue
        now = part.get("replicas")
        down, up = (mapping_of(row, key).get("replicaChanges", 0) for key in ("scaleIn", "scaleOut"))
        if type(row.get("replicas")) is int:
            part["replicas"] = row["replicas"]
        elif type(now) is int and type(down) is int and type(up) is int:
            part["replicas"] = max(0, now - down + up)
    for row in items_of(spec, "volumeExpansion"):
        part = parts.get(text_of(row, "componentName"))
        sizes = {text_of(one, "name"): one.get("storage") for one in items_of(row, "volumeClaimTemplates")}
        for template in items_of(part or {}, "volumeClaimTemplates"):
            if text_of(template, "name") in sizes:
                requests = template.setdefault("spec", {}).setdefault("resources", {}).setdefault("requests", {})
                requests["storage"] = sizes[text_of(template, "name")]
    if text_of(spec, "type") == "Stop":
        for part in parts.values():
            part["stop"] = True
    return found


def _upgrade_apply(item: Object, cluster: Object) -> Object:
    found: Object = copy.deepcopy(cluster)
    wanted = mapping_of(item, "spec").get("toPostgresVersion")
    if type(found.get("spec")) is dict and wanted is not None:
        found["spec"]["postgresVersion"] = wanted
    return found


_PGO: Final = "postgres-operator.crunchydata.com"
_OPS: Final = Operation("opsrequests", "Cluster.apps.kubeblocks.io", _ops_name, _ops_apply)

OPERATIONS: Final[Mapping[Kind, Operation]] = {
    "OpsRequest.apps.kubeblocks.io": _OPS,
    "OpsRequest.operations.kubeblocks.io": _OPS,
    f"PGUpgrade.{_PGO}": Operation(
        "pgupgrades",
        f"PostgresCluster.{_PGO}",
        lambda item: text_of(mapping_of(item, "spec"), "postgresClusterName"),
        _upgrade_apply,
    ),
}
"""Kinds whose creation asks for a change of a service."""


def parameters(item: Object) -> list[tuple[str, tuple[str | int, ...]]]:
    """The engine's settings that an OpsRequest changes: (name, path)."""
    found: list[tuple[str, tuple[str | int, ...]]] = []
    spec = mapping_of(item, "spec")
    one = spec.get("reconfigure")
    rows = [(("spec", "reconfigure"), one)] if type(one) is dict else []
    rows += [(("spec", "reconfigures", index), row) for index, row in enumerate(items_of(spec, "reconfigures"))]  # type: ignore[misc]
    for base, row in rows:
        for position, parameter in enumerate(items_of(row, "parameters")):
            found.append((text_of(parameter, "key"), (*base, "parameters", position)))
        for first, configuration in enumerate(items_of(row, "configurations")):
            for second, key in enumerate(items_of(configuration, "keys")):
                here = (*base, "configurations", first, "keys", second, "parameters")
                found += [(text_of(one, "key"), (*here, third)) for third, one in enumerate(items_of(key, "parameters"))]
    return found
