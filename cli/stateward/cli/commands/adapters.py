"""`stateward adapters`: the kinds that are understood as services, and where each part of a service is read."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from stateward.cli import inputs, options
from stateward.cli.table import table
from stateward.policies import data
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS

EPILOG: Final = """\
\b
Examples:
  stateward adapters                     all, a line each
  stateward adapters strimzi-kafka       one in full: which field is read for what
  stateward adapters Kafka               the same, by kind
  stateward adapters -f json             for programs
"""
WIDTH: Final = 110
_FOLDER: Final = "adapters/data"
_ELSEWHERE: Final = frozenset(
    ("adapter", "match", "resource", "scale", "engine", "upgrades", "unpinned", "joins", "join", "bypass")
)
"""Sections that are no fields of the object itself."""


@click.command("adapters", epilog=EPILOG)
@click.argument("name", required=False, shell_complete=options.complete_kinds)
@options.format_option("text", "json")
def command(name: str | None, style: str) -> None:
    """List the kinds that are understood, and what is read of them. NAME, a name or a kind, shows one in full."""
    files = {content["adapter"]: (file, content) for file, content in data.folder(_FOLDER)}
    found = sorted(ADAPTERS.values(), key=lambda one: one.name)
    if name is not None:
        known = [one.name for one in found]
        found = [one for one in found if name.lower() in (one.name, one.match_kind.lower(), one.kind.lower(), one.resource)]
        if not found:
            inputs.stop(f'"{name}" is no adapter and no kind that one is for; there are {", ".join(known)}')
    rows = [described(one, *files[one.name]) for one in found if one.name in files]
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps({"format": "stateward-adapters/v1", "adapters": rows}), nl=False)
    elif name is not None:
        for row in rows:
            for line in _full(row):
                click.echo(line)
    else:
        head = ("NAME", "KIND", "GROUP", "ENGINE", "SCALE", "READS", "FILE")
        cells = [
            (
                row["name"],
                row["kind"],
                row["group"] or "-",
                row["engine"],
                "yes" if row["scale"] else "no",
                _width_limited(", ".join(dict.fromkeys(part.partition(".")[0] for part in row["reads"]))),
                row["file"].rpartition("/")[2],
            )
            for row in rows
        ]
        click.echo(table(head, cells))


def _width_limited(text: str, width: int = 66) -> str:
    return textwrap.shorten(text, width, placeholder=" …")


def described(adapter: Adapter, file: str, content: Mapping[str, Any]) -> dict[str, Any]:
    """An adapter as JSON values; `reads`: part of a service → the fields that it is read from."""
    engine = content.get("engine")
    joins = {name: dict(join) for name, join in (content.get("join") or {}).items()}
    return {
        "name": adapter.name,
        "kind": adapter.match_kind,
        "group": adapter.group,
        "resource": adapter.resource,
        "engine": engine if isinstance(engine, str) else ("of its hub" if adapter.hub else "from image and command"),
        "upgrades": adapter.carries_majors,
        "scale": content.get("scale") or "",
        "reads": reads(content),
        "joins": joins,
        "joinedTo": dict(adapter.hub) if adapter.hub else None,
        "file": f"{_FOLDER}/{file}",
    }


def reads(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Part of a service (version, members, volumes.class) → the paths that it is read from, in the order of the file."""
    found: dict[str, dict[str, None]] = {}

    def put(part: str, spec: Any, base: str) -> None:
        for path in paths(spec):
            found.setdefault(part, {})[f"{base}{path}"] = None

    for section, spec in content.items():
        if section in _ELSEWHERE:
            continue
        if section == "groups":
            for group in spec:
                _group(group, put)
        elif section == "values" or section == "placement":
            for slot, expression in spec.items():
                put(slot if section == "values" else f"placement.{slot}", expression, "")
        elif section in ("archives", "sources"):
            for archive in spec:
                base = f"{archive['each']}[]." if "each" in archive else ""
                for slot in ("store", "server"):
                    put(f"{section}.{slot}", archive.get(slot), base)
        else:
            put(section, spec, "")
    return {part: list(paths_of) for part, paths_of in found.items()}


def _group(group: Mapping[str, Any], put: Any) -> None:
    base = f"({group['join']}) " if "join" in group else ""
    base += f"{group['each']}[]." if "each" in group else ""
    for slot in ("members", "voters", "roles", "ready"):
        put(slot, group.get(slot), base)
    for volume in group.get("volumes") or ():
        inner = base + (f"{volume['each']}[]." if "each" in volume else "")
        for slot in ("class", "size", "modes", "ephemeral"):
            put(f"volumes.{slot}", volume.get(slot), inner)


def paths(spec: Any) -> Iterator[str]:
    """The paths in an expression of the adapters' grammar."""
    if isinstance(spec, str):
        yield spec
    elif isinstance(spec, list):
        for one in spec:
            yield from paths(one)
    elif isinstance(spec, Mapping):
        for word in ("path", "firstOf", "image", "text", "catalog"):
            if word in spec:
                yield from paths(spec[word])


def _full(row: Mapping[str, Any]) -> Iterator[str]:
    group = f".{row['group']}" if row["group"] else ""
    yield click.style(row["name"], bold=True) + f" ({row['kind']}{group})"
    yield from _labelled("engine", row["engine"])
    who = "the operator" if row["upgrades"] == "operator" else "nobody: a new image meets the old data"
    yield from _labelled("majors", f"carried over by {who}")
    yield from _labelled("scale", row["scale"] or "no scale subresource")
    for name, join in row["joins"].items():
        yield from _labelled("joins", f"{name}: {join['kind']} by label {join['label']}")
    if row["joinedTo"]:
        yield from _labelled("belongs to", f"{row['joinedTo']['kind']} by label {row['joinedTo']['label']}")
    yield from _labelled("file", row["file"])
    yield click.style("\nreads", bold=True)
    width = max((len(part) for part in row["reads"]), default=0)
    for part, where in row["reads"].items():
        lead = f"  {part.ljust(width)}  "
        yield from textwrap.wrap(
            ", ".join(where), WIDTH, initial_indent=lead, subsequent_indent=" " * len(lead), break_on_hyphens=False
        )


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{label:<11}", subsequent_indent=" " * 11) if text else []
