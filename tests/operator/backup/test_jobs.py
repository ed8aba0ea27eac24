"""The Jobs of backups: restricted, without secrets in them, and no members of the service."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

import orjson
import pytest

from stateward.operator.api.parts import Destination
from stateward.operator.backup import scripts
from stateward.operator.backup.archive import Archive
from stateward.operator.backup.jobs import Work
from stateward.operator.backup.kinds import owner_of
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Place
from stateward.operator.objects.common import LABEL
from stateward.operator.service import Service

ITEM = {
    "apiVersion": "stateward.dev/v1beta1",
    "kind": "ServiceBackup",
    "metadata": {"namespace": "prod", "name": "orders-202611210000", "uid": "0123456789abcdef"},
}
ONE = Service("prod", "orders", "uid", "stateward.dev/v1beta1", "etcd", "3.5.16", 3, "1Gi")
CLAIM = Destination.model_validate({"claim": {"name": "archive", "path": "/a/../b/"}})
BUCKET = Destination.model_validate(
    {"s3": {"bucket": "backups", "endpoint": "https://s3.test/", "prefix": "p/", "credentials": "keys", "authority": "ca"}}
)


def jobs(destination: Destination) -> list[dict[str, Any]]:
    driver = catalogue.find("etcd")
    assert driver is not None
    container = driver.container("3.5.16")
    copying = driver.copying(Place("prod", "orders", "3.5.16", ["orders-0"], False), "orders-0", "token")
    assert copying is not None
    work = Work(ITEM, "orders", Archive(destination, "orders-backup", "prod/orders"), "restic:1", container.user)
    return [
        work.take(container, ONE, "etcd:1", copying, '{"a":"$(HOME)"}', "service=uid"),
        work.inspect("latest"),
        work.fill(container, ONE, "etcd:1", copying, "data-orders-0", "abc"),
        work.forget(),
    ]


def adopted(claim: str, version: str = "3.5.16") -> dict[str, Any]:
    driver = catalogue.find("etcd")
    assert driver is not None
    container = driver.container(version)
    copying = driver.copying(Place("prod", "orders", version, ["orders-0"], False), "orders-0", "token")
    assert copying is not None
    work = Work(ITEM, "orders", None, "restic:1", container.user)
    return work.adopt(container, ONE, "etcd:1", copying.adopt, copying.environment, "copied", claim)


def containers(job: dict[str, Any]) -> list[dict[str, Any]]:
    pod = job["spec"]["template"]["spec"]
    return [*pod["initContainers"], *pod["containers"]]


@pytest.mark.parametrize("destination", [CLAIM, BUCKET])
def test_every_pod_is_restricted_and_ends_some_time(destination: Destination) -> None:
    for job in [*jobs(destination), adopted("data-orders-0"), adopted("")]:
        pod = job["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert job["spec"]["activeDeadlineSeconds"]
        assert job["spec"]["backoffLimit"] < 5
        for one in containers(job):
            assert one["securityContext"]["readOnlyRootFilesystem"] is True
            assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_their_pods_are_no_members_of_the_service() -> None:
    for job in jobs(CLAIM):
        assert job["metadata"]["labels"][LABEL] == "orders"
        assert LABEL not in job["spec"]["template"]["metadata"]["labels"]


def test_secrets_are_named_and_never_given() -> None:
    for job in jobs(BUCKET):
        (secret,) = [one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "key"]
        assert secret["secret"]["secretName"] == "orders-backup"
        for one in containers(job):
            told = {each["name"]: each for each in one["env"]}
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                assert name not in told or ("value" not in told[name] and told[name]["valueFrom"]["secretKeyRef"])
            assert "RESTIC_PASSWORD" not in told


@pytest.mark.parametrize(
    ("destination", "repository"),
    [(CLAIM, "/stateward/repository/a/b/prod/orders"), (BUCKET, "s3:https://s3.test/backups/p/prod/orders")],
)
def test_each_service_has_a_repository_of_its_own(destination: Destination, repository: str) -> None:
    (inspect,) = containers(jobs(destination)[1])
    assert {"name": "RESTIC_REPOSITORY", "value": repository} in inspect["env"]


def test_what_a_value_holds_is_not_taken_for_a_placeholder_of_the_kubelet() -> None:
    store = containers(jobs(CLAIM)[0])[-1]
    assert {"name": "METADATA", "value": '{"a":"$$(HOME)"}'} in store["env"]


def test_a_job_is_named_by_its_object_and_owned_by_it() -> None:
    first, again = jobs(CLAIM), jobs(CLAIM)
    assert [one["metadata"]["name"] for one in first] == [one["metadata"]["name"] for one in again]
    assert all(len(one["metadata"]["name"]) <= 63 for one in first)
    assert all(one["metadata"]["ownerReferences"] == [owner_of(ITEM)] for one in first)


@pytest.mark.parametrize(
    "script", [scripts.OPEN, scripts.STORE, scripts.INSPECT, scripts.FETCH, scripts.WIPE, scripts.FORGET]
)
def test_scripts_are_what_a_shell_can_read(script: str) -> None:
    shell = shutil.which("dash") or shutil.which("sh")
    assert shell is not None
    assert subprocess.run([shell, "-n"], input=script.encode(), check=False).returncode == 0


def test_the_engines_commands_run_without_a_shell() -> None:
    dumps = [one for one in containers(jobs(CLAIM)[0]) if one["image"] == "etcd:1"]
    assert [one["command"][0] for one in dumps] == ["etcdctl", "etcdutl"]
    assert "--endpoints=http://orders-0.orders-members.prod.svc:2379" in dumps[0]["command"]
    assert orjson.dumps(jobs(CLAIM))


@pytest.mark.parametrize(("version", "tool"), [("3.4.30", "etcdctl"), ("3.5.16", "etcdutl")])
def test_a_copied_volume_is_only_read_and_a_new_cluster_is_made_of_the_database_alone(version: str, tool: str) -> None:
    job = adopted("data-orders-0", version)
    pod = job["spec"]["template"]["spec"]
    claims = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if one["name"] != "work"}
    assert claims == {"data": "data-orders-0", "image": "copied"}
    (wipe, restore) = containers(job)
    assert [one["name"] for one in wipe["volumeMounts"]] == ["data"]
    assert {"name": "image", "mountPath": "/stateward/image", "readOnly": True} in restore["volumeMounts"]
    command = restore["command"]
    assert command[:4] == [tool, "snapshot", "restore", "/stateward/image/data/member/snap/db"]
    assert {"--skip-hash-check=true", "--data-dir=/var/lib/etcd/data", "--name=orders-0"} <= set(command)
    assert "--initial-cluster-token=prod/orders/token" in command


def test_a_copied_volume_is_read_back_on_scratch_space() -> None:
    job = adopted("")
    (data,) = [one for one in job["spec"]["template"]["spec"]["volumes"] if one["name"] == "data"]
    assert data == {"name": "data", "emptyDir": {}}
    assert job["metadata"]["name"] != adopted("data-orders-0")["metadata"]["name"]
