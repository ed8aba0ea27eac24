"""The manifests: what is generated from the rules is current, and chart and base say the same."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
MANIFESTS = ROOT / "manifests"
CHART = MANIFESTS / "chart"


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH")
    return found


def kustomized(folder: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [program("kustomize"), "build", str(MANIFESTS / folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def templated(*values: str, namespace: str = "stateward") -> list[dict[str, Any]]:
    given = [part for value in values for part in ("--set", value)]
    command = [
        program("helm"),
        "template",
        "stateward",
        str(CHART),
        "--namespace",
        namespace,
        "--kube-version",
        "1.33",
        *given,
    ]
    environment = {**os.environ, "HELM_CACHE_HOME": "/nonexistent"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def plain(found: list[dict[str, Any]]) -> dict[str, Any]:
    """By kind and name, without what only Helm writes."""
    made = {}
    for one in found:
        item = json.loads(json.dumps(one))
        labels = item["metadata"].get("labels", {})
        for label in ("helm.sh/chart", "app.kubernetes.io/managed-by", "app.kubernetes.io/version"):
            labels.pop(label, None)
        if item["metadata"].get("annotations") == {"helm.sh/resource-policy": "keep"}:
            del item["metadata"]["annotations"]
        made[f"{item['kind']}/{item['metadata']['name']}"] = item
    return made


def test_chart_and_base_say_the_same() -> None:
    base = plain(kustomized("base"))
    del base["Namespace/stateward"]  # `helm install --create-namespace`

    assert plain(templated()) == base


def of_the_operator(found: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in found.items() if name.partition("/")[2].startswith("stateward-operator")}


def test_the_charts_operator_is_that_of_the_component() -> None:
    made = of_the_operator(plain(kustomized("overlays/operator")))
    assert set(made) >= {"Deployment/stateward-operator", "ClusterRole/stateward-operator", "Role/stateward-operator"}
    assert of_the_operator(plain(templated("operator.enabled=true"))) == made
    assert of_the_operator(plain(kustomized("overlays/complete"))) == made


def test_without_being_asked_for_there_is_no_operator() -> None:
    assert of_the_operator(plain(templated())) == {}
    assert of_the_operator(plain(kustomized("overlays/prod"))) == {}


def test_the_operator_alone_needs_no_webhook() -> None:
    found = plain(kustomized("overlays/operator"))
    assert "Deployment/stateward" not in found
    for name, one in found.items():
        if name.startswith("CustomResourceDefinition/"):
            assert one["spec"]["conversion"] == {"strategy": "None"}, name


def test_an_operator_of_one_namespace_has_its_rights_there_alone() -> None:
    several = templated("operator.enabled=true", "operator.watchNamespace=shop")
    found = of_the_operator(plain(several))
    [container] = found["Deployment/stateward-operator"]["spec"]["template"]["spec"]["containers"]
    assert "--watch=shop" in container["args"]
    bound = found["RoleBinding/stateward-operator-services"]
    assert bound["metadata"]["namespace"] == "shop"
    assert bound["roleRef"]["name"] == "stateward-operator"
    everywhere = [one["roleRef"]["name"] for name, one in found.items() if name.startswith("ClusterRoleBinding/")]
    assert everywhere == ["stateward-operator-cluster"]


def test_the_operators_pod_may_do_nothing_that_it_need_not() -> None:
    pod = plain(kustomized("overlays/operator"))["Deployment/stateward-operator"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["containers"][0]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_alerts_and_their_monitor_are_made_where_they_are_asked_for() -> None:
    asked = ("operator.enabled=true", "operator.alerts.enabled=true", "serviceMonitor.enabled=true")
    found = of_the_operator(plain(templated(*asked)))
    alerts = yaml.safe_load((CHART / "files" / "operator-alerts.yaml").read_text())
    assert found["PrometheusRule/stateward-operator"]["spec"] == alerts
    selector = found["ServiceMonitor/stateward-operator"]["spec"]["selector"]["matchLabels"]
    assert selector.items() <= found["Service/stateward-operator"]["metadata"]["labels"].items()


def test_chart_and_overlay_make_the_same_certificates() -> None:
    chart, overlay = plain(templated("certificates.source=cert-manager")), plain(kustomized("overlays/cert-manager"))
    for name in overlay:
        if name.startswith(("Certificate/", "Issuer/")):
            assert chart[name]["spec"] == overlay[name]["spec"]
    assert _container(chart)["args"] == _container(overlay)["args"]
    assert _pod(chart)["volumes"] == _pod(overlay)["volumes"]
    assert _container(chart)["volumeMounts"] == _container(overlay)["volumeMounts"]


@pytest.mark.parametrize(("overlay", "mode", "replicas"), [("dev", "audit", 1), ("staging", "warn", 2), ("prod", "deny", 3)])
def test_an_overlay_does_what_it_is_for(overlay: str, mode: str, replicas: int) -> None:
    found = plain(kustomized(f"overlays/{overlay}"))
    assert f"--mode={mode}" in _container(found)["args"]
    assert found["Deployment/stateward"]["spec"]["replicas"] == replicas


def _pod(found: dict[str, Any]) -> dict[str, Any]:
    return found["Deployment/stateward"]["spec"]["template"]["spec"]


def _container(found: dict[str, Any]) -> dict[str, Any]:
    return _pod(found)["containers"][0]


def by_hand() -> Iterator[dict[str, Any]]:
    for path in sorted((MANIFESTS / "base").glob("*.yaml")):
        yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


def test_a_pod_may_do_nothing_that_it_need_not() -> None:
    found = {f"{one['kind']}/{one.get('metadata', {}).get('name')}": one for one in by_hand()}
    pod, container = _pod(found), _container(found)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert found["Namespace/stateward"]["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_the_end_of_a_pod_is_long_enough_for_its_drain() -> None:
    from stateward.webhook.server import DRAIN_IN_CLUSTER, GRACE

    found = {f"{one['kind']}/{one.get('metadata', {}).get('name')}": one for one in by_hand()}
    # What comes after the server: keeper, certificates, policy and lease, 10 s each at the worst and never all of them.
    assert _pod(found)["terminationGracePeriodSeconds"] >= DRAIN_IN_CLUSTER + GRACE + 20


def test_the_chart_installs_in_audit_and_its_values_are_those_of_its_schema() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    schema = json.loads((CHART / "values.schema.json").read_text())
    assert values["mode"] == "audit"
    jsonschema.validate(values, schema)
    assert set(values) == set(schema["properties"]) - {"global"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "denied"},
        {"replica": 2},
        {"certificates": {"source": "mounted", "secretName": ""}},
        {"failurePolicy": "fail"},
        {"operator": {"watchNamespace": "Shop"}},
    ],
)
def test_values_that_mean_nothing_are_refused(wrong: dict[str, Any]) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_no_right_is_a_wildcard_and_secrets_are_read_by_name_alone() -> None:
    rights = yaml.safe_load((CHART / "files" / "rights.yaml").read_text())
    for one in [*rights["cluster"], *rights["namespace"]]:
        assert "*" not in [*one["apiGroups"], *one["resources"], *one["verbs"]]
    for one in rights["cluster"]:
        assert "secrets" not in one["resources"]
    for one in rights["namespace"]:
        if "secrets" in one["resources"] and one["verbs"] != ["create"]:
            assert one["resourceNames"] == ["stateward-certs"]


def test_versions_are_those_of_the_package() -> None:
    from importlib.metadata import version

    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    found = {f"{one['kind']}/{one.get('metadata', {}).get('name')}": one for one in by_hand()}
    assert chart["appVersion"] == chart["version"] == version("stateward")
    assert _container(found)["image"] == f"stateward:{version('stateward')}"
