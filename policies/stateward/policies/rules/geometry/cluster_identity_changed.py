"""SW802: what names the cluster on its disks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight, items_of, text_of


@rule(
    id="SW802",
    name="cluster-identity-changed",
    summary="A setting that names the cluster on its disks is changed",
    why="Each member compares the name on its disk with the one it is given and refuses to start when they differ; new "
    "members found a cluster of their own.",
    remedy="Keep the value, and the Secret or ConfigMap that it comes from.",
    source="Apache Kafka documentation, kafka-storage format (meta.properties); Apache Cassandra, cluster_name",
    nature="transition",
    judges=services("UPDATE"),
    about=("settings",),
)
def cluster_identity_changed(change: Change, see: Sight) -> Iterator[Finding]:
    """Names and references alone: values are never shown, they may come from a Secret."""
    old, new = change.old, change.new
    if old is None or new is None or new.engine is None or not new.engine.identity or old.members == 0:
        return
    before, after = _sources(old.container), _sources(new.container)
    for name in new.engine.identity:
        if name in before and name in after and before[name] != after[name]:
            yield Finding(
                field=new.container_path("env", name),
                text=f"comes from {_where(after[name])} now, from {_where(before[name])} before; it names the cluster on "
                "disk",
                why=f"members of {new.engine.title} refuse to start when it differs from what their disks say",
                remedy=f"keep {_where(before[name])}",
                subject=name,
            )


def _sources(container: Mapping[str, Any]) -> dict[str, Any]:
    return {
        text_of(entry, "name"): entry.get("valueFrom") if "valueFrom" in entry else ("value", entry.get("value"))
        for entry in items_of(container, "env")
    }


def _where(source: Any) -> str:
    if type(source) is dict:
        for kind, word in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
            reference = source.get(kind)
            if type(reference) is dict:
                return f"{word} {reference.get('name')} (key {reference.get('key')})"
        return "another field"
    return "a literal value"
