"""Registered admission webhooks: what one is asked about, whom it leaves out, and whether anybody answers for it.

The API server never sends these configurations to webhooks: rules on them speak in the linter, the audit and in cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from stateward.policies.change import Change
from stateward.policies.facts import being_deleted, labels_of, name_of
from stateward.policies.paths import Path
from stateward.policies.rule import Judges, objects
from stateward.policies.structs import dataclass
from stateward.policies.view import (
    UNKNOWN,
    Kind,
    Look,
    Object,
    Sight,
    accuses,
    items_of,
    mapping_of,
    metadata_of,
    text_of,
    texts_of,
)

CONFIGURATIONS: Final[tuple[Kind, ...]] = (
    "ValidatingWebhookConfiguration.admissionregistration.k8s.io",
    "MutatingWebhookConfiguration.admissionregistration.k8s.io",
)
WRITES: Final[Judges] = objects(*CONFIGURATIONS, on=("CREATE", "UPDATE"))
REGISTERED: Final[tuple[Look, ...]] = tuple(
    accuses(kind, "webhooks.name", "webhooks.failurePolicy", "webhooks.clientConfig.service") for kind in CONFIGURATIONS
)
"""What `registered` looks at."""

SERVICE: Final = "Service"
SLICE: Final = "EndpointSlice.discovery.k8s.io"
NAMESPACE: Final = "Namespace"
SERVERS: Final[tuple[Kind, ...]] = ("Deployment.apps", "StatefulSet.apps")
SERVER_LOOKS: Final[tuple[Look, ...]] = (
    accuses(SERVICE, "spec.selector", "spec.ports.port"),
    *(accuses(kind, "spec.replicas", "spec.template.metadata.labels") for kind in SERVERS),
)
"""What `servers` looks at."""
BACKEND_LOOKS: Final[tuple[Look, ...]] = (*SERVER_LOOKS, accuses(SLICE, "endpoints.conditions"))
"""What `backend` looks at."""

_SLICE_OF: Final = "kubernetes.io/service-name"
_NAME: Final = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True)
class Hook:
    """One webhook of a configuration."""

    name: str
    item: Mapping[str, Any]
    path: Path
    closed: bool
    """Whether what it is asked about fails where it does not answer."""
    service: tuple[str, str] | None
    """(namespace, name) of the Service that answers; None for a url."""
    port: int
    """The Service's port; 443 where nothing else is said."""

    @property
    def timeout(self) -> int:
        """Seconds; 10 where nothing else is said (admissionregistration.k8s.io/v1)."""
        value = self.item.get("timeoutSeconds", 10)
        return value if type(value) is int else 10

    @property
    def narrowed(self) -> bool:
        """Whether a selector or a condition leaves some requests out."""
        return bool(
            mapping_of(self.item, "namespaceSelector")
            or mapping_of(self.item, "objectSelector")
            or items_of(self.item, "matchConditions")
        )


def hooks(configuration: Object | None) -> Iterator[Hook]:
    """The webhooks of a configuration."""
    # v1beta1 fails open by default, v1 fails closed.
    default = "Ignore" if text_of(configuration or {}, "apiVersion").endswith("/v1beta1") else "Fail"
    for index, item in enumerate(items_of(configuration or {}, "webhooks")):
        service = mapping_of(mapping_of(item, "clientConfig"), "service")
        yield Hook(
            name=text_of(item, "name"),
            item=item,
            path=("webhooks", index),
            closed=(text_of(item, "failurePolicy") or default) == "Fail",
            service=(text_of(service, "namespace"), text_of(service, "name")) if service else None,
            port=port_of(service),
        )


def port_of(service: Mapping[str, Any]) -> int:
    """The port of a clientConfig's service."""
    value = service.get("port", 443)
    return value if type(value) is int else 443


def closed(change: Change) -> Iterator[Hook]:
    """The webhooks of the new configuration that fail closed."""
    return (hook for hook in hooks(change.new_object) if hook.closed)


def registered(see: Sight) -> Iterator[tuple[str, Hook]]:
    """The webhooks that fail closed and are there to stay: (`validatingwebhookconfiguration/NAME`, webhook)."""
    for kind in CONFIGURATIONS:
        found = see.select(kind)
        for configuration in found if found is not UNKNOWN else ():
            for hook in hooks(configuration):
                if hook.closed and not being_deleted(configuration):
                    yield f"{kind.partition('.')[0].lower()}/{name_of(configuration)}", hook


# --- what it is asked about ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One entry of a webhook's `rules`."""

    item: Mapping[str, Any]
    path: Path

    @property
    def groups(self) -> Sequence[str]:
        """API groups; "" is the core group."""
        return texts_of(self.item, "apiGroups")

    @property
    def resources(self) -> Sequence[str]:
        """`pods`, `pods/status`, `*`, `*/*`."""
        return texts_of(self.item, "resources")

    @property
    def writes(self) -> bool:
        """Whether it is asked about creations or updates."""
        return self.about("CREATE") or self.about("UPDATE")

    def about(self, operation: str) -> bool:
        """Whether it is asked about an operation."""
        operations = texts_of(self.item, "operations")
        return "*" in operations or operation in operations

    def names(self, group: str, resource: str, subresource: str = "") -> bool:
        """Whether a resource is named, wildcards included. `*` alone names no subresource, `x/*` also x itself."""
        if "*" not in self.groups and group not in self.groups:
            return False
        for entry in self.resources:
            plural, _, sub = entry.partition("/")
            if plural in ("*", resource) and sub in ("*", subresource):
                return True
        return False


def asked(hook: Hook) -> Iterator[Asked]:
    """The entries of its `rules`."""
    for index, item in enumerate(items_of(hook.item, "rules")):
        yield Asked(item, (*hook.path, "rules", index))


# --- whom it leaves out ----------------------------------------------------------------------------------------------


def asked_in(hook: Hook, namespace: str, see: Sight) -> bool:
    """Whether it is asked about objects of a namespace, as far as that is certain. Needs a look at Namespace.

    An objectSelector, a condition that speaks of namespaces, and labels that nobody knows count as an exemption.
    """
    if mapping_of(hook.item, "objectSelector"):
        return False
    if any("amespace" in text_of(one, "expression") for one in items_of(hook.item, "matchConditions")):
        return False
    selector = mapping_of(hook.item, "namespaceSelector")
    found = see.get(NAMESPACE, "", namespace)
    if found is UNKNOWN and _keys(selector) - {_NAME}:
        return False
    labels = dict(labels_of(found)) if found is not UNKNOWN and found is not None else {}
    return selects(selector, {**labels, _NAME: namespace})


def _keys(selector: Mapping[str, Any]) -> set[str]:
    return {*mapping_of(selector, "matchLabels"), *(text_of(one, "key") for one in items_of(selector, "matchExpressions"))}


def selects(selector: Mapping[str, Any], labels: Mapping[str, Any]) -> bool:
    """Whether a label selector matches (apimachinery `LabelSelector`); an empty one matches all."""
    if any(labels.get(key) != value for key, value in mapping_of(selector, "matchLabels").items()):
        return False
    for one in items_of(selector, "matchExpressions"):
        key, operator, values = text_of(one, "key"), one.get("operator"), texts_of(one, "values")
        if operator == "In":
            held = labels.get(key) in values
        elif operator == "NotIn":
            held = labels.get(key) not in values
        elif operator == "Exists":
            held = key in labels
        else:
            held = key not in labels
        if not held:
            return False
    return True


# --- who answers -----------------------------------------------------------------------------------------------------

Backend = Literal["absent", "no port", "down", "up"]


def backend(service: tuple[str, str], port: int, see: Sight, slices: bool = True) -> Backend:
    """Whether anybody answers for a Service: `up` also where nobody knows.

    Needs BACKEND_LOOKS; without `slices` SERVER_LOOKS.
    """
    namespace, name = service
    found = see.get(SERVICE, namespace, name)
    if found is None:
        return "absent"
    if found is UNKNOWN:
        return "up"
    ports = [one.get("port") for one in items_of(mapping_of(found, "spec"), "ports")]
    if ports and port not in ports:
        return "no port"
    known = see.select(SLICE, namespace, whole=True) if slices else UNKNOWN
    own = [one for one in (known if known is not UNKNOWN else ()) if labels_of(one).get(_SLICE_OF) == name]
    if own:
        ready = any(_ready(endpoint) for one in own for endpoint in items_of(one, "endpoints"))
        return "up" if ready else "down"
    behind = servers(found, see)
    return "down" if behind and not any(replicas(one) for one in behind) else "up"


def _ready(endpoint: Mapping[str, Any]) -> bool:
    return mapping_of(endpoint, "conditions").get("ready") is not False


def said(state: Backend, namespace: str, port: int) -> str:
    """What is wrong with a Service, after its name."""
    if state == "absent":
        return f"is no Service of {namespace}"
    return f"in {namespace} has no port {port}" if state == "no port" else f"in {namespace} has no pod that is ready"


def servers(service: Object, see: Sight) -> list[Object]:
    """The Deployments and StatefulSets whose pods a Service selects."""
    selector = mapping_of(mapping_of(service, "spec"), "selector")
    namespace = text_of(metadata_of(service), "namespace")
    return [item for kind in SERVERS for item in (see.select(kind, namespace) or ()) if serves(item, selector)]


def serves(workload: Object, selector: Mapping[str, Any]) -> bool:
    """Whether a Service with this selector selects a workload's pods; an empty selector selects none."""
    labels = mapping_of(mapping_of(mapping_of(mapping_of(workload, "spec"), "template"), "metadata"), "labels")
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def replicas(workload: Object) -> int:
    """spec.replicas, 1 where nothing is said."""
    value = mapping_of(workload, "spec").get("replicas", 1)
    return value if type(value) is int else 1
