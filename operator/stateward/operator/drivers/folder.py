"""The driver that a folder makes: everything it does is said in `engine.yaml`."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from stateward.certs.authority import Leaf
from stateward.operator.drivers import copying, files, given, pods, reading, template
from stateward.operator.drivers.files import Files
from stateward.operator.drivers.filled import filled, values_of
from stateward.operator.drivers.handshake import shake
from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask, serves
from stateward.operator.drivers.protocol import (
    Access,
    Chore,
    Container,
    Copying,
    Extent,
    Log,
    Peer,
    Place,
    Repository,
    Result,
    Seen,
    Shake,
    Source,
    Stage,
    Store,
    Target,
)
from stateward.operator.drivers.schema import (
    Command,
    Done,
    Engine,
    Http,
    Members,
    Tls,
    Wal,
)


class FolderDriver:
    """Implements `Driver`. Raises TemplateError when it is made, where the folder names what nobody knows."""

    rereads = False
    carries: frozenset[str] = frozenset()

    def __init__(self, data: Engine, holes: Mapping[str, Any] | None = None) -> None:
        """`holes`: the file as it is written, where a service's parameters fill what it leaves open."""
        self.engine = data.engine
        self.most_members = data.most_members
        self.leaders = frozenset(data.leaders)
        self.listed = data.commands.members is not None and data.commands.join is not None
        self.routed = data.routed
        self.labels_itself = data.labels_itself
        self.primary_labels: Sequence[str] = data.primary_labels
        self.leaves: Sequence[str] = data.run.leaves
        self.passwords: Mapping[str, int] = data.passwords
        # What a driver.py does instead of the file counts as well.
        own = type(self)
        self.hands_over = data.commands.switchover is not None or own.switchover is not FolderDriver.switchover
        self.rotates = own.set_passwords is not FolderDriver.set_passwords
        self.finalises = data.commands.finalise is not None or own.finalise is not FolderDriver.finalise
        self.encrypts = data.tls is not None
        self.archives = own.archiving is not FolderDriver.archiving
        self._data = data
        self._holes = holes
        files.check(data)
        copying.check(data)

    def of(self, parameters: Mapping[str, Any]) -> FolderDriver:
        """The same for a service of these parameters, which have no `problems`."""
        if self._holes is None:
            return self
        data = Engine.model_validate(filled(self._holes, values_of(self._holes, parameters)))
        return type(self)(data, self._holes)

    def archiving(self, repository: Repository | None) -> FolderDriver:
        """Itself: it keeps no log with its backups."""
        return self

    def unfit(self, repository: Repository, tls: bool) -> str:
        """Nothing is archived anywhere."""
        return ""

    # --- what runs -----------------------------------------------------------------------------------------------

    def container(self, version: str, tls: bool = False) -> Container:
        """What runs in the pods of this version."""
        return pods.container(self._data, version, tls)

    def configuration(self, place: Place) -> dict[str, str]:
        """File name → content. Parameters are laid under what the folder says, which names all that it does not let be."""
        tls, wal = self._laid_over(place)
        over = [one.files for one in (tls, wal) if one is not None]
        return self._rendered(self._data.files, place, {}, over)

    def secret_files(self, place: Place, access: Access) -> dict[str, str]:
        """File name → content, of what has passwords in it."""
        opened = {f"password.{name}": access.passwords.get(name, "") for name in self._data.passwords}
        tls, wal = self._laid_over(place)
        over = [one.secret_files for one in (tls, wal) if one is not None]
        return self._rendered(self._data.secret_files, place, opened, over)

    def _laid_over(self, place: Place) -> tuple[Tls | None, Wal | None]:
        """What says more of the files, where the service has it."""
        return self._data.tls if place.tls else None, self._data.wal if place.wal else None

    def clients(self, place: Place, access: Access) -> dict[str, str]:
        """Key → text, of what applications connect with."""
        scope = {
            **files.scope(place),
            **{f"password.{name}": access.passwords.get(name, "") for name in self._data.passwords},
        }
        more = self._data.tls.clients if self._data.tls is not None and place.tls else {}
        return {key: str(template.render(text, scope)) for key, text in {**self._data.clients, **more}.items()}

    def _rendered(self, own: Files, place: Place, more: Mapping[str, str], over: Sequence[Files]) -> dict[str, str]:
        rows: list[Mapping[str, str]] = [
            {"member.name": member, "member.host": place.host(member)} for member in place.members
        ]
        values = {
            f"parameters.{name}": place.parameters.get(name, one.default) for name, one in self._data.parameters.items()
        }
        empty = {f"{{{name}}}" for name, value in values.items() if value is None}
        more = {**more, **{name: str(value) for name, value in values.items() if value is not None}}
        found: dict[str, str] = {}
        for row in rows:
            scope = {**files.scope(place), **self._speaks(place), **more, **row}
            for name, content in functools.reduce(files.over, over, own).items():
                if not (isinstance(content, str) and content in empty):
                    found[template.render(name, scope)] = self.written(content, place, scope, rows)
        return found

    def _speaks(self, place: Place) -> dict[str, str]:
        return {
            "tls.scheme": "https" if place.tls else "http",
            "tls.folder": self._data.tls.folder if self._data.tls is not None else "",
        }

    def written(
        self,
        content: dict[str, Any] | str,
        place: Place,
        scope: Mapping[str, str],
        rows: list[Mapping[str, str]],
    ) -> str:
        """One file of a member, as the engine reads it."""
        if isinstance(content, str):
            return str(template.render(content, scope))
        made = self.made(place, template.render(content, scope, {"members": rows}))
        return orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"

    def made(self, place: Place, content: dict[str, Any]) -> dict[str, Any]:
        """What a file that is a mapping holds: what the folder says stands over the parameters."""
        return {**place.parameters, **content}

    def at_start(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those parameters that members take at their start alone and that stand in none of their files."""
        known = self._data.parameters
        return {name: value for name, value in parameters.items() if name in known and known[name].restart}

    def problems(self, version: str, parameters: Mapping[str, Any]) -> list[str]:
        """Why this version or these parameters cannot be run."""
        return given.problems(self._data, version, parameters)

    # --- what is asked -------------------------------------------------------------------------------------------

    def shake(self, target: Target, leaf: Leaf | None = None) -> Shake:
        """A handshake at the first of its ports that speak TLS."""
        tls = self._data.tls
        return shake(target, tls.ports[0], leaf) if tls is not None else Shake(False, reason="it speaks no TLS")

    def see(self, target: Target) -> Seen:
        """Health, role and version of one member."""
        health, status = self._data.commands.health, self._data.commands.status
        if health is None:
            return Seen(target.name, reason=f"{self._data.title}: its folder does not say how it is asked")
        healthy: bool | None
        reason = ""
        try:
            if health.good is None:
                serves(target, health.http)
                return Seen(target.name, True)
            answer = ask(target, health.http)
            healthy = reading.holds(answer, health.good)
            if not healthy:
                reason = (health.reason and reading.text_at(answer, health.reason)) or "it says that it is not healthy"
        except RefusedError as error:
            healthy, reason = False, str(error)
        except NoAnswerError as error:
            return Seen(target.name, None, reason=str(error))
        if status is None:
            return Seen(target.name, healthy, reason=reason)
        try:
            answer = ask(target, status.http, status.http.body)
        except (NoAnswerError, RefusedError) as error:
            return Seen(target.name, healthy, reason=reason or str(error))
        return Seen(
            target.name,
            healthy,
            role=reading.word_of(answer, status.role),
            version=reading.text_at(answer, status.version),
            identity=reading.text_at(answer, status.identity),
            reason=reason,
        )

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        """The list of members of the first member that gives one."""
        command = self._data.commands.members
        if command is None:
            return []
        for target in targets:
            try:
                answer = ask(target, command.http, command.http.body)
            except (NoAnswerError, RefusedError):
                continue
            rows = reading.value_at(answer, command.each)
            if isinstance(rows, list) and rows:
                return [_peer(command, row, place) for row in rows]
        return None

    # --- backups -------------------------------------------------------------------------------------------------

    def copying(self, place: Place, member: str, token: str, repository: Repository | None = None) -> Copying | None:
        """How backups are taken and restored."""
        return copying.of(self._data, place, member, token)

    def log(self, target: Target) -> Log | None:
        """It archives none."""
        return None

    def extent(self, target: Target) -> Extent | None:
        """How far a member's data reaches."""
        return copying.extent(self._data, target)

    def proves(self, target: Target, wanted: Extent) -> Result:
        """Whether a member has what a backup holds."""
        return copying.proves(self._data, target, wanted)

    # --- another major -------------------------------------------------------------------------------------------

    def chore(self, stage: Stage, place: Place, before: str, leads: bool, attempt: str) -> Chore:
        """A file cannot say it: a driver.py that `carries` does."""
        raise NotImplementedError

    def source(self, said: Mapping[str, str]) -> Source:
        """The same."""
        raise NotImplementedError

    def stores(self, place: Place, word: str) -> Sequence[Store]:
        """The same."""
        raise NotImplementedError

    def unled(self, place: Place) -> Store:
        """The same."""
        raise NotImplementedError

    # --- what is told --------------------------------------------------------------------------------------------

    def join(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Adds a member that is to come."""
        return self._tell("join", self._data.commands.join, member, targets, place)

    def promote(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Gives a member its vote."""
        return self._tell("promote", self._data.commands.promote, member, targets, place)

    def leave(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Takes a member out of the list."""
        return self._tell("leave", self._data.commands.leave, member, targets, place)

    def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Has the member hand over."""
        return self._tell("switchover", self._data.commands.switchover, member, targets, place)

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str] | None:
        """Nothing: what members read is in their files."""
        return []

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        """There is nothing to be done."""
        return Result("done")

    def set_passwords(self, passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place) -> Result:
        """A file cannot say it: passwords must not be in what is logged, so it takes a driver.py."""
        return Result("refused", f"{self._data.title}: its passwords are not changed while it runs")

    def finalise(self, version: str, targets: Sequence[Target], place: Place) -> Result:
        """Makes the data that of this version for good."""
        return self._tell("finalise", self._data.commands.finalise, "", targets, place, {"version": version})

    def _tell(
        self,
        name: str,
        command: Command | None,
        member: str,
        targets: Sequence[Target],
        place: Place,
        more: Mapping[str, str] | None = None,
    ) -> Result:
        """Asks whether it is done, tells it, and asks again: what was told twice would be done twice."""
        if command is None:
            return Result("done", f"{self._data.title} needs no {name}")
        peers = self.peers(targets, place)
        if peers is None:
            return Result("unknown", f"{name} {member}: no member gives the list of members")
        if self._done(command.done, peers, member, targets):
            return Result("done")
        scope = {
            "member.name": member,
            "member.host": place.host(member),
            "member.identity": _identity(peers, member),
            **self._speaks(place),
            "other.identity": self._other(peers, member, targets),
            **(more or {}),
        }
        said = self._give(command.http, targets, scope)
        after = self.peers(targets, place)
        if after is not None and self._done(command.done, after, member, targets):
            return Result("done")
        # A refusal is one only where the list can still be read: it then says that nothing has happened.
        return said if after is not None or said.outcome == "unknown" else Result("unknown", said.reason)

    def _done(self, done: Done, peers: Sequence[Peer], member: str, targets: Sequence[Target]) -> bool:
        if done.listed is not None:
            return _listed(done, peers, member)
        seen = {target.name: self.see(target) for target in targets}
        if done.leads is not None:
            leading = [one for one in seen.values() if one.role in self.leaders]
            return len(leading) == 1 and (leading[0].name == member) is done.leads
        status, when = self._data.commands.status, done.status
        if status is None or when is None or not targets:
            return False
        try:
            return all(reading.holds(ask(target, status.http, status.http.body), when) for target in targets)
        except (NoAnswerError, RefusedError):
            return False

    def _other(self, peers: Sequence[Peer], member: str, targets: Sequence[Target]) -> str:
        """Whom a member may hand over to: one with a vote that serves."""
        voters = {peer.name: peer.identity for peer in peers if not peer.learner and peer.name != member}
        return next((voters[one.name] for one in targets if one.name in voters and self.see(one).healthy is True), "")

    def _give(self, call: Http, targets: Sequence[Target], scope: Mapping[str, str]) -> Result:
        """Tells the first member that answers. After a call without an answer no other member is told the same."""
        refused = Result("unknown", "no member can be asked")
        for target in targets:
            try:
                ask(target, call, template.render(call.body, scope))
            except NoAnswerError as error:
                return Result("unknown", str(error))
            except RefusedError as error:
                refused = Result("refused", str(error))
                continue
            return Result("unknown", f"{target.name}: {call.path}: accepted, not to be seen yet")
        return refused


def _peer(command: Members, row: Any, place: Place) -> Peer:
    # By its address: a member that was added and has never run has no name yet.
    address = reading.text_at(row, command.address)
    host = urlsplit(address).hostname or address
    member, _, rest = host.partition(".")
    ours = f"{member}.{rest}" == place.host(member)
    return Peer(
        identity=reading.text_at(row, command.identity),
        name=member if ours else "",
        learner=command.learner is not None and reading.value_at(row, command.learner) is True,
    )


def _listed(done: Done, peers: Sequence[Peer], member: str) -> bool:
    entry = next((peer for peer in peers if peer.name == member), None)
    if entry is None:
        return not done.listed
    return done.listed is True and (done.learner is None or entry.learner == done.learner)


def _identity(peers: Sequence[Peer], member: str) -> str:
    return next((peer.identity for peer in peers if peer.name == member), "")
