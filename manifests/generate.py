"""Writes what of the manifests comes from rules and models: CRDs and rights. `docs/generate.py` calls it and checks it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import yaml

from stateward.kube import own_kinds, rights
from stateward.operator import rights as of_operator
from stateward.operator.api import crds
from stateward.operator.drivers import catalogue
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.rules import RULES

HERE: Final = Path(__file__).resolve().parent
MARK: Final = "# Written by docs/generate.py (make docs) from the rules and their declarations; edit those.\n"
MODELS: Final = "# Written by docs/generate.py (make docs) from the models in operator/stateward/operator/api; edit those.\n"
LABELS: Final = {"app.kubernetes.io/name": "stateward", "app.kubernetes.io/part-of": "stateward"}


def documents() -> Iterator[tuple[Path, str]]:
    """Every generated manifest: where it belongs, what it holds."""
    defined = {name: (MARK, crd) for name, crd in own_kinds.documents().items()}
    defined |= {name: (MODELS, crd) for name, crd in crds.documents().items()}
    for name, (mark, crd) in defined.items():
        yield HERE / "crds" / name, mark + dumped(crd)
        # A chart's own folder for CRDs is never upgraded; a kept template is, and outlives `helm uninstall`.
        kept = {**crd, "metadata": {**crd["metadata"], "annotations": {"helm.sh/resource-policy": "keep"}}}
        yield (
            HERE / "chart" / "templates" / f"crd-{name}",
            f"{mark}{{{{- if .Values.crds.install }}}}\n{_released(dumped(kept))}{{{{- end }}}}\n",
        )
    cluster, own = rights.of_cluster(RULES, ADAPTERS), rights.of_namespace()
    yield HERE / "base" / "rights.yaml", MARK + "---\n".join(dumped(one) for one in (*base_rights(cluster, own), *reader()))
    yield (
        HERE / "chart" / "files" / "rights.yaml",
        MARK + dumped({"cluster": cluster, "namespace": own, "reader": rights.of_reader()}),
    )
    yield from operator()
    yield (
        HERE / "crds" / "kustomization.yaml",
        MARK
        + dumped(
            {
                "apiVersion": "kustomize.config.k8s.io/v1beta1",
                "kind": "Kustomization",
                "resources": sorted(defined),
            }
        ),
    )


def _released(text: str) -> str:
    """Who converts is in the namespace that the chart is installed in."""
    return text.replace("namespace: stateward\n", "namespace: {{ .Release.Namespace }}\n")


def base_rights(cluster: rights.Rights, own: rights.Rights) -> Iterator[dict[str, Any]]:
    """The roles of the kustomize base and who has them."""
    group = "rbac.authorization.k8s.io"
    account = {"kind": "ServiceAccount", "name": "stateward", "namespace": "stateward"}
    more = "stateward-more"
    yield _role("ClusterRole", "stateward", cluster)
    yield {
        **_role("ClusterRole", more, []),
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {rights.AGGREGATE: "true"}}]},
    }
    yield _role("Role", "stateward", own)
    for kind, role, name in (
        ("ClusterRoleBinding", "ClusterRole", "stateward"),
        ("ClusterRoleBinding", "ClusterRole", more),
        ("RoleBinding", "Role", "stateward"),
    ):
        yield {
            "apiVersion": f"{group}/v1",
            "kind": kind,
            "metadata": _metadata(name, kind == "RoleBinding"),
            "roleRef": {"apiGroup": group, "kind": role, "name": name},
            "subjects": [account],
        }


def reader() -> Iterator[dict[str, Any]]:
    """Who may ask the policy API and the metrics, and nothing else: `stateward why` and `status` take its token."""
    group, name = "rbac.authorization.k8s.io", rights.READER
    yield {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": _metadata(name, True),
        "automountServiceAccountToken": False,
    }
    yield _role("ClusterRole", name, rights.of_reader())
    yield {
        "apiVersion": f"{group}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _metadata(name, False),
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "stateward"}],
    }


OPERATOR: Final = "stateward-operator"
GIVEN: Final = (
    "# Written by docs/generate.py (make docs) from the operator's rights.py and the engines' folders; edit those.\n"
)


def operator() -> Iterator[tuple[Path, str]]:
    """What the operator may do. Which namespaces it may do it in, the binding to the first of the roles says."""
    engines = [driver.container("1").rights for name in catalogue.names() if (driver := catalogue.find(name)) is not None]
    services, cluster, own = of_operator.of_services(engines), of_operator.of_cluster(), of_operator.of_namespace()
    group = "rbac.authorization.k8s.io"
    found = [
        _role("ClusterRole", OPERATOR, services),
        _role("ClusterRole", f"{OPERATOR}-cluster", cluster),
        _role("Role", OPERATOR, own),
    ]
    for kind, role, name in (
        ("ClusterRoleBinding", "ClusterRole", OPERATOR),
        ("ClusterRoleBinding", "ClusterRole", f"{OPERATOR}-cluster"),
        ("RoleBinding", "Role", OPERATOR),
    ):
        found.append(
            {
                "apiVersion": f"{group}/v1",
                "kind": kind,
                "metadata": _metadata(name, kind == "RoleBinding"),
                "roleRef": {"apiGroup": group, "kind": role, "name": name},
                "subjects": [{"kind": "ServiceAccount", "name": OPERATOR, "namespace": "stateward"}],
            }
        )
    yield HERE / "operator" / "rights.yaml", GIVEN + "---\n".join(dumped(one) for one in found)
    kept = {"services": services, "cluster": cluster, "namespace": own}
    yield HERE / "chart" / "files" / "operator-rights.yaml", GIVEN + dumped(kept)


def _role(kind: str, name: str, rules: rights.Rights) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": _metadata(name, kind == "Role"),
        "rules": rules,
    }


def _metadata(name: str, namespaced: bool) -> dict[str, Any]:
    return {"name": name, **({"namespace": "stateward"} if namespaced else {}), "labels": dict(LABELS)}


def dumped(content: Any) -> str:
    """YAML as people write it."""
    return str(yaml.dump(content, Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True))


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def version() -> str:
    """Of the image that the manifests name."""
    return metadata.version("stateward")
