"""What an adapter reads of an object: every part of the service with its value and the field that it came from.

For whoever writes an adapter, or wonders what Stateward makes of an object. Names, numbers, sizes, classes and versions
are shown; of what may hold anything (a fixed field, a Secret) only where it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click

from stateward.cli import inputs, manifests
from stateward.policies import quantity, settings
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.model import EngineVersion, Field, MemberGroup, Service, Volume
from stateward.policies.paths import Path, render
from stateward.policies.view import UNKNOWN, Kind, MemoryView, kind_of_object, nothing_complete

WRONG_TYPE = "of a wrong type"


class Part(NamedTuple):
    """One part of a service."""

    part: str
    value: Any
    """None: nothing is there."""
    path: Path
    said: str = ""
    """The value in words, where it is not shown as it is."""


def show(path: str, adapters: Mapping[Kind, Adapter], style: str) -> None:
    """Prints what is read of the objects of a file or folder that these adapters are for."""
    loaded = manifests.load([path])
    for problem in loaded.problems:
        click.echo(f"error: {inputs.where(problem)}: {problem.message}", err=True)
    if loaded.problems:
        raise SystemExit(2)
    view = MemoryView([one.object for one in loaded.documents], nothing_complete)
    found = [
        (one, adapters[kind_of_object(one.object)]) for one in loaded.documents if kind_of_object(one.object) in adapters
    ]
    if not found:
        kinds = ", ".join(sorted({kind_of_object(one.object) for one in loaded.documents})) or "nothing"
        inputs.stop(f"{path}: {kinds}: no adapter is for it; `stateward adapters` lists them, --policy adds your own")
    rows = [(one, Service(adapter, one.object, view)) for one, adapter in found]
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps({"format": "stateward-trial/v1", "objects": [_as_json(*row) for row in rows]}), nl=False)
        return
    for number, row in enumerate(rows):
        click.echo("\n" * bool(number) + "\n".join(_as_text(*row)))


def _as_json(document: manifests.Document, service: Service) -> dict[str, Any]:
    return {
        "file": document.source,
        "kind": service.kind,
        "namespace": service.namespace,
        "name": service.name,
        "adapter": service.adapter.name,
        "isService": service.adapter.applies(service.object),
        "parts": [{"part": one.part, "value": _plain(one), "field": render(one.path)} for one in parts(service)],
    }


def _plain(one: Part) -> Any:
    return one.said or (None if one.value is UNKNOWN else one.value)


def _as_text(document: manifests.Document, service: Service) -> Iterator[str]:
    yield click.style(service.title, bold=True) + f" (adapter {service.adapter.name}, {document.source})"
    if not service.adapter.applies(service.object):
        yield "  is no stateful service by the adapter's `only`"
    rows = list(parts(service))
    width = max(len(one.part) for one in rows)
    values = [_value(one) for one in rows]
    room = min(max(map(len, values)), 40)
    for one, value in zip(rows, values, strict=True):
        shown = click.style(value, dim=one.value is None, fg="red" if one.value is UNKNOWN else None)
        field = f"{' ' * (room - len(value))}  {render(one.path)}" if one.path else ""
        yield f"  {one.part.ljust(width)}  {shown}{field}"


def _value(one: Part) -> str:
    if one.value is None:
        return "nothing"
    if one.value is UNKNOWN:
        return WRONG_TYPE
    if one.said:
        return one.said
    if isinstance(one.value, bool):
        return str(one.value).lower()
    if isinstance(one.value, list):
        return ", ".join(map(str, one.value)) or "an empty list"
    return str(one.value)


def parts(service: Service) -> Iterator[Part]:
    """All that the adapter reads of a service."""
    yield _engine(service)
    yield _version("version", service.version)
    for slot, found in (("running", service.running), ("finalised", service.finalised)):
        if found is not None or slot in service.adapter.content:
            yield Part(slot, found.text if found is not None else None, ())
    if service.mode:
        yield Part("mode", service.mode, ())
    for group in service.groups:
        yield from _group(service, group)
    if not service.groups:
        yield Part("groups", None, ())
    for slot in ("deletesClaims", "stopped", "paused", "backup", "growth"):
        if slot in service.adapter.content:
            yield _field(slot, service.field(slot))
    yield from _placement(service)
    for name, rows in (("archive", service.archives), ("source", service.sources)):
        yield from (Part(name, settings.address(one.store), one.path) for one in rows)
    for ref in service.secrets:
        yield Part(f"secret ({ref.role})", ref.name, ref.path)
    for one in service.fixed.values():
        yield Part("fixed", one.value if one.value is None else True, one.path, one.what)
    for row in service.unsafe:
        yield Part("unsafe", True, row.path, row.what)


def _engine(service: Service) -> Part:
    if service.engine is not None:
        return Part("engine", service.engine.name, ("metadata", "annotations") if service.override.names_engine else ())
    if service.supposed_engine is not None:
        name = service.supposed_engine.name
        return Part("engine", name, (), f"{name}, perhaps (by label or port)")
    return Part("engine", None, ())


def _version(part: str, found: EngineVersion) -> Part:
    if found.state == "known" and found.version is not None:
        return Part(part, found.version.text, found.path)
    if found.state == "opaque":
        return Part(part, found.text, found.path, "there, but not readable")
    return Part(part, None, found.path)


def _field(part: str, found: Field) -> Part:
    value = found.value
    return Part(part, value, found.path, "a mapping" if isinstance(value, Mapping) else "")


def _group(service: Service, group: MemberGroup) -> Iterator[Part]:
    base = f"{group.name}."
    yield _field(f"{base}members", group.members)
    for slot, found in (("ready", group.ready), ("nonvoters", group.nonvoters), ("roles", group.roles)):
        if found.value is not None:
            yield _field(f"{base}{slot}", found)
    if group.voters is not None:
        yield Part(f"{base}voters", group.voters, ())
    for volume in group.volumes:
        yield from _volume(service, group, volume)


def _volume(service: Service, group: MemberGroup, volume: Volume) -> Iterator[Part]:
    base = f"{group.name}.{volume.name}."
    klass = volume.storage_class
    yield Part(
        f"{base}class",
        klass.value if klass.value is not None else "",
        klass.path,
        "" if klass.value else "the default class",
    )
    size = volume.size
    said = "" if volume.bytes is not None or size.value is None else f"{size.value} is no quantity"
    yield Part(f"{base}size", size.value, size.path, said or (quantity.bytes_text(volume.bytes) if volume.bytes else ""))
    for slot, found in (("modes", volume.modes), ("ephemeral", volume.ephemeral), ("leaves", volume.leaves)):
        if found.value is not None:
            yield _field(f"{base}{slot}", found)
    names = [f"{beginning}0" for beginning in service.adapter.claim_beginnings(service, group.name, volume.name)]
    if names:
        yield Part(f"{base}claim", " or ".join(names), ())


def _placement(service: Service) -> Iterator[Part]:
    placement = service.placement
    if placement.required:
        yield Part("spread", list(placement.required), placement.path)
    if placement.preferred:
        yield Part("spread, if possible", list(placement.preferred), placement.path)
    if placement.node_selector:
        yield Part("nodeSelector", sorted(placement.node_selector), placement.selector_path)
