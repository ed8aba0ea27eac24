"""The format of `engines/NAME/engine.yaml`, checked whole when it is read: a folder with a fault is not taken."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from stateward.policies.version import parse_range

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Route = Annotated[str, StringConstraints(pattern=r"^/[!-~]*$", max_length=1024)]
_Where = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][\w-]*(\.[\w-]+)*$", max_length=200)]
"""A path into an answer: `header.member_id`, `peerURLs.0`."""
_Folder = Annotated[str, StringConstraints(pattern=r"^/[\w./-]+$")]
MUTATING: Final = ("join", "promote", "leave", "switchover", "finalise")


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Http(_Strict):
    """A call to the engine's own endpoint. Placeholders stand in `body` alone."""

    port: _Name
    path: _Route | None = None
    """Without it, for `health` alone: that the port is open."""
    method: Literal["GET", "POST", "PATCH"] = "GET"
    body: Any = None
    login: _Name | None = None
    """The password that opens it, by its name, which is the user's name too (HTTP Basic)."""
    text: bool = False
    """Whether it answers with a text: good where its status is."""
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
    """Whether a member is healthy; without `good` it is where the answer is 2xx. `reason` is where it says why not."""

    http: Http
    good: When | None = None
    reason: _Where | None = None

    @model_validator(mode="after")
    def _asks_something(self) -> Health:
        if self.http.path is None and self.good is not None:
            raise ValueError("good means something of an answer alone; http.path is missing")
        return self


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
    """When a mutating command has had its effect.

    By the list of members (`listed`, `learner`), by whether the member leads, or by what every member says of its status.
    """

    listed: bool | None = None
    learner: bool | None = None
    leads: bool | None = None
    status: When | None = None

    @model_validator(mode="after")
    def _one_way_of_seeing_it(self) -> Done:
        if sum(one is not None for one in (self.listed, self.leads, self.status)) != 1:
            raise ValueError("one of listed, leads and status is wanted")
        if self.learner is not None and self.listed is None:
            raise ValueError("learner means something beside listed alone")
        return self


class Command(_Strict):
    """A mutating command, and how one sees that it is done: asked before it is given, and after."""

    http: Http
    done: Done


class Commands(_Strict):
    """All that can be asked of a member, or told it."""

    health: Health | None = None
    status: Status | None = None
    members: Members | None = None
    join: Command | None = None
    promote: Command | None = None
    leave: Command | None = None
    switchover: Command | None = None
    finalise: Command | None = None


class Probe(_Strict):
    """A probe of the kubelet; times are seconds. Of a port, or a command."""

    port: _Name | None = None
    path: _Route | None = None
    """Without it, that the port is open."""
    command: list[str] = []
    every: int = Field(5, ge=1)
    timeout: int = Field(3, ge=1)
    failures: int = Field(3, ge=1)

    @model_validator(mode="after")
    def _asks_something(self) -> Probe:
        if (self.port is None) == (not self.command):
            raise ValueError("one of port and command is wanted")
        return self


class Probes(_Strict):
    """Readiness asks whether the member serves, liveness only whether it lives: a lost quorum is no reason to kill it."""

    readiness: Probe
    liveness: Probe
    startup: Probe


class Otherwise(_Strict):
    """What versions of a range (`>=3.5 <3.5.11`) have otherwise than the rest."""

    versions: str
    probes: Probes

    @field_validator("versions")
    @classmethod
    def _is_a_range(cls, text: str) -> str:
        parse_range(text)
        return text


class Beside(_Strict):
    """Another container of each member's pod, of the same image."""

    name: _Name
    command: list[str] = Field(min_length=1)
    ports: dict[_Name, _Port] = {}
    open: bool = False
    """Whether clients may reach its ports too, not members alone."""
    requests: dict[str, str] = {}
    readiness: Probe | None = None
    liveness: Probe | None = None


class Run(_Strict):
    """How the program is started. `$(POD_NAME)` is the kubelet's own placeholder."""

    command: list[str] = []
    """Without it the image's own."""
    stop: list[str] = []
    """What runs before the program is told to end; it counts in `grace`."""
    user: int = Field(ge=1, le=65535)
    grace: int = Field(30, ge=1, le=3600)
    requests: dict[str, str] = {}
    data: _Folder
    files: _Folder = "/etc/stateward"
    secrets: _Folder = "/etc/stateward-secrets"
    scratch: list[_Folder] = []
    environment: dict[str, str] = {}
    labels: dict[str, str] = {}
    """Of the pods, besides ours: what the engine finds its own pods by. `{service.name}` stands for itself."""
    prepare: list[str] = []
    beside: list[Beside] = []
    rights: list[dict[str, list[str]]] = []
    """Rules of a Role; a text with `{member.name}` in it stands for one of each member."""
    leaves: list[str] = []
    """ConfigMaps that the engine itself writes: they go with the data, no earlier."""


class Tls(_Strict):
    """How the engine speaks TLS. Its certificate, key and authorities are files: tls.crt, tls.key, ca.crt."""

    folder: _Folder = "/etc/stateward-tls"
    """Where they are mounted; `{tls.folder}` in files."""
    ports: list[_Name] = Field(min_length=1)
    """Which ports speak it. The first is that of a handshake that is made to look at certificates."""
    reloads: Literal["nothing", "certificate", "everything"]
    """What a member takes up without a start: its certificate alone, the authorities too, or neither."""
    files: dict[str, dict[str, Any] | str] = {}
    """Laid over the `files` of the same name: a mapping over a mapping, a text after a text."""
    secret_files: dict[str, dict[str, Any] | str] = {}


class Parameter(_Strict):
    """A setting that a service may give, and where it goes."""

    type: Literal["integer", "boolean", "string", "choice", "words", "text"]
    """`words`: a text that is split as a shell does; `text`: any, of several lines too."""
    minimum: int | None = None
    maximum: int | None = None
    choices: list[str] = []
    pattern: str = r"[\w.,:/-]{1,200}"
    default: int | str | None = None
    """What `{parameters.NAME}` is where a service says nothing; without it the key that it stands at is left out."""
    what: str


class Variant(_Strict):
    """How backups are taken and restored: commands without a shell, one after the other, in the engine's image."""

    before: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,3}$")] | None = None
    """Of versions older than this one; without it of all that are left."""
    take: list[list[str]] = Field(min_length=1)
    """Writes into `{dump}`, from the member `{member.host}`, and checks what was written."""
    restore: list[list[str]] = Field(min_length=1)
    """Out of `{dump}` into `{data}`, as the only member of a new cluster, which `{token}` is unique to."""
    environment: dict[str, str] = {}


class Measured(_Strict):
    """How far a member's data reaches, by its own word: a position, and how many entries there are."""

    http: Http
    position: _Where
    count: _Where | None = None
    what: str = "entries"
    at: dict[str, Any] = {}
    """Laid over the body to ask for the state at `{position}`, whatever was written since."""


class Engine(_Strict):
    """The whole file."""

    engine: _Name
    title: str
    image: str = ""
    """A reference with `{version}` in it; without it each service names its own (`spec.image`)."""
    versions: str
    """The oldest version that is run, as `>=3.4.29`."""
    ports: dict[_Name, _Port] = Field(min_length=1)
    serves: _Name
    most_members: int | None = Field(None, ge=1)
    """More than so many make no service of this engine."""
    leaders: list[str] = []
    """Roles of the member that takes writes; none where every member does."""
    routed: bool = False
    """Whether clients have to reach the member that leads."""
    addresses: bool = False
    """Whether each member has a Service of its own, whose address stays while its pods come and go."""
    labels_itself: bool = False
    """Whether the engine labels its pods with their roles."""
    primary_labels: list[str] = ["primary"]
    """What it labels the member that leads with; several where releases of it differ, the usual one first."""
    passwords: dict[_Name, Annotated[int, Field(ge=16, le=128)]] = {}
    tls: Tls | None = None
    """Left out: the engine speaks none."""
    run: Run
    probes: Probes
    otherwise: list[Otherwise] = []
    """The first whose range a version is in counts; a missing patch is 0."""
    files: dict[str, dict[str, Any] | str] = {}
    """Name (may hold `{member.name}`) to content: a mapping is written as JSON, which is YAML; a text as it is."""
    secret_files: dict[str, dict[str, Any] | str] = {}
    """The same with `{password.NAME}` in it, kept in a Secret."""
    clients: dict[str, str] = {}
    """What an application needs to connect, key to text: the Secret NAME-app. Empty: there is none."""
    parameters: dict[str, Parameter] = {}
    commands: Commands
    backup: list[Variant] = []
    """The first that is of a version is taken; none: backups cannot be taken."""
    extent: Measured | None = None
    sources: list[str] = []

    @model_validator(mode="after")
    def _ports_are_known(self) -> Engine:
        commands = self.commands
        names = ("health", "status", "members", *MUTATING)
        calls = [one.http for name in names if (one := getattr(commands, name)) is not None]
        several = [self.probes, *(one.probes for one in self.otherwise)]
        probes = [probe for one in several for probe in (one.readiness, one.liveness, one.startup)]
        calls += [self.extent.http] if self.extent is not None else []
        secured = self.tls.ports if self.tls is not None else []
        for port in [self.serves, *secured, *(call.port for call in calls), *(probe.port for probe in probes)]:
            if port is not None and port not in self.ports:
                raise ValueError(f"port {port}: none of ports ({', '.join(self.ports)})")
        if any(call.path is None for call in calls if commands.health is None or call is not commands.health.http):
            raise ValueError("http.path: only health can do without")
        if self.image and "{version}" not in self.image:
            raise ValueError(f"image {self.image}: {{version}} is missing, so that every version would be the same")
        return self
