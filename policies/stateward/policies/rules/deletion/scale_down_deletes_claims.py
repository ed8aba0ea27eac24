"""SW405: a scale-down that deletes the claims of the members that go."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import BACKUP_LOOKS, fresh_backup
from stateward.policies.finding import Finding
from stateward.policies.naming import kubectl_name
from stateward.policies.paths import dig
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight


@rule(
    id="SW405",
    name="scale-down-deletes-claims",
    summary="A StatefulSet that deletes claims on scale-down is scaled down",
    why="With persistentVolumeClaimRetentionPolicy.whenScaled: Delete the garbage collector deletes the claims of the "
    "members that go; by then nobody can stop it. This is the edit that does it.",
    remedy="Set whenScaled: Retain first; delete the claims by hand once their data is known to be elsewhere.",
    source="Kubernetes documentation, StatefulSet: PersistentVolumeClaim retention",
    nature="transition",
    judges=services("UPDATE"),
    about=("members",),
    looks_at=BACKUP_LOOKS,
    params={"backupMaxAgeHours": 24},
    loses_data=True,
)
def scale_down_deletes_claims(change: Change, see: Sight) -> Iterator[Finding]:
    """Where every member holds all the data it warns; a fresh backup of all claims lets it pass."""
    old, new = change.old, change.new
    if old is None or new is None or new.kind != "StatefulSet.apps" or not new.groups or not new.groups[0].volumes:
        return
    was, wanted = old.members, new.members
    path = ("spec", "persistentVolumeClaimRetentionPolicy", "whenScaled")
    if was is None or wanted is None or wanted >= was or dig(new.object, path) != "Delete":
        return
    age = fresh_backup(old, see, see.params["backupMaxAgeHours"])
    if age is not None and age is not UNKNOWN:
        return
    model = new.engine.quorum.model if new.engine is not None and new.engine_certain else "none"
    going = was - wanted
    yield Finding(
        field=new.groups[0].members.path,
        text=f"{was} → {wanted} deletes the claims of {going} member{'s' if going != 1 else ''} (whenScaled: Delete)",
        why="the garbage collector deletes them with their volumes as soon as the pods are gone",
        remedy=f"kubectl patch {kubectl_name(new.object)} --type=merge -p "
        '\'{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Retain"}}}\', then scale',
        weak=wanted > 0 and model in ("majority", "standby"),
    )
