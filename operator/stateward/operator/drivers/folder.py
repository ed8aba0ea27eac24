"""The driver that a folder makes: everything it does is said in `engine.yaml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from stateward.operator.drivers import reading, template
from stateward.operator.drivers.http import NoAnswerError, RefusedError, ask
from stateward.operator.drivers.protocol import Container, Peer, Place, Result, Seen, Target
from stateward.operator.drivers.schema import MUTATING, Command, Done, Engine, Http, Parameter, Probe


class FolderDriver:
    """Implements `Driver`. Raises TemplateError when it is made, where the folder names what nobody knows."""

    def __init__(self, data: Engine) -> None:
        self.engine = data.engine
        self._data = data
        template.check(data.image, "image")
        for name, content in data.files.items():
            template.check({name: content}, f"files.{name}")
        for name in MUTATING:
            command = getattr(data.commands, name)
            if command is not None:
                template.check(command.http.body, f"commands.{name}.http.body")

    # --- what runs -----------------------------------------------------------------------------------------------

    def container(self, version: str) -> Container:
        """What runs in the pods of this version."""
        run, probes = self._data.run, self._data.probes
        return Container(
            image=template.render(self._data.image, {"version": version}),
            command=run.command,
            ports=self._data.ports,
            user=run.user,
            data=run.data,
            files=run.files,
            readiness=_probe(probes.readiness),
            liveness=_probe(probes.liveness),
            startup=_probe(probes.startup),
            requests=run.requests,
            grace=run.grace,
            serves=self._data.serves,
        )

    def configuration(self, place: Place) -> dict[str, str]:
        """File name → content. Parameters are laid over what the folder says, which only names those it lets be."""
        rows: list[Mapping[str, str]] = [
            {"member.name": member, "member.host": place.host(member)} for member in place.members
        ]
        found: dict[str, str] = {}
        for row in rows:
            scope = {
                "service.name": place.service,
                "service.namespace": place.namespace,
                "service.version": place.version,
                "service.state": "existing" if place.joins else "new",
                **row,
            }
            for name, content in self._data.files.items():
                made = {**dict(place.parameters), **template.render(content, scope, {"members": rows})}
                text = orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode()
                found[template.render(name, scope)] = f"{text}\n"
        return found

    def problems(self, version: str, parameters: Mapping[str, Any]) -> list[str]:
        """Why this version or these parameters cannot be run."""
        found = []
        oldest = self._data.versions.removeprefix(">=")
        if not _at_least(version, oldest):
            found.append(
                f"version {version}: {self._data.title} {oldest} is the oldest that is run; name that or a later one"
            )
        for name, value in parameters.items():
            known = self._data.parameters.get(name)
            if known is None:
                several = ", ".join(sorted(self._data.parameters))
                found.append(f"parameters.{name}: no parameter of {self._data.title} that can be given; known are {several}")
            elif problem := _problem(known, value):
                found.append(f"parameters.{name}: {problem}")
        return found

    # --- what is asked -------------------------------------------------------------------------------------------

    def see(self, target: Target) -> Seen:
        """Health, role and version of one member."""
        health, status = self._data.commands.health, self._data.commands.status
        healthy: bool | None
        reason = ""
        try:
            answer = ask(target, health.http)
            healthy = reading.holds(answer, health.good)
            if not healthy:
                reason = (health.reason and reading.text_at(answer, health.reason)) or "it says that it is not healthy"
        except RefusedError as error:
            healthy, reason = False, str(error)
        except NoAnswerError as error:
            return Seen(target.name, None, reason=str(error))
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
        for target in targets:
            try:
                answer = ask(target, command.http, command.http.body)
            except (NoAnswerError, RefusedError):
                continue
            rows = reading.value_at(answer, command.each)
            if isinstance(rows, list) and rows:
                return [self._peer(row, place) for row in rows]
        return None

    def _peer(self, row: Any, place: Place) -> Peer:
        command = self._data.commands.members
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

    def _tell(self, name: str, command: Command | None, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Asks whether it is done, tells it, and asks again: what was told twice would be done twice."""
        if command is None:
            return Result("done", f"{self._data.title} needs no {name}")
        peers = self.peers(targets, place)
        if peers is None:
            return Result("unknown", f"{name} {member}: no member gives the list of members")
        if _done(command.done, peers, member):
            return Result("done")
        scope = {"member.name": member, "member.host": place.host(member), "member.identity": _identity(peers, member)}
        said = self._give(command.http, targets, scope)
        after = self.peers(targets, place)
        if after is not None and _done(command.done, after, member):
            return Result("done")
        # A refusal is one only where the list can still be read: it then says that nothing has happened.
        return said if after is not None or said.outcome == "unknown" else Result("unknown", said.reason)

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


def _done(done: Done, peers: Sequence[Peer], member: str) -> bool:
    entry = next((peer for peer in peers if peer.name == member), None)
    if entry is None:
        return not done.listed
    return done.listed and (done.learner is None or entry.learner == done.learner)


def _identity(peers: Sequence[Peer], member: str) -> str:
    return next((peer.identity for peer in peers if peer.name == member), "")


def _probe(probe: Probe) -> dict[str, Any]:
    asked = (
        {"httpGet": {"path": probe.path, "port": probe.port, "scheme": "HTTP"}}
        if probe.path is not None
        else {"tcpSocket": {"port": probe.port}}
    )
    return {
        **asked,
        "periodSeconds": probe.every,
        "timeoutSeconds": probe.timeout,
        "failureThreshold": probe.failures,
        "successThreshold": 1,
    }


def _at_least(version: str, oldest: str) -> bool:
    """By numbers; a version that says less than the floor (`3.4` against 3.4.29) is taken as its latest patch."""
    numbers = [int(part) for part in re.findall(r"\d+", version.partition("-")[0])]
    wanted = [int(part) for part in oldest.split(".")]
    return bool(numbers) and numbers[: len(wanted)] >= wanted[: len(numbers)]


def _problem(known: Parameter, value: Any) -> str:
    """What is wrong with a parameter's value; "" if nothing is. The value itself is not repeated."""
    if known.type == "boolean":
        return "" if isinstance(value, bool) else "true or false is wanted"
    if known.type == "integer":
        if isinstance(value, bool) or not isinstance(value, int):
            return "a whole number is wanted"
        least = known.minimum if known.minimum is not None else value
        most = known.maximum if known.maximum is not None else value
        return "" if least <= value <= most else f"a number from {known.minimum} to {known.maximum} is wanted"
    if known.type == "choice":
        return "" if value in known.choices else f"one of {', '.join(known.choices)} is wanted"
    good = isinstance(value, str) and re.fullmatch(known.pattern, value) is not None
    return "" if good else f"a text that matches {known.pattern} is wanted"
