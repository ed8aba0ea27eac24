"""The policy of an installed door: exchanged while it serves, never for one that cannot be loaded."""

from __future__ import annotations

from typing import Any

import pytest

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.view import UNKNOWN
from stateward.webhook.cluster_policy import ClusterPolicy


class Cluster:
    """Notes what is patched."""

    def __init__(self) -> None:
        self.patched: list[tuple[str, Any]] = []

    def patch(self, path: str, patch: Any) -> dict[str, Any]:
        self.patched.append((path, patch))
        return {}


class View:
    """Gives one WardPolicy, or says that it does not know."""

    def __init__(self, item: Any = None) -> None:
        self.item = item

    def get(self, kind: str, namespace: str, name: str) -> Any:
        assert (kind, namespace, name) == ("WardPolicy.stateward.dev", "", "stateward")
        return self.item


def policy(spec: dict[str, Any], generation: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "apiVersion": "stateward.dev/v1alpha1",
        "kind": "WardPolicy",
        "metadata": {"name": "stateward", "uid": "u1", "generation": generation},
        "spec": spec,
        **more,
    }


class Followed:
    def __init__(self, item: Any = None, leads: bool = True) -> None:
        self.cluster, self.view = Cluster(), View(item)
        self.swapped: list[Any] = []
        self.said: list[str] = []
        self.one = ClusterPolicy(
            self.cluster,  # type: ignore[arg-type]
            self.view,  # type: ignore[arg-type]
            "stateward",
            "audit",
            self.swapped.append,
            is_leader=lambda: leads,
            happened=lambda reason, *_: self.said.append(reason),
        )

    def look(self, *items: Any) -> Followed:
        for item in items or (self.view.item,):
            self.view.item = item
            self.one.look()
        return self

    @property
    def condition(self) -> dict[str, Any]:
        return dict(self.cluster.patched[-1][1]["status"]["conditions"][0])


@pytest.fixture(autouse=True)
def _own_adapters() -> Any:
    yield
    ADAPTERS.use({})


def test_without_one_the_built_in_policy_is_in_force_in_the_mode_that_was_given() -> None:
    found = Followed().look()
    assert (found.one.policy.title, found.one.policy.mode, found.one.settled) == ("production@1", "audit", True)
    assert found.swapped == []
    assert found.cluster.patched == []


def test_what_is_unknown_leaves_it_as_it_is() -> None:
    found = Followed(UNKNOWN).look()
    assert not found.one.settled
    found.look(policy({"profile": "strict@1"}), UNKNOWN)
    assert found.one.policy.title == "strict@1"


def test_each_generation_is_loaded_once_and_told_in_the_status() -> None:
    found = Followed().look(policy({"profile": "baseline@1"}), policy({"profile": "baseline@1"}))
    assert [one.title for one in found.swapped] == ["baseline@1"]
    assert len(found.cluster.patched) == 1
    assert found.cluster.patched[0][0] == "/apis/stateward.dev/v1alpha1/wardpolicies/stateward/status"
    assert (found.condition["type"], found.condition["status"]) == ("Loaded", "True")
    found.look(policy({"profile": "strict@1"}, 2))
    assert [one.title for one in found.swapped] == ["baseline@1", "strict@1"]


def test_the_mode_of_the_policy_goes_before_the_one_that_was_given() -> None:
    assert Followed().look(policy({"mode": "deny"})).one.policy.mode == "deny"
    assert Followed().look(policy({"profile": "strict@1"})).one.policy.mode == "audit"


def test_one_that_cannot_be_loaded_leaves_the_former_in_force_and_says_why() -> None:
    found = Followed().look(policy({"profile": "strict@1"}), policy({"rules": {"SW777": "off"}}, 2))
    assert found.one.policy.title == "strict@1"
    assert "SW777" in found.one.problem
    assert (found.condition["status"], found.condition["reason"]) == ("False", "Invalid")
    assert "SW777" in found.condition["message"]
    assert found.condition["observedGeneration"] == 2
    assert found.said == ["PolicyNotLoaded"]
    found.look(policy({}, 3))
    assert (found.one.problem, found.condition["status"]) == ("", "True")


def test_one_that_is_deleted_gives_way_to_the_built_in_one() -> None:
    found = Followed().look(policy({"profile": "strict@1"}), None)
    assert (found.one.policy.title, found.one.generation) == ("production@1", 0)


def test_who_does_not_lead_loads_it_and_writes_nothing() -> None:
    found = Followed(leads=False).look(policy({"rules": {"SW777": "off"}}))
    assert found.one.problem
    assert (found.cluster.patched, found.said) == ([], [])


def test_a_status_that_says_so_already_is_not_written_again() -> None:
    there = {
        "type": "Loaded",
        "status": "True",
        "reason": "Loaded",
        "message": "strict@1",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    found = Followed().look(policy({"profile": "strict@1"}, status={"conditions": [there]}))
    assert found.cluster.patched == []
