"""Who converts our kinds: CRDs are pointed at the installed door, and trust it before its certificate changes."""

from __future__ import annotations

import base64
import copy
from typing import Any

import pytest

from stateward.kube import converting
from stateward.kube.converting import publish
from stateward.kube.errors import ClusterError, UnreachableError
from stateward.kube.installed import Door
from stateward.operator.api import crds

DOOR = Door("guards", "ward", 8443)
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/statefulservices.stateward.dev"


def pem(text: str) -> bytes:
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()


class Held:
    """An API server that has one CRD."""

    def __init__(self, crd: dict[str, Any] | None) -> None:
        self.crd = copy.deepcopy(crd)
        self.patches = 0
        self.error: ClusterError | None = None
        if self.crd is not None:
            self.crd["metadata"]["resourceVersion"] = "1"

    def get(self, path: str) -> dict[str, Any]:
        assert path == PATH
        if self.crd is None:
            raise ClusterError(404, "NotFound", "not found")
        return copy.deepcopy(self.crd)

    def patch(self, path: str, body: dict[str, Any], content_type: str) -> dict[str, Any]:
        assert (path, content_type) == (PATH, "application/merge-patch+json")
        assert self.crd is not None
        if self.error is not None:
            raise self.error
        assert body["metadata"] == {"resourceVersion": self.crd["metadata"]["resourceVersion"]}
        self.patches += 1
        self.crd["spec"]["conversion"]["webhook"]["clientConfig"].update(
            body["spec"]["conversion"]["webhook"]["clientConfig"]
        )
        return copy.deepcopy(self.crd)

    @property
    def client(self) -> dict[str, Any]:
        assert self.crd is not None
        found: dict[str, Any] = self.crd["spec"]["conversion"]["webhook"]["clientConfig"]
        return found


def service() -> dict[str, Any]:
    return crds.service()


def test_a_crd_as_it_is_installed_is_pointed_at_the_door() -> None:
    held = Held(service())
    assert publish(held, DOOR, pem("one"))
    assert held.client == {
        "service": {"namespace": "guards", "name": "ward", "port": 8443, "path": "/convert"},
        "caBundle": base64.b64encode(pem("one")).decode(),
    }


def test_one_that_is_right_is_not_written() -> None:
    held = Held(service())
    assert publish(held, DOOR, pem("one"))
    assert publish(held, DOOR, pem("one"))
    assert held.patches == 1


def test_who_only_looks_says_whether_it_trusts_and_writes_nothing() -> None:
    held = Held(service())
    assert not publish(held, DOOR, pem("one"), write=False)
    assert held.patches == 0
    assert publish(held, DOOR, pem("one") + pem("two"))
    assert publish(held, DOOR, pem("two"), write=False)


def test_what_is_not_there_or_somebody_elses_holds_nothing_up() -> None:
    foreign, none, url = service(), service(), service()
    foreign["metadata"]["labels"] = {}
    none["spec"]["conversion"] = {"strategy": "None"}
    url["spec"]["conversion"]["webhook"]["clientConfig"] = {"url": "https://127.0.0.1:1/convert"}
    for crd in (None, foreign, none, url):
        held = Held(crd)
        assert publish(held, DOOR, pem("one"))
        assert held.patches == 0


def test_who_writes_at_the_same_time_is_looked_at_again() -> None:
    held = Held(service())
    held.error = ClusterError(409, "Conflict", "changed")
    assert not publish(held, DOOR, pem("one"))
    held.error = None
    assert publish(held, DOOR, pem("one"))


def test_an_answer_that_is_missing_is_an_error_and_no_yes() -> None:
    held = Held(service())
    held.error = UnreachableError("no answer")
    with pytest.raises(UnreachableError):
        publish(held, DOOR, pem("one"))


def test_every_crd_that_is_converted_is_known_here() -> None:
    converted = {crd["metadata"]["name"] for crd in crds.documents().values() if "conversion" in crd["spec"]}
    assert converted == set(converting.NAMES)
