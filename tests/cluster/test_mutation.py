"""/mutate before a real API server: what it fills in stays, restarts nothing, and what can never be is refused first."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from cluster_kit import Cluster, Done, Door, Item, Kubectl, eventually, stateful_set

from stateward.kube.mutating import webhooks
from stateward.policies import times
from stateward.policies.engine import Verdict
from stateward.policies.mutate import mutate as fill_in
from stateward.policies.policy import DEFAULT, Policy, parse
from stateward.policies.request import decode
from stateward.policies.review import Answer
from stateward.policies.rules import RULES
from stateward.policies.view import EMPTY_VIEW, MemoryView
from stateward.webhook.app import App, build
from stateward.webhook.certificates import Certificates
from stateward.webhook.server import Server, listen

NAME = "stateward-mutation-test"
GUIDE = Path(__file__).resolve().parents[2] / "docs" / "webhook.md"
ETCD = "etcd:3.5.17"
LABEL = "stateward.dev/defaults"

# --- registered --------------------------------------------------------------------------------------------------------


@contextmanager
def registered(kubectl: Kubectl, name: str, those: list[Item]) -> Iterator[None]:
    """A MutatingWebhookConfiguration while this holds."""
    kubectl.must(
        "apply",
        "-f",
        "-",
        stdin={
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": those,
        },
    )
    try:
        yield
    finally:
        kubectl.must("delete", "mutatingwebhookconfiguration", name)


def of_door(door: Door, policy: Policy = DEFAULT) -> list[Item]:
    """The webhooks that ask the door that runs."""
    (configuration,) = door.configurations()
    asked = configuration["webhooks"][0]["clientConfig"]
    return webhooks(
        lambda path: {"url": asked["url"].replace("/validate", path), "caBundle": asked["caBundle"]}, policy=policy
    )


@pytest.fixture
def asking(kubectl: Kubectl, namespace: str) -> str:
    """The test's namespace, asking for defaults."""
    kubectl.past.must("label", "namespace", namespace, f"{LABEL}=on")
    return namespace


@contextmanager
def open_to(kubectl: Kubectl, door: Door) -> Iterator[None]:
    """/mutate is asked: in a namespace that asks, something is filled in, and then no more."""
    with registered(kubectl, NAME, of_door(door)):
        eventually(
            lambda: filled(dry(kubectl, "create", stateful_set("probe", ETCD, replicas=3))), "the API server asks /mutate"
        )
        yield
    eventually(
        lambda: not filled(dry(kubectl, "create", stateful_set("probe", ETCD, replicas=3))), "the API server asks no more"
    )


@pytest.fixture
def mutating(kubectl: Kubectl, door: Door, asking: str) -> Iterator[None]:
    with open_to(kubectl, door):
        yield


# --- what is looked at -------------------------------------------------------------------------------------------------


def dry(kubectl: Kubectl, how: str, item: Item, *more: str) -> Item:
    done = kubectl(how, "--dry-run=server", "-o", "json", "-f", "-", *more, stdin=item)
    assert done.passed, str(done)
    found: Item = json.loads(done.out)
    return found


def pod_of(item: Item) -> Item:
    found: Item = item["spec"]["template"]["spec"]
    return found


def filled(item: Item) -> list[str]:
    """Which of the fields are there."""
    pod = pod_of(item)
    keys = [one["topologyKey"] for one in pod.get("topologySpreadConstraints", ())]
    return [*keys, *(["apart"] if pod.get("affinity", {}).get("podAntiAffinity") else [])]


def the_set(kubectl: Kubectl, name: str = "members") -> Item:
    return kubectl.get("statefulset", name)


FILLED = [["kubernetes.io/hostname", "apart"], ["topology.kubernetes.io/zone", "kubernetes.io/hostname", "apart"]]
"""Zones are named where every node has one."""

CREATIONS = [
    pytest.param(("create",), id="create"),
    pytest.param(("apply",), id="apply"),
    pytest.param(("apply", "--server-side"), id="server-side apply"),
]

# --- filled in ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("mutating")
@pytest.mark.parametrize("command", CREATIONS)
def test_members_of_a_quorum_are_spread_where_the_namespace_asks(kubectl: Kubectl, command: tuple[str, ...]) -> None:
    item = stateful_set("members", ETCD, replicas=3)

    tried = dry(kubectl, command[0], item, *command[1:])
    assert filled(tried) in FILLED
    assert the_set(kubectl) == {}
    done = kubectl(*command, "-f", "-", stdin=item)

    assert done.passed, str(done)
    # What rules say of a cluster with few nodes comes beside it.
    assert [text[:5] for text in done.warnings if text.startswith("SW0")] == ["SW001", "SW002"], str(done)
    made = the_set(kubectl)
    assert pod_of(made)["topologySpreadConstraints"] == pod_of(tried)["topologySpreadConstraints"]
    assert pod_of(made)["affinity"] == pod_of(tried)["affinity"]
    assert all(one["whenUnsatisfiable"] == "ScheduleAnyway" for one in pod_of(made)["topologySpreadConstraints"])
    assert "topologySpreadConstraints" not in json.dumps(made["spec"]["volumeClaimTemplates"])


def test_elsewhere_and_of_what_a_controller_owns_nothing_is(kubectl: Kubectl, mutating: None, cluster: Cluster) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "11111111-1111-1111-1111-111111111111"}
    for controls, wanted in ((True, [[]]), (False, FILLED)):
        item = stateful_set("members", ETCD, replicas=3)
        item["metadata"]["ownerReferences"] = [{**owner, "controller": controls}]
        assert filled(dry(kubectl, "create", item)) in wanted
    said_off = stateful_set("members", ETCD, replicas=3)
    said_off["metadata"]["annotations"] = {LABEL: "off"}
    assert filled(dry(kubectl, "create", said_off)) == []
    assert filled(dry(cluster.kubectl.at("default"), "create", stateful_set("members", ETCD, replicas=3))) == []


@pytest.mark.usefixtures("mutating")
def test_what_is_written_stays(kubectl: Kubectl) -> None:
    item = stateful_set("members", ETCD, replicas=3)
    mine = [
        {
            "maxSkew": 2,
            "topologyKey": "rack",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "members"}},
        }
    ]
    pod_of(item)["topologySpreadConstraints"] = mine
    pod_of(item)["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}

    made = dry(kubectl, "create", item)

    assert pod_of(made)["topologySpreadConstraints"] == mine
    assert "podAntiAffinity" in pod_of(made)["affinity"]


def test_an_update_fills_nothing_in(kubectl: Kubectl, door: Door, asking: str) -> None:
    item = stateful_set("members", ETCD, replicas=3)
    kubectl.must("apply", "-f", "-", stdin=item)
    with open_to(kubectl, door):
        item["spec"]["template"]["metadata"]["annotations"] = {"note": "new"}
        kubectl.must("apply", "-f", "-", stdin=item)
        kubectl.must("scale", "statefulset/members", "--replicas=5")
    assert filled(the_set(kubectl)) == []


def test_a_budget_without_a_number_lets_one_go(kubectl: Kubectl, door: Door, asking: str) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("members", ETCD, replicas=3))
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "members"},
        "spec": {"selector": {"matchLabels": {"app": "members"}}},
    }
    with open_to(kubectl, door):
        found = eventually(lambda: dry(kubectl, "create", budget)["spec"].get("maxUnavailable"), "the door sees the set")
        written = dry(kubectl, "create", {**budget, "spec": {**budget["spec"], "minAvailable": 2}})
    assert found == 1
    assert written["spec"].get("minAvailable") == 2
    assert "maxUnavailable" not in written["spec"]


# --- nothing restarts --------------------------------------------------------------------------------------------------


def settled(kubectl: Kubectl, cluster: Cluster) -> Item:
    """The set once its controller has seen it."""
    cluster.needs_controllers()

    def seen() -> Item | None:
        found = the_set(kubectl)
        status = found.get("status", {})
        good = status.get("observedGeneration") == found["metadata"]["generation"] and status.get("updateRevision")
        return found if good else None

    found: Item = eventually(seen, "the controller has seen the set")
    return found


@pytest.mark.parametrize("how", [("apply",), ("apply", "--server-side")], ids=["apply", "server-side apply"])
def test_the_same_manifest_applied_without_the_webhook_changes_and_restarts_nothing(
    kubectl: Kubectl, door: Door, cluster: Cluster, asking: str, how: tuple[str, ...]
) -> None:
    item = stateful_set("members", ETCD, replicas=3)
    with open_to(kubectl, door):
        kubectl.must(*how, "-f", "-", stdin=item)
    before = settled(kubectl, cluster)
    assert filled(before) in FILLED

    for _ in range(2):
        kubectl.must(*how, "-f", "-", stdin=item)
    difference = kubectl("diff", *how[1:], "-f", "-", stdin=item)
    after = settled(kubectl, cluster)

    assert difference.code == 0, str(difference)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    assert after["status"]["updateRevision"] == before["status"]["updateRevision"] == after["status"]["currentRevision"]
    assert after["spec"] == before["spec"]


@pytest.mark.parametrize("asked_before", [False, True], ids=["members without", "members with"])
def test_a_set_made_anew_around_its_members_keeps_their_revision(
    kubectl: Kubectl, door: Door, cluster: Cluster, asking: str, asked_before: bool
) -> None:
    item = stateful_set("members", ETCD, replicas=3)
    if asked_before:
        with open_to(kubectl, door):
            kubectl.must("apply", "-f", "-", stdin=item)
    else:
        kubectl.must("apply", "-f", "-", stdin=item)
    before = settled(kubectl, cluster)
    eventually(lambda: len(kubectl.names("pods")) == 3, "its members are there")
    kubectl.past.must("delete", "statefulset/members", "--cascade=orphan")

    with open_to(kubectl, door):
        wanted = filled(before)
        eventually(lambda: filled(dry(kubectl, "create", item)) == wanted, "the door sees the members and their revision")
        kubectl.must("apply", "-f", "-", stdin=item)
    after = settled(kubectl, cluster)

    assert bool(filled(before)) is asked_before
    assert filled(after) == filled(before)
    assert after["status"]["updateRevision"] == before["status"]["updateRevision"]


# --- together with others ----------------------------------------------------------------------------------------------


def sidecar(body: bytes, view: Any, policy: Any, *, now: float, unknown: Any) -> Answer:
    """Another webhook, which changes what it is sent: that makes the API server ask us once more."""
    request = decode(body)
    response: Item = {"uid": request.uid, "allowed": True}
    if pod_of(request.object or {}).get("schedulerName") != "sidecar":
        patch = [{"op": "replace", "path": "/spec/template/spec/schedulerName", "value": "sidecar"}]
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(patch)).decode()}
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
    return Answer(Verdict(request), orjson.dumps(review))


@contextmanager
def here(folder: Path, app: App, policy: Policy = DEFAULT) -> Iterator[list[Item]]:
    """The webhooks that ask an application in this process."""
    listening = listen("127.0.0.1", 0)
    with (
        Certificates(folder, ["localhost", "127.0.0.1"]) as certificates,
        Server(app, listening, context=certificates.hot.context) as server,
    ):
        bundle = base64.b64encode(certificates.bundle).decode()
        base = f"https://localhost:{server.port}"
        yield webhooks(lambda path: {"url": base + path, "caBundle": bundle}, policy=policy)


def test_asked_again_after_another_webhook_it_fills_nothing_in_twice(
    kubectl: Kubectl, mutating: None, tmp_path: Path
) -> None:
    app = build(EMPTY_VIEW, DEFAULT, mutate=sidecar)
    item = stateful_set("members", ETCD, replicas=3)

    def both() -> Item | None:
        made = dry(kubectl, "create", item)
        return made if pod_of(made)["schedulerName"] == "sidecar" else None

    with here(tmp_path, app) as those:
        another = [{**one, "name": f"another.{one['name']}"} for one in those if one["name"].startswith("defaults")]
        with registered(kubectl, f"zz-{NAME}", another):
            made = eventually(both, "the other webhook is asked")
    assert filled(made) in FILLED


def test_a_policy_asks_without_a_label_and_the_label_forbids(kubectl: Kubectl, namespace: str, tmp_path: Path) -> None:
    mutate = {"members-spread": {"match": {"namespaces": [namespace]}}}
    policy = parse({"apiVersion": "stateward.dev/v1alpha1", "kind": "WardPolicy", "spec": {"mutate": mutate}}, RULES)
    item = stateful_set("members", ETCD, replicas=3)

    def asked() -> list[str]:
        return filled(dry(kubectl, "create", item))

    with (
        here(tmp_path, build(MemoryView((), lambda _: True), policy, mutate=fill_in), policy) as those,
        registered(kubectl, NAME, those),
    ):
        assert eventually(asked, "the API server asks") == ["kubernetes.io/hostname"]
        elsewhere = dry(kubectl.at("default"), "create", item)
        kubectl.past.must("label", "namespace", namespace, f"{LABEL}=off")
        eventually(lambda: not asked(), "the API server asks no more")
    assert filled(elsewhere) == []


# --- who answers -------------------------------------------------------------------------------------------------------


def set_with(*path: str | int, to: Any) -> Callable[[Kubectl], Done]:
    def edit(kubectl: Kubectl) -> Done:
        item = stateful_set("members", ETCD, replicas=3)
        holder: Any = item["spec"]
        for step in path[:-1]:
            holder = holder[step]
        holder[path[-1]] = to
        return kubectl("apply", "-f", "-", "--dry-run=server", stdin=item)

    return edit


def claim_with(spec: Item, name: str = "bound") -> Callable[[Kubectl], Done]:
    return lambda kubectl: kubectl(
        "patch", "pvc", name, "--dry-run=server", "--type=merge", "-p", json.dumps({"spec": spec})
    )


def size(text: str) -> Item:
    return {"resources": {"requests": {"storage": text}}}


@dataclass(frozen=True)
class Edit:
    what: str
    first: str
    """Who answers with both webhooks: `/mutate SW103`, `API server 422`, `/validate SW301`, `passes`."""
    without: str
    """Who answers where /mutate is not there."""
    do: Callable[[Kubectl], Done]


VOLUME = ("volumeClaimTemplates", 0)
EDITS = [
    Edit("StatefulSet: size in a claim template", "`/mutate` SW103", "API server 422",
         set_with(*VOLUME, "spec", "resources", "requests", "storage", to="32Mi")),
    Edit("StatefulSet: class in a claim template", "`/mutate` SW103", "API server 422",
         set_with(*VOLUME, "spec", "storageClassName", to="fast")),
    Edit("StatefulSet: label in a claim template", "`/mutate` SW103", "API server 422",
         set_with(*VOLUME, "metadata", "labels", to={"chart": "1.2"})),
    Edit("StatefulSet: a claim template more or fewer", "`/mutate` SW103", "API server 422",
         set_with("volumeClaimTemplates", to=[])),
    Edit("StatefulSet: `serviceName`", "`/mutate` SW103", "API server 422", set_with("serviceName", to="other")),
    Edit("StatefulSet: `selector`", "`/mutate` SW103", "API server 422",
         set_with("selector", to={"matchLabels": {"app": "members", "tier": "one"}})),
    Edit("StatefulSet: `podManagementPolicy`", "`/mutate` SW103", "API server 422",
         set_with("podManagementPolicy", to="OrderedReady")),
    Edit("StatefulSet: labels of the template that the selector does not match", "API server 422", "API server 422",
         set_with("template", "metadata", "labels", to={"app": "others"})),
    Edit("StatefulSet: a version back", "`/validate` SW301", "`/validate` SW301",
         set_with("template", "spec", "containers", 0, "image", to="etcd:3.4.20")),
    Edit("StatefulSet: members below the majority", "`/validate` SW201", "`/validate` SW201", set_with("replicas", to=1)),
    Edit("StatefulSet: `minReadySeconds`", "passes", "passes", set_with("minReadySeconds", to=5)),
    Edit("claim: class", "`/mutate` SW119", "API server 422", claim_with({"storageClassName": "slow"})),
    Edit("claim: access modes", "`/mutate` SW119", "API server 422", claim_with({"accessModes": ["ReadWriteMany"]})),
    Edit("claim: another volume", "`/mutate` SW119", "API server 422", claim_with({"volumeName": "pv-b"})),
    Edit("claim: smaller than its volume", "`/mutate` SW119", "API server 422", claim_with(size("5Gi"))),
    Edit("claim: a growth taken back to what its volume has", "`/mutate` SW119", "API server 422", claim_with(size("10Gi"))),
    Edit("claim: a growth taken back to more than its volume has", "passes", "passes", claim_with(size("15Gi"))),
    Edit("claim: the same size in another unit", "passes", "passes", claim_with(size("20480Mi"))),
    Edit("claim: larger, of a class that cannot grow", "API server 403", "API server 403", claim_with(size("30Gi"))),
    Edit("claim: any size before it has a volume", "`/mutate` SW119", "API server 422", claim_with(size("30Gi"), "pending")),
    Edit("claim: source of its data", "API server 422", "API server 422",
         claim_with({"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}})),
]  # fmt: skip


def answered(done: Done) -> str:
    if done.passed:
        return "passes"
    if done.refused:
        door = "`/mutate`" if 'webhook "refusals.stateward.dev" denied' in done.err else "`/validate`"
        return f"{door} {', '.join(dict.fromkeys(done.rules))}"
    return "API server 422" if "is invalid:" in done.err else "API server 403" if "(Forbidden)" in done.err else str(done)


@pytest.fixture
def claims(kubectl: Kubectl, cluster: Cluster, namespace: str) -> Iterator[None]:
    """`bound`: has 10Gi, was asked to grow to 20Gi, of a class that grows no more; `pending`: has no volume."""
    cluster.needs_controllers()
    past = kubectl.past
    storage = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": namespace},
        "provisioner": "stateward.test/nobody",
        "allowVolumeExpansion": True,
    }
    spec = {"accessModes": ["ReadWriteOnce"], "storageClassName": namespace}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {**spec, "capacity": {"storage": "10Gi"}, "csi": {"driver": "stateward.test", "volumeHandle": "x"}},
    }
    past.must("create", "-f", "-", stdin=storage)
    past.must("create", "-f", "-", stdin=volume)
    for name, more in (("bound", {"volumeName": namespace, **size("10Gi")}), ("pending", size("20Gi"))):
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": {**spec, **more}}
        past.must("create", "-f", "-", stdin=claim)
    eventually(lambda: kubectl.get("pvc", "bound").get("status", {}).get("phase") == "Bound", "the claim is bound")
    past.must("patch", "pvc", "bound", "--type=merge", "-p", json.dumps({"spec": size("20Gi")}))
    past.must("patch", "storageclass", namespace, "-p", '{"allowVolumeExpansion": false}')
    yield
    past("delete", "pvc", "bound", "pending", "--wait=false")
    past("delete", f"pv/{namespace}", f"storageclass/{namespace}", "--wait=false")


def test_who_answers_what_is_as_the_guide_says(kubectl: Kubectl, door: Door, asking: str, claims: None) -> None:
    kubectl.must("apply", "-f", "-", stdin=stateful_set("members", ETCD, replicas=3))
    found = {edit.what: [edit.what, "", answered(edit.do(kubectl))] for edit in EDITS}
    with open_to(kubectl, door):
        for edit in EDITS:
            done = edit.do(kubectl)
            found[edit.what][1] = answered(done)
            if "/mutate" in found[edit.what][1]:
                assert "Error from server (Forbidden)" in done.err
                assert "\n  do   " in done.err
                assert "note: the API server itself refuses this edit, so no waiver helps" in done.err

    assert list(found.values()) == [[edit.what, edit.first, edit.without] for edit in EDITS]


def test_the_table_in_the_guide_is_this_one() -> None:
    text = GUIDE.read_text()
    part = text[text.index("## Who answers") :].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \|$", part, re.MULTILINE)
    assert rows[1:] == [(edit.what, edit.first, edit.without) for edit in EDITS]


def test_an_edit_that_cannot_be_does_not_become_a_deletion_under_force(kubectl: Kubectl, door: Door, asking: str) -> None:
    """`kubectl apply --force` deletes and creates where the API server says 422; a 403 is the end of it."""
    item = stateful_set("members", ETCD, replicas=3)
    kubectl.must("apply", "-f", "-", stdin=item)
    before = the_set(kubectl)["metadata"]["uid"]
    item["spec"]["serviceName"] = "other"
    with open_to(kubectl, door):
        done = kubectl("apply", "--force", "-f", "-", stdin=item)
    assert done.refused, str(done)
    assert done.rules == ["SW103"]
    assert the_set(kubectl)["metadata"]["uid"] == before


def test_a_waiver_is_said_not_to_help(kubectl: Kubectl, mutating: None) -> None:
    item = stateful_set("members", ETCD, replicas=3)
    item["metadata"]["annotations"] = {"stateward.dev/waive": f'SW103 until={soon()} reason="moving"'}
    kubectl.must("apply", "-f", "-", stdin=item)
    item["spec"]["serviceName"] = "other"

    done = kubectl("apply", "-f", "-", stdin=item)

    assert not done.passed
    assert not done.refused
    assert "is invalid" in done.err
    assert done.warnings == ["SW103 is waived, but the API server itself refuses this edit, so no waiver helps"]


def soon() -> str:
    return times.render(time.time() + 600)
