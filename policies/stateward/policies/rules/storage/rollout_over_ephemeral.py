"""SW107: a rollout replaces pods whose data does not survive them."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.paths import dig
from stateward.policies.rule import objects, rule
from stateward.policies.view import Sight, items_of, text_of


@rule(
    id="SW107",
    name="rollout-over-ephemeral",
    summary="A rollout replaces members that keep their data on temporary volumes",
    why="Each pod that is replaced starts empty; after the last one nothing is left, and members found a second cluster.",
    remedy="Move the data to claims first, or accept the loss knowingly.",
    source="Kubernetes documentation, Volumes: emptyDir is deleted when the pod is removed from its node",
    nature="transition",
    action="warn",
    judges=objects("StatefulSet.apps", on=("UPDATE",)),
    about=("template",),
    loses_data=True,
)
def rollout_over_ephemeral(change: Change, see: Sight) -> Iterator[Finding]:
    """The pod template changes, the engine keeps state, and what it mounts is emptyDir before and after."""
    old, new = change.old, change.new
    if old is None or new is None:
        return
    empty = {text_of(volume, "name") for volume in items_of(new.pod, "volumes") if "emptyDir" in volume}
    if not empty or new.engine is None or not new.engine_certain or new.members == 0:
        return
    if new.persistent_mounts or old.persistent_mounts:
        return
    if dig(old.object, ("spec", "template")) == dig(new.object, ("spec", "template")):
        return
    mounts = [mount for mount in items_of(new.container, "volumeMounts") if text_of(mount, "name") in empty]
    if mounts:
        yield Finding(
            field=("spec", "template"),
            text=f"this rollout replaces {new.members or 'all'} members of {new.engine.title} on temporary volumes",
            why=f"{text_of(mounts[0], 'mountPath')} is an emptyDir: each member that restarts comes back empty",
            remedy="give the members claims before any rollout",
        )
