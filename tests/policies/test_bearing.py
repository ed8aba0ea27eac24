"""Secrets and ConfigMaps: whom they bear on, and what changes inside them."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from stateward.policies import bearing, secrets
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.model import Service
from stateward.policies.request import Request
from stateward.policies.resolve import resolve
from stateward.policies.view import EMPTY_VIEW, UNKNOWN, MemoryView, Object, nothing_complete


def database(name: str = "ledger", **pod: Any) -> Object:
    container = {"name": "postgres", "image": "postgres:16.4", **pod.pop("container", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": name, "namespace": "bank"},
        "spec": {
            "replicas": 1,
            "template": {"spec": {"containers": [container], **pod}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
        },
    }


def named(kind: str, name: str, **content: Any) -> Object:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "bank"}, **content}


def service(item: Object) -> Service:
    return Service(ADAPTERS["StatefulSet.apps"], item, EMPTY_VIEW)


USES = [
    ("a variable", {"container": {"env": [{"name": "P", "valueFrom": {"secretKeyRef": {"name": "s", "key": "p"}}}]}}, {"p"}),
    ("all variables", {"container": {"envFrom": [{"secretRef": {"name": "s"}}]}}, set()),
    ("a volume", {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, set()),
    (
        "some keys of a volume",
        {"volumes": [{"name": "v", "secret": {"secretName": "s", "items": [{"key": "a", "path": "b"}]}}]},
        {"a"},
    ),
    ("a projected volume", {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "s"}}]}}]}, set()),
    ("an init container", {"initContainers": [{"envFrom": [{"secretRef": {"name": "s"}}]}]}, set()),
]


@pytest.mark.parametrize(("pod", "keys"), [row[1:] for row in USES], ids=[row[0] for row in USES])
def test_a_pod_uses_a_secret_by(pod: dict[str, Any], keys: set[str]) -> None:
    used = bearing.secret_of(service(database(**pod)), "s")
    assert used is not None
    assert used[1] == keys
    assert bearing.secret_of(service(database(**pod)), "t") is None


@pytest.mark.parametrize("pod", [{"volumes": 5}, {"volumes": [None, {"secret": 1}]}, {"initContainers": "x"}], ids=repr)
def test_odd_pods_use_nothing(pod: dict[str, Any]) -> None:
    assert bearing.secret_of(service(database(**pod)), "s") is None


def test_a_secret_is_about_every_service_that_uses_it() -> None:
    uses = {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
    view = MemoryView([database("one", **uses), database("two", **uses), database("three")])
    secret = named("Secret", "s", data={})
    changes = resolve(Request("Secret", "DELETE", "s", "bank", None, secret), view)
    assert sorted(change.service.name for change in changes if change.service) == ["one", "two"]
    assert all(change.via == "secret" for change in changes)


def test_a_secret_that_nothing_uses_is_itself() -> None:
    (change,) = resolve(Request("Secret", "DELETE", "s", "bank", None, named("Secret", "s")), MemoryView([database()]))
    assert (change.service, change.old_object) == (None, named("Secret", "s"))


def test_what_helm_keeps_of_a_release_is_about_no_service() -> None:
    uses = {"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}
    secret = named("Secret", "s", type=secrets.RELEASE, data={})
    view = MemoryView([database(**uses)], lambda _: True)

    [change] = resolve(Request("Secret", "DELETE", "s", "bank", None, secret), view)

    assert change.service is None


def test_a_set_that_a_cluster_owns_is_not_named_beside_it() -> None:
    cluster = service({**database("ledger"), "metadata": {"name": "ledger", "namespace": "bank", "uid": "1"}})
    child = database("ledger-1")
    child["metadata"]["ownerReferences"] = [{"kind": "StatefulSet", "name": "ledger", "uid": "1"}]
    assert bearing.without_children([cluster, service(child)]) == [cluster]


def test_a_config_map_is_judged_as_it_was_and_as_it_will_be() -> None:
    mounts = {"volumes": [{"name": "v", "configMap": {"name": "c"}}]}
    old, new = named("ConfigMap", "c", data={"f": "a = 1"}), named("ConfigMap", "c", data={"f": "a = 2"})
    (change,) = resolve(Request("ConfigMap", "UPDATE", "c", "bank", new, old), MemoryView([database(**mounts), new]))
    assert change.via == "config"
    assert change.spec_changed
    assert change.old is not None
    assert change.new is not None
    assert change.old.view.get("ConfigMap", "bank", "c") == old
    assert change.new.view.get("ConfigMap", "bank", "c") == new


def test_an_overlay_shows_one_object_and_leaves_the_rest() -> None:
    under = MemoryView([named("ConfigMap", "a"), named("ConfigMap", "c", data={"x": "1"})], nothing_complete)
    over = bearing.Overlay(under, named("ConfigMap", "c", data={"x": "2"}))
    assert over.get("ConfigMap", "bank", "c") == named("ConfigMap", "c", data={"x": "2"})
    assert over.get("ConfigMap", "bank", "a") == named("ConfigMap", "a")
    found = over.select("ConfigMap", "bank")
    assert found is not UNKNOWN
    assert [item.get("data") for item in found] == [None, {"x": "2"}]
    assert over.select("ConfigMap", "other") == []
    assert over.select("Pod") is UNKNOWN
    assert not over.complete("ConfigMap")


def packed(**values: str) -> Object:
    return {"data": {key.replace("__", "-"): base64.b64encode(value.encode()).decode() for key, value in values.items()}}


CHANGES = [
    ("a password", packed(password="a"), packed(password="b"), ["password"]),
    ("a password that goes", packed(password="a"), {}, ["password"]),
    ("a password that comes", {}, packed(password="a"), []),
    ("the same in another spelling", packed(password="a"), {"stringData": {"password": "a"}}, []),
    ("a note", packed(note="a"), packed(note="b"), []),
    ("a cookie", packed(erlang__cookie="a"), packed(erlang__cookie="b"), ["erlang-cookie"]),
    (
        "one line of a file",
        packed(env="export ROOT_PASSWORD=a\nLEVEL=1"),
        packed(env="export ROOT_PASSWORD=b\nLEVEL=1"),
        ["env:ROOT_PASSWORD"],
    ),
    ("another line of a file", packed(env="ROOT_PASSWORD=a\nLEVEL=1"), packed(env="ROOT_PASSWORD=a\nLEVEL=2"), []),
    ("what is no base64", {"data": {"password": "%%%"}}, {"data": {"password": "$$$"}}, []),
    ("what is no text", {"data": {"password": 5}}, {"data": {"password": 6}}, []),
]


@pytest.mark.parametrize(("old", "new", "changed"), [row[1:] for row in CHANGES], ids=[row[0] for row in CHANGES])
def test_what_changes_in_a_secret_is_told_by_its_key(old: Object, new: Object, changed: list[str]) -> None:
    assert secrets.changed_credentials(old, new) == changed
