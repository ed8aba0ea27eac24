"""SW111: a set is made anew over claims that do not fit it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from stateward.policies import quantity
from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, class_of, is_bound, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import objects, rule
from stateward.policies.view import UNKNOWN, Object, Sight, accuses, mapping_of


@rule(
    id="SW111",
    name="recreated-over-other-claims",
    summary="A StatefulSet is created over existing claims of another class or size",
    why="A set takes the claims that bear its names as they are: its template promises a class or a size that the members "
    "that exist do not have, and those that come later do.",
    remedy="Grow the claims first, or write the template as the claims are.",
    source="Kubernetes documentation, StatefulSet: a claim that exists under the expected name is used",
    nature="state",
    action="warn",
    judges=objects("StatefulSet.apps", on=("CREATE",)),
    looks_at=(accuses(CLAIM, "spec", "status"),),
)
def recreated_over_other_claims(change: Change, see: Sight) -> Iterator[Finding]:
    """Bound claims under the names that this set will ask for."""
    new = change.new
    if new is None:
        return
    for volume in (volume for group in new.groups for volume in group.volumes):
        claims = see.having(CLAIM, _stem, f"{volume.name}-{new.name}-", new.namespace)
        for claim in claims if claims is not UNKNOWN else ():
            if not is_bound(claim) or new.adapter.ordinal(new, "", volume.name, claim) is None:
                continue
            asked, has = volume.storage_class.value, class_of(claim)
            size = quantity.parse(mapping_of(mapping_of(mapping_of(claim, "spec"), "resources"), "requests").get("storage"))
            if asked and has and asked != has:
                yield Finding(
                    field=volume.storage_class.path,
                    text=f'"{asked}", but {name_of(claim)} is on "{has}" and stays there',
                    why="the members that exist keep their class, later ones get the other",
                    remedy=f'write "{has}" here; to move to another class make a set beside this one and move the data',
                    subject=volume.name,
                )
                return
            if size is not None and volume.bytes is not None and volume.bytes > size:
                yield Finding(
                    field=volume.size.path,
                    text=f'"{volume.size.value}", but {name_of(claim)} has {quantity.bytes_text(size)} and does not grow',
                    why="a template sizes only claims that do not exist yet",
                    remedy=f"grow the claims to {volume.size.value} first (kubectl patch pvc …), then create the set",
                    subject=volume.name,
                )
                return


def _stem(claim: Object) -> Iterable[Hashable]:
    """The key of claims by their name without the number at its end."""
    return (name_of(claim).rstrip("0123456789"),)
