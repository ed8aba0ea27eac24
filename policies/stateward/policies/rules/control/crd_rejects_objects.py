"""SW723: a new schema that refuses what is stored."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.paths import Path, render
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Look, Sight, items_of, mapping_of, metadata_of, text_of, texts_of

_DEEPEST: Final = 24
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


@rule(
    id="SW723",
    name="crd-rejects-objects",
    summary="A CRD's new schema refuses objects that are stored",
    why="What is stored stays, but every later write of it has to pass the new schema: the operator can no longer add a "
    "finalizer or write what it decides, and nobody can repair the object step by step.",
    remedy="Bring the objects into the new form first, or give the new field a default and keep the old values.",
    source="Kubernetes documentation, CustomResourceDefinitions: validation, validation ratcheting",
    nature="state",
    action="warn",
    judges=objects("CustomResourceDefinition.apiextensions.k8s.io", on=("UPDATE",)),
)
def crd_rejects_objects(change: Change, see: Sight) -> Iterator[Finding]:
    """Types, required fields, enums, bounds and patterns; what CEL rules say is not known here."""
    spec = mapping_of(change.new_object or {}, "spec")
    versions = {text_of(one, "name"): one for one in items_of(spec, "versions")}
    kind = f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}"
    found = see.select_declared(Look(kind, True, ("spec",)))
    for item in found if found is not UNKNOWN else ():
        version = versions.get(text_of(item, "apiVersion").partition("/")[2], {})
        schema = mapping_of(mapping_of(version, "schema"), "openAPIV3Schema")
        inner = mapping_of(mapping_of(schema, "properties"), "spec")
        problem = next(_problems(item.get("spec"), inner, ("spec",)), None) if inner and "spec" in item else None
        if problem is not None:
            path, text = problem
            where = f"{text_of(metadata_of(item), 'namespace')}/{name_of(item)}".lstrip("/")
            yield Finding(
                field=("spec", "versions"),
                text=f"the schema of {text_of(version, 'name')} refuses {render(path)} of {where}: {text}",
                why=f"{kind.partition('.')[0]} {name_of(item)} is stored so; the next write of it fails, its operator's too",
                remedy="bring it into the new form first, or give the new field a default and keep the old values",
                subject=f"{where}:{render(path)}",
            )
            return


def _problems(value: Any, schema: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, str]]:
    if len(path) > _DEEPEST or (value is None and schema.get("nullable") is True):
        return
    problem = _own(value, schema)
    if problem:
        yield path, problem
        return
    if isinstance(value, dict):
        known, extra = mapping_of(schema, "properties"), schema.get("additionalProperties")
        for name in texts_of(schema, "required"):
            if name not in value and "default" not in mapping_of(known, name):
                yield (*path, name), "it is required and not there"
        for key, inner in value.items():
            if key in known:
                yield from _problems(inner, mapping_of(known, key), (*path, key))
            elif isinstance(extra, dict):
                yield from _problems(inner, extra, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _problems(inner, mapping_of(schema, "items"), (*path, index))


def _own(value: Any, schema: Mapping[str, Any]) -> str:
    """What is wrong with a value itself, "" where nothing is. Values are not shown: a schema says what it wants."""
    wanted = schema.get("type")
    types = _TYPES.get(wanted) if isinstance(wanted, str) else None
    fits = types is None or (isinstance(value, types) and (wanted == "boolean" or not isinstance(value, bool)))
    if not fits and not schema.get("x-kubernetes-int-or-string"):
        return f"it is no {wanted}"
    enum = schema.get("enum")
    if isinstance(enum, list) and value not in enum:
        return f"it is none of {', '.join(str(one) for one in enum[:6])}{', …' if len(enum) > 6 else ''}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        least, most = schema.get("minimum"), schema.get("maximum")
        if isinstance(least, int | float) and value < least:
            return f"it is below {least}"
        if isinstance(most, int | float) and value > most:
            return f"it is above {most}"
    if isinstance(value, str):
        longest, pattern = schema.get("maxLength"), schema.get("pattern")
        if isinstance(longest, int) and len(value) > longest:
            return f"it is longer than {longest} characters"
        if isinstance(pattern, str) and not _matches(pattern, value):
            return f"it does not match {pattern}"
    most = schema.get("maxItems")
    return (
        f"it has more than {most} items" if isinstance(value, list) and isinstance(most, int) and len(value) > most else ""
    )


def _matches(pattern: str, value: str) -> bool:
    """Whether a pattern matches; a pattern that is long or that Python cannot read counts as one that does."""
    if len(pattern) > 200 or len(value) > 200 or re.search(r"[+*}]\)?[+*{]", pattern):
        return True
    try:
        return re.search(pattern, value) is not None
    except re.error:
        return True
