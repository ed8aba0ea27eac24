"""What the loop asks of an engine, and nothing of how an engine answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from stateward.certs.authority import Leaf
from stateward.operator.repository import Repository as Repository
from stateward.operator.tls import Tls

Role = str
"""`leader`, `follower`, `learner`, as the engine calls it; "" where it is not known."""


@dataclass(frozen=True, slots=True, repr=False)
class Rotation:
    """How far passwords are on their way, as their Secret has it. It has no text of its own."""

    asked: str
    """The request that began it last."""
    since: datetime | None = None
    """Since when the new ones stand in the Secret for everybody."""
    coming: Mapping[str, str] = field(default_factory=dict)
    """Name to a password that the engine is told of, and that nobody uses yet."""
    previous: Mapping[str, str] = field(default_factory=dict)
    """Name to the one before, that clients may still use."""


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """What opens an engine's endpoints. It has no text of its own: nothing of it may reach a log."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    """Name, as the engine's folder has it, to password; empty as long as none were made."""
    rotation: Rotation | None = None
    """Passwords that are about to take the place of these."""
    tls: Tls | None = None
    """Where members speak TLS: whom to trust, and what to show."""


class Inside(Protocol):
    """Runs a command in the container of a member's engine, for what no endpoint of it can be told."""

    def __call__(self, command: Sequence[str], given: str = "", seconds: float = 20.0) -> str:
        """What it wrote. `given` is its standard input: nothing secret may be an argument.

        Raises RefusedError where it failed, and NoAnswerError where nobody knows.
        """


@dataclass(frozen=True, slots=True)
class Target:
    """A member that can be asked: the pod's name, where it is, and which of its ports is which."""

    name: str
    host: str
    """An address, not a name: names come from DNS that the pod itself may have to be ready for."""
    ports: Mapping[str, int]
    access: Access = field(default_factory=Access, repr=False)
    known: str = ""
    """The name that its certificate has to be for: its address is another after each start."""
    secured: frozenset[str] = frozenset()
    """Ports that speak TLS."""
    inside: Inside | None = field(default=None, repr=False, compare=False)
    """None where no command can be run in it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a member said of itself, a moment ago."""

    name: str
    healthy: bool | None = None
    """None: nothing is known, for example no answer came in time. Unknown is not unhealthy."""
    role: Role = ""
    version: str = ""
    identity: str = ""
    """What the engine itself calls the member."""
    reason: str = ""
    """Why it is not healthy, or not known."""
    lag: int | None = None
    """How far it is behind the one that leads, in `lag_unit`; None: not known, or it leads."""
    lag_unit: Literal["bytes", "entries", "seconds"] | None = None
    knows: frozenset[str] = frozenset()
    """What its program can do and earlier releases of it could not, where settings depend on it."""
    position: int | None = None
    """How far it has come, in bytes, where all members count the same; the loop makes `lag` of it."""


@dataclass(frozen=True, slots=True)
class Shake:
    """How a TLS handshake went."""

    accepted: bool
    """False also where no answer came; `reason` says which."""
    shown: bytes = b""
    """SHA-256 of the certificate that the member showed."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Peer:
    """An entry of the engine's own list of members."""

    identity: str
    name: str
    """The pod's name; "" where the entry is of no pod of this service."""
    learner: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service is: what a template may name."""

    namespace: str
    service: str
    version: str
    members: Sequence[str]
    """The pods' names that found the service or belong to it, in order."""
    joins: bool
    """Whether a member without data joins others that have some, and founds nothing."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    tls: bool = False
    wal: bool = False
    """Whether the log is on a volume of its own."""

    @property
    def major(self) -> str:
        """`17` of 17.12."""
        return self.version.partition(".")[0]

    def host(self, member: str) -> str:
        """The name that other members reach it by, for as long as the pod is there."""
        return f"{member}.{self.service}-members.{self.namespace}.svc"

    def address(self, member: str) -> str:
        """The name of the member's own Service, where the engine has such (`addresses`)."""
        return f"{own(member)}.{self.namespace}.svc"


def own(member: str) -> str:
    """The Service of one member alone."""
    return f"{member}-own"


Outcome = Literal["done", "refused", "unknown"]
"""`unknown`: no answer came in time. It may have happened; the next look at the engine says so."""


@dataclass(frozen=True, slots=True)
class Result:
    """How a mutating command ended."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Beside:
    """Another container of each member's pod, of the same image, with the same files."""

    name: str
    command: Sequence[str]
    ports: Mapping[str, int]
    readiness: Mapping[str, Any] | None
    liveness: Mapping[str, Any] | None
    requests: Mapping[str, str]
    open: bool = False
    """Whether clients may reach its ports too."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Entries of Secrets, as files of one folder. They are mounted and never copied."""

    folder: str
    files: Sequence[tuple[str, str]]
    """Secret, and the key that is the file's name."""


@dataclass(frozen=True, slots=True)
class Log:
    """How far a member's log is in the archive."""

    waiting: int
    """Files of it that are complete and not there yet."""
    behind: int
    """Seconds since the oldest of these was complete; 0 where there is none."""
    reason: str = ""
    """Why the last one was not taken."""
    free: int | None = None
    """Bytes that are free on its volume: a log that nobody takes fills it."""
    size: int | None = None
    """Bytes that the volume has."""


@dataclass(frozen=True, slots=True)
class Container:
    """What runs in each member's pod, as the engine wants it."""

    image: str
    command: Sequence[str]
    ports: Mapping[str, int]
    user: int
    data: str
    """Where its volume is mounted."""
    files: str
    """Where its configuration is mounted."""
    readiness: Mapping[str, Any]
    liveness: Mapping[str, Any]
    startup: Mapping[str, Any]
    requests: Mapping[str, str]
    """CPU and memory where the service asks for none."""
    grace: int
    """Seconds that it may take to end."""
    serves: str
    """The name of the port that clients use."""
    secrets: str = ""
    """Where the Secret of rendered files is mounted; "" where the engine has none."""
    scratch: Sequence[str] = ()
    """Folders that can be written and are lost with the pod; all else but `data` is read-only."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Nothing secret. POD_NAME and POD_IP are there anyway."""
    prepare: Sequence[str] = ()
    """A command that runs before the engine, with the same files and volumes."""
    beside: Sequence[Beside] = ()
    stop: Sequence[str] = ()
    """A command that runs before the program is told to end."""
    addresses: bool = False
    """Whether each member has a Service of its own, whose address stays while its pods come and go."""
    rights: Sequence[Mapping[str, Any]] = ()
    """Rules of a Role, where the engine itself asks the API server, with placeholders; with none no token is mounted."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of the pods, besides ours. Placeholders stand in it."""
    wal: str = ""
    """Where a second volume is mounted, where a service has one; "": the engine cannot have any."""
    tls: str = ""
    """Where the members' certificate is mounted; "" where they speak no TLS."""
    secured: Sequence[str] = ()
    """Ports that speak TLS."""
    read_once: Sequence[Literal["trust", "certificate"]] = ()
    """What the engine reads at its start alone: whom it trusts, what it shows."""
    keys: Keys | None = None
    """What opens the place that its log is archived at. A member starts without these too."""


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a member's data reaches."""

    position: str = ""
    """As the engine counts: a revision, an offset; "" where it does not."""
    count: int | None = None
    """How many entries there are; None where they are not counted."""
    what: str = ""
    """What is counted: keys, rows."""


@dataclass(frozen=True, slots=True)
class Copying:
    """The engine's own tools for backups. Each command is run by itself, without a shell, with the engine's image."""

    take: Sequence[Sequence[str]]
    """Writes a dump into a folder, and checks it."""
    restore: Sequence[Sequence[str]]
    """Makes the data of a first and only member out of it."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Nothing secret."""
    adopt: Sequence[Sequence[str]] = ()
    """`restore` out of a copy of a volume that was made while its member ran; empty: such a copy is no backup."""
    settles: float = 0.0
    """Seconds after which all that a member says that it has is on its volume."""
    filling: Mapping[str, str] = field(default_factory=dict)
    """The same of `restore` alone, over the others."""
    forget: Sequence[Sequence[str]] = ()
    """Deletes what `take` has left anywhere else than in the folder."""
    keys: Keys | None = None
    """What opens that place."""


Stage = Literal["look", "carry", "swap", "back", "tidy"]
"""Of carrying data over to another major, while no member runs (all but the last):

`look`: how far the data of each member reaches. `carry`: new data is made beside the old, on the volume of one. `swap`: it
takes the old one's place, on all. `back`: the old data is in its place again, on all. `tidy`: the old data goes, on all.
"""


@dataclass(frozen=True, slots=True)
class Task:
    """A container of a Job."""

    name: str
    image: Literal["before", "after"]
    """Of which version."""
    command: Sequence[str]


@dataclass(frozen=True, slots=True)
class Chore:
    """What is done to the volume of one member, by containers that run beside each other; it may be done twice.

    The word of the last one counts: what it writes to /dev/termination-log.
    """

    tasks: Sequence[Task]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Nothing secret."""
    scratch: Sequence[str] = ()
    """Folders that they share."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose data is carried over; "" where nobody's can be, and why."""

    member: str = ""
    word: str = ""
    """What the engine calls this data."""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """A ConfigMap that the engine keeps something in: annotations that are to be so, or None: it goes."""

    name: str
    annotations: Mapping[str, str | None] | None


class Driver(Protocol):
    """One engine. Commands never raise and never take longer than their timeout."""

    engine: str
    leaders: frozenset[Role]
    """Roles of the member that takes writes."""
    listed: bool
    """Whether the engine keeps a list that a member has to be added to and taken out of."""
    routed: bool
    """Whether clients have to reach the member that leads: then there is a Service for it and one for the others."""
    labels_itself: bool
    """Whether the engine labels its pods with their roles (`stateward.dev/role`); otherwise the loop does."""
    primary_labels: Sequence[str]
    """What the engine labels the member that leads with, the usual word first."""
    leaves: Sequence[str]
    """ConfigMaps that the engine writes by itself and that go with the data. Placeholders stand in it."""
    passwords: Mapping[str, int]
    """Passwords that are generated for a service, and how long each is."""
    rotates: bool
    """Whether it can be told other passwords while it runs."""
    rereads: bool
    """Whether members take other passwords in their files up while they run: then these restart nobody."""
    hands_over: bool
    """Whether a member that leads can be told to hand over."""
    finalises: bool
    """Whether the data stays that of the older series until it is told otherwise; if not, the newer one takes it over
    as soon as all members run it."""
    encrypts: bool
    """Whether members can speak TLS."""
    carries: frozenset[str]
    """Values of `upgrade.majors` by which it carries its data over to another major in stages (`Stage`)."""
    most_members: int | None
    """More than so many make no service of this engine; None: as many as one likes."""
    archives: bool
    """Whether it brings its log to where its backups lie, so that a restore can be to any point in time."""

    def of(self, parameters: Mapping[str, Any]) -> Driver:
        """The same for a service of these parameters, which have no `problems`: a folder may leave things to them."""

    def archiving(self, repository: Repository | None) -> Driver:
        """The same for a service whose log is archived there; None: nowhere. Itself where the engine archives nothing."""

    def unfit(self, repository: Repository, tls: bool) -> str:
        """Why it cannot be archived there; "" where it can. `tls`: whether members speak TLS."""

    def container(self, version: str, tls: bool = False) -> Container:
        """What runs in the pods of this version; `tls`: where members speak TLS."""

    def configuration(self, place: Place) -> dict[str, str]:
        """File name → content, a file or more for each member."""

    def secret_files(self, place: Place, access: Access) -> dict[str, str]:
        """The same of what must not be read by everybody: they are in a Secret."""

    def clients(self, place: Place, access: Access) -> dict[str, str]:
        """What applications connect with, key → text; empty where there is nothing of the kind."""

    def at_start(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Those parameters that members take at their start alone and that stand in none of their files."""

    def problems(self, version: str, parameters: Mapping[str, Any]) -> list[str]:
        """Why this version or these parameters cannot be run; empty where they can."""

    def shake(self, target: Target, leaf: Leaf | None = None) -> Shake:
        """A TLS handshake with a member, with nothing said after it; `leaf`: shown instead of the operator's own."""

    def see(self, target: Target) -> Seen:
        """Health, role and version of one member, from its own endpoint."""

    def peers(self, targets: Sequence[Target], place: Place) -> list[Peer] | None:
        """The engine's list of members, as a quorum of them has it; None: not known now."""

    def join(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Adds a member that is to come, without a vote where the engine knows such; done where it is in the list."""

    def promote(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Gives a member its vote; done where it has it."""

    def leave(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Takes a member out of the engine's list; done where it is not in it."""

    def switchover(self, member: str, targets: Sequence[Target], place: Place) -> Result:
        """Has this member, which leads, hand over to another that is up to date; done where it does not lead."""

    def unsettled(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> list[str] | None:
        """Settings that all members share and that are otherwise than they should be, by name; None: not known now."""

    def settle(self, seen: Sequence[Seen], targets: Sequence[Target], place: Place) -> Result:
        """Makes them what they should be; done where they are."""

    def set_passwords(self, passwords: Mapping[str, Sequence[str]], targets: Sequence[Target], place: Place) -> Result:
        """Has the engine take these passwords for each name, the last one as its own where it takes only one.

        Done where it takes the last one, and none but these. May be told twice. Where it takes only one, whoever asks a
        member tries `access.rotation.coming` too: a crash may come between the engine and the Secret.
        """

    def finalise(self, version: str, targets: Sequence[Target], place: Place) -> Result:
        """Makes the data that of this version for good; done where it is, or where the engine knows no such step."""

    def copying(self, place: Place, member: str, token: str, repository: Repository | None = None) -> Copying | None:
        """How a backup is taken from a member, or a member is made of one; None where that cannot be done.

        `token` tells the cluster that is made apart from the one that the backup is of. `repository`: where that one
        keeps its log.
        """

    def log(self, target: Target) -> Log | None:
        """How far the log of the member that leads is in the archive; None: no answer, or it archives none."""

    def extent(self, target: Target) -> Extent | None:
        """How far the data of this member reaches, all included that was acknowledged before; None: no answer."""

    def proves(self, target: Target, wanted: Extent) -> Result:
        """Whether a member has what a backup of that extent holds: `refused` where it has not, and what is missing."""

    def chore(self, stage: Stage, place: Place, before: str, leads: bool, attempt: str) -> Chore:
        """What a stage does to the volume of one member, from version `before` to that of the place.

        `leads`: it is the one whose data is carried over. `attempt` tells what this attempt makes from what others left.
        """

    def source(self, said: Mapping[str, str]) -> Source:
        """Whose data is carried over, by what each member's `look` said."""

    def stores(self, place: Place, word: str) -> Sequence[Store]:
        """What the engine's own ConfigMaps are to be before members start with the data of this word (`Source.word`)."""

    def unled(self, place: Place) -> Store:
        """What is so as long as no member has led since the `stores` were made: until then nothing was written."""
