"""Redis and Valkey, run by Stateward on three real nodes: what a failover may cost is bounded, and measured here.

Neither promises that an acknowledged write outlives its primary. What is planned (a switchover, fewer members, a pod that
is deleted as one does) loses nothing; a primary that is killed may lose what no replica had yet.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest
import redis
from backup_kit import BACKUPS, asked, claim, restic
from cluster_kit import eventually
from operated import KIND, built, dead, given, operated, version_of
from redis_kit import NAME, ROLES, Say, Sessions, Writer, told

KILLED = 1.0
"""Seconds of acknowledged writes that a killed primary may take along at most, by what this test holds against it."""
SILENT = 6.0
"""The same of one that hangs or is cut off: `min-replicas-max-lag`, and what a look at it takes."""
SPOILED = """
for file in /data/appendonly.aof /data/appendonlydir/*.aof /data/appendonlydir/*.rdb; do
  if [ -s "$file" ]; then
    dd if=/dev/zero of="$file" bs=1 count=200 seek=$(($(wc -c < "$file") / 2)) conv=notrunc
  fi
done
"""
"""Overwrites some of the middle of what was appended."""
LEAST = 100
"""Acknowledged writes a second while all members serve."""


@pytest.fixture(
    scope="module",
    params=[("redis:6.0", True, ("redis:7.0", "redis:8.0")), ("valkey:8.1", True, ("valkey:9",))],
    ids=["redis", "valkey"],
)
def sessions(request: pytest.FixtureRequest) -> Iterator[Sessions]:
    image, tls, later = request.param
    engine = image.partition(":")[0]
    with operated(
        engine, image, NAME, ROLES, namespace=f"redis-e2e-{engine}", arguments=restic, tls={"enabled": tls}
    ) as one:
        yield Sessions(one, f"{engine} {one.manifest['spec']['version']}", later)


def test_three_members_come_up_one_leads_and_the_services_know_which(sessions: Sessions, say: Say) -> None:
    began = time.monotonic()
    sessions.on.settle(3)
    say(f"{sessions.title}: three members serve after {time.monotonic() - began:.1f} s")
    assert sessions.known(3)
    assert sessions.on.status()["runningVersion"] == sessions.title.split()[1]
    with Writer(sessions) as writer:
        writer.pace.again()
        began = time.monotonic()
        writer.more(1000)
        rate = 1000 / (time.monotonic() - began)
    told(sessions, "nothing happens", writer, say, lost := writer.lost())
    assert (lost, writer.pace.failures) == ([], 0)
    assert rate >= LEAST
    replicas = sessions.on.kubectl.get("service", f"{NAME}-replicas")["spec"]["clusterIP"]
    with contextlib.closing(sessions.client(replicas)) as line, pytest.raises(redis.ReadOnlyError):
        line.set("a", "b")


def test_nobody_gets_in_with_another_password_or_in_the_clear(sessions: Sessions) -> None:
    sessions.on.settle(3)
    for port in (6379, 26379):
        host = sessions.address(f"{NAME}-0")
        for otherwise, refused in (
            ({"password": "wrong"}, redis.AuthenticationError),
            ({"ssl": False}, redis.ConnectionError),
        ):
            with contextlib.closing(sessions.client(host, port=port, **otherwise)) as line, pytest.raises(refused):
                line.ping()


def replaced(sessions: Sessions, member: str, *how: str) -> None:
    """Deletes a pod, and waits until there is another."""
    kubectl = sessions.on.kubectl
    uid = kubectl.get("pod", member)["metadata"]["uid"]
    kubectl.must("delete", "pod", member, "--wait=false", *how)
    eventually(lambda: kubectl.get("pod", member).get("metadata", {}).get("uid", uid) != uid, "a new pod", 90)


def test_a_killed_primary_costs_what_no_replica_had_and_no_more(sessions: Sessions, say: Say) -> None:
    sessions.on.settle(3)
    leader = sessions.primary()
    with Writer(sessions) as writer:
        killed = time.monotonic()
        # The program itself dies at once, without being told.
        replaced(sessions, leader, "--grace-period=0", "--force")
        sessions.on.settle(3)
        writer.more()
    told(sessions, "the primary was killed", writer, say, lost := writer.lost())
    assert all(killed - KILLED <= when <= killed + KILLED for when in lost), [when - killed for when in lost]
    assert writer.pace.longest < 40


def test_a_primary_that_hangs_is_replaced_and_what_it_took_late_is_bounded(sessions: Sessions, say: Say) -> None:
    sessions.on.settle(3)
    leader = sessions.primary()
    with Writer(sessions) as writer:
        with contextlib.closing(sessions.client(sessions.address(leader), 3)) as line:
            hung = time.monotonic()
            line.execute_command("CLIENT", "PAUSE", 20000)  # nobody gets an answer, Sentinels neither
        eventually(lambda: sessions.primary() not in ("", leader), "another leads", 60)
        sessions.on.settle(3)
        writer.more()
    told(sessions, "the primary hung for 20 s", writer, say, lost := writer.lost())
    assert all(hung - KILLED <= when <= hung + SILENT + 20 for when in lost), [when - hung for when in lost]
    assert writer.pace.longest < 40


def test_a_primary_whose_pod_is_deleted_hands_over_first_and_nothing_is_lost(sessions: Sessions, say: Say) -> None:
    sessions.on.settle(3)
    leader = sessions.primary()
    with Writer(sessions) as writer:
        replaced(sessions, leader)
        sessions.on.settle(3)
        writer.more()
    told(sessions, "the primary's pod was deleted", writer, say, lost := writer.lost())
    assert sessions.primary() != leader
    assert lost == []


def test_a_primary_hands_over_where_that_is_asked_for_and_nothing_is_lost(sessions: Sessions, say: Say) -> None:
    sessions.on.settle(3)
    with Writer(sessions) as writer:
        for request in ("first", "second"):
            sessions.on.switch_over(request)
            writer.more()
    told(sessions, "two switchovers", writer, say, lost := writer.lost())
    assert lost == []


def test_members_come_and_go_and_one_that_leads_hands_over_before_it_goes(sessions: Sessions, say: Say) -> None:
    """Sentinels forget those that left, and their addresses go."""
    sessions.on.settle(3)
    with Writer(sessions) as writer:
        scaled(sessions, 5, say)
    told(sessions, "3, 5 members", writer, say, lost := writer.lost())
    assert lost == []
    lead(sessions, f"{NAME}-4", 5)
    with Writer(sessions) as writer:
        scaled(sessions, 3, say)
        writer.more()
    told(sessions, "5, 3 members, the last of them the primary", writer, say, lost := writer.lost())
    assert lost == []
    assert sessions.primary() != f"{NAME}-4"


def scaled(sessions: Sessions, members: int, say: Say) -> None:
    began = time.monotonic()
    sessions.on.change(members=members)
    sessions.on.settle(members, 300)
    say(f"{sessions.title}: scaled to {members} in {time.monotonic() - began:.0f} s")
    eventually(lambda: sessions.known(members), "Sentinels know those that are there", 60)
    own = [f"{NAME}-{number}-own" for number in range(members)]
    eventually(lambda: sessions.own() == own, "each member has an address, and nobody else", 60)


def lead(sessions: Sessions, member: str, members: int) -> None:
    """Fails over to this member, as an administrator may; without a writer, for what the old primary still takes is lost."""
    for _ in range(4):
        if sessions.primary() == member:
            break
        for number in range(members):
            name = f"{NAME}-{number}"
            with contextlib.closing(sessions.client(sessions.address(name), 3)) as line:
                line.config_set("replica-priority", 1 if name == member else 100)
        # Sentinels ask for it once in ten seconds.
        eventually(lambda: preferred(sessions, member) == [member], "its Sentinel knows whom to prefer", 30)
        line = sessions.client(sessions.address(member), 3, 26379)
        with contextlib.closing(line), contextlib.suppress(redis.RedisError):
            line.execute_command("SENTINEL", "FAILOVER", "mymaster")
        with contextlib.suppress(AssertionError):
            eventually(lambda: sessions.primary() == member, "it leads", 20)
    sessions.on.settle(members)
    assert sessions.primary() == member


def preferred(sessions: Sessions, member: str) -> list[str]:
    """Whom the Sentinel of a member would have lead next."""
    kubectl = sessions.on.kubectl
    own = {
        one["spec"]["clusterIP"]: one["metadata"]["name"].removesuffix("-own") for one in kubectl.get("services")["items"]
    }
    with contextlib.closing(sessions.client(sessions.address(member), 3, 26379)) as line:
        return [own.get(one["ip"], "") for one in line.sentinel_slaves("mymaster") if int(one["slave-priority"]) == 1]


def test_all_members_restarted_at_once_come_back_with_all_data_and_one_primary(sessions: Sessions, say: Say) -> None:
    sessions.on.settle(3)
    with Writer(sessions) as writer:
        writer.more()
    time.sleep(1.1)  # what was written is on disk within a second
    label = f"stateward.dev/service={NAME}"
    sessions.on.kubectl.must("delete", "pods", "-l", label, "--grace-period=0", "--force", "--wait=false")
    began = time.monotonic()
    time.sleep(2)
    sessions.on.settle(3)
    say(f"{sessions.title}: all pods killed at once, all serve again after {time.monotonic() - began:.0f} s")
    assert writer.lost() == []
    assert sessions.known(3)


def test_a_replica_that_cannot_read_its_file_copies_all_from_the_one_that_leads(sessions: Sessions, say: Say) -> None:
    sessions.on.settle(3)
    leader = sessions.primary()
    member = next(name for name in (f"{NAME}-{number}" for number in range(3)) if name != leader)
    with Writer(sessions) as writer:
        writer.more()
        time.sleep(1.1)  # what was written is on disk within a second
        sessions.on.kubectl.must("exec", member, "-c", "engine", "--", "sh", "-c", SPOILED)
        began = time.monotonic()
        with contextlib.closing(sessions.client(sessions.address(member), 3)) as line:
            line.shutdown(nosave=True)
        # It stops at what it cannot read, and knows so when it is started again.
        eventually(lambda: "copy all from" in logged(sessions, member), "it says what it does", 90)
        sessions.on.settle(3)
        took = time.monotonic() - began
        writer.more()
    told(sessions, f"a replica's file was spoiled, it serves after {took:.0f} s", writer, say, lost := writer.lost())
    assert lost == []
    with contextlib.closing(sessions.client(sessions.address(member), 3)) as line:
        assert set(writer.acknowledged) <= set(line.scan_iter(match=f"{writer.run}/*", count=1000))


def logged(sessions: Sessions, member: str) -> str:
    """What a member's program has said since it was started last."""
    return str(sessions.on.kubectl("logs", member, "-c", "engine").out)


def test_a_lost_node_costs_what_a_killed_primary_does(sessions: Sessions, say: Say) -> None:
    if given():
        pytest.skip("nodes of this cluster are not to be stopped")
    sessions.on.settle(3)
    leader = sessions.primary()
    node = str(sessions.on.kubectl.get("pod", leader)["spec"]["nodeName"])
    with Writer(sessions) as writer:
        stopped = time.monotonic()
        with dead(node):
            eventually(lambda: sessions.primary() not in ("", leader), "another leads", 90)
            writer.more()
        sessions.on.settle(3, 240)
    told(sessions, "the primary's node died", writer, say, lost := writer.lost())
    assert all(stopped - KILLED <= when <= stopped + SILENT for when in lost), [when - stopped for when in lost]


def test_another_series_goes_replicas_first_after_a_backup_and_nothing_is_lost(sessions: Sessions, say: Say) -> None:
    for name in sessions.later:
        sessions.on.settle(3)
        image = built(name)
        back_up(sessions, f"before-{name.replace(':', '-').replace('.', '-')}")
        began, version = time.monotonic(), version_of(image)
        with Writer(sessions) as writer:
            sessions.on.change(version=version, image=image, upgrade={"majors": "InPlace", "soak": "20s"})
            eventually(lambda version=version: sessions.on.runs(version), "all run it", 400)
            writer.more()
        took = f"→ {version} in {time.monotonic() - began:.0f} s"
        told(sessions, took, writer, say, lost := writer.lost())
        assert lost == []
        assert sessions.known(3)
    # Backups outlive their service.
    sessions.on.kubectl.must("delete", BACKUPS, "--all", "--timeout=60s", seconds=90)


def back_up(sessions: Sessions, name: str) -> None:
    """A backup to a claim: a new major wants one."""
    sessions.on.kubectl.must("apply", "-f", "-", stdin=claim("backups", "256Mi"))
    destination = {"claim": {"name": "backups", "path": "all"}}
    item = asked("ServiceBackup", name, service=NAME, destination=destination)
    sessions.on.kubectl.must("apply", "-f", "-", stdin=item)
    eventually(lambda: sessions.on.status().get("backup", {}).get("last", {}).get("name") == name, "a backup", 180)


def test_a_deleted_service_takes_its_claims_along_where_that_is_asked_for(sessions: Sessions) -> None:
    sessions.on.delete()
    assert not sessions.on.kubectl.get(KIND, NAME)
    password = {f"{NAME}-backup"}  # without it no backup could be read
    eventually(lambda: set(sessions.on.left()) <= password, "nothing is left but the password of its backups", 60)
