"""Nodes, and what is bound to some of them by their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stateward.policies.facts import labels_of, name_of
from stateward.policies.view import Object, items_of, mapping_of, text_of, texts_of


def meets(node: Object, terms: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a node meets one of the terms of a node selector (Kubernetes API, NodeSelector)."""
    return any(
        _holds(labels_of(node), items_of(term, "matchExpressions"))
        and all(
            text_of(one, "key") != "metadata.name" or name_of(node) in texts_of(one, "values")
            for one in items_of(term, "matchFields")
        )
        for term in terms
    )


def _holds(labels: Mapping[str, Any], expressions: Sequence[Mapping[str, Any]]) -> bool:
    for expression in expressions:
        value = labels.get(text_of(expression, "key"))
        values = expression.get("values")
        choices = values if type(values) is list else []
        match expression.get("operator"):
            case "In" if value not in choices:
                return False
            case "NotIn" if value in choices:
                return False
            case "Exists" if value is None:
                return False
            case "DoesNotExist" if value is not None:
                return False
    return True


def tied_to(volume: Object) -> list[dict[str, Any]]:
    """The terms by which a volume is reached from some nodes alone; none: it is reached from everywhere."""
    required = mapping_of(mapping_of(mapping_of(volume, "spec"), "nodeAffinity"), "required")
    return items_of(required, "nodeSelectorTerms")


def is_healthy(node: Object) -> bool:
    """Whether its kubelet says that it is ready."""
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in items_of(mapping_of(node, "status"), "conditions")
    )
