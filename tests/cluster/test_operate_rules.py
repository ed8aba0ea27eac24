"""The rules inside, plans and pictures of a service, before a real API server; kubelet and etcd are stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from cluster_kit import Cluster, Kubectl, eventually
from operate_kit import (
    KIND,
    NAME,
    client,
    commands,
    condition,
    create,
    events,
    kubectl,
    operator,
    served,
    settle,
    settled,
    standin,
    status,
    wanted,
)
from standin_etcd import StandIn


def change(kubectl: Kubectl, **spec: Any) -> None:
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", json.dumps({"spec": spec}))


def stateward(served: Cluster, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command, as a user runs it."""
    program = str(Path(sys.executable).parent / "stateward")
    return subprocess.run(
        [program, *arguments, "--kubeconfig", str(served.kubeconfig)],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def pods(kubectl: Kubectl) -> dict[str, str]:
    return {one["metadata"]["name"]: one["metadata"]["uid"] for one in kubectl.get("pods").get("items", ())}


def blocked(kubectl: Kubectl) -> str:
    found = condition(kubectl, "Blocked")
    return f"{found['reason']}: {found['message']}" if found.get("status") == "True" else ""


def test_what_the_rules_refuse_is_not_carried_out_while_the_rest_goes_on(
    served: Cluster, kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    before = pods(kubectl)
    # No webhook is registered here, and the CustomResourceDefinition knows of no hops.
    change(kubectl, version="3.7.0", members=5)
    eventually(lambda: blocked(kubectl).startswith("Denied: "), "it is refused inside")
    said = blocked(kubectl)
    assert "SW302 skipped-hop: spec.version: 3.5.16 → 3.7.0 is not a hop that etcd supports" in said
    assert "→ 3.6." in said, "the way that leads there is told"
    assert eventually(lambda: events(kubectl, "Denied"), "an Event says so")
    kubectl.must("delete", "service", NAME)
    eventually(lambda: kubectl.get("service", NAME), "drift is set back all the same")
    picture = stateward(served, "status", f"{kubectl.namespace}/{NAME}")
    assert picture.returncode == 0, picture.stderr
    assert "● 3 of 3 serve, 2 must; one more may go" in picture.stdout
    assert "blocked    Denied" in picture.stdout
    assert pods(kubectl) == before
    assert commands(standin) == []
    # Setting back what was refused is enough: the rest of the edit passes.
    change(kubectl, version="3.5.16")
    settle(kubectl, 5)
    assert blocked(kubectl) == ""
    accepted = json.loads(kubectl.get("configmap", f"{NAME}-accepted")["data"]["spec.json"])
    assert (accepted["version"], accepted["members"]) == ("3.5.16", 5)


def test_a_creation_that_the_rules_refuse_makes_nothing(served: Cluster, kubectl: Kubectl, operator: object) -> None:
    item = wanted(version="3.5.16")
    kubectl.must(
        "apply",
        "-f",
        "-",
        stdin={
            "apiVersion": "v1",
            "kind": "PersistentVolumeClaim",
            "metadata": {"name": f"data-{NAME}-0"},
            "spec": {
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": "4Gi"}},
                "volumeName": "somewhere",
                "storageClassName": "other",
            },
        },
    )
    item["spec"]["storage"] = {"size": "1Gi", "class": "fast"}
    plan = stateward(served, "plan", "-f", "-", "-n", kubectl.namespace, stdin=json.dumps(item))
    kubectl.must("apply", "-f", "-", stdin=item)
    eventually(lambda: status(kubectl).get("conditions"), "it is looked at")
    # Whatever the rules say of it, the plan and the operator say the same.
    assert (plan.returncode == 1) is blocked(kubectl).startswith("Denied"), plan.stdout + blocked(kubectl)


def test_a_plan_tells_what_the_operator_then_does(
    served: Cluster, kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    create(kubectl)
    settle(kubectl, 3)
    told = standin.engine.told
    already = len(told)
    item = wanted(members=5)
    found = stateward(served, "plan", "-f", "-", "-n", kubectl.namespace, "--format", "json", stdin=json.dumps(item))
    assert found.returncode == 0, found.stderr
    (plan,) = json.loads(found.stdout)["plans"]
    assert plan["changes"] == "members: 3 → 5"
    planned = [(one["step"], one["member"]) for one in plan["steps"]]
    assert len(planned) == 6
    change(kubectl, members=5)
    settle(kubectl, 5)
    done = [one["message"] for one in status(kubectl)["decisions"] if one["message"].startswith("ScaleUp: ")]
    assert done, status(kubectl)["decisions"]
    last = [tuple(message.removeprefix("ScaleUp: ").partition(":")[0].split(" ")) for message in reversed(done)]
    assert last == planned[-len(last) :]
    # A member gets its vote once it has caught up: the engine may be asked for it more than once.
    engine = [word for word, _ in groupby(text.partition(" ")[0] for text in told[already:])]
    assert engine == ["add", "promote"] * 2
    refused = stateward(
        served, "plan", "-f", "-", "-n", kubectl.namespace, stdin=json.dumps(wanted(members=5, version="3.7.0"))
    )
    assert refused.returncode == 1
    assert "SW302 skipped-hop" in refused.stdout


def test_a_write_that_a_quota_refuses_is_told_with_the_reason_and_goes_on_once_it_may(
    served: Cluster, kubectl: Kubectl, operator: object, standin: StandIn
) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none"},
        "spec": {"hard": {"count/statefulsets.apps": "0"}},
    }
    kubectl.must("apply", "-f", "-", stdin=quota)
    eventually(lambda: kubectl.get("resourcequota", "none").get("status", {}).get("hard"), "the quota counts")
    create(kubectl)
    eventually(lambda: blocked(kubectl).startswith("WriteRefused: "), "it is told")
    assert "exceeded quota: none" in blocked(kubectl)
    kubectl.must("delete", "resourcequota", "none")
    settle(kubectl, 3)
    assert blocked(kubectl) == ""
