"""An adapter: one kind of object read as a Service. Made from a file in `data/` (or a user's own)."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, Final

from stateward.policies import paths, version
from stateward.policies.adapters import derive
from stateward.policies.adapters.grammar import (
    GrammarError,
    Reader,
    compile_expression,
    compile_path,
    each_item,
    nothing,
)
from stateward.policies.engines import recognise
from stateward.policies.engines.override import VERSION
from stateward.policies.engines.profile import Profile
from stateward.policies.model import (
    Archive,
    EngineVersion,
    Field,
    Fixed,
    GroupFields,
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
    UNKNOWN,
    Key,
    Kind,
    Look,
    Object,
    Unknown,
    accuses,
    by_label,
    having,
    kind_of,
    metadata_of,
    text_of,
)

_KNOWN: Final = frozenset(
    (
        *("adapter", "match", "resource", "scale", "engine", "upgrades", "pod", "template", "version", "running"),
        *("finalised", "mode", "groups", "join", "joins", "claims", "deletesClaims", "placement", "values", "archives"),
        *("sources", "looksAt", "unpinned", "only", "stopped", "paused", "backup", "backups", "scaleDown"),
        *(
            "classChange",
            "fixed",
            "unsafe",
            "secrets",
            "pods",
            "ready",
            "accounts",
            "agree",
            "apart",
            "together",
            "sharesClaims",
            "growth",
            "cached",
            "deletesBackups",
            "oneQuorum",
            "oneClaim",
            "rolling",
        ),
    )
)


class Adapter:
    """One compiled adapter. Raises GrammarError (a ValueError) naming file, field and reason."""

    def __init__(self, source: str, content: Any, group: str | None = None) -> None:
        if not isinstance(content, Mapping):
            raise GrammarError(f"{source}: a mapping is wanted")
        stray = sorted(set(content) - _KNOWN)
        if stray:
            raise GrammarError(f'{source}: unknown field "{stray[0]}"; an adapter has {", ".join(sorted(_KNOWN))}')
        for needed in ("adapter", "match", "resource"):
            if needed not in content:
                raise GrammarError(f'{source}: "{needed}" is missing')
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
        `decommissions` (the operator empties them first), `unsupported` (the operator refuses and stands still)."""
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
        self._claims = _claims(content.get("claims"), f"{source}: claims")
        self._version = self._versions(content.get("version"), "version")
        rows = content.get("version") or []
        self.names_version: bool = bool(rows) and all("text" in row for row in (rows if isinstance(rows, list) else [rows]))
        """Whether the version is a field of its own and not read off an image."""
        self._running = self._versions(content.get("running"), "running")
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
            _SecretReader(row, f"{source}: secrets[{index}]") for index, row in enumerate(content.get("secrets") or ())
        ]
        growth = content.get("growth")
        self.growth_how = ""
        """What to do where the operator does not carry a larger size over to the claims."""
        if growth is not None:
            _rows(growth, f"{source}: growth", ("carried", "how"))
            self._slots["growth"] = compile_expression(growth["carried"], f"{source}: growth.carried")
            self.growth_how = str(growth["how"])
        self.agree = [_PairReader(row, f"{source}: agree[{index}]") for index, row in enumerate(content.get("agree") or ())]
        """Fields that must say the same."""
        self.together = [
            _PairReader(row, f"{source}: together[{index}]") for index, row in enumerate(content.get("together") or ())
        ]
        """Fields that belong together: when one changes, so should the other."""
        self.apart = [_PairReader(row, f"{source}: apart[{index}]") for index, row in enumerate(content.get("apart") or ())]
        """Fields that must not change in one edit."""
        self._fixed = [
            _FixedReader(row, f"{source}: fixed[{index}]") for index, row in enumerate(content.get("fixed") or ())
        ]
        self._unsafe = [
            _UnsafeReader(row, f"{source}: unsafe[{index}]") for index, row in enumerate(content.get("unsafe") or ())
        ]
        for name, spec in (content.get("values") or {}).items():
            self._slots[name] = compile_expression(spec, f"{source}: values.{name}")
        placement = content.get("placement") or {}
        for name in ("nodeSelector", "nodeAffinity", "antiAffinity", "antiAffinityRequired", "topologyKey", "pod"):
            if name in placement:
                self._slots[f"placement.{name}"] = compile_expression(placement[name], f"{source}: placement.{name}")
        self._groups = [
            _GroupReader(spec, f"{source}: groups[{index}]") for index, spec in enumerate(content.get("groups") or ())
        ]
        self._archives = {
            slot: [_ArchiveReader(spec, f"{source}: {slot}[{index}]") for index, spec in enumerate(content.get(slot) or ())]
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
        self.compared: tuple[tuple[Path, tuple[str, ...]], ...] = _compared(content)
        """Paths, and the parts of the model that are read from each: where no path of a part differs, nor does the part."""

    def __repr__(self) -> str:
        return f"<Adapter {self.name}>"

    # --- what a Service asks of it -------------------------------------------------------------------------------

    def read(self, slot: str, service: Service) -> Field:
        """A slot of an object; `Field(None, ())` where the adapter has none of that name."""
        return self._slots.get(slot, nothing)(service.object, (), service.object)

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

    def engine(self, service: Service) -> Profile | None:
        """The engine's profile: stated by an annotation or the adapter, or recognised from the pod."""
        said = service.override
        if said.names_engine:
            return said.engine
        if self._engine is not None:
            name = self._engine if isinstance(self._engine, str) else self._engine(service.object, ()).value
            return recognise.PROFILES.get(name) if isinstance(name, str) else None
        found = _recognised(service)
        return found[1].profile if found is not None else None

    def engine_certain(self, service: Service) -> bool:
        """Whether an annotation, the kind, the image or the command says which engine it is."""
        if self._engine is not None or service.override.names_engine:
            return True
        found = _recognised(service)
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
        found = _recognised(service)
        return found[0] if found is not None else None

    def version(self, service: Service) -> EngineVersion:
        """The version that the object asks for."""
        said = service.override.version
        if said is not None:
            return EngineVersion("known", said, said.text, ("metadata", "annotations", VERSION))
        if self._version is None:
            found = _recognised(service)
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
                return replace(found, required=(*found.required, key))
            return replace(found, preferred=(*found.preferred, key))
        selector = service.field("placement.nodeSelector")
        affinity = service.field("placement.nodeAffinity")
        keys = (key,) if isinstance(key, str) and service.field("placement.antiAffinity").value is not False else ()
        return Placement(
            node_selector=selector.value if type(selector.value) is dict else {},
            node_affinity=affinity.value if type(affinity.value) is dict else {},
            required=keys if hard else (),
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
        label = self._claims.get("label")
        if label is not None and _label(claim, label) is not None:
            return _label(claim, label) == service.name
        if label is not None and not self._claims.get("names"):
            return False
        return any(self.claim_is_of(service, group, volume, claim) for group in service.groups for volume in group.volumes)

    def claim_is_of(self, service: Service, group: MemberGroup, volume: Volume, claim: Object) -> bool:
        """Whether a claim was made for this kind of volume."""
        if not self._labelled(group, claim):
            return False
        role = self._claims.get("role")
        if role is not None:
            label = _label(claim, role["label"])
            wanted = role["of"].get(volume.name, role["of"].get("*"))
            named = label == wanted or (label is None and volume.name == role.get("missing"))
            owner = self.claim_label
            return named and (owner is None or _label(claim, owner) == service.name)
        owner = self.claim_label
        if "like" in self._claims and owner is not None and _label(claim, owner) == service.name:
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
        given = [_label(claim, label) for label in (labels if isinstance(labels, list) else [labels])]
        wanted, found = group.name.split("/"), [value for value in given if value]
        return not found or (
            len(wanted) == len(found) and all(a[:1] == "*" or a == b for a, b in zip(wanted, found, strict=True))
        )

    def ordinal(self, service: Service, group: str, volume: str, claim: Object) -> int | None:
        """The member's number at the end of a claim's name, None where the name is not made by this service."""
        name = text_of(metadata_of(claim), "name")
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
        return _label(item, self.hub["label"]) if self.hub is not None else None

    @property
    def claim_label(self) -> str | None:
        """The label by which the service's claims name it, None where only their names tell."""
        label = self._claims.get("label")
        return label if isinstance(label, str) else None

    # --- compiling -----------------------------------------------------------------------------------------------

    def _versions(self, spec: Any, where: str) -> Callable[[Service], EngineVersion] | None:
        if spec is None:
            return None
        readers: list[tuple[str, Reader, re.Pattern[str] | None]] = []
        for index, row in enumerate(spec if isinstance(spec, list) else [spec]):
            place = f"{self.source}: {where}[{index}]"
            if not isinstance(row, Mapping):
                raise GrammarError(f"{place}: a mapping with one of image, text, catalog is wanted")
            stray = sorted(set(row) - {"image", "text", "catalog", "pattern"})
            forms = [form for form in ("image", "text", "catalog") if form in row]
            if stray or len(forms) != 1:
                raise GrammarError(f'{place}: "{(stray or ["nothing"])[0]}" is none of image, text, catalog')
            pattern = re.compile(row["pattern"]) if "pattern" in row else None
            readers.append((forms[0], compile_expression(row[forms[0]], place), pattern))

        def read(service: Service) -> EngineVersion:
            path: Path = ()
            for form, reader, pattern in readers:
                value, at = reader(service.object, (), service.object)
                path = path or at
                if value is None or value == "":
                    continue
                if pattern is not None and isinstance(value, str):
                    match = pattern.search(value)
                    if match is None:
                        return EngineVersion("opaque", None, value, at)
                    return EngineVersion("known", version.parse(match[1]), value, at)
                return _engine_version(form, value, at, service)
            return EngineVersion("unset", None, "", path)

        return read


def _engine_version(form: str, value: Any, at: Path, service: Service) -> EngineVersion:
    if form == "catalog":
        found = derive.catalog_image(value, service)
        if found is UNKNOWN or found is None:
            return EngineVersion("opaque", None, "", at)
        value, readable = found
        form, at = "image", (*at, "major")
        if not readable:
            return EngineVersion("opaque", None, value, at)
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        return EngineVersion("opaque", None, "", at)
    if form == "image":
        return recognise_tag(text, at, service.engine)
    parsed = version.parse(text)
    return EngineVersion("known" if parsed is not None else "opaque", parsed, text, at)


def recognise_tag(reference: str, at: Path, engine: Profile | None = None) -> EngineVersion:
    """The version in an image's tag: as the engine's own images spell it, else where the tag begins with it."""
    from stateward.policies import images

    found = recognise.recognise_image(reference)
    if found is not None and found.profile is engine:
        return EngineVersion(found.state, found.version, found.text, at)
    image = images.parse(reference)
    parsed = version.parse(image.tag) if image.tag else None
    if parsed is not None:
        return EngineVersion("known", parsed, image.tag, at)
    return EngineVersion("opaque" if image.tag or image.digest else "unset", None, image.tag or image.digest, at)


def _label(item: Object, label: str) -> str | None:
    labels = metadata_of(item).get("labels")
    value = labels.get(label) if type(labels) is dict else None
    return value if isinstance(value, str) else None


def _recognised(service: Service) -> tuple[int, recognise.Recognised] | None:
    cached = service.__dict__.get("_recognised", False)
    if cached is not False:
        return cached  # type: ignore[no-any-return]
    said = service.override
    if not service.pod or said.no_engine:
        found = None
    elif said.engine is not None:
        found = recognise.container_of(service.pod, said.engine)
    else:
        found = recognise.recognise_pod(service.pod)
    service.__dict__["_recognised"] = found
    return found


class _VolumeReader:
    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item(spec, where)
        self._name = compile_expression(spec["name"], f"{where}.name")
        self._only = compile_expression(spec["only"], f"{where}.only") if "only" in spec else None
        self._fields: dict[str, Reader] = {
            slot: compile_expression(spec[slot], f"{where}.{slot}", wanted) if slot in spec else nothing
            for slot, wanted in (
                ("class", str),
                ("size", None),
                ("modes", list),
                ("ephemeral", bool),
                ("labels", dict),
                ("leaves", str),
            )
        }

    def read(self, item: Any, base: Path, on: Object) -> list[Volume]:
        found: list[Volume] = []
        for one, at in self._items(item, base, on):
            if self._only is not None and self._only(one, at, on).value is not True:
                continue
            name = self._name(one, at, on).value
            if isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool)):
                found.append(Volume(str(name), one, at, self._fields, on))
        return found


class _GroupReader:
    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._join: str | None = spec.get("join")
        self._items = each_item(spec, where)
        self._name = compile_expression(spec["name"], f"{where}.name")
        volumes = [
            _VolumeReader(volume, f"{where}.volumes[{index}]") for index, volume in enumerate(spec.get("volumes") or ())
        ]

        def read_volumes(item: Any, base: Path, on: Object) -> list[Volume]:
            return [volume for reader in volumes for volume in reader.read(item, base, on)]

        def slot(name: str, wanted: type) -> Reader:
            return compile_expression(spec[name], f"{where}.{name}", wanted) if name in spec else nothing

        self._fields = GroupFields(
            members=slot("members", int),
            ready=slot("ready", int),
            voters=slot("voters", bool),
            nonvoters=slot("nonvoters", list),
            at_once=slot("atOnce", bool),
            roles=slot("roles", list),
            volumes=read_volumes,
        )

    def read(self, service: Service) -> list[MemberGroup]:
        if self._join is None:
            owners: Sequence[Object] = (service.object,)
        else:
            joined = service.joined(self._join)
            if joined is UNKNOWN:
                return []
            owners = joined
        found: list[MemberGroup] = []
        for owner in owners:
            for item, base in self._items(owner, (), owner):
                name = self._name(item, base, owner).value
                if isinstance(name, str):
                    found.append(MemberGroup(name, item, base, self._fields, owner))
        return found


class _ArchiveReader:
    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item({key: spec[key] for key in ("each", "eachOf", "when") if key in spec}, where)
        self._store = compile_expression(spec["store"], f"{where}.store", str)
        self._server = compile_expression(spec["server"], f"{where}.server", str) if "server" in spec else nothing
        self._only = compile_expression(spec["only"], f"{where}.only") if "only" in spec else None
        self._named = compile_expression(spec["named"], f"{where}.named") if "named" in spec else None
        self._live = bool(spec.get("live"))

    def read(self, service: Service) -> list[Archive]:
        found: list[Archive] = []
        whole = service.object
        only = self._only(whole, ()).value if self._only is not None else None
        for item, base in self._items(whole, (), whole):
            if self._named is not None and self._named(item, base).value != only:
                continue
            store, at = self._store(item, base, whole)
            server = self._server(item, base, whole).value
            if isinstance(store, str):
                found.append(Archive(store, server if isinstance(server, str) else service.name, at, self._live))
        return found


class _SecretReader:
    """A row of `secrets`: the field that names it (`name`), or how its name is made of the service's (`named`)."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        _rows(spec, where, ("name", "named", "role", "made", "applied", "each", "eachOf", "when"))
        self._items = each_item({key: spec[key] for key in ("each", "eachOf", "when") if key in spec}, where)
        self._name = compile_expression(spec["name"], f"{where}.name", str) if "name" in spec else None
        self._named: str = spec.get("named", "")
        self._role: str = spec.get("role", "credentials")
        self._made: str = spec.get("made", "operator" if self._named else "user")
        self._applied = bool(spec.get("applied"))
        if self._role not in ("credentials", "ca", "certificate", "key", "cluster", "backup"):
            raise GrammarError(f'{where}.role: "{self._role}" is none of credentials, ca, certificate, key, cluster, backup')

    def read(self, service: Service) -> Iterator[SecretRef]:
        for item, base in self._items(service.object, (), service.object):
            if self._name is None:
                # A key that is no name of an object (a database user with an underscore) is written with dashes.
                key = str(base[-1]).replace("_", "-") if base else ""
                yield SecretRef(self._named.format(service=service.name, key=key), self._role, self._made, (), self._applied)
                continue
            name, at = self._name(item, base, service.object)
            if isinstance(name, str) and name:
                yield SecretRef(name, self._role, self._made, at, self._applied)


class _FixedReader:
    """A row of `fixed`: a field (in each item of a list, told apart by `name`), what it is, why it stays.

    `onceSet`: it may still be set where it was not. `mayGo`: its item may leave the list (another rule judges that).
    """

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        _rows(spec, where, ("field", "each", "eachOf", "when", "name", "what", "why", "onceSet", "mayGo"))
        self._items = each_item({key: spec[key] for key in ("each", "eachOf", "when") if key in spec}, where)
        self._name = compile_expression(spec["name"], f"{where}.name") if "name" in spec else None
        self._field = compile_expression(spec["field"], f"{where}.field")
        self._what, self._why = str(spec["what"]), str(spec["why"])
        self._once_set = bool(spec.get("onceSet"))
        self._may_go = bool(spec.get("mayGo"))

    def read(self, service: Service, position: int) -> Iterator[Fixed]:
        for item, base in self._items(service.object, (), service.object):
            name = self._name(item, base, service.object).value if self._name is not None else ""
            value, at = self._field(item, base, service.object)
            yield Fixed(f"{position}:{name}", value, at, self._what, self._why, self._once_set, self._may_go)


class _UnsafeReader:
    """A row of `unsafe`: a test that is true where a safeguard is off, what that is, and why it matters."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        _rows(spec, where, ("test", "each", "eachOf", "name", "what", "why", "denies"))
        self._items = each_item({key: spec[key] for key in ("each", "eachOf") if key in spec}, where)
        self._name = compile_expression(spec["name"], f"{where}.name") if "name" in spec else None
        self._test = compile_expression(spec["test"], f"{where}.test")
        self._what, self._why = str(spec["what"]), str(spec["why"])
        self._denies = bool(spec.get("denies"))

    def read(self, service: Service, position: int) -> Iterator[Unsafe]:
        for item, base in self._items(service.object, (), service.object):
            value, at = self._test(item, base, service.object)
            if value is True:
                name = self._name(item, base, service.object).value if self._name is not None else ""
                yield Unsafe(f"{position}:{name}", paths.dig(service.object, at), at, self._what, self._why, self._denies)


class _PairReader:
    """A row of `agree` or `apart`: two fields, what is wrong with them together, and why."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        _rows(spec, where, ("one", "other", "what", "why", "do"))
        self._one = compile_expression(spec["one"], f"{where}.one")
        self._other = compile_expression(spec["other"], f"{where}.other")
        self.what, self.why, self.do = str(spec["what"]), str(spec["why"]), str(spec["do"])

    def read(self, service: Service) -> tuple[Field, Field]:
        """The two fields."""
        return self._one(service.object, (), service.object), self._other(service.object, (), service.object)


class BackupRecord:
    """A row of `backups`: how the operator records a backup that was taken."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        _rows(spec, where, ("kind", "of", "ofGroup", "done", "at", "label", "each"))
        if "kind" not in spec or "at" not in spec:
            raise GrammarError(f"{where}: kind and at are wanted")
        self.kind: Kind = spec["kind"]
        self._of = compile_expression(spec["of"], f"{where}.of") if "of" in spec else None
        self._items = each_item({"each": spec["each"]}, where) if "each" in spec else None
        """Set where the service's own status lists them."""
        self._of_group = compile_expression(spec["ofGroup"], f"{where}.ofGroup") if "ofGroup" in spec else None
        self._label: str | None = spec.get("label")
        self._done = compile_expression(spec["done"], f"{where}.done") if "done" in spec else None
        self._at = compile_expression(spec["at"], f"{where}.at")

    @property
    def in_status(self) -> bool:
        """Whether the service's own status lists the backups."""
        return self._items is not None

    def moments(self, record: Object, service: Service) -> Iterator[Any]:
        """When the backups of the service that are done were done (text): one of a record, several of a status."""
        if self._items is None:
            moment = self.taken(record, service)
            if moment is not None:
                yield moment
            return
        for item, base in self._items(record, (), record):
            if self._done is None or self._done(item, base, record).value is True:
                yield self._at(item, base, record).value

    def taken(self, record: Object, service: Service) -> Any:
        """When this record's backup of the service was done (text), None where it is of another or is not done."""
        named = _label(record, self._label) if self._label is not None else None
        if self._of is not None and named is None:
            named = self._of(record, (), record).value
        if self._of_group is not None:
            group = self._of_group(record, (), record).value
            named = service.name if isinstance(group, str) and group in service.groups_by_name else None
        if named != service.name:
            return None
        if self._done is not None and self._done(record, (), record).value is not True:
            return None
        return self._at(record, (), record).value


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


def _rows(spec: Any, where: str, known: tuple[str, ...]) -> None:
    if not isinstance(spec, Mapping):
        raise GrammarError(f"{where}: a mapping is wanted, not {type(spec).__name__}")
    stray = sorted(set(spec) - set(known))
    if stray:
        raise GrammarError(f'{where}: unknown field "{stray[0]}"; there are {", ".join(known)}')


def _claims(spec: Any, where: str) -> Mapping[str, Any]:
    """How claims tell whose they are.

    `label` names the service, `group` its group (one label, or several). Which volume a claim is of: `names` are the
    beginnings of names before the member's number, `like` whole names with `*` for anything (where the number is not at
    the end, or there is none), both with {service}, {group}, {volume}; `role` is a label; `named: volume` says that the
    claim's name is the volume's.
    """
    if spec is None:
        return {}
    _rows(spec, where, ("label", "group", "names", "like", "role", "named"))
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


def _compared(content: Mapping[str, Any]) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    found: dict[str, set[Path]] = {}

    def walk(section: str, spec: Any) -> None:
        if isinstance(spec, str):
            found.setdefault(section, set()).add(paths.parse(spec))
        elif isinstance(spec, list):
            for one in spec:
                walk(section, one)
        elif isinstance(spec, Mapping):
            listed = spec.get("each", spec.get("eachOf"))
            if listed is not None:
                walk(section, re.split(r"\[\]|\{\}", listed)[0])
                return
            if "condition" in spec:
                walk(section, "status.conditions")
            if "within" in spec:
                walk(section, spec["within"].partition("[]")[0])
                return
            for key in (
                "path",
                "root",
                "find",
                "every",
                "firstOf",
                "all",
                "when",
                "image",
                "text",
                "catalog",
                "store",
                "server",
            ):
                if key in spec:
                    walk(section, spec[key])

    for slot in (
        "version",
        "running",
        "finalised",
        "pod",
        "template",
        "deletesClaims",
        "archives",
        "sources",
        "mode",
        "backup",
        "oneClaim",
    ):
        if slot in content and not (slot == "mode" and isinstance(content[slot], str)):
            walk(slot, content[slot])
    for row in (*(content.get("agree") or ()), *(content.get("apart") or ()), *(content.get("together") or ())):
        walk("pairs", row["one"])
        walk("pairs", row["other"])
    for row in content.get("fixed") or ():
        walk("fixed", row if "each" in row or "eachOf" in row else row["field"])
    for row in content.get("unsafe") or ():
        walk("unsafe", row if "each" in row or "eachOf" in row else row["test"])
    for name, spec in (content.get("values") or {}).items():
        walk(f"values.{name}", spec)
    for spec in (content.get("placement") or {}).values():
        walk("placement", spec)
    for group in content.get("groups") or ():
        if "join" in group:
            continue
        if "each" in group or "eachOf" in group:
            # What lies in a list is one part: members and volumes of the groups in it.
            walk("members", group)
            walk("volumes", group)
        walk("members", group.get("when"))
        below = "root" if "each" in group or "eachOf" in group else "all"
        for slot in ("members", "voters", "nonvoters", "roles"):
            _walk_group("members", group.get(slot), below, walk)
        for volume in group.get("volumes") or ():
            if "each" in volume or "eachOf" in volume:
                _walk_group("volumes", volume, below, walk)
                continue
            for slot in ("when", "class", "size", "modes", "ephemeral"):
                _walk_group("volumes", volume.get(slot), below, walk)
    parts: dict[Path, list[str]] = {}
    for section, steps in sorted(found.items()):
        for path in steps:
            parts.setdefault(path, []).append(section)
    return tuple((path, tuple(sections)) for path, sections in parts.items())


def _walk_group(section: str, spec: Any, below: str, walk: Callable[[str, Any], None]) -> None:
    """Inside a list only what is told from the root is a path of the object; the rest is covered by the list's own."""
    if below == "all":
        walk(section, spec)
        return
    if isinstance(spec, list):
        for one in spec:
            _walk_group(section, one, below, walk)
    elif isinstance(spec, Mapping):
        if "root" in spec:
            walk(section, spec["root"])
        for key in ("firstOf", "when"):
            if key in spec:
                _walk_group(section, spec[key], below, walk)
