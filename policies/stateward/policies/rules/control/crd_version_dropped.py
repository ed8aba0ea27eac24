"""SW719: a CRD gives up a version in which objects are stored or written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Look, Object, Sight, items_of, mapping_of, text_of, texts_of


@rule(
    id="SW719",
    name="crd-version-dropped",
    summary="A CRD drops a version in which objects of it are stored or served",
    why="An object stays in the version that it was last written in. Without that version the API server cannot read it, "
    "the operator lists nothing, and every manifest and client that names it fails.",
    remedy="Serve both versions, write every object once (storage version migration), take the old one out of "
    "status.storedVersions, and drop it in the end.",
    source="Kubernetes documentation, Versions in CustomResourceDefinitions: upgrading to a new stored version",
    nature="transition",
    judges=objects("CustomResourceDefinition.apiextensions.k8s.io", on=("UPDATE",)),
    loses_data=True,
)
def crd_version_dropped(change: Change, see: Sight) -> Iterator[Finding]:
    """A stored version that goes is refused; one that is merely served no longer warns, while objects exist."""
    old, new = change.old_object, change.new_object
    if old is None or new is None:
        return
    before, after = _versions(old), _versions(new)
    stored = texts_of(mapping_of(old, "status"), "storedVersions") or [
        name for name in before if before[name].get("storage")
    ]
    lost = [name for name in stored if name in before and name not in after]
    hidden = [name for name, one in before.items() if _served(one) and name not in lost and not _served(after.get(name, {}))]
    if not lost and not hidden:
        return
    spec = mapping_of(new, "spec")
    kind = f"{text_of(mapping_of(spec, 'names'), 'kind')}.{text_of(spec, 'group')}"
    found = see.select_declared(Look(kind, True, ()))
    if found is UNKNOWN or not found:
        return
    count = f"{len(found)} {kind.partition('.')[0]} object{'s' if len(found) > 1 else ''}"
    for name in lost[:1] or hidden[:1]:
        yield Finding(
            field=("spec", "versions"),
            text=f'"{name}" goes' + (f", in which {count} may be stored" if lost else f" from what is served, with {count}"),
            why="what is stored in it can no longer be read: the operator loses sight of its clusters"
            if lost
            else "manifests, operators and clients that still name it fail from now on",
            remedy="keep it in spec.versions (served: false) until every object was written in the new version and "
            "status.storedVersions names that alone"
            if lost
            else "serve it until everything that writes these objects names the new version",
            subject=name,
            weak=not lost,
        )


def _versions(crd: Object) -> dict[str, Mapping[str, Any]]:
    return {text_of(one, "name"): one for one in items_of(mapping_of(crd, "spec"), "versions")}


def _served(version: Mapping[str, Any]) -> bool:
    return version.get("served") is True
