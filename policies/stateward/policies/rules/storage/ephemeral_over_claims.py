"""SW106: storage that was persistent (or still is, on claims left over) becomes ephemeral."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, bound_claims, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, excuses


@rule(
    id="SW106",
    name="ephemeral-over-claims",
    summary="Storage is made ephemeral where claims with data exist",
    why="The type of a live volume cannot change: the operator ignores it, or throws the data away with the next pod; "
    "members of a new cluster get entangled with the claims of the old one.",
    remedy="Keep persistent storage; to start over, delete the old claims first, knowingly.",
    source="Strimzi documentation: changing the storage type of a running cluster is not supported",
    nature="transition",
    judges=services("CREATE", "UPDATE"),
    about=("volumes",),
    looks_at=(excuses(CLAIM, "spec", "status.phase"),),
    loses_data=True,
)
def ephemeral_over_claims(change: Change, see: Sight) -> Iterator[Finding]:
    """In place (persistent before, ephemeral now), and on creation over bound claims that carry its name."""
    old, new = change.old, change.new
    if new is None:
        return
    before = {group.name: group for group in old.groups} if old is not None else {}
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
            elif old is None and change.request.operation == "CREATE":
                claims = see.select(CLAIM, new.namespace)
                if claims is UNKNOWN:
                    continue
                left = [name_of(one) for one in bound_claims(claims, new, group, volume)]
                if left:
                    yield Finding(
                        field=volume.ephemeral.path,
                        text="ephemeral storage, while claims of this name hold data "
                        f"({left[0]}{', …' if len(left) > 1 else ''})",
                        why="the claims of a former cluster of this name are still bound; its data would be lost sight of "
                        "and the new members get entangled with them",
                        remedy="use persistent storage to take the data over, another name to start anew, or delete the "
                        "old claims first",
                        subject=f"{group.name}/{volume.name}",
                    )
