"""An adapter: one kind of object read as a Service. Made from a file in `data/` (or a user's own)."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from stateward.policies import paths, version
from stateward.policies.adapters import derive
from stateward.policies.adapters.compared import compared
from stateward.policies.adapters.grammar import (
    GrammarError,
    Reader,
    compile_expression,
    compile_path,
    digger,
)
from stateward.policies.adapters.records import BackupRecord
from stateward.policies.adapters.rows import ArchiveReader, FixedReader, GroupReader, PairReader, SecretReader, UnsafeReader
from stateward.policies.adapters.versions import versions
from stateward.policies.engines import recognise
from stateward.policies.engines.override import VERSION
from stateward.policies.engines.profile import Profile
from stateward.policies.model import (
    Archive,
    EngineVersion,
    Field,
    Fixed,
    MemberGroup,
    Placement,
    SecretRef,
    Service,
    Unsafe,
    Volume,
)
from stateward.policies.paths import Path
from stateward.policies.version import Version
from stateward.policies.view import (
    Key,
    Kind,
    Look,
    Object,
    Unknown,
    accuses,
    by_label,
    having,
    kind_of,
    label_of,
    metadata_of,
    text_of,
)

_MISSING: Final = Field(None, ())
"""Of a slot that an adapter does not have."""


class Adapter:
    """One compiled adapter, of content that `schema` has nothing against.

    Raises GrammarError (a ValueError) naming file, field and reason where an expression cannot be compiled.
    """

    def __init__(self, source: str, content: Any, group: str | None = None) -> None:
        if not isinstance(content, Mapping):
            raise GrammarError(f"{source}: a mapping is wanted")
        self.source = source
        self.content: Mapping[str, Any] = content
        """What the file says."""
        self.name: str = content["adapter"]
        groups = groups_of(content["match"], source)
        self.group: str = groups[0] if group is None else group
        self.match_kind: str = content["match"]["kind"]
        self.kind: Kind = kind_of(f"{self.group}/v1" if self.group else "v1", self.match_kind)
        self.resource: str = content["resource"]
        self.scale_path: Path | None = paths.parse(content["scale"]) if "scale" in content else None
        self.hub: Mapping[str, str] | None = content.get("joins")
        """Set on an adapter of joined objects (a node pool): {kind, label} of the hub that they belong to."""
        upgrades = content.get("upgrades", "image")
        self.carries_majors: str = upgrades if isinstance(upgrades, str) else "image"
        """Who carries a new major over to the data: `image` (nobody: a plain swap), `operator`, or `done` (it is carried
        over already, and the version is only written down)."""
        self._carrier = compile_expression(upgrades, f"{source}: upgrades") if isinstance(upgrades, Mapping) else None
        if isinstance(upgrades, str) and upgrades not in ("image", "operator", "done") and upgrades not in derive.CARRIERS:
            raise GrammarError(
                f'{source}: upgrades: "{upgrades}" is none of image, operator, done, {", ".join(derive.CARRIERS)}'
            )
        self.scale_down: str = content.get("scaleDown", "plain")
        """What becomes of members that are scaled away: `plain` (their pods go, their claims stay), `deletesClaims`,
        `decommissions` (the operator empties them first), `oneByOne` (that too, and one after the other), `unsupported`
        (the operator refuses and stands still)."""
        self.class_change: str = content.get("classChange", "ignored")
        """What a change of class does: `ignored` (the volumes stay as they are, the object tells otherwise), `newGroup`
        (a group of another name gets it), `replaces` (the operator moves the data)."""
        self.backups: tuple[BackupRecord, ...] = tuple(
            BackupRecord(row, f"{source}: backups[{index}]") for index, row in enumerate(content.get("backups") or ())
        )
        self.pod_label: str | None = (content.get("pods") or {}).get("label")
        """The label by which the service's pods name it; None where only their owner tells."""
        self.accounts: tuple[str, ...] = tuple(content.get("accounts") or ())
        """The service accounts that the operator runs as where it is installed as its makers ship it."""
        self._only = _whether(content.get("only"), f"{source}: only")
        self.unpinned: str = content.get("unpinned", "kept")
        """What an unset version means: `kept` (the operator writes its default down at once) or `operator` (the engine
        follows the operator's version)."""
        self._joins: Mapping[str, Mapping[str, str]] = content.get("join") or {}
        self._slots: dict[str, Reader] = {}
        engine = content.get("engine")
        self._engine: str | Reader | None = (
            compile_expression(engine, f"{source}: engine") if isinstance(engine, Mapping) else engine
        )
        self.recognises = self._engine is None
        """Whether the engine is told by the pod: its image, its command."""
        self._claims = _claims(content.get("claims"), f"{source}: claims")
        names = self._claims.get("names") or ()
        patterns = list(names.values() if isinstance(names, Mapping) else names)
        self._named_after = bool(patterns) and all("{service}" in pattern for pattern in patterns)
        """Whether the names of claims that tell their member have the service's name in them."""
        self._by_name = self._named_after and self._claims.keys() == {"names"}
        """Whether nothing but such a name tells whose a claim is."""
        self._version = versions(content.get("version"), f"{source}: version")
        rows = content.get("version") or []
        self.names_version: bool = bool(rows) and all("text" in row for row in (rows if isinstance(rows, list) else [rows]))
        """Whether the version is a field of its own and not read off an image."""
        self._running = versions(content.get("running"), f"{source}: running")
        self._finalised = (
            compile_expression(content["finalised"], f"{source}: finalised") if "finalised" in content else None
        )
        mode = content.get("mode") or ""
        self._mode: str | Reader = compile_expression(mode, f"{source}: mode") if isinstance(mode, Mapping) else mode
        if isinstance(self._mode, str) and self._mode and self._mode not in derive.MODES:
            raise GrammarError(f'{source}: mode: "{self._mode}" is not registered; there are {", ".join(derive.MODES)}')
        self.looks_at: tuple[Look, ...] = tuple(accuses(*entry) for entry in content.get("looksAt") or ())
        if "pod" in content:
            self._slots["pod"] = compile_expression(content["pod"], f"{source}: pod", dict)
        for slot in (
            "template",
            "deletesBackups",
            "deletesClaims",
            "stopped",
            "paused",
            "backup",
            "ready",
            "oneClaim",
            "rolling",
        ):
            if slot in content:
                self._slots[slot] = compile_expression(content[slot], f"{source}: {slot}")
        self._secrets = [
            SecretReader(row, f"{source}: secrets[{index}]") for index, row in enumerate(content.get("secrets") or ())
        ]
        growth = content.get("growth")
        self.growth_how = ""
        """What to do where the operator does not carry a larger size over to the claims."""
        if growth is not None:
            self._slots["growth"] = compile_expression(growth["carried"], f"{source}: growth.carried")
            self.growth_how = str(growth["how"])
        self.agree = [PairReader(row, f"{source}: agree[{index}]") for index, row in enumerate(content.get("agree") or ())]
        """Fields that must say the same."""
        self.together = [
            PairReader(row, f"{source}: together[{index}]") for index, row in enumerate(content.get("together") or ())
        ]
        """Fields that belong together: when one changes, so should the other."""
        self.apart = [PairReader(row, f"{source}: apart[{index}]") for index, row in enumerate(content.get("apart") or ())]
        """Fields that must not change in one edit."""
        self._fixed = [FixedReader(row, f"{source}: fixed[{index}]") for index, row in enumerate(content.get("fixed") or ())]
        self._unsafe = [
            UnsafeReader(row, f"{source}: unsafe[{index}]") for index, row in enumerate(content.get("unsafe") or ())
        ]
        for name, spec in (content.get("values") or {}).items():
            self._slots[name] = compile_expression(spec, f"{source}: values.{name}")
        placement = content.get("placement") or {}
        for name in ("nodeSelector", "nodeAffinity", "antiAffinity", "antiAffinityRequired", "topologyKey", "pod"):
            if name in placement:
                self._slots[f"placement.{name}"] = compile_expression(placement[name], f"{source}: placement.{name}")
        self._groups = [
            GroupReader(spec, f"{source}: groups[{index}]") for index, spec in enumerate(content.get("groups") or ())
        ]
        self._archives = {
            slot: [ArchiveReader(spec, f"{source}: {slot}[{index}]") for index, spec in enumerate(content.get(slot) or ())]
            for slot in ("archives", "sources")
        }
        self.has_archives = bool(self._archives["archives"])
        """Whether the kind says where backups go."""
        self.has_placement = "placement" in content or "pod" in content
        """Whether the kind says where its members may run."""
        self.cached: bool = content.get("cached", True)
        """Whether all objects of the kind are kept in memory: not where only a request is judged by itself."""
        self.shares_claims = bool(content.get("sharesClaims"))
        """Whether all its members mount the same claims: copies of a process, not of the data."""
        self.one_quorum = bool(content.get("oneQuorum"))
        """Whether the voters of all its groups elect together; elsewhere each group is a quorum of its own."""
        self.compared: tuple[tuple[Path, tuple[str, ...]], ...] = compared(content)
        """Paths, and the parts of the model that are read from each: where no path of a part differs, nor does the part."""
        self.differences = tuple((digger(path), parts) for path, parts in self.compared)
        """The same, with functions that read what is at each path."""

    def __repr__(self) -> str:
        return f"<Adapter {self.name}>"

    # --- what a Service asks of it -------------------------------------------------------------------------------

    def read(self, slot: str, service: Service) -> Field:
        """A slot of an object; `Field(None, ())` where the adapter has none of that name."""
        reader = self._slots.get(slot)
        return reader(service.object, (), service.object) if reader is not None else _MISSING

    def applies(self, item: Object) -> bool:
        """Whether an object of this kind is a stateful service at all (a Deployment with a claim)."""
        return self._only is None or self._only(item)

    def join(self, name: str, service: Service) -> Sequence[Object] | Unknown:
        """The objects that carry the hub's name in the join's label, or at its path; unknown where the kind is."""
        join = self._joins.get(name)
        if join is None:
            return ()
        key = _by_path(join["of"]) if "of" in join else by_label(join["label"])
        return having(service.view, join["kind"], key, service.name, service.namespace)

    def recognised(self, service: Service) -> tuple[int, recognise.Recognised] | None:
        """The engine's container in the pod, and what it is recognised as."""
        said = service.override
        if not service.pod or said.no_engine:
            found = None
        elif said.engine is not None:
            found = recognise.container_of(service.pod, said.engine, said.supposed)
        else:
            found = recognise.recognise_pod(service.pod)
        if self.recognises and not said.names_engine:
            # What rules ask next, and what it would be found to be: three looks at the same thing are saved.
            service.container_index, service.engine, service.engine_certain = (
                (found[0], found[1].profile, found[1].strong) if found is not None else (None, None, False)
            )
        return found

    def engine(self, service: Service) -> Profile | None:
        """The engine's profile: stated by an annotation or the adapter, or recognised from the pod."""
        said = service.override
        if said.names_engine:
            return said.engine
        if self._engine is not None:
            name = self._engine if isinstance(self._engine, str) else self._engine(service.object, ()).value
            return recognise.PROFILES.get(name) if isinstance(name, str) else None
        found = service.recognised
        return found[1].profile if found is not None else None

    def engine_certain(self, service: Service) -> bool:
        """Whether an annotation, the kind, the image or the command says which engine it is."""
        if self._engine is not None or service.override.names_engine:
            return True
        found = service.recognised
        return found is not None and found[1].strong

    def supposed_engine(self, service: Service) -> Profile | None:
        """The engine that the labels of a pod (or of its object) or its ports make likely: weak evidence."""
        if self._engine is not None or not service.pod or service.override.names_engine:
            return None
        template = {"metadata": service.field("template").value, "spec": service.pod}
        found = recognise.recognise_weakly(template) or recognise.by_label(service.object)
        return found.profile if found is not None else None

    def container_index(self, service: Service) -> int | None:
        """The engine's container in the pod."""
        found = service.recognised
        return found[0] if found is not None else None

    def version(self, service: Service) -> EngineVersion:
        """The version that the object asks for."""
        said = service.override.version
        if said is not None:
            return EngineVersion("known", said, said.text, ("metadata", "annotations", VERSION))
        if self._version is None:
            found = service.recognised
            if found is None:
                return EngineVersion("unset", None, "", service.field("pod").path)
            index, what = found
            path = (*service.field("pod").path, "containers", index, "image")
            return EngineVersion(what.state, what.version, what.text, path)
        return self._version(service)

    def carrier(self, service: Service) -> str:
        """The same for one object, where it says so itself (an upgrade of its data was asked for and is allowed)."""
        if self.carries_majors in derive.CARRIERS:
            return derive.CARRIERS[self.carries_majors](service)
        value = self._carrier(service.object, ()).value if self._carrier is not None else None
        return value if isinstance(value, str) else self.carries_majors

    def running(self, service: Service) -> Version | None:
        """The version that the object's status reports, or (native sets) that of the revision still current."""
        if service.override.version is not None and self._running is None:
            return None  # the revision keeps no annotation of the set, so that it does not tell its version
        if self._running is not None:
            return self._running(service).version
        return derive.running_of_set(service)

    def finalised(self, service: Service) -> Version | None:
        """The level the data is finalised at."""
        if self._finalised is None:
            return None
        value = self._finalised(service.object, ()).value
        return version.parse(value) if isinstance(value, str) else None

    def mode(self, service: Service) -> str:
        """The engine's mode."""
        if not isinstance(self._mode, str):
            value = self._mode(service.object, ()).value
            return value if isinstance(value, str) else ""
        return (derive.MODES[self._mode] if self._mode else derive.mode_of_pod)(service)

    def groups(self, service: Service) -> tuple[MemberGroup, ...]:
        """The member groups."""
        found: list[MemberGroup] = []
        for reader in self._groups:
            found.extend(reader.read(service))
        return tuple(found)

    def placement(self, service: Service) -> Placement:
        """Where members may run."""
        slots = self._slots
        key = service.field("placement.topologyKey").value
        hard = service.field("placement.antiAffinityRequired").value is True
        if "placement.pod" in slots or "pod" in slots:
            field = service.field("placement.pod" if "placement.pod" in slots else "pod")
            found = derive.placement_of_pod(field.value if type(field.value) is dict else {}, field.path)
            # A switch of the operator's own beside the pod's affinity (`antiAffinity: true`).
            if service.field("placement.antiAffinity").value is not True or not isinstance(key, str):
                return found
            if hard:
                return replace(found, required=(*found.required, key), apart=(*found.apart, (key, None)))
            return replace(found, preferred=(*found.preferred, key))
        selector = service.field("placement.nodeSelector")
        affinity = service.field("placement.nodeAffinity")
        keys = (key,) if isinstance(key, str) and service.field("placement.antiAffinity").value is not False else ()
        return Placement(
            node_selector=selector.value if type(selector.value) is dict else {},
            node_affinity=affinity.value if type(affinity.value) is dict else {},
            required=keys if hard else (),
            apart=tuple((each, None) for each in keys) if hard else (),
            preferred=() if hard else keys,
            tolerations=(),
            path=service.field("placement.antiAffinity").path or ("spec",),
            selector_path=selector.path or ("spec",),
        )

    def archives(self, service: Service, slot: str) -> tuple[Archive, ...]:
        """Backup destinations (`archives`) or what it is restored from (`sources`)."""
        found: list[Archive] = []
        for reader in self._archives[slot]:
            found.extend(reader.read(service))
        return tuple(found)

    def secrets(self, service: Service) -> tuple[SecretRef, ...]:
        """The Secrets that the service lives by."""
        return tuple(ref for reader in self._secrets for ref in reader.read(service))

    def fixed(self, service: Service) -> tuple[Fixed, ...]:
        """The values that are decided when the service is created."""
        return tuple(one for position, reader in enumerate(self._fixed) for one in reader.read(service, position))

    def unsafe(self, service: Service) -> tuple[Unsafe, ...]:
        """The safeguards that are off."""
        return tuple(one for position, reader in enumerate(self._unsafe) for one in reader.read(service, position))

    # --- claims --------------------------------------------------------------------------------------------------

    def owns_claim(self, service: Service, claim: Object) -> bool:
        """Whether a claim of the same namespace holds this service's data."""
        if self._by_name and service.name not in text_of(metadata_of(claim), "name"):
            return False  # nearly all claims of a large namespace: asked of thousands for one deletion
        label = self._claims.get("label")
        if label is not None and label_of(claim, label) is not None:
            return label_of(claim, label) == service.name
        if label is not None and not self._claims.get("names"):
            return False
        return any(self.claim_is_of(service, group, volume, claim) for group in service.groups for volume in group.volumes)

    def claim_is_of(self, service: Service, group: MemberGroup, volume: Volume, claim: Object) -> bool:
        """Whether a claim was made for this kind of volume."""
        if not self._labelled(group, claim):
            return False
        role = self._claims.get("role")
        if role is not None:
            label = label_of(claim, role["label"])
            wanted = role["of"].get(volume.name, role["of"].get("*"))
            named = label == wanted or (label is None and volume.name == role.get("missing"))
            owner = self.claim_label
            return named and (owner is None or label_of(claim, owner) == service.name)
        owner = self.claim_label
        if "like" in self._claims and owner is not None and label_of(claim, owner) == service.name:
            return self._is_like(service, group, volume, claim)
        if self._claims.get("named") == "volume":
            return text_of(metadata_of(claim), "name") == volume.name
        return self.ordinal(service, group.name, volume.name, claim) is not None

    def _is_like(self, service: Service, group: MemberGroup, volume: Volume, claim: Object) -> bool:
        name = text_of(metadata_of(claim), "name")
        return any(
            fnmatchcase(name, pattern.format(service=service.name, group=group.name, volume=volume.name))
            for pattern in self._claims["like"]
        )

    def _labelled(self, group: MemberGroup, claim: Object) -> bool:
        """Whether the labels that tell a claim's group name this one; a part of its name with a `*` before it is any."""
        labels = self._claims.get("group")
        if labels is None:
            return True
        given = [label_of(claim, label) for label in (labels if isinstance(labels, list) else [labels])]
        wanted, found = group.name.split("/"), [value for value in given if value]
        return not found or (
            len(wanted) == len(found) and all(a[:1] == "*" or a == b for a, b in zip(wanted, found, strict=True))
        )

    def ordinal(self, service: Service, group: str, volume: str, claim: Object) -> int | None:
        """The member's number at the end of a claim's name, None where the name is not made by this service."""
        name = text_of(metadata_of(claim), "name")
        if self._named_after and service.name not in name:
            return None
        for prefix in self.claim_beginnings(service, group, volume):
            if "*" in prefix:  # a number that is no name of anything (a shard's)
                made = re.match(re.escape(prefix).replace(r"\*", r"\d+"), name)
                prefix = made.group() if made is not None else prefix
            tail = name.removeprefix(prefix)
            if tail != name and tail.isascii() and tail.isdigit() and len(tail) < 6:
                return int(tail)
        return None

    def claim_beginnings(self, service: Service, group: str, volume: str) -> list[str]:
        """How the names of a volume's claims begin, before the member's number; `*` is a number that names nothing."""
        return [pattern.format(service=service.name, group=group, volume=volume) for pattern in self._patterns(group)]

    def _patterns(self, group: str) -> Sequence[str]:
        """How the claims' names of a group begin: one list for all, or one beginning a group (`*`: of the others)."""
        names = self._claims.get("names") or ()
        if isinstance(names, Mapping):
            return (names.get(group, names.get("*", "")),)
        return names

    def hub_name(self, item: Object) -> str | None:
        """The hub's name in a joined object's label."""
        return label_of(item, self.hub["label"]) if self.hub is not None else None

    @property
    def claim_label(self) -> str | None:
        """The label by which the service's claims name it, None where only their names tell."""
        label = self._claims.get("label")
        return label if isinstance(label, str) else None

    # --- compiling -----------------------------------------------------------------------------------------------


def _whether(spec: Any, where: str) -> Callable[[Object], bool] | None:
    """A test of a whole object: registered, or an expression."""
    if spec is None:
        return None
    if isinstance(spec, str):
        if spec not in derive.TESTS:
            raise GrammarError(f'{where}: "{spec}" is not registered; there are {", ".join(derive.TESTS)}')
        return derive.TESTS[spec]
    reader = compile_expression(spec, where)
    return lambda item: reader(item, (), item).value is True


def _claims(spec: Any, where: str) -> Mapping[str, Any]:
    """How claims tell whose they are.

    `label` names the service, `group` its group (one label, or several). Which volume a claim is of: `names` are the
    beginnings of names before the member's number, `like` whole names with `*` for anything (where the number is not at
    the end, or there is none), both with {service}, {group}, {volume}; `role` is a label; `named: volume` says that the
    claim's name is the volume's.
    """
    if spec is None:
        return {}
    if "like" in spec and "label" not in spec:
        raise GrammarError(f"{where}.like: a label is wanted too; a pattern alone takes the claims of others")
    return spec  # type: ignore[no-any-return]


@cache
def _by_path(path: str) -> Key:
    """The key that is the text at a path."""
    named, _ = compile_path(path)

    def value(item: Object) -> Iterable[Hashable]:
        found = named(item)
        return (found,) if type(found) is str else ()

    return value


def groups_of(match: Any, source: str) -> tuple[str, ...]:
    """The API groups of an adapter's `match`: one, or several where the group was renamed."""
    if not isinstance(match, Mapping) or not isinstance(match.get("kind"), str):
        raise GrammarError(f"{source}: match: a mapping with group and kind is wanted")
    group = match.get("group", "")
    groups = group if isinstance(group, list) else [group]
    if not groups or not all(isinstance(one, str) for one in groups):
        raise GrammarError(f"{source}: match.group: a text, or a list of texts, is wanted")
    return tuple(groups)
