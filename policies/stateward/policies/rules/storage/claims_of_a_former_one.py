"""SW115: a custom resource is made where claims of a former one of its name hold data."""

from __future__ import annotations

from collections.abc import Iterator

from stateward.policies.change import Change
from stateward.policies.facts import CLAIM, bound_claims, claims_named, name_of
from stateward.policies.finding import Finding
from stateward.policies.rule import rule, services
from stateward.policies.view import UNKNOWN, Sight, accuses


@rule(
    id="SW115",
    name="claims-of-a-former-one",
    summary="A service is created over the claims of a former one of its name",
    why="Its members start on what the former ones left: with another cluster id they refuse to, or each takes itself for "
    "the primary.",
    remedy="If the data is wanted, check that it is the same cluster; if not, take another name or delete the claims.",
    source="engines compare ids on disk with the cluster's: Kafka meta.properties, etcd cluster id, MySQL server uuid",
    nature="transition",
    action="warn",
    judges=services("CREATE"),
    looks_at=(accuses(CLAIM, "spec", "status.phase"),),
)
def claims_of_a_former_one(change: Change, see: Sight) -> Iterator[Finding]:
    """Custom resources; what a plain set finds again is its own by design. A restore has a rule of its own (SW502)."""
    new = change.new
    if new is None or change.old is not None or new.pod or new.sources or new.adapter.shares_claims:
        return
    claims = claims_named(new, see)
    if claims is UNKNOWN:
        return
    held = [
        claim
        for group in new.groups
        for volume in group.volumes
        if volume.ephemeral.value is not True
        for claim in bound_claims(claims, new, group, volume)
        if new.adapter.owns_claim(new, claim)
    ]
    if held:
        yield Finding(
            field=("metadata", "name"),
            text=f'"{new.name}" was the name of a service before: claim {name_of(held[0])}'
            + (f" and {len(held) - 1} more hold" if len(held) > 1 else " holds")
            + " its data",
            why="members start on what the former ones left: with another cluster id they refuse to, or each takes itself "
            "for the primary",
            remedy="if the data is wanted, check that it is the same cluster; else take another name or delete the claims",
            subject="claims",
        )
