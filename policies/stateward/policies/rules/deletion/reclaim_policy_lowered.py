"""SW407: a bound volume is no longer retained."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import Sight, mapping_of, text_of


@rule(
    id="SW407",
    name="reclaim-policy-lowered",
    summary="A volume that was retained is deleted with its claim from now on",
    why="Retain is what stands between a deleted claim and the data. Two innocent edits, the policy first and the claim "
    "later, and the volume is gone.",
    remedy="Leave Retain; delete the volume itself when nobody wants it any more.",
    source="Kubernetes documentation, Change the Reclaim Policy of a PersistentVolume",
    nature="transition",
    action="warn",
    judges=objects("PersistentVolume", on=("UPDATE",)),
)
def reclaim_policy_lowered(change: Change, see: Sight) -> Iterator[Finding]:
    """Volumes that a claim is bound to."""
    old, new = mapping_of(change.request.old or {}, "spec"), mapping_of(change.request.object or {}, "spec")
    field = "persistentVolumeReclaimPolicy"
    if old.get(field) != "Retain" or new.get(field) != "Delete" or not mapping_of(new, "claimRef"):
        return
    claim = mapping_of(new, "claimRef")
    yield Finding(
        field=("spec", field),
        text=f'"Delete" replaces "Retain" on the volume of claim {text_of(claim, "namespace")}/{text_of(claim, "name")}',
        why="whoever deletes the claim now deletes the data with it",
        remedy="leave Retain",
        subject=name_of(change.request.object or {}),
    )
