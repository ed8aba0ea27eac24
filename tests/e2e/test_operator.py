"""Stateward whole, from its own image: two replicas of the operator, and the door before them in deny.

What the operator writes passes the door as anybody's writes do; whoever of them dies meanwhile, what was begun comes to its
end, and no acknowledged write is lost.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from cluster_kit import eventually
from etcd_kit import VOTERS, Writer
from installation import SYSTEM, Installed, installation
from operated import KIND, Operated, built, manifest, version_of

NAMESPACE = "operator-e2e"
LEASE = "stateward-operator"
Say = Callable[[str], None]


@dataclass
class Inside(Operated):
    """A service that the operator in the cluster looks after."""

    def delete(self) -> None:
        """The door wants a backup first, or somebody who answers for it."""
        until = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
        waived = f'stateward.dev/waive=SW401 until={until} reason="a test"'
        assert "SW401" in self.kubectl("delete", KIND, self.name, "--dry-run=server").err
        self.kubectl.must("annotate", KIND, self.name, waived, "--overwrite")
        super().delete()

    def stands(self) -> str:
        logs = self.kubectl.at(SYSTEM)("logs", "-l", "app.kubernetes.io/name=stateward", "--tail=60", "--prefix").out
        return f"{super().stands()}\n{logs}"


@pytest.fixture(scope="module")
def installed() -> Iterator[Installed]:
    with installation("overlays/complete") as one:
        eventually(lambda: one.settled("operator"), "two replicas of the operator are ready", 120)
        yield one


@pytest.fixture(scope="module")
def service(installed: Installed) -> Iterator[Inside]:
    """Of the series before, so that there is something to upgrade to."""
    kubectl = installed.kubectl.at(NAMESPACE)
    kubectl.must("create", "namespace", NAMESPACE)
    kubectl.must("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    image = built("etcd:3.4")
    log = installed.folder / "operator.log"
    log.touch()
    made = manifest("etcd", image, "orders", upgrade={"onFailure": "Rollback"})
    one = Inside(kubectl, log, "orders", VOTERS, made)
    yield one
    kubectl.past("delete", KIND, "--all", "--timeout=60s", seconds=90)
    kubectl.past("delete", "namespace", NAMESPACE, "--wait=false")


@dataclass
class Killer:
    """Ends a replica of the operator and of the door in turn, at random times: never both of the door at once."""

    installed: Installed
    every: tuple[float, float]
    killed: list[str] = field(default_factory=list)

    @contextmanager
    def __call__(self) -> Iterator[None]:
        over = threading.Event()
        thread = threading.Thread(target=self._kill, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _kill(self, over: threading.Event) -> None:
        chosen = random.Random(7)  # noqa: S311 - who dies, and when, may be known
        for component in itertools.cycle(("operator", "door")):
            if over.wait(chosen.uniform(*self.every)):
                return
            if component == "door" and not self.installed.settled("door"):
                continue
            pods = self.installed.replicas(component)
            if pods:
                name = chosen.choice(pods)["metadata"]["name"]
                self.installed.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")
                self.killed.append(name)


def test_one_of_two_replicas_leads(installed: Installed) -> None:
    pods = {pod["metadata"]["name"] for pod in installed.replicas("operator")}
    assert len(pods) == 2
    eventually(lambda: installed.kubectl.get("lease", LEASE).get("spec", {}).get("holderIdentity"), "one leads", 60)
    holder = installed.kubectl.get("lease", LEASE)["spec"]["holderIdentity"]
    assert any(holder.startswith(name) for name in pods), holder


def test_what_is_applied_passes_the_door_and_is_made(service: Inside, say: Say) -> None:
    began = time.monotonic()
    eventually(lambda: service.kubectl("apply", "-f", "-", stdin=service.manifest).passed, "the door takes it", 60)
    service.settle(3)
    say(f"installed: three members of etcd serve {time.monotonic() - began:.0f} s after they were asked for")


@pytest.mark.parametrize(
    ("what", "patch", "word"),
    [
        ("another class", '{"spec":{"storage":{"class":"fast"}}}', "spec.storage"),
        ("a smaller volume", '{"spec":{"storage":{"size":"128Mi"}}}', "spec.storage"),
        ("an even number of voters", '{"spec":{"members":1}}', "spec.members"),
        ("a minor left out", '{"spec":{"version":"3.6.1"}}', "spec.version"),
        ("a minor back", '{"spec":{"version":"3.3.27"}}', "spec.version"),
    ],
)
def test_what_would_harm_it_is_refused_by_name(service: Inside, what: str, patch: str, word: str) -> None:
    done = service.kubectl("patch", KIND, service.name, "--type=merge", "-p", patch)
    assert not done.passed, what
    assert word in done.err, done.err


def test_its_parts_cannot_be_taken_from_under_it(service: Inside) -> None:
    for kind, name in (("statefulset", "orders"), ("persistentvolumeclaim", "data-orders-0"), ("namespace", NAMESPACE)):
        done = service.kubectl("delete", kind, name, "--wait=false", "--dry-run=server")
        assert not done.passed, f"{kind} {name}: {done}"
        assert "Stateward" in done.err or "SW" in done.err, done.err


def test_whoever_dies_meanwhile_it_is_scaled_and_upgraded_and_nothing_is_lost(
    installed: Installed, service: Inside, say: Say
) -> None:
    service.settle(3)
    after = built("etcd:3.5")
    killer = Killer(installed, (3.0, 7.0))
    with Writer(service.address()) as writer:
        writer.more(100)
        writer.pace.again()
        began = time.monotonic()
        with killer():
            for members in (5, 3):
                _asked(service, members=members)
                service.settle(members, 420)
            _asked(service, version=version_of(after), image=after)
            eventually(lambda: service.runs(version_of(after)), "all are upgraded", 420)
    lost = writer.lost()
    operators = sum("operator" in name for name in killer.killed)
    say(
        f"installed: 3, 5, 3 members and an upgrade to {version_of(after)} in {time.monotonic() - began:.0f} s while "
        f"{operators} replicas of the operator and {len(killer.killed) - operators} of the door were killed: "
        f"{len(lost)} lost; {writer.pace}"
    )
    assert lost == []
    assert operators >= 2
    assert service.status()["finalisedVersion"] == "3.5"


def _asked(service: Inside, **spec: object) -> None:
    """Again where no replica of the door was there to answer."""

    def taken() -> bool:
        try:
            service.change(**spec)
        except AssertionError:
            return False
        return True

    eventually(taken, f"{spec} is taken", 60)


def test_an_upgrade_that_fails_goes_back_by_itself_past_the_door(installed: Installed, service: Inside, say: Say) -> None:
    installed.settle()
    service.settle(3)
    before = service.service()["spec"]
    began = time.monotonic()
    service.change(version="3.5.99", image="stateward.test/etcd:3.5.99")
    eventually(lambda: service.condition("Blocked").get("reason") == "UpgradeRolledBack", "it goes back", 600)
    eventually(lambda: _all_run(service, before["version"]), "all run what they ran", 180)
    say(f"installed: an upgrade whose image is not there was taken back after {time.monotonic() - began:.0f} s")
    service.change(version=before["version"], image=before["image"])
    eventually(lambda: service.condition("Blocked").get("status") == "False", "nothing is in its way", 60)
    service.settle(3)


def _all_run(service: Inside, version: str) -> bool:
    """Whether all members serve with a version. What was asked for and failed is told as long as it is asked for."""
    members = service.status()["members"]
    return [(one["ready"], one.get("version")) for one in members] == [(True, version)] * 3


def test_with_recreate_all_members_stop_and_start_past_the_door(service: Inside, say: Say) -> None:
    before, after = built("etcd:3.4"), built("etcd:3.5")
    other = service.other("stopped", before, upgrade={"strategy": "Recreate"})
    other.create()
    other.settle(3)
    with Writer(other.address()) as writer:
        writer.more(50)
        kept = other.uids()
        writer.pace.again()
        other.change(version=version_of(after), image=after)
        eventually(lambda: not other.uids() & kept and other.runs(version_of(after)), "all are upgraded", 300)
        writer.more(50)
    lost = writer.lost()
    say(f"installed: an upgrade by Recreate: {len(lost)} lost; {writer.pace}")
    assert lost == []
    other.delete()


def test_it_is_deleted_whole(service: Inside) -> None:
    service.delete()
    eventually(lambda: not service.left(), "nothing is left", 60)
