"""A kubelet, and Redis with its Sentinels, that are stood in for: pods run as soon as they are there, and answer as it does.

A client writes all along. `wrongs` has what must never happen: two members away at once, an acknowledged write lost, an
empty volume that leads, somebody who is not let in.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import random
import socketserver
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from standin_etcd import MEMBERS, StandIn, version_of

from stateward.kube.client import Cluster, path_of

PORTS = {"client": 6379, "sentinel": 26379}
HELD = 1000
LEFT, CONVERTED = 20, 40
"""Looks after which a primary that was replaced has no replicas any more, and becomes one itself."""
_random = random.SystemRandom()


@dataclass
class Member:
    """One member and its Sentinel, while its pod runs."""

    address: str
    version: str
    leads: bool
    offset: int
    least: int
    takes: dict[str, set[str]]
    uses: dict[str, str]
    quorum: int
    sentinels: set[str]
    replicas: set[str]
    finds: int = 0
    """Looks after which its Sentinel has found the others again."""


@dataclass
class Group:
    """The members of one service."""

    network: str = field(default_factory=lambda: f"127.{_random.randint(20, 200)}.{_random.randint(1, 250)}")
    members: dict[str, Member] = field(default_factory=dict)
    pods: dict[str, str] = field(default_factory=dict)
    """Member → uid of the pod that it runs in."""
    data: dict[str, int] = field(default_factory=dict)
    """Uid of a claim → how far its data reaches."""
    claims: dict[str, str] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    led: str = ""
    """Who leads, or did last."""
    acknowledged: int = 0
    replaced: dict[str, int] = field(default_factory=dict)
    """Primaries that have not heard yet that another leads → looks since then."""
    ended: list[str] = field(default_factory=list)
    """Members whose pods ended, in order; `*` after one that led."""
    deleting: bool = False
    told: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=threading.RLock)

    @property
    def running(self) -> Mapping[str, Member]:
        return self.members

    def starts(self, member: str, claim: str, files: Mapping[str, str], password: str, version: str) -> None:
        with self.lock:
            self.wanted = [line.split()[0] for line in files["members"].splitlines()]
            if member in self.members:
                return
            founded = files["founded"].strip() == "yes"
            first = self.led or self.wanted[0]
            leads = member == first and not any(one.leads for one in self.members.values())
            if leads and founded and claim not in self.data:
                self.wrongs.append(f"{member} leads with an empty volume")
            leader = self._leader()
            offset = leader.offset if leader is not None and not leads else self.data.get(claim, 0)
            if leads:
                self._follows(member, offset)
            others = {f"10.0.0.{name.rpartition('-')[2]}" for name in self.wanted if name != member}
            address = f"10.0.0.{member.rpartition('-')[2]}"
            count = len(self.wanted)
            least = int(
                next(line for line in files["redis.conf"].splitlines() if "min-replicas-to-write" in line).split()[1]
            )
            for one in self.members.values():
                one.sentinels.add(address)
                one.replicas.add(address)
            self.members[member] = Member(
                address,
                version,
                leads,
                offset,
                least,
                {port: {password} for port in PORTS},
                dict.fromkeys(("masterauth", "auth-pass", "sentinel-pass"), password),
                count // 2 + 1,
                set(others),
                {*others, address},
            )
            self.claims[member], self.data[claim] = claim, offset
            self.let_in()

    def ends(self, member: str) -> None:
        with self.lock:
            one = self.members.pop(member, None)
            if one is None:
                return
            self.ended.append(f"{member}*" if one.leads and self.members else member)
            lacking = set(self.wanted) - set(self.members) - {member}
            if member in self.wanted and lacking and not self.deleting:
                self.wrongs.append(f"{member} ends while {sorted(lacking)} are away")
            self.data[self.claims[member]] = one.offset
            if one.leads and self.members:
                # Its pod hands over before it ends, once a replica has everything.
                self._replicates(one)
                self._promoted(max(self.members, key=lambda name: self.members[name].offset))

    def writes(self) -> None:
        """A client writes; replicas have it a moment later. Sentinels tell a primary that was replaced, but not at once."""
        with self.lock:
            for name in [*self.replaced]:
                self.replaced[name] += 1
                if name in self.members and self.members[name].leads and self._good(name) >= self.members[name].least:
                    self.wrongs.append(f"{name} takes writes though {self.led} leads")
                if self.replaced[name] > CONVERTED or name not in self.members:
                    del self.replaced[name]
                    if name in self.members:
                        self.members[name].leads = False
            leader = self._leader()
            if leader is None:
                return
            self._replicates(leader)
            if self._good(self.led) >= leader.least:
                leader.offset += 1
                self.acknowledged = leader.offset

    def _replicates(self, leader: Member) -> None:
        for one in self.members.values():
            if not one.leads:
                one.offset = max(one.offset, leader.offset)

    def _good(self, name: str) -> int:
        """Replicas that a primary has: those of one that was replaced leave it a moment later."""
        left = self.replaced.get(name, 0) > LEFT
        return 0 if left else sum(not one.leads for one in self.members.values())

    def fails_over(self, member: str) -> None:
        """As Sentinels do where the primary hangs, and is back as a replica."""
        with self.lock:
            leader = self._leader()
            assert leader is not None
            self._replicates(leader)
            leader.leads = False
            self._promoted(member)
            self.replaced.clear()

    def _leader(self) -> Member | None:
        return self.members.get(self.led)

    def _promoted(self, member: str) -> None:
        if self.led in self.members and self.members[self.led].leads:
            self.replaced[self.led] = 0
        one = self.members[member]
        one.leads = True
        self._follows(member, one.offset)
        for other in self.members.values():
            other.replicas |= {each.address for each in self.members.values()}

    def _follows(self, member: str, offset: int) -> None:
        if offset < self.acknowledged:
            self.wrongs.append(f"{member} leads, and lacks {self.acknowledged - offset} acknowledged writes")
        self.led, self.acknowledged = member, offset

    def let_in(self) -> None:
        """Whoever connects to another one has a password that is taken."""
        for name, one in self.members.items():
            for what, port in (("masterauth", "client"), ("auth-pass", "client"), ("sentinel-pass", "sentinel")):
                if any(one.uses[what] not in other.takes[port] for other in self.members.values()):
                    self.wrongs.append(f"{what} of {name} is not taken")

    def serves(self, member: str) -> bool:
        with self.lock:
            return member in self.members

    # --- what it answers -----------------------------------------------------------------------------------------

    def answer(self, name: str, port: str, words: list[str]) -> Any:
        """None where it does not run."""
        with self.lock:
            one = self.members.get(name)
            if one is None:
                return None
            upper = [word.upper() for word in words[:2]]
            if upper[0] == "INFO":
                return self._information(one, words[1])
            if upper[0] == "SENTINEL":
                return self._sentinel(name, one, upper[1], words)
            if upper == ["CONFIG", "GET"]:
                known = {"min-replicas-to-write": str(one.least), "replica-announce-ip": one.address, **one.uses}
                return [words[2], known[words[2]]]
            if upper == ["ACL", "GETUSER"]:
                several = [hashlib.sha256(password.encode()).hexdigest() for password in sorted(one.takes[port])]
                return ["flags", ["on"], "passwords", several]
            return self._told(name, one, port, upper, words)

    def _information(self, one: Member, section: str) -> str:
        if section == "server":
            return f"redis_version:{one.version}\r\nrun_id:{one.address}"
        if section == "persistence":
            return "loading:0\r\naof_last_write_status:ok"
        if one.leads:
            good = self._good(next(name for name, other in self.members.items() if other is one))
            return f"role:master\r\nmaster_repl_offset:{one.offset}\r\nmin_slaves_good_slaves:{good}"
        return f"role:slave\r\nmaster_link_status:up\r\nslave_repl_offset:{one.offset}"

    def _sentinel(self, name: str, one: Member, what: str, words: list[str]) -> Any:
        leader = self._leader()
        if what == "MASTER":
            one.finds -= 1
            if one.finds == 0:
                others = {other.address for other in self.members.values()} - {one.address}
                one.sentinels, one.replicas = set(others), {o.address for o in self.members.values() if not o.leads}
            known = {"ip": leader.address if leader else "", "flags": "master", "quorum": str(one.quorum)}
            return [word for pair in known.items() for word in pair]
        if what in ("SENTINELS", "REPLICAS"):
            return [["ip", address] for address in sorted(one.sentinels if what == "SENTINELS" else one.replicas)]
        if words[-2] in ("auth-pass", "sentinel-pass"):
            one.uses[words[-2]] = words[-1]
            self.told.append(f"{name} {words[-2]}")
            self.let_in()
            return "OK"
        self.told.append(f"{name} {' '.join(words[1:])}")
        if what == "SET":
            one.quorum = int(words[4])
        elif what == "RESET":
            if any(other.finds > 0 for other in self.members.values()):
                self.wrongs.append("two Sentinels know nobody at once")
            one.sentinels, one.replicas, one.finds = set(), set(), 2
        elif what == "FAILOVER" and leader is not None:
            best = max((one for one in self.members if one != self.led), key=lambda other: self.members[other].offset)
            if leader.least < HELD:
                self.wrongs.append("a failover while the primary takes writes")
            self._promoted(best)
        return "OK"

    def _told(self, name: str, one: Member, port: str, upper: list[str], words: list[str]) -> str:
        if upper == ["CONFIG", "SET"] and words[2] == "masterauth":
            one.uses["masterauth"] = words[3]
            self.told.append(f"{name} masterauth")
        elif upper == ["CONFIG", "SET"]:
            one.least = int(words[3])
            self.told.append(f"{name} {words[2]} {words[3]}")
        elif upper == ["ACL", "SETUSER"]:
            for rule in words[3:]:
                given = {
                    password for password in one.takes[port] if rule[1:] == hashlib.sha256(password.encode()).hexdigest()
                }
                one.takes[port] = one.takes[port] | {rule[1:]} if rule.startswith(">") else one.takes[port] - given
            self.told.append(f"{name} {port} {len(one.takes[port])} passwords")
        elif upper[0] == "REPLICAOF":
            one.leads = False
            self.replaced.pop(name, None)
            self.told.append(f"{name} {' '.join(words)}")
        self.let_in()
        return "PONG" if upper[0] == "PING" else "OK"


def encoded(answer: Any) -> bytes:
    """As the protocol has it."""
    if isinstance(answer, list):
        return b"*%d\r\n" % len(answer) + b"".join(encoded(one) for one in answer)
    raw = str(answer).encode()
    return b"+%s\r\n" % raw if answer in ("OK", "PONG") else b"$%d\r\n%s\r\n" % (len(raw), raw)


class Handler(socketserver.StreamRequestHandler):
    """Takes commands; AUTH first."""

    group: Group
    member: str
    port: str

    def handle(self) -> None:
        known = False
        with contextlib.suppress(OSError, ValueError):
            while head := self.rfile.readline():
                words = []
                for _ in range(int(head[1:])):
                    size = int(self.rfile.readline()[1:])
                    words.append(self.rfile.read(size + 2)[:-2].decode())
                one = self.group.members.get(self.member)
                if one is None:
                    return
                if words[0].upper() == "AUTH":
                    known = words[-1] in one.takes[self.port]
                    self.wfile.write(b"+OK\r\n" if known else b"-WRONGPASS invalid username-password pair\r\n")
                elif not known:
                    self.wfile.write(b"-NOAUTH Authentication required.\r\n")
                else:
                    self.wfile.write(encoded(self.group.answer(self.member, self.port, words)))


class Server(socketserver.ThreadingTCPServer):
    """One port of one member."""

    daemon_threads = True
    allow_reuse_address = True


class RedisStandIn(StandIn):
    """Runs the pods of one service until `stop`."""

    group: Group

    def __init__(self, cluster: Cluster, namespace: str, service: str) -> None:
        super().__init__(cluster, namespace, service)
        self.group = Group()
        self.engine = self.group  # type: ignore[assignment]
        self._servers += [self._line(number, port) for number in range(MEMBERS) for port in PORTS]  # type: ignore[misc]

    def _line(self, number: int, port: str) -> Server:
        known = {"group": self.group, "member": f"{self._service}-{number}", "port": port}
        return Server((f"{self.group.network}.{number + 1}", PORTS[port]), type("Bound", (Handler,), known))

    def _look(self) -> None:
        super()._look()
        self.group.writes()

    def _tend(self, pod: Mapping[str, Any]) -> None:
        name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
        files = self._cluster.get(self._path("configmaps", f"{self._service}-config"))["data"]
        secret = self._cluster.get(self._path("secrets", f"{self._service}-secrets"))["data"]
        claim = self._cluster.get(self._path("persistentvolumeclaims", f"data-{name}"))
        version = ".".join(str(part) for part in version_of(pod["spec"]["containers"][0]["image"].rpartition(":")[2]))
        password = base64.b64decode(secret["password"]).decode()
        self.group.pods[name] = uid
        self.group.starts(name, claim["metadata"]["uid"], files, password, version)
        self._shows(pod, True, True, self.group.serves(name))

    def _path(self, plural: str, name: str) -> str:
        return path_of("api", "v1", "namespaces", self._namespace, plural, name)
