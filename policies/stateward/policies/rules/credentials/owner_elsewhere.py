"""SW604: an object names an owner that lives in another namespace."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.adapters.catalogue import ADAPTERS
from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Sight, accuses, items_of, kind_of, metadata_of, text_of


@rule(
    id="SW604",
    name="owner-elsewhere",
    summary="An object is created with an owner that lives in another namespace",
    why="Owners are looked for in the object's own namespace. The garbage collector takes one that is not there for gone, "
    "and what it remembers of that owner's uid then counts for everything that it owns.",
    remedy="Leave metadata.ownerReferences out of a copy.",
    source="Kubernetes documentation, Garbage Collection: cross-namespace owner references are disallowed by design; "
    "kubernetes/kubernetes issues on wrongly collected children",
    nature="state",
    judges=objects("Secret", "ConfigMap", "PersistentVolumeClaim", on=("CREATE", "UPDATE")),
    loses_data=True,
)
def owner_elsewhere(change: Change, see: Sight) -> Iterator[Finding]:
    """Owners of kinds with an adapter that are known to be elsewhere and not here."""
    item = change.new_object if change.new is None else change.request.object
    namespace = change.request.namespace
    for index, reference in enumerate(items_of(dict(metadata_of(item or {})), "ownerReferences")):
        kind = kind_of(reference.get("apiVersion"), reference.get("kind"))
        adapter = ADAPTERS.get(kind)
        if adapter is None or not adapter.cached:
            continue
        known = see.select_declared(accuses(kind, "metadata"))
        uid, name = reference.get("uid"), text_of(reference, "name")
        same = [one for one in (known if known is not UNKNOWN else ()) if name_of(one) == name]
        same = [one for one in same if uid is None or metadata_of(one).get("uid") in (None, uid)]
        homes = {text_of(metadata_of(one), "namespace") for one in same}
        if homes and namespace not in homes:
            home = sorted(homes)[0]
            yield Finding(
                field=("metadata", "ownerReferences", index),
                text=f"{reference.get('kind')} {name} lives in namespace {home}, not in {namespace}",
                why="the garbage collector finds no such owner here, takes it for deleted and collects what it owns, "
                f"in {home} too",
                remedy="remove metadata.ownerReferences from the copy",
                subject=f"{kind}/{name}",
            )
