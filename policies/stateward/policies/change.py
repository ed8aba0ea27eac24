"""A Change: one service (or object) before and after a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stateward.policies.model import MemberGroup, Service, Volume, lazy
from stateward.policies.paths import differs
from stateward.policies.request import Request
from stateward.policies.view import Kind, Object, View, items_of


class Change:
    """What a request does to one service, or to one object that is none.

    `old` and `new` are Services (None: there is none before or after, or the object is no service). `via` says how the
    request reaches the service: "" (its own object), `scale`, `eviction`, `pool`, `secret`, `config`, `operation`.
    """

    def __init__(
        self,
        request: Request,
        old: Service | None = None,
        new: Service | None = None,
        via: str = "",
        old_object: Object | None = None,
        new_object: Object | None = None,
    ) -> None:
        self.request = request
        self.old = old
        self.new = new
        self.via = via
        self.view: View | None = None
        """What else exists once the request is done, where that differs (a ConfigMap that a service reads)."""
        self.unseen: Kind = ""
        """The kind of what this is about, where that could not be seen (a Scale's parent, a pool's hub); "" elsewhere."""
        self.old_object = old_object if old is None else old.object
        """The raw object before."""
        self.new_object = new_object if new is None else new.object
        """The raw object after."""
        self.kept: dict[str, Any] = {}
        """What rules made of this change and others may use again."""
        self.past = False
        """Whether this is what was before, asked about by itself."""

    @property
    def service(self) -> Service | None:
        """The service after the request, or what it was before."""
        return self.new if self.new is not None else self.old

    @property
    def object(self) -> Object:
        """The raw object after the request, or what it was before."""
        return self.new_object or self.old_object or {}

    @property
    def subject(self) -> Object:
        """Whose annotations count: the service's object, or the object itself."""
        service = self.service
        return service.object if service is not None else self.object

    def kept_volumes(self) -> Iterator[tuple[MemberGroup, Volume, Volume]]:
        """Volumes that are there before and after, of groups that keep their name: (group after, before, after)."""
        old, new = self.old, self.new
        if old is None or new is None:
            return
        for name, group in new.groups_by_name.items():
            before = old.groups_by_name.get(name)
            volumes = {volume.name: volume for volume in before.volumes} if before is not None else {}
            for volume in group.volumes:
                was = volumes.get(volume.name)
                if was is not None:
                    yield group, was, volume

    @lazy
    def touched(self) -> frozenset[str] | None:
        """The parts of the model that differ; None: all may (a creation, a deletion, a joined object)."""
        old, new = self.old, self.new
        if old is None or new is None or self.via not in ("", "scale"):
            return None
        try:
            return frozenset(_touched(old, new))
        except RecursionError:
            return None  # deeper nested than Python compares: everything is judged

    @lazy
    def spec_changed(self) -> bool:
        """Whether anything but metadata and status differs."""
        if self.via in ("pool", "operation"):
            return True  # the hub stays as it is, one of what is joined to it does not
        if self.via not in ("secret", "config") and self.touched:
            return True
        own = self.via in ("secret", "config")
        before, after = (self.request.old, self.request.object) if own else (self.old_object, self.new_object)
        if before is None or after is None:
            return True
        if differs(before.get("spec"), after.get("spec")):
            return True
        left = {"metadata", "status", "spec", "apiVersion"}
        return any(differs(before.get(key), after.get(key)) for key in (before.keys() | after.keys()) - left)

    def before(self) -> Change:
        """The old object as if it were asked about by itself: what a state rule is asked second."""
        found: Change | None = self.kept.get("before")
        if found is None:
            was = self.old_object if self.old is None else self.old.object
            found = self.kept["before"] = Change(self.request, None, self.old, self.via, None, was)
            found.past = True
        return found


def _touched(old: Service, new: Service) -> set[str]:
    before, after = old.object, new.object
    found: set[str] = set()
    for value, sections in new.adapter.differences:
        one, other = value(before), value(after)
        if one != other:
            found.update(sections)
            if "pod" in sections and type(one) is dict and type(other) is dict:
                found |= _touched_in_pod(one, other)
                found.add("template")
    return found


_PARTS_OF_POD: Final = {
    "affinity": "placement",
    "nodeSelector": "placement",
    "tolerations": "placement",
    "topologySpreadConstraints": "placement",
    "volumes": "mounts",
}
_PARTS_OF_CONTAINER: Final = {
    "image": "version",
    "command": "settings",
    "args": "settings",
    "env": "settings",
    "envFrom": "settings",
    "volumeMounts": "mounts",
    "resources": "resources",
}


def _touched_in_pod(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    """The parts of two pods' specifications that differ, in any container: the engine's own is not known yet."""
    found: set[str] = set()
    for key, part in _PARTS_OF_POD.items():
        if old.get(key) != new.get(key):
            found.add(part)
    before, after = items_of(old, "containers"), items_of(new, "containers")
    if len(before) != len(after):
        return found.union(_PARTS_OF_CONTAINER.values())
    for one, other in zip(before, after, strict=True):
        if one == other:
            continue
        if one.get("name") != other.get("name"):
            return found.union(_PARTS_OF_CONTAINER.values())
        for key, part in _PARTS_OF_CONTAINER.items():
            if one.get(key) != other.get(key):
                found.add(part)
    return found
