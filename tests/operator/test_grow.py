"""The next step of growing, by what the claims, their class and the StatefulSet say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stateward.operator.api.status import StatefulServiceStatus
from stateward.operator.api.v1beta1 import StatefulService
from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Result, Seen, Target
from stateward.operator.objects.workload import Running, kept, recalled
from stateward.operator.observe import Stand, running_of
from stateward.operator.operations.grow import grow
from stateward.operator.service import Service, read
from stateward.operator.step import Step
from stateward.operator.turn import Hand, Turn

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOTES = {"stateward.dev/formed": "true", "stateward.dev/version": "3.5.16", "stateward.dev/members": "3"}
SIZED = {**NOTES, "stateward.dev/size": "2Gi"}


def claim(asked: str, has: str = "", phase: str = "Bound", cls: str = "fast", **more: Any) -> dict[str, Any]:
    status = {"phase": phase, "capacity": {"storage": has or asked}, **more.pop("status", {})}
    return {
        "metadata": {"uid": "u", **more},
        "spec": {"storageClassName": cls, "resources": {"requests": {"storage": asked}}},
        "status": status,
    }


def condition(kind: str, minutes: float = 0, message: str = "") -> dict[str, Any]:
    since = (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"conditions": [{"type": kind, "status": "True", "lastTransitionTime": since, "message": message}]}


class World:
    """Three members with a volume each, all of them serving."""

    def __init__(self, size: str, *claims: dict[str, Any]) -> None:
        self.size = size
        self.has = "1Gi"
        self.notes = NOTES
        self.expands: bool | None = True
        self.away: set[str] = set()
        self.made = "2026-01-01T00:00:00Z"
        self.node = "n"
        self.kept: str | None = None
        self.going = False
        names = [f"data-db-{place}" for place in range(len(claims))]
        self.claims = [
            {**one, "metadata": {**one["metadata"], "name": name}} for name, one in zip(names, claims, strict=True)
        ]

    def but(self, **more: Any) -> World:
        for name, value in more.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        return self

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        if kind == "StorageClass.storage.k8s.io":
            return None if self.expands is None else {"allowVolumeExpansion": self.expands}
        if kind == "StatefulSet.apps":
            return {"metadata": {"name": "db", "uid": "s", **({"deletionTimestamp": "x"} if self.going else {})}}
        if kind == "ConfigMap":
            text = kept(self.running()) if self.kept is None else self.kept
            owner = {"controller": True, "uid": "u"}
            return {"metadata": {"annotations": {"stateward.dev/kept": text}, "ownerReferences": [owner]}}
        return next((one for one in self.claims if kind.startswith("Pers") and one["metadata"]["name"] == name), None)

    def every(self, kind: str) -> list[dict[str, Any]]:
        away = [{"key": "node.kubernetes.io/unreachable"}]
        return [{"metadata": {"name": name}, "spec": {"taints": away if name == "dead" else []}} for name in ("n", "dead")]

    def of(self, kind: str, key: tuple[str, str]) -> list[dict[str, Any]]:
        assert kind == "PersistentVolumeClaim"
        return self.claims

    def running(self) -> Running:
        return Running(len(self.claims), "3.5.16", "x", "fast", self.has, self.notes)

    def service(self) -> Service:
        storage = {"size": self.size}
        spec = {"engine": "etcd", "version": "3.5.17", "members": 3, "storage": storage, "tls": {"enabled": False}}
        metadata = {"name": "db", "namespace": "prod", "uid": "u"}
        return read(StatefulService.model_validate({"metadata": metadata, "spec": spec}))

    def decide(self) -> Step | None:
        one, names = self.service(), [f"db-{place}" for place in range(len(self.claims))]
        targets = tuple(Target(name, "127.0.0.1", {}) for name in names if name not in self.away)
        made = {"creationTimestamp": self.made}
        nodes = {name: {"nodeName": self.node if name in self.away else "n"} for name in names}
        pods = {name: {"metadata": {"name": name, **made}, "spec": nodes[name]} for name in names}
        seen = {target.name: Seen(target.name, True) for target in targets}
        stand = Stand(self.running(), True, True, targets, seen, pods)
        hand = Hand(None, one, lambda _: Result("done"))  # type: ignore[arg-type]
        driver = catalogue.find("etcd")
        return grow(Turn(one, stand, driver, self, hand, StatefulServiceStatus(), NOW))  # type: ignore[arg-type]


OLD, NEW = claim("1Gi"), claim("2Gi")
GROWS = claim("2Gi", "1Gi")
PENDING = claim("2Gi", "1Gi", status=condition("FileSystemResizePending", 5))


@pytest.mark.parametrize(
    ("world", "wanted"),
    [
        (World("1Gi", OLD, OLD, OLD), None),
        (World("1024Mi", OLD, OLD, OLD), None),
        # The claims first, one after the other.
        (World("2Gi", OLD, OLD, OLD), ("claim", "db-0")),
        (World("2Gi", GROWS, OLD, OLD), ("wait", "db-0")),
        (World("2Gi", NEW, OLD, OLD), ("claim", "db-1")),
        (World("2Gi", claim("4Gi"), NEW, OLD), ("claim", "db-2")),  # one was grown by hand
        (World("2Gi", NEW, NEW, GROWS), ("wait", "db-2")),
        # Then the set: what it is to be is noted, and what it is written down, before it goes.
        (World("2Gi", NEW, NEW, NEW), ("note", "")),
        (World("2Gi", NEW, NEW, NEW).but(notes=SIZED), ("recreate", "")),
        (World("2Gi", NEW, NEW, NEW).but(notes=SIZED, kept="{}"), ("note", "")),
        (World("2Gi", NEW, NEW, NEW).but(notes=SIZED, kept=""), ("note", "")),
        (World("2Gi", NEW, NEW, NEW).but(notes=SIZED, going=True), ("recreate", "")),
        (World("3Gi", NEW, NEW, NEW).but(notes=SIZED), ("claim", "db-0")),
        (World("2Gi", NEW, NEW, NEW).but(notes=SIZED, has="2Gi"), None),
        # A set that was made larger by hand, or claims of before it: they grow all the same.
        (World("2Gi", NEW, OLD, NEW).but(has="2Gi"), ("claim", "db-1")),
        # Those that are not there yet, go, or have left are let be.
        (World("2Gi", NEW, NEW, claim("1Gi", phase="Pending")), ("note", "")),
        (World("2Gi", NEW, NEW, claim("1Gi", deletionTimestamp="x")), ("note", "")),
        (World("2Gi", NEW, NEW, claim("1Gi", annotations={"stateward.dev/left": "db-2"})), ("note", "")),
        # A member that does not serve grows too: a full volume is why. One whose node is away holds up nobody.
        (World("2Gi", OLD, OLD, OLD).but(away={"db-0", "db-1", "db-2"}), ("claim", "db-0")),
        (World("2Gi", GROWS, OLD, OLD).but(away={"db-0"}, node="dead"), ("claim", "db-1")),
        # What cannot be.
        (World("512Mi", OLD, OLD, OLD), ("VolumesCannotShrink", "")),
        (World("2Gi", OLD, OLD, OLD).but(expands=False), ("VolumesCannotGrow", "db-0")),
        (World("2Gi", claim("1Gi", cls=""), OLD, OLD), ("VolumesCannotGrow", "db-0")),
        (World("2Gi", OLD, OLD, OLD).but(expands=None), ("claim", "db-0")),
        (World("2Gi", claim("2Gi", "1Gi", status=condition("ControllerResizeError"))), ("ExpansionFailed", "db-0")),
        (World("2Gi", claim("2Gi", "1Gi", status=condition("NodeResizeError"))), ("ExpansionFailed", "db-0")),
        (World("2Gi", claim("2Gi", "1Gi", status=condition("Resizing"))), ("wait", "db-0")),
        (
            World(
                "2Gi", claim("2Gi", "1Gi", status={"allocatedResourceStatuses": {"storage": "ControllerResizeInfeasible"}})
            ),
            ("ExpansionFailed", "db-0"),
        ),
        # A file system that does not grow online.
        (World("2Gi", PENDING, OLD, OLD), ("restart", "db-0")),
        (World("2Gi", PENDING, OLD, OLD).but(made="2026-01-01T11:59:00Z"), ("wait", "db-0")),
        (
            World("2Gi", claim("2Gi", "1Gi", status=condition("FileSystemResizePending", 1)), OLD, OLD),
            ("wait", "db-0"),
        ),
        (World("2Gi", PENDING, OLD, OLD).but(away={"db-1"}), ("wait", "db-0")),
        (World("2Gi", PENDING), ("RestartNeeded", "db-0")),
    ],
)
def test_the_next_step_follows_from_the_facts(world: World, wanted: tuple[str, str] | None) -> None:
    step = world.decide()
    assert (None if step is None else (step.blocked or step.name, step.member)) == wanted
    # What is waited for is never acted on.
    assert step is None or (step.act is None) == (step.name == "wait" or world.going or step.message.startswith("what the"))


def test_a_class_that_does_not_expand_is_named_with_what_to_do() -> None:
    step = World("2Gi", OLD, OLD, OLD).but(expands=False).decide()
    assert step is not None
    assert step.message == (
        "storage.size: 2Gi: class fast of claim data-db-0 does not allow expansion; if its driver can do it: kubectl patch "
        "storageclass fast -p '{\"allowVolumeExpansion\":true}'; otherwise restore a backup into a new service on another "
        "class; its volumes stay at 1Gi"
    )


def test_a_failed_expansion_says_what_the_storage_said() -> None:
    step = World("2Gi", claim("2Gi", "1Gi", status=condition("ControllerResizeError", message="pool is full"))).decide()
    assert step is not None
    assert "claim data-db-0 did not grow: pool is full" in step.message


def test_a_set_that_is_gone_for_a_moment_is_made_again_as_it_was_and_larger() -> None:
    world = World("2Gi", NEW, NEW, NEW).but(notes=SIZED)
    driver = catalogue.find("etcd")
    assert driver is not None
    running, exists, formed = running_of(world.service(), driver.container("3.5.17").image, None, world)  # type: ignore[arg-type]
    # The version is that of its pods, not the one that is asked for meanwhile.
    assert running == replace(world.running(), size="2Gi")
    assert (running.version, exists, formed) == ("3.5.16", False, True)


def test_what_was_kept_of_a_service_of_before_is_nothing() -> None:
    world = World("2Gi", NEW, NEW, NEW).but(notes=SIZED)
    other = replace(world.service(), uid="another")
    driver = catalogue.find("etcd")
    assert driver is not None
    running, _, formed = running_of(other, driver.container("3.5.17").image, None, world)  # type: ignore[arg-type]
    assert (running.version, running.notes, formed) == ("3.5.17", {}, True)


RUNNING = st.builds(
    Running, st.integers(1, 99), st.text(), st.text(), st.text(), st.text(), st.dictionaries(st.text(), st.text())
)


@given(RUNNING, RUNNING)
def test_what_is_kept_is_recalled_whole(running: Running, otherwise: Running) -> None:
    assert recalled(kept(running), otherwise) == running


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"other":1}'])
def test_what_is_no_word_of_ours_is_not_recalled(text: str) -> None:
    assert recalled(text, Running(3, "1", "x", "", "1Gi", {})) is None


def test_a_field_of_another_type_is_as_otherwise() -> None:
    text = orjson.dumps({"replicas": "many", "version": "2"}).decode()
    assert recalled(text, Running(3, "1", "x", "", "1Gi", {})) == Running(3, "2", "x", "", "1Gi", {})
