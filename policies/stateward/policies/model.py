"""The normalised model of a stateful service: what rules look at, whatever kind of object it came from.

Everything is read from the object when a rule first asks for it, and kept. Every value knows the field it came from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NamedTuple, TypeVar, overload

from stateward.policies import quantity
from stateward.policies.engines import override
from stateward.policies.engines.override import Override
from stateward.policies.engines.profile import Profile
from stateward.policies.paths import Path
from stateward.policies.structs import dataclass
from stateward.policies.version import Version
from stateward.policies.view import Kind, Object, Unknown, View, mapping_of, metadata_of, text_of

if TYPE_CHECKING:
    from stateward.policies.adapters.adapter import Adapter
    from stateward.policies.engines.recognise import Recognised

T = TypeVar("T")

_TEXT: Final = frozenset((str,))
_PERSISTENT: Final = frozenset(
    ("persistentVolumeClaim", "ephemeral", "csi", "nfs", "hostPath", "iscsi", "fc", "cephfs", "rbd")
)


class lazy(Generic[T]):  # noqa: N801 - reads as a decorator, like property
    """Computed when first asked for, then a plain attribute (cached_property holds a lock before Python 3.12)."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self._compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> T | lazy[T]:
        if instance is None:
            return self
        value = self._compute(instance)
        setattr(instance, self._name, value)  # not into __dict__: to ask for that makes one, which costs more than the rest
        return value


class Field(NamedTuple):
    """A value and where it stands. `value` is None where nothing is written, UNKNOWN where it is of a wrong type."""

    value: Any
    path: Path


class EngineVersion(NamedTuple):
    """What an object says of its engine's version: readable, written but unreadable, or not written."""

    state: Literal["known", "opaque", "unset"]
    version: Version | None
    text: str
    path: Path


class Volume:
    """One kind of volume of a member group: a claim template, a volume of the custom resource."""

    def __init__(
        self, name: str, item: Any, base: Path, fields: Mapping[str, Callable[[Any, Path, Any], Field]], on: Object
    ) -> None:
        self.name = name
        self.path = base
        self.on = on
        """The object that this volume is written in."""
        self._item = item
        self._fields = fields

    @lazy
    def storage_class(self) -> Field:
        """The class's name (str); None means the default class."""
        return self._fields["class"](self._item, self.path, self.on)

    @lazy
    def size(self) -> Field:
        """The request as it is written."""
        return self._fields["size"](self._item, self.path, self.on)

    @lazy
    def bytes(self) -> Fraction | None:
        """The request in bytes; None where it is missing or unreadable."""
        return quantity.parse(self.size.value) if self.size.value is not None else None

    @property
    def asked(self) -> tuple[Any, Fraction | None]:
        """What a claim of it asks for: (class, bytes)."""
        return self.storage_class.value, self.bytes

    @lazy
    def modes(self) -> Field:
        """Access modes (list of str)."""
        return self._fields["modes"](self._item, self.path, self.on)

    @lazy
    def ephemeral(self) -> Field:
        """True where nothing of it survives the pod."""
        return self._fields["ephemeral"](self._item, self.path, self.on)

    @lazy
    def leaves(self) -> Field:
        """What becomes of its data when it is taken out of a live group.

        `moved`: the operator moves it first; `emptied`: the engine can, somebody has to; None: it is left behind.
        """
        reader = self._fields.get("leaves")
        return reader(self._item, self.path, self.on) if reader is not None else Field(None, self.path)

    @lazy
    def labels(self) -> Field:
        """Labels that every claim made of it will carry (mapping)."""
        return self._fields["labels"](self._item, self.path, self.on)


class MemberGroup:
    """Members that are alike: a StatefulSet's pods, a node pool, the instances of a cluster."""

    def __init__(self, name: str, item: Any, base: Path, fields: GroupFields, on: Object) -> None:
        self.name = name
        self.path = base
        self.on = on
        """The object that this group is written in: the service's own, or a joined one (a node pool)."""
        self._item = item
        self._fields = fields

    @lazy
    def members(self) -> Field:
        """How many are wanted (int)."""
        return self._fields.members(self._item, self.path, self.on)

    @lazy
    def ready(self) -> Field:
        """How many are ready now (int), None where the object does not say."""
        return self._fields.ready(self._item, self.path, self.on)

    @lazy
    def voters(self) -> bool | None:
        """Whether its members vote in a quorum of their own; None where the engine decides."""
        value = self._fields.voters(self._item, self.path, self.on).value
        return value if isinstance(value, bool) else None

    @property
    def settings(self) -> dict[str, Any]:
        """What is written of a group in a list, without its name, its count and its volumes' sizes."""
        if not self.path or type(self._item) is not dict:
            return {}
        count = self.members.path[-1] if self.members.path else ""
        return {key: value for key, value in self._item.items() if key != count and "volume" not in key.lower()}

    @lazy
    def nonvoters(self) -> Field:
        """The numbers of its members that have no vote (list of int), where the object says."""
        return self._fields.nonvoters(self._item, self.path, self.on)

    @lazy
    def voting(self) -> int | None:
        """How many of its members vote, None where their number is unknown."""
        members, without = self.members.value, self.nonvoters.value
        if type(members) is not int or type(without) is not list:
            return members if type(members) is int else None
        return members - sum(type(number) is int and number < members for number in without)

    @lazy
    def at_once(self) -> Field:
        """Whether the operator deletes it with its data as soon as it is left out, without looking whether it is in use."""
        return self._fields.at_once(self._item, self.path, self.on)

    @lazy
    def roles(self) -> Field:
        """Roles (list of str) where members have some."""
        return self._fields.roles(self._item, self.path, self.on)

    @lazy
    def volumes(self) -> tuple[Volume, ...]:
        """Its kinds of volumes, by name."""
        return tuple(self._fields.volumes(self._item, self.path, self.on))


@dataclass(frozen=True, slots=True)
class GroupFields:
    """The compiled readers of a member group."""

    members: Callable[[Any, Path, Any], Field]
    ready: Callable[[Any, Path, Any], Field]
    voters: Callable[[Any, Path, Any], Field]
    nonvoters: Callable[[Any, Path, Any], Field]
    at_once: Callable[[Any, Path, Any], Field]
    roles: Callable[[Any, Path, Any], Field]
    volumes: Callable[[Any, Path, Object], Sequence[Volume]]


@dataclass(frozen=True, slots=True)
class Archive:
    """Where a service's backups are written to or restored from."""

    store: str
    """Destination path, or the name of a store object."""
    server: str
    """The name below it that this service writes under."""
    path: Path
    live: bool = False
    """Of a source: whether its operator acts on it also where it is set on a service that runs."""


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A Secret that a service lives by."""

    name: str
    role: str
    """`credentials`, `ca`, `certificate`, `key` (of encryption), `cluster` (a secret shared by all members), `backup`."""
    made: str
    """`operator`: made and kept by the operator; `user`: handed in."""
    path: Path
    """The field that names it, () where its name follows from the service's."""
    applied: bool = False
    """Whether the operator carries a changed value over into the engine."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that is decided when the service is created."""

    key: str
    """The same for the same value before and after."""
    value: Any
    path: Path
    what: str
    why: str
    once_set: bool
    """Whether it may still be set where it was not."""
    may_go: bool = False
    """Whether the item of a list that it is in may be taken out."""


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A safeguard that is switched off, or a switch that makes a later edit lose data."""

    key: str
    value: Any
    """What stands there."""
    path: Path
    what: str
    why: str
    denies: bool


@dataclass(frozen=True, slots=True)
class Placement:
    """Where members may run."""

    node_selector: Mapping[str, Any]
    node_affinity: Mapping[str, Any]
    required: tuple[str, ...]
    """Topology keys over which members must not share a domain."""
    preferred: tuple[str, ...]
    tolerations: Sequence[Any]
    path: Path
    selector_path: Path
    apart: tuple[tuple[str, Mapping[str, Any] | None], ...] = ()
    """(topology key, label selector) of required anti-affinity: no two pods that it selects share a domain. Without a
    selector: the members, by the operator's own doing. A topology spread is none: it lets domains have several."""


def _words_of(script: str) -> list[str]:
    if "#" not in script:
        return script.split()
    return [word for line in script.splitlines() if not line.lstrip().startswith("#") for word in line.split()]


class Service:
    """One stateful service as one object (and those joined to it) describes it.

    `view` answers the adapter's own look-ups (joined pools, image catalogues); an unknown answer leaves the value
    unknown. Two Services of one change share it.
    """

    def __init__(
        self,
        adapter: Adapter,
        item: Object,
        view: View,
        joined: Mapping[str, Sequence[Object] | Unknown] | None = None,
    ) -> None:
        self.adapter = adapter
        self.object = item
        self.view = view
        self._joined = joined or {}
        self._slots: dict[str, Field] = {}
        metadata = metadata_of(item)
        name = metadata.get("name")
        self.name: str = name if name and type(name) is str else text_of(metadata, "generateName")
        self.namespace = text_of(metadata, "namespace")

    def __repr__(self) -> str:
        return f"<Service {self.adapter.kind} {self.namespace}/{self.name}>"

    @property
    def kind(self) -> Kind:
        """The kind of its object."""
        return self.adapter.kind

    @property
    def title(self) -> str:
        """How a person calls it: `Kafka prod/events`."""
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.adapter.match_kind} {where}"

    @property
    def labels(self) -> Mapping[str, Any]:
        """Its labels."""
        return mapping_of(metadata_of(self.object), "labels")

    @property
    def annotations(self) -> Mapping[str, Any]:
        """Its annotations."""
        return mapping_of(metadata_of(self.object), "annotations")

    def field(self, slot: str) -> Field:
        """A value of the adapter by its slot's name; `Field(None, ...)` where the adapter has no such slot."""
        found = self._slots.get(slot)
        if found is None:
            found = self._slots[slot] = self.adapter.read(slot, self)
        return found

    def joined(self, name: str) -> Sequence[Object] | Unknown:
        """The objects joined under a name (`pools`), unknown where nobody has looked."""
        found = self._joined.get(name)
        if found is None:
            found = self.adapter.join(name, self)
        return found

    @lazy
    def override(self) -> Override:
        """What its annotations say of its engine."""
        annotations = metadata_of(self.object).get("annotations")
        return override.read(annotations) if type(annotations) is dict else override.NOTHING

    def as_if(self, said: Override) -> Service:
        """The same service read as if its annotations said this of its engine."""
        other = Service(self.adapter, self.object, self.view, self._joined)
        other.override = said
        return other

    @lazy
    def recognised(self) -> tuple[int, Recognised] | None:
        """Which of the pod's containers runs an engine, and which; None where none is recognised."""
        return self.adapter.recognised(self)

    @lazy
    def engine(self) -> Profile | None:
        """The engine's profile; None where it is not recognised."""
        return self.adapter.engine(self)

    @lazy
    def supposed_engine(self) -> Profile | None:
        """The engine that a label or a port makes likely, where nothing better tells."""
        return self.adapter.supposed_engine(self) if self.engine is None else None

    @lazy
    def engine_certain(self) -> bool:
        """Whether the engine is known from image, command or kind (not merely from a label): what a denial needs."""
        return self.adapter.engine_certain(self)

    @lazy
    def version(self) -> EngineVersion:
        """The version that this object asks for."""
        return self.adapter.version(self)

    @lazy
    def running(self) -> Version | None:
        """The version that runs now as the object's status says, None where it does not."""
        return self.adapter.running(self)

    @lazy
    def finalised(self) -> Version | None:
        """The level that the data is finalised at (metadata version, protocol version), None where unknown."""
        return self.adapter.finalised(self)

    @lazy
    def mode(self) -> str:
        """The engine's mode (`zookeeper`, `kraft`, `galera`), "" where it has none or none is known."""
        return self.adapter.mode(self)

    @lazy
    def groups(self) -> tuple[MemberGroup, ...]:
        """Its member groups, in the order of the object. Joined ones are missing where the join is unknown."""
        return self.adapter.groups(self)

    @lazy
    def groups_by_name(self) -> dict[str, MemberGroup]:
        """The same by name."""
        return {group.name: group for group in self.groups}

    @lazy
    def asked_volumes(self) -> frozenset[tuple[Any, Fraction | None]]:
        """What the claims of all its volumes ask for: (class, bytes)."""
        return frozenset(volume.asked for group in self.groups for volume in group.volumes)

    @lazy
    def pod(self) -> Mapping[str, Any]:
        """The pod's specification where the object has one (a StatefulSet), an empty mapping elsewhere."""
        value = self.field("pod").value
        return value if type(value) is dict else {}

    @lazy
    def container_index(self) -> int | None:
        """Which of the pod's containers runs the engine."""
        return self.adapter.container_index(self)

    @lazy
    def container(self) -> Mapping[str, Any]:
        """The engine's container, an empty mapping where there is none."""
        containers = self.pod.get("containers")
        if self.container_index is None or type(containers) is not list:
            return {}
        found = containers[self.container_index]
        return found if type(found) is dict else {}

    @lazy
    def environment(self) -> dict[str, str]:
        """The literal environment of the engine's container: name → value. Values from elsewhere are left out."""
        entries = self.container.get("env")
        if type(entries) is not list:
            return {}
        try:
            # The shape that the API server guarantees; anything else is read with care below.
            found = {entry["name"]: entry["value"] for entry in entries if "value" in entry}
        except (KeyError, TypeError):
            found = {
                text_of(entry, "name"): entry.get("value") for entry in entries if type(entry) is dict and "value" in entry
            }
        if {*map(type, found.values())} <= _TEXT:
            return found
        return {
            name: value if type(value) is str else str(value)
            for name, value in found.items()
            if type(name) is str and type(value) in (str, int, float)
        }

    @lazy
    def persistent_mounts(self) -> list[str]:
        """The mount paths of the engine's container that outlive the pod: claims, and volumes that are no scratch space."""
        mounts = self.container.get("volumeMounts")
        if type(mounts) is not list:
            return []
        names: set[Any] = {volume.name for group in self.groups for volume in group.volumes}
        volumes = self.pod.get("volumes")
        for volume in volumes if type(volumes) is list else ():
            if type(volume) is dict and not _PERSISTENT.isdisjoint(volume):
                names.add(text_of(volume, "name"))
        return [
            mount["mountPath"]
            for mount in mounts
            if type(mount) is dict and type(mount.get("mountPath")) is str and text_of(mount, "name") in names
        ]

    @lazy
    def words(self) -> list[str]:
        """The command line of the engine's container, scripts cut into words, their comment lines left out."""
        found: list[str] = []
        for key in ("command", "args"):
            value = self.container.get(key)
            for word in value if type(value) is list else ():
                if type(word) is not str:
                    continue
                if " " in word or "\n" in word:
                    found.extend(_words_of(word))
                else:
                    found.append(word)
        return found

    def flag(self, name: str) -> str | None:
        """The value of `--name=value` or `--name value`; None where the flag is not given."""
        line = self.words
        for index, word in enumerate(line):
            if word.startswith(name):
                if len(word) == len(name):
                    return line[index + 1] if index + 1 < len(line) else ""
                if word[len(name)] == "=":
                    return word[len(name) + 1 :]
        return None

    def container_path(self, *further: str | int) -> Path:
        """The path of the engine's container, or of something inside it."""
        return (*self.field("pod").path, "containers", self.container_index or 0, *further)

    @lazy
    def placement(self) -> Placement:
        """Where members may run."""
        return self.adapter.placement(self)

    @lazy
    def members(self) -> int | None:
        """All members of all groups, None where one of them is unknown."""
        total = 0
        for group in self.groups:
            count = group.members.value
            if type(count) is not int:
                return None
            total += count
        return total if self.groups else None

    @lazy
    def deletes_claims(self) -> bool:
        """Whether deleting the object deletes its data: the effective policy, defaults of the operator counted in."""
        value = self.field("deletesClaims").value
        return value is not False

    @lazy
    def archives(self) -> tuple[Archive, ...]:
        """Where its backups go."""
        return self.adapter.archives(self, "archives")

    @lazy
    def secrets(self) -> tuple[SecretRef, ...]:
        """The Secrets that it lives by, as its adapter knows them."""
        return self.adapter.secrets(self)

    @lazy
    def fixed(self) -> dict[str, Fixed]:
        """The values that are decided when it is created, by key."""
        return {one.key: one for one in self.adapter.fixed(self)}

    @lazy
    def unsafe(self) -> tuple[Unsafe, ...]:
        """The safeguards that are off."""
        return self.adapter.unsafe(self)

    @lazy
    def stopped(self) -> bool:
        """Whether it is stopped on purpose (hibernated, shut down, paused with all its members)."""
        return self.field("stopped").value is True

    @lazy
    def backed_up(self) -> bool | None:
        """Whether the object asks for backups; None where its kind has no such setting."""
        value = self.field("backup").value
        return value if isinstance(value, bool) else None

    @lazy
    def sources(self) -> tuple[Archive, ...]:
        """Archives that it is restored from."""
        return self.adapter.archives(self, "sources")
