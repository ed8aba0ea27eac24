"""SW804: settings that found a new cluster, on members of one that runs."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import is_live, is_ready, labels_of, owned_by
from stateward.policies.finding import Finding
from stateward.policies.model import Service
from stateward.policies.paths import dig
from stateward.policies.rule import objects, rule
from stateward.policies.settings import shown
from stateward.policies.view import UNKNOWN, Sight, accuses, mapping_of

_NAME: Final = itemgetter("name")
_STATES: Final = ("ETCD_INITIAL_CLUSTER_STATE", "--initial-cluster-state")
"""Settings that say whether a member founds a cluster or joins one; the others force it to found one."""


@rule(
    id="SW804",
    name="bootstrap-over-cluster",
    summary="Members of a running cluster restart with settings that found a new one, or with the founding state changed",
    why="A member that restarts with a forced bootstrap founds a second cluster beside the running one; both accept "
    "writes. A founding state that is switched for all at once is read by members whose data is gone.",
    remedy="Take the bootstrap settings out; change the founding state on one member first (partition).",
    source="MariaDB documentation, Galera: bootstrapping; etcd documentation, --initial-cluster-state",
    nature="transition",
    action="warn",
    judges=objects("StatefulSet.apps", on=("UPDATE",)),
    about=("template",),
    looks_at=(accuses("Pod", "status.phase", "status.conditions.type", "status.conditions.status"),),
    loses_data=True,
)
def bootstrap_over_cluster(change: Change, see: Sight) -> Iterator[Finding]:
    """Only while members run: after a full stop a bootstrap is the repair."""
    old, new = change.old, change.new
    if old is None or new is None or new.engine is None or not new.engine.bootstrap or not new.engine_certain:
        return
    members = new.members
    if members is None or members < 2:
        return
    # A founding state that stays is no news; one that forces a new cluster is, at every restart.
    changed = change.touched is None or "settings" in change.touched
    rows = [row for row in new.engine.bootstrap if changed or row[0] not in _STATES]
    if not _names_any(new, tuple([row[0] for row in rows])):
        return
    finding = next(filter(None, (_found(old, new, members, *row) for row in rows)), None)
    if finding is None or dig(old.object, ("spec", "template")) == dig(new.object, ("spec", "template")):
        return
    partition = dig(new.object, ("spec", "updateStrategy", "rollingUpdate", "partition"))
    if (type(partition) is int and partition >= members - 1) or _running(old, see) == 0:
        return
    yield finding


def _names_any(service: Service, names: tuple[str, ...]) -> bool:
    """Whether one of these settings is given at all; most members have none, and this is the cheap way to know."""
    for word in service.words:
        if word.startswith(names):
            return True
    entries = service.container.get("env")
    try:
        return type(entries) is list and not set(names).isdisjoint(map(_NAME, entries))
    except (KeyError, TypeError):
        return True  # not the shape that the API server guarantees: the careful look decides


def _found(old: Service, new: Service, members: int, name: str, value: str, what: str) -> Finding | None:
    after = _given(new, name)
    if after is None:
        return None
    if name not in _STATES:
        if value and after != value:
            return None
        return Finding(
            field=new.container_path("env", name),
            text=f"{name}{'=' if value else ''}{value} {what}, and {members} members run already",
            why="the member that restarts with it founds a second cluster beside the running one",
            remedy=f"remove {name} from the template before anything restarts",
            subject=name,
        )
    before = _given(old, name)
    if before is None or before == after:
        return None
    return Finding(
        field=new.container_path("env", name),
        text=f'"{shown(before)}" → "{shown(after)}" for all {members} members of a running cluster in one rollout',
        why="members that keep their data ignore it, one that lost its data does not, and several images read more into it; "
        "all of them restart at once to find out",
        remedy=f"roll it out to one member first: updateStrategy.rollingUpdate.partition: {members - 1}",
        subject=name,
    )


def _given(service: Service, name: str) -> str | None:
    """A flag's value, a variable's, or what a start script exports; None where it is not given."""
    if name.startswith("--"):
        found = service.flag(name)
        return found if found is not None else ("" if name in service.words else None)
    found = service.environment.get(name)
    if found is not None:
        return found
    beginning = f"{name}="
    return next((word[len(beginning) :].strip("\"';") for word in service.words if word.startswith(beginning)), None)


def _running(service: Service, see: Sight) -> int | None:
    pods = see.select("Pod", service.namespace, whole=True)
    if pods is UNKNOWN:
        ready = service.groups[0].ready.value if service.groups else None
        return ready if type(ready) is int else None
    selector = mapping_of(mapping_of(mapping_of(service.object, "spec"), "selector"), "matchLabels")
    mine = [
        pod
        for pod in pods
        if owned_by(pod, service.object)
        or (selector and all(labels_of(pod).get(key) == value for key, value in selector.items()))
    ]
    return sum(1 for pod in mine if is_live(pod) and is_ready(pod))
