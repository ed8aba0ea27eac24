"""The scripts that Redis and Valkey start with: run as they are, in a folder of the test, with programs stood in for."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from stateward.operator.drivers import catalogue
from stateward.operator.drivers.protocol import Place

NAMES = ["db-0", "db-1", "db-2"]
ADDRESSES = {name: f"10.0.0.{number + 1}" for number, name in enumerate(NAMES)}
DNS = """#!/bin/sh
[ -f {root}/dns/$2 ] && cat {root}/dns/$2
"""
CLI = """#!/bin/sh
# -h ADDRESS -p 26379 SENTINEL MASTER mymaster
[ "$REDISCLI_AUTH" = pass ] || exit 1
[ "$5" = ROLE ] && exec cat {root}/role
[ -f {root}/says/$2 ] && cat {root}/says/$2
"""
CHECK = """#!/bin/sh
[ -f "$1" ] || exit 1
case $(cat "$1") in cut) echo "AOF is not valid"; exit 1 ;; killed) kill -KILL $$ ;; esac
"""
SERVER = """#!/bin/sh
echo started "$@"
"""


class Pod:
    """A pod's folders, with what it would be given."""

    def __init__(self, root: Path, member: str, founded: bool, members: int = 3, tls: bool = False) -> None:
        self.root, self.member = root, member
        driver = catalogue.find("redis")
        assert driver is not None
        place = Place("prod", "db", "7.0.15", NAMES[:members], founded, {}, tls)
        for folder in ("files", "secrets", "data", "dns", "says", "bin"):
            (root / folder).mkdir()
        for name, content in driver.configuration(place).items():
            here = content.replace("/etc/stateward-secrets", f"{root}/secrets").replace("/etc/stateward/", f"{root}/files/")
            here = here.replace("FILES=/etc/stateward\n", f"FILES={root}/files\n")
            (root / "files" / name).write_text(here.replace("/data", f"{root}/data"))
        (root / "secrets" / "password").write_text("pass")
        for name, text in {"getent": DNS, "redis-cli": CLI, "redis-server": SERVER, "redis-check-aof": CHECK}.items():
            (root / "bin" / name).write_text(text.format(root=root))
            (root / "bin" / name).chmod(0o755)
        for name in NAMES[:members]:
            self.resolves(name, ADDRESSES[name])

    def resolves(self, member: str, address: str) -> None:
        (self.root / "dns" / f"{member}-own.prod.svc").write_text(f"{address}     {member}-own.prod.svc\n")

    def says(self, member: str, leader: str, epoch: int, flags: str = "master") -> None:
        """What the Sentinel of another member answers."""
        lines = ["name", "mymaster", "ip", leader, "flags", flags, "config-epoch", str(epoch), "quorum", "2"]
        (self.root / "says" / ADDRESSES[member]).write_text("\n".join(lines) + "\n")

    def data(self) -> None:
        (self.root / "data" / "appendonlydir").mkdir()

    def kept(self, leader: str, epoch: int, **addresses: str) -> None:
        """What Sentinel left on the volume."""
        folder = self.root / "data" / "stateward"
        folder.mkdir()
        lines = [f"sentinel monitor mymaster {leader} 6379 2", f"sentinel config-epoch mymaster {epoch}"]
        lines += [f"# member {name.replace('_', '-')} {address}" for name, address in addresses.items()]
        (folder / "sentinel.conf").write_text("\n".join([*lines, f"sentinel current-epoch {epoch + 1}", ""]))

    def begin(self, what: str) -> subprocess.Popen[str]:
        known = {"SERVER": "redis-server", "CLI": "redis-cli", "POD_NAME": self.member}
        path = f"{self.root}/bin:{os.environ['PATH']}"
        command = ["sh", str(self.root / "files" / "start.sh"), what]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**known, "PATH": path}
        )

    def start(self, what: str = "server") -> str:
        """Starts it; what it wrote for the engine to read."""
        with self.begin(what) as process:
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        name = "redis.conf" if what == "server" else "sentinel.conf"
        assert f"started {self.root}/data/stateward/{name}" in said
        return (self.root / "data" / "stateward" / name).read_text()


def follows(conf: str) -> str:
    return next((line.split()[1] for line in conf.splitlines() if line.startswith("replicaof ")), "")


@pytest.mark.parametrize(("member", "leader"), [("db-0", ""), ("db-1", "10.0.0.1")])
def test_the_first_member_leads_where_nothing_was_founded_yet(tmp_path: Path, member: str, leader: str) -> None:
    conf = Pod(tmp_path, member, founded=False).start()
    assert follows(conf) == leader
    assert f"replica-announce-ip {ADDRESSES[member]}\n" in conf
    assert "pass" not in conf.replace("passwords", "")


def test_a_member_follows_whom_the_others_follow_whatever_its_volume_says(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-0", founded=True)
    pod.data()
    pod.kept("10.0.0.1", 3, db_0="10.0.0.1", db_1="10.0.0.2", db_2="10.0.0.3")
    pod.says("db-1", "10.0.0.3", 5)
    pod.says("db-2", "10.0.0.3", 5)
    assert follows(pod.start()) == "10.0.0.3"


def test_the_latest_failover_is_believed_and_strangers_are_not(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-1", founded=True)
    pod.data()
    pod.says("db-0", "10.0.0.99", 9)
    pod.says("db-2", "10.0.0.3", 4)
    assert follows(pod.start()) == "10.0.0.3"


def test_where_all_start_at_once_each_goes_on_as_it_was(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-2", founded=True)
    pod.data()
    pod.kept("10.0.0.3", 7, db_0="10.0.0.1", db_1="10.0.0.2", db_2="10.0.0.3")
    assert follows(pod.start()) == ""


def test_addresses_that_changed_are_understood_by_the_names_they_were_of(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-2", founded=True)
    pod.data()
    pod.kept("10.9.9.1", 7, db_0="10.9.9.10", db_1="10.9.9.1", db_2="10.9.9.2")
    assert follows(pod.start()) == "10.0.0.2"
    conf = pod.start("sentinel")
    assert "sentinel monitor mymaster 10.0.0.2 6379 2\n" in conf
    assert "10.9.9" not in conf


def test_an_empty_volume_never_leads_where_there_was_data(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-0", founded=True)
    pod.says("db-1", "10.0.0.1", 2)
    with pod.begin("server") as process:
        time.sleep(3)
        assert process.poll() is None
        assert not (tmp_path / "data" / "stateward" / "redis.conf").exists()
        pod.says("db-1", "10.0.0.2", 3)  # the others have given it up
        said, _ = process.communicate(timeout=30)
    assert "this volume is empty" in said
    assert follows((tmp_path / "data" / "stateward" / "redis.conf").read_text()) == "10.0.0.2"


def test_a_failover_is_waited_for(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-0", founded=True)
    pod.data()
    pod.says("db-1", "10.0.0.1", 2, "master,s_down,o_down,failover_in_progress")
    with pod.begin("server") as process:
        time.sleep(2)
        assert process.poll() is None
        pod.says("db-1", "10.0.0.2", 3)
        process.communicate(timeout=30)
    assert follows((tmp_path / "data" / "stateward" / "redis.conf").read_text()) == "10.0.0.2"


def test_a_member_alone_with_its_data_leads_and_without_it_does_not(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-0", founded=True, members=1)
    with pod.begin("server") as process:
        time.sleep(2)
        assert process.poll() is None
        process.kill()
        said, _ = process.communicate(timeout=30)
    assert "nothing on this volume says who leads" in said
    pod.data()
    assert follows(pod.start()) == ""


def test_a_sentinel_knows_the_members_from_its_start_and_keeps_its_count_of_failovers(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-0", founded=True)
    pod.data()
    pod.kept("10.0.0.1", 3, db_0="10.0.0.1", db_1="10.0.0.2", db_2="10.0.0.3")
    pod.says("db-2", "10.0.0.2", 8)
    conf = pod.start("sentinel")
    lines = conf.splitlines()
    assert "sentinel monitor mymaster 10.0.0.2 6379 2" in lines
    assert [line.split()[3] for line in lines if "known-replica" in line] == ["10.0.0.1", "10.0.0.3"]
    assert [line.split()[3] for line in lines if "known-sentinel" in line] == ["10.0.0.2", "10.0.0.3"]
    assert "sentinel config-epoch mymaster 8" in lines
    assert "sentinel current-epoch 8" in lines
    (own,) = [line.split()[2] for line in lines if "myid" in line]
    assert len(own) == 40
    assert own not in [line.split()[-1] for line in lines if "known-sentinel" in line]
    # What Sentinel needs before what depends on it.
    assert lines.index("sentinel monitor mymaster 10.0.0.2 6379 2") < lines.index("sentinel parallel-syncs mymaster 1")
    assert (tmp_path / "data" / "stateward" / "sentinel.conf").stat().st_mode & 0o077 == 0


APPENDED = ("appendonly.aof", "appendonlydir/appendonly.aof.manifest")


@pytest.mark.parametrize("name", APPENDED)
@pytest.mark.parametrize(
    ("content", "started_before", "leader", "role", "stays"),
    [
        pytest.param("cut", True, "10.0.0.1", "master", False, id="cut, and another leads: copied anew"),
        pytest.param("cut", False, "10.0.0.1", "master", True, id="the last start came to serve: not even read"),
        pytest.param("cut", True, "10.0.0.2", "master", True, id="this one would lead"),
        pytest.param("cut", True, "10.0.0.1", "slave", True, id="the other does not say that it leads"),
        pytest.param("cut", True, "10.0.0.1", "", True, id="the other does not answer"),
        pytest.param("cut", True, "10.0.0.1", "LOADING Redis is loading", True, id="the other reads its own still"),
        pytest.param("good", True, "10.0.0.1", "master", True, id="it can be read"),
        pytest.param("killed", True, "10.0.0.1", "master", True, id="the check was killed, which says nothing"),
    ],
)
def test_what_was_cut_is_copied_anew_from_the_one_that_leads_and_else_kept(
    tmp_path: Path, name: str, content: str, started_before: bool, leader: str, role: str, stays: bool
) -> None:
    pod = Pod(tmp_path, "db-1", founded=True)
    pod.kept(leader, 3, db_0="10.0.0.1", db_1="10.0.0.2", db_2="10.0.0.3")
    file = tmp_path / "data" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    (tmp_path / "role").write_text(f"{role}\n")
    starting = tmp_path / "data" / "stateward" / "starting"
    if started_before:
        starting.touch()
    assert follows(pod.start()) == (leader if leader != "10.0.0.2" else "")
    assert file.exists() is stays
    assert starting.exists()


@pytest.mark.parametrize(
    ("says", "good"),
    [
        ("PONG\n# Replication\nrole:master\nconnected_slaves:0", True),
        ("PONG\n# Replication\nrole:slave\nmaster_link_status:up", True),
        ("PONG\n# Replication\nrole:slave\nmaster_link_status:down", False),
        ("LOADING Redis is loading the dataset in memory\nrole:master", False),
        ("", False),
    ],
)
def test_the_kubelet_hears_whether_a_member_serves(tmp_path: Path, says: str, good: bool) -> None:
    pod = Pod(tmp_path, "db-0", founded=True)
    (tmp_path / "says" / "127.0.0.1").write_text(says)
    pod.data()
    starting = tmp_path / "data" / "stateward" / "starting"
    starting.parent.mkdir()
    starting.touch()
    known = {"CLI": "redis-cli", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(pod.root / "files" / "probe.sh")], env=known, check=False, timeout=30)
    assert (done.returncode == 0) is good
    assert starting.exists() is not good


LEADING = """#!/bin/sh
# -h ADDRESS -p PORT COMMAND …
echo "$2 $5 $6 $7 $8" | sed 's/ *$//' >> {root}/told
case "$2 $5" in
  "127.0.0.1 ROLE") cat {root}/role ;;
  "127.0.0.1 INFO")
    count=$(grep -c INFO {root}/told)
    printf 'role:master\\r\\nslave0:ip=10.0.0.2,port=6379,state=online,offset=%s,lag=0\\r\\n' $((997 + count))
    printf 'slave1:ip=10.0.0.3,port=6379,state=online,offset=10,lag=9\\r\\nmaster_repl_offset:1000\\r\\n' ;;
  "10.0.0.2 SENTINEL") [ "$6" = FAILOVER ] && echo OK || printf 'ip\\n10.0.0.2\\nflags\\nmaster\\nconfig-epoch\\n4\\n' ;;
esac
"""


@pytest.mark.parametrize(("role", "members", "hands_over"), [("master", 3, True), ("slave", 3, False), ("master", 1, False)])
def test_a_primary_that_is_to_end_hands_over_once_a_replica_has_everything(
    tmp_path: Path, role: str, members: int, hands_over: bool
) -> None:
    pod = Pod(tmp_path, "db-0", founded=True, members=members)
    (tmp_path / "role").write_text(f"{role}\n1000\n")
    (tmp_path / "bin" / "redis-cli").write_text(LEADING.format(root=tmp_path))
    known = {"CLI": "redis-cli", "POD_NAME": "db-0", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = subprocess.run(["sh", str(pod.root / "files" / "stop.sh")], env=known, check=False, timeout=60)
    told = (tmp_path / "told").read_text().splitlines()
    assert done.returncode == 0
    if not hands_over:
        assert told == ["127.0.0.1 ROLE"]
        return
    held, asked = (
        told.index("127.0.0.1 CONFIG SET min-replicas-to-write 1000"),
        told.index("10.0.0.2 SENTINEL FAILOVER mymaster"),
    )
    # Offsets of 999 and then 1000: it was waited for the second one.
    assert told[held:asked].count("127.0.0.1 INFO replication") == 3


def test_members_that_speak_tls_open_no_other_port_and_ask_each_other_by_it(tmp_path: Path) -> None:
    pod = Pod(tmp_path, "db-1", founded=True, tls=True)
    pod.data()
    (tmp_path / "bin" / "redis-cli").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    pod.kept("10.0.0.1", 3, db_0="10.0.0.1", db_1="10.0.0.2", db_2="10.0.0.3")
    member, sentinel = pod.start().splitlines(), pod.start("sentinel").splitlines()
    for lines, port in ((member, 6379), (sentinel, 26379)):
        assert "port 0" in lines
        assert f"tls-port {port}" in lines
        assert "tls-replication yes" in lines
        assert not [line for line in lines if line.startswith("port ") and line != "port 0"]
    # What is included comes first: the port in the clear is taken back.
    assert member.index(f"include {tmp_path}/files/redis.conf") < member.index("port 0")
    asked = (tmp_path / "asked").read_text().splitlines()
    folder = "/etc/stateward-tls"
    spoken = f"--cert {folder}/tls.crt --key {folder}/tls.key --tls --cacert {folder}/ca.crt -h 10.0.0.1 -p 26379"
    assert f"{spoken} SENTINEL MASTER mymaster" in asked
    assert all(" --tls " in line for line in asked)
