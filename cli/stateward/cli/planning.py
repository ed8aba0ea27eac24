"""What `stateward plan` asks: the manifests, the cluster or the old ones, the rules, then the rehearsal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click
from pydantic import ValidationError

from stateward.cli import inputs, manifests, plan_text, replicas
from stateward.cli.plan_text import Told
from stateward.cli.replicas import Whom
from stateward.operator import accepted, guard
from stateward.operator.accepted import Accepted
from stateward.operator.api.annotations import PAUSED
from stateward.operator.api.v1beta1 import API_VERSION, StatefulService
from stateward.operator.context import ClusterContext
from stateward.operator.plan import Start, plan, requests
from stateward.operator.service import read
from stateward.policies.policy import Policy
from stateward.policies.view import EMPTY_VIEW, Kind, Object, View, mapping_of, metadata_of, text_of

if TYPE_CHECKING:
    from stateward.kube.client import Cluster

NONE: Final = "none"
"""In place of a file: there is no such service yet."""
_CLASS: Final[Kind] = "StorageClass.storage.k8s.io"


@dataclass(frozen=True, slots=True)
class Asked:
    """The options."""

    filename: str
    old: str | None
    namespace: str | None
    policy: str | None
    now: float
    kubeconfig: str | None
    context: str | None


@dataclass(frozen=True, slots=True)
class _Before:
    """What there is: the object as it is carried out now, what else is known, what has to be said of it."""

    item: Object | None
    around: Mapping[tuple[Kind, str, str], Object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Around:
    """Where the rules look, and by which policy."""

    before: Callable[[Object], _Before]
    view: Callable[[Object], View]
    policy: Policy


def show(asked: Asked, style: str) -> None:
    """Prints the plans. Exit code 1 where one of them cannot be carried out."""
    wanted = list(_services(asked.filename, "-f"))
    with ExitStack() as stack:
        around = _from_file(asked) if asked.old is not None else _from_cluster(asked, stack)
        told = [_told(asked, around, item) for item in wanted]
    if style == "json":
        from stateward.cli.reports.as_json import dumps

        click.echo(dumps({"format": "stateward-plan/v1", "plans": [plan_text.document(one) for one in told]}), nl=False)
    else:
        click.echo("\n\n".join(plan_text.drawn(one) for one in told))
    raise SystemExit(0 if all(one.possible for one in told) else 1)


def _told(asked: Asked, around: _Around, wanted: Object) -> Told:
    metadata = metadata_of(wanted)
    namespace = text_of(metadata, "namespace") or asked.namespace or "default"
    new: Object = {**wanted, "metadata": {**metadata, "namespace": namespace}}
    before = around.before(new)
    model = _read(new, asked.filename)
    new["spec"] = model.spec.dump()
    old = None
    if before.item is not None:
        old = _read(before.item, asked.old or "the cluster").spec.dump()
        # Waivers count where they are now: no edit brings its own.
        new = {**before.item, "spec": new["spec"]}
    verdict = guard.judge(new, old, around.view(new), around.policy, asked.now)
    moment = datetime.fromtimestamp(asked.now, UTC)
    start = Start(before.item, before.around) if before.item is not None else None
    return Told(plan(_asking(new, wanted), start, moment), verdict, asked.now, list(before.notes))


def _asking(new: Object, wanted: Object) -> Object:
    """With the requests that the manifest has: of its annotations the edits that are to be planned."""
    metadata = metadata_of(new)
    return {**new, "metadata": {**metadata, "annotations": {**mapping_of(metadata, "annotations"), **requests(wanted)}}}


# --- without a cluster ---------------------------------------------------------------------------------------------


def _from_file(asked: Asked) -> _Around:
    known = {_key(item, asked.namespace): item for item in _services(asked.old or "", "--old")} if asked.old != NONE else {}

    def before(item: Object) -> _Before:
        found = known.get(_key(item, asked.namespace))
        if found is None and asked.old != NONE:
            namespace, name = _key(item, asked.namespace)
            there = ", ".join(f"{where}/{what}" for where, what in known) or "none"
            inputs.stop(
                f"--old {asked.old}: {namespace}/{name}: it is not in it, there are: {there}; --old none for a new one"
            )
        return _Before(found)

    return _Around(before, lambda _: EMPTY_VIEW, inputs.read_policy(asked.policy))


def _key(item: Object, namespace: str | None) -> tuple[str, str]:
    metadata = metadata_of(item)
    return text_of(metadata, "namespace") or namespace or "default", text_of(metadata, "name")


def _services(file: str, option: str) -> Iterator[Object]:
    """The StatefulServices of a file. What cannot be read ends the command."""
    loaded = manifests.load([file], sys.stdin.buffer)
    for problem in loaded.problems:
        inputs.stop(f"{inputs.where(problem)}: {problem.message}")
    found = [one.object for one in loaded.documents if one.object.get("kind") == "StatefulService"]
    if not found:
        inputs.stop(f"{option} {file}: no StatefulService is in it")
    for item in found:
        version = item.get("apiVersion")
        if version != API_VERSION:
            inputs.stop(f"{option} {file}: apiVersion: {version}: a plan is made of {API_VERSION}; write it as that")
    yield from found


def _read(item: Object, source: str) -> StatefulService:
    try:
        return StatefulService.model_validate(item)
    except ValidationError as error:
        _unreadable(error, f"{source}: {text_of(metadata_of(item), 'name')}")


def _unreadable(error: ValidationError, where: str) -> NoReturn:
    first = error.errors()[0]
    path = ".".join(str(step) for step in first["loc"])
    inputs.stop(f"{where}: {path}: {first['msg'][:1].lower()}{first['msg'][1:]}; kubectl explain statefulservice.{path}")


# --- with a cluster ------------------------------------------------------------------------------------------------


class _Nothing:
    """A cache that has heard of nothing: everything is asked for."""

    def get(self, kind: Kind, namespace: str, name: str) -> None:
        """Nothing."""

    def of(self, kind: Kind, key: tuple[str, str]) -> list[Object]:
        """Nothing."""
        return []


def _from_cluster(asked: Asked, stack: ExitStack) -> _Around:
    whom = Whom(asked.kubeconfig, asked.context, "", None, None, None)
    cluster = stack.enter_context(replicas.connected(whom))
    context = ClusterContext(cluster, _Nothing(), frozenset())
    policy = inputs.read_policy(asked.policy) if asked.policy is not None else context.policy()
    return _Around(
        lambda item: _live(cluster, item),
        lambda item: context.view((text_of(metadata_of(item), "namespace"), text_of(metadata_of(item), "name"))),
        policy,
    )


def _live(cluster: Cluster, wanted: Object) -> _Before:
    """The service as it is carried out now: what was accepted of it, where that is not what it asks for."""
    from stateward.kube.client import path_of

    namespace, name = text_of(metadata_of(wanted), "namespace"), text_of(metadata_of(wanted), "name")
    item = cluster.find(path_of("apis", *API_VERSION.split("/"), "namespaces", namespace, "statefulservices", name))
    if item is None:
        return _Before(None, _classes(cluster, wanted))
    notes = []
    model = _read(item, "the cluster")
    record = cluster.find(path_of("api", "v1", "namespaces", namespace, "configmaps", accepted.name_of(read(model))))
    found = Accepted.of(record) if record is not None else None
    if found is not None and not found.same(item, model):
        notes.append("what it asks for now is not carried out (stateward status says why): the plan begins at what is")
        item = {**item, "spec": dict(found.spec)}
    if text_of(mapping_of(metadata_of(item), "annotations"), PAUSED) == "true":
        notes.append(f"it is paused: nothing of this happens until the annotation {PAUSED} is taken off")
    operation = mapping_of(mapping_of(item, "status"), "operation")
    if operation:
        notes.append(f"{text_of(operation, 'kind')} is under way: the plan begins where its members are now")
    return _Before(item, _classes(cluster, item), tuple(notes))


def _classes(cluster: Cluster, item: Object) -> dict[tuple[Kind, str, str], Object]:
    """The classes of its volumes, where they may be read: whether they can grow stands there."""
    from stateward.kube.client import path_of
    from stateward.kube.errors import ClusterError

    storage = mapping_of(mapping_of(item, "spec"), "storage")
    volumes: list[Any] = mapping_of(item, "status").get("volumes") or [storage, mapping_of(storage, "wal")]
    classes: dict[tuple[Kind, str, str], Object] = {}
    for name in dict.fromkeys(text_of(one, "class") for one in volumes):
        try:
            found = cluster.find(path_of("apis", "storage.k8s.io", "v1", "storageclasses", name)) if name else None
        except ClusterError:
            continue
        if found is not None:
            classes[_CLASS, "", name] = found
    return classes
