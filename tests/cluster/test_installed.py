"""An installed door on a real API server, with its own manifests and under its own service account."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Iterator

import pytest
import yaml
from cluster_kit import Cluster, Door, Kubectl, eventually, stateful_set
from control_plane import BREAK_GLASS
from installation_kit import CONFIGURATION, NAMESPACE, ROOT, Installation, documents, granted

BAD = stateful_set("probe", "postgres:16.4", volume="emptyDir")
GOOD = stateful_set("orders", "postgres:16.4")
DRY = "--dry-run=server"
GUARD = "guard.stateward.dev"


@pytest.fixture(scope="module")
def the_installation(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    one = Installation(cluster.kubectl, tmp_path_factory.mktemp("installed"))
    if one.kubectl.get("namespace", NAMESPACE):
        pytest.skip(f"namespace {NAMESPACE} is there already: somebody else's installation")
    for door in Door.opened:
        if door.process is not None:
            door.stop()  # it would judge what an installed door that is off lets pass
    one.apply()
    try:
        yield one
    finally:
        if one.process is not None:
            one.stop()
        if one.proxy is not None:
            one.proxy.close()
        one.stateward("uninstall", "--crds")
        # It leaves the kinds of services, which would take every service with them.
        kinds = [f"{plural}.stateward.dev" for plural in ("statefulservices", "servicebackups", "servicerestores")]
        one.kubectl.past("delete", "crd", *kinds, "--ignore-not-found", "--timeout=60s", seconds=90)
        one.kubectl.past("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


@pytest.fixture
def installed(the_installation: Installation) -> Installation:
    """It runs in mode deny, and the API server asks it."""
    one = the_installation
    if one.process is not None and one.process.poll() is not None:
        one.process = None
    if one.process is None:
        one.start("--mode", "deny")
        with contextlib.suppress(pytest.fail.Exception):
            eventually(one.configuration, "the first start makes it", 5)
    if not one.configuration():
        done = one.stateward("enable")
        assert done.passed, str(done)
    eventually(lambda: _policy(one) == "Fail", "it fails closed")
    eventually(lambda: one.kubectl.at("default")("create", DRY, "-f", "-", stdin=BAD).refused, "it is asked")
    return one


@pytest.fixture
def kubectl(installed: Installation, namespace: str) -> Kubectl:
    return installed.kubectl.at(namespace)


def _policy(one: Installation) -> str:
    hooks = {hook["name"]: hook for hook in one.configuration().get("webhooks", ())}
    return hooks[GUARD]["failurePolicy"] if GUARD in hooks else ""


# --- manifests -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["base", "overlays/dev", "overlays/staging", "overlays/prod"])
def test_the_api_server_takes_the_manifests(the_installation: Installation, folder: str) -> None:
    for item in documents(the_installation.kubectl, folder):
        done = the_installation.kubectl("apply", DRY, "-f", "-", stdin=item)
        assert done.passed, str(done)
        assert not done.warnings, str(done)


def test_a_policy_and_a_waiver_as_the_documents_write_them_are_taken(installed: Installation, kubectl: Kubectl) -> None:
    text = (ROOT / "docs" / "policy.md").read_text()
    found = [
        item
        for block in text.split("```yaml\n")[1:]
        for item in yaml.load_all(block.partition("```")[0], yaml.BaseLoader)
        if item.get("kind") in ("WardPolicy", "WardWaiver")
    ]
    assert {item["kind"] for item in found} == {"WardPolicy", "WardWaiver"}
    for block in text.split("```yaml\n")[1:]:
        for item in yaml.safe_load_all(block.partition("```")[0]):
            if item.get("kind") not in ("WardPolicy", "WardWaiver"):
                continue
            item = json.loads(json.dumps(item, default=lambda when: when.isoformat().replace("+00:00", "Z")))
            item.setdefault("metadata", {}).update({"name": "example"})
            item["metadata"].pop("namespace", None)
            done = kubectl("create", DRY, "--validate=strict", "-f", "-", stdin=item)
            assert done.passed, str(done)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"profile": "productoin@1"}, "spec.profile"),
        ({"mode": "denied"}, "spec.mode"),
        ({"rule": {}}, "unknown field"),
        ({"userRules": [{"id": "SW101", "name": "mine", "validations": [{"expression": "true", "message": "m"}]}]}, "id"),
        ({"userRules": [{"id": "SW901", "name": "mine", "validations": [{"expression": "true"}]}]}, "message"),
        ({"exempt": {"users": ["system:*"]}}, "spec.exempt.users"),
    ],
)
def test_the_api_server_refuses_a_policy_that_means_nothing(installed: Installation, spec: object, said: str) -> None:
    item = {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "metadata": {"name": "bad"}, "spec": spec}
    done = installed.kubectl("create", DRY, "--validate=strict", "-f", "-", stdin=item)
    assert not done.passed
    assert said in done.err


# --- kept as wanted --------------------------------------------------------------------------------------------------


def test_what_is_refused_is_refused_by_the_guard(installed: Installation, kubectl: Kubectl) -> None:
    done = kubectl("create", "-f", "-", stdin=BAD)
    assert done.rules == ["SW105"]
    assert f'admission webhook "{GUARD}" denied' in done.err
    assert kubectl("create", "-f", "-", stdin=GOOD).passed


def test_a_claim_template_is_refused_with_its_recipe_before_the_api_server_does(
    installed: Installation, kubectl: Kubectl
) -> None:
    kubectl.must("apply", "-f", "-", stdin=GOOD)
    grown = json.loads(json.dumps(GOOD))
    grown["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] = "32Mi"

    done = kubectl.refused("apply", DRY, "-f", "-", stdin=grown)

    assert "refusals.stateward.dev" in done.err, str(done)
    assert done.rules == ["SW103"]


def test_defaults_are_filled_in_where_a_namespace_asks_and_nowhere_else(installed: Installation, kubectl: Kubectl) -> None:
    voters = stateful_set("members", "etcd:3.5.17", replicas=3)

    def constraints() -> list[object]:
        done = kubectl.must("create", DRY, "-o", "json", "-f", "-", stdin=voters)
        spec = json.loads(done.out)["spec"]["template"]["spec"]
        return list(spec.get("topologySpreadConstraints", ()))

    assert constraints() == []
    kubectl.must("label", "namespace", kubectl.namespace, "stateward.dev/defaults=on")

    assert eventually(constraints, "the namespace's label is heeded")


def test_drift_is_repaired_in_seconds_and_told(installed: Installation) -> None:
    patch = [
        {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Ignore"},
        {"op": "add", "path": "/webhooks/1/namespaceSelector", "value": {"matchLabels": {"nobody": "has-it"}}},
    ]
    before = installed.configuration()["webhooks"]
    installed.kubectl.must("patch", CONFIGURATION, "stateward", "--type=json", "-p", json.dumps(patch))
    eventually(lambda: installed.configuration()["webhooks"] == before, "it is as before", 10)
    eventually(lambda: "DoorRepaired" in installed.reasons(), "an event says so", 10)


def test_what_somebody_deleted_stays_deleted_until_it_is_enabled(installed: Installation, kubectl: Kubectl) -> None:
    installed.kubectl.must("delete", CONFIGURATION, "stateward")
    eventually(lambda: "DoorTakenAway" in installed.reasons(), "an event says so", 10)
    installed.stop()
    installed.start("--mode", "deny")
    time.sleep(3)
    assert installed.configuration() == {}
    assert kubectl("create", DRY, "-f", "-", stdin=BAD).passed

    done = installed.stateward("enable")

    assert (done.code, done.out) == (0, "enabled: the API server asks\n"), str(done)
    assert kubectl.refused("create", DRY, "-f", "-", stdin=BAD).rules == ["SW105"]


def test_a_door_that_is_disabled_stays_so_until_it_is_enabled(installed: Installation, kubectl: Kubectl) -> None:
    assert "would remove" in installed.stateward("disable", "--dry-run").out
    assert installed.configuration()
    done = installed.stateward("disable")
    assert done.passed, str(done)
    time.sleep(3)
    assert installed.configuration() == {}
    assert installed.stateward("disable").out == "disabled: the API server did not ask\n"
    assert installed.stateward("enable").passed
    assert installed.configuration()


def test_a_policy_is_exchanged_while_it_serves(installed: Installation, kubectl: Kubectl) -> None:
    policy = {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "metadata": {"name": "stateward"}}
    try:
        installed.kubectl.must("apply", "-f", "-", stdin={**policy, "spec": {"rules": {"SW105": "off"}}})
        kubectl.passes("create", DRY, "-f", "-", stdin=BAD)
        installed.kubectl.must("apply", "-f", "-", stdin={**policy, "spec": {"rules": {"SW777": "off"}}})
        eventually(lambda: _loaded(installed) == ("False", "Invalid"), "its status says so", 10)
        eventually(lambda: "PolicyNotLoaded" in installed.reasons(), "an event says so", 10)
        assert kubectl("create", DRY, "-f", "-", stdin=BAD).passed, "the former is in force"
    finally:
        installed.kubectl.must("delete", "wardpolicy", "stateward")
    assert kubectl.refused("create", DRY, "-f", "-", stdin=BAD).rules == ["SW105"]


def _loaded(one: Installation) -> tuple[str, str]:
    conditions = one.kubectl.get("wardpolicy", "stateward").get("status", {}).get("conditions", ())
    found = next((item for item in conditions if item["type"] == "Loaded"), {})
    return found.get("status", ""), found.get("reason", "")


def test_where_the_policy_only_warns_nothing_is_held_up(installed: Installation) -> None:
    policy = {"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "metadata": {"name": "stateward"}}
    try:
        installed.kubectl.must("apply", "-f", "-", stdin={**policy, "spec": {"mode": "warn"}})
        eventually(lambda: _policy(installed) == "Ignore", "it fails open", 15)
    finally:
        installed.kubectl.must("delete", "wardpolicy", "stateward")
    eventually(lambda: _policy(installed) == "Fail", "it fails closed", 15)


# --- rights ----------------------------------------------------------------------------------------------------------


def test_every_right_is_used_and_none_is_missing(installed: Installation, crds: None) -> None:
    """What it did so far, and what is left of its days: a repair, a deletion, a policy, a lease, its certificates."""
    test_drift_is_repaired_in_seconds_and_told(installed)
    narrowed = [{"op": "replace", "path": "/webhooks/0/objectSelector", "value": {"matchLabels": {"nobody": "has-it"}}}]
    installed.kubectl.must("patch", "mutatingwebhookconfiguration", "stateward", "--type=json", "-p", json.dumps(narrowed))
    eventually(lambda: _unselected(installed), "the mutating one is repaired too", 10)
    test_where_the_policy_only_warns_nothing_is_held_up(installed)
    installed.stateward("disable")
    eventually(lambda: not installed.configuration(), "disabled")
    for kind in ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"):
        installed.kubectl.must("create", "-f", "-", stdin=_stray(kind))  # disabled, and somebody brings one back: it goes
        eventually(lambda kind=kind: not installed.kubectl.get(kind, "stateward"), "what came back is taken away again")
    installed.stateward("enable")
    assert installed.proxy is not None
    served = {
        (resource["group"], resource["name"])
        for resource in _resources(installed.kubectl)
        if {"list", "watch"} <= resource["verbs"]
    }
    rights = yaml.safe_load((ROOT / "manifests" / "chart" / "files" / "rights.yaml").read_text())
    given = {*granted(rights["cluster"]), *granted(rights["namespace"])}

    def unused() -> set[object]:
        used = set(installed.proxy.used) if installed.proxy is not None else set()
        any_name = {(verb, group, resource, "") for verb, group, resource, _ in used}
        return {
            right for right in given - used - any_name if right[0] not in ("list", "watch") or (right[1], right[2]) in served
        } - LATER

    until = time.monotonic() + 20
    while unused() and time.monotonic() < until:
        time.sleep(0.2)
    assert unused() == set()
    refused = {right for right in installed.proxy.refused if (right[1], right[2]) in {one[1:3] for one in given}}
    assert refused == set()


# What only the policy's API and Events on objects need: tests of their own.
LATER = {
    ("create", "authentication.k8s.io", "tokenreviews", ""),
    ("create", "authorization.k8s.io", "subjectaccessreviews", ""),
    ("patch", "", "events", ""),
}


def _unselected(one: Installation) -> bool:
    found = one.kubectl.get("mutatingwebhookconfiguration", "stateward")
    return found["webhooks"][0]["objectSelector"] == {}


def _stray(kind: str) -> dict[str, object]:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": "stateward", "labels": {"app.kubernetes.io/managed-by": "stateward"}},
        "webhooks": [],
    }


def _resources(kubectl: Kubectl) -> Iterator[dict[str, object]]:
    done = kubectl.must("get", "--raw", "/apis")
    groups = [("", "v1", "/api/v1")]
    for group in json.loads(done.out)["groups"]:
        groups += [(group["name"], one["version"], f"/apis/{group['name']}/{one['version']}") for one in group["versions"]]
    for group, _, path in groups:
        for one in json.loads(kubectl.must("get", "--raw", path).out)["resources"]:
            yield {"group": group, "name": one["name"], "verbs": set(one["verbs"])}


# --- nobody answers --------------------------------------------------------------------------------------------------


@pytest.fixture
def dead(installed: Installation) -> Installation:
    """Fail, and no replica alive."""
    assert _policy(installed) == "Fail"
    installed.stop(signal.SIGKILL)
    return installed


def deployment(name: str) -> dict[str, object]:
    labels = {"app": name}
    container = {"name": "main", "image": "nginx:1.27"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"schedulerName": "nobody", "containers": [container]}},
        },
    }


def test_a_cluster_starts_cold_with_no_replica_alive(dead: Installation, namespace: str, cluster: Cluster) -> None:
    kubectl = dead.kubectl.at(namespace)
    held = kubectl("create", DRY, "-f", "-", stdin=GOOD)
    assert not held.passed
    assert f'failed calling webhook "{GUARD}"' in held.err

    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": f"cold-{namespace}"}}
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "cold"}, "spec": {}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "cold"},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "main", "image": "nginx:1.27"}]},
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "cold"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    try:
        for item in (node, lease, pod, claim, deployment("cold")):
            done = kubectl("create", "-f", "-", stdin=item)
            assert done.passed, str(done)
        for arguments in (
            ("create", "namespace", f"cold-{namespace}"),
            ("create", "configmap", "cold"),
            ("create", "secret", "generic", "cold"),
            ("create", "service", "clusterip", "cold", "--tcp=80"),
            ("create", "serviceaccount", "cold"),
            ("scale", "deployment/cold", "--replicas=0"),
            ("delete", "pod", "cold", "--wait=false"),
            ("delete", "deployment", "cold", "--wait=false"),
        ):
            done = kubectl(*arguments)
            assert done.passed, str(done)
        # Stateward itself: applied again, rolled out, scaled, its claims on the lease and the Secret.
        for item in documents(dead.kubectl, "base"):
            if item["kind"] not in ("Service", "Deployment"):
                assert dead.kubectl("apply", "-f", "-", stdin=item).passed
        own = dead.kubectl.at(NAMESPACE)
        assert own("rollout", "restart", "deployment/stateward").passed
        assert own("create", "statefulset-of-nobody").passed is False
        assert own("create", DRY, "-f", "-", stdin=GOOD).passed, "what lies in its own namespace is never held up"
        assert dead.kubectl.at("kube-system")("create", DRY, "-f", "-", stdin=GOOD).passed
    finally:
        dead.kubectl.past("delete", "node", f"cold-{namespace}", "--ignore-not-found")
        dead.kubectl.past("delete", "namespace", f"cold-{namespace}", "--ignore-not-found", "--wait=false")


def test_what_loses_data_is_held_up_and_the_group_passes(dead: Installation, namespace: str) -> None:
    kubectl = dead.kubectl.at(namespace)
    held = kubectl("delete", "namespace", namespace, DRY)
    assert not held.passed
    assert f'failed calling webhook "{GUARD}"' in held.err

    anna = kubectl.as_user("anna", BREAK_GLASS, "system:masters")
    assert anna("create", DRY, "-f", "-", stdin=GOOD).passed
    assert anna("delete", "namespace", namespace, DRY).passed


def test_a_namespace_that_goes_is_not_held_up(dead: Installation, cluster: Cluster) -> None:
    """The namespace's deletion is the cause; what the controller deletes in it has to go with nobody alive."""
    cluster.needs_controllers()
    name = f"going-{time.time_ns():x}"
    past = dead.kubectl.past
    past.must("create", "namespace", name)
    past.at(name).must("create", "-f", "-", stdin=GOOD)
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "kept"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    past.at(name).must("create", "-f", "-", stdin=claim)
    past.must("delete", "namespace", name, "--wait=false")
    eventually(lambda: not dead.kubectl.get("namespace", name), "the namespace is gone", 60)


def test_deleting_the_configuration_opens_everything(dead: Installation, namespace: str) -> None:
    kubectl = dead.kubectl.at(namespace)
    assert not kubectl("create", DRY, "-f", "-", stdin=GOOD).passed
    assert dead.kubectl("delete", CONFIGURATION, "stateward").passed
    kubectl.passes("create", DRY, "-f", "-", stdin=GOOD)


# --- the end ---------------------------------------------------------------------------------------------------------


def test_uninstall_leaves_nothing_that_blocks(installed: Installation, namespace: str) -> None:
    installed.stop(signal.SIGKILL)
    kubectl = installed.kubectl.at(namespace)
    assert not kubectl("create", DRY, "-f", "-", stdin=GOOD).passed
    would = installed.stateward("uninstall", "--dry-run")
    assert would.passed, str(would)
    assert installed.configuration()

    done = installed.stateward("uninstall")

    assert done.passed, str(done)
    assert f"removed  {CONFIGURATION}/stateward" in done.out
    assert "left     WardPolicies" in done.out
    kubectl.passes("create", DRY, "-f", "-", stdin=GOOD)
    for kind in ("deployments", "services", "roles", "rolebindings", "leases", "poddisruptionbudgets", "networkpolicies"):
        assert installed.kubectl.at(NAMESPACE).names(kind) == [], kind
    left = installed.kubectl.names("clusterroles") + installed.kubectl.names("clusterrolebindings")
    assert [name for name in left if "stateward" in name] == []
    again = installed.stateward("uninstall")
    assert again.passed, str(again)
    assert "removed" not in again.out

    installed.apply()  # and it may come back


def test_a_namespace_that_is_deleted_takes_the_door_along(installed: Installation, cluster: Cluster) -> None:
    cluster.needs_controllers()
    installed.kubectl.must("delete", "namespace", NAMESPACE, "--wait=false")
    eventually(lambda: not installed.configuration(), "nobody is asked any more", 20)
    eventually(lambda: not installed.kubectl.get("namespace", NAMESPACE), "the namespace is gone", 60)
