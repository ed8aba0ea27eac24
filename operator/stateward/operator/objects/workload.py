"""The StatefulSet of a service, and what its pods are like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

import orjson

from stateward.kube.definition import GROUP
from stateward.operator.drivers import template
from stateward.operator.drivers.protocol import Beside, Container, Keys
from stateward.operator.objects import restricted
from stateward.operator.objects.common import (
    CONTAINER,
    RUNS,
    SPEAKS_TLS,
    TLS,
    VERSION,
    VOLUME,
    WAL,
    Item,
    config,
    headless,
    labels,
    named,
    secret_config,
    selector,
    server_tls,
)
from stateward.operator.service import Service

KEPT: Final = f"{GROUP}/kept"
"""Annotation of the ConfigMap: what the StatefulSet is to be. No claim template can be changed: to grow, a set is deleted
around its pods, and what its notes said must outlive it, and whoever deleted it."""
_ZONE: Final = "topology.kubernetes.io/zone"


@dataclass(frozen=True, slots=True)
class Running:
    """What the StatefulSet is to be like now: one step of the way to what the service asks for."""

    replicas: int
    version: str
    image: str
    storage_class: str
    size: str
    notes: Mapping[str, str]
    """Annotations by which the loop remembers what status alone must not be trusted with."""
    tls: bool = False
    """Whether members speak TLS. It stays as it was when the service was made: members of both kinds do not mix."""
    wal: str = ""
    """The size of the second volume; "": there is none, which stays as it was when the service was made."""
    wal_class: str = ""


def stateful_set(
    service: Service,
    container: Container,
    running: Running,
    runs: str = "",
    parked: bool = False,
    marks: Mapping[str, str] | None = None,
) -> Item:
    """OnDelete: a pod is replaced when the loop says so, one at a time. Its claims outlive it, whatever is deleted.

    `runs` is what pods are known by (`fingerprint`), `marks` more of it; a `parked` one has no pods for a moment.
    """
    annotations = {RUNS: runs, VERSION: running.version, **(marks or {})}
    metadata = {"labels": _labels(service, container), "annotations": annotations}
    spec = {
        "replicas": 0 if parked else running.replicas,
        "serviceName": headless(service),
        "podManagementPolicy": "Parallel",
        "updateStrategy": {"type": "OnDelete"},
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Retain", "whenScaled": "Retain"},
        "selector": {"matchLabels": selector(service)},
        "template": {"metadata": metadata, "spec": pod(service, container, running)},
        "volumeClaimTemplates": _claims(service, running),
    }
    found = named(service, "apps/v1", "StatefulSet", service.name, spec=spec)
    found["metadata"]["annotations"] = dict(running.notes)
    return found


def _labels(service: Service, container: Container) -> Item:
    """Ours cannot be written over by the engine's."""
    return {**template.render(dict(container.labels), {"service.name": service.name}), **labels(service)}


def pod(service: Service, container: Container, running: Running) -> Item:
    """A pod of the profile `restricted` (Pod Security Standards)."""
    return {
        "serviceAccountName": service.name,
        "automountServiceAccountToken": bool(container.rights),
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": container.grace,
        "securityContext": restricted.of_pod(container.user),
        **_before(container, running),
        "containers": [
            _container(service, container, running),
            *(_beside(one, container, running) for one in container.beside),
        ],
        "volumes": _volumes(service, container),
        **_spread(service),
        **service.placement,
    }


def configuration(service: Service, running: Running, files: Mapping[str, str]) -> Item:
    """The members' files; and what the StatefulSet is to be, for when it is made anew around its pods."""
    found = named(service, "v1", "ConfigMap", config(service), data=dict(files))
    found["metadata"]["annotations"] = {KEPT: kept(running)}
    return found


def kept(running: Running) -> str:
    """What a StatefulSet is to be, as text: that and its members' claims are all that is left while it is made anew."""
    return orjson.dumps(running, option=orjson.OPT_SORT_KEYS).decode()


def recalled(text: str, otherwise: Running) -> Running | None:
    """What was kept; what an older operator did not keep is as `otherwise`. None where nothing was."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(found, dict):
        return None
    names = {one.name for one in fields(Running)} & found.keys()
    like = {name: getattr(otherwise, name) for name in names}
    same = {name: found[name] for name in names if like[name] is None or isinstance(found[name], type(like[name]))}
    return replace(otherwise, **same) if names else None


def account(service: Service) -> Item:
    """An account that may do nothing, but where the engine itself has to ask the API server (`rights`)."""
    return named(service, "v1", "ServiceAccount", service.name, automountServiceAccountToken=False)


def _before(container: Container, running: Running) -> Item:
    if not container.prepare:
        return {}
    return {"initContainers": [{"name": "prepare", "command": list(container.prepare), **_common(container, running)}]}


def _beside(one: Beside, container: Container, running: Running) -> Item:
    probes = {"readinessProbe": one.readiness, "livenessProbe": one.liveness}
    return {
        "name": one.name,
        "command": list(one.command),
        "ports": _ports(one.ports),
        "resources": {"requests": dict(one.requests)},
        **_common(container, running),
        **{name: dict(probe) for name, probe in probes.items() if probe is not None},
    }


def _common(container: Container, running: Running) -> Item:
    """What every container of a member has: the image, the files, the volumes."""
    fields = {"POD_NAME": "metadata.name", "POD_IP": "status.podIP", "POD_NAMESPACE": "metadata.namespace"}
    environment: list[Item] = [
        {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}} for name, path in fields.items()
    ]
    environment += [{"name": name, "value": value} for name, value in container.environment.items()]
    mounts: list[Item] = [
        {"name": VOLUME, "mountPath": container.data},
        {"name": "config", "mountPath": container.files, "readOnly": True},
    ]
    if running.wal:
        mounts.insert(1, {"name": WAL, "mountPath": container.wal})
    if container.secrets:
        mounts.append({"name": "secrets", "mountPath": container.secrets, "readOnly": True})
    if container.tls:
        mounts.append({"name": TLS, "mountPath": container.tls, "readOnly": True})
    if container.keys is not None:
        mounts.append({"name": "keys", "mountPath": container.keys.folder, "readOnly": True})
    mounts += [{"name": _scratch(number), "mountPath": path} for number, path in enumerate(container.scratch)]
    return {
        "image": running.image,
        "imagePullPolicy": "IfNotPresent",
        "env": environment,
        "securityContext": restricted.of_container(),
        "volumeMounts": mounts,
    }


def _volumes(service: Service, container: Container) -> list[Item]:
    found: list[Item] = [{"name": "config", "configMap": {"name": config(service)}}]
    if container.secrets:
        # A program of another group must not read it; the pod's group is that of the engine.
        found.append({"name": "secrets", "secret": {"secretName": secret_config(service), "defaultMode": 0o440}})
    if container.tls:
        found.append({"name": TLS, "secret": {"secretName": server_tls(service), "defaultMode": 0o440}})
    if container.keys is not None:
        # A Secret that is gone must not keep a member from starting: what it opens is not where its data is.
        found.append(mounted(container.keys, optional=True))
    return [*found, *({"name": _scratch(number), "emptyDir": {}} for number, _ in enumerate(container.scratch))]


def mounted(keys: Keys, optional: bool = False) -> Item:
    """The volume of these entries."""
    more = {"optional": True} if optional else {}
    sources = [{"secret": {"name": secret, "items": [{"key": key, "path": key}], **more}} for secret, key in keys.files]
    return {"name": "keys", "projected": {"sources": sources, "defaultMode": 0o440}}


def _scratch(number: int) -> str:
    return f"scratch-{number}"


def _ports(ports: Mapping[str, int]) -> list[Item]:
    return [{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in ports.items()]


def _container(service: Service, container: Container, running: Running) -> Item:
    return {
        "name": CONTAINER,
        **({"command": list(container.command)} if container.command else {}),
        "ports": _ports(container.ports),
        "resources": dict(service.resources) if service.resources else {"requests": dict(container.requests)},
        "readinessProbe": dict(container.readiness),
        "livenessProbe": dict(container.liveness),
        "startupProbe": dict(container.startup),
        **({"lifecycle": {"preStop": {"exec": {"command": list(container.stop)}}}} if container.stop else {}),
        **_common(container, running),
    }


def _claims(service: Service, running: Running) -> list[Item]:
    found = [_claim(service, running, VOLUME, running.size, running.storage_class)]
    return [*found, _claim(service, running, WAL, running.wal, running.wal_class)] if running.wal else found


def _claim(service: Service, running: Running, name: str, size: str, storage_class: str) -> Item:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    if storage_class:
        spec["storageClassName"] = storage_class
    metadata: Item = {"name": name, "labels": {**selector(service), "app.kubernetes.io/managed-by": "stateward"}}
    if running.tls:
        metadata["annotations"] = {SPEAKS_TLS: "true"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": spec}


def _spread(service: Service) -> Item:
    """Members apart from each other: on different nodes, and evenly over the zones."""
    matching = {"labelSelector": {"matchLabels": selector(service)}}
    zones = {
        "maxSkew": 1,
        "topologyKey": _ZONE,
        "whenUnsatisfiable": "DoNotSchedule" if service.apart_by_zone == "Required" else "ScheduleAnyway",
        **matching,
    }
    return {"topologySpreadConstraints": [zones], "affinity": {"podAntiAffinity": _apart(service), **_within(service)}}


def _apart(service: Service) -> Item:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": selector(service)}}
    if service.apart_by_node == "Required":
        return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def _within(service: Service) -> Item:
    if not service.zones:
        return {}
    terms = [{"matchExpressions": [{"key": _ZONE, "operator": "In", "values": list(service.zones)}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
