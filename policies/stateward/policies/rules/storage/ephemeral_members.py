"""SW113: members of a durable engine are given nothing that outlives their pods."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, bound_claims, claims_named, name_of
from stateward.policies.finding import Finding, shown
from stateward.policies.model import Volume
from stateward.policies.paths import dig
from stateward.policies.rule import rule, services
from stateward.policies.rules.quorum.quorum_lost import votes
from stateward.policies.view import UNKNOWN, Object, Sight, accuses


@rule(
    id="SW113",
    name="ephemeral-members",
    summary="Members that must not forget are given temporary storage",
    why="A member on an emptyDir comes back empty: it has forgotten its votes, its data and that it ever was a member. As "
    "soon as a majority restarts, the cluster is gone.",
    remedy="Give every group a volume claim. In a namespace of throw-away clusters set the label "
    'stateward.dev/disposable: "true".',
    source="Kubernetes documentation, emptyDir: removed with the pod; etcd and Raft: a member must not lose its log",
    nature="transition",
    judges=services("CREATE", "UPDATE"),
    about=("members", "volumes"),
    looks_at=(accuses(CLAIM, "spec", "status.phase"),),
    loses_data=True,
)
def ephemeral_members(change: Change, see: Sight) -> Iterator[Finding]:
    """Custom resources; what a plain set mounts is judged by data-off-volume. Caches may be temporary."""
    new = change.new
    if new is None or new.engine is None or not new.engine_certain or new.pod or new.engine.volatile:
        return
    before = change.old.groups_by_name if change.old is not None else {}
    for group in new.groups:
        if group.name in before:
            continue  # what was ephemeral already, or is made so now (SW106)
        count = group.members.value
        if type(count) is not int or count < 1:
            continue
        lost = [volume for volume in group.volumes if volume.ephemeral.value is True]
        if not lost or any(volume.ephemeral.value is not True for volume in group.volumes):
            continue
        voting = votes(new, group)
        claims = claims_named(new, see)
        held = [
            name_of(claim)
            for volume in lost
            for claim in bound_claims(claims if claims is not UNKNOWN else (), new, group, volume)
        ]
        many = count > 1
        whose = f"all {count} members of {new.engine.title} keep" if many else f"the member of {new.engine.title} keeps"
        yield Finding(
            field=lost[0].ephemeral.path,
            text=f"{_said(lost[0], group.on)}{whose} nothing when {'their pods go' if many else 'its pod goes'}"
            + (f"; claim {held[0]} of a former one holds data" if held else ""),
            why="a voter that comes back empty breaks the quorum; when a majority restarts nothing is left of the cluster"
            if voting and many
            else "the next pod starts with no data",
            remedy="give the group a volume claim",
            subject=group.name,
            weak=not held and not (voting and many),
            on=group.on,
        )


def _said(volume: Volume, on: Object) -> str:
    """The value that makes it temporary, where it is a short one."""
    value = dig(on, volume.ephemeral.path)
    return f"{text} makes it temporary: " if value not in ("", True) and (text := shown(value, otherwise="")) else ""
