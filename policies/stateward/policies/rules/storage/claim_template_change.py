"""SW103: what a StatefulSet can never change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.finding import Finding, shown
from stateward.policies.paths import differs
from stateward.policies.rule import objects, rule
from stateward.policies.view import Sight, items_of, mapping_of, metadata_of, text_of

_MUTABLE: Final = frozenset(
    {
        "replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy", "minReadySeconds",
    }
)  # fmt: skip
_DEFAULTS: Final = {"podManagementPolicy": "OrderedReady", "serviceName": ""}
_SHOWN: Final = frozenset({"podManagementPolicy", "serviceName", "selector"})
"""Fields whose values a message may show: what else stands in a manifest by mistake may be anything."""


@rule(
    id="SW103",
    name="claim-template-change",
    summary="A field that a StatefulSet can never change is changed",
    why="The API server refuses it, half of the release is applied by then, and the usual way out (deleting the set) "
    "takes the service down.",
    remedy="Keep the field. To change claims: edit the claims themselves; then recreate the set around its running pods "
    "(delete with --cascade=orphan, apply the new manifest).",
    source="kubernetes pkg/apis/apps/validation ValidateStatefulSetUpdate",
    nature="transition",
    judges=objects("StatefulSet.apps", on=("UPDATE",)),
    forestalls=True,
)
def claim_template_change(change: Change, see: Sight) -> Iterator[Finding]:
    """Every immutable field that differs, with the recipe that fits it."""
    old, new = change.old, change.new
    if old is None or new is None:
        return
    before, after = mapping_of(old.object, "spec"), mapping_of(new.object, "spec")
    if before is after:
        return
    for name in sorted({*before, *after} - _MUTABLE):
        default = _DEFAULTS.get(name)
        was, is_now = before.get(name, default), after.get(name, default)
        if name == "selector":
            was, is_now = was or _filled_in(old.object), is_now or _filled_in(new.object)
        if not differs(was, is_now):
            continue
        if name == "volumeClaimTemplates":
            yield from _templates(new.name, new.namespace, before, after)
        else:
            yield Finding(
                field=("spec", name),
                text=f"{_shown(is_now)} cannot replace {_shown(was)}: a StatefulSet never changes it"
                if name in _SHOWN
                else "it differs, and a StatefulSet never changes it",
                why="the API server refuses the update, and whatever else belongs to the same release stays half applied",
                remedy=f"keep {_shown(was) if name in _SHOWN else 'what was there'}; to change it: "
                + _recreate(new.namespace, new.name),
                subject=name,
            )


def _filled_in(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The selector that the API server made of the pods' labels where a manifest before apps/v1 had none."""
    if item.get("apiVersion") == "apps/v1":
        return None
    labels = mapping_of(metadata_of(dict(mapping_of(mapping_of(item, "spec"), "template"))), "labels")
    return {"matchLabels": labels} if labels else None


def _templates(name: str, namespace: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Finding]:
    old = {text_of(metadata_of(one), "name"): one for one in items_of(before, "volumeClaimTemplates")}
    for index, template in enumerate(items_of(after, "volumeClaimTemplates")):
        title = text_of(metadata_of(template), "name")
        path = ("spec", "volumeClaimTemplates", index)
        was = old.pop(title, None)
        if was is None:
            yield Finding(
                field=path,
                text=f'claim template "{title}" is new; a StatefulSet never gains one',
                why="the pods that run have no such claim",
                remedy=_recreate(namespace, name),
                subject=title,
            )
            continue
        if _same(was, template):
            continue
        spec, spec_before = mapping_of(template, "spec"), mapping_of(was, "spec")
        size = mapping_of(mapping_of(spec, "resources"), "requests").get("storage")
        size_before = mapping_of(mapping_of(spec_before, "resources"), "requests").get("storage")
        class_now, class_before = spec.get("storageClassName"), spec_before.get("storageClassName")
        if class_now != class_before:
            yield Finding(
                field=(*path, "spec", "storageClassName"),
                text=f"{_shown(class_now)} cannot replace {_shown(class_before)}: a claim template never changes",
                why="the claims that exist keep their class, whatever the template says",
                remedy=f"pass {_shown(class_before)} again (a chart value that was forgotten drops it); to move to another "
                "class make a second set beside this one and move the data",
                subject=f"{title}/class",
            )
        elif quantity.parse(size) != quantity.parse(size_before):
            grows = (quantity.parse(size) or 0) > (quantity.parse(size_before) or 0)
            yield Finding(
                field=(*path, "spec", "resources", "requests", "storage"),
                text=f"{_shown(size)} cannot replace {_shown(size_before)}: a claim template never changes",
                why="the API server refuses the update; deleting the set to get past it takes the service down",
                remedy=(
                    f"grow every claim (kubectl patch -n {namespace} pvc/{title}-{name}-0 -p "
                    f'\'{{"spec":{{"resources":{{"requests":{{"storage":"{size}"}}}}}}}}\', then the others), then '
                    + _recreate(namespace, name)
                )
                if grows
                else f"keep {_shown(size_before)}: volumes cannot shrink",
                subject=f"{title}/size",
            )
        else:
            yield Finding(
                field=path,
                text=f'claim template "{title}" differs (labels, annotations or modes); a claim template never changes',
                why="the API server refuses the update although no data is at stake; charts that put their version "
                "into a claim template fail on every upgrade",
                remedy="keep the template as it was; to change it: " + _recreate(namespace, name),
                subject=title,
            )
    for title in old:
        yield Finding(
            field=("spec", "volumeClaimTemplates"),
            text=f'claim template "{title}" is missing; a StatefulSet never loses one',
            why="the next pods would start without the volume that holds their data",
            remedy=f'put "{title}" back',
            subject=title,
        )


def _same(one: Mapping[str, Any], another: Mapping[str, Any]) -> bool:
    """Equal but for what the API server fills in."""
    return _comparable(one) == _comparable(another)


def _comparable(template: Mapping[str, Any]) -> tuple[Any, ...]:
    metadata, spec = metadata_of(template), dict(mapping_of(template, "spec"))
    spec.setdefault("volumeMode", "Filesystem")
    resources = {
        part: {name: quantity.parse(value) for name, value in mapping_of(mapping_of(spec, "resources"), part).items()}
        for part in ("requests", "limits")
    }
    spec["resources"] = resources
    return (metadata.get("name"), metadata.get("labels"), metadata.get("annotations"), spec)


def _recreate(namespace: str, name: str) -> str:
    where = f"-n {namespace} " if namespace else ""
    return (
        f"recreate the set around its pods: kubectl delete {where}statefulset/{name} --cascade=orphan, "
        "then apply the new manifest"
    )


def _shown(value: object) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, dict | list):
        try:
            text = json.dumps(value, ensure_ascii=False)
        except RecursionError:
            return "another value"
        return text if len(text) <= 80 else f"{text[:79]}…"
    return shown(value, limit=200)
