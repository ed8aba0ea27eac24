"""The driver of Redis and Valkey: `engine.yaml` says what runs, this what is asked and told."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from stateward.operator.drivers.folder import FolderDriver
from stateward.operator.drivers.http import NoAnswerError, RefusedError
from stateward.operator.drivers.protocol import Place, Result, Seen, Target
from stateward.operator.drivers.sentinel import books
from stateward.operator.drivers.sentinel.asking import MASTER, PASSWORD, Fields, information, opened, pairs
from stateward.operator.drivers.sentinel.passwords import tell

PRIMARY: Final = "primary"
REPLICA: Final = "replica"
SENTINEL: Final = "sentinel"
SCRIPTS: Final = ("state.sh", "start.sh", "probe.sh", "stop.sh")
_OF_SENTINEL: Final = ("down-after-milliseconds", "failover-timeout", "parallel-syncs")
"""Parameters that are Sentinel's."""
_LEAST: Final = "min-replicas-to-write"
_HELD: Final = 1000
"""More replicas than there can be: with so many wanted, no write is acknowledged."""
_CATCH_UP: Final = 5.0
_SWITCH: Final = 20.0
_LOOK: Final = 0.2


class SentinelDriver(FolderDriver):
    """Implements `Driver`. There is no list of members: replicas come and go, and `settle` sees to the Sentinels."""

    rereads = True

    # --- what runs -----------------------------------------------------------------------------------------------

    def configuration(self, place: Place) -> dict[str, str]:
        """The settings of all members, who they are, and the scripts that put both together where a pod starts."""
        given = {name: value for name, value in place.parameters.items() if name in _OF_SENTINEL}
        sentinel = {"down-after-milliseconds": 5000, "failover-timeout": 30000, "parallel-syncs": 1, **given}
        return {
            **super().configuration(place),
            **_scripts(),
            "sentinel.conf": "".join(f"sentinel {name} {MASTER} {value}\n" for name, value in sentinel.items()),
            "members": "".join(f"{one} {place.address(one)} {_identity(place, one)}\n" for one in place.members),
            "founded": "yes\n" if place.joins else "no\n",
        }

    def written(
        self, content: dict[str, Any] | str, place: Place, scope: Mapping[str, str], rows: list[Mapping[str, str]]
    ) -> str:
        """A mapping is a file of settings, one a line; what parameters say stands over what the folder says."""
        if isinstance(content, str):
            return super().written(content, place, scope, rows)
        given = {name: value for name, value in place.parameters.items() if name not in _OF_SENTINEL}
        made = {**content, **given, _LEAST: least(place)}
        return "".join(f"{name} {_setting(value)}\n" for name, value in sorted(made.items()))

    # --- what is asked -------------------------------------------------------------------------------------------

    def see(self, target: Target) -> Seen:
        """Health, role, version and how far it has come, by its own word; its Sentinel has to answer too."""
        try:
            with opened(target, self._data.serves) as line:
                server, replication, persistence, least_ = line.several(
                    ("INFO", "server"), ("INFO", "replication"), ("INFO", "persistence"), ("CONFIG", "GET", _LEAST)
                )
        except RefusedError as error:
            return Seen(target.name, False, reason=str(error))
        except NoAnswerError as error:
            return Seen(target.name, None, reason=str(error))
        told = {**information(server), **information(replication), **information(persistence), **pairs(least_)}
        reason = _trouble(told)
        seen = Seen(
            target.name,
            not reason,
            role=PRIMARY if told.get("role") == "master" else REPLICA,
            # Valkey gives itself out for a Redis that clients know, and says its own version beside that.
            version=told.get("valkey_version") or told.get("redis_version", ""),
            identity=told.get("run_id", ""),
            reason=reason,
            position=_position(told),
        )
        return seen if reason else _with_sentinel(target, seen)

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str] | None:
        """What Sentinels and members keep of their number and is not so any more; not while two say that they lead.

        A primary that was replaced and has not heard of it must not take writes again.
        """
        if _several_lead(seen):
            return None
        found = books.read(_of(place, targets), place.members)
        return books.amiss(found, least(place)) if found is not None else None

    # --- what is told --------------------------------------------------------------------------------------------

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        """One thing of it: what Sentinels know is forgotten one Sentinel at a time."""
        if _several_lead(seen):
            return Result("unknown", "several say that they lead")
        found = books.read(_of(place, targets), place.members)
        if found is None:
            return Result("unknown", "not all members and Sentinels answer")
        return books.mend(found, least(place))

    def set_passwords(self, passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place) -> Result:
        """Told to all members and Sentinels, while all of them serve."""
        several = passwords.get(PASSWORD, ())
        asked = _of(place, targets)
        if {one.name for one in asked} != set(place.members):
            return Result("unknown", "not all members and Sentinels answer")
        return tell(several, asked) if several else Result("done")

    def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Has another take over once it has all that was acknowledged: until then the primary takes no write.

        A failover that Sentinel is asked for promotes the replica at once, and has the old primary follow ten seconds
        later: what that takes in between would be lost. It is told here as soon as another leads.
        """
        until = time.monotonic() + _SWITCH
        if self._handed_over(member, targets):
            return Result("done")
        leading = next((one for one in targets if one.name == member), None)
        others = [one for one in targets if one.name != member]
        if leading is None or not others:
            return Result("refused", f"{member}: it and another member have to serve for one to take over")
        # One that leads already was promoted by a process that ended right after it.
        asked = any(self.see(one).role == PRIMARY for one in others)
        try:
            with opened(leading, self._data.serves) as line:
                line.ask("CONFIG", "SET", _LEAST, _HELD)
            if not asked:
                whole = self._whole(leading, others)
                if whole is None:
                    return Result("refused", f"no replica has all of {member}'s writes after {_CATCH_UP:.0f} s")
                asked = True
                with opened(whole, SENTINEL) as line:
                    line.ask("SENTINEL", "FAILOVER", MASTER)
            while time.monotonic() < until:
                if self._handed_over(member, targets):
                    return Result("done")
                self._follow(leading, others)
                time.sleep(_LOOK)
        except RefusedError as error:
            return Result("refused", str(error))
        except NoAnswerError as error:
            return Result("unknown", str(error))
        finally:
            # Once it was asked for, it may come at any time, whatever was answered: what the old primary took then would be
            # lost. Where nothing comes of it `settle` lets it take writes again.
            if not asked or self.see(leading).role == REPLICA:
                _restore(leading, self._data.serves, least(place))
        return Result("unknown", f"{member}: asked to hand over; nobody else leads yet")

    def _whole(self, leading: Target, others: Sequence[Target]) -> Target | None:
        """A replica that has everything, waited for; None where none comes so far."""
        until = time.monotonic() + _CATCH_UP
        while True:
            end = self.see(leading).position
            whole = [one for one in others if end is not None and _reached(self.see(one), end)]
            if whole:
                return whole[0]
            if time.monotonic() > until:
                return None
            time.sleep(_LOOK)

    def _follow(self, leading: Target, others: Sequence[Target]) -> None:
        """Has the old primary follow the one that Sentinel promoted. Its clients have to look for that one themselves."""
        leads = next((one for one in others if self.see(one).role == PRIMARY), None)
        if leads is None or self.see(leading).role != PRIMARY:
            return
        with opened(leads, self._data.serves) as line:
            address = pairs(line.ask("CONFIG", "GET", "replica-announce-ip")).get("replica-announce-ip", "")
        if not address:
            return
        with opened(leading, self._data.serves) as line:
            line.ask("REPLICAOF", address, self._data.ports[self._data.serves])
            line.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def _handed_over(self, member: str, targets: Sequence[Target]) -> bool:
        """Whether another leads, and this member does not: one of an older release may not be able to follow it."""
        seen = {one.name: self.see(one) for one in targets}
        leading = [one.name for one in seen.values() if one.role == PRIMARY]
        own = seen.get(member)
        return len(leading) == 1 and leading[0] != member and own is not None and own.role == REPLICA


@cache
def _scripts() -> dict[str, str]:
    """Read once: members must not be made anew because a file is another while this process runs."""
    here = Path(__file__).parent
    return {name: (here / name).read_text(encoding="utf-8") for name in SCRIPTS}


def least(place: Place) -> int:
    """How many replicas must follow for a write to be taken: one, or what is asked for; none where there is none."""
    given = place.parameters.get(_LEAST, 1)
    return min(given if isinstance(given, int) else 1, len(place.members) - 1)


def _identity(place: Place, member: str) -> str:
    """What a Sentinel calls itself, 40 hexadecimal digits: the same after its pod, or its volume, was made anew."""
    return hashlib.sha1(f"{place.namespace}/{member}".encode(), usedforsecurity=False).hexdigest()


def _of(place: Place, targets: Sequence[Target]) -> list[Target]:
    return [one for one in targets if one.name in place.members]


def _several_lead(seen: Sequence[Seen]) -> bool:
    return sum(one.role == PRIMARY for one in seen) > 1


def _setting(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    return text if text and not any(one.isspace() for one in text) else f'"{text}"'


def _trouble(told: Fields) -> str:
    """Why a member does not serve; "" where it does."""
    if told.get("loading", "0") != "0":
        return "it loads its data"
    if told.get("aof_last_write_status", "ok") != "ok":
        return "its last write to the append-only file failed; is its volume full?"
    if told.get("role") != "master":
        if told.get("master_link_status") == "up":
            return ""
        full = told.get("master_sync_in_progress", "0") != "0"
        return "it copies the data of the primary" if full else "its link to the primary is down"
    follow, wanted = told.get("min_slaves_good_slaves", ""), told.get(_LEAST, "")
    if follow.isdecimal() and wanted.isdecimal() and int(follow) < int(wanted):
        return f"{follow} replicas follow, and it takes no write with fewer than {wanted}"
    return ""


def _position(told: Fields) -> int | None:
    text = told.get("master_repl_offset" if told.get("role") == "master" else "slave_repl_offset", "")
    return int(text) if text.isdecimal() else None


def _reached(seen: Seen, end: int) -> bool:
    return seen.healthy is True and seen.role == REPLICA and seen.position is not None and seen.position >= end


def _with_sentinel(target: Target, seen: Seen) -> Seen:
    """Healthy only where the Sentinel beside it answers: without it nobody can take over."""
    try:
        with opened(target, SENTINEL) as line:
            line.ask("PING")
    except (NoAnswerError, RefusedError) as error:
        return Seen(
            seen.name, None, role=seen.role, version=seen.version, identity=seen.identity, reason=str(error),
            position=seen.position,
        )  # fmt: skip
    return seen


def _restore(target: Target, port: str, wanted: int) -> None:
    """Takes writes again, or will once it leads. Where that fails, `unsettled` finds it at the next look."""
    try:
        with opened(target, port) as line:
            line.ask("CONFIG", "SET", _LEAST, wanted)
    except (NoAnswerError, RefusedError):
        return
