"""PostgreSQL as Patroni runs it: what engine.yaml cannot say.

Patroni's `GET /patroni` says how one member is, `GET /cluster` how it stands among the others, `GET /config` what all of
them share (https://patroni.readthedocs.io/en/latest/rest_api.html). Answers of 3.0 and of 4.x differ a little.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import orjson

from stateward.operator.drivers import copying, template
from stateward.operator.drivers.files import laid
from stateward.operator.drivers.folder import FolderDriver
from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask
from stateward.operator.drivers.postgres import major
from stateward.operator.drivers.postgres.passwords import change
from stateward.operator.drivers.protocol import (
    Access,
    Chore,
    Container,
    Copying,
    Extent,
    Log,
    Place,
    Repository,
    Result,
    Seen,
    Source,
    Stage,
    Store,
    Target,
)
from stateward.operator.drivers.reading import text_at, value_at
from stateward.operator.drivers.schema import Http
from stateward.operator.engines.postgresql import archive

_FILE: Final = "{member.name}.yaml"
_PORT: Final = "patroni"
_STATUS: Final = Http(port=_PORT, path="/patroni")
_CLUSTER: Final = Http(port=_PORT, path="/cluster")
_CONFIG: Final = Http(port=_PORT, path="/config")
_CHANGE: Final = Http(port=_PORT, path="/config", method="PATCH", login="patroni", seconds=5.0)
_LOG: Final = Http(port=archive.PORT, path="/")
_QUORUM: Final = "quorum"
"""Any so many of the replicas confirm a write, not named ones: since Patroni 4.0. Earlier ones take the word for "off"."""
_FOLLOWS: Final = ("streaming", "in archive recovery")
_MAJORITY_FROM: Final = 3


class Driver(FolderDriver):
    """One primary, replicas that follow it, and Patroni in each pod that sees to who is which."""

    rereads = True
    carries = major.MODES
    _repository: Repository | None = None

    def archiving(self, repository: Repository | None) -> Driver:
        """The same with its log archived there."""
        found = copy.copy(self)
        found._repository = repository
        return found

    def unfit(self, repository: Repository, tls: bool) -> str:
        """Why pgBackRest does not work with it."""
        return archive.unfit(repository, tls)

    # --- what runs -----------------------------------------------------------------------------------------------

    def container(self, version: str, tls: bool = False) -> Container:
        """With pgBackRest beside it where its log is archived."""
        found = super().container(version, tls)
        if self._repository is None:
            return found
        return replace(found, beside=[*found.beside, archive.beside()], keys=archive.keys(self._repository))

    def configuration(self, place: Place) -> dict[str, str]:
        """With that of pgBackRest."""
        found = super().configuration(place)
        if self._repository is None:
            return found
        repository = archive.of_major(self._repository, place.major)
        return {
            **found,
            archive.MEMBER: archive.of_member(repository),
            archive.SERVER: archive.of_server(repository, place.service, self._folder()),
            "pgbackrest.py": archive.PROGRAM,
        }

    def made(self, place: Place, content: dict[str, Any]) -> dict[str, Any]:
        """A member's file. Only who founds reads how the cluster is founded, so it changes with nothing later."""
        if not place.joins:
            content["bootstrap"]["dcs"]["postgresql"]["parameters"].update({**place.parameters, **self._archived()})
        return content

    def _archived(self) -> Mapping[str, str]:
        """The settings of PostgreSQL by which its log is archived."""
        return archive.SETTINGS if self._repository is not None else {}

    def _folder(self) -> str:
        return self._data.tls.folder if self._data.tls is not None else ""

    def secret_files(self, place: Place, access: Access) -> dict[str, str]:
        """Members' files have passwords that are on their way before the roles have them: who starts then is let in."""
        rotation = access.rotation
        coming = {**access.passwords, **rotation.coming} if rotation is not None else access.passwords
        return super().secret_files(place, replace(access, passwords=coming))

    def set_passwords(self, passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place) -> Result:
        """For all roles at once, and for the Patroni of each member."""
        files = self.secret_files(place, targets[0].access) if targets else {}
        return change(passwords, targets, place, files)

    # --- another major -------------------------------------------------------------------------------------------

    def chore(self, stage: Stage, place: Place, before: str, leads: bool, attempt: str) -> Chore:
        """By dump and restore."""
        wal = self._data.wal.folder if self._data.wal is not None else ""
        return major.chore(stage, place, before, leads, attempt, self._data.run.data, wal)

    def source(self, said: Mapping[str, str]) -> Source:
        """By the timelines of all volumes."""
        return major.source(said)

    def stores(self, place: Place, word: str) -> Sequence[Store]:
        """Patroni's."""
        return major.stores(place, word)

    def unled(self, place: Place) -> Store:
        """Patroni's lock."""
        return major.unled(place)

    # --- what is asked -------------------------------------------------------------------------------------------

    def see(self, target: Target) -> Seen:
        """Health, role, version and lag of one member."""
        try:
            answer = ask(target, _STATUS)
        except NoAnswerError as error:
            return Seen(target.name, None, reason=str(error))
        except RefusedError as error:
            return Seen(target.name, False, reason=str(error))
        seen = _own_word(target.name, answer)
        if seen.role in self.leaders or not seen.healthy:
            return seen
        try:
            return _among_others(seen, answer, ask(target, _CLUSTER))
        except (NoAnswerError, RefusedError) as error:
            return replace(seen, healthy=None, reason=str(error))

    # --- what all members share ----------------------------------------------------------------------------------

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str] | None:
        """The names of settings that `GET /config` has otherwise."""
        current = _first(targets, _CONFIG)
        return None if current is None else _names(self._change(current, seen, place))

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        """Writes what differs, asked before and after."""
        current = _first(targets, _CONFIG)
        if current is None:
            return Result("unknown", "no member gives the settings that all share")
        change = self._change(current, seen, place)
        if not change:
            return Result("done")
        said = Result("unknown", "no member to tell")
        for target in targets:
            try:
                ask(target, _CHANGE, change)
            except NoAnswerError as error:
                said = Result("unknown", str(error))
                break
            except RefusedError as error:
                said = Result("refused", str(error))
                continue
            said = Result("unknown", f"{target.name}: {_CHANGE.path}: accepted, not to be seen yet")
            break
        after = _first(targets, _CONFIG)
        return Result("done") if after is not None and not self._change(after, seen, place) else said

    def _change(self, current: Mapping[str, Any], seen: Sequence[Seen], place: Place) -> dict[str, Any]:
        """What to write so that the settings are as wanted; a parameter that is asked for no more goes with None."""
        wanted = self._shared(place) | _synchronous(current.get("synchronous_mode"), seen, place)
        now = value_at(current, "postgresql.parameters")
        known = {*self._data.parameters, *archive.SETTINGS}
        gone = {name: None for name in now if name in known} if isinstance(now, dict) else {}
        wanted["postgresql"]["parameters"] = {**gone, **wanted["postgresql"]["parameters"]}
        return _difference(wanted, current)

    def _shared(self, place: Place) -> dict[str, Any]:
        """The settings that all members share, but for those that depend on the members that there are."""
        tls = self._data.tls if place.tls else None
        files = (self._data.secret_files, tls.secret_files if tls is not None else {})
        plain, secured = (value_at(one.get(_FILE), "bootstrap.dcs") or {} for one in files)
        wanted: dict[str, Any] = template.render(laid(plain, secured), {})
        wanted["postgresql"]["parameters"] |= {**place.parameters, **self._archived()}
        return wanted

    # --- backups -------------------------------------------------------------------------------------------------

    def copying(self, place: Place, member: str, token: str, repository: Repository | None = None) -> Copying | None:
        """By pgBackRest; None without a repository, which holds the log too."""
        found = repository or self._repository
        if found is None:
            return super().copying(place, member, token)
        found = archive.of_major(found, place.major)
        hosts = [place.host(member), *(place.host(one) for one in place.members if one != member)]
        settings = {
            "CONFIG": archive.of_job(found, hosts, self._folder()),
            "STANDBY": "true" if len(hosts) > 1 else "",
            "DUMP": copying.DUMP,
        }
        return Copying(
            take=[archive.job("backup")],
            restore=[archive.job("restore")],
            forget=[archive.job("forget")],
            environment=settings,
            keys=archive.keys(found),
            filling={
                "CONFIG": archive.of_job(found, (), ""),
                "PGDATA": archive.PGDATA,
                "BINARIES": f"/usr/lib/postgresql/{place.major}/bin",
                "SHARED": orjson.dumps(self._shared(place)).decode(),
                "WAL": f"{self._data.wal.folder}/pg_wal" if place.wal and self._data.wal is not None else "",
            },
        )

    def extent(self, target: Target) -> Extent | None:
        """The position in the log of the member that leads: all that was acknowledged lies before it."""
        try:
            position = value_at(ask(target, _STATUS), "xlog.location")
        except (NoAnswerError, RefusedError):
            return None
        return Extent(str(position)) if type(position) is int else None

    def proves(self, target: Target, wanted: Extent) -> Result:
        """Whether a member that leads has come as far."""
        found = self.extent(target)
        if found is None or not wanted.position.isdecimal():
            return Result("unknown", "it does not say how far its log reaches")
        if int(found.position) < int(wanted.position):
            return Result("refused", f"position {found.position}: the backup reaches to {wanted.position}")
        return Result("done")

    def log(self, target: Target) -> Log | None:
        """How far its archive is behind, by the word of the container beside it."""
        try:
            answer = ask(target, _LOG)
        except (NoAnswerError, RefusedError):
            return None
        waiting, behind = value_at(answer, "waiting"), value_at(answer, "behind")
        if type(waiting) is not int or type(behind) is not int:
            return None
        free, size = value_at(answer, "free"), value_at(answer, "size")
        return Log(
            waiting,
            behind,
            text_at(answer, "reason"),
            free if type(free) is int else None,
            size if type(size) is int else None,
        )


def _own_word(name: str, answer: Any) -> Seen:
    state, role = text_at(answer, "state"), text_at(answer, "role")
    reason = "" if state == "running" else f"PostgreSQL is {state or 'in a state that nobody says'}"
    return Seen(
        name,
        state == "running",
        # Patroni before 4.0 says master.
        role={"primary": "primary", "master": "primary", "replica": "replica"}.get(role, ""),
        version=_version(value_at(answer, "server_version")),
        reason=reason,
        knows=frozenset([_QUORUM] if _major(text_at(answer, "patroni.version")) >= 4 else ()),
    )


def _among_others(seen: Seen, answer: Any, cluster: Any) -> Seen:
    """A replica serves as long as it follows the one that leads, on the same timeline."""
    members = value_at(cluster, "members")
    rows = {text_at(row, "name"): row for row in members} if isinstance(members, list) else {}
    row = rows.get(seen.name)
    leader = next((one for one in rows.values() if text_at(one, "role") == "leader"), None)
    lag = value_at(row, "lag")
    found = replace(seen, lag=lag, lag_unit="bytes") if type(lag) is int else seen
    if leader is None:
        return replace(found, healthy=False, reason="it follows nobody: no member leads")
    follows = text_at(answer, "replication_state")  # Patroni says it since 3.1
    if follows and follows not in _FOLLOWS:
        return replace(found, healthy=False, reason=f"it does not follow {text_at(leader, 'name')}: {follows}")
    if _knows_states(answer) and not follows:
        return replace(found, healthy=False, reason=f"it does not follow {text_at(leader, 'name')} yet")
    ours, theirs = value_at(answer, "timeline"), value_at(leader, "timeline")
    if type(ours) is int and type(theirs) is int and ours != theirs:
        return replace(found, healthy=False, reason=f"it is on timeline {ours}, {text_at(leader, 'name')} on {theirs}")
    return found


def _synchronous(current: Any, seen: Sequence[Seen], place: Place) -> dict[str, Any]:
    """So that each acknowledged write is on a majority of the members.

    With fewer than three, a replica that is away would stop all writes: there the one that leads goes on alone.
    """
    members = len(place.members)
    answered = {one.name: one for one in seen if one.healthy is not None}
    known = [answered[name] for name in place.members if name in answered]
    if any(_QUORUM not in one.knows for one in known):
        mode: Any = True
    elif len(known) == members:
        mode = _QUORUM
    else:
        mode = current if current in (True, _QUORUM) else True
    return {
        "synchronous_mode": mode,
        "synchronous_mode_strict": members >= _MAJORITY_FROM,
        "synchronous_node_count": max(1, members // 2),
    }


def _difference(wanted: Mapping[str, Any], current: Any) -> dict[str, Any]:
    """The part of `wanted` that is otherwise in `current`, as a merge patch."""
    found: dict[str, Any] = {}
    have = current if isinstance(current, Mapping) else {}
    for name, value in wanted.items():
        if isinstance(value, Mapping):
            inner = _difference(value, have.get(name))
            if inner:
                found[name] = inner
        elif value != have.get(name) or type(value) is not type(have.get(name)):
            found[name] = value
    return found


def _names(change: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for name, value in change.items():
        found += _names(value) if isinstance(value, Mapping) else [name]
    return found


def _first(targets: Sequence[Target], call: Http) -> dict[str, Any] | None:
    """The answer of the first member that gives one."""
    for target in targets:
        try:
            answer = ask(target, call)
        except (NoAnswerError, RefusedError):
            continue
        if isinstance(answer, dict):
            return answer
    return None


def _version(number: Any) -> str:
    """170012 is 17.12 (https://www.postgresql.org/docs/current/libpq-status.html, PQserverVersion)."""
    return f"{number // 10000}.{number % 10000}" if type(number) is int and number >= 100000 else ""


def _major(version: str) -> int:
    found = re.match(r"\d+", version)
    return int(found[0]) if found else 0


def _knows_states(answer: Any) -> bool:
    return re.match(r"3\.0(\.|$)", text_at(answer, "patroni.version")) is None
