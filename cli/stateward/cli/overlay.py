"""A manifest laid over a live object, as `kubectl apply` does it.

What is written wins, what only lives stays, and what was applied before and is no longer written goes. Lists of built-in
kinds merge by the keys of Kubernetes' own API (patchMergeKey in k8s.io/api); a custom resource's lists are replaced, as
kubectl's JSON merge patch does.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Final

from stateward.policies.paths import Path
from stateward.policies.view import Object

_MERGED_BY: Final = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "secrets": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "ownerReferences": "uid",
}
_ITEMS_KEPT: Final = "volumeClaimTemplates"
"""Replaced as a whole, but the API server fills each template in; compared with what it has made of them."""


def built_in(api_version: object) -> bool:
    """Whether a group is Kubernetes' own: no domain, or one below k8s.io."""
    group = api_version.rpartition("/")[0] if isinstance(api_version, str) else ""
    return "." not in group or (group.endswith(".k8s.io") and not group.endswith(".x-k8s.io"))


def laid_over(live: Object, manifest: Object, applied: Any = None) -> Object:
    """The live object with the manifest laid over it. `applied`: what was applied last, where that is known."""
    strategic = built_in(manifest.get("apiVersion"))
    return _Layers(strategic).mapping(without(live, manifest, applied), manifest)


def without(item: Object, manifest: Object, applied: Any) -> Object:
    """A copy of an object without what was applied before and is no longer written."""
    result: Object = copy.deepcopy(item)
    _Layers(built_in(manifest.get("apiVersion"))).forget(result, manifest, applied)
    return result


class _Layers:
    def __init__(self, strategic: bool) -> None:
        self._strategic = strategic

    def mapping(self, live: Object, over: Object) -> Object:
        result = dict(live)
        for key, value in over.items():
            if value is None:
                result.pop(key, None)
            elif type(value) is dict and type(result.get(key)) is dict:
                result[key] = self.mapping(result[key], value)
            elif type(value) is list and type(result.get(key)) is list:
                result[key] = self._list(key, result[key], value)
            else:
                result[key] = copy.deepcopy(value)
        return result

    def _list(self, key: str, live: list[Any], over: list[Any]) -> list[Any]:
        name = self._name(key, [*live, *over])
        if name is None and key == _ITEMS_KEPT and self._strategic:
            known = {label: item for item in live if (label := _label(item)) is not None}
            return [self._item(known.get(_label(item)), item) for item in over]
        if name is None:
            return copy.deepcopy(over)
        known = {item[name]: item for item in live}
        written = {item[name] for item in over}
        return [*(self._item(known.get(item[name]), item) for item in over), *(i for i in live if i[name] not in written)]

    def _item(self, live: Any, over: Any) -> Any:
        return self.mapping(live, over) if type(live) is dict and type(over) is dict else copy.deepcopy(over)

    def _name(self, key: str, items: Sequence[Any]) -> str | None:
        """The field by which the items of a list are told apart; None where the list is one value."""
        if not self._strategic:
            return None
        name = _MERGED_BY.get(key)
        if key == "ports":
            name = "containerPort" if any(type(item) is dict and "containerPort" in item for item in items) else "port"
        if name is None or not all(type(item) is dict and type(item.get(name)) in (str, int) for item in items):
            return None
        return name

    def forget(self, item: Any, written: Any, applied: Any) -> None:
        if type(item) is not dict or type(written) is not dict or type(applied) is not dict:
            return
        for key, value in applied.items():
            if key not in item:
                continue
            if key not in written:
                del item[key]
            elif type(item[key]) is list and type(written[key]) is list and type(value) is list:
                self._forget_items(key, item, written[key], value)
            else:
                self.forget(item[key], written[key], value)

    def _forget_items(self, key: str, item: Any, written: list[Any], applied: list[Any]) -> None:
        name = self._name(key, [*item[key], *written, *applied])
        if name is None:
            return
        now = {each[name]: each for each in written}
        before = {each[name]: each for each in applied}
        item[key] = [each for each in item[key] if each[name] in now or each[name] not in before]
        for each in item[key]:
            if each[name] in before:
                self.forget(each, now.get(each[name]), before[each[name]])


# --- places --------------------------------------------------------------------------------------------------------


def written_path(path: Path, item: Any, manifest: Any) -> Path:
    """Where the field of a merged object stands in the manifest: lists there may have fewer items, in another order.

    Ends where the manifest does not say what the object has.
    """
    found: list[str | int] = []
    for position, step in enumerate(path):
        if type(item) is dict and type(manifest) is dict and step in item:
            found.append(step)
            item, manifest = item[step], manifest.get(step)
        elif type(item) is list and type(manifest) is list and isinstance(step, int) and step < len(item):
            place = _place(item, step, manifest)
            if place is None:
                break
            found.append(place)
            item, manifest = item[step], manifest[place]
        else:
            if type(manifest) is dict:  # a field that neither has: it would stand here
                found.extend(path[position:])
            break
    return tuple(found)


def _place(items: list[Any], index: int, manifest: list[Any]) -> int | None:
    label = _label(items[index])
    if label is None:
        return index if len(items) == len(manifest) else None
    return next((place for place, item in enumerate(manifest) if _label(item) == label), None)


def _label(item: Any) -> Any:
    """What tells an item of a list from the others."""
    if type(item) is not dict:
        return item if type(item) is str else None
    for name in ("name", "id", "mountPath", "devicePath", "containerPort", "port", "key", "ip", "topologyKey"):
        if type(item.get(name)) in (str, int):
            return item[name]
    metadata = item.get("metadata")
    return metadata.get("name") if type(metadata) is dict else None
