"""What a PostgreSQL service is made of, and what becomes of it at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from stateward.kube.errors import ClusterError
from stateward.operator import leftovers, roles
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Access, Driver, Place, Seen
from stateward.operator.objects import fingerprint, network, rights, secret, workload
from stateward.operator.objects.common import owner
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand
from stateward.operator.service import Service, read

RUNNING = Running(3, "17.12", "registry.test/postgresql:17.12", "fast", "1Gi", {})
SCOPE = {"stateward.dev/scope": "orders-patroni"}


def driver() -> Driver:
    found = catalogue.find("postgresql")
    assert found is not None
    return found


def service() -> Service:
    spec = {
        "engine": "postgresql",
        "version": "17.12",
        "members": 3,
        "storage": {"size": "1Gi"},
        "tls": {"enabled": False},
    }
    metadata = {"name": "orders", "namespace": "shop", "uid": "u1"}
    return read(StatefulService.model_validate({"metadata": metadata, "spec": spec}))


def labelled(**pods: str) -> Stand:
    found = {name: {"metadata": {"name": name, "labels": {"stateward.dev/role": role}}} for name, role in pods.items()}
    return Stand(RUNNING, True, True, (), {}, found)


def test_patroni_may_write_its_own_config_maps_and_its_own_pods_alone() -> None:
    names = service().names(3)
    role = rights.of(service(), driver().container("17.12"), names)[0]
    writes = [rule for rule in role["rules"] if {"patch", "update", "delete"} & set(rule["verbs"])]
    assert all(rule["resourceNames"] for rule in writes)
    assert {name for rule in writes for name in rule["resourceNames"] if "patroni" not in name} == set(names)
    assert not any(resource == "secrets" for rule in role["rules"] for resource in rule["resources"])


def test_the_pods_carry_what_patroni_finds_them_by() -> None:
    made = workload.stateful_set(service(), driver().container("17.12"), RUNNING)
    assert SCOPE.items() <= made["spec"]["template"]["metadata"]["labels"].items()
    assert "stateward.dev/scope" not in made["spec"]["selector"]["matchLabels"]


def test_members_are_restarted_for_what_they_take_at_their_start_alone() -> None:
    def known(members: int = 3, **parameters: Any) -> str:
        place = Place("shop", "orders", "17.12", service().names(members), True, parameters)
        return fingerprint.of(service(), RUNNING, driver(), place, Access())

    assert known() == known(5) == known(work_mem="9MB")
    assert len({known(), known(max_connections=200), known(max_connections=300), known(shared_buffers="1GB")}) == 4


def test_no_password_stands_anywhere_but_in_secrets() -> None:
    access = Access({name: f"{name}-secret" for name in driver().passwords})
    place = Place("shop", "orders", "17.12", service().names(3), False)
    container = driver().container("17.12")
    made = [
        workload.stateful_set(service(), container, RUNNING),
        workload.configuration(service(), RUNNING, driver().configuration(place)),
        *network.services(service(), container, True),
    ]
    assert "-secret" not in str(made).replace("-secrets", "")
    assert secret.clients(service(), driver().clients(place, access))["metadata"]["name"] == "orders-app"


@pytest.mark.parametrize(
    ("pods", "selected", "wanted"),
    [
        ({}, "", "primary"),
        ({"orders-0": "primary", "orders-1": "replica"}, "primary", "primary"),
        ({"orders-0": "master", "orders-1": "replica"}, "primary", "master"),  # Patroni before 3.2
        ({"orders-0": "replica"}, "master", "master"),  # nobody leads for a moment: as it was
        ({"orders-0": "primary", "orders-1": "master"}, "master", "primary"),  # from one to the other
        ({"orders-0": "somebody"}, "elsewhere", "primary"),
    ],
)
def test_the_service_selects_the_word_that_patroni_labels_with(pods: dict[str, str], selected: str, wanted: str) -> None:
    now = {"spec": {"selector": {"stateward.dev/role": selected}}} if selected else None
    word = roles.primary_label(labelled(**pods), driver(), now)
    assert word == wanted
    made = network.services(service(), driver().container("17.12"), True, word)
    assert made[1]["spec"]["selector"]["stateward.dev/role"] == wanted


@pytest.mark.parametrize(
    ("seen", "wanted"),
    [
        ({"orders-0": ("", None), "orders-1": ("primary", True)}, ["replica", "primary"]),  # its node is gone
        ({"orders-1": ("primary", True)}, ["replica", "primary"]),  # not even asked
        ({"orders-0": ("", None), "orders-1": ("replica", True)}, ["primary", "primary"]),  # nobody leads yet
        ({"orders-0": ("primary", True), "orders-1": ("primary", True)}, ["primary", "primary"]),  # one has not heard yet
        ({"orders-0": ("replica", False), "orders-1": ("primary", True)}, ["primary", "primary"]),  # it says so itself, soon
    ],
)
def test_a_member_that_is_silent_keeps_no_clients_while_another_leads(seen: Any, wanted: list[str]) -> None:
    stand = labelled(**{"orders-0": "primary", "orders-1": "primary"})
    said = {name: Seen(name, healthy, role=role) for name, (role, healthy) in seen.items()}
    pods = {name: {**pod["metadata"], "namespace": "shop"} for name, pod in stand.pods.items()}
    cluster = Cluster(**{f"pods__{name}": {"metadata": metadata} for name, metadata in pods.items()})
    stand = replace(stand, seen=said, pods={name: {"metadata": metadata} for name, metadata in pods.items()})
    roles.unlabel(cluster, stand, driver())  # type: ignore[arg-type]
    assert [item["metadata"]["labels"]["stateward.dev/role"] for item in cluster.items.values()] == wanted


# --- its end -------------------------------------------------------------------------------------------------------


class Cluster:
    """An API server, as far as that: objects by their path."""

    def __init__(self, **items: dict[str, Any]) -> None:
        self.items = {f"/api/v1/namespaces/shop/{path.replace('__', '/')}": item for path, item in items.items()}

    def find(self, path: str) -> dict[str, Any] | None:
        return self.items.get(path)

    def patch(self, path: str, patch: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        if path not in self.items:
            raise ClusterError(404, "NotFound", "gone")
        metadata = {**self.items[path]["metadata"], **patch["metadata"]}
        self.items[path] = {"metadata": {key: value for key, value in metadata.items() if value is not None}}
        return self.items[path]

    def delete(self, path: str, options: object = None) -> dict[str, Any]:
        return self.items.pop(path)

    def names(self) -> list[str]:
        return sorted(path.rpartition("/")[2] for path in self.items)


def made(name: str, labels: Mapping[str, str], **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop", "uid": f"of-{name}", "labels": dict(labels), **more}}


def after(claims: str, **changed: Any) -> Cluster:
    ours = {"stateward.dev/service": "orders"}
    cluster = Cluster(
        **{
            "configmaps__orders-patroni-config": made("orders-patroni-config", changed.get("labels", SCOPE)),
            "configmaps__orders-patroni-sync": made("orders-patroni-sync", SCOPE),
            "secrets__orders-credentials": made("orders-credentials", ours, ownerReferences=[owner(service())]),
        }
    )
    one = replace(service(), claims=claims)  # type: ignore[arg-type]
    for _ in range(2):  # whoever takes over after a crash does it again
        leftovers.end(cluster, one, driver())  # type: ignore[arg-type]
    return cluster


def test_with_its_data_goes_what_patroni_knew_of_it_and_its_passwords() -> None:
    assert after("Delete").names() == []


def test_data_that_stays_keeps_what_patroni_knew_of_it_and_its_passwords() -> None:
    cluster = after("Retain")
    assert cluster.names() == ["orders-credentials", "orders-patroni-config", "orders-patroni-sync"]
    kept = cluster.find("/api/v1/namespaces/shop/secrets/orders-credentials")
    assert kept is not None
    assert "ownerReferences" not in kept["metadata"]  # the garbage collector would take it along


def test_a_config_map_of_that_name_that_is_not_patronis_stays() -> None:
    assert after("Delete", labels={"app": "mine"}).names() == ["orders-patroni-config"]
