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
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
    """What stands under a field is what docs/engine-fields.md says of it."""


class Http(_Strict):
    """A call to the engine's own endpoint. Placeholders stand in `body` alone."""

    port: _Name
    """The name of one of `ports`."""
    path: _Route | None = None
    """Without it, for `health` alone: that the port is open."""
    method: Literal["GET", "POST", "PATCH"] = "GET"
    """How it is asked."""
    body: Any = None
    """What is sent, as JSON; placeholders stand in it."""
    login: _Name | None = None
    """The password that opens it, by its name, which is the user's name too (HTTP Basic)."""
    text: bool = False
    """Whether it answers with a text: good where its status is."""
    seconds: float = Field(2.0, gt=0, le=30)
    """How long the whole answer may take."""


class When(_Strict):
    """A condition on an answer: the value at `path` equals a constant, or the value at another path."""

    path: _Where
    """Where in the answer."""
    equals: str | bool | int | None = None
    """The value that it has to have."""
    same: _Where | None = None
    """A path: both values have to be the same."""

    @model_validator(mode="after")
    def _one_of_both(self) -> When:
        if (self.equals is None) == (self.same is None):
            raise ValueError("one of equals and same is wanted")
        return self


class Case(_Strict):
    """A word, and when it is the right one; without `when` always."""

    word: str = Field(alias="is")
    """The word."""
    when: When | None = None
    """When it holds; without it always."""


class Health(_Strict):
    """Whether a member is healthy; without `good` it is where the answer is 2xx. `reason` is where it says why not."""

    http: Http
    """What is asked."""
    good: When | None = None
    """What the answer of a healthy member has; without it, any answer of 2xx is good."""
    reason: _Where | None = None
    """Where the answer says why not."""

    @model_validator(mode="after")
    def _asks_something(self) -> Health:
        if self.http.path is None and self.good is not None:
            raise ValueError("good means something of an answer alone; http.path is missing")
        return self


class Status(_Strict):
    """What a member says of itself."""

    http: Http
    """What is asked."""
    identity: _Where
    """Where the answer says what the engine calls the member."""
    version: _Where
    """Where it says which version runs."""
    role: list[Case] = Field(min_length=1)
    """The role, by the first case that holds."""


class Members(_Strict):
    """The engine's own list of members. `address` holds the name that `Place.host` gives a member."""

    http: Http
    """What is asked."""
    each: _Where
    """Where the list is; the paths below are of each entry."""
    identity: _Where
    """What the engine calls the member."""
    name: _Where
    """The name that the member gave itself."""
    address: _Where
    """Its address, with the name of `{member.host}` in it: by that an entry is known."""
    learner: _Where | None = None
    """Where it says whether it has no vote yet."""


class Done(_Strict):
    """When a mutating command has had its effect.

    By the list of members (`listed`, `learner`), by whether the member leads, or by what every member says of its status.
    """

    listed: bool | None = None
    """Whether the member is in the list."""
    learner: bool | None = None
    """Beside `listed`: whether it is one without a vote."""
    leads: bool | None = None
    """Whether the member leads."""
    status: When | None = None
    """What every member has to say of its status."""

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
    """What is told."""
    done: Done
    """How one sees that it has had its effect: asked before it is told, and after."""


class Commands(_Strict):
    """All that can be asked of a member, or told it."""

    health: Health | None = None
    """Whether a member is healthy."""
    status: Status | None = None
    """Role, version and identity of a member."""
    members: Members | None = None
    """The engine's own list of members, where it has one."""
    join: Command | None = None
    """Adds a member to the list, before its pod is made."""
    promote: Command | None = None
    """Gives a member its vote, once it has caught up."""
    leave: Command | None = None
    """Takes a member out of the list, before its pod goes."""
    switchover: Command | None = None
    """Has the member that leads hand over to another."""
    finalise: Command | None = None
    """Makes the data that of the new version for good."""


class Probe(_Strict):
    """A probe of the kubelet; times are seconds. Of a port, or a command."""

    port: _Name | None = None
    """The name of one of `ports`."""
    path: _Route | None = None
    """Without it, that the port is open."""
    command: list[str] = []
    """Instead of a port: a command that ends with 0."""
    every: int = Field(5, ge=1)
    """Seconds between two."""
    timeout: int = Field(3, ge=1)
    """Seconds that one may take."""
    failures: int = Field(3, ge=1)
    """How many in a row count."""

    @model_validator(mode="after")
    def _asks_something(self) -> Probe:
        if (self.port is None) == (not self.command):
            raise ValueError("one of port and command is wanted")
        return self


class Probes(_Strict):
    """Readiness asks whether the member serves, liveness only whether it lives: a lost quorum is no reason to kill it."""

    readiness: Probe
    """Whether the member serves: clients are led to it."""
    liveness: Probe
    """Whether it lives: if not, it is started again."""
    startup: Probe
    """Whether it has started: until then the others are not asked."""


class Otherwise(_Strict):
    """What versions of a range (`>=3.5 <3.5.11`) have otherwise than the rest."""

    versions: str
    """A range: `>=3.5 <3.5.11`."""
    probes: Probes
    """The probes of those."""

    @field_validator("versions")
    @classmethod
    def _is_a_range(cls, text: str) -> str:
        parse_range(text)
        return text


class Beside(_Strict):
    """Another container of each member's pod, of the same image."""

    name: _Name
    """Of the container."""
    command: list[str] = Field(min_length=1)
    """Program and arguments."""
    ports: dict[_Name, _Port] = {}
    """Name to number; known to the driver like those of the engine."""
    open: bool = False
    """Whether clients may reach its ports too, not members alone."""
    requests: dict[str, str] = {}
    """CPU and memory that it is sure of."""
    readiness: Probe | None = None
    """Whether it serves; the pod is ready only if it does."""
    liveness: Probe | None = None
    """Whether it lives."""


class Run(_Strict):
    """How the program is started. `$(POD_NAME)` is the kubelet's own placeholder."""

    command: list[str] = []
    """Without it the image's own."""
    stop: list[str] = []
    """What runs before the program is told to end; it counts in `grace`."""
    user: int = Field(ge=1, le=65535)
    """The user and group that it runs as."""
    grace: int = Field(30, ge=1, le=3600)
    """Seconds that it may take to end."""
    requests: dict[str, str] = {}
    """CPU and memory, where a service asks for none."""
    data: _Folder
    """Where its volume is mounted."""
    files: _Folder = "/etc/stateward"
    """Where `files` are mounted."""
    secrets: _Folder = "/etc/stateward-secrets"
    """Where `secret_files` are mounted."""
    scratch: list[_Folder] = []
    """Folders that can be written and are lost with the pod."""
    environment: dict[str, str] = {}
    """Nothing secret; POD_NAME, POD_IP and POD_NAMESPACE are there anyway."""
    labels: dict[str, str] = {}
    """Of the pods, besides ours: what the engine finds its own pods by. `{service.name}` stands for itself."""
    prepare: list[str] = []
    """A command that runs before the program, with the same files and volumes."""
    beside: list[Beside] = []
    """Other containers of each member's pod."""
    rights: list[dict[str, list[str]]] = []
    """Rules of a Role; a text with `{member.name}` in it stands for one of each member."""
    leaves: list[str] = []
    """ConfigMaps that the engine itself writes: they go with the data, no earlier."""


class Tls(_Strict):
    """How the engine speaks TLS. Its certificate, key and authorities are files: tls.crt, tls.key, ca.crt."""

    folder: _Folder = "/etc/stateward-tls"
    """Where they are mounted; `{tls.folder}` in files."""
    ports: list[_Name] = Field(min_length=1)
    """Which ports speak it, those of `run.beside` too. The first is that of a handshake that is made to look at
    certificates."""
    reloads: Literal["nothing", "certificate", "everything"]
    """What a member takes up without a start: its certificate alone, the authorities too, or neither."""
    files: dict[str, dict[str, Any] | str] = {}
    """Laid over the `files` of the same name: a mapping over a mapping, a text after a text."""
    secret_files: dict[str, dict[str, Any] | str] = {}
    """The same over `secret_files`."""
    clients: dict[str, str] = {}
    """Laid over the `clients`."""


class Wal(_Strict):
    """How the engine keeps its write-ahead log on a second volume, where a service asks for one (`spec.storage.wal`)."""

    folder: _Folder
    """Where that volume is mounted. Its root may hold `lost+found`: the log goes into a folder below it."""
    files: dict[str, dict[str, Any] | str] = {}
    """Laid over the `files` of the same name: a mapping over a mapping, a text after a text."""
    secret_files: dict[str, dict[str, Any] | str] = {}
    """The same over `secret_files`."""
    restore: list[str] = []
    """More arguments of the last of the commands by which a backup is restored."""


class Parameter(_Strict):
    """A setting that a service may give, and where it goes."""

    type: Literal["integer", "boolean", "string", "choice", "words", "text"]
    """`words`: a text that is split as a shell does; `text`: any, of several lines too."""
    minimum: int | None = None
    """Of a number."""
    maximum: int | None = None
    """Of a number."""
    choices: list[str] = []
    """Of a choice."""
    pattern: str = r"[\w.,:/-]{1,200}"
    """Of a string: it has to match as a whole."""
    restart: bool = False
    """Whether members take it at their start alone, though it stands in none of their files."""
    default: int | str | None = None
    """What `{parameters.NAME}` is where a service says nothing; without it the key that it stands at is left out."""
    what: str
    """What it is, in a few words."""


class Variant(_Strict):
    """How backups are taken and restored: commands without a shell, one after the other, in the engine's image."""

    before: Annotated[str, StringConstraints(pattern=r"^[0-9]+(\.[0-9]+){0,3}$")] | None = None
    """Of versions older than this one; without it of all that are left."""
    take: list[list[str]] = Field(min_length=1)
    """Writes into `{dump}`, from the member `{member.host}`, and checks what was written."""
    restore: list[list[str]] = Field(min_length=1)
    """Out of `{dump}` into `{data}`, as the only member of a new cluster, which `{token}` is unique to."""
    adopt: list[list[str]] = []
    """The same out of `{image}`, a copy of the folder `run.data` that its storage made while the member ran; without it
    such a copy is no backup of this engine."""
    settles: float = Field(0.0, ge=0, le=60)
    """Seconds after which all that a member says that it has is on its volume."""
    environment: dict[str, str] = {}
    """Of these commands; nothing secret."""
    tls: dict[str, str] = {}
    """More of it where members speak TLS. The members' own certificate is mounted in `{tls.folder}`."""


class Measured(_Strict):
    """How far a member's data reaches, by its own word: a position, and how many entries there are."""

    http: Http
    """What is asked."""
    position: _Where
    """Where the answer says how far it reaches."""
    count: _Where | None = None
    """Where it says how many entries there are."""
    what: str = "entries"
    """What is counted."""
    at: dict[str, Any] = {}
    """Laid over the body to ask for the state at `{position}`, whatever was written since."""


class Engine(_Strict):
    """The whole file."""

    engine: _Name
    """The folder's name."""
    title: str
    """As people call it."""
    image: str = ""
    """A reference with `{version}` in it; without it each service names its own (`spec.image`)."""
    versions: str
    """The oldest version that is run, as `>=3.4.29`."""
    ports: dict[_Name, _Port] = Field(min_length=1)
    """Name to number of the engine's own ports."""
    serves: _Name
    """The port that clients use."""
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
    """Generated for each service: name to length."""
    tls: Tls | None = None
    """Left out: the engine speaks none."""
    wal: Wal | None = None
    """Left out: members have one volume alone."""
    run: Run
    """How the program is started."""
    probes: Probes
    """What the kubelet asks."""
    otherwise: list[Otherwise] = []
    """The first whose range a version is in counts; a missing patch is 0."""
    files: dict[str, dict[str, Any] | str] = {}
    """Name (may hold `{member.name}`) to content: a mapping is written as JSON, which is YAML; a text as it is."""
    secret_files: dict[str, dict[str, Any] | str] = {}
    """The same with `{password.NAME}` in it, kept in a Secret."""
    clients: dict[str, str] = {}
    """What an application needs to connect, key to text: the Secret NAME-app. Empty: there is none."""
    parameters: dict[str, Parameter] = {}
    """What a service may give in `spec.parameters`; nothing else is taken."""
    commands: Commands
    """What the driver asks and tells."""
    backup: list[Variant] = []
    """The first that is of a version is taken; none: backups cannot be taken."""
    extent: Measured | None = None
    """How a restore is checked against the backup."""
    sources: list[str] = []
    """Where the facts in the file are from."""

    @model_validator(mode="after")
    def _ports_are_known(self) -> Engine:
        commands = self.commands
        names = ("health", "status", "members", *MUTATING)
        calls = [one.http for name in names if (one := getattr(commands, name)) is not None]
        several = [self.probes, *(one.probes for one in self.otherwise)]
        probes = [probe for one in several for probe in (one.readiness, one.liveness, one.startup)]
        calls += [self.extent.http] if self.extent is not None else []
        for port in [self.serves, *(call.port for call in calls), *(probe.port for probe in probes)]:
            if port is not None and port not in self.ports:
                raise ValueError(f"port {port}: none of ports ({', '.join(self.ports)})")
        known = {*self.ports, *(port for one in self.run.beside for port in one.ports)}
        for port in self.tls.ports if self.tls is not None else []:
            if port not in known:
                raise ValueError(f"tls.ports {port}: none of ports, nor of run.beside ({', '.join(sorted(known))})")
        if any(call.path is None for call in calls if commands.health is None or call is not commands.health.http):
            raise ValueError("http.path: only health can do without")
        if self.image and "{version}" not in self.image:
            raise ValueError(f"image {self.image}: {{version}} is missing, so that every version would be the same")
        return self


MODELS: Final[tuple[type[BaseModel], ...]] = (
    Engine, Run, Beside, Probes, Probe, Otherwise, Tls, Wal, Parameter, Commands, Health, Status, Members, Command, Done,
    Http, When, Case, Variant, Measured,
)  # fmt: skip
"""All of it, the whole first: the order of the reference."""
