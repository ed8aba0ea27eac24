"""SW104: a set under a new name leaves the claims of the old name behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, is_bound, labels_of, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Sight, accuses, mapping_of

_TAIL: Final = re.compile(r"-(\d{1,5})$")


@rule(
    id="SW104",
    name="claims-left-behind",
    summary="A StatefulSet is created under a new name while the data lies on claims of another",
    why="A set finds its claims by name: under a new name every member starts empty, and the data stays where nothing "
    "mounts it.",
    remedy="Keep the old name (nameOverride, fullnameOverride), or bind the old volumes to claims of the new name first.",
    source="Kubernetes documentation, StatefulSet: stable storage, claims are named template-set-ordinal",
    nature="state",
    judges=objects("StatefulSet.apps", on=("CREATE",)),
    looks_at=(accuses(CLAIM, "spec", "status.phase"), accuses("StatefulSet.apps", "spec.selector", "spec.template")),
    loses_data=True,
)
def claims_left_behind(change: Change, see: Sight) -> Iterator[Finding]:
    """The same template, the same pod labels, another set's name, and none of its own claims there yet."""
    new = change.new
    if new is None:
        return
    claims = see.select(CLAIM, new.namespace, whole=True)
    if claims is UNKNOWN:
        return
    labels = mapping_of(mapping_of(mapping_of(new.object, "spec"), "template"), "metadata")
    pod_labels = mapping_of(labels, "labels")
    for volume in (volume for group in new.groups for volume in group.volumes):
        if any(new.adapter.ordinal(new, "", volume.name, claim) is not None for claim in claims):
            return
        for claim in claims:
            tail = _TAIL.search(name_of(claim))
            if tail is None or not is_bound(claim) or not name_of(claim).startswith(f"{volume.name}-"):
                continue
            other = name_of(claim)[len(volume.name) + 1 : tail.start()]
            claim_labels = labels_of(claim)
            # The labels of the pods are those that the controller puts on their claims: the same ones mean the same
            # component of the same release.
            if not other or other == new.name or not claim_labels or not _of_one_release(claim_labels, pod_labels):
                continue
            yield Finding(
                field=("metadata", "name"),
                text=f'"{new.name}" would start on empty claims; the data is on {name_of(claim)}',
                why=f'"{volume.name}-{new.name}-0" does not exist and would be made new, while the claims of '
                f'"{other}" stay behind unmounted',
                remedy=f'keep the name "{other}" (in a chart: fullnameOverride: {other}); to rename: stop the old set, '
                "keep its volumes (reclaim policy Retain), bind them to claims of the new name, then create this set",
                subject=volume.name,
            )
            return


def _of_one_release(claim_labels: object, pod_labels: object) -> bool:
    return (
        isinstance(claim_labels, dict)
        and isinstance(pod_labels, dict)
        and (len(claim_labels) >= 2 and all(pod_labels.get(key) == value for key, value in claim_labels.items()))
    )
