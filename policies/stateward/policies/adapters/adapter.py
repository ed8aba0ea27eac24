"""An adapter: one kind of object read as a Service. Made from a file in `data/` (or a user's own)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from stateward.policies import paths, version
from stateward.policies.adapters import derive
from stateward.policies.adapters.grammar import GrammarError, Reader, compile_expression, each_item, nothing
from stateward.policies.engines import recognise
from stateward.policies.engines.profile import Profile
from stateward.policies.model import (
    Archive,
    EngineVersion,
    Field,
    GroupFields,
    MemberGroup,
    Placement,
    Service,
    Volume,
)
from stateward.policies.paths import Path
from stateward.policies.version import Version
from stateward.policies.view import UNKNOWN, Kind, Look, Object, Unknown, accuses, kind_of, metadata_of, text_of

_KNOWN: Final = frozenset(
    (
        *("adapter", "match", "resource", "scale", "engine", "upgrades", "pod", "template", "version", "running"),
        *("finalised", "mode", "groups", "join", "joins", "claims", "deletesClaims", "placement", "values", "archives"),
        *("sources", "looksAt", "bypass", "unpinned"),
    )
)


class Adapter:
    """One compiled adapter. Raises GrammarError (a ValueError) naming file, field and reason."""

    def __init__(self, source: str, content: Any) -> None:
        if not isinstance(content, Mapping):
            raise GrammarError(f"{source}: a mapping is wanted")
        stray = sorted(set(content) - _KNOWN)
        if stray:
            raise GrammarError(f'{source}: unknown field "{stray[0]}"; an adapter has {", ".join(sorted(_KNOWN))}')
        for needed in ("adapter", "match", "resource"):
            if needed not in content:
                raise GrammarError(f'{source}: "{needed}" is missing')
        self.source = source
        self.name: str = content["adapter"]
        match = content["match"]
        self.group: str = match.get("group", "")
        self.match_kind: str = match["kind"]
        self.kind: Kind = kind_of(f"{self.group}/v1" if self.group else "v1", self.match_kind)
        self.resource: str = content["resource"]
        self.scale_path: Path | None = paths.parse(content["scale"]) if "scale" in content else None
        self.hub: Mapping[str, str] | None = content.get("joins")
        """Set on an adapter of joined objects (a node pool): {kind, label} of the hub that they belong to."""
        self.carries_majors: str = content.get("upgrades", "image")
        """Who carries a new major over to the data: `image` (nobody: a plain swap) or `operator`."""
        self.bypass: Sequence[Mapping[str, Any]] = content.get("bypass") or ()
        self.unpinned: str = content.get("unpinned", "kept")
        """What an unset version means: `kept` (the operator writes its default down at once) or `operator` (the engine
        follows the operator's version)."""
        self._joins: Mapping[str, Mapping[str, str]] = content.get("join") or {}
        self._slots: dict[str, Reader] = {}
        self._engine = content.get("engine")
        self._claims = content.get("claims") or {}
        self._version = self._versions(content.get("version"), "version")
        self._running = self._versions(content.get("running"), "running")
        self._finalised = (
            compile_expression(content["finalised"], f"{source}: finalised") if "finalised" in content else None
        )
        self._mode: str = content.get("mode") or ""
        self.looks_at: tuple[Look, ...] = tuple(accuses(*entry) for entry in content.get("looksAt") or ())
        if "pod" in content:
            self._slots["pod"] = compile_expression(content["pod"], f"{source}: pod", dict)
        if "deletesClaims" in content:
            self._slots["deletesClaims"] = compile_expression(content["deletesClaims"], f"{source}: deletesClaims")
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
        self.compared: tuple[tuple[Path, tuple[str, ...]], ...] = _compared(content)
        """Paths, and the parts of the model that are read from each: where no path of a part differs, nor does the part."""

    def __repr__(self) -> str:
        return f"<Adapter {self.name}>"

    # --- what a Service asks of it -------------------------------------------------------------------------------

    def read(self, slot: str, service: Service) -> Field:
        """A slot of an object; `Field(None, ())` where the adapter has none of that name."""
        return self._slots.get(slot, nothing)(service.object, ())

    def join(self, name: str, service: Service) -> Sequence[Object] | Unknown:
        """The objects that carry the hub's name in the join's label; unknown where the kind is."""
        join = self._joins.get(name)
        if join is None:
            return ()
        found = service.view.select(join["kind"], service.namespace)
        if found is UNKNOWN:
            return UNKNOWN
        return [item for item in found if _label(item, join["label"]) == service.name]

    def engine(self, service: Service) -> Profile | None:
        """The engine's profile: stated by the adapter, or recognised from the pod."""
        if isinstance(self._engine, str):
            return recognise.PROFILES.get(self._engine)
        found = _recognised(service)
        return found[1].profile if found is not None else None

    def engine_certain(self, service: Service) -> bool:
        """Whether the kind, the image or the command says which engine it is."""
        if isinstance(self._engine, str):
            return True
        found = _recognised(service)
        return found is not None and found[1].strong

    def container_index(self, service: Service) -> int | None:
        """The engine's container in the pod."""
        found = _recognised(service)
        return found[0] if found is not None else None

    def version(self, service: Service) -> EngineVersion:
        """The version that the object asks for."""
        if self._version is None:
            found = _recognised(service)
            if found is None:
                return EngineVersion("unset", None, "", service.field("pod").path)
            index, what = found
            path = (*service.field("pod").path, "containers", index, "image")
            return EngineVersion(what.state, what.version, what.text, path)
        return self._version(service)

    def running(self, service: Service) -> Version | None:
        """The version that the object's status reports, or (native sets) that of the revision still current."""
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
        compute = derive.MODES.get(self._mode) if self._mode else derive.mode_of_pod
        return compute(service) if compute is not None else ""

    def groups(self, service: Service) -> tuple[MemberGroup, ...]:
        """The member groups."""
        found: list[MemberGroup] = []
        for reader in self._groups:
            found.extend(reader.read(service))
        return tuple(found)

    def placement(self, service: Service) -> Placement:
        """Where members may run."""
        slots = self._slots
        if "placement.pod" in slots or "pod" in slots:
            field = service.field("placement.pod" if "placement.pod" in slots else "pod")
            return derive.placement_of_pod(field.value if type(field.value) is dict else {}, field.path)
        selector = service.field("placement.nodeSelector")
        affinity = service.field("placement.nodeAffinity")
        key = service.field("placement.topologyKey").value
        keys = (key,) if isinstance(key, str) and service.field("placement.antiAffinity").value is not False else ()
        hard = service.field("placement.antiAffinityRequired").value is True
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

    # --- claims --------------------------------------------------------------------------------------------------

    def owns_claim(self, service: Service, claim: Object) -> bool:
        """Whether a claim of the same namespace holds this service's data."""
        label = self._claims.get("label")
        if label is not None:
            return _label(claim, label) == service.name
        return any(self.claim_is_of(service, group, volume, claim) for group in service.groups for volume in group.volumes)

    def claim_is_of(self, service: Service, group: MemberGroup, volume: Volume, claim: Object) -> bool:
        """Whether a claim was made for this kind of volume."""
        role = self._claims.get("role")
        if role is not None:
            label = _label(claim, role["label"])
            wanted = role["of"].get(volume.name, role["of"].get("*"))
            named = label == wanted or (label is None and volume.name == role.get("missing"))
            owner = self.claim_label
            return named and (owner is None or _label(claim, owner) == service.name)
        return self.ordinal(service, group.name, volume.name, claim) is not None

    def ordinal(self, service: Service, group: str, volume: str, claim: Object) -> int | None:
        """The member's number at the end of a claim's name, None where the name is not made by this service."""
        name = text_of(metadata_of(claim), "name")
        for pattern in self._claims.get("names") or ():
            prefix = pattern.format(service=service.name, group=group, volume=volume)
            tail = name.removeprefix(prefix)
            if tail != name and tail.isascii() and tail.isdigit() and len(tail) < 6:
                return int(tail)
        return None

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
        readers: list[tuple[str, Reader]] = []
        for index, row in enumerate(spec if isinstance(spec, list) else [spec]):
            form, expression = next(iter(row.items()))
            if form not in ("image", "text", "catalog"):
                raise GrammarError(f'{self.source}: {where}[{index}]: "{form}" is none of image, text, catalog')
            readers.append((form, compile_expression(expression, f"{self.source}: {where}[{index}]")))

        def read(service: Service) -> EngineVersion:
            path: Path = ()
            for form, reader in readers:
                value, at = reader(service.object, ())
                path = path or at
                if value is None:
                    continue
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
        return recognise_tag(text, at)
    parsed = version.parse(text)
    return EngineVersion("known" if parsed is not None else "opaque", parsed, text, at)


def recognise_tag(reference: str, at: Path) -> EngineVersion:
    """The version in an image's tag, whatever the image is called."""
    from stateward.policies import images

    image = images.parse(reference)
    parsed = version.parse(image.tag) if image.tag else None
    if parsed is not None:
        return EngineVersion("known", parsed, image.tag, at)
    return EngineVersion("opaque", None, image.tag or image.digest, at)


def _label(item: Object, label: str) -> str | None:
    labels = metadata_of(item).get("labels")
    value = labels.get(label) if type(labels) is dict else None
    return value if isinstance(value, str) else None


def _recognised(service: Service) -> tuple[int, recognise.Recognised] | None:
    cached = service.__dict__.get("_recognised", False)
    if cached is not False:
        return cached  # type: ignore[no-any-return]
    found = recognise.recognise_pod(service.pod) if service.pod else None
    service.__dict__["_recognised"] = found
    return found


class _VolumeReader:
    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item(spec, where)
        self._name = compile_expression(spec["name"], f"{where}.name")
        self._fields: dict[str, Reader] = {
            slot: compile_expression(spec[slot], f"{where}.{slot}", wanted) if slot in spec else nothing
            for slot, wanted in (
                ("class", str),
                ("size", None),
                ("modes", list),
                ("ephemeral", bool),
                ("labels", dict),
            )
        }

    def read(self, item: Any, base: Path, on: Object) -> list[Volume]:
        found: list[Volume] = []
        for one, at in self._items(item, base):
            name = self._name(one, at).value
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
            for item, base in self._items(owner, ()):
                name = self._name(item, base).value
                if isinstance(name, str):
                    found.append(MemberGroup(name, item, base, self._fields, owner))
        return found


class _ArchiveReader:
    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item({key: spec[key] for key in ("each", "when") if key in spec}, where)
        self._store = compile_expression(spec["store"], f"{where}.store", str)
        self._server = compile_expression(spec["server"], f"{where}.server", str) if "server" in spec else nothing
        self._only = compile_expression(spec["only"], f"{where}.only") if "only" in spec else None
        self._named = compile_expression(spec["named"], f"{where}.named") if "named" in spec else None

    def read(self, service: Service) -> list[Archive]:
        found: list[Archive] = []
        only = self._only(service.object, ()).value if self._only is not None else None
        for item, base in self._items(service.object, ()):
            if self._named is not None and self._named(item, base).value != only:
                continue
            store, at = self._store(item, base)
            server = self._server(item, base).value
            if isinstance(store, str):
                found.append(Archive(store, server if isinstance(server, str) else service.name, at))
        return found


def _compared(content: Mapping[str, Any]) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    found: dict[str, set[Path]] = {}

    def walk(section: str, spec: Any) -> None:
        if isinstance(spec, str):
            found.setdefault(section, set()).add(paths.parse(spec))
        elif isinstance(spec, list):
            for one in spec:
                walk(section, one)
        elif isinstance(spec, Mapping):
            if "each" in spec:
                walk(section, spec["each"])
                return
            for key in ("path", "firstOf", "when", "image", "text", "catalog", "store", "server"):
                if key in spec:
                    walk(section, spec[key])

    for slot in ("version", "running", "finalised", "pod", "template", "deletesClaims", "archives", "sources"):
        if slot in content:
            walk(slot, content[slot])
    for name, spec in (content.get("values") or {}).items():
        walk(f"values.{name}", spec)
    for spec in (content.get("placement") or {}).values():
        walk("placement", spec)
    for group in content.get("groups") or ():
        if "join" in group:
            continue
        walk("members", group.get("when"))
        for slot in ("members", "voters", "roles"):
            walk("members", group.get(slot))
        for volume in group.get("volumes") or ():
            if "each" in volume:
                walk("volumes", volume["each"])
                continue
            for slot in ("when", "class", "size", "modes", "ephemeral"):
                walk("volumes", volume.get(slot))
    parts: dict[Path, list[str]] = {}
    for section, steps in sorted(found.items()):
        for path in steps:
            parts.setdefault(path, []).append(section)
    return tuple((path, tuple(sections)) for path, sections in parts.items())
