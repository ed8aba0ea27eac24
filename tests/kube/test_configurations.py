"""Who keeps the configurations: made, repaired, left deleted, switched off; cut short at any call and still right."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from stateward.kube import record
from stateward.kube.client import Cluster
from stateward.kube.configurations import Keeper
from stateward.kube.errors import ClusterError, UnreachableError
from stateward.kube.installed import INSTALLED, MUTATING, NAME, PATHS, VALIDATING, Door, configurations
from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.rules import RULES
from stateward.policies.view import MemoryView

VALID, MUTATE = (f"{PATHS[kind]}/{NAME}" for kind in (VALIDATING, MUTATING))
SOME = [one for one in RULES if one.id in ("SW101", "SW403", "SW601")]
RECORD = record.path_to("stateward")


def pem(text: str) -> bytes:
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n".encode()


class Held:
    """An API server in memory: objects by path, resourceVersions, uids; it fails where a test says so."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.writes_until_failure = -1
        self.elsewhere = b""
        """What others trust whom the keeper is told to publish to."""
        self._numbers = itertools.count(1)

    def _wrote(self, what: str) -> None:
        self.calls.append(what)
        self.writes_until_failure -= 1
        if self.writes_until_failure == 0:
            raise UnreachableError(f"{what}: no answer")

    def _stamp(self, item: dict[str, Any]) -> dict[str, Any]:
        item["metadata"]["resourceVersion"] = str(next(self._numbers))
        return item

    def get(self, path: str, query: Any = None) -> dict[str, Any]:
        if path not in self.objects:
            raise ClusterError(404, "NotFound", f"GET {path}: not found")
        return copy.deepcopy(self.objects[path])

    find = Cluster.find

    def create(self, path: str, item: Mapping[str, Any]) -> dict[str, Any]:
        whole = f"{path}/{item['metadata']['name']}"
        if whole in self.objects:
            raise ClusterError(409, "AlreadyExists", f"POST {path}: already exists")
        made = self._stamp(copy.deepcopy(dict(item)))
        made["metadata"]["uid"] = f"uid-{next(self._numbers)}"
        self.objects[whole] = made
        self._wrote(f"POST {whole}")
        return copy.deepcopy(made)

    def call(self, method: str, path: str, query: Any = None, *, body: Any) -> dict[str, Any]:
        assert method == "PUT"
        if body["metadata"]["resourceVersion"] != self.get(path)["metadata"]["resourceVersion"]:
            raise ClusterError(409, "Conflict", f"PUT {path}: changed meanwhile")
        self.objects[path] = self._stamp(copy.deepcopy(body))
        self._wrote(f"PUT {path}")
        return copy.deepcopy(self.objects[path])

    def patch(self, path: str, patch: dict[str, Any]) -> dict[str, Any]:
        found = self.get(path)
        if patch["metadata"].get("resourceVersion") != found["metadata"]["resourceVersion"]:
            raise ClusterError(409, "Conflict", f"PATCH {path}: changed meanwhile")
        found["metadata"] |= patch["metadata"]
        found["data"] |= patch["data"]
        self.objects[path] = self._stamp(found)
        self._wrote(f"PATCH {path}")
        return copy.deepcopy(found)

    def delete(self, path: str, options: dict[str, Any]) -> None:
        found = self.get(path)
        assert options["preconditions"]["uid"] == found["metadata"]["uid"]
        del self.objects[path]
        self._wrote(f"DELETE {path}")

    def edit(self, path: str, change: Any) -> None:
        """As somebody else does it."""
        change(self.objects[path])
        self._stamp(self.objects[path])


class Kept:
    """A keeper over `Held`, with what it depends on in the test's hands."""

    def __init__(self, cluster: Held | None = None, *, leads: bool = True, view: MemoryView | None = None) -> None:
        self.cluster = cluster if cluster is not None else Held()
        self.leads = leads
        self.ready = True
        self.now = 1000.0
        self.shaped: list[tuple[str, str]] = []
        self.mutating = False
        self.elsewhere_fails = False
        self.owner: dict[str, str] | None = {"kind": "ClusterRole", "name": "stateward", "uid": "role-1"}
        self.said: list[tuple[str, str]] = []
        self.keeper = Keeper(
            self.cluster,  # type: ignore[arg-type]
            "stateward",
            view if view is not None else MemoryView([]),
            self._make,
            is_leader=lambda: self.leads,
            ready=lambda: self.ready,
            owner=lambda: self.owner,
            also=self._also,
            happened=lambda reason, message, _: self.said.append((reason, message)),
            clock=lambda: self.now,
        )
        self.keeper.offered = lambda: self.bundle
        self.bundle: bytes | None = pem("one")

    def _also(self, bundle: bytes, write: bool) -> bool:
        if self.elsewhere_fails:
            raise UnreachableError("no answer")
        if write:
            self.cluster.elsewhere = bundle
        return bundle in self.cluster.elsewhere

    def _make(self, bundle: bytes) -> dict[str, dict[str, Any]]:
        defaults = [{"name": "fill.stateward.dev"}] if self.mutating else []
        return configurations(
            Door("stateward", "stateward"),
            bundle,
            SOME,
            ADAPTERS,
            shaped=self.shaped,
            mutating=lambda client_for: [{**one, "clientConfig": client_for("/mutate")} for one in defaults],
        )

    def look(self) -> Kept:
        self.keeper.look()
        return self

    @property
    def found(self) -> dict[str, Any] | None:
        return self.cluster.objects.get(VALID)

    @property
    def reasons(self) -> list[str]:
        return [reason for reason, _ in self.said]


def test_the_first_look_makes_what_is_wanted_and_remembers_it() -> None:
    kept = Kept().look()
    assert kept.found is not None
    assert kept.found["metadata"]["labels"] == dict(INSTALLED)
    assert kept.found["metadata"]["ownerReferences"] == [kept.owner]
    data = kept.cluster.objects[RECORD]["data"]
    assert data == {"door": "enabled", "owner": "role-1", "validating": kept.found["metadata"]["uid"], "mutating": ""}
    assert kept.reasons == ["DoorOpened"]
    assert MUTATE not in kept.cluster.objects


def test_a_second_look_writes_nothing() -> None:
    kept = Kept().look()
    kept.cluster.calls.clear()
    kept.look()
    Kept(kept.cluster).look()
    assert kept.cluster.calls == []


@pytest.mark.parametrize("what", ["follower", "not ready", "no bundle"])
def test_nothing_is_made_before_it_can_answer(what: str) -> None:
    kept = Kept(leads=what != "follower")
    kept.ready = what != "not ready"
    kept.bundle = pem("one") if what != "no bundle" else None
    kept.look()
    assert kept.found is None
    assert kept.keeper.states[VALIDATING] == "wanted"
    assert kept.cluster.calls == []


def test_a_configuration_that_somebody_deleted_stays_deleted() -> None:
    kept = Kept().look()
    del kept.cluster.objects[VALID]
    for _ in range(3):
        kept.look()
    assert kept.found is None
    assert kept.keeper.states[VALIDATING] == "deleted"
    assert kept.reasons == ["DoorOpened", "DoorTakenAway"]
    assert "stateward enable" in kept.said[-1][1]


def test_it_stays_deleted_for_the_next_leader_and_where_the_record_is_deleted_under_way() -> None:
    kept = Kept().look()
    del kept.cluster.objects[VALID]
    kept.look()
    del kept.cluster.objects[RECORD]
    kept.look()
    assert Kept(kept.cluster).look().found is None


def test_enabling_makes_it_again() -> None:
    kept = Kept().look()
    del kept.cluster.objects[VALID]
    kept.look()
    kept.cluster.edit(RECORD, lambda item: item["data"].update(validating="", door="enabled"))
    kept.look()
    assert kept.found is not None
    assert kept.keeper.states[VALIDATING] == "kept"


def test_what_went_with_its_owner_is_no_deletion_by_somebody() -> None:
    kept = Kept().look()
    del kept.cluster.objects[VALID]  # by the garbage collector, when the ClusterRole was replaced
    kept.owner = {"kind": "ClusterRole", "name": "stateward", "uid": "role-2"}
    kept.look()
    assert kept.found is not None
    assert kept.found["metadata"]["ownerReferences"] == [kept.owner]


def test_disabling_takes_both_away_and_keeps_them_away() -> None:
    kept = Kept()
    kept.mutating = True
    kept.look()
    assert MUTATE in kept.cluster.objects
    kept.cluster.edit(RECORD, lambda item: item["data"].update(door="disabled"))
    kept.look().look()
    assert kept.found is None
    assert MUTATE not in kept.cluster.objects
    assert set(kept.keeper.states.values()) == {"off"}
    assert "DoorTakenAway" not in kept.reasons


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda item: item["webhooks"][0].update(failurePolicy="Fail"), "guard.stateward.dev].failurePolicy"),
        (lambda item: item["webhooks"][1].update(namespaceSelector={"matchLabels": {"a": "b"}}), "namespaceSelector"),
        (
            lambda item: item["webhooks"][1]["matchConditions"].append({"name": "x", "expression": "false"}),
            "matchConditions",
        ),
        (lambda item: item["webhooks"].pop(), "webhooks"),
        (lambda item: item["webhooks"][0]["clientConfig"].update(caBundle=""), "clientConfig"),
        (lambda item: item["metadata"]["labels"].clear(), "metadata.labels"),
        (lambda item: item["metadata"].pop("ownerReferences"), "metadata.ownerReferences"),
    ],
)
def test_drift_is_repaired_and_told(change: Any, said: str) -> None:
    kept = Kept().look()
    before = copy.deepcopy(kept.found)
    kept.cluster.edit(VALID, change)
    kept.look()
    assert kept.found is not None
    assert before is not None
    assert kept.found["webhooks"] == before["webhooks"]
    assert kept.found["metadata"]["labels"] == before["metadata"]["labels"]
    assert kept.reasons == ["DoorOpened", "DoorRepaired"]
    assert said in kept.said[-1][1]
    assert kept.keeper.repairs == 1


def test_labels_and_annotations_of_others_stay() -> None:
    kept = Kept().look()
    kept.cluster.edit(VALID, lambda item: item["metadata"].update(annotations={"team": "a"}))
    kept.cluster.edit(VALID, lambda item: item["metadata"]["labels"].update(team="a"))
    kept.cluster.calls.clear()
    kept.look()
    assert kept.cluster.calls == []
    kept.cluster.edit(VALID, lambda item: item["webhooks"].pop())
    kept.look()
    assert kept.found is not None
    assert kept.found["metadata"]["annotations"] == {"team": "a"}
    assert kept.found["metadata"]["labels"]["team"] == "a"


def test_who_undoes_every_repair_is_repaired_against_more_and_more_slowly() -> None:
    kept = Kept().look()
    for _ in range(600):
        kept.cluster.edit(VALID, lambda item: item["webhooks"][0].update(failurePolicy="Fail"))
        kept.now += 1
        kept.look()
    assert 5 < kept.keeper.repairs < 30


def test_what_we_want_otherwise_ourselves_is_no_drift() -> None:
    kept = Kept().look()
    kept.shaped = [("garage.example.com", "garages")]
    kept.look()
    assert kept.found is not None
    assert any("garages" in entry["resources"] for hook in kept.found["webhooks"] for entry in hook["rules"])
    assert kept.reasons == ["DoorOpened"]


def test_a_configuration_of_somebody_else_is_left_alone() -> None:
    cluster = Held()
    cluster.objects[VALID] = {"metadata": {"name": NAME, "uid": "u", "resourceVersion": "0", "labels": {}}, "webhooks": []}
    kept = Kept(cluster).look()
    assert kept.keeper.states[VALIDATING] == "foreign"
    assert kept.reasons == ["DoorForeign"]
    assert cluster.calls == []


def test_publishing_writes_a_bundle_everywhere_and_reads_it_back() -> None:
    kept = Kept()
    kept.mutating = True
    kept.look()
    assert kept.keeper.publish(pem("two"))
    for path in (VALID, MUTATE):
        clients = {hook["clientConfig"]["caBundle"] for hook in kept.cluster.objects[path]["webhooks"]}
        assert len(clients) == 1
    # What was offered before it is older, and is not written back.
    before = copy.deepcopy(kept.found)
    kept.look()
    assert kept.found == before


def test_publishing_fails_where_a_write_does() -> None:
    kept = Kept().look()
    kept.cluster.writes_until_failure = 1
    assert not kept.keeper.publish(pem("two"))
    assert kept.keeper.publish(pem("two"))


def test_a_follower_publishes_nothing_and_says_whether_all_trust_it() -> None:
    kept = Kept().look()
    follower = Kept(kept.cluster, leads=False)
    assert not follower.keeper.publish(pem("two"))
    assert kept.keeper.publish(pem("one") + pem("two"))
    assert follower.keeper.publish(pem("two"))


def test_publishing_where_there_is_no_door_is_done_at_once() -> None:
    kept = Kept().look()
    del kept.cluster.objects[VALID]
    assert kept.keeper.publish(pem("two"))
    assert kept.found is None


def test_what_is_to_be_trusted_is_published_elsewhere_too() -> None:
    kept = Kept().look()
    assert kept.cluster.elsewhere == pem("one")
    assert kept.keeper.publish(pem("two"))
    assert kept.cluster.elsewhere == pem("two")


def test_publishing_is_not_done_before_it_is_done_elsewhere() -> None:
    kept = Kept().look()
    kept.elsewhere_fails = True
    assert not kept.keeper.publish(pem("two"))
    kept.elsewhere_fails = False
    assert kept.keeper.publish(pem("two"))


def test_a_follower_waits_for_what_the_leader_publishes_elsewhere() -> None:
    kept = Kept().look()
    follower = Kept(kept.cluster, leads=False)
    kept.cluster.elsewhere = b""
    assert not follower.keeper.publish(pem("one"))
    assert kept.cluster.elsewhere == b""
    kept.look()
    assert follower.keeper.publish(pem("one"))


def test_the_configurations_are_kept_where_nothing_can_be_published_elsewhere() -> None:
    kept = Kept()
    kept.elsewhere_fails = True
    with pytest.raises(UnreachableError):
        kept.look()
    assert kept.found is not None


def test_a_door_that_is_switched_off_is_trusted_elsewhere_still() -> None:
    kept = Kept().look()
    kept.cluster.edit(RECORD, lambda item: item["data"].update(door="disabled"))
    kept.bundle = pem("two")
    kept.look()
    assert kept.found is None
    assert kept.cluster.elsewhere == pem("two")


def test_where_our_namespace_goes_they_go_whoever_leads() -> None:
    kept = Kept()
    kept.mutating = True
    kept.look()
    going = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "stateward", "deletionTimestamp": "2026-01-01T00:00:00Z"},
    }
    last = Kept(kept.cluster, leads=False, view=MemoryView([going]))
    last.look()
    assert VALID not in kept.cluster.objects
    assert MUTATE not in kept.cluster.objects


@pytest.mark.parametrize("cut", range(1, 8))
def test_cut_short_after_any_write_it_is_right_in_the_end(cut: int) -> None:
    cluster = Held()
    first = Kept(cluster)
    first.mutating = True
    cluster.writes_until_failure = cut
    for _ in range(4):
        try:
            first.look()
        except ClusterError:
            break
    cluster.writes_until_failure = -1
    second = Kept(cluster)
    second.mutating = True
    second.look().look()
    assert second.found is not None
    assert MUTATE in cluster.objects
    data = cluster.objects[RECORD]["data"]
    assert data["validating"] == second.found["metadata"]["uid"]
    del cluster.objects[VALID]
    assert second.look().found is None
