"""The rows of an adapter file, compiled: how groups, volumes, archives, Secrets and judged fields are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stateward.policies import paths
from stateward.policies.adapters.grammar import GrammarError, Reader, compile_expression, each_item, nothing
from stateward.policies.model import Archive, Field, Fixed, GroupFields, MemberGroup, SecretRef, Service, Unsafe, Volume
from stateward.policies.paths import Path
from stateward.policies.view import UNKNOWN, Object


class VolumeReader:
    """A row of `volumes` of a group."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item(spec, where)
        self._name = compile_expression(spec["name"], f"{where}.name")
        self._only = compile_expression(spec["only"], f"{where}.only") if "only" in spec else None
        self._fields: dict[str, Reader] = {
            slot: compile_expression(spec[slot], f"{where}.{slot}", wanted) if slot in spec else nothing
            for slot, wanted in (
                ("class", str),
                ("size", None),
                ("modes", list),
                ("ephemeral", bool),
                ("labels", dict),
                ("leaves", str),
            )
        }

    def read(self, item: Any, base: Path, on: Object) -> list[Volume]:
        """The volumes in one item of the group; those without a name are none."""
        found: list[Volume] = []
        for one, at in self._items(item, base, on):
            if self._only is not None and self._only(one, at, on).value is not True:
                continue
            name = self._name(one, at, on).value
            if isinstance(name, str) or (isinstance(name, int) and not isinstance(name, bool)):
                found.append(Volume(str(name), one, at, self._fields, on))
        return found


class GroupReader:
    """A row of `groups`."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._join: str | None = spec.get("join")
        self._items = each_item(spec, where)
        self._name = compile_expression(spec["name"], f"{where}.name")
        volumes = [
            VolumeReader(volume, f"{where}.volumes[{index}]") for index, volume in enumerate(spec.get("volumes") or ())
        ]

        def read_volumes(item: Any, base: Path, on: Object) -> list[Volume]:
            return [volume for reader in volumes for volume in reader.read(item, base, on)]

        def slot(name: str, wanted: type) -> Reader:
            return compile_expression(spec[name], f"{where}.{name}", wanted) if name in spec else nothing

        self._fields = GroupFields(
            members=slot("members", int),
            ready=slot("ready", int),
            voters=slot("voters", bool),
            nonvoters=slot("nonvoters", list),
            at_once=slot("atOnce", bool),
            roles=slot("roles", list),
            volumes=read_volumes,
        )

    def read(self, service: Service) -> list[MemberGroup]:
        """The groups, none where joined objects cannot be seen."""
        if self._join is None:
            owners: Sequence[Object] = (service.object,)
        else:
            joined = service.joined(self._join)
            if joined is UNKNOWN:
                return []
            owners = joined
        found: list[MemberGroup] = []
        for owner in owners:
            for item, base in self._items(owner, (), owner):
                name = self._name(item, base, owner).value
                if isinstance(name, str):
                    found.append(MemberGroup(name, item, base, self._fields, owner))
        return found


class ArchiveReader:
    """A row of `archives` or `sources`."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item({key: spec[key] for key in ("each", "eachOf", "when") if key in spec}, where)
        self._store = compile_expression(spec["store"], f"{where}.store", str)
        self._server = compile_expression(spec["server"], f"{where}.server", str) if "server" in spec else nothing
        self._only = compile_expression(spec["only"], f"{where}.only") if "only" in spec else None
        self._named = compile_expression(spec["named"], f"{where}.named") if "named" in spec else None
        self._live = bool(spec.get("live"))

    def read(self, service: Service) -> list[Archive]:
        """The archives whose place is written out."""
        found: list[Archive] = []
        whole = service.object
        only = self._only(whole, ()).value if self._only is not None else None
        for item, base in self._items(whole, (), whole):
            if self._named is not None and self._named(item, base).value != only:
                continue
            store, at = self._store(item, base, whole)
            server = self._server(item, base, whole).value
            if isinstance(store, str):
                found.append(Archive(store, server if isinstance(server, str) else service.name, at, self._live))
        return found


class SecretReader:
    """A row of `secrets`: the field that names it (`name`), or how its name is made of the service's (`named`)."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item({key: spec[key] for key in ("each", "eachOf", "when") if key in spec}, where)
        self._name = compile_expression(spec["name"], f"{where}.name", str) if "name" in spec else None
        self._named: str = spec.get("named", "")
        self._role: str = spec.get("role", "credentials")
        self._made: str = spec.get("made", "operator" if self._named else "user")
        self._applied = bool(spec.get("applied"))
        if self._role not in ("credentials", "ca", "certificate", "key", "cluster", "backup"):
            raise GrammarError(f'{where}.role: "{self._role}" is none of credentials, ca, certificate, key, cluster, backup')

    def read(self, service: Service) -> Iterator[SecretRef]:
        """The Secrets that are named."""
        for item, base in self._items(service.object, (), service.object):
            if self._name is None:
                # A key that is no name of an object (a database user with an underscore) is written with dashes.
                key = str(base[-1]).replace("_", "-") if base else ""
                yield SecretRef(self._named.format(service=service.name, key=key), self._role, self._made, (), self._applied)
                continue
            name, at = self._name(item, base, service.object)
            if isinstance(name, str) and name:
                yield SecretRef(name, self._role, self._made, at, self._applied)


class FixedReader:
    """A row of `fixed`: a field (in each item of a list, told apart by `name`), what it is, why it stays.

    `onceSet`: it may still be set where it was not. `mayGo`: its item may leave the list (another rule judges that).
    """

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item({key: spec[key] for key in ("each", "eachOf", "when") if key in spec}, where)
        self._name = compile_expression(spec["name"], f"{where}.name") if "name" in spec else None
        self._field = compile_expression(spec["field"], f"{where}.field")
        self._what, self._why = str(spec["what"]), str(spec["why"])
        self._once_set = bool(spec.get("onceSet"))
        self._may_go = bool(spec.get("mayGo"))

    def read(self, service: Service, position: int) -> Iterator[Fixed]:
        """The field in each item; `position` tells the rows of an adapter apart."""
        for item, base in self._items(service.object, (), service.object):
            name = self._name(item, base, service.object).value if self._name is not None else ""
            value, at = self._field(item, base, service.object)
            yield Fixed(f"{position}:{name}", value, at, self._what, self._why, self._once_set, self._may_go)


class UnsafeReader:
    """A row of `unsafe`: a test that is true where a safeguard is off, what that is, and why it matters."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._items = each_item({key: spec[key] for key in ("each", "eachOf") if key in spec}, where)
        self._name = compile_expression(spec["name"], f"{where}.name") if "name" in spec else None
        self._test = compile_expression(spec["test"], f"{where}.test")
        self._what, self._why = str(spec["what"]), str(spec["why"])
        self._denies = bool(spec.get("denies"))

    def read(self, service: Service, position: int) -> Iterator[Unsafe]:
        """What is off; `position` tells the rows of an adapter apart."""
        for item, base in self._items(service.object, (), service.object):
            value, at = self._test(item, base, service.object)
            if value is True:
                name = self._name(item, base, service.object).value if self._name is not None else ""
                yield Unsafe(f"{position}:{name}", paths.dig(service.object, at), at, self._what, self._why, self._denies)


class PairReader:
    """A row of `agree` or `apart`: two fields, what is wrong with them together, and why."""

    def __init__(self, spec: Mapping[str, Any], where: str) -> None:
        self._one = compile_expression(spec["one"], f"{where}.one")
        self._other = compile_expression(spec["other"], f"{where}.other")
        self.what, self.why, self.do = str(spec["what"]), str(spec["why"]), str(spec["do"])

    def read(self, service: Service) -> tuple[Field, Field]:
        """The two fields."""
        return self._one(service.object, (), service.object), self._other(service.object, (), service.object)
