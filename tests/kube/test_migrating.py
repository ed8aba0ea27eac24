"""Storage migration: everything is written anew before a version is forgotten, wherever it was cut short."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest

from stateward.kube.errors import ClusterError, UnreachableError
from stateward.kube.migrating import migrate
from stateward.operator.api import crds

NAME = "statefulservices.stateward.dev"
CRD = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{NAME}"
ALL = "/apis/stateward.dev/v1beta1/statefulservices"


class Held:
    """An API server with one CRD and its objects; each object knows the version that it is stored in."""

    def __init__(self, count: int, page: int = 3) -> None:
        self.crd = copy.deepcopy(crds.service())
        self.crd["metadata"]["resourceVersion"] = "1"
        established = {"type": "Established", "status": "True"}
        self.crd["status"] = {"storedVersions": ["v1alpha1", "v1beta1"], "conditions": [established]}
        self.objects = {f"keys-{number}": 1 for number in range(count)}
        self.stored = dict.fromkeys(self.objects, "v1alpha1")
        self.page = page
        self.calls = 0
        self.fails_at = -1
        self.expired = 0

    def _called(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise UnreachableError("no answer")

    def _item(self, name: str) -> dict[str, Any]:
        metadata = {"name": name, "namespace": "shop", "resourceVersion": str(self.objects[name])}
        return {"apiVersion": "stateward.dev/v1beta1", "kind": "StatefulService", "metadata": metadata, "spec": {}}

    def get(self, path: str) -> dict[str, Any]:
        self._called()
        if path == CRD:
            return copy.deepcopy(self.crd)
        name = path.rpartition("/")[2]
        if name not in self.objects:
            raise ClusterError(404, "NotFound", "not found")
        return self._item(name)

    def list_page(self, path: str, *, limit: int, token: str = "") -> dict[str, Any]:
        self._called()
        assert path == ALL
        if token and self.expired:
            self.expired -= 1
            raise ClusterError(410, "Expired", "the token is too old")
        names = sorted(self.objects)
        at = int(token or 0)
        following = str(at + self.page) if at + self.page < len(names) else ""
        return {"items": [self._item(name) for name in names[at : at + self.page]], "metadata": {"continue": following}}

    def call(self, method: str, path: str, query: Any, *, body: dict[str, Any]) -> dict[str, Any]:
        self._called()
        name = path.rpartition("/")[2]
        assert (method, path) == ("PUT", f"/apis/stateward.dev/v1beta1/namespaces/shop/statefulservices/{name}")
        if name not in self.objects:
            raise ClusterError(404, "NotFound", "not found")
        if body["metadata"]["resourceVersion"] != str(self.objects[name]):
            raise ClusterError(409, "Conflict", "changed")
        assert body == self._item(name)
        self.objects[name] += 1
        self.stored[name] = "v1beta1"
        return self._item(name)

    def patch(self, path: str, body: dict[str, Any], _: str) -> dict[str, Any]:
        self._called()
        assert path == f"{CRD}/status"
        if body["metadata"]["resourceVersion"] != self.crd["metadata"]["resourceVersion"]:
            raise ClusterError(409, "Conflict", "changed")
        self.crd["status"] |= body["status"]
        # Whenever a version is forgotten, nothing is stored in it any more.
        assert {self.stored[name] for name in self.objects} <= {"v1beta1"}
        return copy.deepcopy(self.crd)


def test_every_object_is_written_anew_and_then_the_version_is_forgotten() -> None:
    held = Held(8)
    done = migrate(held, NAME)  # type: ignore[arg-type]
    assert (done.stored, done.written, done.forgotten) == ("v1beta1", 8, ("v1alpha1",))
    assert held.crd["status"]["storedVersions"] == ["v1beta1"]
    again = held.calls
    assert migrate(held, NAME).written == 0  # type: ignore[arg-type]
    assert held.calls == again + 1


def test_cut_short_at_any_call_it_can_be_begun_again() -> None:
    for at in itertools.count(1):
        held = Held(5)
        held.fails_at = at
        try:
            migrate(held, NAME)  # type: ignore[arg-type]
        except UnreachableError:
            migrate(held, NAME)  # type: ignore[arg-type]
            assert held.crd["status"]["storedVersions"] == ["v1beta1"]
        else:
            assert at > 8
            return


def test_a_list_that_expires_begins_again() -> None:
    held = Held(8)
    held.expired = 2
    assert migrate(held, NAME).written > 8  # type: ignore[arg-type]
    assert set(held.stored.values()) == {"v1beta1"}


def test_an_object_that_others_write_to_is_read_again_and_one_that_is_gone_is_left() -> None:
    class Busy(Held):
        def list_page(self, path: str, *, limit: int, token: str = "") -> dict[str, Any]:
            found = super().list_page(path, limit=limit, token=token)
            if not token:
                self.objects["keys-0"] += 1
                del self.objects["keys-1"]
            return found

    held = Busy(3, page=9)
    assert migrate(held, NAME).written == 2  # type: ignore[arg-type]
    assert {held.stored[name] for name in held.objects} == {"v1beta1"}


def test_a_write_that_is_refused_lets_nothing_be_forgotten() -> None:
    class Refusing(Held):
        def call(self, method: str, path: str, query: Any, *, body: dict[str, Any]) -> dict[str, Any]:
            raise ClusterError(422, "Invalid", "spec.members: no")

    held = Refusing(3)
    with pytest.raises(ClusterError, match="no"):
        migrate(held, NAME)  # type: ignore[arg-type]
    assert held.crd["status"]["storedVersions"] == ["v1alpha1", "v1beta1"]


def test_a_stored_version_that_changes_meanwhile_is_not_taken_for_the_one_before() -> None:
    class Changing(Held):
        def call(self, method: str, path: str, query: Any, *, body: dict[str, Any]) -> dict[str, Any]:
            for one in self.crd["spec"]["versions"]:
                one["storage"] = one["name"] == "v1alpha1"
            return super().call(method, path, query, body=body)

    held = Changing(3)
    with pytest.raises(ClusterError, match="begin again"):
        migrate(held, NAME)  # type: ignore[arg-type]
    assert held.crd["status"]["storedVersions"] == ["v1alpha1", "v1beta1"]
