"""SW106: storage that was persistent becomes ephemeral."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import Sight


@rule(
    id="SW106",
    name="ephemeral-over-claims",
    summary="The storage of a live service is made ephemeral",
    why="The type of a live volume cannot change: the operator ignores it, or throws the data away with the next pod.",
    remedy="Keep persistent storage; for a service without it make another one beside this.",
    source="Strimzi documentation: changing the storage type of a running cluster is not supported",
    nature="transition",
    judges=services("UPDATE"),
    about=("volumes",),
    loses_data=True,
)
def ephemeral_over_claims(change: Change, see: Sight) -> Iterator[Finding]:
    """Volumes that were persistent before and are ephemeral now."""
    old, new = change.old, change.new
    if old is None or new is None:
        return
    before = old.groups_by_name
    for group in new.groups:
        was = before.get(group.name)
        kept = {volume.name: volume for volume in was.volumes} if was is not None else {}
        for volume in group.volumes:
            if volume.ephemeral.value is not True:
                continue
            earlier = kept.get(volume.name)
            if earlier is None and all(one.ephemeral.value is True for one in group.volumes):
                # Another form of storage names its volumes differently (jbod by number): all that was persistent goes.
                earlier = next((one for one in kept.values() if one.ephemeral.value is not True), None)
            if earlier is not None and earlier.ephemeral.value is not True:
                yield Finding(
                    field=volume.path or volume.ephemeral.path,
                    text="ephemeral storage cannot replace the persistent volumes of a live cluster",
                    why="the operator keeps the old volumes and ignores every storage change from now on, or the data is "
                    "deleted with the next pod",
                    remedy="put the persistent storage back; to run on ephemeral storage make a new cluster",
                    subject=f"{group.name}/{volume.name}",
                    on=group.on,
                )
