"""The format of `engines/NAME/engine.yaml`, checked whole when it is read: a folder with a fault is not taken."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Route = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=1024)]
_Where = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w-]*(\.[\w-]+)*$", max_length=200)]
"""A path into an answer: `header.member_id`, `peerURLs.0`."""
_Folder = Annotated[str, StringConstraints(pattern=r"^/[\w./-]+$")]
MUTATING: Final = ("join", "promote", "leave")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Http(_Strict):
    """A call to the engine's own endpoint. Placeholders stand in `body` alone."""

    port: _Name
    path: _Route
    method: Literal["GET", "POST"] = "GET"
    body: Any = None
    seconds: float = Field(2.0, gt=0, le=30)
    """How long the whole answer may take."""


class When(_Strict):
    """A condition on an answer: the value at `path` equals a constant, or the value at another path."""

    path: _Where
    equals: str | bool | int | None = None
    same: _Where | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> When:
        if (self.equals is None) == (self.same is None):
            raise ValueError("one of equals and same is wanted")
        return self


class Case(_Strict):
    """A word, and when it is the right one; without `when` always."""

    word: str = Field(alias="is")
    when: When | None = None


class Health(_Strict):
    """Whether a member is healthy; `reason` is where it says why not."""

    http: Http
    good: When
    reason: _Where | None = None


class Status(_Strict):
    """What a member says of itself."""

    http: Http
    identity: _Where
    version: _Where
    role: list[Case] = Field(min_length=1)


class Members(_Strict):
    """The engine's own list of members. `address` holds the name that `Place.host` gives a member."""

    http: Http
    each: _Where
    identity: _Where
    name: _Where
    address: _Where
    learner: _Where | None = None


class Done(_Strict):
    """When a mutating command has had its effect, by the list of members."""

    listed: bool
    learner: bool | None = None


class Command(_Strict):
    """A mutating command, and how one sees that it is done: asked before it is given, and after."""

    http: Http
    done: Done


class Commands(_Strict):
    """All that can be asked of a member, or told it."""

    health: Health
    status: Status
    members: Members
    join: Command | None = None
    promote: Command | None = None
    leave: Command | None = None


class Probe(_Strict):
    """A probe of the kubelet; times are seconds."""

    port: _Name
    path: _Route | None = None
    """Without it, that the port is open."""
    every: int = Field(5, ge=1)
    timeout: int = Field(3, ge=1)
    failures: int = Field(3, ge=1)


class Probes(_Strict):
    """Readiness asks whether the member serves, liveness only whether it lives: a lost quorum is no reason to kill it."""

    readiness: Probe
    liveness: Probe
    startup: Probe


class Run(_Strict):
    """How the program is started. `$(POD_NAME)` is the kubelet's own placeholder."""

    command: list[str] = Field(min_length=1)
    user: int = Field(ge=1, le=65535)
    grace: int = Field(30, ge=1, le=3600)
    requests: dict[str, str] = {}
    data: _Folder
    files: _Folder = "/etc/stateward"


class Parameter(_Strict):
    """A setting that a service may give, and where it goes."""

    type: Literal["integer", "boolean", "string", "choice"]
    minimum: int | None = None
    maximum: int | None = None
    choices: list[str] = []
    pattern: str = r"[\w.,:/-]{1,200}"
    what: str


class Engine(_Strict):
    """The whole file."""

    engine: _Name
    title: str
    image: str
    """A reference with `{version}` in it."""
    versions: str
    """The oldest version that is run, as `>=3.4.29`."""
    ports: dict[_Name, _Port] = Field(min_length=1)
    serves: _Name
    run: Run
    probes: Probes
    files: dict[str, dict[str, Any]]
    """Name (may hold `{member.name}`) to content, written as JSON, which is YAML."""
    parameters: dict[str, Parameter] = {}
    commands: Commands
    sources: list[str] = []

    @model_validator(mode="after")
    def _ports_are_known(self) -> Engine:
        commands = self.commands
        calls = [commands.health.http, commands.status.http, commands.members.http]
        calls += [one.http for name in MUTATING if (one := getattr(commands, name)) is not None]
        probes = (self.probes.readiness, self.probes.liveness, self.probes.startup)
        for port in [self.serves, *(call.port for call in calls), *(probe.port for probe in probes)]:
            if port not in self.ports:
                raise ValueError(f"port {port}: none of ports ({', '.join(self.ports)})")
        if "{version}" not in self.image:
            raise ValueError(f"image {self.image}: {{version}} is missing, so that every version would be the same")
        return self
