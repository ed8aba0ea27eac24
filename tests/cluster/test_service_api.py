"""StatefulService on a real API server: its CRDs, its rules in CEL, `/scale`, and both of its versions."""

from __future__ import annotations

import base64
import contextlib
import copy
import itertools
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_kit import Cluster, Done, Item, Kubectl, eventually

from stateward.kube.client import Cluster as Server
from stateward.kube.converting import CONVERT, publish
from stateward.kube.installed import Door
from stateward.kube.migrating import migrate
from stateward.operator.api import crds
from stateward.operator.api.v1beta1 import StatefulService
from stateward.policies.policy import DEFAULT
from stateward.policies.view import EMPTY_VIEW
from stateward.webhook.app import build
from stateward.webhook.certificates import Certificates
from stateward.webhook.server import Server as Https
from stateward.webhook.server import listen

NAME = "statefulservices.stateward.dev"
OWN = "stateward.test/service-api"
ALPHA = "statefulservices.v1alpha1.stateward.dev"


@pytest.fixture(scope="module")
def kinds(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """The CRDs, converted by a door of our own whose caches have seen nothing."""
    kubectl = cluster.kubectl.past
    kubectl.must("delete", "crd", "-l", f"{OWN}=true", "--timeout=30s")  # of a run that was killed
    if kubectl.get("crd", NAME):
        pytest.skip(f"{NAME} is there already: somebody's")
    with Certificates(tmp_path_factory.mktemp("certs"), ["localhost", "127.0.0.1"]) as certificates:
        app = build(EMPTY_VIEW, DEFAULT, ready=lambda: (False, "nothing is read yet"))
        with Https(app, listen("127.0.0.1", 0), context=certificates.hot.context) as https:
            client = {
                "url": f"https://127.0.0.1:{https.port}{CONVERT}",
                "caBundle": base64.b64encode(certificates.bundle).decode(),
            }
            made = copy.deepcopy(crds.documents())
            made["statefulservices.yaml"]["spec"]["conversion"]["webhook"]["clientConfig"] = client
            for crd in made.values():
                crd["metadata"]["labels"][OWN] = "true"
                kubectl.must("create", "-f", "-", stdin=crd)
            for crd in made.values():
                name = crd["metadata"]["name"]
                kubectl.must("wait", "--for=condition=Established", f"crd/{name}", "--timeout=30s")
                eventually(lambda name=name: kubectl("get", name, "-A").passed, f"{name} is served")
            try:
                yield cluster.kubectl
            finally:
                for crd in made.values():
                    kubectl("delete", "crd", crd["metadata"]["name"], "--timeout=30s")


@pytest.fixture(scope="module")
def place(cluster: Cluster, kinds: Kubectl) -> Iterator[Kubectl]:
    """kubectl in a namespace of these tests, past any door: what the API server itself says."""
    with namespace_of(cluster) as kubectl:
        yield kubectl


@pytest.fixture
def own(cluster: Cluster, kinds: Kubectl) -> Iterator[Kubectl]:
    """The same in a namespace of the test's own."""
    with namespace_of(cluster) as kubectl:
        yield kubectl


@contextlib.contextmanager
def namespace_of(cluster: Cluster) -> Iterator[Kubectl]:
    name = f"sw-{uuid.uuid4().hex[:8]}"
    past = cluster.kubectl.past
    past.must("create", "namespace", name)
    yield past.at(name)
    past("delete", "namespace", name, "--wait=false")


def service(served: str = "v1beta1", /, **spec: Any) -> Item:
    given = {"engine": "etcd", "version": "3.6.14", "members": 3, "storage": {"class": "fast", "size": "10Gi"}, **spec}
    return {
        "apiVersion": f"stateward.dev/{served}",
        "kind": "StatefulService",
        "metadata": {"name": "keys"},
        "spec": {name: value for name, value in given.items() if value is not None},
    }


def patched(kubectl: Kubectl, patch: Item, *more: str, name: str = "keys") -> Done:
    return kubectl("patch", "sfs", name, "--type=merge", "-p", json.dumps(patch), *more)


_numbers = itertools.count()


def edited(kubectl: Kubectl, before: Item, patch: Item) -> Done:
    """An edit of a new service, on trial."""
    name = f"keys-{next(_numbers)}"
    kubectl.must("create", "-f", "-", stdin={**service(**before), "metadata": {"name": name}})
    return patched(kubectl, {"spec": patch}, "--dry-run=server", name=name)


# --- what it looks like --------------------------------------------------------------------------------------------


def test_four_lines_are_a_service_and_the_rest_is_filled_in(own: Kubectl) -> None:
    own.must("create", "-f", "-", stdin=service())
    found = own.get("sfs", "keys")
    assert found["spec"]["upgrade"] == {
        **{"strategy": "Rolling", "majors": "Refuse", "paused": False, "onFailure": "Stop", "soak": "10m"},
        "finalise": "Automatic",
    }
    assert found["spec"]["deletionPolicy"] == {"claims": "Retain", "finalBackup": False}
    # What the API server fills in and what the models fill in is the same.
    assert StatefulService.model_validate(service()).spec == StatefulService.model_validate(found).spec


def test_a_list_shows_how_services_stand(own: Kubectl) -> None:
    own.must("create", "-f", "-", stdin=service())
    ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": "all serve"}
    status = {
        "readyMembers": 3,
        "currentMembers": 3,
        "runningVersion": "3.6.14",
        "primary": "keys-1",
        "operation": {"id": "1", "kind": "Upgrade", "step": "replicas", "started": "2026-11-21T09:00:00Z"},
        "conditions": [{**ready, "lastTransitionTime": "2026-11-21T09:00:00Z"}],
    }
    assert patched(own, {"status": status}, "--subresource=status").passed
    head, line = own.must("get", "sfs").out.splitlines()
    assert head.split() == ["NAME", "ENGINE", "VERSION", "MEMBERS", "SERVING", "READY", "DOING", "BACKUP", "AGE"]
    assert line.split()[:7] == ["keys", "etcd", "3.6.14", "3", "3", "True", "Upgrade"]
    wide = own.must("get", "sfs", "-o", "wide").out
    assert "keys-1" in wide
    assert "all serve" in wide
    assert own.names("sfs", "--field-selector", "spec.engine=etcd") == ["keys"]
    assert own.names("sfs", "--field-selector", "spec.engine=redis") == []
    assert own.names("stateward") == ["keys"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sfs.spec", "How many members."),
        ("sfs.spec.storage.wal", "write-ahead log"),
        ("sfs.status.operation", "What is being done"),
        ("sfb.spec", "Where it lies"),
        ("sfr.spec.pointInTime", "Up to when"),
    ],
)
def test_kubectl_explains_it(place: Kubectl, path: str, said: str) -> None:
    found = place.must("explain", path, "--api-version=stateward.dev/v1beta1")
    assert said in " ".join(found.out.split())


# --- what the API server refuses by itself -------------------------------------------------------------------------

REFUSED = [
    ({}, {"engine": "redis"}, "spec.engine", "etcd → redis: one engine does not read the data of another"),
    ({}, {"version": "2.3.8"}, "spec.version", "3.6.14 → 2.3.8: an older major"),
    ({}, {"version": "v2.3.8-1"}, "spec.version", "3.6.14 → v2.3.8-1: an older major"),
    ({}, {"version": "latest"}, "spec.version", "should match"),
    ({}, {"members": 1}, "spec.members", "3 → 1: fewer than the majority of 3 would be left; keep 2 or more"),
    ({}, {"members": 4}, "spec.members", "4 members of etcd: an even number of voters"),
    ({}, {"members": 0}, "spec.members", "greater than or equal to 1"),
    ({}, {"members": 100}, "spec.members", "less than or equal to 99"),
    ({"members": 5}, {"members": 1}, "spec.members", "5 → 1"),
    ({"engine": "postgresql", "version": "17.4"}, {"members": 1}, "spec.members", "3 → 1"),
    ({"engine": "postgresql", "version": "17.4"}, {"version": "16.9"}, "spec.version", "17.4 → 16.9"),
    ({}, {"storage": {"class": "slow"}}, "spec.storage.class", "fast → slow: volumes that exist keep their class"),
    ({}, {"storage": {"class": None}}, "spec.storage.class", "fast → the default class"),
    ({"storage": {"size": "1Gi"}}, {"storage": {"class": "fast"}}, "spec.storage.class", "the default class → fast"),
    ({}, {"storage": {"size": "9.5Gi"}}, "spec.storage.size", "10Gi → 9.5Gi: a volume cannot shrink"),
    ({}, {"storage": {"size": "10G"}}, "spec.storage.size", "10Gi → 10G: a volume cannot shrink"),
    ({}, {"storage": {"size": "much"}}, "spec.storage.size", "should match"),
    ({}, {"storage": {"wal": {"size": "1Gi"}}}, "spec.storage.wal", "moves to a volume of its own"),
    ({"storage": {"size": "1Gi", "wal": {"size": "1Gi"}}}, {"storage": {"wal": None}}, "spec.storage.wal", "leaves its"),
    (
        {"storage": {"size": "1Gi", "wal": {"size": "1Gi"}}},
        {"storage": {"wal": {"size": "1Mi"}}},
        "wal.size",
        "cannot shrink",
    ),
    (
        {"storage": {"size": "1Gi", "wal": {"size": "1Gi", "class": "a"}}},
        {"storage": {"wal": {"class": "b"}}},
        "spec.storage.wal.class",
        "a → b",
    ),
    ({}, {"backup": {"schedule": "@daily", "destination": {}}}, "spec.backup.destination", "no destination"),
    (
        {},
        {"backup": {"schedule": "@daily", "destination": {"claim": {"name": "a"}, "snapshot": {"class": "b"}}}},
        "spec.backup.destination",
        "several destinations",
    ),
    ({}, {"backup": {"schedule": "nightly", "destination": {"claim": {"name": "a"}}}}, "spec.backup.schedule", "match"),
    ({}, {"parameters": {"a": "x" * 3000}}, "spec.parameters", "Too long"),
    ({}, {"upgrade": {"majors": "Perhaps"}}, "spec.upgrade.majors", "Unsupported value"),
]


@pytest.mark.parametrize(
    ("before", "patch", "field", "said"), REFUSED, ids=[f"{one[2]} {json.dumps(one[1])[:60]}" for one in REFUSED]
)
def test_an_edit_is_refused_with_field_value_reason_and_next_step(
    place: Kubectl, before: Item, patch: Item, field: str, said: str
) -> None:
    done = edited(place, before, patch)
    assert not done.passed, str(done)
    assert field in done.err, str(done)
    assert said in done.err, str(done)


PERMITTED: list[tuple[Item, Item]] = [
    ({}, {"members": 5}),
    ({"members": 5}, {"members": 3}),
    ({"members": 1}, {"members": 3}),
    ({"engine": "postgresql", "version": "17.4"}, {"members": 2}),
    ({"engine": "postgresql", "version": "17.4"}, {"members": 4}),
    ({"engine": "postgresql", "version": "17.4", "members": 2}, {"members": 1}),
    ({"engine": "postgresql", "version": "9.6.24"}, {"version": "17.4"}),
    ({}, {"version": "v3.6.14"}),
    ({}, {"version": "3.6.10"}),
    ({}, {"storage": {"size": "10240Mi"}}),
    ({}, {"storage": {"size": "11G"}}),
    ({"storage": {"size": "1Gi", "wal": {"size": "1Gi"}}}, {"storage": {"wal": {"size": "2Gi"}}}),
    ({}, {"parameters": {"max_connections": 200, "wal_level": "logical"}}),
    ({}, {"resources": {"requests": {"cpu": 1, "memory": "1Gi"}, "limits": {"cpu": "1500m"}}}),
]


@pytest.mark.parametrize(("before", "patch"), PERMITTED, ids=[json.dumps(one)[:90] for one in PERMITTED])
def test_an_edit_that_harms_nothing_passes(place: Kubectl, before: Item, patch: Item) -> None:
    done = edited(place, before, patch)
    assert done.passed, str(done)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"members": 2}, "2 members of etcd"),
        ({"storage": {"size": "0"}}, "needs room"),
        ({"storage": None}, "spec.storage: Required value"),
    ],
)
def test_what_is_wrong_from_the_first_is_not_created(place: Kubectl, change: Item, said: str) -> None:
    done = place("create", "-f", "-", stdin=service(**change))
    assert not done.passed
    assert said in done.err, str(done)


@pytest.mark.parametrize("name", ["a" * 41, "keys.shop", "1keys"])
def test_a_name_that_no_service_can_have_is_refused(place: Kubectl, name: str) -> None:
    done = place("create", "-f", "-", stdin={**service(), "metadata": {"name": name}})
    assert not done.passed
    assert f"metadata.name: {name}" in done.err, str(done)


def test_nothing_goes_below_what_the_data_is_finalised_at(own: Kubectl) -> None:
    own.must("create", "-f", "-", stdin=service())
    assert patched(
        own, {"spec": {"version": "3.5.33"}}, "--dry-run=server"
    ).passed  # not finalised: the door's rules know more
    assert patched(own, {"status": {"finalisedVersion": "3.6"}}, "--subresource=status").passed
    done = patched(own, {"spec": {"version": "3.5.33"}})
    assert "spec.version" in done.err
    assert "3.6.14 → 3.5.33: the data is finalised at 3.6" in done.err
    assert patched(own, {"spec": {"version": "3.6.13"}}).passed
    assert patched(own, {"status": {"finalisedVersion": "3.5"}}, "--subresource=status").passed  # lowered by the engine
    assert patched(own, {"spec": {"version": "3.5.33"}}).passed


@pytest.mark.parametrize(
    ("count", "said"), [(1, "3 → 1"), (2, "2 members of etcd"), (4, "4 members of etcd"), (0, "equal to 1")]
)
def test_scale_meets_the_same_floors(own: Kubectl, count: int, said: str) -> None:
    own.must("create", "-f", "-", stdin=service())
    done = own("scale", "sfs/keys", f"--replicas={count}")
    assert not done.passed
    assert said in done.err, str(done)
    assert own.get("sfs", "keys")["spec"]["members"] == 3


def test_scale_goes_up_and_down_in_odd_steps(own: Kubectl) -> None:
    own.must("create", "-f", "-", stdin=service())
    own.must("scale", "sfs/keys", "--replicas=5")
    own.must("scale", "sfs/keys", "--replicas=3")
    assert patched(own, {"status": {"currentMembers": 3, "selector": "a=b"}}, "--subresource=status").passed
    path = f"/apis/stateward.dev/v1beta1/namespaces/{own.namespace}/statefulservices/keys/scale"
    scale = json.loads(own.must("get", "--raw", path).out)
    assert (scale["spec"]["replicas"], scale["status"]) == (3, {"replicas": 3, "selector": "a=b"})


def test_a_backup_and_a_restore_are_made_once(own: Kubectl) -> None:
    backup = {"apiVersion": "stateward.dev/v1beta1", "kind": "ServiceBackup", "metadata": {"name": "one"}}
    own.must("create", "-f", "-", stdin={**backup, "spec": {"service": "keys"}})
    done = own("patch", "sfb", "one", "--type=merge", "-p", '{"spec": {"service": "other"}}')
    assert "make another ServiceBackup" in done.err, str(done)
    restore = {"apiVersion": "stateward.dev/v1beta1", "kind": "ServiceRestore", "metadata": {"name": "one"}}
    none = own("create", "-f", "-", stdin={**restore, "spec": {"service": "again", "source": {}}})
    assert "no source: one backup is restored" in none.err, str(none)
    own.must("create", "-f", "-", stdin={**restore, "spec": {"service": "again", "source": {"backup": {"name": "one"}}}})
    _, line = own.must("get", "sfr").out.splitlines()
    assert line.split()[:3] == ["one", "again", "one"]


# --- versions ------------------------------------------------------------------------------------------------------


def backup(**more: Any) -> Item:
    return {"schedule": "@daily", "destination": {"claim": {"name": "backups"}}, **more}


def test_what_is_written_in_one_version_is_read_in_the_other(own: Kubectl) -> None:
    made = own.must("create", "-f", "-", stdin=service("v1alpha1", backup=backup(retentionDays=7)))
    assert "deprecated" in made.err
    assert own.get("sfs", "keys")["spec"]["backup"]["retention"] == {"days": 7, "copies": 3}
    old = own.get(ALPHA, "keys")
    assert old["apiVersion"] == "stateward.dev/v1alpha1"
    assert {key: value for key, value in old["spec"]["backup"].items() if key.startswith("retention")} == {
        "retentionDays": 7,
        "retentionCopies": 3,
    }


def test_a_write_in_the_old_version_loses_nothing_of_the_new_one(own: Kubectl) -> None:
    own.must("create", "-f", "-", stdin=service(backup=backup(retention={"days": 30, "copies": 9})))
    own.must("label", ALPHA, "keys", "tier=one")
    found = own.get("sfs", "keys")
    assert found["spec"]["backup"]["retention"] == {"days": 30, "copies": 9}
    assert found["metadata"]["labels"] == {"tier": "one"}
    done = own("patch", ALPHA, "keys", "--type=merge", "-p", '{"spec": {"members": 1}}')
    assert "3 → 1" in done.err  # the floors are those of both versions


def test_a_list_and_server_side_apply_work_in_both_versions(own: Kubectl) -> None:
    for index in range(12):
        own.must("create", "-f", "-", stdin={**service(backup=backup()), "metadata": {"name": f"keys-{index}"}})
    listed = own.get(ALPHA)["items"]
    assert sorted(one["metadata"]["name"] for one in listed) == sorted(f"keys-{index}" for index in range(12))
    assert {one["spec"]["backup"]["retentionDays"] for one in listed} == {14}
    applied = {**service("v1alpha1", backup=backup(retentionDays=5)), "metadata": {"name": "keys-0"}}
    own.must("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=applied)
    assert own.get("sfs", "keys-0")["spec"]["backup"]["retention"]["days"] == 5


def test_objects_are_written_anew_before_a_version_is_forgotten(own: Kubectl, cluster: Cluster) -> None:
    own.must("create", "-f", "-", stdin=service(backup=backup(retention={"days": 30})))
    before = own.get("sfs", "keys")

    def store(version: str) -> None:
        crd = own.get("crd", NAME)
        for one in crd["spec"]["versions"]:
            one["storage"] = one["name"] == version
        own.must("replace", "-f", "-", stdin=crd)

    def stored() -> list[str]:
        return list(own.get("crd", NAME)["status"]["storedVersions"])

    store("v1alpha1")
    other = {**service(backup=backup(retention={"days": 9})), "metadata": {"name": "other"}}
    eventually(lambda: "v1alpha1" in stored(), "v1alpha1 is stored")
    own.must("create", "-f", "-", stdin=other)
    store("v1beta1")
    assert stored() == ["v1beta1", "v1alpha1"]
    server = Server.from_kubeconfig(cluster.kubeconfig)
    try:
        done = migrate(server, NAME)
        assert (done.stored, done.forgotten) == ("v1beta1", ("v1alpha1",))
        assert done.written >= 2
        assert migrate(server, NAME).written == 0
    finally:
        server.close()
    assert stored() == ["v1beta1"]
    assert own.get("sfs", "keys")["spec"] == before["spec"]
    assert own.get("sfs", "other")["spec"]["backup"]["retention"] == {"days": 9, "copies": 3}


def test_while_nobody_converts_the_stored_version_goes_on_until_a_door_has_itself_asked(
    own: Kubectl, cluster: Cluster
) -> None:
    own.must("create", "service", "clusterip", "ward", "--tcp=8443")  # which a door in front asks for
    own.must("create", "-f", "-", stdin=service(backup=backup(retention={"days": 30})))
    before = own.get("crd", NAME)
    server = Server.from_kubeconfig(cluster.kubeconfig)
    try:
        installed = copy.deepcopy(before)
        installed["spec"]["conversion"] = crds.conversion()
        own.must("replace", "-f", "-", stdin=installed)
        eventually(lambda: not own("get", ALPHA, "keys").passed, "v1alpha1 cannot be read")
        assert patched(own, {"spec": {"members": 5}}).passed
        assert not own("label", ALPHA, "keys", "tier=one").passed
        bundle = base64.b64decode(before["spec"]["conversion"]["webhook"]["clientConfig"]["caBundle"])
        door = Door(own.namespace, "ward", 8443)
        assert not publish(server, door, bundle, write=False)
        assert publish(server, door, bundle)
        assert publish(server, door, bundle, write=False)
        assert own.get("crd", NAME)["spec"]["conversion"]["webhook"]["clientConfig"] == {
            "service": {"namespace": own.namespace, "name": "ward", "port": 8443, "path": CONVERT},
            "caBundle": base64.b64encode(bundle).decode(),
        }
    finally:
        server.close()
        after = own.get("crd", NAME)
        after["spec"]["conversion"] = before["spec"]["conversion"]
        own.must("replace", "-f", "-", stdin=after)
    found = eventually(
        lambda: own.get(ALPHA, "keys") if own("get", ALPHA, "keys").passed else None, "v1alpha1 is read again"
    )
    assert (found["spec"]["members"], found["spec"]["backup"]["retentionDays"]) == (5, 30)


MANIFESTS = Path(__file__).resolve().parents[2] / "manifests"


@pytest.mark.parametrize("path", sorted((MANIFESTS / "samples").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_api_server_takes_the_samples_without_a_warning(place: Kubectl, path: Path) -> None:
    item = yaml.safe_load(path.read_text())
    del item["metadata"]["namespace"]
    done = place.must("create", "--dry-run=server", "--validate=strict", "-f", "-", stdin=item)
    assert done.err == ""


def test_the_manifests_are_what_was_tried_here() -> None:
    for name, crd in crds.documents().items():
        assert yaml.safe_load((MANIFESTS / "crds" / name).read_text()) == crd
