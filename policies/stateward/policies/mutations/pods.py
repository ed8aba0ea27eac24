"""What the defaults of pod templates share: whether there is a quorum, its selector, and what its members run with."""

from __future__ import annotations

from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.facts import being_deleted, labels_of, name_of
from stateward.policies.model import Service
from stateward.policies.paths import dig
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import UNKNOWN, Look, Sight, accuses, mapping_of, text_of

HOST: Final = "kubernetes.io/hostname"
ZONE: Final = "topology.kubernetes.io/zone"
REVISION: Final = "ControllerRevision.apps"
_REVISION_OF_POD: Final = "controller-revision-hash"
_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})

LOOKS: Final[tuple[Look, ...]] = (
    accuses("Pod", "metadata"),
    accuses(REVISION, "data.spec.template.spec.topologySpreadConstraints", "data.spec.template.spec.affinity"),
)
"""What `as_it_runs` looks at."""


def quorum_of(change: Change) -> Service | None:
    """The service that is created, where its members vote in a majority quorum and its pods are described."""
    service = change.new
    if service is None or not service.pod or not any(votes(service, group) for group in service.groups):
        return None
    return service


def selector_of(service: Service) -> dict[str, Any] | None:
    """A copy of the selector of its pods; None where it is not one that an API server takes."""
    selector = mapping_of(mapping_of(service.object, "spec"), "selector")
    labels, expressions = selector.get("matchLabels", {}), selector.get("matchExpressions", [])
    if not (labels or expressions) or type(labels) is not dict or type(expressions) is not list:
        return None
    own = labels_of({"metadata": service.field("template").value})
    if any(type(value) is not str or own.get(key) != value for key, value in labels.items()):
        return None
    found: dict[str, Any] = {"matchLabels": dict(labels)} if labels else {}
    if expressions:
        if not all(_is_expression(one) for one in expressions):
            return None
        found["matchExpressions"] = [dict(one) for one in expressions]
    return found


def _is_expression(one: Any) -> bool:
    if type(one) is not dict or not one.keys() <= {"key", "operator", "values"}:
        return False
    values = one.get("values", [])
    return (
        type(one.get("key")) is str
        and one.get("operator") in _OPERATORS
        and type(values) is list
        and all(type(value) is str for value in values)
    )


def keys_spoken_of(service: Service) -> frozenset[str]:
    """The topology keys that its pods are already spread over or kept apart by."""
    return frozenset((*service.placement.required, *service.placement.preferred))


def as_it_runs(service: Service, namespace: str, see: Sight, field: tuple[str, ...], first: Any, *others: Any) -> Any | None:
    """The value to fill in so that nothing restarts: `first`, or what members run with that run already; None: none.

    A set may be made anew around members that run: deleted with --cascade=orphan, as the recipe for what a set can never
    change says. They stay as they are only if the template is the one that they run with: where that has one of these
    values it is filled in again, where it has another or nobody knows, nothing is.
    """
    pods = see.select("Pod", namespace, whole=True)
    if pods is UNKNOWN:
        return None
    prefix = f"{service.name}-"
    found = first
    for pod in pods:
        name = name_of(pod)
        if not name.startswith(prefix) or not name[len(prefix) :].isdecimal() or being_deleted(pod):
            continue
        revision = see.get(REVISION, namespace, text_of(labels_of(pod), _REVISION_OF_POD))
        if revision is UNKNOWN or revision is None:
            return None
        found = dig(revision, ("data", "spec", "template", "spec", *field))
        if found not in (first, *others):
            return None
    return found
