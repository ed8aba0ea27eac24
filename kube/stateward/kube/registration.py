"""The ValidatingWebhookConfiguration: what the API server asks Stateward about, generated from what rules judge."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from stateward.kube.client import Cluster, path_of
from stateward.kube.conditions import match_conditions
from stateward.kube.errors import ClusterError
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import backup_kinds
from stateward.policies.mutation import Mutation
from stateward.policies.operations import OPERATIONS
from stateward.policies.rule import SCALE, Judges, Rule
from stateward.policies.rules.backup.schedule_stopped import SCHEDULES
from stateward.policies.view import Kind, mapping_of, metadata_of
from stateward.policies.webhooks import CONFIGURATIONS

WEBHOOK: Final = "validate.stateward.dev"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "stateward"
OURS: Final = f"{MANAGED_BY}={MANAGER}"
"""The label selector of every configuration of ours."""
LABELS: Final[Mapping[str, str]] = {MANAGED_BY: MANAGER, "app.kubernetes.io/name": "stateward"}
"""What every configuration of ours carries."""

FailurePolicy = Literal["Fail", "Ignore"]
Scope = Literal["Namespaced", "Cluster"]
Served = Callable[[Kind], "tuple[str, str, Scope] | None"]
"""Kind → its group, resource and scope where a cluster serves it: for kinds that only a policy names."""

API_VERSION: Final = "admissionregistration.k8s.io/v1"

# The resource that a request about the kind names, and its scope (Kubernetes API reference).
_NATIVE: Final[Mapping[Kind, tuple[str, str, Scope]]] = {
    "Application.argoproj.io": ("argoproj.io", "applications", "Namespaced"),
    "ClusterPolicy.kyverno.io": ("kyverno.io", "clusterpolicies", "Cluster"),
    "ConfigMap": ("", "configmaps", "Namespaced"),
    "CronJob.batch": ("batch", "cronjobs", "Namespaced"),
    "CustomResourceDefinition.apiextensions.k8s.io": ("apiextensions.k8s.io", "customresourcedefinitions", "Cluster"),
    "DaemonSet.apps": ("apps", "daemonsets", "Namespaced"),
    "Deployment.apps": ("apps", "deployments", "Namespaced"),
    # An Eviction is created as a subresource of its pod: the rule names the pod's group, not policy.
    "Eviction.policy": ("", "pods", "Namespaced"),
    "HorizontalPodAutoscaler.autoscaling": ("autoscaling", "horizontalpodautoscalers", "Namespaced"),
    "Job.batch": ("batch", "jobs", "Namespaced"),
    "Kustomization.kustomize.toolkit.fluxcd.io": ("kustomize.toolkit.fluxcd.io", "kustomizations", "Namespaced"),
    "Namespace": ("", "namespaces", "Cluster"),
    "Node": ("", "nodes", "Cluster"),
    "PersistentVolume": ("", "persistentvolumes", "Cluster"),
    "PersistentVolumeClaim": ("", "persistentvolumeclaims", "Namespaced"),
    "Pod": ("", "pods", "Namespaced"),
    "PodDisruptionBudget.policy": ("policy", "poddisruptionbudgets", "Namespaced"),
    "Secret": ("", "secrets", "Namespaced"),
    "Policy.kyverno.io": ("kyverno.io", "policies", "Namespaced"),
    "PriorityClass.scheduling.k8s.io": ("scheduling.k8s.io", "priorityclasses", "Cluster"),
    "ScaledObject.keda.sh": ("keda.sh", "scaledobjects", "Namespaced"),
    "Service": ("", "services", "Namespaced"),
    "ServiceAccount": ("", "serviceaccounts", "Namespaced"),
    "StatefulSet.apps": ("apps", "statefulsets", "Namespaced"),
    "StorageClass.storage.k8s.io": ("storage.k8s.io", "storageclasses", "Cluster"),
    "VolumeSnapshot.snapshot.storage.k8s.io": ("snapshot.storage.k8s.io", "volumesnapshots", "Namespaced"),
    "VolumeSnapshotContent.snapshot.storage.k8s.io": (
        "snapshot.storage.k8s.io",
        "volumesnapshotcontents",
        "Cluster",
    ),
}

# The API server never asks a webhook about these (apiserver, `rules.IsExemptAdmissionConfigurationResource`).
_NEVER_SENT: Final = frozenset(CONFIGURATIONS)

# Kinds judged as they are whose resource has a scale subresource.
_SCALED: Final = frozenset(("Deployment.apps", "StatefulSet.apps"))

# What operators record backups and schedules by; their CRDs make the plural as English does.
_RECORDS: Final = frozenset((*backup_kinds(), *SCHEDULES))

# Operations that exist of a subresource: a scale is only ever updated, an eviction only ever created.
_EXISTING: Final[Mapping[str, frozenset[str]]] = {
    "scale": frozenset({"UPDATE"}),
    "eviction": frozenset({"CREATE"}),
    "status": frozenset({"UPDATE"}),
    "resize": frozenset({"UPDATE"}),
    "ephemeralcontainers": frozenset({"UPDATE"}),
}
_ORDER: Final = ("CREATE", "UPDATE", "DELETE", "CONNECT")
_SEGMENT: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")


def configuration(
    rules: Iterable[Rule],
    adapters: Mapping[Kind, Adapter],
    *,
    name: str = "stateward",
    url: str | None = None,
    service: Mapping[str, Any] | None = None,
    ca_bundle: bytes = b"",
    timeout_seconds: int = 3,
    failure_policy: FailurePolicy = "Fail",
    served: Served = lambda _: None,
    shaped: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    """The configuration object, without a status or a resourceVersion. `rules` are also those of a policy.

    `shaped`: (group, plural) of the kinds without an adapter that are judged by their shape.

    Either `url` (`https://host:port/path`) or `service` ({namespace, name, path, port}); `ca_bundle` is PEM, none for
    a url that the system's roots vouch for. Raises ValueError for what the API server would refuse, and for a rule
    that judges a kind whose resource is not known here.
    """
    rules = tuple(rules)
    return {
        "apiVersion": API_VERSION,
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name, "labels": dict(LABELS)},
        "webhooks": [
            webhook(
                WEBHOOK,
                client_config(url, service, ca_bundle),
                webhook_rules(rules, adapters, served, shaped),
                match_conditions(rules),
                failure_policy=failure_policy,
                timeout_seconds=timeout_seconds,
            )
        ],
    }


def webhook(
    name: str,
    client: Mapping[str, Any],
    rules: list[dict[str, Any]],
    conditions: list[dict[str, str]],
    *,
    failure_policy: FailurePolicy,
    timeout_seconds: int = 3,
) -> dict[str, Any]:
    """One of the `webhooks` of a configuration. Raises ValueError for what the API server would refuse."""
    if not 1 <= timeout_seconds <= 30:
        raise ValueError(f"timeout_seconds {timeout_seconds}: the API server takes 1 to 30")
    if failure_policy not in ("Fail", "Ignore"):
        raise ValueError(f'failure_policy "{failure_policy}": Fail or Ignore')
    return {
        "name": name,
        "clientConfig": dict(client),
        "rules": rules,
        "matchPolicy": "Equivalent",
        # An objectSelector would skip every Scale and Eviction: they carry no labels.
        "matchConditions": conditions,
        "failurePolicy": failure_policy,
        "sideEffects": "None",
        "timeoutSeconds": timeout_seconds,
        "admissionReviewVersions": ["v1"],
    }


def client_config(url: str | None, service: Mapping[str, Any] | None, ca_bundle: bytes = b"") -> dict[str, Any]:
    """The `clientConfig` of a webhook: whom the API server asks, and whom it trusts. Raises ValueError."""
    client = _client(url, service)
    if ca_bundle:
        if b"-----BEGIN CERTIFICATE-----" not in ca_bundle:
            raise ValueError("ca_bundle: no PEM certificate in it; give the authority's certificate, not its key")
        client["caBundle"] = base64.b64encode(ca_bundle).decode("ascii")
    return client


def webhook_rules(
    rules: Iterable[Rule | Mutation],
    adapters: Mapping[Kind, Adapter],
    served: Served = lambda _: None,
    shaped: Iterable[tuple[str, str]] = (),
) -> list[dict[str, Any]]:
    """The `rules` of the webhook: exact resources, one entry for each group, scope and set of operations."""
    wanted: dict[tuple[str, Scope, str], set[str]] = {}
    shaped = tuple(shaped)
    for rule in rules:
        for subresource in rule.judges.subresources:
            operations = rule.judges.operations & _EXISTING.get(subresource, rule.judges.operations)
            for group, plural, scope in _resources(rule, rule.judges, subresource, adapters, served):
                resource = f"{plural}/{subresource}" if subresource else plural
                if operations:
                    wanted.setdefault((group, scope, resource), set()).update(operations)
        if rule.judges.services:
            for group, plural in shaped:
                wanted.setdefault((group, "Namespaced", plural), set()).update(rule.judges.operations)
        if rule.judges.services and "UPDATE" in rule.judges.operations:
            for kind, asking in OPERATIONS.items():
                if asking.target in adapters:
                    wanted.setdefault((kind.partition(".")[2], "Namespaced", asking.resource), set()).add("CREATE")
            if rule.judges.configs:
                wanted.setdefault(("", "Namespaced", "configmaps"), set()).add("UPDATE")
    entries: dict[tuple[str, Scope, tuple[str, ...]], list[str]] = {}
    for (group, scope, resource), asked in wanted.items():
        ordered = tuple(operation for operation in _ORDER if operation in asked)
        entries.setdefault((group, scope, ordered), []).append(resource)
    return [
        {
            "apiGroups": [group],
            "apiVersions": ["*"],
            "operations": list(asked_for),
            "resources": sorted(resources),
            "scope": scope,
        }
        for (group, scope, asked_for), resources in sorted(entries.items())
    ]


def _resources(
    rule: Rule | Mutation, judges: Judges, subresource: str, adapters: Mapping[Kind, Adapter], served: Served
) -> Iterable[tuple[str, str, Scope]]:
    for kind in judges.kinds:
        # A Scale arrives on `<plural>/scale` of the kinds beside it, as its workloads have one.
        adapter = adapters.get(kind)
        scaled = kind in _SCALED or (adapter is not None and adapter.scale_path is not None)
        if kind == SCALE or kind in _NEVER_SENT or (subresource == "scale" and not scaled):
            continue
        known = resource_of(kind, adapters)
        if known is not None:
            yield known
        elif rule.own:
            found = served(kind)
            if found is None:
                raise ValueError(
                    f'rule {rule.id} of the policy judges "{kind}", which this cluster does not serve: '
                    "correct its match.kinds, or install the CRD first"
                )
            yield found
        else:
            raise ValueError(
                f'rule {rule.id} judges "{kind}", but which resource that is, is not known: '
                "give it an adapter or a line in stateward.kube.registration"
            )
    if judges.services:
        for adapter in adapters.values():
            # A service has claims and pods in its namespace: there are no cluster-scoped ones.
            if subresource != "scale" or adapter.scale_path is not None:
                yield adapter.group, adapter.resource, "Namespaced"


def resource_of(kind: Kind, adapters: Mapping[Kind, Adapter]) -> tuple[str, str, Scope] | None:
    """Group, resource and scope of a kind that rules judge; None where only a cluster could say."""
    adapter = adapters.get(kind)
    if adapter is not None:
        return adapter.group, adapter.resource, "Namespaced"
    if kind in _NATIVE:
        return _NATIVE[kind]
    if kind in _RECORDS:
        return kind.partition(".")[2], plural_of(kind), "Namespaced"
    return None


def plural_of(kind: Kind) -> str:
    """The resource of a kind whose CRD makes the plural as English does."""
    name = kind.partition(".")[0].lower()
    return f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"


def _client(url: str | None, service: Mapping[str, Any] | None) -> dict[str, Any]:
    if (url is None) == (service is None):
        raise ValueError("clientConfig: either url or service is wanted")
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or "?" in url or "#" in url:
            raise ValueError(f'url "{url}": https://host[:port]/path is wanted, without user, query and fragment')
        return {"url": url}
    found = dict(service or {})
    for key in ("namespace", "name"):
        if not isinstance(found.get(key), str) or not found[key]:
            raise ValueError(f"service.{key}: it is missing")
    path = found.setdefault("path", "/validate")
    if not path.startswith("/") or not all(_SEGMENT.fullmatch(part) for part in path[1:].split("/") if part):
        # The API server takes path segments for DNS names: no capitals, no underscores.
        raise ValueError(f'service.path "{path}": lower-case letters, digits, dashes and dots between slashes')
    found.setdefault("port", 443)
    return {"service": found}


def path_to(name: str) -> str:
    """Where a configuration is, for `Cluster.get` and the like."""
    return path_of("apis", "admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", name)


def register(cluster: Cluster, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Creates the configuration or makes it what is wanted, by server-side apply; the object as it is now.

    Raises ClusterError; status 403 says which right is missing.
    """
    return cluster.apply(path_to(metadata_of(wanted)["name"]), wanted)


def unregister(cluster: Cluster, name: str = "stateward") -> bool:
    """Deletes the configuration if it is ours (its managed-by label says so); whether there was one to delete.

    Raises ClusterError, with reason `NotOurs` where somebody else's has that name.
    """
    path = path_to(name)
    try:
        found = cluster.get(path)
        metadata = metadata_of(found)
        manager = mapping_of(metadata, "labels").get(MANAGED_BY)
        if manager != MANAGER:
            raise ClusterError(
                0,
                "NotOurs",
                f"validatingwebhookconfiguration {name}: {MANAGED_BY} is {manager or 'absent'}, not {MANAGER}; "
                "it is left as it is; delete it by hand if it is meant",
            )
        # What was looked at is what is deleted, not what somebody puts there meanwhile.
        cluster.delete(path, {"preconditions": {"uid": metadata.get("uid")}})
    except ClusterError as error:
        if error.status == 404:
            return False
        raise
    return True
