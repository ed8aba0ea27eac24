"""`stateward adapters`: the kinds that are understood as services, where each part of a service is read, and what."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

import click

from stateward.cli import inputs, options
from stateward.cli.table import table
from stateward.policies.adapters.adapter import Adapter
from stateward.policies.adapters.catalogue import ADAPTERS

EPILOG: Final = """\
\b
Examples:
  stateward adapters                     all, a line each
  stateward adapters strimzi-kafka       one in full: which field is read for what
  stateward adapters Kafka               the same, by kind
  stateward adapters -f json             for programs
  stateward adapters --policy kinds.yaml       those of your own among them: checks what the policy says of them
  stateward adapters --policy kinds.yaml --try ledger.yaml     what is read of an object, and from which field

docs/adding-an-adapter.md says how one of your own is written. Exit codes: 0, or 2 where an input cannot be used.
"""
WIDTH: Final = 110
_FOLDER: Final = "adapters/data"
_SLOTS: Final = (
    *("version", "running", "finalised", "mode", "pod", "template", "ready"),
    *("stopped", "paused", "deletesClaims", "backup"),
)
_FIRST: Final = ("version", "members", "volumes", "running", "finalised", "pod", "deletesClaims", "voters", "roles")
_FORMS: Final = ("image", "text", "catalog")
"""How a version stands in a field."""
_ROWS: Final = {
    "archives": {"store": "archives.store", "server": "archives.server"},
    "sources": {"store": "sources.store", "server": "sources.server"},
    "secrets": {"name": "secrets"},
    "fixed": {"field": "fixed"},
    "unsafe": {"test": "unsafe"},
}
"""Sections that are lists of rows: what is read of each."""


class Put(Protocol):
    """Notes that a part is read by an expression, from a base on, of a joined object."""

    def __call__(self, part: str, spec: Any, base: str = "", joined: str = "") -> None:
        """Notes it."""
        ...


@click.command("adapters", epilog=EPILOG)
@click.argument("name", required=False, shell_complete=options.complete_kinds)
@inputs.policy_option
@click.option("--try", "tried", metavar="PATH", type=options.PATH, help="Show what is read of the objects there.")
@options.format_option("text", "json")
def command(name: str | None, policy_file: str | None, tried: str | None, style: str) -> None:
    """List the kinds that are understood, and what is read of them. NAME, a name or a kind, shows one in full."""
    inputs.read_policy(policy_file)
    found = sorted(ADAPTERS.values(), key=lambda one: one.name)
    if name is not None:
        known = list(dict.fromkeys(one.name for one in found))
        found = [one for one in found if name.lower() in (one.name, one.match_kind.lower(), one.kind.lower(), one.resource)]
        if not found:
            inputs.stop(f'"{name}" is no adapter and no kind that one is for; there are {", ".join(known)}')
    if tried is not None:
        from stateward.cli import trial

        trial.show(tried, {one.kind: one for one in found}, style)
        return
    rows = [described(one, policy_file) for one in found]
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
                row["engine"] if len(row["engine"]) < 32 else "from fields of the object",
                "yes" if row["scale"] else "no",
                _read_words(row["reads"]),
                row["file"].rpartition("/")[2],
            )
            for row in rows
        ]
        click.echo(table(head, cells))


def _read_words(reads: Mapping[str, list[str]]) -> str:
    """What is read, in a line: what matters most first."""
    parts = [part.partition(".")[0] for part, where in reads.items() if not all("= " in path for path in where)]
    parts.sort(key=lambda part: _FIRST.index(part) if part in _FIRST else len(_FIRST))
    return textwrap.shorten(", ".join(dict.fromkeys(parts)), 66, placeholder=" …")


def described(adapter: Adapter, policy_file: str | None) -> dict[str, Any]:
    """An adapter as JSON values; `reads`: part of a service → the fields that it is read from."""
    content = adapter.content
    own = adapter.kind in ADAPTERS.own
    joins = {name: dict(join) for name, join in (content.get("join") or {}).items()}
    return {
        "name": adapter.name,
        "kind": adapter.match_kind,
        "group": adapter.group,
        "resource": adapter.resource,
        "engine": _engine(adapter, content.get("engine")),
        "upgrades": adapter.carries_majors,
        "scale": content.get("scale") or "",
        "reads": reads(content),
        "joins": joins,
        "joinedTo": dict(adapter.hub) if adapter.hub else None,
        "own": own,
        "file": f"{policy_file}: {adapter.source}" if own else f"{_FOLDER}/{adapter.source}",
    }


def _engine(adapter: Adapter, spec: Any) -> str:
    """The engine's name, or where it is known from."""
    if isinstance(spec, str):
        return spec
    if isinstance(spec, Mapping):
        return f"from {', '.join(path for path in paths(spec) if not path.startswith('= '))}"
    return "of its hub" if adapter.hub else "from image and command"


def reads(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """Part of a service (version, members, volumes.class) → the paths that it is read from.

    In a path `[]` stands for every item of a list, `{}` for every value of a mapping; what is read from joined objects
    begins with their name in brackets, and `= 1` is a value that is no field's.
    """
    found: dict[str, dict[str, None]] = {}

    def put(part: str, spec: Any, base: str = "", joined: str = "") -> None:
        for path in paths(spec, base):
            found.setdefault(part, {})[f"{joined}{path}"] = None

    for slot in _SLOTS:
        # A mode may also be the name of a function that knows it.
        if not (slot == "mode" and isinstance(content.get(slot), str)):
            put(slot, content.get(slot))
    for group in content.get("groups") or ():
        _group(group, put)
    for name, expression in (content.get("values") or {}).items():
        put(name, expression)
    for slot, expression in (content.get("placement") or {}).items():
        put(f"placement.{slot}", expression)
    for section, slots in _ROWS.items():
        for row in content.get(section) or ():
            for slot, part in slots.items():
                put(part, row.get(slot), _base(row))
    return {part: list(where) for part, where in found.items()}


def _group(group: Mapping[str, Any], put: Put) -> None:
    joined = f"({group['join']}) " if "join" in group else ""
    base = _base(group)
    for slot in ("members", "voters", "roles", "ready"):
        put(slot, group.get(slot), base, joined)
    for volume in group.get("volumes") or ():
        for slot in ("class", "size", "modes", "ephemeral"):
            put(f"volumes.{slot}", volume.get(slot), base + _base(volume), joined)


def _base(row: Mapping[str, Any]) -> str:
    """Where the items of a list are, from where its paths count."""
    if "each" in row:
        return f"{row['each']}[]."
    return f"{row['eachOf']}{{}}." if "eachOf" in row else ""


def paths(spec: Any, base: str = "") -> Iterator[str]:
    """The paths in an expression of the adapters' grammar."""
    if isinstance(spec, str):
        yield f"{base}{spec}"
    elif isinstance(spec, list):
        for one in spec:
            yield from paths(one, base)
    elif isinstance(spec, Mapping):
        if "root" in spec:
            yield str(spec["root"])
        if "const" in spec:
            yield f"= {str(spec['const']).lower() if isinstance(spec['const'], bool) else spec['const']}"
        if "within" in spec:
            yield f"{spec['within']}[].{spec.get('path', '')}".rstrip(".")
            return
        if "condition" in spec:
            yield f"{base}status.conditions[{spec['condition']}]"
        for word in ("find", "every"):
            if word in spec:
                yield f"{base}{spec[word]}[].{spec.get('value', '')}".rstrip(".")
        for word in ("path", "firstOf", "all", *_FORMS):
            if word in spec:
                yield from paths(spec[word], base)


def _full(row: Mapping[str, Any]) -> Iterator[str]:
    group = f".{row['group']}" if row["group"] else ""
    yield click.style(row["name"], bold=True) + f" ({row['kind']}{group})"
    yield from _labelled("engine", row["engine"])
    who = "the operator" if row["upgrades"] == "operator" else "nobody: a new image meets the old data"
    yield from _labelled("majors", f"carried over by {who}")
    yield from _labelled("scale", row["scale"] or "no scale subresource")
    for name, join in row["joins"].items():
        yield from _labelled("joins", f"{name}: {join['kind']} {_by(join)}")
    if row["joinedTo"]:
        yield from _labelled("belongs to", f"{row['joinedTo']['kind']} by label {row['joinedTo']['label']}")
    yield from _labelled("file", row["file"])
    yield click.style("\nreads", bold=True)
    width = max((len(part) for part in row["reads"]), default=0)
    for part, where in row["reads"].items():
        for number, path in enumerate(where):
            yield f"  {(part if not number else '').ljust(width)}  {path}"


def _by(join: Mapping[str, str]) -> str:
    return f"by label {join['label']}" if "label" in join else f"by {join['of']}"


def _labelled(label: str, text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{label:<11}", subsequent_indent=" " * 11) if text else []
