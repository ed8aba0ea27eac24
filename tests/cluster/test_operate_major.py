"""PostgreSQL 15 to 17 before a real API server by a process that dies after each write; kubelet and Patroni stood in for."""

# ruff: noqa: F401, F811 - fixtures are named where they are taken in
from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cluster_kit import Cluster, Kubectl, eventually
from operate_kit import KIND, NAME, annotate, client, condition, create, kubectl, lives, served, settled, status
from standin_postgresql import Postgres

from stateward.kube.client import Cluster as Client

OLD, NEW = "15.20", "17.12"
IMAGE = "registry.test/postgresql:"


@pytest.fixture
def postgres(client: Client, kubectl: Kubectl) -> Iterator[Postgres]:
    with Postgres(client, kubectl.namespace, NAME) as one:
        yield one
    assert one.wrongs == []


def change(kubectl: Kubectl, **spec: Any) -> None:
    kubectl.must("patch", KIND, NAME, "--type=merge", "-p", json.dumps({"spec": spec}))


def notes(kubectl: Kubectl) -> dict[str, str]:
    found: dict[str, str] = kubectl.get("statefulset", NAME).get("metadata", {}).get("annotations", {})
    return found


def backed_up(client: Client, kubectl: Kubectl) -> None:
    """As the operator itself tells of a backup that was read back."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    last = {"name": "nightly", "time": now, "verified": now, "version": OLD}
    path = f"/apis/stateward.dev/v1beta1/namespaces/{kubectl.namespace}/statefulservices/{NAME}/status"
    client.patch(path, {"status": {"backup": {"count": 1, "last": last}}})


def runs(kubectl: Kubectl, version: str) -> bool:
    versions = {one.get("version") for one in status(kubectl).get("members", ())}
    return settled(kubectl, 3) and versions == {version} and "stateward.dev/previous-version" not in notes(kubectl)


def founded(served: Cluster, kubectl: Kubectl, client: Client, postgres: Postgres, **upgrade: Any) -> Callable[..., int]:
    """A service of 15 with a row in it; what lives until something is so."""
    key = (kubectl.namespace, NAME)

    def until(over: Callable[[], bool], later: timedelta = timedelta()) -> int:
        return lives(served.kubeconfig, key, over, later, postgres.driver)

    policy = {"majors": "DumpAndRestore", "soak": "1s", **upgrade}
    create(kubectl, engine="postgresql", version=OLD, image=f"{IMAGE}{OLD}", upgrade=policy)
    tomorrow = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%dT%H:%M:%SZ}"
    annotate(
        kubectl, f'stateward.dev/waive=SW303 until={tomorrow} reason="stood in for"; SW301 until={tomorrow} reason="back"'
    )
    until(lambda: settled(kubectl, 3))
    postgres.write("acknowledged")
    backed_up(client, kubectl)
    return until


def data(postgres: Postgres) -> dict[str, list[tuple[str, str, tuple[str, ...]]]]:
    return {
        member: [(folder, one.major, one.rows) for folder, one in sorted(volume.items())]
        for member, volume in postgres.volumes.items()
    }


def test_a_process_that_dies_after_each_write_of_a_major_upgrade_comes_to_the_same_end(
    served: Cluster, kubectl: Kubectl, client: Client, postgres: Postgres
) -> None:
    until = founded(served, kubectl, client, postgres)
    change(kubectl, version=NEW, image=f"{IMAGE}{NEW}")
    died = until(lambda: runs(kubectl, NEW))
    assert data(postgres) == {f"{NAME}-{number}": [("pgdata", "17", ("acknowledged",))] for number in range(3)}
    stages = [one.rsplit("-", 2)[1] for one in postgres.done]
    assert stages == ["look"] * 3 + ["carry"] + ["swap"] * 3 + ["tidy"] * 3
    assert status(kubectl)["finalisedVersion"] == "17"
    assert "stateward.dev/carry" not in notes(kubectl)
    eventually(lambda: not kubectl.names("jobs"), "no Job is left")
    assert died >= 20, died


def test_it_is_taken_back_in_the_middle_and_once_more_where_no_member_comes_up(
    served: Cluster, kubectl: Kubectl, client: Client, postgres: Postgres
) -> None:
    until = founded(served, kubectl, client, postgres)
    before = data(postgres)

    postgres.hangs.add("carry")
    change(kubectl, version=NEW, image=f"{IMAGE}{NEW}")
    until(lambda: any("-carry-" in one for one in kubectl.names("jobs")))
    change(kubectl, version=OLD, image=f"{IMAGE}{OLD}")
    assert until(lambda: runs(kubectl, OLD)) >= 5
    assert data(postgres) == before
    postgres.hangs.clear()

    postgres.broken.add(NEW)
    change(kubectl, version=NEW, image=f"{IMAGE}{NEW}")
    until(
        lambda: (
            " kept " in notes(kubectl).get("stateward.dev/carry", "")
            and len(kubectl.names("pods", "-l", "stateward.dev/service")) == 3
        )
    )
    change(kubectl, version=OLD, image=f"{IMAGE}{OLD}")
    assert until(lambda: runs(kubectl, OLD)) >= 8
    assert data(postgres) == before
    assert postgres.leader


def test_there_is_no_way_back_once_a_member_has_led(
    served: Cluster, kubectl: Kubectl, client: Client, postgres: Postgres
) -> None:
    until = founded(served, kubectl, client, postgres, soak="1h")
    change(kubectl, version=NEW, image=f"{IMAGE}{NEW}")
    until(lambda: settled_on_new(kubectl))
    postgres.write("later")
    change(kubectl, version=OLD, image=f"{IMAGE}{OLD}")
    until(lambda: condition(kubectl, "Blocked").get("reason") == "DowngradeRefused")
    assert {volume["pgdata"].rows for volume in postgres.volumes.values()} == {("acknowledged", "later")}
    assert {volume["pgdata-15"].rows for volume in postgres.volumes.values()} == {("acknowledged",)}


def settled_on_new(kubectl: Kubectl) -> bool:
    now = status(kubectl)
    return (
        now.get("readyMembers") == 3
        and {one.get("version") for one in now.get("members", ())} == {NEW}
        and "stateward.dev/upgraded" in notes(kubectl)
    )
