"""What Sentinels keep of each other and of the replicas, held against who is there.

A Sentinel never forgets by itself: a member that has left would count in the majority for ever, and be waited for. It
forgets all of it at once (`SENTINEL RESET`), and finds those that are there within seconds. One at a time: while it
knows nobody it cannot take part in a failover. The quorum is a majority of the members, so that one that knows nobody
cannot fail over alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.protocol import Result, Target
from stateward.operator.drivers.sentinel import passwords
from stateward.operator.drivers.sentinel.asking import MASTER, information, opened, pairs

_BUSY: Final = frozenset({"s_down", "o_down", "failover_in_progress", "disconnected"})


@dataclass(frozen=True, slots=True)
class Book:
    """What one member and its Sentinel know."""

    target: Target
    address: str
    """By which the others know it."""
    least: int
    quorum: int
    leader: str
    flags: frozenset[str]
    sentinels: frozenset[str]
    """Addresses of the other Sentinels."""
    replicas: frozenset[str]
    leads: bool = False
    """By the member's own word."""
    keys: bool = True
    """Whether member and Sentinel take and use the passwords that they should."""

    def missing(self, addresses: frozenset[str]) -> bool:
        """Whether it does not know of all others yet."""
        return not addresses <= self.sentinels | {self.address} or not addresses <= self.replicas | {self.leader}

    def held(self, least: int) -> bool:
        """Whether it asks for another number of replicas; not where it was replaced, and has not heard of it yet."""
        return self.least != least and not (self.leads and self.address != self.leader)

    def gone(self, addresses: frozenset[str]) -> int:
        """How many it knows that are no members."""
        return len((self.sentinels | self.replicas) - addresses)


def read(targets: Sequence[Target], members: Sequence[str]) -> list[Book] | None:
    """The books of all members; None where one cannot be read, or a failover is going on: then nothing is known."""
    if {one.name for one in targets} != set(members):
        return None
    try:
        found = [_book(target) for target in targets]
    except (NoAnswerError, RefusedError, ValueError):
        return None
    return None if any(one.flags & _BUSY for one in found) or len({one.leader for one in found}) != 1 else found


def amiss(books: Sequence[Book], least: int) -> list[str]:
    """What is not so, by name and member."""
    addresses, majority = frozenset(one.address for one in books), len(books) // 2 + 1
    return [
        *(f"passwords of {one.target.name}" for one in books if not one.keys),
        *(f"quorum {majority} of {one.target.name}" for one in books if one.quorum != majority),
        *(f"min-replicas-to-write {least} of {one.target.name}" for one in books if one.held(least)),
        *(f"what the Sentinel of {one.target.name} knows of the others" for one in books if one.missing(addresses)),
        *(f"members gone that the Sentinel of {one.target.name} knows" for one in books if one.gone(addresses)),
    ]


def mend(books: Sequence[Book], least: int) -> Result:
    """One step of it, in the order of `amiss`. Each may be taken twice."""
    addresses, majority = frozenset(one.address for one in books), len(books) // 2 + 1
    if not all(one.keys for one in books):
        several = passwords.wanted(books[0].target.access)
        return passwords.tell(several, [one.target for one in books])
    quorum = [one.target for one in books if one.quorum != majority]
    held = [one.target for one in books if one.held(least)]
    gone = [one.target for one in books if one.gone(addresses)]
    if quorum:
        return _tell(quorum, "sentinel", "SENTINEL", "SET", MASTER, "quorum", majority)
    if held:
        return _tell(held, "client", "CONFIG", "SET", "min-replicas-to-write", least)
    if any(one.missing(addresses) for one in books):
        return Result("unknown", "they find each other by the primary, within seconds")
    return _tell(gone[:1], "sentinel", "SENTINEL", "RESET", MASTER)


def _tell(targets: Sequence[Target], port: str, *words: str | int) -> Result:
    try:
        for target in targets:
            with opened(target, port) as line:
                line.ask(*words)
    except RefusedError as error:
        return Result("refused", str(error))
    except NoAnswerError as error:
        return Result("unknown", str(error))
    return Result("done")


def _book(target: Target) -> Book:
    with opened(target, "client") as line:
        announced, least, used, user, replication = line.several(
            ("CONFIG", "GET", "replica-announce-ip"),
            ("CONFIG", "GET", "min-replicas-to-write"),
            ("CONFIG", "GET", "masterauth"),
            ("ACL", "GETUSER", passwords.USER),
            ("INFO", "replication"),
        )
    with opened(target, "sentinel") as line:
        master, sentinels, replicas = line.several(
            ("SENTINEL", "MASTER", MASTER), ("SENTINEL", "SENTINELS", MASTER), ("SENTINEL", "REPLICAS", MASTER)
        )
        # Of 6.0 it knows no users, and takes what its file says.
        beside = line.tried("ACL", "GETUSER", passwords.USER)
    uses = passwords.hashed(pairs(used).get("masterauth", ""))
    access = target.access
    known = pairs(master)
    return Book(
        target,
        pairs(announced).get("replica-announce-ip", ""),
        int(pairs(least).get("min-replicas-to-write", "")),
        int(known.get("quorum", "")),
        known.get("ip", ""),
        frozenset(known.get("flags", "").split(",")),
        _addresses(sentinels),
        _addresses(replicas),
        information(replication).get("role") == "master",
        not passwords.amiss(access, passwords.taken(user), uses)
        and (beside is None or not passwords.amiss(access, passwords.taken(beside), None)),
    )


def _addresses(rows: Any) -> frozenset[str]:
    return frozenset(pairs(row).get("ip", "") for row in rows) if isinstance(rows, list) else frozenset()
