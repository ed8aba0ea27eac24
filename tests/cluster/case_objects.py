"""Objects as cases give them, made such that a real API server takes them.

Cases carry the fields that matter. What the API server also demands is filled in here with values that say nothing:
an image that is no engine, a provisioner that does not exist. What is there is never changed.
"""

from __future__ import annotations

import base64
import copy
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.view import kind_of, kind_of_object

CRD = "CustomResourceDefinition.apiextensions.k8s.io"
NEVER_SENT = frozenset(
    {
        "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
        "MutatingWebhookConfiguration.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicy.admissionregistration.k8s.io",
        "ValidatingAdmissionPolicyBinding.admissionregistration.k8s.io",
        "MutatingAdmissionPolicy.admissionregistration.k8s.io",
        "MutatingAdmissionPolicyBinding.admissionregistration.k8s.io",
    }
)
"""Kinds that an API server never asks a webhook about, lest a webhook lock everybody out."""

_NOWHERE = "stateward.test/nothing"
_KUBE_VERSION = re.compile(r"v([1-9]\d*)(?:(alpha|beta)([1-9]\d*))?")


@dataclass(frozen=True)
class Key:
    """Which object it is, whatever its version."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True)
class Resource:
    """A kind as it is served in one version."""

    kind: str
    group: str
    version: str
    plural: str
    namespaced: bool
    subresources: frozenset[str] = frozenset()

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def everywhere(self) -> str:
        """The path of the collection over all namespaces."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/{self.plural}"

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """The path of an object, of its subresource, or (no name) of the collection."""
        steps = ["apis", self.group, self.version] if self.group else ["api", self.version]
        if self.namespaced:
            steps += ["namespaces", namespace]
        steps += [step for step in (self.plural, name, subresource) if step]
        return "".join(f"/{quote(step, safe='')}" for step in steps)


@dataclass
class Served:
    """What an API server serves."""

    kinds: dict[str, dict[str, Resource]] = field(default_factory=dict)
    """Kind → version → resource, the preferred version first."""

    def read(self, get: Any) -> None:
        """Discovery. `get`: path → JSON."""
        self.kinds.clear()
        groups = [("", ["v1"])]
        for group in get("/apis").get("groups", ()):
            preferred = group["preferredVersion"]["version"]
            versions = sorted((one["version"] for one in group["versions"]), key=lambda one: one != preferred)
            groups.append((group["name"], versions))
        for group, versions in groups:
            for version in versions:
                found = get(f"/apis/{group}/{version}" if group else f"/api/{version}").get("resources", ())
                self._add(group, version, found)

    def _add(self, group: str, version: str, found: Iterable[Mapping[str, Any]]) -> None:
        below: dict[str, set[str]] = {}
        for entry in found:
            name, _, subresource = entry["name"].partition("/")
            below.setdefault(name, set()).add(subresource)
        for entry in found:
            if "/" in entry["name"] or "list" not in entry["verbs"]:
                continue
            kind = kind_of(f"{group}/{version}" if group else version, entry["kind"])
            resource = Resource(
                kind, group, version, entry["name"], entry["namespaced"], frozenset(below[entry["name"]] - {""})
            )
            self.kinds.setdefault(kind, {})[version] = resource

    def define(self, crd: Mapping[str, Any]) -> None:
        """A kind that a CRD defines from now on."""
        spec = crd["spec"]
        kind = f"{spec['names']['kind']}.{spec['group']}"
        self.kinds[kind] = {
            version["name"]: Resource(
                kind,
                spec["group"],
                version["name"],
                spec["names"]["plural"],
                spec["scope"] == "Namespaced",
                frozenset(version.get("subresources") or ()),
            )
            for version in sorted(spec["versions"], key=lambda one: not one.get("storage"))
            if version.get("served", True)
        }

    def forget(self, kind: str) -> None:
        self.kinds.pop(kind, None)

    def of(self, item: Mapping[str, Any]) -> Resource | None:
        """How an object's kind is served: in its own version, else in the preferred one; None if it is not."""
        versions = self.kinds.get(kind_of_object(item))
        if not versions:
            return None
        version = str(item.get("apiVersion", "")).rpartition("/")[2]
        return versions.get(version) or next(iter(versions.values()))


# --- CRDs that take anything -------------------------------------------------------------------------------------


def open_crds(items: Iterable[Mapping[str, Any]], scaled: Iterable[str], served: Served) -> list[dict[str, Any]]:
    """A CRD for each kind met that is not served: any field, every version met, a status where one is met.

    `scaled`: the kinds that a case scales.
    """
    met: dict[str, dict[str, Any]] = {}
    plurals: dict[str, str] = {}
    for item in items:
        kind = kind_of_object(item)
        if kind == CRD:
            spec = item.get("spec") or {}
            names = spec.get("names") or {}
            if names.get("kind") and names.get("plural"):
                plurals[f"{names['kind']}.{spec.get('group')}"] = names["plural"]
        if kind in served.kinds or "." not in kind or kind.endswith(("Scale.autoscaling", "Eviction.policy")):
            continue
        group, _, version = str(item.get("apiVersion")).partition("/")
        one = met.setdefault(kind, {"group": group, "versions": set(), "namespaced": False, "status": False})
        one["versions"].add(version)
        one["namespaced"] |= bool((item.get("metadata") or {}).get("namespace"))
        one["status"] |= "status" in item
    return [
        _open_crd(kind, one, plurals.get(kind), kind in set(scaled) or kind in _SCALED) for kind, one in sorted(met.items())
    ]


_SCALED = frozenset(kind for kind, adapter in ADAPTERS.items() if adapter.scale_path is not None)


def _open_crd(kind: str, met: Mapping[str, Any], plural: str | None, scaled: bool) -> dict[str, Any]:
    name, _, group = kind.partition(".")
    adapter = ADAPTERS.get(kind)
    plural = plural or (adapter.resource if adapter is not None else _plural(name))
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    subresources: dict[str, Any] = {}
    if met["status"] or scaled:
        subresources["status"] = {}
    if scaled:
        path = adapter.scale_path if adapter is not None and adapter.scale_path else ("spec", "replicas")
        subresources["scale"] = {
            "specReplicasPath": "".join(f".{step}" for step in path),
            "statusReplicasPath": ".status.replicas",
        }
    stored = max(met["versions"], key=_priority)
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}},
        "spec": {
            "group": group,
            "names": {"kind": name, "listKind": f"{name}List", "plural": plural, "singular": name.lower()},
            "scope": "Namespaced" if met["namespaced"] else "Cluster",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": version == stored,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "properties": {"spec": anything, "status": anything}}
                        | {"x-kubernetes-preserve-unknown-fields": True}
                    },
                    **({"subresources": subresources} if subresources else {}),
                }
                for version in sorted(met["versions"])
            ],
        },
    }


def _plural(name: str) -> str:
    word = name.lower()
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if word.endswith(("s", "x", "ch", "sh")) else f"{word}s"


def _priority(version: str) -> tuple[int, int, int, str]:
    found = _KUBE_VERSION.fullmatch(version)
    if found is None:
        return (0, 0, 0, version)
    return ({"alpha": 1, "beta": 2, None: 3}[found[2]], int(found[1]), int(found[3] or 0), version)


# --- what is filled in -------------------------------------------------------------------------------------------


def complete(item: Mapping[str, Any], namespace: str = "") -> dict[str, Any]:
    """A copy that has what its kind demands. `namespace`: where it lies if it does not say."""
    whole = copy.deepcopy(dict(item))
    metadata = _mapping(whole, "metadata")
    for key in ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"):
        metadata.pop(key, None)
    metadata.pop("deletionTimestamp", None)
    metadata.pop("deletionGracePeriodSeconds", None)
    if namespace and not metadata.get("namespace"):
        metadata["namespace"] = namespace
    for key in ("labels", "annotations"):
        if isinstance(metadata.get(key), dict):
            metadata[key] = {name: _text(value) for name, value in metadata[key].items()}
    for reference in metadata.get("ownerReferences") or ():
        reference.setdefault("uid", "00000000-0000-0000-0000-000000000000")
        reference.setdefault("apiVersion", "v1")
    fill = _FILLS.get(kind_of_object(whole))
    if fill is not None:
        fill(whole)
    return whole


def _mapping(item: dict[str, Any], key: str) -> dict[str, Any]:
    found = item.get(key)
    if not isinstance(found, dict):
        found = item[key] = {}
    return found


def _text(value: Any) -> str:
    """As a person meant it who forgot the quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _pod_spec(spec: dict[str, Any], claimed: Iterable[str] = ()) -> None:
    if not spec.get("containers"):
        spec["containers"] = [{}]
    volumes = {volume.get("name") for volume in spec.get("volumes") or ()} | set(claimed)
    for place in ("containers", "initContainers"):
        for number, container in enumerate(spec.get(place) or ()):
            container.setdefault("name", f"{place.lower()}-{number}")
            container.setdefault("image", _NOWHERE)
            for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
                if isinstance(container.get(probe), dict) and not {"exec", "httpGet", "tcpSocket", "grpc"} & set(
                    container[probe]
                ):
                    container[probe]["exec"] = {"command": ["true"]}
            for mount in container.get("volumeMounts") or ():
                if mount.get("name") and mount["name"] not in volumes:
                    volumes.add(mount["name"])
                    spec.setdefault("volumes", []).append({"name": mount["name"], "emptyDir": {}})


def _pod(item: dict[str, Any]) -> None:
    _pod_spec(_mapping(item, "spec"))


def _workload(item: dict[str, Any]) -> None:
    spec = _mapping(item, "spec")
    template = _mapping(spec, "template")
    selector = _mapping(spec, "selector")
    labels = _mapping(_mapping(template, "metadata"), "labels")
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        selector["matchLabels"] = dict(labels) or {"app": item["metadata"].get("name", "x")}
    for key, value in (selector.get("matchLabels") or {}).items():
        labels.setdefault(key, value)
    claims = spec.get("volumeClaimTemplates") or []
    for number, claim in enumerate(claims):
        _mapping(claim, "metadata").setdefault("name", f"claim-{number}")
        _claim_spec(_mapping(claim, "spec"))
    _pod_spec(_mapping(template, "spec"), [claim["metadata"]["name"] for claim in claims])
    status = item.get("status")
    if isinstance(status, dict):
        counts = ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "fullyLabeledReplicas")
        status["replicas"] = max([status.get("replicas") or 0, *(status.get(key) or 0 for key in counts)])
        if status.get("availableReplicas"):
            status.setdefault("readyReplicas", status["availableReplicas"])
        if item.get("kind") == "StatefulSet":
            status.setdefault("availableReplicas", 0)


def _job(item: dict[str, Any]) -> None:
    spec = _mapping(item, "spec")
    spec = _mapping(_mapping(spec, "jobTemplate"), "spec") if item.get("kind") == "CronJob" else spec
    pod = _mapping(_mapping(spec, "template"), "spec")
    pod.setdefault("restartPolicy", "Never")
    _pod_spec(pod)
    if item.get("kind") == "CronJob":
        item["spec"].setdefault("schedule", "0 0 * * *")


def _claim_spec(spec: dict[str, Any], size: str = "1Gi") -> None:
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    _mapping(_mapping(spec, "resources"), "requests").setdefault("storage", size)


def _claim(item: dict[str, Any]) -> None:
    stored = ((item.get("status") or {}).get("capacity") or {}).get("storage")
    _claim_spec(_mapping(item, "spec"), stored or "1Gi")


def _volume(item: dict[str, Any]) -> None:
    spec = _mapping(item, "spec")
    _mapping(spec, "capacity").setdefault("storage", "1Gi")
    spec.setdefault("accessModes", ["ReadWriteOnce"])
    known = {"capacity", "accessModes", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions", "volumeMode"}
    known |= {"nodeAffinity", "claimRef", "volumeAttributesClassName"}
    if not set(spec) - known:
        spec["csi"] = {"driver": "none.stateward.test", "volumeHandle": item["metadata"].get("name", "x")}
    if spec.get("claimRef"):
        _mapping(item, "status").setdefault("phase", "Released")  # a new one is Pending, as if never bound


def _service(item: dict[str, Any]) -> None:
    spec = _mapping(item, "spec")
    if spec.get("clusterIP") not in (None, "None"):
        del spec["clusterIP"]  # of another cluster's range
        spec.pop("clusterIPs", None)
    if spec.get("type") == "ExternalName":
        spec.setdefault("externalName", "nowhere.stateward.test")
    elif not spec.get("ports") and spec.get("clusterIP") != "None":
        spec["ports"] = [{"port": 1}]
    for number, port in enumerate(spec.get("ports") or ()):
        port.setdefault("port", number + 1)
        if len(spec["ports"]) > 1:
            port.setdefault("name", f"port-{number}")


def _secret(item: dict[str, Any]) -> None:
    for key, value in (item.get("data") or {}).items():
        try:
            base64.b64decode(_text(value), validate=True)
        except ValueError:
            value = base64.b64encode(_text(value).encode()).decode()
        item["data"][key] = value
    if isinstance(item.get("stringData"), dict):
        item["stringData"] = {key: _text(value) for key, value in item["stringData"].items()}
    wanted = {
        "kubernetes.io/tls": ("tls.crt", "tls.key"),
        "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
        "kubernetes.io/ssh-auth": ("ssh-privatekey",),
        "kubernetes.io/basic-auth": ("username",),
    }.get(str(item.get("type")), ())
    for key in wanted:
        if key not in (item.get("stringData") or {}):
            empty = "e30=" if key.startswith(".") else ""
            _mapping(item, "data").setdefault(key, empty)
    if item.get("type") == "kubernetes.io/service-account-token":
        annotations = _mapping(item["metadata"], "annotations")
        annotations.setdefault("kubernetes.io/service-account.name", "default")


def _settings(item: dict[str, Any]) -> None:
    if isinstance(item.get("data"), dict):
        item["data"] = {key: _text(value) for key, value in item["data"].items()}


def _class(item: dict[str, Any]) -> None:
    item.setdefault("provisioner", "none.stateward.test")


def _priority_class(item: dict[str, Any]) -> None:
    item.setdefault("value", 0)


def _autoscaler(item: dict[str, Any]) -> None:
    spec = _mapping(item, "spec")
    spec.setdefault("maxReplicas", max(1, spec.get("minReplicas") or 1))
    target = _mapping(spec, "scaleTargetRef")
    target.setdefault("kind", "StatefulSet")
    target.setdefault("name", item["metadata"].get("name", "x"))
    if isinstance(item.get("status"), dict):
        item["status"].setdefault("desiredReplicas", 0)
        item["status"].setdefault("currentReplicas", 0)


def _slice(item: dict[str, Any]) -> None:
    item.setdefault("addressType", "IPv4")
    if item.get("endpoints") is None:
        item["endpoints"] = []


def _hook(item: dict[str, Any]) -> None:
    for number, hook in enumerate(item.get("webhooks") or ()):
        hook.setdefault("name", f"hook-{number}.stateward.test")
        hook.setdefault("sideEffects", "None")
        hook.setdefault("admissionReviewVersions", ["v1"])
        if not hook.get("clientConfig"):
            hook["clientConfig"] = {"url": "https://127.0.0.1:1/"}
        hook["clientConfig"].pop("caBundle", None)
        # It is there to be looked at. Were it asked, it would stop the cluster in which we ask.
        hook["matchConditions"] = [{"name": "never", "expression": "false"}]


def _revision(item: dict[str, Any]) -> None:
    item.setdefault("revision", 1)


def _crd(item: dict[str, Any]) -> None:
    spec = _mapping(item, "spec")
    if str(spec.get("group", "")).endswith(("k8s.io", "kubernetes.io")):
        _mapping(item["metadata"], "annotations").setdefault("api-approved.kubernetes.io", "unapproved, for tests")
    names = _mapping(spec, "names")
    names.setdefault("plural", item["metadata"]["name"].partition(".")[0])
    spec.setdefault("scope", "Namespaced")
    versions = spec.setdefault("versions", [{"name": "v1", "served": True, "storage": True}])
    for version in versions:
        version.setdefault("served", True)
        version.setdefault("storage", len(versions) == 1)
        schema = _mapping(version, "schema")
        if not schema.get("openAPIV3Schema"):
            schema["openAPIV3Schema"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    webhook = (spec.get("conversion") or {}).get("webhook")
    if isinstance(webhook, dict):
        webhook.setdefault("conversionReviewVersions", ["v1"])
        (webhook.get("clientConfig") or {}).pop("caBundle", None)
    item.pop("status", None)  # the API server writes it


_FILLS = {
    "Pod": _pod,
    "StatefulSet.apps": _workload,
    "Deployment.apps": _workload,
    "DaemonSet.apps": _workload,
    "ReplicaSet.apps": _workload,
    "Job.batch": _job,
    "CronJob.batch": _job,
    "ControllerRevision.apps": _revision,
    "PersistentVolumeClaim": _claim,
    "PersistentVolume": _volume,
    "Service": _service,
    "Secret": _secret,
    "ConfigMap": _settings,
    "StorageClass.storage.k8s.io": _class,
    "PriorityClass.scheduling.k8s.io": _priority_class,
    "HorizontalPodAutoscaler.autoscaling": _autoscaler,
    "EndpointSlice.discovery.k8s.io": _slice,
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io": _hook,
    "MutatingWebhookConfiguration.admissionregistration.k8s.io": _hook,
    CRD: _crd,
}

# --- what the API server itself says is missing ------------------------------------------------------------------

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]|\[([^\]]*)\]")
_BY_LEAF: Mapping[str, Any] = {
    "image": _NOWHERE,
    "mountPath": "/nothing",
    "storage": "1Gi",
    "accessModes": ["ReadWriteOnce"],
    "provisioner": "none.stateward.test",
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "maxSkew": 1,
    "containerPort": 1,
    "port": 1,
    "path": "/nothing",
    "key": "nothing",
    "name": "nothing",
    "selector": {"matchLabels": {"app": "nothing"}},
    "ports": [{"port": 1}],
    "claimName": "nothing",
    "secretName": "nothing",
    "serviceName": "nothing",
    "driver": "none.stateward.test",
}


def mend(item: dict[str, Any], status: Mapping[str, Any]) -> bool:
    """Fills in what a `Status` 422 calls required and nothing else; whether there was anything to fill."""
    mended = False
    causes = (status.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") != "FieldValueRequired":
            continue
        steps: list[str | int] = [
            int(found[2]) if found[2] is not None else (found[1] or found[3])
            for found in _STEP.finditer(str(cause.get("field") or ""))
        ]
        if steps and steps[-1] in _BY_LEAF:
            mended |= _put(item, steps, copy.deepcopy(_BY_LEAF[str(steps[-1])]))
    return mended


def _put(item: Any, steps: list[str | int], value: Any) -> bool:
    for step in steps[:-1]:
        if isinstance(step, int):
            if not isinstance(item, list) or step >= len(item):
                return False
            item = item[step]
        else:
            if not isinstance(item, dict):
                return False
            item = item.setdefault(step, {})
    if isinstance(item, dict) and not item.get(str(steps[-1])):
        item[str(steps[-1])] = value
        return True
    return False
