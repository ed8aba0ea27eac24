"""A second volume for the log: where it is mounted, what reads it, and that no member is whole without it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import turns
import yaml

from stateward.operator import refusals
from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.backup.jobs import Work
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Access, Driver, Peer, Place, Result, Seen, Target
from stateward.operator.guard import what_runs
from stateward.operator.losses import losses
from stateward.operator.objects import chores, fingerprint, workload
from stateward.operator.objects.workload import Running
from stateward.operator.observe import Stand, claims_of, place_of, running_of
from stateward.operator.operations.grow import grow
from stateward.operator.operations.replace import replace as anew
from stateward.operator.operations.scale import scale
from stateward.operator.operations.upgrade import upgrade
from stateward.operator.service import Service, read
from stateward.operator.step import Step
from stateward.operator.turn import Hand, Turn

TWO: dict[str, Any] = {"size": "8Gi", "wal": {"size": "2Gi", "class": "fast"}}
NOTES = {"stateward.dev/formed": "true", "stateward.dev/version": "3.5.16", "stateward.dev/members": "3"}
RUNNING = Running(3, "3.5.16", "etcd:x", "slow", "8Gi", NOTES, wal="2Gi", wal_class="fast")


def model(engine: str = "etcd", storage: dict[str, Any] = TWO, **spec: Any) -> StatefulService:
    version = {"etcd": "3.5.16", "postgresql": "17.12", "valkey": "9.0.1"}.get(engine, "7.0.15")
    made = {"engine": engine, "version": version, "members": 3, "storage": storage, "tls": {"enabled": False}, **spec}
    return StatefulService.model_validate({"metadata": {"name": "db", "namespace": "prod", "uid": "u"}, "spec": made})


def engine(name: str) -> Driver:
    found = catalogue.find(name)
    assert found is not None
    return found


def stateful_set(running: Running = RUNNING) -> dict[str, Any]:
    return workload.stateful_set(read(model()), engine("etcd").container("3.5.16"), running)


# --- what it is made of ----------------------------------------------------------------------------------------------


def test_every_member_has_two_claims_each_of_its_own_class_and_size() -> None:
    spec = stateful_set()["spec"]
    found = {one["metadata"]["name"]: one["spec"] for one in spec["volumeClaimTemplates"]}
    assert list(found) == ["data", "wal"]
    assert (found["data"]["storageClassName"], found["wal"]["storageClassName"]) == ("slow", "fast")
    assert found["wal"]["resources"] == {"requests": {"storage": "2Gi"}}
    mounts = {one["name"]: one["mountPath"] for one in spec["template"]["spec"]["containers"][0]["volumeMounts"]}
    assert (mounts["data"], mounts["wal"]) == ("/var/lib/etcd", "/var/lib/etcd-wal")


def test_a_service_without_it_is_made_as_ever() -> None:
    spec = stateful_set(replace(RUNNING, wal="", wal_class=""))["spec"]
    assert [one["metadata"]["name"] for one in spec["volumeClaimTemplates"]] == ["data"]
    assert "wal" not in str(spec["template"])


def test_etcd_is_told_where_its_log_is_also_by_what_restores_it() -> None:
    driver = engine("etcd")
    place = Place("prod", "db", "3.5.16", ["db-0"], False, wal=True)
    (written,) = driver.configuration(place).values()
    assert orjson.loads(written)["wal-dir"] == "/var/lib/etcd-wal/wal"
    (without,) = driver.configuration(replace(place, wal=False)).values()
    assert "wal-dir" not in orjson.loads(without)
    copying, alone = driver.copying(place, "db-0", "t"), driver.copying(replace(place, wal=False), "db-0", "t")
    assert copying is not None
    assert alone is not None
    for two, one in ((copying.restore, alone.restore), (copying.adopt, alone.adopt)):
        assert [*one[-1], "--wal-dir=/var/lib/etcd-wal/wal"] == two[-1]


def test_postgresql_founds_and_copies_members_with_their_log_elsewhere() -> None:
    driver = engine("postgresql")
    place = Place("prod", "db", "17.12", ["db-0"], False, wal=True)
    access = Access(dict.fromkeys(driver.passwords, "x"))
    made = yaml.safe_load(driver.secret_files(place, access)["db-0.yaml"])
    alone = yaml.safe_load(driver.secret_files(replace(place, wal=False), access)["db-0.yaml"])
    where = "/var/lib/postgresql/wal/pg_wal"
    assert made["postgresql"]["basebackup"] == {**alone["postgresql"]["basebackup"], "waldir": where}
    assert made["bootstrap"]["initdb"] == [*alone["bootstrap"]["initdb"], {"waldir": where}]
    assert made["bootstrap"]["dcs"] == alone["bootstrap"]["dcs"]


def test_with_it_and_without_are_two_templates_of_a_pod() -> None:
    one, driver = read(model()), engine("etcd")
    several = [RUNNING, replace(RUNNING, wal="", wal_class="")]
    hashes = {fingerprint.of(one, running, driver, place_of(one, running, True), Access()) for running in several}
    assert len(hashes) == 2
    assert fingerprint.of(one, RUNNING, driver, place_of(one, RUNNING, True), Access()) in hashes


@pytest.mark.parametrize("name", ["redis", "valkey"])
def test_an_engine_that_has_none_is_not_given_one(name: str) -> None:
    found = refusals.of_spec(model(name), read(model(name)), engine(name))
    assert found is not None
    assert found[0] == "NotCarriedOut"
    assert "storage.wal" in found[1]


def test_whether_there_is_one_never_changes() -> None:
    alone = read(model(storage={"size": "8Gi"}))
    stand = Stand(RUNNING, True, True, (), {}, {})
    for one, running in ((alone, RUNNING), (read(model()), replace(RUNNING, wal=""))):
        found = refusals.of_change(one, replace(stand, running=running))
        assert found is not None
        assert found[0] == "LogNotMoved"
        assert "restore a backup" in found[1]
    assert refusals.of_change(read(model()), stand) is None


def test_a_backup_is_put_onto_both_volumes() -> None:
    one, driver = read(model()), engine("etcd")
    container = driver.container("3.5.16")
    item = {"apiVersion": "x/v1", "kind": "ServiceRestore", "metadata": {"namespace": "prod", "name": "r", "uid": "u" * 9}}
    work = Work(item, "db", None, "restic:1", container.user)
    job = work.adopt(container, one, "etcd:1", [["etcdutl"]], {}, "copied", "data-db-0")
    pod = job["spec"]["template"]["spec"]
    claims = {one["name"]: one["persistentVolumeClaim"]["claimName"] for one in pod["volumes"] if one["name"] != "work"}
    assert claims == {"data": "data-db-0", "wal": "wal-db-0", "image": "copied"}
    (wipe,) = pod["initContainers"]
    assert {"name": "WAL", "value": "/var/lib/etcd-wal"} in wipe["env"]


# --- what is seen of it ----------------------------------------------------------------------------------------------


class World:
    """Three members on three nodes, each with two volumes of that node's."""

    def __init__(self) -> None:
        self.running = RUNNING
        self.storage: dict[str, Any] = TWO
        self.members = 3
        self.replicas = 3
        self.names = [f"db-{number}" for number in range(3)]
        self.nodes = {
            f"n{number}": {"metadata": {"name": f"n{number}", "labels": {"host": f"n{number}"}}} for number in range(3)
        }
        self.volumes = {f"pv-{kind}-{number}": self._volume(kind, number) for kind in ("data", "wal") for number in range(3)}
        self.claims = {f"{kind}-db-{number}": self._claim(kind, number) for kind in ("data", "wal") for number in range(3)}
        self.away: set[str] = set()
        self.peers = [Peer(str(number), name) for number, name in enumerate(self.names)]
        self.told: list[str] = []

    def _volume(self, kind: str, number: int) -> dict[str, Any]:
        terms = [{"matchExpressions": [{"key": "host", "operator": "In", "values": [f"n{number}"]}]}]
        affinity = {"required": {"nodeSelectorTerms": terms}}
        return {"metadata": {"name": f"pv-{kind}-{number}"}, "spec": {"nodeAffinity": affinity}}

    def _claim(self, kind: str, number: int) -> dict[str, Any]:
        size = {"data": "8Gi", "wal": "2Gi"}[kind]
        spec = {
            "volumeName": f"pv-{kind}-{number}",
            "storageClassName": "fast",
            "resources": {"requests": {"storage": size}},
        }
        return {
            "metadata": {"name": f"{kind}-db-{number}", "uid": f"{kind}-{number}", "annotations": {}},
            "spec": spec,
            "status": {"phase": "Bound", "capacity": {"storage": size}},
        }

    def asks(self, claim: str, size: str, has: str = "") -> World:
        found = self.claims[claim]
        found["spec"]["resources"]["requests"]["storage"] = size
        found["status"]["capacity"]["storage"] = has or size
        return self

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if kind == "StorageClass.storage.k8s.io":
            return {"allowVolumeExpansion": True}
        if kind == "StatefulSet.apps":
            return {"metadata": {"name": "db", "uid": "s"}}
        if kind == "ConfigMap":
            owner = {"controller": True, "uid": "u"}
            return {
                "metadata": {"annotations": {"stateward.dev/kept": workload.kept(self.running)}, "ownerReferences": [owner]}
            }
        return {"PersistentVolumeClaim": self.claims, "PersistentVolume": self.volumes}[kind].get(name)

    def every(self, kind: str) -> list[dict[str, Any]]:
        return list(self.nodes.values())

    def of(self, kind: str, key: tuple[str, str]) -> list[dict[str, Any]]:
        return list(self.claims.values())

    def service(self) -> Service:
        return read(model(storage=self.storage, members=self.members))

    def stand(self) -> Stand:
        targets = tuple(Target(name, "127.0.0.1", {}) for name in self.names if name not in self.away)
        pods = {name: {"metadata": {"name": name}, "spec": {"nodeName": f"n{name[-1]}"}} for name in self.names}
        seen = {one.name: Seen(one.name, True, "leader" if one.name == "db-0" else "follower") for one in targets}
        return Stand(replace(self.running, replicas=self.replicas), True, True, targets, seen, pods)

    def turn(self) -> Turn:
        return Turn(
            self.service(),
            self.stand(),
            Listed(self.peers),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            Told(self.told),  # type: ignore[arg-type]
            StatefulServiceStatus(),
            datetime(2026, 1, 1, tzinfo=UTC),
        )


class Listed:
    """etcd, but for its list of members."""

    def __init__(self, peers: list[Peer]) -> None:
        self._peers = peers

    def peers(self, targets: Any, place: Place) -> list[Peer]:
        return self._peers

    def __getattr__(self, name: str) -> Any:
        return getattr(engine("etcd"), name)


class Told(Hand):
    """What was done."""

    def __init__(self, told: list[str]) -> None:
        super().__init__(None, read(model()), lambda notes: self._keep(f"note {sorted(notes.items())}"))  # type: ignore[arg-type]
        object.__setattr__(self, "told", told)

    def _keep(self, text: str) -> Result:
        self.told.append(text)  # type: ignore[attr-defined]
        return Result("done")

    def take(self, kind: str, item: Any) -> Result:
        return self._keep(f"take {item['metadata']['name']}")

    def mark(self, claim: Any, member: str) -> Result:
        return self._keep(f"mark {claim['metadata']['name']}")

    def grow(self, claim: Any, size: str) -> Result:
        return self._keep(f"grow {claim['metadata']['name']} {size}")


def acted(step: Step | None, world: World) -> str:
    assert step is not None
    assert step.act is not None, step
    step.act()
    return world.told[-1]


def test_what_runs_is_read_of_the_set_and_without_one_of_the_claims() -> None:
    world = World()
    found, exists, formed = running_of(world.service(), "etcd:x", stateful_set(), world)  # type: ignore[arg-type]
    assert (found.wal, found.wal_class, found.size, found.storage_class) == ("2Gi", "fast", "8Gi", "slow")
    assert (exists, formed) == (True, True)
    alone = stateful_set(replace(RUNNING, wal="", wal_class=""))
    assert running_of(world.service(), "etcd:x", alone, world)[0].wal == ""  # type: ignore[arg-type]
    world.get = lambda *_: None  # type: ignore[method-assign,assignment]
    assert running_of(world.service(), "etcd:x", None, world)[0].wal == "2Gi"  # type: ignore[arg-type]
    for name in [one for one in world.claims if one.startswith("wal-")]:
        del world.claims[name]
    assert running_of(world.service(), "etcd:x", None, world)[0].wal == ""  # type: ignore[arg-type]
    world.claims.clear()
    assert running_of(world.service(), "etcd:x", None, world)[0].wal == "2Gi"  # type: ignore[arg-type]


def test_a_spec_that_was_accepted_without_a_record_is_read_of_the_set() -> None:
    item = {"spec": model(storage={"size": "9Gi", "wal": {"size": "3Gi", "class": "other"}}).spec.dump()}
    found = what_runs(item, stateful_set())
    assert found is not None
    assert found["storage"] == {"size": "8Gi", "wal": {"size": "2Gi", "class": "fast"}}
    without = what_runs(item, stateful_set(replace(RUNNING, wal="")))
    assert without is not None
    assert without["storage"] == {"size": "8Gi"}


def test_both_claims_of_a_member_that_has_left_are_set_aside() -> None:
    world = World()
    world.claims["data-db-2"]["metadata"]["annotations"] = {"stateward.dev/left": "db-2"}
    names = [one["metadata"]["name"] for one in claims_of(world.service(), world)]  # type: ignore[arg-type]
    assert names == ["data-db-0", "data-db-1", "wal-db-0", "wal-db-1"]


# --- what is done with it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["data", "wal"])
def test_a_member_is_lost_with_either_volume(kind: str) -> None:
    world = World()
    world.away = {"db-2"}
    assert losses(world.service(), world.stand(), world) == []  # type: ignore[arg-type]
    world.claims[f"{kind}-db-2"]["status"]["phase"] = "Lost"
    (loss,) = losses(world.service(), world.stand(), world)  # type: ignore[arg-type]
    assert (loss.member, loss.fate) == ("db-2", "replace")
    assert loss.claim is world.claims["data-db-2"]
    assert loss.uids == ("data-2", "wal-2")


def test_a_member_whose_one_volume_is_gone_with_its_node_is_not_let_go_of_as_if_it_could_move() -> None:
    world = World()
    world.away = {"db-2"}
    del world.nodes["n2"]
    world.volumes["pv-data-2"]["spec"] = {}  # this one can go anywhere
    (loss,) = losses(world.service(), world.stand(), world)  # type: ignore[arg-type]
    assert loss.fate == "replace"
    assert "pv-wal-2" in loss.why
    world.volumes["pv-wal-2"]["spec"] = {}
    (loss,) = losses(world.service(), world.stand(), world)  # type: ignore[arg-type]
    assert loss.fate == "release"


def test_a_member_that_is_made_anew_gets_two_new_volumes_that_of_its_data_last() -> None:
    world = World()
    world.away = {"db-2"}
    marks = {"stateward.dev/lost": "db-2", "stateward.dev/left": "db-2"}
    world.claims["data-db-2"]["metadata"]["annotations"] = marks
    assert acted(anew(world.turn()), world) == "take wal-db-2"
    world.claims["wal-db-2"]["metadata"]["deletionTimestamp"] = "x"
    assert acted(anew(world.turn()), world) == "take data-db-2"


def test_a_member_that_leaves_has_both_claims_marked_and_both_go_before_it_comes_again() -> None:
    world = World()
    world.members = 2
    world.peers = world.peers[:2]
    assert acted(scale(world.turn()), world) == "mark data-db-2"
    world.claims["data-db-2"]["metadata"]["annotations"] = {"stateward.dev/left": "db-2"}
    assert acted(scale(world.turn()), world) == "mark wal-db-2"
    world.claims["wal-db-2"]["metadata"]["annotations"] = {"stateward.dev/left": "db-2"}
    assert "members" in acted(scale(world.turn()), world)
    world.members, world.replicas, world.names = 3, 2, world.names[:2]
    assert acted(scale(world.turn()), world) == "take data-db-2"
    del world.claims["data-db-2"]
    assert acted(scale(world.turn()), world) == "take wal-db-2"


def test_both_grow_each_to_its_own_size_and_the_set_is_made_anew_once() -> None:
    world = World()
    world.storage = {"size": "16Gi", "wal": {"size": "4Gi", "class": "fast"}}
    for number in range(3):
        assert acted(grow(world.turn()), world) == f"grow data-db-{number} 16Gi"
        world.asks(f"data-db-{number}", "16Gi")
    for number in range(3):
        assert acted(grow(world.turn()), world) == f"grow wal-db-{number} 4Gi"
        world.asks(f"wal-db-{number}", "4Gi")
    assert acted(grow(world.turn()), world) == "note [('stateward.dev/size', '16Gi'), ('stateward.dev/wal-size', '4Gi')]"
    world.running = replace(RUNNING, size="16Gi", wal="4Gi")
    assert grow(world.turn()) is None


def test_the_second_alone_grows_and_never_shrinks() -> None:
    world = World()
    world.storage = {"size": "8Gi", "wal": {"size": "4Gi"}}
    assert acted(grow(world.turn()), world) == "grow wal-db-0 4Gi"
    world.storage = {"size": "8Gi", "wal": {"size": "1Gi"}}
    step = grow(world.turn())
    assert step is not None
    assert (step.blocked, step.act) == ("VolumesCannotShrink", None)
    assert step.message.startswith("storage.wal.size: 1Gi")
    # That it cannot shrink is no reason not to grow the other.
    world.storage = {"size": "16Gi", "wal": {"size": "1Gi"}}
    assert acted(grow(world.turn()), world) == "grow data-db-0 16Gi"


def test_what_carries_data_over_to_another_major_has_both_volumes_where_members_have_them() -> None:
    driver = engine("postgresql")
    place = Place("prod", "db", "17.12", ["db-0"], True, wal=True)
    chore = driver.chore("carry", place, "15.20", True, "1")
    one, container = read(model("postgresql")), driver.container("17.12")
    pod = chores.job(one, container, chore, ("old", "new"), "carry-0", ["data-db-0", "wal-db-0"])["spec"]["template"]["spec"]
    for each in pod["containers"]:
        mounted = {mount["name"]: mount["mountPath"] for mount in each["volumeMounts"]}
        assert {mounted["data"], mounted["wal"]} == {"/var/lib/postgresql/data", "/var/lib/postgresql/wal"}
        assert {"name": "WAL", "value": "/var/lib/postgresql/wal"} in each["env"]


def test_the_way_to_another_major_is_the_same_where_the_log_has_a_volume_of_its_own() -> None:
    driver = turns.Driver([], carries=frozenset({"DumpAndRestore"}))
    wanted: dict[str, Any] = {"engine": "postgresql", "version": "17.12", "upgrade": {"majors": "DumpAndRestore"}}
    one = turns.turn([turns.FINE] * 3, running="15.20", driver=driver, **wanted)
    two = replace(one, stand=replace(one.stand, running=replace(one.stand.running, wal="2Gi")))
    for each in (one, two):
        step = upgrade(each)
        assert step is not None
        assert step.blocked == "NoFreshBackup"
