"""Real controllers do their work through the door: whatever was let through once is carried out to its end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from cluster_kit import Cluster, Door, Item, Kubectl, eventually, postgres_cluster, stateful_set

CONTROLLER = re.compile(r"\bdenied\b.*\buser=\"?system:(?:serviceaccount:kube-system:|kube-|node:|apiserver)")


@pytest.fixture(autouse=True)
def no_controller_is_refused(door: Door) -> Iterator[None]:
    """Whatever a test looks at: nothing that a controller of Kubernetes writes is refused meanwhile."""
    before = len(door.log())
    yield
    assert [line for line in door.log()[before:].splitlines() if CONTROLLER.search(line)] == []


def confirmed(kubectl: Kubectl, what: str, name: str) -> None:
    kubectl.must("annotate", what, name, f"stateward.dev/confirm-delete={name}")


def owned(kubectl: Kubectl, kind: str) -> list[str]:
    return [one["metadata"]["name"] for one in kubectl.get(kind)["items"] if one["metadata"].get("ownerReferences")]


def gone(kubectl: Kubectl, *kinds: str, seconds: float = 45) -> None:
    for kind in kinds:
        eventually(lambda kind=kind: kubectl.names(kind) == [], f"no {kind} is left", seconds)


def running(kubectl: Kubectl, cluster: Cluster, *, replicas: int = 1, **spec: object) -> Item:
    """A PostgreSQL that runs, with volumes that are bound."""
    cluster.needs_pods()
    item = stateful_set("orders", cluster.image("postgres:16.4"), replicas=replicas, runs=True)
    item["spec"] |= spec
    kubectl.must("apply", "-f", "-", stdin=item)
    kubectl.must("rollout", "status", "statefulset/orders", "--timeout=90s", seconds=100)
    assert all(one["status"]["phase"] == "Bound" for one in kubectl.get("pvc")["items"])
    return item


@pytest.mark.parametrize("cascade", ["background", "foreground"])
def test_what_a_deleted_set_owned_is_collected(kubectl: Kubectl, cluster: Cluster, cascade: str) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    eventually(lambda: len(kubectl.names("pods")) == 2, "the controller has made pods")
    confirmed(kubectl, "statefulset", "orders")

    done = kubectl("delete", "statefulset", "orders", f"--cascade={cascade}", "--timeout=45s")

    assert done.passed, str(done)
    gone(kubectl, "statefulsets", "pods", "controllerrevisions")
    assert len(kubectl.names("pvc")) == 2


def test_what_an_orphaning_deletion_leaves_is_released(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    eventually(lambda: len(owned(kubectl, "pods")) == 2, "the controller has made pods")

    kubectl.must("delete", "statefulset", "orders", "--cascade=orphan", "--timeout=45s")

    eventually(lambda: owned(kubectl, "pods") == [], "the pods belong to nobody")
    eventually(lambda: owned(kubectl, "controllerrevisions") == [], "the revisions belong to nobody")
    assert len(kubectl.names("pods")) == 2


def test_a_set_is_scaled_up_and_down_by_its_controller(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    kubectl.must("apply", "-f", "-", stdin=stateful_set("orders", "postgres:16.4", replicas=2))
    eventually(lambda: len(kubectl.names("pods")) == 2, "two pods")

    kubectl.must("scale", "statefulset/orders", "--replicas=3")
    eventually(lambda: len(kubectl.names("pods")) == 3, "three pods")
    kubectl.must("scale", "statefulset/orders", "--replicas=2")
    eventually(lambda: len(kubectl.names("pods")) == 2, "two pods again")


def test_a_rollout_is_carried_out(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, replicas=2)
    image = cluster.image("postgres:16.6")

    kubectl.must("set", "image", "statefulset/orders", f"main={image}")

    kubectl.must("rollout", "status", "statefulset/orders", "--timeout=60s")
    images = {one["spec"]["containers"][0]["image"] for one in kubectl.get("pods")["items"]}
    assert images == {image}


def test_claims_that_go_with_their_set_are_collected_though_claims_are_guarded(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"})
    assert kubectl("delete", "pvc", "data-orders-0", "--dry-run=server").refused
    confirmed(kubectl, "statefulset", "orders")

    kubectl.must("delete", "statefulset", "orders", "--timeout=45s")

    gone(kubectl, "pods", "pvc")


def test_a_confirmed_namespace_goes_with_everything_in_it(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, replicas=2)
    kubectl.refused("delete", "namespace", kubectl.namespace, "--dry-run=server")
    confirmed(kubectl, "namespace", kubectl.namespace)

    done = kubectl("delete", "namespace", kubectl.namespace, "--timeout=60s", seconds=70)

    assert done.passed, str(done)
    assert kubectl.get("namespace", kubectl.namespace) == {}


def test_what_a_deleted_custom_resource_owned_is_collected_down_to_its_claims(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_pods()
    kubectl.must("apply", "-f", "-", stdin=postgres_cluster("pg", instances=1))
    owner = kubectl.get("clusters.postgresql.cnpg.io", "pg")
    item = stateful_set("pg", cluster.image("postgres:16.4"), runs=True)
    item["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": "pg",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    item["spec"]["persistentVolumeClaimRetentionPolicy"] = {"whenDeleted": "Delete", "whenScaled": "Retain"}
    kubectl.must("apply", "-f", "-", stdin=item)
    kubectl.must("rollout", "status", "statefulset/pg", "--timeout=60s")
    assert kubectl("delete", "statefulset", "pg", "--dry-run=server").refused
    confirmed(kubectl, "clusters.postgresql.cnpg.io", "pg")

    kubectl.must("delete", "clusters.postgresql.cnpg.io", "pg", "--timeout=45s")

    gone(kubectl, "statefulsets", "pods", "controllerrevisions", "pvc")


def test_a_confirmed_claim_goes_when_its_pod_has_gone(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster)
    confirmed(kubectl, "pvc", "data-orders-0")
    kubectl.must("delete", "pvc", "data-orders-0", "--wait=false")
    assert kubectl.get("pvc", "data-orders-0")["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]

    kubectl.must("scale", "statefulset/orders", "--replicas=0")

    gone(kubectl, "pods", "pvc")


def test_a_pod_that_is_deleted_comes_back(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster)
    uid = kubectl.get("pod", "orders-0")["metadata"]["uid"]

    kubectl.must("delete", "pod", "orders-0", "--timeout=30s")

    eventually(
        lambda: kubectl.get("pod", "orders-0").get("metadata", {}).get("uid", uid) != uid, "the controller made it anew"
    )


# --- Deployments -----------------------------------------------------------------------------------------------------


def deployment(name: str, image: str, *, claim: str = "", replicas: int = 1) -> Item:
    """A Deployment that runs, with a claim or without one."""
    container: Item = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["/bin/sleep", "2147483647"],
    }
    pod: Item = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    if claim:
        container["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        pod["volumes"] = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 1,
            **({"strategy": {"type": "Recreate"}} if claim else {}),
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def a_claim(name: str, storage_class: str = "standard") -> Item:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "16Mi"}},
        },
    }


def rolled_out(kubectl: Kubectl, name: str) -> None:
    kubectl.must("rollout", "status", f"deployment/{name}", "--timeout=60s", seconds=70)


@pytest.mark.parametrize("claim", ["", "kept"])
def test_a_deployment_is_rolled_out_scaled_undone_and_collected(kubectl: Kubectl, cluster: Cluster, claim: str) -> None:
    cluster.needs_pods()
    item = deployment("files", cluster.image("postgres:16.4" if claim else "nginx:1.27"), claim=claim)
    kubectl.must("apply", "-f", "-", stdin=[a_claim(claim), item] if claim else [item])
    rolled_out(kubectl, "files")

    for round_ in range(3):
        kubectl.must("set", "env", "deployment/files", f"ROUND={round_}")
        rolled_out(kubectl, "files")
    # One of the past is kept: the controller has deleted the others.
    eventually(lambda: len(kubectl.names("replicasets")) == 2, "old ReplicaSets are collected")
    kubectl.must("rollout", "undo", "deployment/files")
    rolled_out(kubectl, "files")
    kubectl.must("scale", "deployment/files", "--replicas=0")
    gone(kubectl, "pods")
    confirmed(kubectl, "deployment", "files")
    kubectl.must("delete", "deployment", "files", "--timeout=45s")

    gone(kubectl, "deployments", "replicasets", "pods")


def test_a_deployment_that_should_not_be_as_it_is_is_still_rolled_out(kubectl: Kubectl, cluster: Cluster) -> None:
    """Two databases on one claim were let pass once: the ReplicaSet of the next rollout is the Deployment's doing."""
    cluster.needs_pods()
    item = deployment("db", cluster.image("postgres:16.4"), claim="kept", replicas=2)
    kubectl.past.must("apply", "-f", "-", stdin=[a_claim("kept"), item])
    rolled_out(kubectl, "db")

    kubectl.past.must("set", "env", "deployment/db", "ROUND=1")

    rolled_out(kubectl, "db")
    eventually(lambda: len(kubectl.names("replicasets")) == 2, "the controller has made another ReplicaSet")


# --- volumes ---------------------------------------------------------------------------------------------------------


def volumes_of(kubectl: Kubectl, claim: str) -> list[Item]:
    """The volumes that are or were bound to a claim of this name."""
    found = kubectl.get("persistentvolumes").get("items", ())
    where = {"namespace": kubectl.namespace, "name": claim}
    return [one for one in found if where.items() <= (one["spec"].get("claimRef") or {}).items()]


def test_a_released_volume_is_deleted_by_who_made_it_and_its_claim_is_made_again(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_pods()
    for _ in range(2):
        kubectl.must("apply", "-f", "-", stdin=a_claim("scratch", "immediate"))
        kubectl.must("wait", "--for=jsonpath={.status.phase}=Bound", "pvc/scratch", "--timeout=30s")
        assert len(volumes_of(kubectl, "scratch")) == 1
        confirmed(kubectl, "pvc", "scratch")
        kubectl.must("delete", "pvc", "scratch", "--timeout=30s")
        eventually(lambda: volumes_of(kubectl, "scratch") == [], "its volume is deleted, too")


def test_a_volume_that_is_kept_is_released_and_goes_with_a_warning(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster)  # the class binds when a pod comes
    name = kubectl.get("pvc", "data-orders-0")["spec"]["volumeName"]
    kubectl.past.must("patch", "pv", name, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Retain"}}')
    assert kubectl.refused("delete", "pv", name, "--dry-run=server").rules == ["SW406"]
    kubectl.past.must("delete", "statefulset", "orders", "--timeout=45s")
    confirmed(kubectl, "pvc", "data-orders-0")
    kubectl.must("delete", "pvc", "data-orders-0", "--timeout=45s")
    eventually(lambda: kubectl.get("pv", name)["status"]["phase"] == "Released", "the volume is released")

    done = kubectl.passes("delete", "pv", name, "--dry-run=server")

    assert [line.split()[0] for line in done.warnings] == ["SW406"], str(done)
    kubectl.past("patch", "pv", name, "-p", '{"spec": {"persistentVolumeReclaimPolicy": "Delete"}}')


# --- Jobs, tokens, budgets -------------------------------------------------------------------------------------------


def test_a_job_that_is_done_is_taken_away_with_its_pods(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_pods()
    container = {
        "name": "main",
        "image": cluster.image("nginx:1.27"),
        "imagePullPolicy": "Never",
        "command": ["/bin/test", "1"],
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "night"},
        "spec": {
            "ttlSecondsAfterFinished": 1,
            "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
        },
    }
    kubectl.must("apply", "-f", "-", stdin=job)

    gone(kubectl, "jobs", "pods", seconds=60)


def test_what_controllers_keep_in_secrets_and_config_maps_is_theirs(kubectl: Kubectl, cluster: Cluster) -> None:
    cluster.needs_controllers()
    eventually(lambda: "kube-root-ca.crt" in kubectl.names("configmaps"), "the authority is published")
    kubectl.must("delete", "configmap", "kube-root-ca.crt")
    eventually(lambda: "kube-root-ca.crt" in kubectl.names("configmaps"), "the authority is published again")
    kubectl.must("create", "serviceaccount", "robot")
    token = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {"name": "robot-token", "annotations": {"kubernetes.io/service-account.name": "robot"}},
    }
    kubectl.must("apply", "-f", "-", stdin=token)
    eventually(lambda: kubectl.get("secret", "robot-token").get("data", {}).get("token"), "the controller fills it in")

    kubectl.must("delete", "serviceaccount", "robot")

    gone(kubectl, "secrets")


def test_a_budget_is_kept_up_to_date_by_its_controller(kubectl: Kubectl, cluster: Cluster) -> None:
    running(kubectl, cluster, replicas=2)
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "orders"},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": {"app": "orders"}}},
    }

    kubectl.must("apply", "-f", "-", stdin=budget)

    eventually(lambda: kubectl.get("pdb", "orders").get("status", {}).get("disruptionsAllowed") == 1, "one may go")


# --- an operator -----------------------------------------------------------------------------------------------------


def test_an_operator_does_its_work(kubectl: Kubectl, cluster: Cluster) -> None:
    """As CloudNativePG does it: Secrets, ConfigMaps, pods and claims of its own that it makes, changes and deletes."""
    cluster.needs_pods()
    kubectl.must("apply", "-f", "-", stdin=postgres_cluster("pg", instances=2))
    owner = kubectl.get("clusters.postgresql.cnpg.io", "pg")
    kubectl.must("create", "serviceaccount", "cnpg-manager")
    account = f"system:serviceaccount:{kubectl.namespace}:cnpg-manager"
    kubectl.must("create", "rolebinding", "cnpg-manager", "--clusterrole=admin", f"--user={account}")
    robot = kubectl.as_user(account, "system:serviceaccounts", "system:authenticated")
    eventually(lambda: robot("get", "pods").passed, "the account may read")
    reference = {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": "pg",
        "uid": owner["metadata"]["uid"],
        "controller": True,
    }

    def made(item: Item, name: str) -> Item:
        labels = {"cnpg.io/cluster": "pg", "cnpg.io/instanceName": name}
        item["metadata"] = {"name": name, "labels": labels, "ownerReferences": [reference]}
        return item

    def pod(name: str) -> Item:
        container = {
            "name": "postgres",
            "image": cluster.image("postgres:16.4"),
            "imagePullPolicy": "Never",
            "command": ["/bin/sleep", "2147483647"],
            "volumeMounts": [{"name": "pgdata", "mountPath": "/var/lib/postgresql/data"}],
        }
        volume = {"name": "pgdata", "persistentVolumeClaim": {"claimName": name}}
        spec = {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": [volume]}
        return made({"apiVersion": "v1", "kind": "Pod", "spec": spec}, name)

    secret = made({"apiVersion": "v1", "kind": "Secret", "stringData": {"username": "app", "password": "first"}}, "pg-app")
    config = made({"apiVersion": "v1", "kind": "ConfigMap", "data": {"queries": "{}"}}, "pg-monitoring")
    robot.must("create", "-f", "-", stdin=[secret, config])
    for name in ("pg-1", "pg-2"):
        robot.must("create", "-f", "-", stdin=[made(a_claim(name), name), pod(name)])
    kubectl.must("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s", seconds=70)

    for changed in ({"stringData": {"password": "second"}}, {"metadata": {"labels": {"cnpg.io/reload": "true"}}}):
        robot.must("patch", "secret", "pg-app", "--type=merge", "-p", json.dumps(changed))
    robot.must("patch", "configmap", "pg-monitoring", "--type=merge", "-p", '{"data": {"queries": "{a: b}"}}')
    for name in ("pg-2", "pg-1"):  # a rolling update: one pod after the other
        robot.must("delete", "pod", name, "--timeout=30s")
        robot.must("create", "-f", "-", stdin=pod(name))
        kubectl.must("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", seconds=70)
    kubectl.past.must("patch", "clusters.postgresql.cnpg.io", "pg", "--type=merge", "-p", '{"spec": {"instances": 1}}')
    robot.must("delete", "pod", "pg-2", "--timeout=30s")
    robot.must("delete", "pvc", "pg-2", "--timeout=30s")
    confirmed(kubectl, "clusters.postgresql.cnpg.io", "pg")
    kubectl.must("delete", "clusters.postgresql.cnpg.io", "pg", "--timeout=45s")

    gone(kubectl, "pods", "pvc", "secrets")
