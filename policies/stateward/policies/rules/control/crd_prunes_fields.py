"""SW701: a new schema that forgets what stored objects say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.kinds import is_service
from stateward.policies.paths import render
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Look, Sight, items_of, mapping_of, text_of

_TELLING: Final = re.compile(
    r"storage|volume|claim|pvc|disk|data|persist|backup|restore|archive|replica|member|instance|node|pool|shard|"
    r"licen[cs]e|secret|password|credential|tls|cert|image|version|size|class|pod|template|config",
    re.IGNORECASE,
)
"""Names of fields that say where data lies, how many members hold it, and what they run with."""

_KEEP = "x-kubernetes-preserve-unknown-fields"


@rule(
    id="SW701",
    name="crd-prunes-fields",
    summary="A CRD's new schema drops fields that stored objects use",
    why="The API server prunes what the schema does not know at the next write: the operator then sees an object without "
    "its volumes, its licence, its storage, and acts on it.",
    remedy="Keep the fields, or x-kubernetes-preserve-unknown-fields, until every object was migrated.",
    source="Kubernetes documentation, CustomResourceDefinitions: field pruning",
    nature="state",
    judges=objects("CustomResourceDefinition.apiextensions.k8s.io", on=("UPDATE",)),
    looks_at=(),
    loses_data=True,
)
def crd_prunes_fields(change: Change, see: Sight) -> Iterator[Finding]:
    """The stored version's schema against the objects that are known whole.

    It refuses where a service loses what says where its data lies or what runs it; what else is forgotten, it warns of.
    """
    crd = change.new_object
    if crd is None:
        return
    spec = mapping_of(crd, "spec")
    kind = f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}"
    versions = [one for one in items_of(spec, "versions") if one.get("served") is True]
    if not versions:
        return
    found = see.select_declared(Look(kind, True, ("spec",)))
    if found is UNKNOWN:
        return
    for item in found:
        served = text_of(item, "apiVersion").partition("/")[2]
        version = next((one for one in versions if one.get("name") == served), versions[0])
        schema = mapping_of(mapping_of(version, "schema"), "openAPIV3Schema")
        if not schema:
            continue
        lost = list(_pruned({"spec": item.get("spec")}, schema, ()))
        if lost:
            shown = ", ".join(render(path) for path in lost[:4])
            yield Finding(
                field=("spec", "versions"),
                text=f"the schema of {text_of(version, 'name')} does not know {shown}"
                + (f" and {len(lost) - 4} more" if len(lost) > 4 else ""),
                why=f"{kind.partition('.')[0]} {name_of(item)} uses them; the API server prunes them at the next write and "
                "its operator acts on what is left",
                remedy=f"keep these fields in the schema (or {_KEEP}: true at spec) until every object was migrated",
                subject=f"{name_of(item)}:{shown}",
                weak=not (is_service(kind, item) and any(_TELLING.search(render(path)) for path in lost)),
            )
            return


def _pruned(value: Any, schema: Mapping[str, Any], path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
    if schema.get(_KEEP) is True or len(path) > 24:
        return
    if type(value) is dict:
        known = mapping_of(schema, "properties")
        extra = schema.get("additionalProperties")
        for key, inner in value.items():
            if key in known:
                yield from _pruned(inner, mapping_of(known, key), (*path, key))
            elif type(extra) is dict:
                yield from _pruned(inner, extra, (*path, key))
            elif extra is not True and inner is not None:
                yield (*path, key)
    elif type(value) is list:
        for index, inner in enumerate(value):
            yield from _pruned(inner, mapping_of(schema, "items"), (*path, index))
