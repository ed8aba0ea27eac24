"""What every CustomResourceDefinition of ours has in common; the schemas are their kinds' own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from stateward.policies import policy

GROUP: Final = policy.API_VERSION.partition("/")[0]


def definition(
    kind: str,
    plural: str,
    scope: str,
    short: Sequence[str],
    versions: Sequence[dict[str, Any]],
    categories: Sequence[str] = ("stateward",),
) -> dict[str, Any]:
    """The CustomResourceDefinition of a kind. `scope`: Namespaced or Cluster."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "labels": {"app.kubernetes.io/name": "stateward"}},
        "spec": {
            "group": GROUP,
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": list(short),
                "categories": list(categories),
            },
            "scope": scope,
            "versions": list(versions),
        },
    }


def column(name: str, type_: str, path: str, *, wide: bool = False) -> dict[str, Any]:
    """A column of `kubectl get`; `wide`: of `-o wide` alone."""
    return {"name": name, "type": type_, "jsonPath": path, **({"priority": 1} if wide else {})}
