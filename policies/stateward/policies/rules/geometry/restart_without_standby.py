"""SW807: the only member of a consensus engine is restarted."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import annotations_of
from stateward.policies.finding import Finding
from stateward.policies.paths import dig
from stateward.policies.rule import objects, rule
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import Sight, mapping_of

_RESTARTED = "kubectl.kubernetes.io/restartedAt"


@rule(
    id="SW807",
    name="restart-without-standby",
    summary="A rollout restart is asked of the only member of a clustered engine",
    why="There is nobody to take over: the service is down for the restart, and a stop hook that waits for the quorum of "
    "others waits for ever.",
    remedy="Plan the downtime, or add members first.",
    source="RabbitMQ documentation, rolling upgrades: await_online_quorum_plus_one",
    nature="transition",
    action="warn",
    judges=objects("StatefulSet.apps", on=("UPDATE",)),
    about=("template",),
)
def restart_without_standby(change: Change, see: Sight) -> Iterator[Finding]:
    """`kubectl rollout restart` of a set of one whose engine is meant to have several."""
    old, new = change.old, change.new
    if old is None or new is None or new.engine is None or new.members != 1 or not new.groups:
        return
    if not votes(new, new.groups[0]):
        return
    before = annotations_of(mapping_of(mapping_of(old.object, "spec"), "template")).get(_RESTARTED)
    after = annotations_of(mapping_of(mapping_of(new.object, "spec"), "template")).get(_RESTARTED)
    if after is None or before == after:
        return
    hook = dig(new.container, ("lifecycle", "preStop")) is not None
    yield Finding(
        field=("spec", "template", "metadata", "annotations", _RESTARTED),
        text=f"restarts the only member of {new.engine.title}",
        why="nobody takes over while it is down"
        + ("; its preStop hook may wait for other members that do not exist" if hook else ""),
        remedy="plan the downtime, or scale to three members first",
    )
