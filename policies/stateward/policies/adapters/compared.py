"""Which parts of the model an adapter file reads at which paths: an update concerns the rules about parts that differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from stateward.policies import paths
from stateward.policies.paths import Path


def compared(content: Mapping[str, Any]) -> tuple[tuple[Path, tuple[str, ...]], ...]:
    """Paths, and the parts of the model that are read from each."""
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
